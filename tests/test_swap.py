"""Swap slots, the radix tree and its slab, and the rules of the swap cache."""

import errno

import pytest
from machines import boot, drain, frames_of, free, slots, states, writer

from mmsim import Config, Faults, OutOfMemory
from mmsim.mm import aops, structs, swap_state


def entries(task, heap=None):
    return task.pages(heap)["entry"].dropna().astype(int).tolist()


# -- slots


def test_slots_are_handed_out_by_a_rotating_cursor():
    kernel = boot(swap_slots=20)
    task, heap = writer(kernel, 12)
    kernel.reclaim(12)
    assert entries(task) == list(range(1, 13))
    task.munmap(heap[:6])
    more = task.mmap(10)
    task.touch(more, write=True)
    kernel.reclaim(10)
    assert entries(task, more) == [*range(13, 21), 1, 2]  # on to the end before the freed ones come again


def test_slots_in_use_are_jumped_over():
    kernel = boot(swap_slots=8)
    task, heap = writer(kernel, 8)
    kernel.reclaim(8)
    task.munmap(heap[1:3])
    task.munmap(heap[5])
    more = task.mmap(3)
    task.touch(more, write=True)
    kernel.reclaim(3)
    assert entries(task, more) == [2, 3, 6]


def test_peak_is_the_most_slots_ever_in_use():
    kernel = boot(swap_slots=50)
    task, heap = writer(kernel, 30)
    kernel.reclaim(20)
    task.munmap(heap)
    assert slots(kernel) == 0
    assert kernel.vmstat()["swap_peak"] == 20


def test_a_full_device_stops_reclaim_of_anonymous_memory():
    kernel = boot(swap_slots=5)
    task, heap = writer(kernel, 12)
    assert kernel.reclaim(12) == 5
    assert states(task, heap) == {"swap": 5, "present": 7}
    assert slots(kernel) == 5
    assert kernel.reclaim(1) == 0


@pytest.mark.parametrize("options", [{"swap_slots": 0}, {"swap_slots": 8, "config": Config(swap=False)}])
def test_without_swap_anonymous_memory_stays(options):
    kernel = boot(**options)
    task, heap = writer(kernel, 12)
    assert kernel.reclaim(12) == 0
    assert states(task, heap) == {"present": 12}


def test_swap_map_counts_ptes_and_the_cache():
    kernel = boot(patches=(1, 3))
    parent, heap = writer(kernel, 4)
    parent.fork()
    parent.fork()
    kernel.migrate(frames_of(parent), to=1)
    assert set(kernel.tables["swap_map"][entries(parent)]) == {3 + 1}
    parent.touch(heap[0])
    assert kernel.tables["swap_map"][1] == 2 + 1


# -- radix tree


def slab(patches, n, swap_slots=4000):
    """Slab pages of a machine that migrated `n` pages and kept their slots."""
    kernel = boot(nodes=2, frames=2048, swap_slots=swap_slots, patches=patches)
    task, heap = writer(kernel, n)
    kernel.migrate(frames_of(task, heap), to=1)
    return kernel, task, heap


