"""Faults, fork, mlock, munmap and exit: what a touch of a virtual page does, and what is left behind."""

import errno
from contextlib import contextmanager

import pytest
from machines import boot, frames_of, free, settle, slots, states, writer

from mmsim import Faults, OutOfMemory
from mmsim.mm import structs

NONE = Faults(0, 0, 0, 0)


def minor(n):
    return Faults(n, 0, 0, 0)


def major(n):
    return Faults(0, n, 0, 0)


def protection(n):
    return Faults(0, 0, n, 0)


def copied(n):
    return Faults(0, 0, 0, n)


def swapped(pages=8, **options):
    """A task whose pages were all swapped out and left the swap cache: (kernel, task, heap)."""
    kernel = boot(**options)
    task, heap = writer(kernel, pages)
    assert kernel.reclaim(pages) == pages
    assert states(task, heap) == {"swap": pages}
    return kernel, task, heap


# -- anonymous memory


def test_reading_maps_the_zero_page():
    kernel = boot()
    task = kernel.spawn("a")
    heap = task.mmap(4)
    before = free(kernel, 0)
    assert task.touch(heap) == minor(4)
    assert states(task, heap) == {"zero": 4}
    assert set(task.pages(heap)["pfn"]) == {0}
    assert free(kernel, 0) == before
    assert task.placement(heap) == [None] * 4
    assert task.touch(heap) == NONE
    zero = kernel.frames().loc[0]
    assert zero["mapcount"] == 0
    assert "reserved" in zero["flags"]
    assert "lru" not in zero["flags"]


def test_writing_after_reading_copies_the_zero_page():
    kernel = boot()
    task = kernel.spawn("a")
    heap = task.mmap(4)
    task.touch(heap)
    assert task.touch(heap, write=True) == copied(4)  # the zero page is never ours alone
    assert states(task, heap) == {"present": 4}
    assert kernel.vmstat()["copied"] == 4


def test_writing_maps_pages_of_ones_own():
    kernel = boot()
    task = kernel.spawn("a", node=1)
    heap = task.mmap(20)
    before = free(kernel, 1)
    assert task.touch(heap, write=True) == minor(20)
    assert before - free(kernel, 1) == 20
    assert set(task.pages(heap)["flags"]) == {"writable young dirty"}
    assert set(task.pages(heap)["mapcount"]) == {1}
    assert task.touch(heap, write=True) == task.touch(heap) == NONE


def test_new_pages_wait_in_a_pagevec_of_fourteen():
    kernel = boot()
    task = kernel.spawn("a")
    heap = task.mmap(20)
    task.touch(heap, write=True)
    frames = kernel.frames().loc[frames_of(task, heap)]
    assert frames["flags"].str.contains("lru").tolist() == [True] * 14 + [False] * 6
    assert frames["count"].tolist() == [1] * 14 + [2] * 6  # the pagevec holds a reference
    assert frames["flags"].str.contains("active")[:14].all()


def test_outside_of_every_vma_is_efault():
    kernel = boot()
    task = kernel.spawn("a")
    heap = task.mmap(4)
    with pytest.raises(OSError, match="range") as caught:
        task.touch(range(heap.start + 4, heap.start + 5))
    assert caught.value.errno == errno.EFAULT
    with pytest.raises(OSError, match="write") as caught:
        task.touch(range(heap.start - 1, heap.start + 4), write=True)
    assert caught.value.errno == errno.EFAULT
    assert states(task, heap) == {"none": 4}


def test_writing_what_is_read_only_is_efault_and_reading_is_not():
    kernel = boot()
    task = kernel.spawn("a")
    heap = task.mmap(4, writable=False)
    assert task.touch(heap) == minor(4)
    with pytest.raises(OSError, match="must not write") as caught:
        task.touch(heap, write=True)
    assert caught.value.errno == errno.EFAULT


