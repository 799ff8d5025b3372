"""Migration and its obstacles: where each page ends, why, and that the others move all the same."""

import pytest
from machines import (
    boot,
    differing,
    drain,
    expect_error,
    frames_of,
    free,
    locked_elsewhere,
    paths,
    settle,
    slots,
    states,
    writer,
)  # fmt: skip

from mmsim import Config, KernelBug, KernelHang, Policy, Topology, scenes
from mmsim.mm import aops, structs, trace

N = 8


def move(kernel, task, old=0, new=1):
    """Trigger B by root; what it returned."""
    root = next((t for t in kernel.tasks if t.name == "root"), None) or kernel.spawn("root", uid=0)
    return root.migrate_pages(task.pid, old, new)


def reasons(kernel):
    """Why pages stayed: {reason: pages}."""
    return kernel.last.stayed["reason"].value_counts().to_dict()


# -- what direct migration carries over


def test_a_page_is_the_same_in_its_new_frame():
    kernel = boot()
    parent, heap = writer(kernel, N)
    child = parent.fork()
    before = frames_of(parent)
    move(kernel, parent)
    after = frames_of(parent)
    assert not set(before) & set(after)
    assert frames_of(child) == after  # both look at the new frames
    assert set(parent.pages()["mapcount"]) == {2}
    assert [kernel.frames().loc[f, "index"] for f in after] == list(range(heap.start, heap.stop))
    settle(kernel)
    assert kernel.frames().loc[after]["flags"].str.contains("active").all()  # as its predecessor was
    assert kernel.frames().loc[before]["state"].eq("free").all()
    assert (parent.touch(heap).major, kernel.vmstat()["stale_reads"]) == (0, 0)


def test_old_frames_are_given_back_and_slots_are_free():
    kernel = boot()
    task, _ = writer(kernel, N)
    before = [free(kernel, n) for n in (0, 1)]
    move(kernel, task)
    settle(kernel)
    slab = kernel.vmstat()["slab_pages"]
    assert [free(kernel, n) - b for n, b in zip((0, 1), before, strict=True)] == [N - slab, -N]
    assert slots(kernel) == 0


def test_migrated_ptes_are_old_and_protected():
    kernel = boot()
    task, heap = writer(kernel, N)
    move(kernel, task)
    assert set(task.pages(heap)["flags"]) == {""}
    assert task.touch(heap).minor == 0
    assert set(task.pages(heap)["flags"]) == {"young"}
    assert task.touch(heap, write=True).protection == N


def test_there_and_back_again():
    kernel = boot()
    task, heap = writer(kernel, N)
    for i in range(6):
        assert move(kernel, task, i % 2, 1 - i % 2) == 0
        assert task.placement(heap) == [1 - i % 2] * N
    assert kernel.vmstat()["migrated"] == 6 * N
    assert kernel.vmstat()["stale_reads"] == 0


def test_a_write_after_the_move_parts_from_what_the_child_sees():
    kernel = boot()
    parent, heap = writer(kernel, N)
    child = parent.fork()
    move(kernel, parent)
    assert parent.touch(heap, write=True).copied == N
    assert child.touch(range(heap.start, heap.stop), write=True).protection == N


def test_zero_pages_and_untouched_pages_are_nobodys_business():
    kernel = boot()
    task = kernel.spawn("a")
    heap = task.mmap(3 * N)
    task.touch(heap[:N], write=True)
    task.touch(heap[N : 2 * N])
    assert move(kernel, task) == 0
    assert paths(kernel) == {"direct": N}
    assert states(task, heap) == {"present": N, "zero": N, "none": N}


def test_pages_that_are_on_the_target_already_are_not_considered():
    kernel = boot()
    task = kernel.spawn("a", node=1)
    task.touch(task.mmap(N), write=True)
    assert move(kernel, task) == 0
    assert len(kernel.last.pages) == 0
    assert "nothing to move (already there 8)" in repr(kernel.last)
    assert kernel.last.passed_over.to_dict() == {"already there": N}


def test_swapped_pages_stay_swapped():
    kernel = boot()
    task, heap = writer(kernel, N)
    kernel.reclaim(3)
    assert move(kernel, task) == 0
    assert states(task, heap) == {"swap": 3, "present": N - 3}
    assert paths(kernel) == {"direct": N - 3}


