"""Trigger D: callers inside the kernel, who name page frames."""

import numpy as np

from ..terms.arguments import one_node, shown, whole, yes_no
from .doors import door
from .errors import os_error
from .explain import Asked
from ..mm import mbind, memory_failure, structs
from ..mm.check_range import flags_that_hold
from . import results


class InKernelCallers:
    """The methods of Kernel that move page frames without a task's asking."""

    @door
    def migrate(self, pages, to, force=False, new_pages=None):
        """Trigger D, an in-kernel caller: move page frames to a node.

        Parameters
        ----------
        pages : iterable of int
            Page frame numbers.
        to : int
            The node that the new pages are asked from.
        force : bool
            Do not leave out what a reserved vma maps, or (until 2.6.20) a locked one: V1 may hang on those.
        new_pages : int, optional
            How many new pages the caller allocates at most; default: one for each page that it has isolated.  When
            the list of new pages is empty, migrate_pages() stops (patch 3).

        Returns
        -------
        Migration
        """
        to = one_node(to, self.topology.nodes, "to")
        most = mbind.ALL_PAGES
        if new_pages is not None:
            most = whole(new_pages, "new_pages", least=0, most=most, what="pages")
        args = self._frames(pages, yes_no(force, "force"))
        asked = Asked(why_not="no page frame was given" * (not len(args[0])), listed=len(args[0]))
        self._migration("kernel", asked, mbind.migrate_frames, *args, to, most)
        return self.last

    @door
    def offline(self, pages):
        """Bad memory: empty page frames, as trigger D does, and take them out of use. No page gets them ever again.

        Each page goes to another frame of its node, or of the next one that has room. A frame whose page stays, like
        one that a reserved vma maps, or (until 2.6.20) a locked one, stays in use. Free frames are taken away at once,
        and those that are offline already are left alone: neither has a row in the result.

        Parameters
        ----------
        pages : iterable of int
            Page frame numbers.

        Returns
        -------
        Migration
            `returned`: how many of the frames are still in use, or -ENOMEM (no room for all new pages: none moved).
            `stayed` names them, and the reason.
        """
        args = self._frames(pages)
        given = self.tables["mem_map"][args[0]]
        free, out = given["flags"] & structs.PG_free != 0, results.out_of_use(given)
        asked = Asked(why_not="no page frame was given" * (not len(args[0])), listed=len(args[0]),
                      beside={"free, offline now": int(free.sum()), "offline already": int(out.sum())})  # fmt: skip
        self._migration("offline", asked, memory_failure.soft_offline_page, *args)
        return self.last

    def _frames(self, pages, force=False):
        """What an in-kernel caller is given: frames, who maps each, and the vm_flags for which it passes over one."""
        pfns = page_frames(pages, self.k.sys.nr_frames)
        if 1 in self.patches and not self.config.migration:
            raise os_error("ENOSYS", "this kernel is built without CONFIG_MIGRATION")
        self.last = None
        mapper, flags = results.mappers(self)
        return pfns, mapper[pfns], flags[pfns] & (0 if force else flags_that_hold(self.k))


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
