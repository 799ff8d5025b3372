"""What each patch buys: the same machine with and without only this one.  (Patch 2: tests/test_race.py.)"""

import pytest
from machines import boot, drain, frames_of, paths, slots, states, writer

from mmsim import PATCHES, Config, Faults

N = 64
ALL = {1, 2, 3, 4, 5, 6, 7}
NEEDS_3 = {4, 5, 6}


def moved(patches, trigger="B", **options):
    """The worked example under some patches: (kernel, task, heap) after node 0 to node 1."""
    kernel = boot(frames=1024, patches=patches, **options)
    task, heap = writer(kernel, N)
    if trigger == "B":
        task.migrate_pages(0, 0, 1)
    else:
        kernel.migrate(frames_of(task), to=1)
    return kernel, task, heap


def test_patch_1_leaves_the_code_out_of_kernels_that_cannot_use_it():
    flat = Config(numa=False, smp=False)
    with_it, without = (set(boot(config=flat, patches=p).symbols()) for p in ({1}, ()))
    assert with_it == set()
    assert without == {
        "isolate_lru_page", "putback_lru_pages", "migrate_pages", "swap_page", "lru_add_drain_per_cpu",
    }  # fmt: skip
    assert boot(patches={1}).symbols() == boot(patches=()).symbols()  # where it is used nothing changes


def test_patch_3_moves_pages_instead_of_swapping_them_out():
    kernel, task, heap = moved(ALL - NEEDS_3, "D")
    before, other, its = moved(ALL - NEEDS_3 - {3}, "D")
    assert (kernel.last.moved, before.last.moved) == (N, 0)
    assert (kernel.last.evicted, before.last.evicted) == (0, N)
    assert task.touch(heap) == Faults(N, 0, 0, 0)
    assert other.touch(its) == Faults(0, N, 0, 0)
    assert (set(task.placement(heap)), set(other.placement(its))) == ({1}, {0})


def test_patch_4_spares_the_minor_faults_and_the_swap_slots():
    kernel, task, heap = moved(ALL)
    before, other, its = moved(ALL - {4})
    assert (slots(kernel), slots(before)) == (0, N)
    assert (kernel.vmstat()["swap_peak"], before.vmstat()["swap_peak"]) == (1, N)
    assert (states(task, heap), states(other, its)) == ({"present": N}, {"swap": N})
    assert task.touch(heap) == Faults(0, 0, 0, 0)
    assert other.touch(its) == Faults(N, 0, 0, 0)


def test_patch_4_lets_more_pages_move_than_there_are_slots():
    kernel, _, _ = moved(ALL, swap_slots=10)
    before, _, _ = moved(ALL - {4}, swap_slots=10)
    assert (kernel.last.moved, before.last.moved) == (N, 10)
    assert (kernel.last.failed, before.last.failed) == (0, N - 10)


def test_patch_5_brings_direct_migration_to_user_space():
    kernel, task, heap = moved(ALL)
    before, other, its = moved(ALL - {5})
    assert (paths(kernel), paths(before)) == ({"direct": N}, {"swapped out": N})
    assert (kernel.vmstat()["swap_write"], before.vmstat()["swap_write"]) == (0, N)
    task.touch(heap)
    other.touch(its)
    assert (set(task.placement(heap)), set(other.placement(its))) == ({1}, {0})


def test_patch_5_keeps_relative_positions():
    for patches, expected in ((ALL, [2, 3]), (ALL - {5}, [0, 0])):
        kernel = boot(nodes=4, patches=patches)
        task = kernel.spawn("a", node=1)
        heap = task.mmap(2)
        task.touch(heap[1], write=True)
        task.run_on(0)
        task.touch(heap[0], write=True)
        task.migrate_pages(0, "0-1", "2-3")
        task.touch(heap)
        assert task.placement(heap) == expected


def test_patch_6_moves_anonymous_memory_without_writing_it():
    kernel, _, _ = moved(ALL)
    before, _, _ = moved(ALL - {6})
    assert (paths(kernel), paths(before)) == ({"direct": N}, {"direct after writeout": N})
    assert (kernel.vmstat()["swap_write"], before.vmstat()["swap_write"]) == (0, N)
    assert (kernel.last.passes, before.last.passes) == (1, 2)
    assert before.last.elapsed > 10 * kernel.last.elapsed


def test_patch_6_moves_dirty_files_with_their_buffers():
    writes = []
    for patches in (ALL, ALL - {6}):
        kernel = boot(patches=patches)
        task = kernel.spawn("a")
        file = kernel.file("f", 8, fs="ext3")
        task.write(file)
        task.touch(task.mmap(8, file))
        assert task.migrate_pages(0, 0, 1) == 0
        writes.append(kernel.vmstat()["file_write"])
    assert writes == [0, 8]


def test_patch_6_keeps_the_pages_of_xfs_metadata_where_they_are():
    left = []
    for patches in (ALL, ALL - {6}):
        kernel = boot(patches=patches)
        task = kernel.spawn("a")
        task.touch(task.mmap(8, kernel.file("f", 8, fs="xfs-meta")))
        left.append(task.migrate_pages(0, 0, 1))
    assert left == [8, 0]


def test_patch_7_waits_for_memory_where_the_atomic_reserve_is_gone():
    """Eviction needs no new pages, so one radix tree node decides.  The whole series: tests/test_low_memory.py."""
    failed = []
    for patches in ({1, 7}, {1}):
        kernel = boot(frames=512, patches=patches)
        task, _heap = writer(kernel, 8)
        reader = kernel.spawn("reader")
        cache = reader.mmap(100, kernel.file("f", 100))
        reader.touch(cache)
        reader.munmap(cache)
        for node in (0, 1):
            drain(kernel, node, 2)
        task.migrate_pages(0, 0, 1)
        failed.append(kernel.last.failed)
        assert set(kernel.last.stayed["reason"]) <= {"no memory for a radix tree node"}
        assert set(kernel.last.stayed["error"]) <= {"-ENOMEM"}
    assert failed == [0, 8]


def test_reclaim_itself_never_waits_with_patch_7_or_without():
    for patches in (7, 6):
        kernel = boot(nodes=1, frames=512, patches=patches)
        task, heap = writer(kernel, 8)
        reader = kernel.spawn("reader")
        reader.touch(reader.mmap(100, kernel.file("f", 100), writable=False))
        kernel.pin(reader, range(reader.pages().index[0], reader.pages().index[-1] + 1))
        drain(kernel, 0, 2)
        assert kernel.reclaim(8) == 0
        assert states(task, heap) == {"present": 8}


# -- which sets are possible


def test_the_first_n():
    for n in range(8):
        assert boot(patches=n).patches == set(range(1, n + 1))


@pytest.mark.parametrize("patch", PATCHES, ids=lambda p: p.number)
def test_a_patch_without_one_that_it_needs(patch):
    for missing in patch.needs:
        with pytest.raises(ValueError, match=f"patch {patch.number} .*needs patch {missing}"):
            boot(patches={patch.number})
    alone = {patch.number, *patch.needs, *(1 for need in patch.needs if need == 3)}
    assert boot(patches=alone).patches == alone


def test_the_patches_are_those_of_the_series():
    assert [p.number for p in PATCHES] == list(range(1, 8))
    assert {p.number: set(p.needs) for p in PATCHES} == {
        1: set(), 2: set(), 3: {1}, 4: {3}, 5: {3}, 6: {3}, 7: {1},
    }  # fmt: skip
    assert all(p.title and p.files for p in PATCHES)
