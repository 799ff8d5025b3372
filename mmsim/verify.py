"""The invariants of a machine, checked by walking everything that can refer to a page.

Each rule is a line that compares two arrays: what a table says, and what was found by looking.
"""

from itertools import chain

import numpy as np

from .errors import InvariantError
from .mm import mmzone, structs, timer
from .results import mappings


def verify(kernel):
    """Check every rule; InvariantError names the first page, slot or row that breaks one."""
    tables = kernel.tables
    used = mappings(kernel)
    check_lists(kernel)
    check_vmas(tables)
    check_swap(tables, used)
    check_references(kernel, used)
    check_page_cache(tables)
    check_reverse_map(tables, used)
    check_locks(tables, kernel.k.sys)
    check_contents(tables, used)


def demand(holds, rule, what="page"):
    """Raise InvariantError for the first place where `holds` is false."""
    wrong = np.flatnonzero(~np.asarray(holds))
    if len(wrong):
        raise InvariantError(f"{what} {wrong[0]}: {rule}" + (f" ({len(wrong)} in all)" if len(wrong) > 1 else ""))


def check_lists(kernel):
    """Every frame is on the list that its flags name and on no other; the zones count them right."""
    k, pages, zones = kernel.k, kernel.tables["mem_map"], kernel.tables["zone"]
    frames, flags = int(k.sys.nr_frames), pages["flags"]
    on = np.zeros(len(pages), np.int64)
    counts = [kernel._run(mmzone.walk_list, head, on) for head in range(k.sys.lists, len(pages))]
    if min(counts) < 0:
        raise InvariantError(f"page {-1 - min(counts)}: the links of its list do not fit together")
    if any(counts[3 * len(zones) :]):
        head = k.sys.lists + 3 * len(zones) + np.flatnonzero(counts[3 * len(zones) :])[0]
        raise InvariantError(f"page {pages['next'][head]}: left behind on a list of a migration")
    free, lru = flags & structs.PG_free != 0, flags & structs.PG_lru != 0
    which = np.where(free, structs.FREE, np.where(flags & structs.PG_active != 0, structs.ACTIVE, structs.INACTIVE))
    named = np.where(free | lru, k.sys.lists + 3 * pages["node"].astype(np.int64) + which, 0)[:frames]
    on = on[:frames]
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
    ptes = tables["pte"]
    covered = np.zeros(len(ptes), bool)
    for begin, end in zip(first[by_row], last, strict=True):
        covered[begin:end] = True
    used = ptes["flags"] != 0
    demand(covered | ~(used | (ptes["wrote"] != 0)), "is in use, but in no vma", "page table row")
    demand(used | (ptes["wrote"] == 0), "is empty, but its task wrote this page: the write is lost", "page table row")
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


def check_references(kernel, used):
    """page_count and page_mapcount are the references and ptes that can be found."""
    tables = kernel.tables
    pages = tables["mem_map"][: kernel.k.sys.nr_frames]
    present = used["value"][used["flags"] & structs.PTE_PRESENT != 0]
    mapped = np.bincount(present, minlength=len(pages))
    zero = pages["flags"] & structs.PG_reserved != 0
    demand((pages["mapcount"] == mapped) | zero, "its mapcount is not the number of ptes that map it")
    demand((mapped == 0) | (pages["flags"] & structs.PG_free == 0), "a pte maps this free frame")
    found = mapped.copy()
    found += np.bincount(tables["swap_cache"], minlength=len(pages))
    found += np.bincount(tables["file_page"]["pfn"], minlength=len(pages))
    found += pages["flags"] & structs.PG_private != 0
    for which, n in enumerate(tables["pagevec_count"]):
        np.add.at(found, tables["pagevec"][which][:n], 1)
    np.add.at(found, list(chain.from_iterable(kernel._book["pins"].values())), 1)
    waiting = tables["timer"][: kernel.k.sys.nr_timers]
    np.add.at(found, waiting["a"][waiting["kind"] == timer.UNLOCK], 1)
    found += pages["flags"] & structs.PG_slab != 0
    found[zero] = pages["count"][zero]
    demand(pages["count"] == found, "its count is not the number of references that can be found")
    demand((pages["count"] > 0) == (pages["flags"] & structs.PG_free == 0), "is neither free nor in use")


