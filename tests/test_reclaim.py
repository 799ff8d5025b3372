"""Memory pressure: kernel.reclaim() evicts exactly what it is asked to, oldest first, and loses nothing."""

import pytest
from machines import boot, drain, frames_of, free, settle, slots, states, writer


def gone(task, part):
    """Which pages of a range are not present, counted from its start."""
    return [i for i, state in enumerate(task.pages(part)["state"]) if state != "present"]


@pytest.mark.parametrize("n", [0, 1, 7, 14, 33, 60])
def test_evicts_exactly_n_the_oldest_ones(n):
    kernel = boot(nodes=1)
    task, heap = writer(kernel, 60)
    settle(kernel)
    before = free(kernel, 0) - kernel.vmstat()["slab_pages"]
    assert kernel.reclaim(n) == n
    assert free(kernel, 0) + kernel.vmstat()["slab_pages"] - before == n
    assert gone(task, heap) == list(range(n))
    assert slots(kernel) == kernel.vmstat()["swap_write"] == kernel.vmstat()["reclaimed"] == n


def test_one_call_after_the_other_goes_on_where_it_stopped():
    kernel = boot(nodes=1)
    task, heap = writer(kernel, 60)
    for n in (5, 1, 20, 3):
        kernel.reclaim(n)
    assert gone(task, heap) == list(range(29))


def test_it_says_how_many_there_were():
    kernel = boot(nodes=1)
    task, heap = writer(kernel, 20)
    assert kernel.reclaim(1_000) == 20
    assert kernel.reclaim(1) == 0
    assert states(task, heap) == {"swap": 20}


def test_what_was_used_meanwhile_is_spared():
    kernel = boot(nodes=1)
    task, heap = writer(kernel, 40)
    kernel.reclaim(1)  # ages all of them
    task.touch(heap[1:11])
    kernel.reclaim(10)
    assert gone(task, heap) == [0, *range(11, 21)]


@pytest.mark.parametrize(("release", "first"), [("2.6.18", "moved"), ("6.0", "moved"), ("6.1", "there")])
def test_a_page_that_has_just_moved_is_young_since_6_1(release, first):
    kernel = boot(nodes=2, release=release)
    there, moved = kernel.spawn("there", node=1), kernel.spawn("moved", node=0)
    heaps = {task.name: (task, task.mmap(20)) for task in (there, moved)}
    for task, heap in heaps.values():
        task.touch(heap, write=True)
    assert moved.migrate_pages(0, 0, 1) == 0
    settle(kernel)
    assert kernel.reclaim(10, node=1) == 10
    assert {name: len(gone(*one)) for name, one in heaps.items()} == {"there": 0, "moved": 0} | {first: 10}


def test_one_node_or_all_in_turn():
    kernel = boot(nodes=3)
    tasks = [kernel.spawn(f"on{n}", node=n) for n in range(3)]
    heaps = [task.mmap(10) for task in tasks]
    for task, heap in zip(tasks, heaps, strict=True):
        task.touch(heap, write=True)
    assert kernel.reclaim(4, node=2) == 4
    assert [len(gone(t, h)) for t, h in zip(tasks, heaps, strict=True)] == [0, 0, 4]
    assert kernel.reclaim(13) == 13
    assert [len(gone(t, h)) for t, h in zip(tasks, heaps, strict=True)] == [10, 3, 4]


def test_contents_survive():
    kernel = boot(nodes=2)
    task, heap = writer(kernel, 50)
    child = task.fork()
    child.touch(range(heap.start, heap.start + 20), write=True)
    assert kernel.reclaim(70) == 70
    assert kernel.reclaim(70) == 0
    assert task.touch(heap).major == 50
    assert child.touch(range(heap.start, heap.stop)).major == 20  # the others are in the swap cache already
    assert kernel.vmstat()["stale_reads"] == 0