def test_touch_stops_at_the_first_page_that_faults_for_good():
    kernel = boot()
    task = kernel.spawn("a")
    heap = task.mmap(4)
    with pytest.raises(OSError, match="range"):
        task.touch(range(heap.start + 2, heap.start + 8), write=True)
    assert task.pages(heap)["state"].tolist() == ["none", "none", "present", "present"]


# -- fork and copy-on-write


def test_fork_shares_every_page_and_protects_it():
    kernel = boot()
    parent, heap = writer(kernel, 8)
    child = parent.fork("child")
    assert frames_of(child) == frames_of(parent)
    assert set(parent.pages()["mapcount"]) == {2}
    assert set(parent.pages()["flags"]) == {"young dirty"}
    assert set(child.pages()["flags"]) == {"dirty"}  # the child's ptes are old
    assert child.touch(range(heap.start, heap.stop)) == NONE
    frames = kernel.frames().loc[frames_of(parent)]
    assert (frames["mapcount"] == 2).all()


def test_first_writer_copies_and_the_last_one_reuses():
    kernel = boot()
    parent, heap = writer(kernel, 8)
    child = parent.fork()
    old = frames_of(parent)
    assert child.touch(range(heap.start, heap.stop), write=True) == copied(8)
    assert not set(frames_of(child)) & set(old)
    assert parent.touch(heap, write=True) == protection(8)
    assert frames_of(parent) == old
    assert set(parent.pages()["mapcount"]) == set(child.pages()["mapcount"]) == {1}


def test_copies_are_allocated_where_the_writer_runs():
    kernel = boot()
    parent, heap = writer(kernel, 8)
    child = parent.fork()
    child.run_on(1)
    child.touch(range(heap.start, heap.stop), write=True)
    assert child.placement() == [1] * 8
    assert parent.placement() == [0] * 8


def test_three_generations_share_until_each_has_written():
    kernel = boot()
    parent, heap = writer(kernel, 4)
    child = parent.fork()
    grandchild = child.fork()
    r = range(heap.start, heap.stop)
    assert set(parent.pages()["mapcount"]) == {3}
    assert [t.touch(r, write=True) for t in (child, grandchild, parent)] == [copied(4), copied(4), protection(4)]


def test_fork_shares_swapped_pages_too():
    kernel, parent, heap = swapped()
    child = parent.fork()
    r = range(heap.start, heap.stop)
    assert slots(kernel) == 8
    assert set(kernel.tables["swap_map"][child.pages()["entry"].astype(int)]) == {2}
    assert child.touch(r) == major(8)  # first to come reads
    assert parent.touch(heap) == minor(8)  # and the other finds it in the swap cache
    assert frames_of(child) == frames_of(parent)
    assert parent.touch(heap, write=True) == copied(8)
    assert slots(kernel) == 8


def test_fork_leaves_shared_mappings_writable():
    kernel = boot()
    parent = kernel.spawn("a")
    heap = parent.mmap(4, shared=True)
    parent.touch(heap, write=True)
    child = parent.fork()
    # without an anon_vma no pte is copied: faults will fill them as well (2.6.14)
    assert child.touch(range(heap.start, heap.stop), write=True) == minor(4)
    assert child.touch(range(heap.start, heap.stop), write=True) == parent.touch(heap, write=True) == NONE
    assert frames_of(child) == frames_of(parent)


def test_fork_before_the_first_touch_shares_nothing():
    kernel = boot()
    parent = kernel.spawn("a")
    heap = parent.mmap(4)
    child = parent.fork()
    assert parent.touch(heap, write=True) == minor(4)
    assert child.touch(range(heap.start, heap.stop), write=True) == minor(4)
    assert not set(frames_of(parent)) & set(frames_of(child))


@pytest.mark.parametrize("written", [0, 1])
def test_zero_pages_survive_a_fork_where_the_vma_has_an_anon_vma(written):
    kernel = boot()
    parent = kernel.spawn("a")
    heap = parent.mmap(4 + written)
    parent.touch(heap)
    parent.touch(heap[4:], write=True)
    child = parent.fork()
    assert states(child, range(heap.start, heap.start + 4)) == {"zero" if written else "none": 4}
    faults = child.touch(range(heap.start, heap.start + 4), write=True)
    assert faults == (copied(4) if written else minor(4))


