"""What if: the figures of a run, scenarios in Python, sweeps that fail in part, stop and go on."""

import json
import math
import random

import numpy as np
import pandas as pd
import pytest
from machines import frames_of

import mmsim
from mmsim import Costs, Kernel, Policy, Scenario, Topology
from mmsim.whatif import FIGURES, ScenarioError
from mmsim.whatif.sweeps import COST, FACTOR


def build(pages=64, patches=7, swap=1024, runs_on=1):
    """The worked example of kernel.md, section 10."""
    kernel = Kernel(Topology.uniform(nodes=2, frames=1024), patches=patches, swap_slots=swap, trace=False)
    job = kernel.spawn("job")
    job.touch(job.mmap(pages), write=True)
    job.run_on(runs_on)
    return kernel


def follow(kernel):
    return kernel.tasks[0].migrate_pages(0, old=0, new=1)


EXAMPLE = Scenario("worked example", build, follow)


def figures(**parameters):
    return EXAMPLE.run(parameters).figures


# -- one run


@pytest.mark.parametrize(
    ("patches", "path", "written", "held"),
    [(0, "swapped out", 64, 64), ((1, 3, 5), "direct after writeout", 64, 64),
     ((1, 3, 4, 5), "direct after writeout", 64, 0), (7, "direct", 0, 0)],
)  # fmt: skip
def test_the_worked_example(patches, path, written, held):
    found = figures(patches=patches)
    assert list(found) == list(FIGURES)
    assert (found["in_use"], found[path], found["returned"], found["off_target"]) == (64, 64, 0, 0)
    assert (found["swap_written"], found["slots_held"], found["faults"]) == (written, held, 64)
    assert found["error"] == ""


def test_an_access_costs_what_the_distance_says():
    found, costs = figures(), Costs()
    assert (found["access_before"], found["access_after"]) == (2 * costs.access, costs.access)
    assert found["faults_ns"] == 64 * costs.minor


def test_the_break_even_is_where_the_two_bills_meet():
    found = figures()
    rounds = found["break_even"]
    stay = rounds * 64 * found["access_before"]
    move = found["migration_ns"] + found["faults_ns"] + rounds * 64 * found["access_after"]
    assert stay == pytest.approx(move)


def test_a_move_to_where_nobody_runs_never_pays():
    found = figures(runs_on=0)
    assert found["access_after"] > found["access_before"]
    assert found["break_even"] == math.inf


def test_only_faults_that_the_move_has_caused_are_counted():
    def still(kernel):
        return kernel.tasks[0].migrate_pages(0, old=1, new=0)

    def family():
        kernel = build()
        kernel.tasks[0].fork()  # writes would copy; but the pages are only read as they are shared
        kernel.tasks[0].mmap(10)  # never touched
        return kernel

    found = Scenario("nothing moves", family, still).run().figures
    assert (found["in_use"], found["faults"], found["faults_ns"]) == (64, 0, 0)


def test_a_trigger_may_return_migrations_or_what_the_call_gave():
    def by_hand(kernel):
        return [kernel.migrate([pfn], to=1) for pfn in frames_of(kernel.tasks[0])]

    assert Scenario("D", build, by_hand).run({"pages": 3}).figures["direct"] == 3
    bound = Scenario("A", build, lambda kernel: kernel.tasks[0].mbind(None, Policy.bind(1), move=True)).run()
    assert bound.figures["direct"] == 64
    assert bound.migrations == [bound.kernel.last]


def test_a_call_that_fails_under_way_has_figures_and_an_error():
    full = Scenario("no memory", lambda: build(pages=1500, swap=0), follow).run().figures
    assert full["returned"] < 0
    assert full["failed for good"] > 0
    assert "no memory" in full["error"]
    with pytest.raises(OSError, match="allows nodes 0-1 only"):
        Scenario("refused", build, lambda kernel: kernel.tasks[0].migrate_pages(0, 0, 7)).run()


