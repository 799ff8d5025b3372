"""Page allocation: zonelists, watermarks, GFP marks, reclaim, kswapd and the end of memory."""

from math import isqrt

import pytest
from machines import Checked, boot, drain, free, states, writer

from mmsim import OutOfMemory, Policy, Topology
from mmsim.mm import page_alloc, structs


def marks(kernel, node=0):
    """(min, low, high) of a node."""
    zone = kernel.tables["zone"][node]
    return tuple(int(zone[name]) for name in ("pages_min", "pages_low", "pages_high"))


def alloc(kernel, gfp, node=0, allowed=page_alloc.ANY_NODE, flags=0):
    """Allocate one page as the kernel itself: the node that gave it, or None."""
    task = kernel.k.task[0]
    task.flags |= flags
    kernel.k.sys.current = 0
    pfn = page_alloc.alloc_pages(kernel.k, gfp, node, allowed)
    task.flags &= ~flags
    return int(kernel.k.mem_map[pfn].node) if pfn else None


# -- zonelists


def test_zonelist_is_sorted_by_distance_then_number():
    matrix = [[10, 30, 20, 20], [30, 10, 11, 40], [20, 11, 10, 20], [20, 40, 20, 10]]
    topology = Topology.from_matrix(matrix, frames=64)
    assert [topology.zonelist(n) for n in range(4)] == [[0, 2, 3, 1], [1, 2, 0, 3], [2, 1, 0, 3], [3, 0, 2, 1]]
    assert Topology.ring(nodes=5).zonelist(3) == [3, 2, 4, 0, 1]
    kernel = Checked(topology)
    assert [list(map(int, row)) for row in kernel.tables["zonelist"][:4]] == [topology.zonelist(n) for n in range(4)]


def test_allocations_fall_back_along_the_zonelist():
    kernel = Checked(Topology.from_matrix([[10, 30, 20], [30, 10, 20], [20, 20, 10]], frames=[96, 96, 96]))
    task = kernel.spawn("a")
    heap = task.mmap(250)
    task.touch(heap, write=True)
    placement = task.placement(heap)
    low = marks(kernel)[1]
    first = 96 - 1 - low  # the zero page is on node 0
    assert placement[:first] == [0] * first
    assert placement[first : first + 96 - low] == [2] * (96 - low)
    assert placement[first + 96 - low :][: 96 - low - 50] == [1] * (96 - low - 50)
    assert kernel.vmstat()["alloc_fallback"] >= 250 - first


def test_a_fallback_says_which_node_was_asked_and_which_gave():
    kernel = boot(frames=64)
    drain(kernel, 0, 0)
    task = kernel.spawn("a")
    task.touch(task.mmap(1), write=True)
    (text,) = kernel.events().query("function == '__alloc_pages'")["text"]
    assert "asked node 0" in text
    assert kernel.vmstat()["alloc_fallback"] == 1


# -- watermarks