# -- shared by fork


@pytest.mark.parametrize("sharers", [1, 2, 4])
def test_pages_shared_by_fork_move_once_for_all(sharers):
    kernel = boot()
    parent, _ = writer(kernel, N)
    children = [parent.fork(f"child{i}") for i in range(sharers)]
    assert move(kernel, children[0]) == 0
    assert paths(kernel) == {"direct": N}
    for task in [parent, *children]:
        assert task.placement() == [1] * N
        assert frames_of(task) == frames_of(parent)
    assert kernel.vmstat()["restored"] == (sharers + 1) * N


# -- locked by somebody else


def test_a_lock_held_for_a_while_is_waited_for():
    kernel = boot()
    task, heap = writer(kernel, N)
    until = kernel.clock + 10**7
    kernel.hold_lock(task, heap[2], until)
    assert move(kernel, task) == 0
    assert paths(kernel) == {"direct": N}
    assert kernel.clock >= until
    passes = kernel.last.pages.set_index("page")["passes"]
    assert passes[heap.start + 2] == 4  # passes 0, 1 and 2 skip it; the fourth waits
    assert set(passes.drop(heap.start + 2)) == {1}
    assert kernel.last.passes == 4
    said = kernel.events()["text"]
    assert said.str.contains("is locked by someone").sum() == 3
    assert said.str.contains("wait for the lock").sum() == 1


def test_the_baseline_waits_for_locks_too():
    kernel = boot(patches=0)
    task, heap = writer(kernel, N)
    kernel.hold_lock(task, heap[2], kernel.clock + 10**9)
    assert move(kernel, task) == 0
    assert paths(kernel) == {"swapped out": N}
    assert kernel.clock >= 10**9


def test_a_lock_that_ends_during_the_first_passes_costs_no_wait():
    kernel = boot(patches=0)  # the baseline sleeps while others are written
    task, heap = writer(kernel, N)
    kernel.hold_lock(task, heap[0], kernel.clock + 10_000)
    move(kernel, task)
    assert not kernel.events()["text"].str.contains("wait for the lock").any()


# -- pinned


@pytest.mark.parametrize("patches", [0, (1, 3, 5), (1, 3, 4, 5), 7])
def test_pinned_pages_exhaust_their_retries_and_the_others_move(patches):
    kernel = boot(patches=patches)
    task, heap = writer(kernel, N)
    kernel.pin(task, heap[3:5])
    pinned = frames_of(task, heap[3:5])
    assert move(kernel, task) == 2
    result = paths(kernel)
    assert result.pop("retries exhausted") == 2
    assert sum(result.values()) == N - 2
    assert (kernel.last.returned, kernel.last.retried, kernel.last.passes) == (2, 2, 11)
    assert reasons(kernel) == {"pinned: more references than anyone accounts for": 2}
    assert set(kernel.last.stayed["error"]) == {"-EAGAIN"}
    task.touch(heap[3:5], write=True)
    assert frames_of(task, heap[3:5]) == pinned


def test_exhausted_pages_keep_their_swap_slot():
    kernel = boot()
    task, heap = writer(kernel, N)
    kernel.pin(task, heap[3:5])
    move(kernel, task)
    assert slots(kernel) == 2
    kernel.unpin(task, heap[3:5])
    assert move(kernel, task) == 0
    assert slots(kernel) == 0
    assert task.placement(heap) == [1] * N


def test_pinned_several_times():
    kernel = boot()
    task, heap = writer(kernel, N)
    kernel.pin(task, heap[0], times=3)
    kernel.unpin(task, heap[0], times=2)
    assert move(kernel, task) == 1
    kernel.unpin(task, heap[0])
    assert move(kernel, task) == 0


# -- under writeback


def test_a_page_that_is_written_first_is_waited_for():
    kernel = boot(patches=(1, 3, 4, 5))
    task, heap = writer(kernel, 1)
    assert kernel.migrate(frames_of(task, heap), to=1).paths.to_dict() == {"direct after writeout": 1}
    assert kernel.events()["text"].str.contains("under writeback: wait").sum() == 1
    assert kernel.last.elapsed > kernel.costs.swap_write


