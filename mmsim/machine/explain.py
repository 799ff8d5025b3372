"""Explanations: whose a page is, why it stayed, and what there was instead of pages to move."""

from collections import Counter
from typing import NamedTuple

import numpy as np

from ..mm import mbind, structs, trace
from ..mm.structs import PTE_PRESENT, PTE_SWAP
from .names import listed, task_labels
from .results import vma_ptes

# What may be where a trigger looks, and is no page that it considers.
THERE, ELSEWHERE, LEFT, HIDDEN, ALONG, CACHED, SWAPPED, ZERO, FILE_ONLY, ABSENT = KINDS = (
    "already there", "on other nodes", "not reached", "hidden by a reserved first vma", "moved through another mapping",
    "in the swap cache only", "swapped out", "the zero page", "in the page cache only", "not present",
)  # fmt: skip
# Reasons that name tasks: those with the vma, else others than the one in the record; where there are some.
BY = {
    trace.R_PINNED: "pinned by {}: more references than anyone accounts for",
    trace.R_SHARED: "its file is mapped by others too: {}",
    trace.R_VMA_LOCKED: "mapped by a locked vma of {}",
    trace.R_VMA_RESERVED: "mapped by a reserved vma of {}",
}

PIECE = 1 << 15  # rows


class Asked(NamedTuple):
    """What a trigger looks at: the pages [start, end) of some tasks, and what is to go where.

    `source`, `target`: masks of nodes.  `why_not`: why nothing at all is to move.  `beside`: what else it was given, by
    kind.  `listed`: how many pages or frames it was given one by one; None: it walks through the page tables, once, or
    `in_turn` for each node of `source`.
    """

    pids: tuple = ()
    source: int = 0
    target: int = 0
    start: int = 0
    end: int = mbind.END_OF_MEMORY
    why_not: str = ""
    beside: dict = {}  # noqa: RUF012
    listed: int | None = None
    in_turn: bool = False

    @property
    def once(self):
        """Whether it walks once, through one task: then no page is considered twice, and all in order of address."""
        return self.listed is None and len(self.pids) == 1 and not (self.in_turn and self.source.bit_count() > 1)

    @property
    def walked(self):
        """The pid of the one task that it walks through, once, so that all of the record is its pages; or none."""
        return self.pids if self.once else ()


def most_considered(kernel, asked):
    """How many pages a trigger considers at most; one that it considers twice counts twice.

    A page that finds no room on its target may get a frame of a node that is still to be emptied: it is considered
    again there.  So a walk finds at most what a vma has, and at most what there is on its node.
    """
    if asked.listed is not None:
        return asked.listed
    vmas = kernel.tables["vma"]
    pages = (vmas["vm_end"] - vmas["vm_start"])[np.isin(vmas["vm_mm"], asked.pids)]
    if not asked.in_turn:
        return int(pages.sum())
    emptied = (frames for node, frames in enumerate(kernel.topology.frames) if asked.source >> node & 1)
    return sum(int(np.minimum(pages, frames).sum()) for frames in emptied)


def tasks_of(size, groups):
    """Which tasks have each of `size` things: (a number for each thing, the sets of pids by that number).

    `groups`: pairs of a pid and an array of things that it has; a task may be there several times.
    """
    number, sets, known = np.zeros(size, np.int32), [()], {(): 0}
    for pid, things in groups:
        before = number[things]
        becomes = np.zeros(len(sets), np.int32)
        for old in np.flatnonzero(np.bincount(before, minlength=len(sets))):
            new = sets[old] if pid in sets[old] else tuple(sorted((*sets[old], pid)))
            becomes[old] = known.setdefault(new, len(known))
            sets += [new] if len(known) > len(sets) else []
        number[things] = becomes[before]
    return number, sets


def pieces(rows, size=PIECE):
    """Slices of so many rows of a table, each small enough that what is made of it stays in the processor's cache."""
    return (slice(begin, begin + size) for begin in range(0, rows, size))


def frames_behind(tables, ptes):
    """The frame that each of some ptes leads to, through the swap cache if need be; 0: none."""
    pfn = np.empty(len(ptes), np.int32)
    for part in pieces(len(ptes)):
        value, flags = ptes["value"][part], ptes["flags"][part]
        pfn[part] = value
        if flags.max() >= PTE_SWAP:  # else each one is present or, without any flag, 0
            pfn[part] *= flags & PTE_PRESENT
            swap = np.flatnonzero(flags & PTE_SWAP)
            pfn[part][swap] = tables["swap_cache"][value[swap]]
    return pfn


def sharers(kernel, known=()):
    """A function that says who has each page frame now, as `tasks_of` gives it; None if no two vmas share a page.

    It works that out when it is called, whatever has become of the machine by then.  It takes groups as `tasks_of`
    does: what the caller knows of the tasks in `known`, of which nothing is kept.
    """
    vmas = kernel.tables["vma"][kernel.tables["vma"]["vm_mm"] != 0]
    common = np.zeros(len(vmas), bool)  # two vmas with a page in common have an object in common
    for column in ("anon_vma", "mapping"):
        _, at, number = np.unique(vmas[column], return_inverse=True, return_counts=True)
        common |= (number[at] > 1) & (vmas[column] > 0)
    if not common.any():
        return None
    common &= ~np.isin(vmas["vm_mm"], known)
    frames, every = kernel.k.sys.nr_frames, zip(vma_ptes(kernel), common, strict=True)
    kept = [(int(vma["vm_mm"]), frames_behind(kernel.tables, ptes)) for (_, vma, ptes), one in every if one]
    return lambda *groups: tasks_of(frames, (*((pid, pfn[pfn > 0]) for pid, pfn in kept), *groups))


