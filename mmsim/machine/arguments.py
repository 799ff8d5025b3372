"""Page frames as a call is given them; what a real machine is given as well is read by mmsim.terms.arguments."""

import numpy as np

from ..terms.arguments import END_OF_TIME, function, like, one_node, shown, text, whole, words, yes_no

__all__ = ["END_OF_TIME", "function", "like", "one_node", "page_frames", "shown", "text", "whole", "words", "yes_no"]


def page_frames(pages, frames):
    """An iterable of page frame numbers as an array, each once; `frames`: how many the machine has."""
    right = "give page frames, as in task.pages()['pfn'].dropna()"
    if not np.iterable(pages):
        raise TypeError(f"pages is {shown(pages)}; {right}")
    try:
        pfns = np.array(pages) if hasattr(pages, "__array__") else np.array([whole(pfn, "pages") for pfn in pages])
        if pfns.dtype.kind not in "iu":
            pfns = np.array([whole(pfn, "pages") for pfn in pfns.tolist()], np.int64)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error}; {right}") from None
    if pfns.ndim != 1:
        raise TypeError(f"pages is {shown(pages)}; {right}")
    for outside in pfns[(pfns < 0) | (pfns >= frames)][:1].tolist():
        raise ValueError(f"pages: there is no page frame {outside}; this machine has {frames}")
    return pfns.astype(np.int64)[np.sort(np.unique(pfns, return_index=True)[1])]
