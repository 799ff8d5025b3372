"""The invariants of a machine, checked by walking everything that can refer to a page.

Each rule is a line that compares two arrays: what a table says, and what was found by looking.
"""

from typing import Any, NamedTuple

import numpy as np

from .errors import InvariantError
from ..mm import mmzone, structs, timer
from .results import mappings, out_of_use

BLOCK = 1 << 18  # rows of the page tables that are looked at together; what is found for each takes some 100 bytes


def verify(kernel):
    """Check every invariant by walking all that can refer to a page; InvariantError names the first that is broken."""
    tables = kernel.tables
    check_lists(kernel)
    check_vmas(tables)
    found = walk_page_tables(kernel)
    check_swap(tables, found)
    check_references(kernel, found)
    check_page_cache(tables)
    check_shared_policies(tables)
    demand(found.reached, "a pte maps it that its reverse map does not reach")
    check_locks(tables, kernel.k.sys, kernel._timers())
    check_contents(tables, found)


def demand(holds, rule, what="page", at=None):
    """Raise InvariantError for the first place where `holds` is false; `at`: the places, if it does not have all."""
    wrong = np.flatnonzero(~np.asarray(holds)) if at is None else np.unique(at[~holds])
    if len(wrong):
        raise InvariantError(f"{what} {wrong[0]}: {rule}" + (f" ({len(wrong)} in all)" if len(wrong) > 1 else ""))


def count(found, numbers):
    """Add 1 to `found` at each of some numbers."""
    np.add.at(found, numbers, np.int32(1))  # a Python 1 would take numpy's slow way


class Found(NamedTuple):
    """What the page tables refer to."""

    mapped: Any  # int by page: ptes that map it
    swapped: Any  # int by swap entry: ptes that hold it
    reached: Any  # bool by page: its reverse map reaches every pte that maps it
    lost: str  # the first virtual page that does not hold what was written there last; empty: none


def walk_page_tables(kernel):
    """Look at every pte that is in use, a block at a time."""
    tables = kernel.tables
    pages, on_swap = tables["mem_map"], swap_contents(tables)
    mapped, swapped = np.zeros(len(pages), np.int32), np.zeros(len(on_swap), np.int32)
    reached, lost = np.ones(len(pages), bool), ""
    for first in range(0, len(tables["pte"]), BLOCK):
        used = mappings(kernel, first, first + BLOCK)
        present = used["flags"] & structs.PTE_PRESENT != 0
        pfn, entry = used["value"][present], used["value"][~present]
        count(mapped, pfn)
        count(swapped, entry)
        reached[pfn[~in_reverse_map(tables, used, present)]] = False
        holds = np.empty(len(present), np.int32)
        holds[present], holds[~present] = pages["data"][pfn], on_swap[entry]
        lost = lost or first_lost(used, holds, expected(tables, used))
    return Found(mapped, swapped, reached, lost)


def in_reverse_map(tables, used, present):
    """Which ptes can be found from the pages that they map."""
    pages, vmas = tables["mem_map"], tables["vma"]
    pfn, vma = used["value"][present], used["vma"][present]
    mapping, index = pages["mapping"][pfn], used["address"][present] + (vmas["vm_pgoff"] - vmas["vm_start"])[vma]
    anon = (mapping < 0) & (-mapping == vmas["anon_vma"][vma])
    file = (mapping > 0) & (mapping == vmas["mapping"][vma])
    return (pages["index"][pfn] == index) & (anon | file) | (pages["flags"][pfn] & structs.PG_reserved != 0)


def expected(tables, used):
    """What was written last to each virtual page in use: by its task, or to the file whose page it is."""
    vmas, maps, written = tables["vma"], tables["mapping"], used["wrote"].copy()
    from_file = used["flags"] & structs.PTE_PRESENT != 0
    from_file[from_file] = tables["mem_map"]["mapping"][used["value"][from_file]] > 0
    vma = used["vma"][from_file]
    slot = used["address"][from_file] + (vmas["vm_pgoff"] - vmas["vm_start"] + maps["base"][vmas["mapping"]])[vma]
    written[from_file] = tables["file_page"]["wrote"][slot]
    return written


