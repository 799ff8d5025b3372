"""verify() finds every kind of damage, and names it: each rule is broken by hand in the tables."""

import pytest
from machines import Checked, drain, frames_of, settle

from mmsim import InvariantError, Topology
from mmsim.machine.verify import BLOCK, verify
from mmsim.mm import mmzone, structs, timer

RULES = {}


def rule(match):
    """Register a function that breaks a rule; verify() must say `match` then."""

    def register(function):
        RULES[function.__name__] = (function, match)
        return function

    return register


class Scene:
    """A machine with something for each rule; the rows of its tables by name."""

    def __init__(self):
        self.kernel = kernel = Checked(Topology.uniform(nodes=2, frames=256))
        self.task = task = kernel.spawn("task")
        self.swapped = task.mmap(4)
        task.touch(self.swapped, write=True)
        kernel.reclaim(4)
        self.heap = heap = task.mmap(8)
        task.touch(heap, write=True)
        self.data = kernel.file("data", 4, fs="ext3")
        task.write(self.data)
        self.mapped = task.mmap(4, self.data)
        task.touch(self.mapped)
        self.shm = task.mmap(4, shared=True)
        task.touch(self.shm, write=True)
        self.child = task.fork("child")
        settle(kernel)
        kernel.hold_lock(task, heap[7], until=kernel.clock + 10**9)
        task.touch(self.swapped[0])  # in the swap cache and mapped; the others are only on the device
        settle(kernel)
        self.t = kernel.tables
        kernel.verify()

    def page(self, part, i=0):
        """The row of mem_map of a page of a mapping."""
        return self.t["mem_map"][frames_of(self.task, part[i])[0]]

    def pte(self, part, i=0):
        return self.kernel._pte(self.task, part.start + i)

    def vma(self, part):
        return self.kernel._vma(self.task, part.start)


@pytest.fixture
def scene():
    return Scene()


# -- lists


@rule("links of its list do not fit")
def one_link_leads_elsewhere(scene):
    pages = scene.t["mem_map"]
    first = pages["next"][mmzone.zone_list(scene.kernel.k, 1, structs.FREE)]
    pages["prev"][pages["next"][first]] = 5


@rule("its flags and the free list of node 1 disagree")
def a_free_page_that_is_not_listed(scene):
    k = scene.kernel.k
    mmzone.list_del(k, int(k.mem_map[mmzone.zone_list(k, 1, structs.FREE)].next))


@rule("its flags and the active list of node 0 disagree")
def a_page_on_the_wrong_lru_list(scene):
    scene.page(scene.heap)["flags"] ^= structs.PG_active


@rule("its flags and the inactive list of node 0 disagree")
def a_page_that_is_flagged_but_not_listed(scene):
    k = scene.kernel.k
    pfn = frames_of(scene.task, scene.mapped[0])[0]
    mmzone.list_del(k, pfn)


@rule("its flags and the free list of node 0 disagree")
def a_page_on_the_list_of_another_node(scene):
    k = scene.kernel.k
    first = int(k.mem_map[mmzone.zone_list(k, 0, structs.FREE)].next)
    mmzone.list_move_tail(k, first, mmzone.zone_list(k, 1, structs.FREE))


@rule("node 1: its counts of free")
def a_wrong_count_of_free_pages(scene):
    scene.t["zone"]["free"][1] += 1


@rule("node 0: its counts of free, active")
def a_wrong_count_of_active_pages(scene):
    scene.t["zone"]["active"][0] -= 1


@rule("left behind on a list of a migration")
def a_page_that_migration_forgot(scene):
    k = scene.kernel.k
    pfn = frames_of(scene.task, scene.heap[0])[0]
    scene.t["mem_map"]["flags"][pfn] &= ~(structs.PG_lru | structs.PG_active)
    scene.t["zone"]["active"][0] -= 1
    mmzone.list_move_tail(k, pfn, mmzone.work_list(k, structs.PAGELIST))


@rule("in use, but on no list")
def a_page_that_was_isolated_and_never_put_back(scene):
    k = scene.kernel.k
    pfn = frames_of(scene.task, scene.heap[0])[0]
    scene.t["mem_map"]["flags"][pfn] &= ~(structs.PG_lru | structs.PG_active)
    scene.t["zone"]["active"][0] -= 1
    mmzone.list_del(k, pfn)


# -- vmas and page tables


@rule("overlaps the next vma")
def vmas_that_overlap(scene):
    scene.vma(scene.heap)["vm_end"] += 1


@rule("shares page table rows")
def vmas_that_share_their_ptes(scene):
    one, two = scene.vma(scene.heap), scene.vma(scene.swapped)
    two["pte_base"] = one["pte_base"] + one["vm_start"] - two["vm_start"]


