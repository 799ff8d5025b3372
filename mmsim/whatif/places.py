"""Places: what each node holds, what is still on a node that was to be left, why, and what would help."""

import tomllib
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..mm import structs, trace
from ..mm.check_range import flags_that_hold
from ..mm.structs import PTE_PRESENT
from ..machine.lazy import Lazy
from ..machine.names import HOLDERS
from ..machine.explain import pieces
from ..machine.results import out_of_use, owners, vma_ptes

pd = Lazy("pandas")
END = 1 << 62
WHOSE = {"page cache": "page cache that nobody maps", "kernel": "the kernel's own", "swap cache": "swap cache",
         "other": "other", "shared": "shared by several jobs"}  # fmt: skip
UNMAPPED = "a mapped file (the page cache has it, the ptes are gone)"
SAID = tomllib.loads(Path(__file__).with_name("helps.toml").read_text(encoding="utf-8"))
HELPS = {start: words for words, starts in SAID["helps"].items() for start in starts}
OTHERS = SAID["others"]
NOT_ASKED = "nobody asked it to move", "migratepages for it, too"


class Leaving(NamedTuple):
    """What a trigger is to move away: the pages [start, end) of some tasks from some nodes, or some page frames.

    `emptied`: nobody else's pages are wanted there either.  `scale`: what the sizes of the machine were multiplied by.
    """

    pids: tuple = ()
    nodes: tuple = ()
    start: int = 0
    end: int = END
    frames: range = range(0)
    emptied: bool = False
    scale: float = 1


def family(name):
    """The name that a plan gives to a task or to its parent: 'web' for 'web/1'."""
    return name.split("/")[0]


def holders(kernel):
    """Whose each page frame is, where parent and children are one: (a number for each frame, the names by number)."""
    owner, names = owners(kernel)
    first = len(names) - len(HOLDERS)  # tasks come first, then `shared`
    names = [family(name) for name in names]
    found = np.array([names.index(name) for name in names], np.int32)
    several = owner == first
    if not several.any():
        return found[owner], names
    whose = np.full(len(owner), -1, np.int32)
    for _, vma, ptes in vma_ptes(kernel):
        pfn = ptes["value"][ptes["flags"] & PTE_PRESENT != 0]
        pfn, mine = pfn[several[pfn]], found[vma["vm_mm"]]
        whose[pfn] = np.where((whose[pfn] < 0) | (whose[pfn] == mine), mine, first)
    return np.where(several, whose, found[owner]), names


def held(kernel):
    """The pages that each node holds of each owner: {(node, owner): pages}, without zeroes; `free` among them."""
    whose, names = holders(kernel)
    found = {}
    for node, zone in enumerate(kernel.tables["zone"]):
        counts = np.bincount(whose[zone["start"] : zone["end"]], minlength=len(names))
        found |= {(node, names[n]): int(counts[n]) for n in np.flatnonzero(counts)}
    return found


def still_there(kernel, leaving, before=()):
    """The page frames that a trigger was to empty and that are not: their numbers, ascending.

    `before`: what this function gave then; a page of a file may have lost its ptes and be in its frame all the same.
    """
    if leaving.frames:
        frames = np.arange(leaving.frames.start, leaving.frames.stop)
        return frames[~out_of_use(kernel.tables["mem_map"][leaving.frames.start : leaving.frames.stop])]
    flags = kernel.tables["mem_map"]["flags"][: kernel.k.sys.nr_frames]
    there, asked = np.zeros((2, len(flags)), bool)
    for zone in kernel.tables["zone"][list(leaving.nodes)]:
        asked[zone["start"] : zone["end"]] = True
    for _, vma, ptes in vma_ptes(kernel):
        if int(vma["vm_mm"]) in leaving.pids:
            a, b = (int(min(max(end - int(vma["vm_start"]), 0), len(ptes))) for end in (leaving.start, leaving.end))
            for part in pieces(b - a):
                some = ptes[a:b][part]
                there[some["value"][some["flags"] & PTE_PRESENT != 0]] = True
    for part in pieces(len(before)):
        there[before[part]] |= flags[before[part]] & (structs.PG_free | structs.PG_slab) == 0
    for part in pieces(len(there)):
        there[part] &= asked[part] & (flags[part] & structs.PG_reserved == 0)
    return np.flatnonzero(there)


