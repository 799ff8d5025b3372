"""Patch 2: every interleaving of faults, swapoff and a migration, with and without the recheck."""

import inspect
import re
from functools import partial

import numpy as np
import pytest
from machines import explored

from mmsim import Kernel, Topology, race
from mmsim.machine.compile_cache import kernel_modules
from mmsim.mm import fault, mbind, memory, structs, swapfile
from mmsim.race import SCENES, Fault, Migrate, Swapoff, one_page, points
from mmsim.race import WITHOUT_PATCH_2 as WITHOUT
from mmsim.race.actors import unmap_into_swap_cache
from mmsim.race.interruptible import calls, interruptible
from mmsim.race.view import frames, lanes, places

SITES = {name: SCENES[name] for name in list(SCENES)[:4]}


@pytest.mark.parametrize("site", SITES)
def test_without_the_recheck_some_schedule_uses_a_stale_page(site):
    exploration = explored(site, WITHOUT)
    assert 0 < exploration.bad < exploration.schedules
    assert exploration.outcomes.query("bad")["outcome"].str.contains("stale").all()


def test_the_harm_of_do_swap_page_is_that_the_migration_is_undone():
    exploration = explored("do_swap_page", WITHOUT)
    list(exploration.counterexample)
    kernel = exploration.counterexample.race.kernel
    assert kernel.tasks[0].placement() == [0]  # though it was moved to node 1
    assert kernel.vmstat()["migrated"] == 1


def test_sharers_part_early():
    exploration = explored("sharers part", WITHOUT)
    apart = False
    for text in exploration.outcomes.query("bad")["outcome"]:
        list(exploration.example(text))
        frames = [task.pages()["pfn"].iloc[0] for task in exploration.race.kernel.tasks]
        apart |= frames[0] != frames[1]
    assert apart


def test_the_harm_of_shmem_getpage_is_an_orphan():
    exploration = explored("shmem_getpage", WITHOUT)
    assert exploration.outcomes.query("bad")["outcome"].str.contains("orphan: flagged swapcache").all()


def test_with_a_third_actor_and_one_slot_a_write_is_lost():
    lost = explored("lost write", WITHOUT)
    assert lost.outcomes["outcome"].str.contains("it holds write 1, but write 2 was the last").any()
    assert explored("lost write", 7).bad == 0


def test_with_two_actors_no_write_is_lost():
    for site in SITES:
        outcomes = explored(site, WITHOUT).outcomes["outcome"]
        assert not outcomes.str.contains("was the last").any()


def test_two_faulting_tasks_against_a_migration_are_exhausted():
    actors = [Fault("a"), Fault("b", write=True), Migrate("a")]
    build = SCENES["sharers part"][0]
    with_it, without = race.explore(build, actors, 7), race.explore(build, actors, WITHOUT)
    assert with_it.bad == 0 < without.bad
    assert with_it.schedules > 1000


def test_a_counterexample_can_be_replayed_step_by_step():
    exploration = explored("do_swap_page", WITHOUT)
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
    with pytest.raises(ValueError, match="waits for the lock of frame 1, held by migration"):
        running.step("a")
    before = running.state()
    running.step("migration")
    running.back()
    assert running.state() == before


@pytest.mark.parametrize("name", SCENES)
def test_every_scene_starts_sound_and_patch_2_makes_it_good(name):
    build, _ = SCENES[name]
    build(7).verify()
    assert explored(name, WITHOUT).bad > 0
    exploration = explored(name, 7)
    assert exploration.bad == 0
    assert exploration.schedules > 20
    assert exploration.counterexample is None


@pytest.mark.parametrize("scene", SCENES)
def test_with_the_patch_no_table_ever_marks_anything(scene):
    exploration = explored(scene, 7)
    for text in exploration.outcomes["outcome"]:
        schedule = exploration.example(text)
        for _ in schedule:
            assert not frames(schedule.race)["wrong"].any(), lanes(schedule.race)
            assert not places(schedule.race)["wrong"].any(), lanes(schedule.race)


def test_the_holder_of_a_lock_is_known_while_it_holds_it():
    running = race.Race(*SCENES["do_swap_page"], 7)
    assert running.holders == {}
    for _ in range(2):
        running.step("migration")
    assert running.holders == {1: "migration", 64: "migration"}
    while "migration" in running.choices:
        running.step("migration")
    assert running.holders == {}