def test_new_pages_off_target():
    def half_full():
        kernel = build(pages=600)
        other = kernel.spawn("other", node=1)
        other.touch(other.mmap(800), write=True)
        return kernel

    run = Scenario("full", half_full, follow).run()
    assert run.figures["off_target"] > 300
    assert run.figures["off_target"] == (run.migrations[0].pages["new_node"] == 0).sum()


def test_parameters_go_to_whoever_names_them():
    both = Scenario("both", build, lambda kernel, old=0: kernel.tasks[0].migrate_pages(0, old, 1))
    assert both.run({"pages": 5, "old": 1}).figures["direct"] == 0
    with pytest.raises(ScenarioError, match=r"worked example has no parameter 'page'; did you mean 'pages'\?"):
        figures(page=3)


def test_a_function_may_take_all_parameters_as_a_dict():
    scenario = Scenario("dict", lambda parameters: build(**parameters), follow)
    assert scenario.run({"pages": 5, "patches": 0}).figures["swapped out"] == 5
    assert mmsim.sweep(scenario, {"pages": [3, 4]}, jobs=1, progress=False)["direct"].tolist() == [3, 4]


# -- sweeps


def test_every_combination_is_a_row_in_the_order_of_the_grid():
    table = mmsim.sweep(EXAMPLE, {"patches": [7, 0], "pages": [8, 16]}, jobs=1, progress=False)
    assert table[["patches", "pages"]].to_numpy().tolist() == [[7, 8], [7, 16], [0, 8], [0, 16]]
    assert table["direct"].tolist() == [8, 16, 0, 0]
    assert table["swapped out"].tolist() == [0, 0, 8, 16]
    assert set(FIGURES) <= set(table.columns)


def test_processes_find_the_same_as_one():
    grid = {"patches": [0, 3, 7], "pages": [8, 16]}
    alone, together = (mmsim.sweep(EXAMPLE, grid, jobs=n, progress=False) for n in (1, 2))
    pd.testing.assert_frame_equal(alone, together)


def test_a_point_that_fails_is_a_row_with_its_error():
    table = mmsim.sweep(EXAMPLE, {"pages": [8, 0, 16], "patches": [7]}, jobs=1, progress=False)
    assert table["direct"].tolist()[::2] == [8, 16]
    assert table["error"].tolist()[::2] == ["", ""]
    assert "map at least one page" in table["error"][1]
    assert np.isnan(table["break_even"][1])


def test_a_wrong_grid_is_refused_before_anything_runs():
    with pytest.raises(ScenarioError, match="did you mean 'patches'"):
        mmsim.sweep(EXAMPLE, {"patchs": [7]})
    with pytest.raises(ScenarioError, match=r"kernel\.swp: there is no 'swp'; did you mean 'swap'"):
        mmsim.sweep("low-swap", {"kernel.swp": [7]})
    with pytest.raises(ValueError, match="'faults' is the name of a figure"):
        mmsim.sweep(Scenario("clash", lambda faults: build(faults), follow), {"faults": [1]})
    with pytest.raises(ValueError, match=r"grid is \{\}; give \{parameter: values\}"):
        mmsim.sweep(EXAMPLE)


def test_rows_are_kept_and_a_sweep_goes_on(tmp_path, here):
    ran = []

    def counting(pages):
        ran.append(pages)
        if len(ran) == 3:
            raise KeyboardInterrupt
        return build(pages)

    scenario, file, grid = Scenario("counting", counting, follow), tmp_path / "rows.jsonl", {"pages": [8, 16, 24, 32]}
    with pytest.raises(KeyboardInterrupt):
        mmsim.sweep(scenario, grid, jobs=1, progress=False, keep=file)
    assert [json.loads(line)["row"]["direct"] for line in file.read_text().splitlines()[1:]] == [8, 16]
    with file.open("a") as cut:
        cut.write('{"point": "{')  # as when the machine goes down
    table = mmsim.sweep(scenario, grid, jobs=1, progress=False, keep=file)
    assert ran == [8, 16, 24, 24, 32]
    assert table["direct"].tolist() == [8, 16, 24, 32]
    again = mmsim.sweep(scenario, grid, jobs=1, progress=False, keep=file)
    pd.testing.assert_frame_equal(table, again)
    with pytest.raises(ValueError, match="has rows of another scenario or seed; name another file, or delete it"):
        mmsim.sweep(EXAMPLE, grid, jobs=1, progress=False, keep=file)