def test_pass_0_skips_writeback_and_pass_1_waits_for_it():
    kernel = boot(nodes=2)
    task = kernel.spawn("a")
    file = kernel.file("f", N)
    mapping = task.mmap(N, file, shared=True)
    task.write(file)
    task.touch(mapping)
    frames = frames_of(task, mapping)
    for pfn in frames[:2]:  # pdflush writes two of them
        kernel.k.mem_map[pfn].flags |= structs.PG_locked
        kernel.call(aops.writepage, pfn, kernel.k.mem_map[pfn].mapping)
    assert move(kernel, task) == 0
    assert kernel.last.pages["passes"].tolist() == [2, 2] + [1] * (N - 2)
    assert kernel.vmstat()["file_write"] == 2
    assert states(task, mapping) == {"none": N}  # a file page is unmapped, and found again in the page cache
    assert task.touch(mapping).minor == N
    assert task.placement(mapping) == [1] * N


# -- mlock and vmas that are not migratable


@pytest.mark.parametrize("patches", [0, 7])
def test_locked_ranges_are_not_collected(patches):
    kernel = boot(patches=patches)
    task, heap = writer(kernel, N)
    task.mlock(heap[2:5])
    assert move(kernel, task) == 0  # never collected: not counted
    result = paths(kernel)
    assert result.pop("not collected") == kernel.last.skipped == 3
    assert sum(result.values()) == N - 3
    assert reasons(kernel) == {"its vma is not migratable (VM_LOCKED)": 3}
    assert task.placement(heap)[2:5] == [0] * 3


@pytest.mark.parametrize("flag", ["io", "denywrite", "shm", "reserved"])
def test_vmas_that_are_not_migratable(flag):
    kernel = boot()
    task, _heap = writer(kernel, N)
    other = task.mmap(4, flags=[flag])
    task.touch(other, write=True)
    assert move(kernel, task) == 0
    assert paths(kernel) == {"direct": N, "not collected": 4}
    assert task.placement(other) == [0] * 4
    assert set(kernel.last.stayed["reason"]) == {f"its vma is not migratable (VM_{flag.upper()})"}
    task.mlock(other)
    move(kernel, task)
    (reason,) = set(kernel.last.stayed["reason"])
    assert f"VM_LOCKED, VM_{flag.upper()}" in reason
    assert kernel.events()["text"].str.endswith(f"not migratable (VM_LOCKED, VM_{flag.upper()})").sum() == 4


@pytest.mark.parametrize(("patches", "seen"), [(0, False), ((1, 3), False), (4, False), (5, True), (7, True)])
def test_a_reserved_first_vma_hides_the_whole_task_until_patch_5(patches, seen):
    """check_range() answers -EACCES at once, and migrate_pages() does not look at its answer (ia64: every process)."""
    kernel = boot(patches=patches)
    task = kernel.spawn("a")
    task.touch(task.mmap(4, flags=["reserved"]), write=True)
    heap = task.mmap(N)
    task.touch(heap, write=True)
    assert move(kernel, task) == 0
    assert task.placement(heap) == [1 if seen else 0] * N
    assert kernel.last.passed_over.to_dict() == ({} if seen else {"hidden by a reserved first vma": N + 4})
    with expect_error("EACCES", "reserved"):
        task.mbind(None, Policy.bind(0), move=True)


def test_a_careful_kernel_leaves_locked_frames_alone():
    kernel = boot()
    task, heap = writer(kernel, N)
    child = task.fork()
    reader = range(heap.start, heap.start + 2)
    task.mlock(heap[0:2])  # breaks copy-on-write: the child keeps the old frames
    result = kernel.migrate(frames_of(task), to=1)
    assert paths(kernel) == {"direct": N - 2, "not collected": 2}
    assert result.returned == 0
    assert child.placement(reader) == [0, 0]


def test_the_endless_unmap_loop():
    kernel, frames, *_ = locked_elsewhere(7)
    before = kernel.snapshot()
    with pytest.raises(KernelHang, match="never ends"):
        kernel.migrate(frames, to=1, force=True)
    stands = kernel.snapshot().tables
    assert "putback_lru_pages" not in set(kernel.events()["function"])  # nobody is there to do it
    with pytest.raises(KernelHang, match=r"stands still, restore\(\) a snapshot"):
        kernel.wait(10)
    assert differing(kernel.tables, stands) == []
    kernel.restore(before)
    kernel.verify()
    assert kernel.migrate(frames, to=1).skipped == 2