def check_swap(tables, used):
    """swap_map is the number of users of each entry; the swap cache and its pages point at each other."""
    slots = len(tables["swap_map"])
    cache, pages = tables["swap_cache"], tables["mem_map"]
    in_cache = cache > 0
    users = np.bincount(used["value"][used["flags"] & structs.PTE_SWAP != 0], minlength=slots) + in_cache
    notes = tables["file_page"]["entry"]
    users += np.bincount(notes[notes > 0], minlength=slots)
    users[0] = 0
    demand(tables["swap_map"] == users, "its use count is not the number of its users", "swap entry")
    entry = np.flatnonzero(in_cache)
    flagged = pages["flags"] & structs.PG_swapcache != 0
    demand(
        ~in_cache | (flagged[cache] & (pages["private"][cache] == np.arange(slots))),
        "its page does not point back",
        "swap entry",
    )
    pfn = np.flatnonzero(flagged)
    holds = np.ones(len(pages), bool)
    holds[pfn] = cache[pages["private"][pfn]] == pfn
    demand(holds, "is an orphan: flagged swapcache, but its slot holds another page or none")
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
    holds = np.ones(len(pages), bool)
    holds[pfn] = (where == at) & (pages["mapping"][pfn] > 0)
    demand(holds, "its place in the page cache is not where its mapping and index say")
    cached = np.flatnonzero(pages["mapping"] > 0)
    holds[cached] = files["pfn"][maps["base"][pages["mapping"][cached]] + pages["index"][cached]] == cached
    demand(holds, "names a mapping whose page cache holds another page or none")
    demand((files["pfn"] == 0) | (files["entry"] == 0), "is in the page cache and in swap at once", "file page")


def check_reverse_map(tables, used):
    """Every pte that maps a page can be found from the page."""
    pages, vmas = tables["mem_map"], tables["vma"]
    present = used["flags"] & structs.PTE_PRESENT != 0
    pfn, vma = used["value"][present], vmas[used["vma"][present]]
    index = vma["vm_pgoff"] + used["address"][present] - vma["vm_start"]
    page = pages[pfn]
    anon = (page["mapping"] < 0) & (-page["mapping"] == vma["anon_vma"])
    file = (page["mapping"] > 0) & (page["mapping"] == vma["mapping"])
    holds = np.ones(len(pages), bool)
    holds[pfn] &= (page["index"] == index) & (anon | file) | (page["flags"] & structs.PG_reserved != 0)
    demand(holds, "a pte maps it that its reverse map does not reach")


def check_locks(tables, sys):
    """Who locks a page, or writes it, is known and will end."""
    pages = tables["mem_map"]
    waiting = tables["timer"][: sys.nr_timers]
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


def check_contents(tables, used):
    """No write was ever lost: where the data is now, it is what was written last."""
    pages, vmas, files, maps = tables["mem_map"], tables["vma"], tables["file_page"], tables["mapping"]
    entry = files["entry"]
    data = np.where(
        files["pfn"] > 0, pages["data"][files["pfn"]], np.where(entry > 0, swap_contents(tables)[entry], files["disk"])
    )
    in_use = np.zeros(len(files), bool)
    for m in maps[2:]:
        in_use[m["base"] : m["base"] + m["pages"]] = True
    demand(~in_use | (data == files["wrote"]), "its contents are not what was written last", "file page")
    vma = vmas[used["vma"]]
    slot = maps["base"][vma["mapping"]] + vma["vm_pgoff"] + used["address"] - vma["vm_start"]
    from_file = (vma["mapping"] > 0) & (used["wrote"] == 0)
    expected = np.where(from_file, files["wrote"][np.where(from_file, slot, 0)], used["wrote"])
    present = used["flags"] & structs.PTE_PRESENT != 0
    found = np.where(
        present,
        pages["data"][np.where(present, used["value"], 0)],
        swap_contents(tables)[np.where(present, 0, used["value"])],
    )
    wrong = np.flatnonzero(found != expected)
    if len(wrong):
        i = wrong[0]
        raise InvariantError(
            f"virtual page {used['address'][i]:#x} of pid {used['mm'][i]}: "
            f"it holds write {found[i]}, but write {expected[i]} was the last"
        )


def swap_contents(tables):
    """What a read of each swap entry would give: the page in the swap cache, else what the slot holds."""
    cache = tables["swap_cache"]
    return np.where(cache > 0, tables["mem_map"]["data"][cache], tables["swap_data"])
