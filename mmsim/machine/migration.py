"""Migration: what became of the pages that a trigger considered."""

import functools

import numpy as np

from .errors import ERRNO_NAMES
from .explain import BY, passed_over, pieces, reasons
from .lazy import Lazy
from ..mm import trace
from ..mm.structs import PG_hwpoison
from .names import task_labels
from .results import known
from ..terms.arguments import counted

pd = Lazy("pandas")

TRIGGERS = ("mbind", "migrate_pages", "move_pages", "cpuset", "kernel", "offline")


class Migration:
    """What became of the pages that a trigger considered; see `pages` for each of them.

    Attributes
    ----------
    trigger : str
        "mbind", "migrate_pages", "move_pages", "cpuset", "kernel" or "offline".
    returned : int or None
        What the system call returned, or a negative errno; None after a BUG.
    elapsed : int
        Simulated ns.
    why_not : str
        Why nothing at all was to move, as where memory_migrate is not set; else empty.
    """

    def __init__(self, kernel, trigger, returned, elapsed, asked, sharers, migrated):
        """Of the record of the last trigger, which has `migrated` so many pages.

        `asked`: see explain.Asked, `sharers`: what that gave before the call.
        """
        self.trigger = trigger
        self.returned = None if returned is None else int(returned)
        self.elapsed = int(elapsed)
        rows = kernel.tables["considered"][1 : int(kernel.k.sys.nr_considered) + 1]
        if trigger == "offline" and returned is not None:
            given_up(kernel, rows)
        rows = rows.copy() if returned is None else rows  # after a BUG pages may go on writing there
        stays = migrated < len(rows)  # else there is no reason why a page has not moved
        self._considered = rows, sharers, asked.walked
        self._rows = rows = rows if asked.once else last_of_each(rows)[0]
        self._names = np.array(["", *list(task_labels(kernel).values())[1:]], object)  # 0, the kernel, is nobody
        named = stays and rows["reason"].max(initial=0) and np.isin(rows["reason"], [*BY]).any()
        self._reasons = reasons(kernel, rows) if named else None
        self.why_not, self._passed_over = asked.why_not, passed_over(kernel, asked, rows)
        self._ends = kernel.tables["zone"]["end"]

    @functools.cached_property
    def _mappers(self):
        """(Sets of pids, which of them shared each page before the call); (None, None): no page was shared."""
        rows, sharers, walked = self._considered
        self._considered = None  # it holds copies of what was there
        if sharers is None:
            return None, None
        number, sets = sharers(*((pid, rows["old_pfn"]) for pid in walked))
        return sets, last_of_each(rows, follow(rows, number))[1]

    def saved(self):
        """What a file keeps of it beside the tables, for `loaded`: a dict of what JSON knows."""
        (sets, number), reasons = self._mappers, self._reasons
        return {
            "trigger": self.trigger, "returned": self.returned, "elapsed": self.elapsed, "why_not": self.why_not,
            "passed_over": {what: int(n) for what, n in self._passed_over.items()}, "names": self._names.tolist(),
            "sets": sets, "number": None if number is None else number.tolist(),
            "reasons": None if reasons is None else list(reasons),
        }  # fmt: skip

    @classmethod
    def loaded(cls, kernel, about):
        """The last migration of a machine that was loaded; ValueError if `about` does not fit its record."""
        self = cls.__new__(cls)
        self.trigger, self.returned, self.elapsed = about["trigger"], about["returned"], int(about["elapsed"])
        self.why_not = str(about["why_not"])
        self._passed_over = {what: int(n) for what, n in about["passed_over"].items()}
        self._rows, _ = last_of_each(kernel.tables["considered"][1 : int(kernel.k.sys.nr_considered) + 1])
        self._names, sets, number = np.array(about["names"], object), about["sets"], about["number"]
        self._mappers = sets and [tuple(pids) for pids in sets], None if number is None else np.array(number, np.int32)
        self._reasons = None if about["reasons"] is None else np.array(about["reasons"], object)
        known = range(len(self._names))
        fits = [len(column) == len(self._rows) for column in (self._mappers[1], self._reasons) if column is not None]
        fits += [pid in known for pids in sets or () for pid in pids]
        fits += [0 <= n < len(sets or ()) for n in (number or ())]
        if self.trigger not in TRIGGERS or not all(fits) or (self._rows["mm"] >= len(known)).any():
            raise ValueError("its last migration is not what its record says")
        self._ends = kernel.tables["zone"]["end"]
        return self

    @functools.cached_property
    def _counts(self):
        """Pages per path, in the order of trace.PATHS."""
        return np.bincount(self._rows["path"], minlength=len(trace.PATHS)).tolist()

    def _node(self, pfn):
        return np.searchsorted(self._ends, pfn, side="right")

    @functools.cached_property
    def pages(self):
        """One row a page: task, page, old_pfn, old_node, new_pfn, new_node, asked, path, passes, error, reason, ...

        `mappers` names all tasks that shared it when the call began, `pid` is that of `task`.
        """
        rows = self._rows
        errors = np.array([f"-{ERRNO_NAMES[e]}" if e in ERRNO_NAMES else "" for e in range(64)], object)
        task, why = self._names[rows["mm"]], self._reasons
        return pd.DataFrame(
            {
                "task": task,
                "page": rows["address"].astype(int),
                "old_pfn": rows["old_pfn"].astype(int),
                "old_node": self._node(rows["old_pfn"]),
                "new_pfn": known(rows["new_pfn"], rows["new_pfn"] > 0),
                "new_node": known(self._node(rows["new_pfn"]), rows["new_pfn"] > 0),
                "asked": known(rows["asked"], rows["asked"] >= 0),
                "path": np.array(trace.PATHS, object)[rows["path"]],
                "passes": rows["passes"].astype(int),
                "error": errors[rows["error"]],
                "reason": np.array(trace.REASONS, object)[rows["reason"]] if why is None else why,
                "mappers": self._who_maps(task),
                "pid": rows["mm"].astype(int),
            },
            copy=False,
        )

    def _who_maps(self, task):
        """The names of all tasks that map each page; `task`: the one in the record."""
        sets, number = self._mappers
        if number is None:
            return task
        names = np.array([", ".join(self._names[list(pids)]) for pids in sets], object)
        return np.where(number > 0, names[number], task)

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

    @property
    def passed_over(self):
        """What the trigger found beside the pages that it considered, as a Series: kind, and how many pages."""
        counts = self._passed_over
        return pd.Series(counts, pd.Index(counts, name="what", dtype=object), dtype=int, name="pages")

    def there_was(self):
        """What there was instead of, or beside, pages to consider: 'already there 3, not present 1'."""
        found = ", ".join(f"{what} {n:,}" for what, n in self._passed_over.items())
        return "; ".join(part for part in (self.why_not, found) if part)

    def __repr__(self):
        counts = zip(trace.PATHS, self._counts, strict=True)  # not self.paths, which would wait for pandas
        paths, beside = ", ".join(f"{path} {n}" for path, n in counts if n), self.there_was()
        if not paths:
            paths = f"nothing to move ({beside or 'no page is mapped there'})"
        elif beside:
            paths += f"; passed over: {beside}"
        return f"<Migration by {self.trigger}: {paths}; {counted(self.passes, 'pass')}, {self.elapsed / 1e6:.3f} ms>"

    def _repr_html_(self):
        table = self.paths.to_frame().to_html() if any(self._counts) else ""
        return f"<p>{self!r}</p>".replace("<Migration", "&lt;Migration").replace("ms>", "ms&gt;") + table


