"""A what-if that takes too much memory, or too long without numba, says so and does not begin; nothing here does."""

import re
import sys

import pytest

import mmsim
from mmsim import Scenario, cli
from mmsim.machine import speed
from mmsim.whatif import ScenarioError, estimate
from mmsim.widgets import Sweep

LONG = "scheduler-moved-my-job"  # 16 GB, 4,194,304 pages
MINUTES = re.compile(r"without numba this takes about (\d+) (minutes|hours): ([\d,]+) pages at \d+ us, processes: \d")


@pytest.fixture
def no_numba(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setitem(sys.modules, "mmsim.machine.compiled", None)
    monkeypatch.delattr(mmsim.machine, "compiled", raising=False)
    monkeypatch.setattr(speed, "warn_slow", lambda _: None)


class Begun(Exception):
    """Stands for a run that would take long."""


@pytest.fixture
def begun(monkeypatch):
    """Building any machine ends the run, in this process."""
    monkeypatch.setattr("mmsim.whatif.sweeps.executor_for", lambda *_: None)

    def build(plan):
        raise Begun

    monkeypatch.setattr("mmsim.whatif.plans.build", build)


def seconds(error):
    """(seconds that an error speaks of, pages)."""
    count, unit, pages = MINUTES.search(str(error.value)).groups()
    return int(count) * {"minutes": 60, "hours": 3600}[unit], int(pages.replace(",", ""))


def test_a_long_run_says_what_it_takes_and_what_helps(no_numba, begun):
    with pytest.raises(ScenarioError, match=r"pip install numba.*--set scale=1/\d+\..*anyway=True") as error:
        Scenario.load(LONG).run()
    expected, pages = seconds(error)
    assert pages == 4 << 20
    assert estimate.PAGE * pages <= expected < estimate.PAGE * pages + 60
    scale = re.search(r"scale=(\S+)\. ", str(error.value))[1]
    with pytest.raises(Begun):  # what it says would help does
        Scenario.load(LONG).run({"scale": scale})


def test_with_numba_and_where_asked_to_it_begins(begun, monkeypatch):
    pytest.importorskip("numba")
    with pytest.raises(Begun):
        Scenario.load(LONG).run()
    monkeypatch.setitem(sys.modules, "mmsim.machine.compiled", None)
    monkeypatch.delattr(mmsim.machine, "compiled", raising=False)
    with pytest.raises(Begun):
        Scenario.load(LONG).run(anyway=True)


def test_a_short_run_begins_without_numba(no_numba):
    assert Scenario.load(LONG).run({"scale": "1/65536"}).figures["direct"] == 64


def test_what_children_and_others_take_counts():
    family = Scenario.load("forked-server")
    plan, smaller = family.plan({"task.server.children": 3}), family.plan({"task.server.children": 1})
    heap = sum(area.size for area in plan.task[0].memory)
    assert estimate.pages(plan) - estimate.pages(smaller) == 2 * heap
    crowded = Scenario.load("target-nearly-full")
    assert estimate.pages(crowded.plan({"background.others.memory": 5})) - estimate.pages(
        crowded.plan({"background.others.memory": 0})
    ) == 5


def test_a_sweep_counts_all_its_points_and_divides_by_processes(no_numba, begun):
    scenario, grid = Scenario.load(LONG), {"scale": ["1", "1/2", "1/65536"]}
    with pytest.raises(ScenarioError) as alone:
        mmsim.sweep(scenario, grid, jobs=1)
    with pytest.raises(ScenarioError, match="processes: 2") as shared:
        mmsim.sweep(scenario, grid, jobs=2)
    assert seconds(alone)[1] == seconds(shared)[1] == (4 << 20) + (2 << 20) + 64
    assert seconds(alone)[0] > seconds(shared)[0]


def test_many_short_points_are_long(no_numba, begun):
    short = Scenario.load(LONG).plan({"scale": "1/64"})
    assert estimate.pages(short) * estimate.PAGE < estimate.PATIENCE
    with pytest.raises(ScenarioError, match="without numba"):
        mmsim.sweep(LONG, {"scale": ["1/64"], "kernel.swap": [1_000_000 + n for n in range(40)]}, jobs=1)


def test_points_that_are_kept_do_not_count(no_numba, begun, tmp_path):
    keep, grid, line = tmp_path / "rows.jsonl", {"kernel.patches": [7]}, tmp_path / "line"
    mmsim.sweep(LONG, grid, jobs=1, progress=False, keep=keep, anyway=True)
    with pytest.raises(ScenarioError, match="without numba"):  # one that has failed is tried again
        mmsim.sweep(LONG, grid, jobs=1, progress=False, keep=keep)
    keep.write_text(keep.read_text().replace('"error": "Begun: "', '"direct": 5, "error": ""'))
    assert mmsim.sweep(LONG, grid, jobs=1, progress=False, keep=keep)["direct"].tolist() == [5]
    with pytest.raises(ScenarioError, match="without numba"):
        mmsim.sweep(LONG, grid, jobs=1, progress=False, keep=line)


def test_a_sweep_that_is_to_begin_anyway_does(no_numba, begun):
    table = mmsim.sweep(LONG, {"kernel.patches": [7]}, jobs=1, progress=False, anyway=True)
    assert table["error"].tolist() == ["Begun: "]


def test_of_functions_nobody_knows_how_long_they_take(no_numba):
    def build():
        raise Begun

    with pytest.raises(Begun):
        Scenario("mine", build, build).run()


@pytest.mark.parametrize("command", [["run", LONG], ["sweep", LONG, "--grid", "kernel.patches=5,7", "--jobs", "1"]])
def test_the_command_ends_with_2_before_it_begins(no_numba, begun, capsys, command):
    with pytest.raises(SystemExit) as end:
        cli.main(command)
    assert end.value.code == 2
    assert MINUTES.search(capsys.readouterr().err)


def test_the_command_begins_anyway(no_numba, begun, capsys):
    with pytest.raises(Begun):
        cli.main(["run", LONG, "--anyway"])
    assert cli.main(["sweep", LONG, "--grid", "kernel.patches=7", "--jobs", "1", "--anyway"]) == 1
    assert "Begun" in capsys.readouterr().out


def test_the_widget_shows_it_as_it_shows_other_errors(no_numba, begun):
    widget = Sweep(LONG, {"kernel.patches": [5, 7]}, jobs=1)
    widget.run()
    assert MINUTES.search(widget.line.value)
    assert not widget.start.disabled


# -- memory

TB = {"machine.memory": "1 TB"}  # of each of two nodes


@pytest.fixture
def small_computer(monkeypatch):
    monkeypatch.setattr(estimate, "memory", lambda: 4 << 30)


@pytest.mark.usefixtures("small_computer")
def test_what_does_not_fit_into_memory_says_so_and_what_helps(begun):
    with pytest.raises(ScenarioError, match=r"takes about \d+\.\d GB of memory, .* has 4\.0 to give.*anyway") as error:
        Scenario.load(LONG).run(TB)
    scale = re.search(r"scale=(\S+)\. ", str(error.value))[1]
    with pytest.raises(Begun):  # what it says would help does
        Scenario.load(LONG).run(TB | {"scale": scale})
    with pytest.raises(Begun):
        Scenario.load(LONG).run(TB, anyway=True)


@pytest.mark.usefixtures("small_computer")
def test_of_what_fits_nearly_nearly_all_is_recommended(begun):
    given = {"machine.memory": "128 GB", "task.job.memory.heap.size": "72 GB"}
    with pytest.raises(ScenarioError, match=r"about 4\.1 GB of memory") as error:
        Scenario.load(LONG).run(given)
    scale = re.search(r"scale=(\S+)\. ", str(error.value))[1]
    assert 0.9 < eval(scale) < 1
    with pytest.raises(Begun):
        Scenario.load(LONG).run(given | {"scale": scale})


def test_an_answer_says_how_much_memory_it_took(capsys):
    assert cli.main(["run", "low-swap", "--set", "scale=1/8192", "--alone"]) == 0
    assert re.search(r"\ntook +\d+ MB of the memory of this computer\n", capsys.readouterr().out)


@pytest.mark.usefixtures("small_computer")
def test_the_points_of_a_sweep_must_fit_as_many_as_run_at_once(begun):
    half = {"machine.memory": ["80 GB", "81 GB", "1 GB"], "task.job.memory.heap.size": ["32 GB"]}
    assert "Begun" in mmsim.sweep(LONG, half, jobs=1, progress=False)["error"][0]
    with pytest.raises(ScenarioError, match=r"of memory, and this computer has 4\.0 to give; processes: 2"):
        mmsim.sweep(LONG, half, jobs=2, progress=False)


def test_what_the_estimate_says_is_what_the_tables_take():
    scenario, small = Scenario.load(LONG), {"scale": "1/512"}
    tables = scenario.run(small).kernel.tables
    assert estimate.size(scenario.plan(small)) / 2 < sum(table.nbytes for table in tables.values())
    assert estimate.size(scenario.plan(small)) > sum(table.nbytes for table in tables.values()) * 0.8


def test_no_memory_after_all_is_said_in_one_line(monkeypatch, capsys):
    def build(plan):
        raise MemoryError("Unable to allocate 95 TiB")

    monkeypatch.setattr("mmsim.whatif.plans.build", build)
    assert cli.main(["run", LONG, "--anyway"]) == 1
    assert capsys.readouterr().err == "mmsim: MemoryError: Unable to allocate 95 TiB\n"