@rule("in use, but in no vma")
def a_pte_that_munmap_forgot(scene):
    free = scene.kernel._reserve_ptes(4)
    scene.kernel.tables["pte"][free]["flags"] = structs.PTE_SWAP


@rule("the write is lost")
def a_pte_that_was_cleared(scene):
    pte = scene.pte(scene.heap)
    pte["value"] = pte["flags"] = 0


@rule("is empty, but has a value")
def a_pte_that_lost_its_flags(scene):
    scene.pte(scene.heap)["flags"] = 0


@rule("where it does not belong")
def a_vma_on_the_list_of_another_task(scene):
    scene.t["task"]["mmap"][1] = scene.t["task"]["mmap"][scene.task.pid]


@rule("where it does not belong")
def a_list_of_vmas_in_a_circle(scene):
    vmas = scene.t["vma"]
    first = scene.t["task"]["mmap"][scene.task.pid]
    vmas["vm_next"][vmas["vm_next"][first]] = first


@rule("is free, but the search for a free row begins behind it")
def a_free_row_that_nobody_will_find(scene):
    scene.t["sys"]["vma_cursor"] += 2


@rule("anon_vma 3: is free, but the search")
def a_free_anon_vma_that_nobody_will_find(scene):
    scene.t["sys"]["anon_vma_cursor"] += 2


@rule("its mmap_cache is no vma of its own")
def a_search_that_begins_in_another_task(scene):
    scene.t["task"]["mmap_cache"][scene.task.pid] = scene.t["task"]["mmap"][scene.child.pid]


@rule("is not on the list of its anon_vma")
def a_vma_that_its_anon_vma_has_lost(scene):
    anon = scene.vma(scene.heap)["anon_vma"]
    scene.t["anon_vma"][anon] = scene.t["vma"]["anon_next"][scene.t["anon_vma"][anon]]


@rule("is not on the list of its mapping")
def a_vma_that_its_file_has_lost(scene):
    mapping = scene.vma(scene.mapped)["mapping"]
    scene.t["mapping"]["i_mmap"][mapping] = 0


# -- references


@rule("its mapcount is not")
def a_wrong_mapcount(scene):
    scene.page(scene.heap)["mapcount"] += 1


@rule("a pte maps this free frame")
def a_pte_to_a_free_frame(scene):
    pages = scene.t["mem_map"]
    spare = int(scene.kernel.k.mem_map[mmzone.zone_list(scene.kernel.k, 1, structs.FREE)].next)
    old = scene.pte(scene.heap)["value"]
    for task in (scene.task, scene.child):
        scene.kernel._pte(task, scene.heap.start)["value"] = spare
    pages["mapcount"][[old, spare]] = 0, 2


@rule("its count is not the number of references")
def a_reference_that_nobody_holds(scene):
    scene.page(scene.heap)["count"] += 1


@rule("its count is not the number of references")
def a_pin_that_the_page_does_not_know(scene):
    scene.kernel._book["pins"]["99:1"] = frames_of(scene.task, scene.heap[1])


@rule("its count is not the number of references")
def buffers_without_a_reference(scene):
    scene.page(scene.mapped)["flags"] &= ~structs.PG_private


@rule("is neither free nor in use")
def a_page_without_references_that_is_not_free(scene):
    drain(scene.kernel, 1, 255)
    at = scene.t["zone"]["start"][1]
    assert scene.t["mem_map"]["flags"][at] == structs.PG_slab
    scene.t["mem_map"]["flags"][at] = structs.PG_reserved
    scene.t["mem_map"]["count"][at] = 0


# -- swap


@rule("swap entry .*use count")
def a_slot_with_too_many_users(scene):
    scene.t["swap_map"][scene.pte(scene.swapped, 1)["value"]] += 1


@rule("swap entry .*use count")
def a_slot_in_use_that_looks_free(scene):
    scene.t["swap_map"][scene.pte(scene.swapped, 1)["value"]] = 0


@rule("swap entry .*does not point back")
def a_cached_page_with_another_entry(scene):
    scene.page(scene.swapped)["private"] = 0


@rule("orphan")
def a_page_that_believes_it_is_in_the_swap_cache(scene):
    page = scene.page(scene.heap)
    page["flags"] |= structs.PG_swapcache
    page["private"] = scene.pte(scene.swapped, 1)["value"]


@rule("radix tree node .*keys")
def a_radix_node_with_too_many_keys(scene):
    scene.t["radix_count"][0] += 1


@rule("slab")
def a_radix_node_from_nothing(scene):
    scene.t["sys"]["slab_nodes"][0] += 1


@rule("number of slots in use")
def a_wrong_number_of_slots(scene):
    scene.t["sys"]["swap_inuse"][0] += 1


# -- page cache


@rule("not where its mapping and index say")
def a_file_page_with_another_index(scene):
    scene.page(scene.mapped)["index"] += 1