@pytest.mark.parametrize(("n", "nodes"), [(1, 1), (63, 1), (64, 2), (127, 2), (447, 7), (448, 8), (900, 15)])
def test_radix_nodes_and_slab_pages_of_slots_in_use(n, nodes):
    """Entry 0 is the header, so the first node holds the entries 1 to 63."""
    kernel, task, heap = slab((1, 3), n)
    assert slots(kernel) == n
    assert (kernel.tables["radix_count"] > 0).sum() == nodes
    assert kernel.vmstat()["slab_pages"] == -(-nodes // 7)
    assert kernel.k.sys.slab_nodes == -nodes % 7
    task.touch(heap)  # the pages leave no slot, the cache keeps them
    assert slots(kernel) == n
    task.munmap(heap)
    assert kernel.k.sys.slab_nodes == -(-nodes // 7) * 7  # free nodes, but the pages stay slab
    assert kernel.vmstat()["slab_pages"] == -(-nodes // 7)
    assert kernel.residency()["kernel"].sum() == 1 + -(-nodes // 7)


def test_with_patches_4_and_6_one_slab_page_is_enough():
    kernel, _, _ = slab(7, 900)
    assert slots(kernel) == 0
    assert kernel.vmstat()["slab_pages"] == 1
    assert kernel.vmstat()["swap_peak"] == 1


def test_slab_pages_come_from_the_local_node():
    kernel = boot(nodes=3)
    task, _heap = writer(kernel, 8)
    before = free(kernel, 2)
    root = kernel.spawn("root", node=2, uid=0)
    assert root.migrate_pages(task.pid, 0, 1) == 0
    assert before - free(kernel, 2) == 1


def test_a_slot_is_given_back_when_no_radix_node_can_be_had():
    kernel = boot(nodes=1, frames=64)
    task, heap = writer(kernel, 1)
    drain(kernel, 0, 0)
    (pfn,) = frames_of(task, heap)
    kernel.k.mem_map[pfn].flags |= structs.PG_locked
    assert swap_state.add_to_swap(kernel.k, pfn, structs.GFP_ATOMIC | structs.GFP_NOMEMALLOC) == 0
    kernel.k.mem_map[pfn].flags &= ~structs.PG_locked
    kernel.verify()
    assert slots(kernel) == 0


def test_reclaim_may_make_the_radix_node_that_one_waits_for():
    """add_to_swap() waits for memory (patch 7), reclaim makes room and needs a node of the same group itself."""
    kernel = boot(nodes=1, frames=512, patches=(1, 7))
    other, _ = writer(kernel, 40)
    task, heap = writer(kernel, 5)
    drain(kernel, 0, 20)  # below min, but reclaim may take a page for its radix node
    assert task.migrate_pages(0, 0, ()) == 0
    assert states(task, heap) == {"swap": 5}
    assert states(other).get("swap", 0) > 0
    assert (kernel.tables["radix_count"] > 0).sum() == 1
    assert kernel.vmstat()["slab_pages"] == 2
    assert kernel.k.sys.slab_nodes == 2 * 7 - 1


# -- the swap cache


def test_add_to_swap_marks_the_page():
    kernel = boot()
    task, heap = writer(kernel, 1)
    (pfn,) = frames_of(task, heap)
    page = kernel.k.mem_map[pfn]
    count = page.count
    page.flags |= structs.PG_locked
    assert swap_state.add_to_swap(kernel.k, pfn, structs.GFP_KERNEL) == 1
    page.flags &= ~structs.PG_locked
    kernel.verify()
    assert page.count == count + 1
    assert page.private == 1
    for flag in (structs.PG_swapcache, structs.PG_uptodate, structs.PG_dirty):
        assert page.flags & flag


def test_the_cache_keeps_its_slot_below_half_of_swap():
    kernel = boot(swap_slots=100)
    task, heap = writer(kernel, 50)
    kernel.reclaim(50)
    assert task.touch(heap) == Faults(0, 50, 0, 0)
    assert slots(kernel) == 50  # half, not more


def test_above_half_of_swap_an_exclusive_page_leaves_the_cache():
    kernel = boot(swap_slots=100)
    task, heap = writer(kernel, 80)
    kernel.reclaim(80)
    task.touch(heap[:30])
    assert slots(kernel) == 50  # from here on no more than half is in use
    task.touch(heap[30:])
    assert slots(kernel) == 50
    assert states(task) == {"present": 80}


def test_above_half_of_swap_a_shared_page_stays_in_the_cache():
    kernel = boot(swap_slots=100)
    parent, heap = writer(kernel, 80)
    kernel.reclaim(80)
    child = parent.fork()
    parent.touch(heap)
    assert slots(kernel) == 80
    child.touch(range(heap.start, heap.stop))
    assert slots(kernel) == 80  # two ptes map each of them: not exclusive


def test_a_page_that_left_the_cache_is_written_anew():
    kernel = boot(swap_slots=100)
    task, heap = writer(kernel, 80)
    kernel.reclaim(80)
    task.touch(heap[:10])
    writes = kernel.vmstat()["swap_write"]
    assert kernel.reclaim(10) == 10
    assert kernel.vmstat()["swap_write"] == writes + 10


def test_a_clean_page_in_the_cache_is_dropped_without_writing():
    kernel = boot()
    task, heap = writer(kernel, 10)
    kernel.reclaim(10)
    assert kernel.vmstat()["swap_write"] == 10
    task.touch(heap)
    assert kernel.reclaim(10) == 10
    assert kernel.vmstat()["swap_write"] == 10
    task.touch(heap, write=True)
    assert kernel.reclaim(10) == 10
    assert kernel.vmstat()["swap_write"] == 20


# -- swapoff


def test_swapoff_brings_everything_back():
    kernel = boot()
    parent, heap = writer(kernel, 10)
    shared = parent.mmap(6, shared=True)
    parent.touch(shared, write=True)
    kernel.reclaim(16)
    child = parent.fork()
    parent.touch(heap[:3])  # some in the swap cache, some only on the device
    kernel.swapoff()
    assert slots(kernel) == 0
    assert (kernel.tables["swap_cache"] == 0).all()
    assert states(parent, heap) == {"present": 10}
    assert frames_of(child, range(heap.start, heap.stop)) == frames_of(parent, heap)
    assert parent.touch(shared) == Faults(6, 0, 0, 0)
    assert kernel.vmstat()["stale_reads"] == 0


def test_after_swapoff_nothing_is_swapped_out():
    kernel = boot()
    _task, _heap = writer(kernel, 10)
    kernel.reclaim(4)
    kernel.swapoff()
    assert kernel.reclaim(10) == 0
    assert kernel.vmstat()["swap_peak"] == 4


def test_swapoff_without_memory_fails_and_swap_stays_on():
    kernel = boot(nodes=1, frames=64, swap_slots=200)
    task, heap = writer(kernel, 120)
    before = slots(kernel)
    assert before > 60
    with pytest.raises(OSError, match="swapoff") as caught:
        kernel.swapoff()
    assert caught.value.errno == errno.ENOMEM
    assert kernel.k.sys.swap_on == 1
    task.touch(heap)  # still possible
    assert kernel.vmstat()["stale_reads"] == 0


def test_swapoff_waits_for_a_write_under_way():
    kernel = boot()
    task, heap = writer(kernel, 1)
    kernel.reclaim(1)
    task.touch(heap, write=True)
    (pfn,) = frames_of(task, heap)
    kernel.k.mem_map[pfn].flags |= structs.PG_locked
    begin = kernel.clock
    kernel.call(aops.writepage, pfn, structs.SWAPPER_SPACE)
    kernel.swapoff()
    assert kernel.clock - begin >= kernel.costs.swap_write
    assert "writeback" not in kernel.frames().loc[pfn, "flags"]
    assert slots(kernel) == 0


def test_swapoff_waits_for_locks():
    kernel = boot(patches=(1, 3))
    task, heap = writer(kernel, 4)
    kernel.hold_lock(task, heap[0], until=kernel.clock + 10**7)
    kernel.migrate(frames_of(task, heap[1:]), to=1)
    kernel.swapoff()
    assert slots(kernel) == 0
    assert task.placement(heap) == [0, 1, 1, 1]


def test_out_of_memory_and_swap():
    kernel = boot(nodes=1, frames=64, swap_slots=40)
    task = kernel.spawn("a")
    heap = task.mmap(200)
    with pytest.raises(OutOfMemory):
        task.touch(heap, write=True)
    assert slots(kernel) == 40
    written = sum(task.pages(heap)["state"] != "none")
    assert written >= 40 + 50