@pytest.mark.parametrize(
    "frames", [[64], [1024], [256, 256], [8192, 8192], [100, 1000, 50], [32] * 8, [100_000, 300_000]]
)
def test_watermarks(frames):
    kernel = Checked(Topology.from_matrix(Topology.uniform(len(frames)).distances, frames))
    total = isqrt(16 * 4 * sum(frames)) // 4  # sqrt(16 x memory in kB) kB, in pages of 4 kB
    for node, count in enumerate(frames):
        low = min(total * count // sum(frames), count // 16)
        assert marks(kernel, node) == (low, low * 5 // 4, low * 3 // 2)


def test_first_walk_wants_more_than_low():
    kernel = boot(nodes=2, frames=512)
    low, mark, _ = marks(kernel)
    assert low >= 8
    drain(kernel, 0, mark + 1)
    assert alloc(kernel, structs.GFP_KERNEL) == 0
    assert alloc(kernel, structs.GFP_KERNEL) == 1  # exactly `low` are free: not more
    assert kernel.k.zone[0].wake_kswapd == kernel.k.zone[1].wake_kswapd == 0


@pytest.mark.parametrize(
    ("gfp", "mark"),
    [
        (structs.GFP_KERNEL, lambda m: m),
        (structs.GFP_HIGHUSER, lambda m: m),
        (structs.GFP_ATOMIC, lambda m: m - m // 2 - (m - m // 2) // 4),
        (structs.GFP_ATOMIC | structs.GFP_NOMEMALLOC, lambda m: m - m // 2 - (m - m // 2) // 4),
    ],
)
def test_how_deep_each_mask_may_go(gfp, mark):
    kernel = boot(nodes=1, frames=512, swap_slots=0)
    least = mark(marks(kernel)[0])
    drain(kernel, 0, least + 2)
    assert alloc(kernel, gfp) == 0
    assert alloc(kernel, gfp) == 0
    assert free(kernel, 0) == least
    assert alloc(kernel, gfp) is None
    assert free(kernel, 0) == least
    assert kernel.k.zone[0].wake_kswapd == 1


def test_atomic_mark_is_three_eighths_of_min():
    kernel = boot(nodes=1, frames=1024)
    assert marks(kernel)[0] == 64
    drain(kernel, 0, 25)
    assert alloc(kernel, structs.GFP_ATOMIC) == 0
    assert alloc(kernel, structs.GFP_ATOMIC) is None
    assert free(kernel, 0) == 24


def test_second_walk_prefers_a_near_reserve_to_nothing():
    kernel = boot(nodes=2, frames=512)
    least, mark, _ = marks(kernel)
    drain(kernel, 0, least)
    drain(kernel, 1, mark)
    assert alloc(kernel, structs.GFP_KERNEL) == 1
    assert alloc(kernel, structs.GFP_ATOMIC) == 0  # its mark is lower, and node 0 is nearer


def test_reclaim_itself_may_use_the_last_reserve_unless_told_not_to():
    kernel = boot(nodes=1, frames=512)
    drain(kernel, 0, 2)
    inside = structs.PF_MEMALLOC
    assert alloc(kernel, structs.GFP_ATOMIC | structs.GFP_NOMEMALLOC, flags=inside) is None
    assert alloc(kernel, structs.GFP_ATOMIC, flags=inside) == 0
    assert alloc(kernel, structs.GFP_KERNEL, flags=inside) == 0
    assert alloc(kernel, structs.GFP_KERNEL, flags=inside) is None


def test_only_allowed_nodes_are_asked_and_woken():
    kernel = boot(nodes=3, frames=64, swap_slots=0)
    drain(kernel, 1, 0)
    assert alloc(kernel, structs.GFP_KERNEL, node=1, allowed=0b010) is None
    assert [kernel.k.zone[n].wake_kswapd for n in range(3)] == [0, 1, 0]
    assert alloc(kernel, structs.GFP_KERNEL, node=1, allowed=0b110) == 2


# -- reclaim on demand


def test_a_task_that_may_wait_reclaims_the_page_cache():
    kernel = boot(nodes=1, frames=128)
    task = kernel.spawn("a")
    file = kernel.file("big", 110)
    mapping = task.mmap(110, file)
    task.touch(mapping)
    task.munmap(mapping)  # clean, unmapped page cache fills memory
    heap = task.mmap(60)
    task.touch(heap, write=True)
    assert set(task.placement(heap)) == {0}
    assert kernel.vmstat()["reclaimed"] >= 50
    assert kernel.vmstat()["swap_write"] == 0


def test_more_memory_than_there_is_goes_to_swap():
    kernel = boot(nodes=1, frames=128, swap_slots=300)
    task, heap = writer(kernel, 250)
    assert kernel.vmstat()["direct_reclaim"] > 0
    assert kernel.vmstat()["swap_write"] >= 250 - 128
    task.touch(heap)  # every page can be read again
    assert kernel.vmstat()["stale_reads"] == 0


def test_a_round_of_direct_reclaim_frees_about_32_pages():
    kernel = boot(nodes=1, frames=512)
    task = kernel.spawn("a")
    mapping = task.mmap(300, kernel.file("f", 300))
    task.touch(mapping)
    task.munmap(mapping)
    drain(kernel, 0, marks(kernel)[0])
    before = kernel.vmstat()
    assert alloc(kernel, structs.GFP_KERNEL) == 0
    after = kernel.vmstat()
    assert after["direct_reclaim"] - before["direct_reclaim"] == 1
    assert after["reclaimed"] - before["reclaimed"] == 32


def test_kswapd_frees_a_node_up_to_high():
    kernel = boot(nodes=1, frames=512)
    task = kernel.spawn("a")
    mapping = task.mmap(300, kernel.file("f", 300))
    task.touch(mapping)
    task.munmap(mapping)
    _, low, high = marks(kernel)
    drain(kernel, 0, low)
    assert kernel.vmstat()["kswapd"] == 0
    task.touch(task.mmap(1), write=True)  # wakes it; it runs when this call is over
    assert free(kernel, 0) == high
    assert kernel.vmstat()["kswapd"] == high - low + 1
    assert kernel.vmstat()["direct_reclaim"] == 0
    actors = kernel.events().query("function == 'balance_pgdat'")["actor"]
    assert set(actors) == {"kswapd"}


def test_every_node_of_the_list_is_woken_and_frees_up_to_its_high():
    kernel = boot(nodes=2, frames=512)
    task = kernel.spawn("a")
    for node in (0, 1):
        task.run_on(node)
        mapping = task.mmap(200, kernel.file(f"f{node}", 200))
        task.touch(mapping)
        task.munmap(mapping)
    _, low, high = marks(kernel)
    drain(kernel, 0, low)
    drain(kernel, 1, low + 1)
    task.run_on(0)
    heap = task.mmap(2)
    task.touch(heap, write=True)  # the first comes from node 1, the second from the reserve of node 0
    assert task.placement(heap) == [1, 0]
    assert [free(kernel, n) for n in (0, 1)] == [high, high]


def test_kswapd_sleeps_while_low_is_not_reached():
    kernel = boot(nodes=1, frames=512)
    task = kernel.spawn("a")
    drain(kernel, 0, marks(kernel)[1] + 3)
    task.touch(task.mmap(3), write=True)
    assert kernel.vmstat()["kswapd"] == 0


def test_bound_memory_does_not_spill():
    kernel = boot(nodes=2, frames=64, swap_slots=0)
    task = kernel.spawn("a")
    task.set_mempolicy(Policy.bind(1))
    heap = task.mmap(80)
    with pytest.raises(OutOfMemory):
        task.touch(heap, write=True)
    assert set(task.placement(heap)) == {1, None}
    assert free(kernel, 0) == 63
    assert kernel.vmstat()["oom"] == 1


def test_out_of_memory_leaves_the_reserve_to_others():
    kernel = boot(nodes=1, frames=512, swap_slots=0)
    task = kernel.spawn("a")
    with pytest.raises(OutOfMemory):
        task.touch(task.mmap(600), write=True)
    assert free(kernel, 0) == marks(kernel)[0]
    assert alloc(kernel, structs.GFP_ATOMIC) == 0


# -- interrupts


def test_interrupts_take_a_page_and_give_it_back():
    kernel = boot(nodes=2, frames=256)
    kernel.interrupts(0, period=1_000, hold=2_500)
    kernel.wait(10_000)
    assert kernel.vmstat()["interrupts"] == 10
    assert free(kernel, 0) == 255 - 3
    assert free(kernel, 1) == 256
    assert kernel.vmstat()["lowest_free_0"] == 255 - 3
    kernel.interrupts(0, None)
    kernel.wait(10_000)
    assert kernel.vmstat()["interrupts"] == 10
    assert free(kernel, 0) == 255


def test_interrupts_that_end_and_begin_again_keep_their_pace():
    kernel = boot(nodes=1, frames=256)
    kernel.interrupts(0, period=1_000, hold=10)
    kernel.wait(5_000)
    kernel.interrupts(0, None)
    kernel.interrupts(0, period=1_000, hold=10)
    kernel.interrupts(0, period=1_000, hold=10)
    kernel.wait(5_000)
    assert kernel.vmstat()["interrupts"] == 10


def test_an_interrupt_without_memory_loses_its_packet():
    kernel = boot(nodes=1, frames=512, swap_slots=0)
    kernel.interrupts(0, period=1_000, hold=10**9)
    kernel.wait(600_000)
    vmstat = kernel.vmstat()
    least = marks(kernel)[0]
    atomic = least - least // 2 - (least - least // 2) // 4
    assert vmstat["lowest_free_0"] == atomic
    assert vmstat["interrupts"] == 600
    assert vmstat["atomic_failures"] == 600 - (511 - atomic)
    assert kernel.events()["text"].str.contains("packet is lost").sum() == vmstat["atomic_failures"]


def test_interrupts_leave_the_reserve_alone_while_another_node_has_plenty():
    kernel = boot(nodes=2, frames=512)
    low = marks(kernel)[1]
    drain(kernel, 0, low)
    kernel.interrupts(0, period=1_000, hold=10**9)
    kernel.wait(5_000)
    assert [free(kernel, n) for n in (0, 1)] == [low, 512 - 5]
    drain(kernel, 1, low)
    kernel.wait(2_000)
    assert free(kernel, 0) == low - 2


def test_interrupts_walk_the_zonelist_too():
    kernel = boot(nodes=2, frames=64, swap_slots=0)
    drain(kernel, 0, 0)
    kernel.interrupts(0, period=1_000, hold=10**9)
    kernel.wait(5_000)
    assert kernel.vmstat()["atomic_failures"] == 0
    assert free(kernel, 1) == 64 - 5


def test_frames_that_reclaim_finds_in_pagevecs_are_progress():
    """A round that evicts nothing may free frames all the same: those that only a pagevec held."""
    kernel = boot(nodes=1, frames=64, swap_slots=0)
    task = kernel.spawn("a")
    gone = task.mmap(6, shared=True)
    task.touch(gone, write=True)
    task.munmap(gone)
    heap = task.mmap(64)
    with pytest.raises(OutOfMemory):
        task.touch(heap, write=True)
    assert (states(task, heap)["present"], free(kernel, 0)) == (59, 4)


def test_what_the_trace_says_where_there_is_no_memory():
    bind = "no page on any node that the policy allows"  # BIND's zonelist is of no node
    for policy, text in ((Policy.bind("0-1"), bind), (None, "no page for node 1")):
        kernel = boot(frames=64, swap_slots=0)
        task = kernel.spawn("a", node=1)
        heap = task.mmap(128)
        if policy:
            task.mbind(heap, policy)
        with pytest.raises(OutOfMemory):
            task.touch(heap, write=True)
        assert text in kernel.events()["text"].tolist()