def first_lost(used, holds, written):
    """Names the first virtual page that holds something else than what was written last."""
    for i in np.flatnonzero(holds != written)[:1]:
        return (
            f"virtual page {used['address'][i]:#x} of pid {used['mm'][i]}: "
            f"it holds write {holds[i]}, but write {written[i]} was the last"
        )
    return ""


def check_lists(kernel):
    """Every frame is on the list that its flags name and on no other; the zones count them right."""
    k, pages, zones = kernel.k, kernel.tables["mem_map"], kernel.tables["zone"]
    frames, flags = int(k.sys.nr_frames), pages["flags"].copy()
    on = np.zeros(len(pages), np.int32)
    counts = [kernel._run(mmzone.walk_list, head, on) for head in range(k.sys.lists, len(pages))]
    if min(counts) < 0:
        raise InvariantError(f"page {-1 - min(counts)}: the links of its list do not fit together")
    if any(counts[3 * len(zones) :]):
        head = k.sys.lists + 3 * len(zones) + np.flatnonzero(counts[3 * len(zones) :])[0]
        raise InvariantError(f"page {pages['next'][head]}: left behind on a list of a migration")
    free, lru = flags & structs.PG_free != 0, flags & structs.PG_lru != 0
    named = 3 * pages["node"].astype(np.int32) + structs.INACTIVE
    named[flags & structs.PG_active != 0] += structs.ACTIVE - structs.INACTIVE
    named[free] = 3 * pages["node"][free] + structs.FREE
    named += k.sys.lists
    named[~(free | lru)] = 0
    on, named = on[:frames], named[:frames]
    wrong = np.flatnonzero(on != named)
    if len(wrong):
        head = min(h for h in (on[wrong[0]], named[wrong[0]]) if h)
        node, which = divmod(int(head - k.sys.lists), 3)
        name = ("free", "active", "inactive")[which]
        demand(on == named, f"its flags and the {name} list of node {node} disagree")
    for node, zone in enumerate(zones):
        if counts[3 * node : 3 * node + 3] != [zone["free"], zone["active"], zone["inactive"]]:
            raise InvariantError(
                f"node {node}: its counts of free, active and inactive pages are not those of its lists"
            )
    waiting = np.zeros(frames, bool)
    for pagevec, n in zip(kernel.tables["pagevec"], kernel.tables["pagevec_count"], strict=True):
        waiting[pagevec[:n]] = True
    elsewhere = flags & (structs.PG_free | structs.PG_lru | structs.PG_slab | structs.PG_reserved) != 0
    elsewhere |= out_of_use(pages)
    demand(elsewhere[:frames] | waiting, "is in use, but on no list and in no pagevec")


def check_vmas(tables):
    """The vmas of a task do not overlap, and no two share page table rows."""
    vmas = tables["vma"][tables["vma"]["vm_mm"] != 0]
    by_address = vmas[np.lexsort((vmas["vm_start"], vmas["vm_mm"]))]
    same = by_address["vm_mm"][1:] == by_address["vm_mm"][:-1]
    demand(
        ~same | (by_address["vm_start"][1:] >= by_address["vm_end"][:-1]), "overlaps the next vma of its task", "vma"
    )
    first = vmas["pte_base"] + vmas["vm_start"]
    by_row = np.argsort(first)
    last = (vmas["pte_base"] + vmas["vm_end"])[by_row]
    demand(first[by_row][1:] >= last[:-1], "shares page table rows with another", "vma")
    ptes, wrote = tables["pte"], tables["wrote"] != 0
    covered = np.zeros(len(ptes), bool)
    for begin, end in zip(first[by_row], last, strict=True):
        covered[begin:end] = True
    used = ptes["flags"] != 0
    demand(covered | ~(used | wrote), "is in use, but in no vma", "page table row")
    demand(used | (ptes["value"] == 0), "is empty, but has a value", "page table row")
    demand(used | ~wrote, "is empty, but its task wrote this page: the write is lost", "page table row")
    check_links(tables)