def test_a_page_whose_lock_is_held_is_copied_not_reused():
    kernel = boot()
    task, heap = writer(kernel, 2)
    kernel.migrate(frames_of(task), to=1)  # the new ptes are write-protected
    kernel.hold_lock(task, heap[0], kernel.clock + 10**6)
    assert task.touch(heap, write=True) == Faults(0, 0, 1, 1)
    assert task.placement(heap) == [0, 1]


@pytest.mark.parametrize("pinned", [False, True])
def test_a_pinned_page_keeps_its_slot_when_its_last_pte_goes(pinned):
    kernel = boot()
    task, heap = writer(kernel, 4)
    kernel.reclaim(4)
    task.touch(heap)
    assert slots(kernel) == 4
    if pinned:
        kernel.pin(task, heap[:3])
    task.munmap(heap)
    assert slots(kernel) == 3 * pinned


def test_mlock_uses_no_page():
    kernel = boot()
    task, heap = writer(kernel, 4)
    kernel.migrate(frames_of(task, heap[:2]), to=1)  # old and write-protected
    child = task.fork()
    writes = kernel.k.sys.writes
    task.munlock(heap)
    kernel.reclaim(0)
    reader = child.mmap(2, kernel.file("f", 2), writable=False)
    child.touch(reader)
    kernel.migrate(frames_of(child, reader), to=1)
    child.touch(reader)
    vmas = kernel.tables["vma"]
    (row,) = vmas[(vmas["vm_mm"] == child.pid) & (vmas["mapping"] > 0)]
    ptes = kernel.tables["pte"][row["pte_base"] + reader.start :][:2]
    ptes["flags"] &= ~structs.PTE_YOUNG
    child.mlock(reader)
    assert not (ptes["flags"] & structs.PTE_YOUNG).any()
    task.mlock(heap)  # where the vma is writable this is a write fault: copy-on-write is broken
    assert kernel.k.sys.writes == writes
    assert not set(frames_of(task, heap)) & set(frames_of(child))
    task.touch(heap)
    assert kernel.vmstat()["stale_reads"] == 0


def test_a_locked_private_copy_of_a_file_keeps_what_it_saw():
    kernel = boot()
    task, other = kernel.spawn("a"), kernel.spawn("b")
    file = kernel.file("f", 2)
    mine = task.mmap(2, file, locked=True)
    other.write(file)
    task.touch(mine)
    kernel.verify()
    assert kernel.vmstat()["stale_reads"] == 0


# -- swap


def test_swap_miss_is_major_and_obeys_the_policy_of_now():
    kernel, task, heap = swapped()
    task.run_on(1)
    before = kernel.vmstat()["swap_read"]
    assert task.touch(heap) == major(8)
    assert kernel.vmstat()["swap_read"] - before == 8
    assert task.placement(heap) == [1] * 8
    assert slots(kernel) == 8  # the cache keeps the slots
    assert set(task.pages(heap)["flags"]) == {"young"}


def test_swap_cache_hit_is_minor_and_stays_where_it_is():
    kernel = boot(patches=(1, 3))  # direct migration that leaves swap ptes behind
    task, heap = writer(kernel, 8)
    kernel.migrate(frames_of(task), to=1)
    assert states(task, heap) == {"swap": 8}
    assert task.touch(heap) == minor(8)
    assert task.placement(heap) == [1] * 8
    assert kernel.vmstat()["swap_read"] == 0


def test_write_fault_on_an_exclusive_swap_page_maps_it_writable_at_once():
    _kernel, task, heap = swapped()
    assert task.touch(heap, write=True) == major(8)
    assert set(task.pages(heap)["flags"]) == {"writable young dirty"}
    assert task.touch(heap, write=True) == NONE


