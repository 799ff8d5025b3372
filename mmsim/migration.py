"""Migration: what became of the pages that a trigger considered."""

import functools

import numpy as np

from .errors import ERRNO_NAMES
from .lazy import Lazy
from .mm import trace
from .results import counted, known

pd = Lazy("pandas")


class Migration:
    """What became of the pages that a trigger considered; see `pages` for each of them.

    Attributes
    ----------
    trigger : str
        "mbind", "migrate_pages", "cpuset", "kernel" or "offline".
    returned : int or None
        What the system call returned, or a negative errno; None after a BUG.
    elapsed : int
        Simulated ns.
    """

    def __init__(self, kernel, trigger, returned, elapsed):
        """Of the record of the last trigger."""
        self.trigger = trigger
        self.returned = None if returned is None else int(returned)
        self.elapsed = int(elapsed)
        rows = last_of_each(kernel.tables["considered"][1 : int(kernel.k.sys.nr_considered) + 1])
        self._rows = rows.copy() if returned is None else rows  # after a BUG pages may go on writing there
        self._names = np.array(["", *list(kernel._book["tasks"].values())[1:]], object)  # 0, the kernel, is nobody
        self._ends = kernel.tables["zone"]["end"]
        self._counts = np.bincount(self._rows["path"], minlength=len(trace.PATHS)).tolist()

    def _node(self, pfn):
        return np.searchsorted(self._ends, pfn, side="right")

    @functools.cached_property
    def pages(self):
        """One row a page: task, page, old_pfn, old_node, new_pfn, new_node, asked, path, passes, error, reason."""
        rows = self._rows
        errors = np.array([f"-{ERRNO_NAMES[e]}" if e in ERRNO_NAMES else "" for e in range(64)], object)
        return pd.DataFrame(
            {
                "task": self._names[rows["mm"]],
                "page": rows["address"].astype(int),
                "old_pfn": rows["old_pfn"].astype(int),
                "old_node": self._node(rows["old_pfn"]),
                "new_pfn": known(rows["new_pfn"], rows["new_pfn"] > 0),
                "new_node": known(self._node(rows["new_pfn"]), rows["new_pfn"] > 0),
                "asked": known(rows["asked"], rows["asked"] >= 0),
                "path": np.array(trace.PATHS, object)[rows["path"]],
                "passes": rows["passes"].astype(int),
                "error": errors[rows["error"]],
                "reason": np.array(trace.REASONS, object)[rows["reason"]],
            },
            copy=False,
        )

    @property
    def moved(self):
        """Pages that are in a new frame now."""
        return int(np.count_nonzero(self._rows["new_pfn"]))

    evicted = property(lambda self: self._counts[trace.PATH_SWAPPED], doc="Pages that were swapped out.")
    failed = property(lambda self: self._counts[trace.PATH_FAILED], doc="Pages that failed for good.")
    retried = property(lambda self: self._counts[trace.PATH_RETRIED], doc="Pages whose retries were exhausted.")
    skipped = property(lambda self: self._counts[trace.PATH_SKIPPED], doc="Pages that were not collected.")
    passes = property(lambda self: int(self._rows["passes"].max(initial=0)), doc="Passes that were run.")

    @property
    def off_target(self):
        """New pages on another node than was asked for."""
        new, asked = self._rows["new_pfn"], self._rows["asked"]
        return int(np.count_nonzero((self._node(new) != asked) & (new > 0) & (asked >= 0)))

    @property
    def paths(self):
        """Pages per path, for the paths that any page took."""
        counts = pd.Series(self._counts, index=pd.Index(trace.PATHS, name="path"), name="pages")
        return counts[counts > 0]

    @property
    def stayed(self):
        """The pages that are where they were, with the reason."""
        return self.pages[
            self.pages["new_pfn"].isna() & ~self.pages["path"].isin(["swapped out", "freed from under us"])
        ]

    def __repr__(self):
        counts = zip(trace.PATHS, self._counts, strict=True)  # not self.paths, which would wait for pandas
        paths = ", ".join(f"{path} {n}" for path, n in counts if n) or "no page considered"
        return f"<Migration by {self.trigger}: {paths}; {counted(self.passes, 'pass')}, {self.elapsed / 1e6:.3f} ms>"

    def _repr_html_(self):
        return (
            f"<p>{self!r}</p>".replace("<Migration", "&lt;Migration").replace("ms>", "ms&gt;")
            + self.paths.to_frame().to_html()
        )


def last_of_each(rows):
    """One row a page: one that was considered twice starts where it was first and ends where it was last."""
    key = rows["mm"].astype(np.int64) << 32 | rows["address"]
    if (key[1:] > key[:-1]).all() or not rows["mm"].all():
        return rows
    first = np.sort(np.unique(key, return_index=True)[1])
    _, from_end, number = np.unique(key[::-1], return_index=True, return_inverse=True)
    last = rows[::-1][from_end][number[::-1][first]]
    # moved once, and then not again: it is in the frame that the first move gave it
    stayed = (last["new_pfn"] == 0) & (last["old_pfn"] != rows["old_pfn"][first])
    stayed &= ~np.isin(last["path"], [trace.PATH_SWAPPED, trace.PATH_FREED])
    last["new_pfn"][stayed] = last["old_pfn"][stayed]
    last["old_pfn"] = rows["old_pfn"][first]
    most = np.zeros(len(from_end), rows["passes"].dtype)
    np.maximum.at(most, number, rows["passes"][::-1])
    last["passes"] = most[number[::-1][first]]
    return last
