"""One experiment on every kernel: what is found is found by running, whatever the tables say."""

import subprocess
import sys

import matplotlib.pyplot as plt
import pandas as pd
import pytest

import mmsim
from mmsim import CHANGES, RELEASES, Kernel, Scenario, Topology, plots, which_change
from mmsim.experiments import history as h
from mmsim.machine.releases import parse_release

EXPERIMENTS = mmsim.EXPERIMENTS


def swapless(kernel):
    task = kernel.spawn("a")
    heap = task.mmap(4)
    task.touch(heap, write=True)
    return {"answer": task.migrate_pages(0, 0, 1), "moved": task.placement(heap).count(1)}


def read_file(kernel):
    task = kernel.spawn("a")
    data = task.mmap(4, kernel.file("data", 4))
    task.touch(data)
    task.migrate_pages(0, 0, 1)
    return {"faults": tuple(task.touch(data))}


def rows(told):
    return told.changed[["fact", "release", "change", "before", "after"]].values.tolist()


def test_a_history_has_a_row_a_fact_and_a_column_a_kernel():
    told = mmsim.history(read_file)
    assert list(told.facts.columns) == [*RELEASES[:2], "V1", *RELEASES[2:]]
    assert list(told.facts.index) == ["ends with", "faults"]
    assert list(told.changed.columns) == ["fact", "release", "change", "before", "after"]


LONG = "more than the target holds"  # on fewer frames it would be another experiment
NAMES = [pytest.param(name, marks=pytest.mark.full) if name == LONG else name for name in EXPERIMENTS]


@pytest.mark.parametrize("name", NAMES)
def test_facts_are_those_of_each_kernel_alone_and_changes_where_they_differ(name):
    """The short cut, that a run depends on nothing that it does not look at, changes no fact."""
    experiment = EXPERIMENTS[name]
    told = mmsim.history(experiment)
    for column in told.facts:
        given = {"topology": Topology.uniform(h.NODES, h.FRAMES)} | experiment.machine
        kernel = Kernel(release=None if column == "V1" else column, **given)
        try:
            facts = experiment(kernel)
        except mmsim.KernelHang:
            facts = {"ends with": "KernelHang"}
        assert told.facts[column].dropna().to_dict() == facts
    found = [(fact, b) for a, b in zip(told.facts, told.facts.columns[1:], strict=False) for fact in told.facts.index
             if told.facts.at[fact, a] != told.facts.at[fact, b]]  # fmt: skip
    assert sorted(zip(told.changed["fact"], told.changed["release"], strict=True)) == sorted(found)
    assert len(found) > 0
    assert (told.changed["change"] != "").all()


@pytest.mark.parametrize("name", NAMES)
def test_without_the_change_that_was_found_it_is_as_before(name):
    """Left out by name, as anyone can do, the change brings the old fact back."""
    experiment = EXPERIMENTS[name]
    for fact, release, change, before, _ in rows(mmsim.history(experiment)):
        names = [n for n in change.split(" + ") if n in {c.name for c in CHANGES if c.release == release}]
        if not names or names != change.split(" + "):
            continue
        while more := {c.name for c in CHANGES if c.release == release and set(c.needs) & set(names)} - set(names):
            names += more
        given = {"topology": Topology.uniform(h.NODES, h.FRAMES)} | experiment.machine
        try:
            found = experiment(Kernel(release=release, without=names, **given)).get(fact)
        except mmsim.KernelHang as error:
            found = type(error).__name__ if fact == "ends with" else None
        assert found == before


def test_the_curves_that_go_up_and_down_again():
    def told(name):
        return [(r, c, b, a) for f, r, c, b, a in rows(mmsim.history(EXPERIMENTS[name])) if f == "pages on node 1"]

    assert told("absent node beside a present one")[1:] == [
        ("2.6.23", "absent-target", 4, 0), ("4.16", "targets-clipped", 0, 4)]  # fmt: skip
    assert told("a heap that was only read") == [
        ("2.6.24", "no-zero-page", 0, 4), ("2.6.32", "no-zero-page", 4, 0)]  # fmt: skip


def test_between_rc1_and_rc5_root_moved_no_shared_page():
    told = mmsim.history(EXPERIMENTS["root's call on shared pages"], ["2.6.16-rc5", "2.6.16", "V1"])
    assert told.facts.loc["pages on node 1"].to_dict() == {"V1": 4, "2.6.16-rc5": 0, "2.6.16": 4}
    assert told.changed["change"].tolist() == ["mapcount-rule", "root-moves-all"]


def test_errors_of_the_machine_are_facts():
    told = mmsim.history(swapless, ["2.6.14", "6.1"])
    assert told.facts.loc["ends with"].tolist() == ["-ENOSYS", None]
    assert told.facts["2.6.14"].dropna().tolist() == ["-ENOSYS"]