@pytest.mark.parametrize("trigger", "BD")
def test_the_unmap_loop_ends_if_the_locker_unmaps(trigger):
    """Between two rounds the kernel calls schedule(): time passes, and others run."""
    kernel = boot()
    task, other = kernel.spawn("owner"), kernel.spawn("locker")
    file = kernel.file("f", 4)
    mine, theirs = task.mmap(4, file, shared=True), other.mmap(4, file, shared=True, locked=True)
    task.touch(mine)
    kernel.interrupts(0, period=1_000, hold=10_000)  # what goes on for ever does not end the loop
    begin = kernel.clock
    other.munmap(theirs, at=begin + 50_000)
    if trigger == "B":
        assert task.migrate_pages(0, 0, 1) == 0
    else:
        kernel.migrate(frames_of(task), to=1, force=True)
    assert kernel.last.moved == 4
    assert kernel.clock > begin + 50_000
    assert other.pages().empty


def test_a_locker_that_unmaps_something_else_does_not_help():
    kernel = boot()
    task, other = kernel.spawn("owner"), kernel.spawn("locker")
    file = kernel.file("f", 4)
    mine, theirs = task.mmap(4, file, shared=True), other.mmap(4, file, shared=True, locked=True)
    task.touch(mine)
    other.munmap(theirs[:2], at=kernel.clock + 50_000)
    with pytest.raises(KernelHang):
        task.migrate_pages(0, 0, 1)


def test_the_list_of_new_pages_runs_empty():
    """An in-kernel caller that allocates fewer pages than it has isolated: migrate_pages() stops."""
    kernel = boot()
    task, heap = writer(kernel, N)
    result = kernel.migrate(frames_of(task), to=1, new_pages=3)
    assert (result.returned, result.moved) == (0, 3)
    assert paths(kernel) == {"direct": 3, "retries exhausted": N - 3}
    assert set(result.stayed["reason"]) == {"no new page was left on the list"}
    assert task.placement(heap) == [1] * 3 + [0] * (N - 3)
    assert "the list of new pages is empty: stop" in set(kernel.events()["text"])
    with expect_error(ValueError, "new_pages is -1"):
        kernel.migrate(frames_of(task), to=1, new_pages=-1)


def test_the_fallback_that_really_swaps_a_page_out():
    """Pass 3 finds the buffers in the journal and falls back to swap_page(); while that unmaps, the journal commits."""
    kernel, frames = scenes.journal_commit()
    kernel.migrate(frames, to=1)
    kernel.verify()
    assert paths(kernel) == {"swapped out": 1}
    assert 4 <= kernel.last.passes < 11
    assert trace.FALL_BACK in kernel.tables["event"]["code"]
    assert "page cache" not in kernel.residency()
    kernel, frames = scenes.journal_commit(patches=(1, 3))
    kernel.wait(10**6)  # a moment later the buffers are free in the first pass
    kernel.migrate(frames, to=1)
    assert paths(kernel) == {"direct": 1}


def test_a_task_whose_pages_another_one_locks_hangs_the_caller():
    kernel, _, task, *_ = locked_elsewhere(7)
    group = kernel.cpuset("g", 0, memory_migrate=True)
    group.attach(task)
    with pytest.raises(KernelHang):
        group.mems = 1  # MOVE_ALL collects shared pages too


def test_the_baseline_does_not_hang():
    kernel, frames, *_ = locked_elsewhere(0)
    result = kernel.migrate(frames, to=1, force=True)
    assert paths(kernel) == {"retries exhausted": 2}
    assert set(result.pages["reason"]) == {"mapped by a locked vma of locker"}


# -- swap