def test_read_fault_on_a_swap_page_leaves_it_protected():
    kernel, task, heap = swapped()
    task.touch(heap)
    assert task.touch(heap, write=True) == protection(8)  # exclusive: reused, and it stays in the swap cache
    assert slots(kernel) == 8
    assert kernel.frames().loc[frames_of(task)]["flags"].str.contains("swapcache").all()


def test_write_fault_on_a_shared_swap_page_copies_it():
    kernel, parent, heap = swapped()
    child = parent.fork()
    assert child.touch(range(heap.start, heap.stop), write=True) == major(8)  # one fault each, copying included
    assert kernel.vmstat()["copied"] == 0
    assert set(child.pages()["flags"]) == {"writable young dirty"}
    assert parent.touch(heap, write=True) == minor(8)  # the copy left the original in the swap cache
    assert not set(frames_of(parent)) & set(frames_of(child))


def test_pages_read_from_swap_start_on_the_active_list():
    kernel, task, heap = swapped(pages=14)
    task.touch(heap)
    settle(kernel)
    assert kernel.frames().loc[frames_of(task)]["flags"].str.contains("lru active").all()


# -- mlock


def test_mlock_faults_everything_in():
    _kernel, task, heap = swapped(pages=6)
    more = task.mmap(4)
    task.mlock(range(heap.start, more.stop))
    assert states(task) == {"present": 10}
    assert set(task.pages()["flags"]) == {"writable young dirty"}


def test_mlock_breaks_copy_on_write():
    kernel = boot()
    parent, heap = writer(kernel, 4)
    child = parent.fork()
    child.mlock(range(heap.start, heap.stop))
    assert not set(frames_of(parent)) & set(frames_of(child))


def test_mlock_of_a_read_only_mapping_maps_the_zero_page():
    kernel = boot()
    task = kernel.spawn("a")
    heap = task.mmap(4, writable=False)
    task.mlock(heap)
    assert states(task, heap) == {"zero": 4}


def test_locked_pages_are_not_reclaimed_until_they_are_unlocked():
    kernel = boot()
    task, heap = writer(kernel, 8)
    task.mlock(heap[2:6])
    assert kernel.reclaim(8) == 4
    assert task.pages(heap)["state"].tolist() == ["swap"] * 2 + ["present"] * 4 + ["swap"] * 2
    task.munlock(heap)
    assert kernel.reclaim(4) == 4
    assert states(task, heap) == {"swap": 8}


def test_a_locked_mapping_is_populated_at_once():
    kernel = boot()
    task = kernel.spawn("a")
    heap = task.mmap(5, locked=True)
    assert states(task, heap) == {"present": 5}
    assert kernel.reclaim(5) == 0


def test_locks_are_not_inherited():
    kernel = boot()
    parent = kernel.spawn("a")
    heap = parent.mmap(5, locked=True)
    child = parent.fork()
    parent.exit()
    assert kernel.reclaim(5) == 5
    assert states(child, range(heap.start, heap.stop)) == {"swap": 5}


# -- munmap and exit


def test_munmap_gives_the_frames_back():
    kernel = boot()
    before = free(kernel, 0)
    task, heap = writer(kernel, 20)
    task.munmap(heap[5:15])
    assert before - free(kernel, 0) <= 10 + 14  # up to a pagevec full may wait for its list
    settle(kernel)
    with pytest.raises(OSError, match="range"):
        task.touch(heap[4:6])
    assert task.touch(heap[:5], write=True) == task.touch(heap[15:], write=True) == NONE
    assert list(task.pages().index) == [*range(heap.start, heap.start + 5), *range(heap.start + 15, heap.stop)]


def test_munmap_of_swapped_pages_frees_their_slots():
    kernel, task, heap = swapped(pages=8)
    task.munmap(heap[:5])
    assert slots(kernel) == 3
    task.exit()
    assert slots(kernel) == 0


def test_munmap_frees_slots_that_only_the_cache_held():
    kernel, task, heap = swapped(pages=8)
    task.touch(heap)
    assert slots(kernel) == 8
    task.munmap(heap)
    assert slots(kernel) == 0
    assert (kernel.tables["swap_cache"] == 0).all()