def left_behind(kernel, leaving, answers, frames):
    """What is left where nothing was to be: rows of node, whose, pages, asked, why, help; the most first.

    `answers`: those of the calls that were to move it.  `frames`: what `still_there` gives.
    """
    if not len(frames) and not leaving.emptied:
        return []
    whose, names = holders(kernel)
    node, why = kernel.tables["mem_map"]["node"], causes(kernel, leaving, answers, frames)
    asked = pd.DataFrame({"node": node[frames], "whose": np.array(names, object)[whose[frames]], "why": why})
    again = answers[-1].call if answers else "ask again"
    rows = [
        {"node": int(n), "whose": UNMAPPED if name == "page cache" else WHOSE.get(name, name), "pages": int(pages),
         "asked": True, "why": reason,
         "help": helping(kernel, reason, pages / leaving.scale, again)}
        for (n, name, reason), pages in asked.value_counts(sort=False).items()
    ]  # fmt: skip
    if leaving.emptied:
        mine = np.bincount(node[frames] * np.int64(len(names)) + whose[frames], minlength=2**16)
        for (n, name), pages in held(kernel).items():
            pages -= int(mine[n * len(names) + names.index(name)])
            little = name == "kernel" and pages * 1000 < kernel.topology.frames[n]  # it has some on every node
            if n in leaving.nodes and pages and not little and name not in ("free", "offline"):
                why, helps = OTHERS.get(name, NOT_ASKED)
                rows.append({"node": n, "whose": WHOSE.get(name, name), "pages": pages, "asked": False, "why": why,
                             "help": helps})  # fmt: skip
    return sorted(rows, key=lambda row: (not row["asked"], -row["pages"]))


def helping(kernel, reason, pages, again):
    """What would help against a reason; empty if nothing is known to.  A release that is already there is not named."""
    found = max((start for start in HELPS if reason.startswith(start)), key=len, default=None)
    words = HELPS[found].format(size=f"{ceil(pages / 256)}M", again=again) if found else ""
    return words.partition("; or Linux 2.6.21")[0] if kernel.k.change.locked_vmas_move else words


def causes(kernel, leaving, answers, frames):
    """Why each of some page frames still has a page that was to leave."""
    said = np.full(len(frames), "", object)
    full = {-1: "no free memory elsewhere"} | {n: f"no free memory on node {n}" for n in range(kernel.topology.nodes)}
    for answer in answers:
        if answer.migration is not None and len(frames):
            pages = answer.migration.pages
            now_in = pages["new_pfn"].fillna(pages["old_pfn"])
            here = now_in.isin(frames)
            some, at = pages[here], np.searchsorted(frames, now_in[here].to_numpy(int))
            said[at] = some["reason"].where(some["new_pfn"].isna(), some["asked"].fillna(-1).map(full))
    rest = said == ""
    if rest.any():
        ended = next((reason for reason in said if reason.startswith("no memory for the new")), "")
        said[rest] = by_vma(kernel, leaving, frames[rest], answers, ended and f"{ended}: the call ended before")
    return said


def by_vma(kernel, leaving, frames, answers, ended):
    """Why pages were not even considered: the flags of a vma that maps them, what the calls say, or why one `ended`."""
    error = next((answer.error for answer in answers if answer.error), "")
    why_not = next((a.migration.why_not for a in answers if a.migration and a.migration.why_not), "")
    if kernel.k.change.no_swap_no_migration and not kernel.k.change.migration_entries and not kernel.k.sys.swap_slots:
        why_not = "no free swap slot: without swap this kernel moves nothing"
    why = why_not or ended or (f"the call had failed: {error}" if error else "it was not looked at")
    said = np.full(len(frames), why, object)
    for _, vma, ptes in vma_ptes(kernel):
        flags = int(vma["vm_flags"]) & flags_that_hold(kernel.k)
        if flags and int(vma["vm_mm"]) in leaving.pids:
            pfn = ptes["value"][ptes["flags"] & PTE_PRESENT != 0]
            said[np.isin(frames, pfn)] = trace.REASONS[trace.vma_reason(flags)]
    return said