def test_no_free_slot_is_a_permanent_failure():
    kernel = boot(patches=(1, 3, 5), swap_slots=5)  # without patches 4 and 6 each page keeps its slot
    task, heap = writer(kernel, N)
    assert move(kernel, task) == N - 5
    assert paths(kernel) == {"direct after writeout": 5, "failed for good": N - 5}
    assert kernel.last.failed == N - 5
    assert reasons(kernel) == {"no free swap slot": N - 5}
    assert set(kernel.last.stayed["error"]) == {"-ENOMEM"}
    task.touch(heap)
    assert task.placement(heap) == [0] * 3 + [1] * 5  # the highest addresses come first


def test_no_swap_at_all():
    kernel = boot(swap_slots=0)
    task, heap = writer(kernel, N)
    assert move(kernel, task) == N
    assert paths(kernel) == {"failed for good": N}
    assert task.placement(heap) == [0] * N
    assert task.touch(heap, write=True) == (0, 0, 0, 0)


def test_one_slot_is_enough_for_the_whole_series():
    kernel = boot(swap_slots=1)
    task, heap = writer(kernel, 50)
    assert move(kernel, task) == 0
    assert task.placement(heap) == [1] * 50


@pytest.mark.parametrize(
    ("patches", "trigger", "dies"),
    [
        *[(patches, trigger, False) for patches in (0, 1, 2) for trigger in "BD"],
        *[(patches, "B", False) for patches in ((1, 3), 3, 4)], *[(patches, "D", True) for patches in ((1, 3), 3, 4)],
        *[(patches, trigger, True) for patches in (5, 7) for trigger in "ABD"],
    ],
)  # fmt: skip
def test_without_config_swap(patches, trigger, dies):
    """Without a target list swap_page() leaves a page without a mapping alone: eleven passes, and it is counted."""
    kernel = boot(config=Config(swap=False), patches=patches)
    task, heap = writer(kernel, N)
    pull = {
        "A": lambda: task.mbind(heap, Policy.bind(1), move=True),
        "B": lambda: task.migrate_pages(0, 0, 1), "D": lambda: kernel.migrate(frames_of(task), to=1).returned,
    }[trigger]  # fmt: skip
    before = kernel.snapshot()
    if dies:
        with pytest.raises(KernelBug, match="CONFIG_SWAP"):
            pull()
        kernel.restore(before)
    else:
        assert pull() == N
        assert paths(kernel) == {"retries exhausted": N}
        assert kernel.last.passes == 11
        assert task.placement(heap) == [0] * N
    assert task.touch(heap, write=True) == (0, 0, 0, 0)


def test_file_pages_move_without_config_swap():
    kernel = boot(config=Config(swap=False))
    task = kernel.spawn("a")
    mapping = task.mmap(N, kernel.file("f", N))
    task.touch(mapping)
    assert move(kernel, task) == 0
    assert paths(kernel) == {"direct": N}


@pytest.mark.parametrize("patches", [0, (1, 3, 5)])
def test_migration_writes_to_a_congested_device_too(patches):
    """It has PF_SWAPWRITE for the duration: else only 112 of the 200 writes would start in one pass."""
    kernel = boot(frames=512, patches=patches)
    task, _ = writer(kernel, 200)
    assert move(kernel, task) == 0
    assert kernel.last.passes == (3 if patches == 0 else 2)
    assert kernel.vmstat()["swap_write"] == 200
    assert not (kernel.tables["task"]["flags"] & structs.PF_SWAPWRITE).any()


# -- memory


def test_a_full_target_spills_along_the_zonelist():
    kernel = boot(nodes=3, frames=64)
    task, heap = writer(kernel, 20)
    drain(kernel, 1, 12)
    assert move(kernel, task) == 0
    pages = kernel.last.pages
    low = int(kernel.tables["zone"]["pages_low"][1])
    spilled = 20 - (12 - low)
    assert set(pages["asked"]) == {1}
    assert pages["new_node"].value_counts().to_dict() == {1: 12 - low, 0: spilled}
    assert paths(kernel) == {"direct": 20}  # a success, says the kernel
    assert task.placement(heap).count(0) == spilled