def reasons(kernel, rows):
    """Why each page of some records has not moved, in words; other tasks in the way are named, as it is now."""
    texts = np.array(trace.REASONS, object)[rows["reason"]]
    named = np.flatnonzero(np.isin(rows["reason"], list(BY)))
    if len(named):
        labels, frames = task_labels(kernel), kernel.k.sys.nr_frames
        for reason in np.unique(rows["reason"][named]).tolist():
            at = named[rows["reason"][named] == reason]
            things, size = rows["old_pfn"][at], frames
            if reason == trace.R_SHARED:
                things, size = kernel.tables["mem_map"]["mapping"][things].clip(0), len(kernel.tables["mapping"])
            number, sets = tasks_of(size, in_the_way(kernel, reason))
            tasks = int(rows["mm"][at].max()) + 1
            case = number[things].astype(np.int64) * tasks + rows["mm"][at]
            own_too = reason in (trace.R_VMA_LOCKED, trace.R_VMA_RESERVED)
            words = np.empty(int(case.max()) + 1, object)
            for one in np.flatnonzero(np.bincount(case)).tolist():
                pids = [pid for pid in sets[one // tasks] if own_too or pid != one % tasks]
                words[one] = BY[reason].format(listed(pids, labels)) if pids else trace.REASONS[reason]
            texts[at] = words[case]
    return texts


def in_the_way(kernel, reason):
    """Who may be meant by a reason of BY: pairs of a pid and frames, or of a pid and files for R_SHARED."""
    if reason == trace.R_PINNED:
        return [(pid, np.asarray(pfns, int)) for pid, pfns in kernel._book["pins"].items()]
    if reason == trace.R_SHARED:
        vmas = kernel.tables["vma"][["vm_mm", "mapping"]][kernel.tables["vma"]["vm_mm"] != 0].tolist()
        return [(pid, np.array([mapping])) for pid, mapping in vmas if mapping]
    flag = structs.VM_LOCKED if reason == trace.R_VMA_LOCKED else structs.VM_RESERVED
    return [(int(vma["vm_mm"]), frames_behind(kernel.tables, ptes)) for _, vma, ptes in vma_ptes(kernel)
            if vma["vm_flags"] & flag]  # fmt: skip


def passed_over(kernel, asked, rows):
    """What a trigger found beside the pages that it has considered (`rows`): {kind of KINDS: pages}."""
    counts, vmas = Counter(asked.beside), kernel.tables["vma"]
    vmas = vmas[np.isin(vmas["vm_mm"], asked.pids) & (vmas["vm_end"] > asked.start) & (vmas["vm_start"] < asked.end)]
    first, end = np.maximum(vmas["vm_start"], asked.start), np.minimum(vmas["vm_end"], asked.end)
    if (end - first).sum() > len(rows):  # else each one was considered
        keys = np.sort(rows["mm"].astype(np.int64) << 32 | rows["address"], kind="stable")
        arrived = np.zeros(len(kernel.tables["mem_map"]), bool)
        arrived[rows["new_pfn"]] = True
        found = np.zeros(len(KINDS), int)
        for vma, a, b in zip(vmas, first.tolist(), end.tolist(), strict=True):
            base = int(vma["vm_mm"]) << 32
            seen = keys[slice(*np.searchsorted(keys, (base + a, base + b)))] - base
            address = np.delete(np.arange(a, b), seen - a)
            for part in pieces(len(address)):
                found += np.bincount(kinds_of(kernel, asked, vma, address[part], arrived), minlength=len(KINDS))
        counts.update(dict(zip(KINDS, found.tolist(), strict=True)))
    return {kind: n for kind, n in counts.items() if n}


def hidden(kernel, pid):
    """Whether check_range() ends at the first vma of a task: until patch 5 it does if that is reserved."""
    vmas, first = kernel.tables["vma"], kernel.tables["task"]["mmap"][pid]
    return not kernel.tables["patch"][5] and bool(vmas["vm_flags"][first] & structs.VM_RESERVED)


def kinds_of(kernel, asked, vma, address, arrived):
    """What is at some addresses of a vma: places in KINDS; `arrived`: whether something has moved to a frame."""
    tables = kernel.tables
    ptes, pages = tables["pte"][vma["pte_base"] + address], tables["mem_map"]
    pfn, present = frames_behind(tables, ptes), ptes["flags"] & PTE_PRESENT != 0
    kind = np.full(len(address), KINDS.index(ABSENT), np.int8)
    if vma["mapping"]:
        first = tables["mapping"]["base"][vma["mapping"]] + vma["vm_pgoff"] - vma["vm_start"]
        note = tables["file_page"][first + address]
        kind[note["entry"] > 0] = KINDS.index(SWAPPED)
        kind[note["pfn"] > 0] = KINDS.index(FILE_ONLY)
        pfn = np.where(ptes["flags"] == 0, note["pfn"], pfn)
    swap = ptes["flags"] & PTE_SWAP != 0
    kind[swap] = np.where(pfn[swap] > 0, KINDS.index(CACHED), KINDS.index(SWAPPED))
    left = HIDDEN if hidden(kernel, vma["vm_mm"]) else LEFT
    place = [THERE if asked.target >> node & 1 else left if asked.source >> node & 1 else ELSEWHERE
             for node in range(kernel.topology.nodes)]  # fmt: skip
    kind[present] = np.array([KINDS.index(one) for one in place])[pages["node"][pfn[present]]]
    kind[(pfn > 0) & arrived[pfn]] = KINDS.index(ALONG)
    kind[present & (pages["flags"][pfn] & structs.PG_reserved != 0)] = KINDS.index(ZERO)
    return kind
