"""Lessons 07 and 09: the machines that they show, and their exercises; tests/test_lessons.py asks every question."""

# ruff: noqa: ARG005
import errno
import json
import shutil
import subprocess
import sys

import pytest

from mmsim import Policy, plots
from mmsim.experiments import verify
from mmsim.experiments.records import Case, Record
from mmsim.lessons import ask, check, lesson07, lesson09
from mmsim.linux import recorder
from mmsim.mm import migrate_v1, structs

# -- 07: the reserve


@pytest.mark.parametrize("mask", lesson07.MASKS)
def test_how_deep_a_mask_may_go(mask):
    """Above the low mark everybody gets a page; below, each down to its own mark, and one that may wait always."""
    answers = {free: lesson07.allocation(free, mask)[0] for free in (81, 80, 65, 64, 25, 24)}
    if mask == "GFP_KERNEL":
        assert list(answers.values()) == [lesson07.AT_ONCE] * 3 + [lesson07.RECLAIMED] * 3
    else:
        assert list(answers.values()) == [lesson07.AT_ONCE] * 5 + [lesson07.NO_PAGE]


@pytest.mark.parametrize("file_pages", range(10, 61, 5))
def test_on_the_small_machine_the_patch_decides_whatever_the_size_of_the_job(file_pages):
    failed = [
        lesson07.bill(patches, lesson07.small, file_pages=file_pages, trace=False)["failed for good"]
        for patches in (lesson07.WITHOUT, 7)
    ]
    assert failed == [lesson07.SMALL["anonymous"], 0]


def test_questions_of_lesson_07_reach_every_answer():
    kinds = {ask(lesson07.gets_a_page, seed).answer for seed in range(30)}
    assert kinds == {lesson07.AT_ONCE, lesson07.RECLAIMED, lesson07.NO_PAGE}
    assert {ask(lesson07.what_stays, seed).answer for seed in range(30)} == {0, 12}


def test_the_history_of_free_pages_ends_with_what_is_free_now():
    kernel, job = lesson07.small(7)
    free = kernel.tables["zone"]["free"][0]
    history = lesson07.history(kernel, job)
    assert history["free"].iloc[0] == free
    assert history["free"].min() == kernel.vmstat()["lowest_free_0"]
    assert (history["free"].diff().dropna() != 0).all()
    assert history["time"].is_monotonic_increasing


def test_where_there_is_nothing_to_reclaim_the_patch_does_harm():
    without, with_it = (lesson07.bill(p, lesson07.nothing_to_reclaim) for p in (lesson07.WITHOUT, 7))
    assert (without["failed for good"], with_it["failed for good"]) == (0, 12)
    assert with_it["pages reclaimed"] == 0
    assert with_it["rounds of direct reclaim"] == 12


def heap_first(kernel, job, heap):
    job.mbind(heap, Policy.bind(1), move=True)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (lesson07.slab_pages, 3),
        (lesson07.before_the_heap, 9),
        (lesson07.without_the_patch, heap_first),
        (lesson07.own_mask, structs.GFP_WAIT | structs.GFP_HIGH),
    ],
)
def test_right_answers_pass(question, answer):
    assert check(question, answer)


def no_interrupts(kernel, job, heap):
    kernel.interrupts(0, None)


def test_what_is_wrong_is_said():
    assert "0 of the 12 pages" in check(lesson07.without_the_patch, lambda kernel, job, heap: None).text
    assert "must go on" in check(lesson07.without_the_patch, no_interrupts).text
    assert "Give a function" in check(lesson07.without_the_patch, 4).text
    assert "12 pages fail in station 1" in check(lesson07.own_mask, structs.GFP_HIGH).text
    assert "Put it together" in check(lesson07.own_mask, "GFP_KERNEL").text


def test_a_readers_mask_is_taken_out_again():
    assert not check(lesson07.own_mask, structs.GFP_HIGH)
    assert migrate_v1.GFP_KERNEL is structs.GFP_KERNEL