def check_links(tables):
    """Every vma is on the list of its task, of its file and of its anon_vma, once."""
    vmas = tables["vma"]
    live = vmas["vm_mm"] != 0
    for owner, link, heads in (
        ("vm_mm", "vm_next", tables["task"]["mmap"]),
        ("mapping", "shared_next", tables["mapping"]["i_mmap"]),
        ("anon_vma", "anon_next", tables["anon_vma"]),
    ):
        following = vmas[link].tolist()
        found = np.zeros(len(vmas), int)
        for number in np.flatnonzero(heads):
            v = int(heads[number])
            while v:
                found[v] += 1
                if found[v] > 1 or vmas[owner][v] != number:
                    raise InvariantError(f"vma {v}: is on the list of {owner} {number}, where it does not belong")
                v = following[v]
        demand((found == 1) | ~live | (vmas[owner] == 0), f"is not on the list of its {owner}", "vma")
    for name, used in (("vma", live), ("anon_vma", tables["anon_vma"] > 0)):
        behind = np.arange(len(used)) >= tables["sys"][f"{name}_cursor"]
        behind[0] = True
        demand(used | behind, "is free, but the search for a free row begins behind it", name)
    cache = tables["task"]["mmap_cache"]
    own = vmas["vm_mm"][cache] == np.arange(len(cache))
    demand(own | (cache == 0), "its mmap_cache is no vma of its own", "task")


def check_references(kernel, found):
    """page_count and page_mapcount are the references and ptes that can be found."""
    tables = kernel.tables
    pages = tables["mem_map"][: kernel.k.sys.nr_frames]
    flags, mapped = pages["flags"].copy(), found.mapped[: len(pages)]
    zero, free = flags & structs.PG_reserved != 0, flags & structs.PG_free != 0
    bad, offline = flags & structs.PG_hwpoison != 0, out_of_use(pages)
    demand(offline | ~bad, "is marked as bad memory, but somebody uses it")
    demand((flags == structs.PG_hwpoison) & (pages["mapping"] == 0) | ~bad, "is out of use, but still says whose it is")
    demand((pages["mapcount"] == mapped) | zero, "its mapcount is not the number of ptes that map it")
    demand((mapped == 0) | ~free, "a pte maps this free frame")
    references = mapped + (flags & structs.PG_private != 0)
    references += flags & structs.PG_slab != 0
    waiting = kernel._timers()
    for pfns in (
        tables["swap_cache"],
        tables["file_page"]["pfn"],
        waiting["a"][waiting["kind"] == timer.UNLOCK],
        *(pagevec[:n] for pagevec, n in zip(tables["pagevec"], tables["pagevec_count"], strict=True)),
        *kernel._book["pins"].values(),
    ):
        count(references, pfns)
    demand((pages["count"] == references) | zero, "its count is not the number of references that can be found")
    demand((pages["count"] > 0) == ~(free | offline), "is neither free nor in use")


