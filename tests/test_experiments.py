"""The catalogue of experiments: on the model, on this machine, and as a record of a kernel that judges the model."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from machines import gone, no_numa

import mmsim
from mmsim import Kernel, Topology, cli
from mmsim.experiments import recording, verify
from mmsim.experiments.matrix import CATALOGUE
from mmsim.linux import Linux
from mmsim.machine.task import Task

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "tests/oracle/catalogue-6.1.jsonl"
LINES = RECORD.read_text().splitlines()
NAMES = [json.loads(line)["id"] for line in LINES[1:]]


live = pytest.mark.skipif(bool(no_numa()), reason=no_numa())


@pytest.fixture
def some(tmp_path):
    """A record of some of the experiments, after a change of its lines."""

    def write(names, change=lambda line: line, machine=None):
        lines = [json.loads(line) for line in LINES]
        kept = [machine or lines[0], *(change(line) for line in lines[1:] if line["id"] in names)]
        path = tmp_path / "some.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in kept))
        return path

    return write


def test_the_twelve_keep_their_names_and_the_catalogue_has_a_hundred_more():
    assert len(mmsim.EXPERIMENTS) == 12
    assert list(CATALOGUE)[:12] == list(mmsim.EXPERIMENTS)
    assert len(CATALOGUE) > 120
    assert list(CATALOGUE) == NAMES


@live
@pytest.mark.full
def test_ctrl_c_in_a_terminal_keeps_what_was_recorded(tmp_path):
    """SIGINT for all of its processes, as a terminal sends it; with Python alone, and not even its site-packages."""
    path = tmp_path / "mine.jsonl"
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from mmsim.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-I", "-S", "-c", code, "record", str(path)]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True) as recorder:
        while recorder.poll() is None and not (path.exists() and path.read_text().count("\n") > 20):
            time.sleep(0.01)
        children = Path(f"/proc/{recorder.pid}/task/{recorder.pid}/children").read_text().split()
        os.killpg(recorder.pid, signal.SIGINT)
        said = recorder.communicate(timeout=20)[1]
    assert recorder.returncode == 130
    assert said == f"interrupted; {path} has what was recorded until then\n"
    assert children
    assert gone(children)
    found = verify.judge_all(path)
    assert len(found) >= 20
    assert [it for it in found if it.verdict not in ("equal", "not asked")] == []


def test_a_pte_that_was_taken_away_meanwhile_is_not_the_kernels(monkeypatch):
    """A machine that reclaims a page of one of the files."""
    touch, calls = Task.touch, []

    def reclaimed(self, *args, **options):
        faults = touch(self, *args, **options)
        calls.append(faults)
        return faults._replace(minor=faults.minor + 1) if len(calls) == 4 else faults

    monkeypatch.setattr(Task, "touch", reclaimed)
    facts = mmsim.EXPERIMENTS["the next touch of a mapped file"](Kernel(Topology.uniform(), release="6.12"))
    assert (facts["faults at the next read"], len(calls)) == (0, 6)


def test_experiments_need_python_alone():
    code = f"""import sys; sys.path.insert(0, {str(ROOT)!r})
import mmsim.experiments.recording, mmsim.experiments.random_histories, mmsim.cli
print(sorted({{name.split(".")[0] for name in sys.modules}} & {{"numpy", "pandas", "tqdm"}}))"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_model_is_as_linux_6_1(some):
    """Four nodes, in QEMU (`mmsim vm record`): each tenth experiment."""
    found = verify.judge_all(some(NAMES[::10]))
    assert {it.verdict for it in found} <= {"equal", "not asked"}
    assert sum(it.verdict == "equal" for it in found) >= 15


@pytest.mark.full
def test_the_model_is_as_linux_6_1_in_all_of_them():
    counts = [it.verdict for it in verify.judge_all(RECORD)]
    assert (counts.count("equal"), counts.count("not asked")) == (168, 5)


def test_a_falsified_record_is_unexplained_and_the_command_shows_it(some, capsys):
    def falsify(line):
        line["facts"]["after"] = [3] * 8
        return line

    path = some(["private memory, mbind BIND 1 MOVE"], falsify)
    assert cli.main(["verify", str(path)]) == 1
    out = capsys.readouterr().out
    assert "1 unexplained" in out
    assert "Linux: [3, 3, 3, 3, 3, 3, 3, 3]\n        model: [1, 1, 1, 1, 1, 1, 1, 1]" in out
    assert cli.main(["verify", str(path), "--case", "private memory, mbind BIND 1 MOVE"]) == 1
    assert "since V1: " in capsys.readouterr().out


WRONG = {  # a model that lacks a change: an experiment in which it is found out
    "mapcount-rule": "private memory, a forked child, mbind BIND 1 MOVE",
    "node-in-both-stays": "memory on four nodes, migrate_pages 0-2 to 3",
    "locked-vmas-move": "private memory, locked, mbind BIND 1 MOVE",
    "hole-at-head": "mbind BIND 1 MOVE over a hole at its head",
    "static-relative": "a task's policy BIND 0-1 STATIC",
    "vma-policies-follow": "a job's cpuset changes, memory follows, BIND 0-1 of the memory",
}  # fmt: skip


@pytest.mark.parametrize("change", ["mapcount-rule", "locked-vmas-move", "vma-policies-follow"])
def test_a_wrong_model_is_found(change, some, monkeypatch):
    path = some([WRONG[change]])
    monkeypatch.setattr(verify, "explained", lambda *_: "")
    monkeypatch.setattr(verify, "Kernel", lambda without=(), **given: Kernel(without=[*without, change], **given))
    (found,) = verify.judge_all(path)
    assert found.verdict == "unexplained"


