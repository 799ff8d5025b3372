"""Lessons 07 and 09: the machines that they show, and their exercises; tests/test_lessons.py asks every question."""

# ruff: noqa: ARG005
import json

import pytest

from mmsim import Policy, plots
from mmsim.experiments import verify
from mmsim.lessons import ask, check, lesson07, lesson09
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


# -- records


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