def given_up(kernel, rows):
    """Of pages that were to leave their frames, those that stayed but whose owners have left them: all gone now."""
    stayed = np.isin(rows["path"], (trace.PATH_SKIPPED, trace.PATH_FAILED, trace.PATH_RETRIED))
    gone = stayed & (kernel.tables["mem_map"]["flags"][rows["old_pfn"]] & PG_hwpoison != 0)
    rows["path"][gone], rows["error"][gone], rows["reason"][gone] = trace.PATH_FREED, 0, trace.R_FREED


def follow(rows, number_of):
    """Who shares the page of each record, as a number; `number_of`: that of each frame before the call.

    A page that moves again within the call is still the same.
    """
    number, old, new = number_of[rows["old_pfn"]], rows["old_pfn"], rows["new_pfn"]
    if np.isin(old, new[new > 0]).any():
        arrived = {}  # frame: who shares the page that has moved there
        for i, pair in enumerate(zip(old.tolist(), new.tolist(), strict=True)):
            number[i] = arrived.get(pair[0], number[i])
            arrived[pair[1]] = number[i]
    return number


def in_order(rows):
    """Whether all records are of one task, and their addresses ascend: then no page is there twice."""
    for part in pieces(len(rows)):
        mm, address = rows["mm"][part], rows["address"][part.start : part.stop + 1].copy()  # and the next one after it
        if (mm != rows["mm"][0]).any() or (address[1:] <= address[:-1]).any():
            return False
    return True


def last_of_each(rows, sharing=None):
    """One row a page, and its `sharing`: one that was considered twice begins where it was first, ends where last."""
    if in_order(rows) or not rows["mm"].all():
        return rows, sharing
    key = rows["mm"].astype(np.int64) << 32 | rows["address"]
    ascending = np.sort(key, kind="stable")  # there are few runs of ascending ones, each of a node: that is fast
    if (ascending[1:] != ascending[:-1]).all():
        return rows, sharing
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
    return last, None if sharing is None else sharing[first]