@rule("names a mapping whose page cache holds another page")
def a_page_that_the_page_cache_has_lost(scene):
    page = scene.page(scene.mapped)
    row = scene.t["mapping"]["base"][page["mapping"]] + page["index"]
    scene.t["file_page"]["pfn"][row] = 0
    page["count"] -= 1


@rule("in the page cache and in swap at once")
def a_note_that_was_not_taken_back(scene):
    page = scene.page(scene.shm)
    entry = scene.pte(scene.swapped, 1)["value"]
    scene.t["file_page"]["entry"][scene.t["mapping"]["base"][page["mapping"]] + page["index"]] = entry
    scene.t["swap_map"][entry] += 1


# -- reverse map


@rule("reverse map does not reach")
def an_anonymous_page_with_another_index(scene):
    scene.page(scene.heap)["index"] += 1


@rule("reverse map does not reach")
def an_anonymous_page_of_another_anon_vma(scene):
    scene.page(scene.heap)["mapping"] = -scene.vma(scene.swapped)["anon_vma"]


@rule("reverse map does not reach")
def an_anonymous_page_without_mapping(scene):
    scene.page(scene.heap)["mapping"] = 0


@rule("reverse map does not reach")
def a_shared_page_that_only_one_of_its_vmas_reaches(scene):
    scene.vma(scene.heap)["vm_pgoff"] += 1


# -- locks and I/O


@rule("nobody will unlock it")
def a_lock_that_nobody_gives_back(scene):
    scene.page(scene.heap)["flags"] |= structs.PG_locked


@rule("will be unlocked, but is not")
def a_lock_that_somebody_else_has_taken_away(scene):
    scene.page(scene.heap, 7)["flags"] &= ~structs.PG_locked


@rule("writeback that never ends")
def writeback_without_a_write(scene):
    scene.page(scene.mapped)["flags"] |= structs.PG_writeback


@rule("is written, but not marked so")
def a_write_without_writeback(scene):
    scene.kernel.k.sys.in_flight += 1
    pfn = frames_of(scene.task, scene.mapped[0])[0]
    timer.add_timer(scene.kernel.k, scene.kernel.clock + 10, timer.IO_DONE, pfn, 0, 0)


@rule("number of writes under way")
def a_wrong_number_of_writes(scene):
    scene.kernel.k.sys.in_flight += 1


# -- contents


@rule("holds write .* was the last")
def a_page_with_old_contents(scene):
    scene.page(scene.heap)["data"] -= 1


@rule("holds write .* was the last")
def a_slot_with_old_contents(scene):
    scene.t["swap_data"][scene.pte(scene.swapped, 1)["value"]] -= 1


@rule("file page .*written last")
def a_file_page_with_old_contents(scene):
    page = scene.page(scene.mapped)
    page["data"] -= 1


@rule("file page .*written last")
def an_evicted_file_page_that_was_not_written(scene):
    kernel = scene.kernel
    scene.task.munmap(scene.mapped)
    scene.child.munmap(range(scene.mapped.start, scene.mapped.stop))
    kernel.reclaim(4)
    base = scene.t["mapping"]["base"][scene.data._number]
    assert scene.t["file_page"]["pfn"][base + 2] == 0
    scene.t["file_page"]["disk"][base + 2] -= 1


@pytest.mark.parametrize("block", [BLOCK, 3])
@pytest.mark.parametrize("name", RULES)
def test_damage_is_found_and_named(scene, name, block, monkeypatch):
    damage, match = RULES[name]
    damage(scene)
    monkeypatch.setattr("mmsim.machine.verify.BLOCK", block)
    with pytest.raises(InvariantError, match=match):
        verify(scene.kernel)


def test_a_page_on_two_lists_at_once(scene):
    """Its links cannot be those of both."""
    pages, head = scene.t["mem_map"], mmzone.work_list(scene.kernel.k, structs.MOVED)
    pages["next"][head] = pages["prev"][head] = frames_of(scene.task, scene.heap[0])[0]
    with pytest.raises(InvariantError, match="links of its list do not fit"):
        verify(scene.kernel)


def test_a_sound_machine_has_no_complaints(scene):
    assert verify(scene.kernel) is None
    scene.kernel.wait(2 * 10**9)
    scene.task.exit()
    scene.child.exit()


def test_the_message_names_the_page(scene):
    page = scene.page(scene.heap, 3)
    page["mapcount"] += 1
    (pfn,) = frames_of(scene.task, scene.heap[3])
    with pytest.raises(InvariantError, match=f"^page {pfn}: its mapcount"):
        scene.kernel.verify()


def test_several_are_counted(scene):
    scene.t["mem_map"]["mapcount"][frames_of(scene.task, scene.heap)] += 1
    with pytest.raises(InvariantError, match=r"\(8 in all\)"):
        scene.kernel.verify()