def test_every_point_has_its_own_seed():
    def lottery(nth, again):
        return build(random.randrange(1, 100) + int(np.random.randint(100)))  # noqa: NPY002

    def drawn(seed, jobs):
        grid = {"nth": [1, 2], "again": [1, 2]}
        return mmsim.sweep(Scenario("lottery", lottery, follow), grid, jobs, False, seed=seed)["direct"].tolist()

    assert drawn(1, 1) == drawn(1, 2)
    assert len(set(drawn(1, 1))) > 1
    assert drawn(1, 1) != drawn(2, 1)


def test_sensitivity_shows_which_costs_matter():
    table = mmsim.sweep(EXAMPLE, {"pages": [8]}, jobs=1, progress=False, sensitivity=True)
    assert len(table) == 1 + 2 * len(vars(Costs()))
    base = table.set_index([COST, FACTOR])["break_even"]
    assert base["copy", 0.5] < base["none", 1] < base["copy", 2]
    assert base["access", 2] < base["none", 1]  # what is saved at every access is worth more
    assert base["swap_write", 2] == base["none", 1]  # nothing is written
    assert table["direct"].eq(8).all()


def test_lists_among_the_values():
    table = mmsim.sweep(EXAMPLE, {"patches": [[1, 3], 7]}, jobs=1, progress=False)
    assert table["patches"].tolist() == ["[1, 3]", 7]


def test_a_file_can_be_swept_by_dotted_keys():
    grid = {"kernel.patches": [4, 7], "task.job.memory.heap.size": ["1 GB", "2 GB"], "scale": "1/4096"}
    table = mmsim.sweep("low-swap", grid, jobs=1, progress=False)
    assert table["in_use"].tolist() == [64, 128, 64, 128]
    assert (table["failed for good"] > 0).tolist() == [False, True, False, False]


def test_the_figures_that_a_file_asks_for(tmp_path):
    file = tmp_path / "few.toml"
    text = (mmsim.whatif.scenario.SHIPPED / "low-swap.toml").read_text()
    file.write_text(text.replace("[grid]", '[report]\nfigures = ["direct", "break_even"]\n\n[grid]'))
    table = mmsim.sweep(file, {"scale": ["1/4096"]}, jobs=1, progress=False)
    assert list(table.columns) == ["scale", "kernel", "direct", "break_even", "error"]  # whose answer it is, always


def test_whatever_can_be_called_will_do_for_a_function():
    class Machine(Kernel):
        def __init__(self, pages=8):
            super().__init__(Topology.uniform(nodes=2, frames=1024))
            job = self.spawn("job")
            job.touch(job.mmap(pages), write=True)

    class Move:
        def __call__(self, kernel):
            return kernel.tasks[0].migrate_pages(0, 0, 1)

    assert Scenario("classes", Machine, Move()).run({"pages": 5}).figures["direct"] == 5
    assert mmsim.race.Race(Machine, []).kernel.tasks[0].name == "job"
    for wrong in (None, "build", 3):
        with pytest.raises(TypeError, match=r"^build is .*; it is a function"):
            Scenario("wrong", wrong, Move())


@pytest.mark.full
@pytest.mark.usefixtures("cluster")
def test_a_cluster_through_joblibs_dask_backend():
    table = mmsim.sweep(EXAMPLE, {"pages": [8, 16, 24]}, progress=False)
    assert table["direct"].tolist() == [8, 16, 24]