def test_the_figures_say_the_marks_of_the_zone():
    kernel, job = lesson07.small(7)
    zone = kernel.tables["zone"][0]
    said = plots.describe(plots.watermarks(kernel))
    for name in ("min", "low", "high"):
        assert f"{name} {zone[f'pages_{name}']}" in said
    said = plots.describe(plots.free_pages({"mine": lesson07.history(kernel, job)}, kernel))
    assert f"to its least, {kernel.vmstat()['lowest_free_0']}," in said


# -- 09: any kernel


def test_questions_of_lesson_09_reach_every_answer():
    assert {ask(lesson09.what_it_gives, seed).answer for seed in range(12)} == {0, 4}
    asked = [ask(lesson09.which_did_it, seed) for seed in range(24)]
    assert {q.choices.index(q.answer) for q in asked} == {0, 1, 2}


def next_write(kernel):
    task = kernel.spawn("a", node=0)
    heap = task.mmap(4)
    task.touch(heap, write=True)
    task.migrate_pages(0, 0, 1)
    return {"protection": task.touch(heap, write=True).protection}


def test_exercises_of_lesson_09():
    assert check(lesson09.own_experiment, next_write)
    assert "the same in 2.6.17 and in 2.6.18" in check(lesson09.own_experiment, lambda kernel: {"clock": 0}).text
    assert "Give a function" in check(lesson09.own_experiment, 5).text
    assert check(lesson09.first_release, "2.6.21")
    assert "migration entries came" in check(lesson09.first_release, "2.6.18").text
    assert check(lesson09.one_change, "migration-entries")


def test_the_schedulers_job_pays_sooner_on_a_kernel_of_today():
    job = lesson09.scheduler()
    assert job["V1"]["faults"] > job["6.1"]["faults"] == 0
    assert job["6.1"]["break_even"] < job["V1"]["break_even"]


MATRIX = "migrate_pages_matrix"


def pairs(source, target):
    """The pairs of nodes in the order of migration: the i-th node goes to the (i mod n)-th.

    First one that goes where nothing waits to leave, else the last that moves.
    """
    to = {node: target[i % len(target)] for i, node in enumerate(source)}
    waiting = list(source)
    while moving := [node for node in waiting if to[node] != node]:
        node = next((node for node in moving if to[node] not in waiting), moving[-1])
        waiting.remove(node)
        yield node, to[node]


def todays_rule(before, source, target):
    for old, new in pairs(source, target):
        if len(source) == len(target) or old not in target:
            before = [new if node == old else node for node in before]
    return before


# -- the recorder