def test_no_memory_anywhere_moves_nothing():
    kernel = boot(nodes=2, frames=64, swap_slots=64)
    task, heap = writer(kernel, 20)
    task.mlock(heap[:1])
    kernel.pin(task, heap)  # nothing can be reclaimed
    for node in (0, 1):
        drain(kernel, node, 4)
    before = task.placement(heap)
    with pytest.raises(OSError, match="no memory"):
        move(kernel, task)
    assert paths(kernel) == {"failed for good": 19, "not collected": 1}
    assert task.touch(heap).minor == 19  # reclaim has tried them all: in the swap cache, but where they were
    assert task.placement(heap) == before
    assert set(kernel.last.pages["error"]) == {"-ENOMEM", ""}
    assert free(kernel, 0) + free(kernel, 1) + kernel.vmstat()["slab_pages"] == 8  # the new pages were given back


def test_all_new_pages_are_allocated_before_the_first_is_used():
    kernel = boot()
    task, _ = writer(kernel, N)
    move(kernel, task)
    text = kernel.events()["text"]
    (allocated,) = text.index[text.str.contains(f"{N} new pages are allocated")]
    moved = text.index[text.str.contains("has moved to")]
    assert len(moved) == N
    assert (moved > allocated).all()


# -- freed meanwhile


def test_a_page_that_is_unmapped_while_migration_sleeps():
    kernel = boot()
    task, heap = writer(kernel, N)
    kernel.hold_lock(task, heap[0], kernel.clock + 10**6)  # migration sleeps on this one in pass 3
    kernel.hold_lock(task, heap[5], kernel.clock + 10**5)  # and this one has come no further by then
    task.munmap(heap[4:6], at=kernel.clock + 5 * 10**5)
    assert kernel.migrate(frames_of(task), to=1).returned == 0
    result = paths(kernel)
    assert result == {"direct": N - 1, "freed from under us": 1}
    assert kernel.last.pages.set_index("page").loc[heap.start + 5, "path"] == "freed from under us"
    settle(kernel)
    assert len(task.pages()) == N - 2


def test_freed_pages_under_the_baseline_go_to_swap_and_vanish():
    kernel = boot(patches=0)
    task, heap = writer(kernel, N)
    kernel.hold_lock(task, heap[0], kernel.clock + 10**6)
    task.munmap(heap[4:6], at=kernel.clock + 10)
    assert kernel.migrate(frames_of(task), to=1).returned == 0
    assert paths(kernel) == {"swapped out": N}
    assert slots(kernel) == N - 2


@pytest.mark.parametrize("trigger", "ABC")
def test_an_munmap_of_the_same_mm_waits_until_the_call_has_ended(trigger):
    """A, B and C hold the mmap_sem of the target; only D can meet an munmap in between."""
    kernel = boot()
    task, heap = writer(kernel, N)
    kernel.hold_lock(task, heap[0], kernel.clock + 10**6)
    group = kernel.cpuset("g", 1, memory_migrate=True)
    task.munmap(heap[4:6], at=kernel.clock + 10)
    if trigger == "A":
        task.mbind(heap, Policy.bind(1), move=True)
    elif trigger == "B":
        task.migrate_pages(0, 0, 1)
    else:
        group.attach(task)
    assert paths(kernel) == {"direct": N}
    kernel.wait(10**6)
    assert len(task.pages()) == N - 2


def test_an_munmap_of_another_mm_does_not_wait():
    kernel = boot()
    task, heap = writer(kernel, N)
    other, theirs = writer(kernel, 2, name="other")
    kernel.hold_lock(task, heap[0], kernel.clock + 10**6)
    other.munmap(theirs, at=kernel.clock + 10)
    seen = []
    with kernel.watch(lambda: seen.append(len(other.pages()))):
        move(kernel, task)
    assert {2, 0} == set(seen)


def test_frames_that_are_free_already():
    kernel = boot()
    task, _ = writer(kernel, 2)
    result = kernel.migrate([*frames_of(task), 100, 101], to=1)
    assert paths(kernel) == {"direct": 2, "freed from under us": 2}
    assert result.returned == 0


def test_frames_on_no_list_are_not_collected():
    kernel = boot()
    drain(kernel, 0, 250)  # frames 1 to 5 are packets
    result = kernel.migrate([0, 1, 2], to=1)
    assert paths(kernel) == {"not collected": 3}
    assert reasons(kernel) == {"on no LRU list": 3}
    assert result.returned == 0


