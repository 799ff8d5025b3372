"""Rows that a sweep keeps: whose they are, what is tried again, damaged files; points that end their process."""

import contextlib
import functools
import json
import os
import signal
import sys
import threading
import time
import types

import joblib
import numpy as np
import pytest
from test_whatif import build, follow

import mmsim
from mmsim import Costs, Policy, Scenario
from mmsim.whatif import FIGURES, ScenarioError, sweeps
from mmsim.whatif.content import digest

ANOTHER = "has rows of another scenario or seed; name another file, or delete it"
HALF = 2  # a global that functions below refer to


def swept(scenario, keep, pages=(8, 16), **options):
    return mmsim.sweep(scenario, {"pages": list(pages)}, jobs=1, progress=False, keep=keep, **options)


@pytest.fixture
def keep(tmp_path):
    return tmp_path / "rows.jsonl"


# -- whose rows they are


def made(lines, **names):
    """The function `build` that some lines define, as a cell of a notebook does."""
    names = {"__name__": "__main__", "given": build, **names}
    exec(compile(lines, "<cell>", "exec"), names)
    return names["build"]


PLAIN = "def build(pages):\n    return given(pages)\n"
CHANGES = {
    "other code": "def build(pages):\n    return given(2 * pages)\n",
    "another default": "def build(pages, runs_on=0):\n    return given(pages, runs_on=runs_on)\n",
    "another function that it calls": "def helper(pages):\n    return pages // 2\n"
    "def build(pages):\n    return given(helper(pages))\n",
    "another number": "HALF = 4\ndef build(pages):\n    return given(pages // HALF)\n",
    "a function in it": "def build(pages):\n    return (lambda: given(pages, 0))()\n",
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_function_of_the_same_name_gets_no_rows(keep, name):
    swept(Scenario("mine", made(PLAIN), follow), keep)
    with pytest.raises(ValueError, match=ANOTHER):
        swept(Scenario("mine", made(CHANGES[name]), follow), keep)
    with pytest.raises(ValueError, match=ANOTHER):
        swept(Scenario("mine", made(PLAIN), lambda kernel: kernel.tasks[0].migrate_pages(0, 0, 0)), keep)


def test_the_same_function_under_another_name_further_down_gets_its_rows(keep):
    swept(Scenario("mine", made(PLAIN), follow), keep)
    again = made("# a remark\n\n" + PLAIN.replace("build", "other") + "build = other\n")
    ran = []
    scenario = Scenario("yours", again, lambda kernel: ran.append(kernel) or follow(kernel))
    with pytest.raises(ValueError, match=ANOTHER):
        swept(scenario, keep)
    table = swept(Scenario("yours", again, follow), keep)
    assert table["direct"].tolist() == [8, 16]
    assert len(keep.read_text().splitlines()) == 3


def test_what_functions_refer_to_counts():
    def one(number):
        return made("def helper():\n    return number\ndef build(pages):\n    return helper()\n", number=number)

    assert digest(one(1)) == digest(one(1)) != digest(one(2))
    values = [1, 1.0, True, "1", None, (1,), [1], {1: 2}, {1}, np.arange(3), np.arange(4), Policy.bind(1),
              Policy.bind(2), Costs(), Costs(copy=3), len, int, Costs, types, functools.partial(one, 1),
              functools.partial(one, 2), "".join, range(3), object(), sys.stdout]  # fmt: skip
    assert len({digest(one(value)) for value in values}) == len(values)
    assert [digest(one(value)) for value in values] == [digest(one(value)) for value in values]


def test_a_list_counts_as_it_was_at_first():
    """A function that notes its calls is the same one afterwards; another list is another one."""
    calls, others = [], [1]

    def counting():
        return calls.append(1)

    before = digest(counting)
    counting()
    assert digest(counting) == before
    calls = others
    assert digest(counting) != before


def test_classes_of_ones_own_wrapped_functions_and_methods_count():
    def one(text):
        names = {"__name__": "__main__"}
        exec(f"class Own:\n    number = {text}\n    def double(self): return 2 * self.number\n", names)
        return names["Own"]

    assert digest(one("1")) == digest(one("1")) != digest(one("2"))
    assert digest(one("1")()) != digest(one("2")())
    assert digest(one("1")().double) != digest(one("2")().double)
    assert digest(functools.cache(made(PLAIN))) != digest(functools.cache(made(CHANGES["other code"])))


def test_what_refers_to_itself_has_an_end():
    def recursive(n):
        return recursive(n - 1)

    loop = [1]
    loop.append(loop)
    assert digest(recursive) == digest(recursive)
    assert digest(loop) != digest([1, [1]])


def test_modules_of_ones_own_count_with_their_text(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_module_of_test_kept.py").write_text("number = 1\n")
    import own_module_of_test_kept as own

    before = digest(own)
    (tmp_path / "own_module_of_test_kept.py").write_text("number = 2\n")
    assert digest(own) != before
    assert digest(os) == digest(os)


def test_another_version_of_mmsim_gets_no_rows(keep, monkeypatch):
    scenario = Scenario("mine", build, follow)
    swept(scenario, keep)
    monkeypatch.setattr("mmsim.whatif.kept.__version__", "99.0")
    with pytest.raises(ValueError, match=ANOTHER):
        swept(scenario, keep)


def test_a_scenario_file_is_known_by_what_it_says(tmp_path, keep):
    grid, text = {"scale": ["1/4096"]}, (mmsim.whatif.scenario.SHIPPED / "low-swap.toml").read_text()

    def sweep(text):
        (tmp_path / "mine.toml").write_text(text)
        return mmsim.sweep(tmp_path / "mine.toml", grid, jobs=1, progress=False, keep=keep)

    sweep(text)
    rows = keep.read_text()
    renamed = text.replace('name = "', 'name = "another ', 1)
    renamed = renamed.replace("[grid]", '[report]\nfigures = ["direct"]\n\n[grid]')
    assert renamed != text
    sweep("# a remark\n" + renamed)
    sweep(text[: text.index("[grid]")] + '[grid]\n"kernel.patches" = [5, 7]\n')
    assert keep.read_text() == rows
    with pytest.raises(ValueError, match=ANOTHER):
        sweep(text.replace('memory = "32 GB"', 'memory = "31 GB"'))


# -- what is tried again


@pytest.mark.usefixtures("here")
def test_points_that_failed_are_tried_again_and_others_not(keep):
    ran, broken = [], [True]

    def sometimes(pages):
        ran.append(pages)
        if pages == 16 and broken:
            raise RuntimeError("not today")
        return build(pages)

    scenario = Scenario("sometimes", sometimes, follow)
    assert swept(scenario, keep)["error"].tolist() == ["", "RuntimeError: not today"]
    assert swept(scenario, keep)["error"].tolist() == ["", "RuntimeError: not today"]
    broken.clear()
    assert swept(scenario, keep)["direct"].tolist() == [8, 16]
    assert swept(scenario, keep)["direct"].tolist() == [8, 16]
    assert ran == [8, 16, 16, 16]


def test_a_call_that_was_refused_under_way_is_an_answer_and_is_not_asked_again(keep):
    ran = []

    def full(pages):
        ran.append(pages)
        return build(1500, swap=0)

    for _ in range(2):
        table = swept(Scenario("full", full, follow), keep, [1])
        assert "no memory" in table["error"][0]
        assert table["failed for good"][0] > 0
        keep_first = keep.read_text()
    assert keep.read_text() == keep_first


# -- points that end their process


def deadly(pages, how="exit"):
    if pages == 16 and how == "exit":
        os._exit(3)
    if pages == 16 and how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if pages == 16 and how == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    return build(pages)


@pytest.mark.full
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(("how", "said"), [("exit", r"EXIT\(3\)"), ("kill", "SIGKILL.*memory"), ("segv", "SIGSEGV")])
def test_a_point_that_ends_its_process_costs_its_own_row_only(keep, how, said, jobs):
    grid = {"pages": [16, 8, 24, 32, 40], "how": [how]}
    table = mmsim.sweep(Scenario("deadly", deadly, follow), grid, jobs=jobs, progress=False, keep=keep)
    assert table["direct"].tolist()[1:] == [8, 24, 32, 40]
    assert table["error"].tolist()[1:] == [""] * 4
    assert table["error"].str.contains(f"the process of this point has ended: .*{said}")[0]
    rows = [json.loads(line) for line in keep.read_text().splitlines()[1:]]
    assert len(rows) == 5
    assert sum(set(row["row"]) == {"error"} for row in rows) == 1


@pytest.mark.full
def test_the_first_of_many_may_end_its_process_too():
    grid = {"pages": [16, *range(1, 12)], "how": ["exit"]}
    table = mmsim.sweep(Scenario("deadly", deadly, follow), grid, jobs=2, progress=False)
    assert table["direct"].tolist()[1:] == [*range(1, 12)]
    assert "has ended" in table["error"][0]


@pytest.mark.full
def test_where_joblib_takes_one_process_for_all_cores_a_point_may_end_it_too(monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert joblib.effective_n_jobs(-1) == 1
    table = mmsim.sweep(Scenario("deadly", deadly, follow), {"pages": [8, 16], "how": ["exit"]}, progress=False)
    assert table["direct"][0] == 8
    assert "EXIT(3)" in table["error"][1]


def test_what_no_other_process_can_be_given_runs_in_this_one():
    lock, ran = threading.Lock(), []

    def guarded(pages):
        with lock:
            ran.append(pages)
        return build(pages)

    table = mmsim.sweep(Scenario("guarded", guarded, follow), {"pages": [8, 16]}, jobs=1, progress=False)
    assert table["direct"].tolist() == ran == [8, 16]


def test_a_sweep_that_was_interrupted_leaves_no_process_at_work(keep):
    def interrupts(pages, pid, begun):
        if pages == 16 and not os.path.exists(begun):
            open(begun, "w").close()
            os.kill(pid, signal.SIGINT)
            time.sleep(3600)  # the next sweep would wait for it
        return build(pages)

    grid = {"pages": [8, 16], "pid": [os.getpid()], "begun": [str(keep.with_name("begun"))]}
    scenario = Scenario("interrupts", interrupts, follow)
    with pytest.raises(KeyboardInterrupt):
        mmsim.sweep(scenario, grid, jobs=1, progress=False, keep=keep)
    assert len(keep.read_text().splitlines()) == 2
    table = mmsim.sweep(scenario, grid, jobs=1, progress=False, keep=keep)
    assert table["direct"].tolist() == [8, 16]


def test_one_that_is_interrupted_while_its_process_begins_leaves_none_either(keep, monkeypatch):
    begun = keep.with_name("begun")

    def waits(pages, begun):
        if not os.path.exists(begun):
            open(begun, "w").close()
            time.sleep(3600)
        return build(pages)

    @contextlib.contextmanager
    def interrupted():
        yield
        while not begun.exists():
            time.sleep(0.01)
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeps, "out_of_ctrl_c", interrupted)
    scenario, grid = Scenario("waits", waits, follow), {"pages": [8, 16], "begun": [str(begun)]}
    with pytest.raises(KeyboardInterrupt):
        mmsim.sweep(scenario, grid, jobs=1, progress=False)
    assert mmsim.sweep(scenario, grid, jobs=1, progress=False)["direct"].tolist() == [8, 16]


@pytest.mark.full
@pytest.mark.usefixtures("cluster")
def test_a_point_that_ends_a_worker_of_a_cluster_costs_its_own_row_only():
    grid = {"pages": [8, 16, 24, 32], "how": ["exit"]}
    table = mmsim.sweep(Scenario("deadly", deadly, follow), grid, progress=False)
    assert table["error"].str.contains("the process of this point has ended: ").tolist() == [False, True, False, False]
    assert table["direct"].drop(1).tolist() == [8, 24, 32]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_point_that_exits_python_is_one_that_failed(jobs):
    def leaves(pages):
        if pages == 16:
            sys.exit("enough")
        return build(pages)

    table = mmsim.sweep(Scenario("leaves", leaves, follow), {"pages": [8, 16, 24]}, jobs=jobs, progress=False)
    assert table["error"].tolist() == ["", "SystemExit: enough", ""]


# -- files that were damaged


DAMAGE = {
    "cut": '{"point": "{',
    "another kind": "[]",
    "no row": '{"point": "x"}',
    "no point": '{"point": 3, "row": {"error": ""}}',
    "no error": '{"point": "x", "row": {}}',
    "an unknown figure": '{"point": "x", "row": {"error": "", "speed": 3}}',
    "nested": "[" * 100_000,
    "empty": "",
    "no text": "\udcff\udcfe",
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_line_is_named(keep, name):
    scenario = Scenario("mine", build, follow)
    swept(scenario, keep)
    head, first, second = keep.read_text().splitlines()
    damaged = "\n".join([head, first, DAMAGE[name], second, ""]).encode(errors="surrogateescape")
    keep.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"keep: .*rows\.jsonl, line 3 is damaged: .*; delete the line"):
        swept(scenario, keep)
    assert keep.read_bytes() == damaged


@pytest.mark.parametrize("text", ["name = 'x'\n", "[1]\n", "a,b\n1,2\n", "{}\n", "\x00"])
def test_a_file_of_something_else_is_left_alone(keep, text):
    keep.write_text(text)
    with pytest.raises(ValueError, match=r"rows\.jsonl is no file in which a sweep has kept"):
        swept(Scenario("mine", build, follow), keep)
    assert keep.read_text() == text


def test_a_line_that_was_cut_off_at_the_end_runs_again(keep):
    scenario = Scenario("mine", build, follow)
    swept(scenario, keep)
    whole = keep.read_bytes()
    for cut in (1, 10, 50):
        keep.write_bytes(whole[:-cut])
        assert swept(scenario, keep)["direct"].tolist() == [8, 16]
        assert keep.read_bytes() == whole


def test_an_empty_file_is_begun(keep):
    keep.write_text("")
    assert swept(Scenario("mine", build, follow), keep)["direct"].tolist() == [8, 16]
    assert len(keep.read_text().splitlines()) == 3
    assert set(json.loads(keep.read_text().splitlines()[1])["row"]) == set(FIGURES)


def test_a_disk_that_is_full_ends_the_sweep_and_names_the_file(keep, monkeypatch, tmp_path):
    with pytest.raises(OSError, match=r"none/rows\.jsonl"):
        swept(Scenario("mine", build, follow), tmp_path / "none/rows.jsonl")
    with monkeypatch.context() as patch, open("/dev/full", "wb", buffering=0) as full:
        patch.setattr("mmsim.whatif.kept.Path.open", lambda *_: full)
        with pytest.raises(OSError, match=r"No space left on device: .*rows\.jsonl"):
            swept(Scenario("mine", build, follow), keep)
    assert len(keep.read_text().splitlines()) == 1


def test_a_wrong_grid_is_refused_before_the_file_is_begun(keep):
    with pytest.raises(ScenarioError, match="no parameter"):
        mmsim.sweep(Scenario("mine", build, follow), {"page": [8]}, keep=keep)
    assert not keep.exists()