# -- the kernel's own functions, interrupted


def history(running, names):
    """Let these actors take a step each, then the first that can to the end; what was done, in words."""
    running.replay(names)
    while running.choices:
        running.step(running.choices[0])
    return [what for _, what in running.history]


def test_points_stand_before_functions_of_the_kernel():
    functions = {name: f for m in kernel_modules() for name, f in vars(m).items() if inspect.isfunction(f)}
    source = inspect.getsource(points)
    named = {name: args.split(", ")[1:] for name, args in re.findall(r'case "(\w+)"((?:, \w+)*)', source)}
    assert named.keys() == points.POINTS
    for name, args in named.items():
        assert ["k", *(arg.removeprefix("_") for arg in args)] == list(inspect.signature(functions[name]).parameters)
    callers = re.findall(r'caller [!=]= "(\w+)"', source)
    assert callers
    for caller in callers:
        assert interruptible(functions[caller]), f"no point is reached from {caller}()"


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("patches", [3, 7, WITHOUT])
@pytest.mark.parametrize(("actor", "function", "args"), [
    (Fault("a", write=True), fault.touch, (2, 0x10000, True)),
    (Migrate("a"), mbind.migrate_frames, ([1], [(2, 0x10000)], [0], 1, 1)),
    (Swapoff(), swapfile.sys_swapoff, ()),
])  # fmt: skip
def test_alone_an_actor_does_what_the_function_does(shared, mapped, patches, actor, function, args):
    build = partial(one_page, shared=shared, mapped=mapped)
    running = race.Race(build, [actor], patches)
    history(running, [])
    plain = build(patches)
    pid = 2 if isinstance(actor, Fault) else 0
    plain.k.sys.current = pid
    function(plain.k, *args)
    for name in ("mem_map", "pte", "swap_map", "swap_cache", "file_page", "zone", "vmstat"):
        rows = len(plain.tables[name]) if name != "mem_map" else plain.k.sys.nr_frames  # a race has more list heads
        assert np.array_equal(plain.tables[name][:rows], running.kernel.tables[name][:rows]), name


def test_a_function_that_was_exchanged_is_the_one_that_runs(monkeypatch):
    asked = []
    monkeypatch.setattr(memory, "do_swap_page", lambda *args: asked.append(args[2]) or -structs.ENOMEM)
    running = race.Race(one_page, [Fault("a")])
    assert asked == [0x10000]
    assert running.done


def test_a_function_that_was_exchanged_for_a_while_is_interrupted_again(monkeypatch):
    interruptible.cache_clear()
    calls.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(memory, "do_swap_page", lambda *_: -structs.ENOMEM)
        race.Race(one_page, [Fault("a")])
    assert race.explore(*SCENES["do_swap_page"], 7).schedules > 20


def test_with_patch_2_a_recheck_is_said_to_be_one():
    order = ["migration"] * 3 + ["a"] + ["migration"] * 2 + ["a"]
    running = race.Race(*SCENES["do_swap_page"], 7)
    told = history(running, order)
    assert told[6] == "do_swap_page(): recheck: frame 1 has left the swap cache, give it back"
    assert "do_swap_page(): lock frame 1" not in told
    assert history(race.Race(*SCENES["do_swap_page"], WITHOUT), order)[6] == "do_swap_page(): lock frame 1"


def test_a_page_that_was_allocated_for_nothing_is_said_to_be_given_back():
    lost = explored("lost write", 7)
    told = {what for text in lost.outcomes["outcome"] for _, what in lost.example(text)}
    given_back = [what for what in told if "nobody needs entry 1 any more" in what]
    assert given_back == ["do_swap_page(): frame 1 is allocated, nobody needs entry 1 any more, give it back"]


def test_a_failed_attempt_of_the_migration_says_why():
    running = race.Race(*SCENES["do_swap_page"], 7)
    told = history(running, ["a", *["migration"] * 24])
    assert told[3].endswith("frame 1 has a reference too many, try again later")
    assert "migration no page has moved: put it back on the LRU" in [" ".join(step) for step in running.history]


