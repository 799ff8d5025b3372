"""Patch 2: every interleaving of faults, swapoff and a migration, with and without the recheck."""

import pytest

from mmsim import race
from mmsim.race import SCENES, Fault, Migrate, one_page
from mmsim.race import WITHOUT_PATCH_2 as WITHOUT

SITES = {name: SCENES[name] for name in list(SCENES)[:4]}


@pytest.mark.parametrize("site", SITES)
def test_without_the_recheck_some_schedule_uses_a_stale_page(site):
    build, actors = SITES[site]
    exploration = race.explore(build, actors, WITHOUT)
    assert 0 < exploration.bad < exploration.schedules
    assert exploration.outcomes.query("bad")["outcome"].str.contains("stale").all()


def test_the_harm_of_do_swap_page_is_that_the_migration_is_undone():
    exploration = race.explore(*SITES["do_swap_page"], WITHOUT)
    list(exploration.counterexample)
    kernel = exploration.counterexample.race.kernel
    assert kernel.tasks[0].placement() == [0]  # though it was moved to node 1
    assert kernel.vmstat()["migrated"] == 1


def test_sharers_part_early():
    exploration = race.explore(*SCENES["sharers part"], WITHOUT)
    apart = False
    for text in exploration.outcomes.query("bad")["outcome"]:
        list(exploration.example(text))
        frames = [task.pages()["pfn"].iloc[0] for task in exploration.race.kernel.tasks]
        apart |= frames[0] != frames[1]
    assert apart


def test_the_harm_of_shmem_getpage_is_an_orphan():
    exploration = race.explore(*SITES["shmem_getpage"], WITHOUT)
    assert exploration.outcomes.query("bad")["outcome"].str.contains("orphan: flagged swapcache").all()


def test_with_a_third_actor_and_one_slot_a_write_is_lost():
    lost = race.explore(*SCENES["lost write"], WITHOUT)
    assert lost.outcomes["outcome"].str.contains("it holds write 1, but write 2 was the last").any()
    assert race.explore(*SCENES["lost write"], 7).bad == 0


def test_with_two_actors_no_write_is_lost():
    for build, actors in SITES.values():
        outcomes = race.explore(build, actors, WITHOUT).outcomes["outcome"]
        assert not outcomes.str.contains("was the last").any()


def test_two_faulting_tasks_against_a_migration_are_exhausted():
    actors = [Fault("a"), Fault("b", write=True), Migrate("a")]
    build = SCENES["sharers part"][0]
    with_it, without = race.explore(build, actors, 7), race.explore(build, actors, WITHOUT)
    assert with_it.bad == 0 < without.bad
    assert with_it.schedules > 1000


def test_a_counterexample_can_be_replayed_step_by_step():
    exploration = race.explore(*SITES["do_swap_page"], WITHOUT)
    steps = list(exploration.counterexample)
    assert len(steps) == len(exploration.counterexample)
    assert {actor for actor, _ in steps} == {"a", "migration"}
    assert exploration.race.outcome() == (exploration.outcomes.query("bad")["outcome"].iloc[0], True)


def test_every_serial_order_is_good():
    """One actor after the other, nothing can go wrong, patch or not."""
    for build, actors in SITES.values():
        names = [a.name or a.task for a in actors]
        for order in (names, names[::-1]):
            running = race.Race(build, actors, WITHOUT)
            for name in order:
                while name in running.choices:
                    running.step(name)
            assert running.done
            assert running.outcome()[1] is False


def test_a_blocked_actor_cannot_run_and_back_undoes_a_step():
    running = race.Race(one_page, [Fault("a"), Migrate("a")], 7)
    for _ in range(2):
        running.step("migration")
    running.step("a")
    assert running.blocked("a")
    with pytest.raises(ValueError, match="waits for the lock of page 1, held by migration"):
        running.step("a")
    before = running.state()
    running.step("migration")
    running.back()
    assert running.state() == before


@pytest.mark.parametrize("name", SCENES)
def test_every_scene_starts_sound_and_patch_2_makes_it_good(name):
    build, actors = SCENES[name]
    build(7).verify()
    assert race.explore(build, actors, WITHOUT).bad > 0
    exploration = race.explore(build, actors, 7)
    assert exploration.bad == 0
    assert exploration.schedules > 20
    assert exploration.counterexample is None


def test_the_holder_of_a_lock_is_known_while_it_holds_it():
    running = race.Race(*SCENES["do_swap_page"], 7)
    assert running.holders == {}
    for _ in range(2):
        running.step("migration")
    assert running.holders == {1: "migration", 64: "migration"}
    while "migration" in running.choices:
        running.step("migration")
    assert running.holders == {}