def check_swap(tables, found):
    """swap_map is the number of users of each entry; the swap cache and its pages point at each other."""
    cache, pages = tables["swap_cache"], tables["mem_map"]
    in_cache = cache > 0
    users = found.swapped + in_cache
    count(users, tables["file_page"]["entry"])
    users[0] = 0
    demand(tables["swap_map"] == users, "its use count is not the number of its users", "swap entry")
    entry = np.flatnonzero(in_cache)
    flagged = pages["flags"] & structs.PG_swapcache != 0
    back = flagged[cache[entry]] & (pages["private"][cache[entry]] == entry)
    demand(back, "its page does not point back", "swap entry", entry)
    pfn = np.flatnonzero(flagged)
    held = cache[pages["private"][pfn]] == pfn
    demand(held, "is an orphan: flagged swapcache, but its slot holds another page or none", at=pfn)
    groups = np.bincount(entry // structs.RADIX_KEYS, minlength=len(tables["radix_count"]))
    demand(tables["radix_count"] == groups, "its number of keys is wrong", "radix tree node")
    sys = tables["sys"][0]
    slab_pages = tables["vmstat"][structs.VM_SLAB_PAGES]
    if slab_pages * structs.RADIX_NODES != sys["slab_nodes"] + (groups > 0).sum():
        raise InvariantError("slab: radix tree nodes were lost or made from nothing")
    if sys["swap_inuse"] != (users > 0).sum():
        raise InvariantError("swap: the number of slots in use is wrong")


def check_page_cache(tables):
    """Each page cache slot and its page point at each other."""
    files, maps, pages = tables["file_page"], tables["mapping"], tables["mem_map"]
    at = np.flatnonzero(files["pfn"])
    pfn = files["pfn"][at]
    where = maps["base"][pages["mapping"][pfn]] + pages["index"][pfn]
    back = (where == at) & (pages["mapping"][pfn] > 0)
    demand(back, "its place in the page cache is not where its mapping and index say", at=pfn)
    cached = np.flatnonzero(pages["mapping"] > 0)
    where = maps["base"][pages["mapping"][cached]] + pages["index"][cached]
    demand(files["pfn"][where] == cached, "names a mapping whose page cache holds another page or none", at=cached)
    demand((files["pfn"] == 0) | (files["entry"] == 0), "is in the page cache and in swap at once", "file page")


def check_shared_policies(tables):
    """The ranges of a shared policy lie inside their file, in order; each row belongs to one file, or is free."""
    ranges, maps = tables["sp_node"], tables["mapping"]
    found = np.zeros(len(ranges), bool)
    for m in np.flatnonzero(maps["policy"]):
        n, end = int(maps["policy"][m]), 0
        while n:
            row = ranges[n]
            if found[n] or not end <= row["start"] < row["end"] <= maps["pages"][m]:
                raise InvariantError(f"shared policy {n}: its range does not fit into file {m}")
            found[n], end, n = True, row["end"], int(row["next"])
    demand(found == (ranges["mode"] != 0), "belongs to no file, or is free and linked", "shared policy")


def check_locks(tables, sys, waiting):
    """Who locks a page, or writes it, is known and will end."""
    pages = tables["mem_map"]
    for flag, kind, rule, converse in (
        (structs.PG_locked, timer.UNLOCK, "is locked, and nobody will unlock it", "will be unlocked, but is not"),
        (structs.PG_writeback, timer.IO_DONE, "is under writeback that never ends", "is written, but not marked so"),
    ):
        ends = np.zeros(len(pages), bool)
        ends[waiting["a"][waiting["kind"] == kind]] = True
        demand((pages["flags"] & flag != 0) <= ends, rule)
        demand((pages["flags"] & flag != 0) >= ends, converse)
    if sys.in_flight != (waiting["kind"] == timer.IO_DONE).sum():
        raise InvariantError("the number of writes under way is wrong")


def check_contents(tables, found):
    """No write was ever lost: where the data is now, it is what was written last."""
    pages, files, maps = tables["mem_map"], tables["file_page"], tables["mapping"]
    entry = files["entry"]
    data = np.where(
        files["pfn"] > 0, pages["data"][files["pfn"]], np.where(entry > 0, swap_contents(tables)[entry], files["disk"])
    )
    in_use = np.zeros(len(files), bool)
    for m in maps[2:]:
        in_use[m["base"] : m["base"] + m["pages"]] = True
    demand(~in_use | (data == files["wrote"]), "its contents are not what was written last", "file page")
    if found.lost:
        raise InvariantError(found.lost)


def swap_contents(tables):
    """What a read of each swap entry would give: the page in the swap cache, else what the slot holds."""
    cache = tables["swap_cache"]
    return np.where(cache > 0, tables["mem_map"]["data"][cache], tables["swap_data"])
