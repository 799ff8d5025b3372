"""Patch 7: what waiting for memory in add_to_swap() saves, and where it makes no difference."""

import pytest

from mmsim import scenes

WITHOUT = (1, 2, 3, 4, 5, 6)


def move(patches, **settings):
    """Move the job of scenes.low_memory from node 0 to 1: the kernel, its Migration and what the move cost others."""
    kernel, job = scenes.low_memory(patches, **settings)
    kernel.verify()
    job.migrate_pages(0, old=0, new=1)
    kernel.verify()
    return kernel, kernel.last, kernel.vmstat()


def test_without_patch_7_every_anonymous_page_fails_under_interrupt_load():
    _, migration, _ = move(WITHOUT)
    failed = migration.pages.query("path == 'failed for good'")
    assert len(failed) == 1000
    assert set(failed["error"]) == {"-ENOMEM"}
    assert set(failed["reason"]) == {"no memory for a radix tree node"}
    assert migration.paths["direct"] == 3000  # file pages need no swap entry


def test_with_patch_7_none_does_because_reclaim_makes_room():
    _, migration, vmstat = move(7)
    assert migration.failed == 0
    assert migration.moved == 4000
    assert vmstat["slab_pages"] == 1


@pytest.mark.parametrize(("patches", "lost"), [((1, 3, 5), True), ((1, 3, 5, 7), False)])
def test_where_slots_stay_in_use_the_migration_eats_the_reserve_of_the_interrupts(patches, lost):
    """Without patches 4 and 6 each page keeps its slot: a slab page for every 448 of them."""
    _, migration, vmstat = move(patches, file_pages=500, anonymous=4000, period=2_400_000)
    assert bool(vmstat["atomic_failures"]) == lost
    assert bool(migration.failed) == lost


def test_the_lowest_free_count_stays_higher_with_patch_7():
    settings = {"file_pages": 500, "anonymous": 4000, "period": 2_400_000}
    without, with_it = (move(patches, **settings)[2] for patches in ((1, 3, 5), (1, 3, 5, 7)))
    assert without["lowest_free_0"] < with_it["lowest_free_0"]


def test_with_memory_to_spare_patch_7_makes_no_difference():
    results = []
    for patches in (WITHOUT, 7):
        kernel, task, _ = scenes.worked_example(patches)
        task.migrate_pages(0, old=0, new=1)
        results.append((kernel.last.paths.to_dict(), kernel.clock, kernel.vmstat().to_dict()))
    assert results[0] == results[1]


def test_with_patches_4_and_6_one_slab_page_serves_the_whole_migration():
    kernel, task, _ = scenes.worked_example(7, pages=1000)
    task.migrate_pages(0, old=0, new=1)
    assert kernel.vmstat()["slab_pages"] == 1
    assert kernel.vmstat()["swap_peak"] == 1