def test_frames_in_a_pagevec_are_found():
    kernel = boot()
    task, heap = writer(kernel, 3)
    assert not kernel.frames().loc[frames_of(task)]["flags"].str.contains("lru").any()
    kernel.migrate(frames_of(task), to=1)
    assert paths(kernel) == {"direct": 3}
    assert task.placement(heap) == [1] * 3


def test_a_frame_named_twice_is_one_page():
    kernel = boot()
    task, _ = writer(kernel, 3)
    kernel.migrate(frames_of(task) * 2, to=1)
    assert paths(kernel) == {"direct": 3}
    kernel.migrate([0, 0], to=1)
    assert paths(kernel) == {"not collected": 1}


# -- the accounts


def test_everything_at_once_and_every_page_in_one_path():
    kernel = boot(nodes=3, frames=128, swap_slots=30, patches=(1, 3, 5, 7))
    task, heap = writer(kernel, 60)
    child = task.fork()
    task.mlock(heap[:5])
    kernel.pin(child, range(heap.start + 50, heap.start + 55))  # the highest addresses come first, and get the slots
    kernel.hold_lock(child, range(heap.start + 20, heap.start + 25), kernel.clock + 10**6)
    child.munmap(range(heap.start + 30, heap.start + 35))
    file = kernel.file("f", 10, fs="xfs-meta")
    mapping = child.mmap(10, file)
    child.touch(mapping)
    kernel.reclaim(4)
    returned = move(kernel, child)
    result = paths(kernel)
    last = kernel.last
    assert last.moved == result.get("direct", 0) + result.get("direct after writeout", 0)
    assert returned == last.failed + last.retried
    assert last.evicted == result.get("swapped out", 0)
    assert last.moved + last.evicted + last.failed + last.retried + last.skipped == len(last.pages)
    assert last.retried >= 5
    assert last.failed > 0
    for reader in (task, child):
        for vma in reader._vmas():
            reader.touch(range(int(vma["vm_start"]), int(vma["vm_end"])))
    assert kernel.vmstat()["stale_reads"] == 0


def test_paths_are_those_of_the_specification():
    assert trace.PATHS[1:] == (
        "direct", "direct after writeout", "direct with buffers", "swapped out", "freed from under us",
        "failed for good", "retries exhausted", "not collected",
    )  # fmt: skip


def test_what_is_last():
    kernel = boot()
    task, heap = writer(kernel, N)
    assert kernel.last is None
    assert kernel.migrate(frames_of(task)[:2], to=1) is kernel.last
    assert kernel.last.trigger == "kernel"
    move(kernel, task)
    assert (kernel.last.trigger, kernel.last.moved) == ("migrate_pages", N - 2)
    assert kernel.last.elapsed > 0
    assert set(kernel.last.pages["task"]) == {"job"}
    assert kernel.last.pages["page"].tolist() == list(range(heap.start + 2, heap.stop))


def test_copying_takes_longer_over_a_longer_way():
    times = []
    for distance in (20, 40):
        kernel = boot()
        kernel = type(kernel)(Topology.uniform(nodes=2, frames=256, remote=distance))
        task, _ = writer(kernel, N)
        move(kernel, task)
        times.append(kernel.last.elapsed)
    assert times[1] - times[0] == N * 2 * kernel.costs.copy


# -- pages may migrate back through swapping


def test_pages_migrate_back_through_swapping():
    """migrate_pages() changes no policy: what is swapped out later comes back to where the policy says."""
    kernel = boot()
    task, heap = writer(kernel, N)
    assert move(kernel, task) == 0
    assert task.placement(heap) == [1] * N
    assert kernel.reclaim(N, node=1) == N
    assert task.touch(heap).major == N
    assert task.placement(heap) == [0] * N


@pytest.mark.parametrize("keep", ["policy", "scheduler", "cpuset"])
def test_unless_policy_cpuset_or_scheduler_say_otherwise(keep):
    kernel = boot()
    task, heap = writer(kernel, N)
    move(kernel, task)
    if keep == "policy":
        task.set_mempolicy(Policy.bind(1))
    elif keep == "scheduler":
        task.run_on(1)
    else:
        kernel.cpuset("c", 1).attach(task)
    kernel.reclaim(N, node=1)
    task.touch(heap)
    assert task.placement(heap) == [1] * N