def test_node_masks():
    assert recorder.mask_of([]).raw == bytes(recorder.BITS // 8)
    assert recorder.mask_of([0, 3]).raw[:2] == b"\x09\x00"
    assert recorder.mask_of([8, 63, 64]).raw[:9] == b"\x00\x01" + bytes(5) + b"\x80\x01"


@pytest.mark.parametrize("nodes", [2, 3, 4, 8])
def test_what_is_asked_can_be_replayed(nodes):
    """Every experiment has a record that the model understands, whatever a kernel answers."""
    distances = [[10 if a == b else 20 for b in range(nodes)] for a in range(nodes)]
    asked = list(recorder.experiments(list(range(nodes))))
    for group, setup, call in asked if nodes == 2 else asked[::17]:
        placed = [setup["place"][i % len(setup["place"])] for i in range(setup["pages"])]
        raw = {"setup": {"kind": "anon_private", "caller": "uid1000", "cpu": 0} | setup, "call": call, "before": placed}
        raw |= {"id": "own", "group": group, "ret": 0, "errno": "OK", "after": placed}
        case = Case("own", group, *map(Record, (raw["setup"], call, raw), ["here"] * 3), distances)
        found = verify.judge(case._replace(release="6.1"))
        assert found.verdict != "not asked"
        assert found.model.get("error") is None
        assert found.model["before"] == placed


def test_a_recording_of_two_nodes_is_compared(tmp_path):
    def record(name, old, new, after):
        setup, call = {"kind": "anon_private", "pages": 12}, {"name": "migrate_pages", "from": old, "to": new}
        return {"id": name, "group": "migrate_pages_matrix", "setup": setup, "call": call, "ret": 0, "errno": "OK",
                "before": [0, 1] * 6, "after": after}  # fmt: skip

    lines = [{"id": "env", "kernel": "6.1.0", "distance0": "10 21", "distance1": "21 10"},
             record("moved", [0], [1], [1] * 12),
             record("stays today", [0, 1], [1], [1] * 12), record("kept", [1], [0, 1], [0, 1] * 6),
             record("wrong", [0], [1], [0, 1] * 6)]  # fmt: skip
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = {it.case.id: it for it in verify.judge_all(file)}
    assert {name: it.verdict for name, it in found.items()} == {"moved": "equal", "stays today": "equal",
                                                                "kept": "equal", "wrong": "unexplained"}  # fmt: skip
    assert [change.name for change in verify.changes_of(found["kept"].case)] == ["node-in-both-stays"]


def no_system(*args):
    raise OSError(errno.EPERM, "get_mempolicy() answers EPERM: a container may forbid it")


@pytest.mark.parametrize(
    ("where", "name", "value", "said"),
    [
        (recorder.sys, "platform", "darwin", "this is darwin on"),
        (recorder.platform, "machine", lambda: "riscv64", "on riscv64, not Linux on x86_64 or aarch64"),
        (recorder, "syscall", no_system, "answers EPERM: a container may forbid it"),
    ],
)
def test_a_machine_that_cannot_be_recorded_says_why(where, name, value, said, monkeypatch, tmp_path):
    monkeypatch.setattr(where, name, value)
    answer = recorder.main(tmp_path / "mine.jsonl")
    assert answer.startswith("Not recorded: ")
    assert said in answer
    assert list(tmp_path.iterdir()) == []


def test_a_recording_is_replaced_by_a_whole_one_only(monkeypatch, tmp_path):
    def full(file, text):
        file.write_bytes(text.encode()[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    file = tmp_path / "mine.jsonl"
    recorder.write(file, "first\n")
    with monkeypatch.context() as patch:
        patch.setattr(recorder.Path, "write_text", full)
        with pytest.raises(OSError, match="No space left"):
            recorder.write(file, "second, and longer\n")
    assert {file: file.read_text() for file in tmp_path.iterdir()} == {file: "first\n"}
    recorder.write(file, "third\n")
    recorder.write(recorder.Path("/dev/null"), "nowhere\n")
    assert {file: file.read_text() for file in tmp_path.iterdir()} == {file: "third\n"}


def fake_nodes(mode, nodes):
    """get_mempolicy(2) on a machine with other nodes, or in a process with a policy."""

    def syscall(name, *args):
        if args[1] is None:
            args[0]._obj.value = mode
        else:
            args[1].raw = recorder.mask_of(nodes).raw
        return 0

    return syscall


linux = pytest.mark.skipif(sys.platform != "linux" or recorder.platform.machine() not in recorder.NUMBERS,
                           reason="system calls of Linux")  # fmt: skip


@linux
@pytest.mark.parametrize(
    ("mode", "nodes", "said"),
    [(0, [0], "one NUMA node only"), (0, [0, 8], "it may use nodes [0, 8]"), (2, [0, 1], "without numactl")],
)
def test_a_process_that_cannot_be_recorded_says_why(mode, nodes, said, monkeypatch, tmp_path):
    monkeypatch.setattr(recorder, "syscall", fake_nodes(mode, nodes))
    assert said in recorder.main(tmp_path / "mine.jsonl")


@linux
@pytest.mark.parametrize(("effective", "usable"), [("0000000000800000", False), ("00000000ff7fffff", True)])
def test_only_a_user_who_cannot_move_the_pages_of_others_may_record(effective, usable, monkeypatch):
    monkeypatch.setattr(recorder, "syscall", fake_nodes(0, [0, 1]))
    monkeypatch.setattr(recorder.Path, "read_text", lambda path: f"CapEff:\t{effective}\n")
    if usable:
        assert recorder.usable_nodes() == [0, 1]
    else:
        with pytest.raises(OSError, match="CAP_SYS_NICE"):
            recorder.usable_nodes()


class KernelOfToday:
    """What the system calls of a machine with two nodes do, as far as migrate_pages(2) is concerned."""

    def __init__(self):
        self.nodes = {}  # address: node

    def __call__(self, name, *args):
        return getattr(self, name)(*args)

    def get_mempolicy(self, _mode, mask, *_):
        if mask:
            mask.raw = recorder.mask_of([0, 1]).raw
        return 0

    def move_pages(self, _pid, count, places, to, status, _flags):
        for i in range(count):
            if to:
                self.nodes[places[i]] = to[i]
            status[i] = self.nodes[places[i]]
        return 0

    def migrate_pages(self, _pid, _maxnode, source, target):
        source, target = ([n for n in (0, 1) if mask.raw[0] >> n & 1] for mask in (source, target))
        places = list(self.nodes)
        self.nodes = dict(zip(places, todays_rule([self.nodes[p] for p in places], source, target), strict=True))
        return 0

    def mbind(self, *_):
        return 0


@linux
def test_a_whole_recording_is_written_and_compared(monkeypatch, tmp_path, capsys):
    texts = {"node0": "10 21\n", "node1": "21 10\n", "self": "CapEff:\t0\n"}
    monkeypatch.setattr(recorder, "syscall", KernelOfToday())
    monkeypatch.setattr(recorder.Path, "read_text", lambda path: texts[path.parent.name])
    monkeypatch.setattr(recorder.Path, "glob", lambda path, pattern: [path / "node0"])
    monkeypatch.setattr(recorder.os, "sched_setaffinity", lambda pid, cpus: None)
    assert recorder.main(tmp_path / "mine.jsonl") == 0
    assert "40 experiments recorded" in capsys.readouterr().out
    told = [it._replace(case=None) for it in verify.judge_all(tmp_path / "mine.jsonl")]
    assert {it.verdict for it in told} == {"equal", "unexplained"}  # this mbind moves nothing


@pytest.fixture
def live():
    """Skip where this kernel does not answer the system calls; else a node that this process has memory on."""
    try:
        return recorder.Memory(1).move_pages()[0]
    except (OSError, KeyError, AttributeError) as error:
        pytest.skip(f"no system calls here: {error!r}")


def test_own_pages_are_asked_for_and_moved_on_the_live_kernel(live):
    memory = recorder.Memory(5)
    assert memory.places[0] // recorder.mmap.PAGESIZE % 12 == 4
    assert memory.move_pages() == memory.move_pages(to=[live] * 5) == [live] * 5
    with pytest.raises(OSError, match=r"move_pages\(\) answers E(NODEV|INVAL)"):
        memory.move_pages(to=[1023] * 5)


BIND = {"name": "mbind", "mode": "MPOL_BIND", "flags": "STRICT|MOVE"}


@pytest.mark.parametrize("extra", [{}, {"special": "mlock() all 8 pages"}, {"sharing": "fork: both"}])
def test_an_experiment_on_the_live_kernel_has_the_form_of_the_record(live, extra):
    record = recorder.perform("mbind", {"pages": 4, "place": [live]} | extra, BIND | {"nodes": [live]})
    assert list(record) == ["group", "setup", "call", "before", "ret", "errno", "after"]
    assert (record["ret"], record["errno"]) == (0, "OK")
    assert record["before"] == record["after"] == [live] * 4
    told = next(case for case in verify.read(verify.recording("6.1")) if case.id == "mb_default_f1")
    assert record.keys() | {"id"} <= told.raw.keys()
    refused = recorder.perform("mbind", {"pages": 4, "place": [live]}, BIND | {"nodes": [1000]})
    assert (refused["ret"], refused["errno"]) == (-1, "EINVAL")


def test_the_recorder_alone_is_enough(tmp_path):
    """Copied elsewhere, without mmsim: it records, or says why not."""
    copy = tmp_path / "recorder.py"
    shutil.copy(recorder.__file__, copy)
    done = subprocess.run([sys.executable, "-S", "-I", copy, tmp_path / "mine.jsonl"], capture_output=True, text=True)
    recorded = (tmp_path / "mine.jsonl").exists()
    assert recorded == (done.returncode == 0)
    assert ("experiments recorded" in done.stdout) if recorded else done.stderr.startswith("Not recorded: ")
