"""Lesson 10: the same experiments on the model and on a real kernel, or on its record; whatever machine this is."""

import json
import re
import warnings
from pathlib import Path

import nbformat
import pytest
from cells import FOLDER
from machines import no_numa

from mmsim import Kernel, Topology, plots
from mmsim.lessons import ask, check, lesson10
from mmsim.linux import machine

CELLS = {c.id: c.source for c in nbformat.read(FOLDER / "10-your-kernel.ipynb", as_version=4).cells}
live = pytest.mark.skipif(bool(no_numa()), reason=no_numa())


@pytest.fixture
def ten_lines():
    """The function of station 1."""
    names = {}
    exec(CELLS["question-lines"], names)
    return names["experiment"]


@pytest.fixture
def no_linux(monkeypatch):
    monkeypatch.setattr(machine.sys, "platform", "darwin")


@pytest.fixture
def hole():
    """The function of station 6, which needs one node only."""
    names = {}
    exec(CELLS["one-lines"], names)
    return names["hole"]


def nothing(kernel):
    return {"mine": 1}


def test_the_ten_lines_are_the_experiment_that_was_recorded(ten_lines):
    recorded = lesson10.recorded(lesson10.WORKER).facts
    given = ten_lines(lesson10.model("6.1"))
    assert given == {name: recorded[name] for name in given}


def test_where_no_linux_is_the_record_stands_in_and_says_why(ten_lines, no_linux):
    seen = lesson10.real(ten_lines, lesson10.WORKER)
    assert seen.release == "6.1.0-56-amd64"
    assert "not here, because this is darwin, not Linux" in seen.where
    assert lesson10.here().startswith("this is darwin, not Linux")
    assert seen.facts == ten_lines(lesson10.model("6.1"))
    assert repr(seen).splitlines()[-3:] == [f"  {name}: {fact}" for name, fact in seen.facts.items()]
    table = lesson10.beside(ten_lines, seen)
    assert list(table) == ["V1", "model of 6.1", "Linux 6.1.0-56-amd64"]
    assert (table["model of 6.1"] == table["Linux 6.1.0-56-amd64"]).all()
    assert (table["V1"] == table["Linux 6.1.0-56-amd64"]).to_list() == [True, False, False]


@live
def test_this_machine_is_asked_where_it_has_nodes_enough(ten_lines, hole):
    with lesson10.machine() as linux:
        nodes, release = linux.topology.nodes, linux.release
    assert lesson10.here().startswith(f"Linux {release}, {nodes} node")
    seen = lesson10.real(hole, lesson10.HOLE, nodes=1)
    assert (seen.release, seen.where) == (release, "this machine")
    assert lesson10.beside(hole, seen).iloc[0].to_list()[1:] == ["-EFAULT"] * 2
    moved = lesson10.real(ten_lines, lesson10.WORKER)
    assert (moved.where == "this machine") is (nodes > 1 and not lesson10.too_small(linux.topology, 2))


def test_a_machine_that_is_too_small_says_so():
    four = Topology.uniform(nodes=4, frames=64)
    cpus = ((0,), (1,), (), ())
    real = machine.read_topology.__globals__["Topology"](4, four.frames, four.distances, cpus)
    assert lesson10.too_small(real, 2) == ""
    assert "one NUMA node" in lesson10.too_small(real._replace(nodes=1, frames=(64,)), 2)
    assert lesson10.too_small(real._replace(nodes=1, frames=(64,)), 1) == ""
    assert "2 nodes with memory" in lesson10.too_small(real._replace(frames=(64, 0, 64, 64)), 2)
    assert "a CPU of node 0" in lesson10.too_small(real._replace(cpus=((), (1,), (), ())), 1)


def test_facts_that_were_not_recorded_and_unknown_experiments_are_named(hole, no_linux):
    assert lesson10.real(nothing, lesson10.HOLE).facts == {"mine": "not recorded"}
    with pytest.raises(ValueError, match="name is 'odd'"):
        lesson10.real(hole, "odd")


def test_every_answer_of_the_predictions_is_reached():
    asked = [ask(lesson10.who_moves, seed) for seed in range(1, 40)]
    assert {q.choices.index(q.answer) for q in asked} == {0, 1, 2, 3}
    assert {ask(lesson10.what_it_answers, seed).answer for seed in range(1, 20)} == {0, "-EFAULT"}


def locked(kernel):
    task = kernel.spawn("a", node=0)
    heap = task.mmap(4, locked=True)
    task.migrate_pages(0, 0, 1)
    return {"after": task.placement(heap)}


def test_an_experiment_of_ones_own_is_judged():
    assert check(lesson10.own_experiment, locked)
    assert "the same on V1 and on 6.1" in check(lesson10.own_experiment, nothing).text
    assert "mapcount-rule, which you know" in check(lesson10.own_experiment, lesson10.forked).text
    assert "kernel.clock is not for a user's program" in check(lesson10.own_experiment, lesson10._clock).text
    assert check(lesson10.first_release, "2.6.16")


@live
def test_an_experiment_of_ones_own_is_recorded_and_judges_the_model(tmp_path):
    def shown(kernel):
        return {"policy": str(kernel.spawn("a").get_mempolicy())}

    path = tmp_path / "mine.jsonl"
    assert lesson10.keep(shown, path).splitlines()[1:] == ["  policy: default", "The model: equal"]
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["env", "shown"]
    said = lesson10.keep(lesson10._clock, path)
    assert "cannot do it: kernel.clock is not for a user's program" in said
    assert lesson10.keep(shown, tmp_path / "no/where").startswith("Not recorded: No such file")


def test_what_cannot_be_recorded_says_what_to_do(no_linux, tmp_path):
    said = lesson10.keep(locked, tmp_path / "mine.jsonl")
    assert said.startswith("Not recorded: this is darwin, not Linux")
    assert list(tmp_path.iterdir()) == []


def test_the_figure_says_where_each_page_is(ten_lines, no_linux):
    table = lesson10.beside(ten_lines, lesson10.real(ten_lines, lesson10.WORKER))
    said = plots.describe(plots.placements(lesson10.places(table)))
    assert "V1: parent 8 on node 1 and worker 4 on node 0, then 4 on node 1;" in said
    assert "Linux 6.1.0-56-amd64: parent 4 on node 1, then 4 on node 0" in said


def test_the_first_example_of_the_page_about_a_real_linux_runs():
    text = (Path(__file__).parents[1] / "docs/real-linux.md").read_text()
    names = {}
    code = re.search(r"```python\n(.+?)```", text, re.DOTALL)[1].split("with Linux()")[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(code, names)
    assert names["experiment"](Kernel(Topology.uniform(nodes=4))) == (0, [1] * 8)