@pytest.mark.parametrize("change", ["mapcount-rule", "locked-vmas-move"])
def test_a_difference_is_explained_by_the_change_that_makes_it(change, some):
    """A record of a kernel that lacks one change is named by this change."""
    case = next(case for case in verify.read(RECORD) if case.id == WRONG[change])
    old = verify.facts_on(case, "6.1", without=[change])
    (found,) = verify.judge_all(some([case.id], lambda line: line | {"facts": old}))
    assert (found.verdict, found.why) == ("differ", f"as without the change {change}")


def test_what_a_later_kernel_brought_is_named(some):
    """A record of 5.4 that has what came with 5.5."""
    name = "memory on four nodes, move_pages to where they are"
    case = next(case for case in verify.read(RECORD) if case.id == name)
    machine = json.loads(LINES[0]) | {"kernel": "5.4.0-1-generic"}
    (found,) = verify.judge_all(some([name], lambda line: line | {"facts": case.facts}, machine))
    assert (found.verdict, found.why[:12]) == ("differ", "as Linux 5.5")


DAMAGED = {
    "an unknown experiment": (lambda line: line | {"id": "odd"}, "there is no experiment 'odd'"),
    "neither facts nor a reason": (lambda line: {"id": line["id"]}, "has facts, or a text"),
    "facts in words": (lambda line: line | {"facts": "all"}, "has facts, or a text"),
    "no id": (lambda line: {"facts": line["facts"]}, "has no 'id'"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_record_is_named(name, some, capsys):
    change, said = DAMAGED[name]
    path = some(NAMES[20:21], change)
    with pytest.raises(SystemExit) as ended:
        cli.main(["verify", str(path)])
    assert ended.value.code == 2
    assert re.search(rf"FILE: {re.escape(str(path))}, line 2.*{said}", capsys.readouterr().err)


@pytest.mark.parametrize(
    "machine", [{"distances": [[10, 20]]}, {"frames": [1]}, {"kernel": "yesterday"}, {"kernel": 6}]
)
def test_a_damaged_machine_is_named(machine, some):
    path = some(NAMES[:1], machine=json.loads(LINES[0]) | machine)
    with pytest.raises(ValueError, match="line 1: this describes no machine"):
        verify.judge_all(path)


# -- the recorder


@live
def test_this_machine_is_recorded_and_the_model_of_its_release_is_as_it(tmp_path, capsys, monkeypatch):
    some = {name: CATALOGUE[name] for name in [*NAMES[60:70], "private memory, locked, mbind BIND 1 MOVE"]}
    monkeypatch.setattr(recording, "CATALOGUE", some)
    path = tmp_path / "mine.jsonl"
    assert cli.main(["record", str(path)]) == 0
    assert "experiments recorded" in capsys.readouterr().out
    assert len(path.read_text().splitlines()) == len(some) + 1
    assert cli.main(["verify", str(path)]) == 0
    assert "   0 unexplained" in capsys.readouterr().out


@live
@pytest.mark.full
def test_this_machine_in_all_experiments(tmp_path):
    path = tmp_path / "mine.jsonl"
    recording.record_into(path)
    found = verify.judge_all(path)
    assert {it.case.id for it in found if it.verdict == "unexplained"} == set()
    assert sum(it.verdict == "equal" for it in found) > 100


@live
def test_ctrl_c_keeps_what_was_recorded(tmp_path, capsys, monkeypatch):
    def interrupted(kernel):
        raise KeyboardInterrupt

    name = "private memory, migrate_pages 0 to 1"
    monkeypatch.setattr(recording, "CATALOGUE", {name: CATALOGUE[name], "the next": interrupted})
    path = tmp_path / "mine.jsonl"
    assert cli.main(["record", str(path)]) == 130
    assert "has what was recorded until then" in capsys.readouterr().err
    (found,) = verify.judge_all(path)
    assert (found.case.id, found.verdict) == (name, "equal")
    with pytest.raises(SystemExit):
        cli.main(["record", str(path)])
    assert "exists; name another" in capsys.readouterr().err


def test_a_machine_that_cannot_be_recorded_says_why(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cli.main(["record", str(tmp_path / "mine.jsonl")]) == 1
    assert "not recorded: this is darwin, not Linux" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@live
@pytest.mark.filterwarnings("ignore:this machine has one")
def test_what_is_not_possible_here_is_said():
    with Linux() as kernel:
        experiments = {"no": lambda kernel: kernel.reclaim(3), "odd": lambda kernel: kernel.spawn("a").mmap("8"),
                       "errno": lambda kernel: kernel.spawn("a").touch(range(5, 6))}  # fmt: skip
        lines = [json.loads(line) for line in recording.record(kernel, experiments=experiments)]
        assert "kernel.reclaim" in lines[1]["not possible"]
        assert lines[2]["facts"] == {"ends with": "TypeError"}
        assert lines[3]["facts"] == {"ends with": "-EFAULT"}
        assert kernel.tasks == []


def test_facts_are_as_json_has_them():
    kernel = Kernel(Topology.uniform(nodes=2, frames=64))
    assert recording.facts_of(lambda k: {"a": (1, 2), "n": k.topology.nodes}, kernel) == {"a": [1, 2], "n": 2}
    assert recording.facts_of(partial(divmod, 1), 0) == {"ends with": "ZeroDivisionError"}