def test_munmap_drops_pages_that_only_swap_ptes_name():
    kernel = boot(patches=(1, 3))
    task, heap = writer(kernel, 8)
    kernel.migrate(frames_of(task), to=1)  # in the swap cache now, mapped by nobody
    settle(kernel)
    before = free(kernel, 1)
    task.munmap(heap[:5])
    assert slots(kernel) == 3
    assert free(kernel, 1) - before == 5


def test_copying_the_last_user_away_frees_the_slot():
    kernel, parent, heap = swapped(pages=8)
    child = parent.fork()
    parent.touch(heap)
    child.exit()  # the cache and the parent's ptes are left
    assert slots(kernel) == 8
    grandchild = parent.fork()
    assert grandchild.touch(range(heap.start, heap.stop), write=True) == copied(8)
    parent.exit()
    assert slots(kernel) == 0
    assert states(grandchild) == {"present": 8}


def test_exit_of_one_sharer_keeps_the_entry_for_the_other():
    kernel, parent, heap = swapped(pages=8)
    child = parent.fork()
    parent.exit()
    assert slots(kernel) == 8
    assert child.touch(range(heap.start, heap.stop)) == major(8)


def test_exit_gives_everything_back():
    kernel = boot()
    before = kernel.residency()["free"].tolist()
    task, heap = writer(kernel, 30)
    child = task.fork()
    child.touch(range(heap.start, heap.start + 10), write=True)
    task.mmap(8, shared=True, locked=True)
    kernel.reclaim(12)
    task.exit()
    child.exit()
    kernel.reclaim(60)  # what still waits in a pagevec, or in the swap cache until its write has ended
    kernel.wait(10**9)
    kernel.reclaim(60)
    slab = kernel.vmstat()["slab_pages"]
    assert sum(kernel.residency()["free"]) == sum(before) - slab
    assert slots(kernel) == 0
    assert kernel.tasks == []


def test_munmap_at_a_later_time():
    kernel = boot()
    task, heap = writer(kernel, 4)
    task.munmap(heap[1:3], at=kernel.clock + 1_000)
    assert states(task, heap) == {"present": 4}
    kernel.wait(1_000)
    assert list(task.pages().index) == [heap.start, heap.start + 3]


@contextmanager
def unmapped_under_us():
    """The rest of the range is gone when the fault that sleeps is over."""
    with pytest.raises(OSError, match="range") as caught:
        yield
    assert caught.value.errno == errno.EFAULT


def test_a_fault_that_sleeps_is_over_before_the_range_is_unmapped():
    """munmap waits for mmap_sem, which the fault holds; the model must not map a page into a vma that is gone."""
    kernel, task, heap = swapped(pages=4)
    task.munmap(heap, at=kernel.clock + 1_000)  # long before the page is read
    with unmapped_under_us():
        task.touch(heap)
    kernel.wait(10**7)
    assert len(task.pages()) == 0
    kernel.reclaim(4)
    assert slots(kernel) == 0


def test_a_page_whose_fault_waits_for_memory_is_not_mapped_into_a_hole():
    kernel = boot(nodes=1, frames=64, swap_slots=200)
    task, heap = writer(kernel, 40)
    more = task.mmap(40)
    task.munmap(more, at=kernel.clock + 100_000)  # while reclaim writes
    with unmapped_under_us():
        task.touch(more, write=True)
    kernel.wait(10**8)
    assert list(task.pages().index) == list(range(heap.start, heap.stop))
    task.touch(heap)
    assert kernel.vmstat()["stale_reads"] == 0


# -- no memory


def test_out_of_memory_when_nothing_can_be_freed():
    kernel = boot(nodes=1, frames=64, swap_slots=0)
    task = kernel.spawn("a")
    heap = task.mmap(100)
    with pytest.raises(OutOfMemory, match="a"):
        task.touch(heap, write=True)
    assert kernel.vmstat()["oom"] == 1
    touched = states(task, heap)["present"]
    assert 50 <= touched < 64
    assert task.touch(heap[:touched], write=True) == NONE