def test_clean_page_cache_goes_without_writing():
    kernel = boot(nodes=1)
    task = kernel.spawn("a")
    file = kernel.file("f", 30)
    mapping = task.mmap(30, file)
    task.touch(mapping)
    task.munmap(mapping)
    assert kernel.reclaim(12) == 12
    assert (kernel.vmstat()["file_write"], kernel.vmstat()["swap_write"]) == (0, 0)
    again = task.mmap(30, file)
    assert task.touch(again).major == 12


def test_dirty_page_cache_is_written_first():
    kernel = boot(nodes=1)
    task = kernel.spawn("a")
    file = kernel.file("f", 30)
    task.write(file)
    assert kernel.reclaim(30) == 30
    assert kernel.vmstat()["file_write"] == 30
    assert task.touch(task.mmap(30, file)).major == 30
    assert kernel.vmstat()["stale_reads"] == 0


def test_mapped_files_are_unmapped_and_their_dirty_ptes_written():
    kernel = boot(nodes=1)
    task = kernel.spawn("a")
    mapping = task.mmap(10, kernel.file("f", 10), shared=True)
    task.touch(mapping, write=True)
    assert kernel.reclaim(10) == 10
    assert states(task, mapping) == {"none": 10}
    assert kernel.vmstat()["file_write"] == 10
    assert task.touch(mapping).major == 10
    assert kernel.vmstat()["stale_reads"] == 0


def test_shared_memory_goes_to_swap():
    kernel = boot(nodes=1)
    task = kernel.spawn("a")
    mapping = task.mmap(10, shared=True)
    task.touch(mapping, write=True)
    assert kernel.reclaim(10) == 10
    assert states(task, mapping) == {"none": 10}
    assert slots(kernel) == kernel.vmstat()["swap_write"] == 10
    assert task.touch(mapping).major == 10
    assert slots(kernel) == 0  # tmpfs gives the entry back at once
    assert kernel.vmstat()["stale_reads"] == 0


def test_what_cannot_go_stays():
    kernel = boot(nodes=1)
    task, heap = writer(kernel, 20)
    kernel.pin(task, heap[0:3])
    kernel.hold_lock(task, heap[3:6], until=kernel.clock + 10**9)
    task.mlock(heap[6:9])
    pinned = frames_of(task, heap[:3])
    assert kernel.reclaim(20) == 11
    assert task.pages(heap[3:9])["state"].tolist() == ["present"] * 6
    kernel.unpin(task, heap[0:3])
    kernel.wait(10**9)
    task.munlock(heap)
    assert frames_of(task, heap[:3]) in ([], pinned)  # unmapped at most
    assert kernel.reclaim(20) == 9


@pytest.mark.parametrize("flags", [["reserved"], []])
def test_reserved_vmas_keep_their_pages(flags):
    kernel = boot(nodes=1)
    task, heap = writer(kernel, 4, flags=flags)
    assert kernel.reclaim(4) == (0 if flags else 4)
    assert states(task, heap) == {"present" if flags else "swap": 4}


def test_a_pinned_page_may_be_unmapped_but_keeps_its_frame():
    kernel = boot(nodes=1)
    task, heap = writer(kernel, 4)
    frames = frames_of(task, heap)
    kernel.pin(task, heap)
    assert kernel.reclaim(4) == 0
    task.touch(heap, write=True)
    assert frames_of(task, heap) == frames


def test_the_journal_holds_its_pages_until_it_commits():
    kernel = boot(nodes=1)
    task = kernel.spawn("a")
    task.write(kernel.file("f", 10, fs="ext3-journalled"))
    assert kernel.reclaim(10) == 0
    kernel.wait(6 * 10**9)
    assert kernel.reclaim(10) == 10
    assert kernel.vmstat()["file_write"] == 10


def test_reclaim_with_no_free_page_for_the_radix_tree():
    """Reclaim must not wait for memory: a page that gets no swap entry stays, and the call ends."""
    kernel = boot(nodes=1, frames=64)
    task, heap = writer(kernel, 30)
    drain(kernel, 0, 0)
    assert kernel.reclaim(30) == 0
    assert states(task, heap) == {"present": 30}
    assert kernel.vmstat()["stale_reads"] == 0