def test_a_fault_of_the_experiment_is_no_fact():
    with pytest.raises(ZeroDivisionError):
        mmsim.history(lambda _: {"a": 1 // 0})


def test_which_change_leads_from_one_kernel_to_another():
    assert [c.name for c in which_change(read_file, "V1", "3.14")] == ["file-ptes"]
    # since 3.15 a fault maps the neighbours as well: without file-ptes there would be one fault, not four
    assert [c.name for c in which_change(read_file, "V1", "6.1")] == ["file-ptes", "fault-around"]
    assert which_change(read_file, "6.1", None) == which_change(read_file, "V1", "6.1")
    assert which_change(read_file, "2.6.18", "6.1") == which_change(read_file, "6.1", "6.1") == []
    assert isinstance(which_change(read_file, "V1", "6.1")[0], mmsim.CHANGES[0].__class__)


def test_two_changes_that_only_together_bring_the_old_outcome_back():
    def both(kernel):
        return swapless(kernel) | {f"{key} on read": value for key, value in EXPERIMENTS[
            "the next touch of a mapped file"](kernel).items()}  # fmt: skip

    found = which_change(both, "2.6.17", "6.1", swap_slots=0)
    assert [c.name for c in found] == ["migration-entries"]  # and file-ptes, which needs it, goes with it
    found = which_change(both, "V1", "2.6.18", swap_slots=0)
    assert [c.name for c in found] == ["migration-entries"]


@pytest.mark.parametrize("wanted", [{"a"}, {"a", "d"}, {"b", "c", "e"}, set("acdf")])
def test_the_smallest_set_is_found(wanted):
    asked = []

    def holds(names):
        asked.append(names)
        return wanted <= set(names)

    assert set(h.smallest("abcdefgh", holds)) == wanted
    assert len(asked) < 80


def test_a_kernel_without_all_that_differs_is_the_earlier_one():
    kernels = [h.switches_of(parse_release(r)) for r in RELEASES]
    for a in kernels:
        for b in kernels:
            assert h.left_out(a, b, h.candidates(a, b)) == a


def test_what_a_dependency_needs_goes_with_it():
    a, b = (h.switches_of(parse_release(r)) for r in ("2.6.17", "2.6.18"))
    left = h.left_out(a, b, ["migration-entries"])
    assert not left & {"migration-entries", "file-ptes", "one-by-one", "move-pages"}
    assert left >= {"no-swap-no-migration", "chunks", "ten-passes"}


def test_the_same_compiled():
    pytest.importorskip("numba")
    given = {"releases": ["2.6.14", "V1", "2.6.17", "2.6.18", "6.12"]}
    compiled, interpreted = (mmsim.history(read_file, compiled=c, **given) for c in (True, False))
    assert rows(compiled) == rows(interpreted)
    pd.testing.assert_frame_equal(compiled.facts, interpreted.facts)


def test_a_thousand_pages_over_all_releases_need_few_runs():
    def thousand(kernel):
        task = kernel.spawn("a")
        heap = task.mmap(1000)
        task.touch(heap, write=True)
        return {"left": task.migrate_pages(0, 0, 1), "moved": task.placement(heap).count(1)}

    told = mmsim.history(thousand)
    assert len(told.runs._known) < len(RELEASES)
    assert told.facts["6.12"].to_dict() == {"ends with": None, "left": 0, "moved": 1000}


def follow(release=None, pages=4):
    kernel = Kernel(Topology.uniform(nodes=2, frames=256), release=release, trace=False)
    job = kernel.spawn("job")
    job.touch(job.mmap(pages), write=True)
    return kernel


def test_a_scenario_of_functions():
    scenario = Scenario("follow", follow, lambda kernel: kernel.tasks[0].migrate_pages(0, 0, 1))
    told = mmsim.history(scenario, ["2.6.17", "2.6.18"], pages=8)
    assert told.facts.loc["direct"].tolist() == [8, 8]
    assert set(told.changed["release"]) == {"2.6.18"}


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"experiment": 3}, TypeError, "experiment is 3; give a function of a kernel, or a Scenario"),
        ({"experiment": len, "releases": "6.1"}, TypeError, "releases is '6.1'; give several"),
        ({"experiment": len, "releases": []}, ValueError, "releases is empty"),
        ({"experiment": len, "releases": ["6.99"]}, ValueError, "the nearest that the model knows is 6.12"),
        ({"experiment": lambda _: 3}, TypeError, "returned 3; it gives facts"),
    ],
)
def test_what_is_no_experiment_is_refused(given, error, says):
    with pytest.raises(error, match=says):
        mmsim.history(**given)


def test_the_catalogue_imports_neither_numpy_nor_the_machine():
    code = "import sys, mmsim.experiments.catalogue; print({'numpy', 'mmsim.machine'} & set(sys.modules) or False)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_figure_says_what_changed_where_and_through_what():
    told = mmsim.history(EXPERIMENTS["absent node beside a present one"])
    ax = plots.history(told)
    written = {text.get_text() for text in ax.texts}
    assert written >= {"-EINVAL", "4", "0", "absent-target", "targets-clipped"}
    said = plots.describe(ax)
    assert "answer: -ENOSYS in 2.6.14, 0 from 2.6.16-rc1 on (swap-migration), -EINVAL from 2.6.23 on" in said
    assert ax.figure.get_size_inches()[0] * 96 < 800
    ax.figure.draw_without_rendering()
    fields = [patch.get_window_extent() for patch in ax.patches]
    for text in ax.texts:
        inside = text.get_window_extent()
        if text.get_rotation() == 0:
            assert any(f.x0 <= inside.x0 and inside.x1 <= f.x1 + 1 and f.y0 <= inside.y0 for f in fields), text
    plt.close(ax.figure)


def test_facts_that_are_always_0_are_not_drawn():
    ax = plots.history(mmsim.history(lambda kernel: {"none": 0, "nodes": kernel.topology.nodes}, ["V1", "6.1"]))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["nodes"]
    plt.close(ax.figure)


def test_a_figure_of_something_else_is_refused():
    with pytest.raises(TypeError, match=r"told is 3; give what mmsim.history\(\) returned"):
        plots.history(3)


def test_of_two_pairs_the_one_on_which_less_hangs_is_named():
    found = which_change(EXPERIMENTS["locked memory of one's own"], "2.6.16-rc1", "6.12")
    assert [change.name for change in found] == ["locked-vmas-move", "failures-counted"]