def test_a_dirty_page_of_tmpfs_goes_to_the_swap_cache_first():
    told = history(race.Race(*SCENES["shmem_getpage"], 7), ["a", "a", "migration", "migration", "migration"])
    assert told[3] == "pass 0: frame 1 was used lately, try again later"
    assert told[4] == "pass 1: frame 1 goes to its store first, try again later"
    assert told[5] == "pass 2: try to lock frame 1"


def swapped_out(patches):
    """Tasks a and its child b, whose page is on the swap device alone."""
    kernel = Kernel(Topology.uniform(nodes=2, frames=64), patches=patches, swap_slots=4)
    task = kernel.spawn("a")
    task.touch(task.mmap(1), write=True)
    task.fork("b")
    assert kernel.reclaim(1) == 1
    return kernel


def test_who_waits_for_io_lets_others_go_on():
    running = race.Race(swapped_out, [Fault("a"), Fault("b")], 7)
    for name in "aab":
        running.step(name)
    pfn = running.points["b"].page
    assert running.points["a"].what == f"swap_readpage(): sleep until entry 1 is read into frame {pfn}"
    assert running.waits_for("b") == f"waits for the lock of frame {pfn}, held by a"
    history(running, [])
    assert running.outcome() == ("good: pages on node 0", False)
    assert running.kernel.vmstat()["swap_read"] == 1
    assert race.explore(swapped_out, [Fault("a"), Fault("b", write=True)], WITHOUT).bad == 0


@pytest.mark.parametrize("patches", [0, 7])
def test_two_migrations_leave_each_other_alone(patches):
    """Each has lists of its own; a page that is on one of them is on no LRU list for the other to take it from."""
    found = race.explore(partial(one_page, mapped=True), [Migrate("a"), Migrate("a", name="another")], patches)
    assert found.bad == 0
    told = history(found.race, ["another", "migration"])
    assert told[1] == "isolate_lru_page(): frame 1 is on no LRU list, leave it alone"


def later(release, mapped):
    """A build for a race on the kernel of a release: task a, with one page in its page table or in the swap cache."""

    def build(patches):
        kernel = Kernel(Topology.uniform(nodes=2, frames=64), release=release, swap_slots=4)
        task = kernel.spawn("a")
        task.touch(task.mmap(1), write=True)
        if not mapped:
            kernel.call(unmap_into_swap_cache, 1)
        return kernel

    return build


@pytest.mark.parametrize("release", ["2.6.16", "2.6.18", "6.1"])
@pytest.mark.parametrize("mapped", [False, True])
def test_in_later_kernels_nobody_uses_a_stale_page_not_even_a_device(release, mapped):
    """2.6.16 counts the references when the page is unmapped; 2.6.18 needs no recheck any more."""
    for actor in (Fault("a", write=True), race.Pin("a"), Swapoff()):
        found = race.explore(later(release, mapped), [actor, Migrate("a")])
        assert found.bad == 0
        assert found.outcomes["outcome"].str.contains("node 1").any() or (mapped and actor == Swapoff())


def test_a_fault_on_a_migration_entry_waits_for_the_migration():
    running = race.Race(later("2.6.18", mapped=True), [Migrate("a"), race.Pin("a")])
    for _ in range(2):
        running.step("migration")
    running.step("device")
    assert running.waits_for("device") == "waits for the lock of frame 1, held by migration"
    told = history(running, [name for name, _ in running.history])
    assert "migrate_page_move_mapping(): frame 1 has a reference too many, try again later" in told
    assert running.outcome()[1] is False


def test_where_in_their_table_the_timers_stand_is_no_state():
    """It depends on how many have happened: machines that are equal but for that would count as two."""
    running = race.Race(*SCENES["try_to_unuse"])
    before, sys = running.state(), running.kernel.k.sys
    assert sys.nr_timers == 0
    sys.first_timer += 5
    assert running.state() == before


def test_what_lies_between_the_fields_of_a_table_is_no_state():
    running = race.Race(*SCENES["do_swap_page"], 7)
    before, sys = running.state(), running.kernel.tables["sys"]
    held = {at + i for kind, at, *_ in sys.dtype.fields.values() for i in range(kind.itemsize)}
    between = sorted(set(range(sys.itemsize)) - held)
    sys.view("u1")[between] = 0xAA  # fine if nothing lies there
    assert running.state() == before
