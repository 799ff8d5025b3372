"""Lesson 08: its questions reach every answer, and say what is wrong; tests/test_lessons.py asks each of them."""

# ruff: noqa: ARG005
import pytest

from mmsim.lessons import ask, check, lesson08


def test_questions_reach_every_answer():
    assert {ask(lesson08.pays, seed).answer for seed in range(20)} == {
        lesson08.EARLIER, lesson08.SAME, lesson08.LATER,
    }  # fmt: skip
    assert {ask(lesson08.where, seed).answer for seed in range(20)} == {
        lesson08.TARGET, lesson08.ELSEWHERE, lesson08.NOWHERE,
    }  # fmt: skip


MENDED = lesson08.BROKEN.replace("two-sockets", "two-socket").replace("8 MBytes", "8 MB").replace("jop", "job")


def family(children):
    kernel = lesson08.job(64)
    for _ in range(children):
        kernel.tasks[0].fork()
    return kernel


def stays_behind(children):
    kernel = family(children)
    for task in kernel.tasks:
        task.run_on(0)
    return kernel


@pytest.mark.parametrize(
    ("question", "answer"),
    [(lesson08.repaired, MENDED), (lesson08.fast_enough, 13_000), (lesson08.own_build, family)],
)
def test_right_answers_pass(question, answer):
    assert check(question, answer)


@pytest.mark.parametrize(
    ("question", "answer", "said"),
    [
        (lesson08.repaired, MENDED.replace('"8 MB"', '"9 MB"'), "It was to have 8 MB"),
        (lesson08.repaired, MENDED.replace("[1, 2, 3, 4, 5, 7]", "7"), "Leave the patches"),
        (lesson08.repaired, MENDED.replace('"job"\nold', '"jop"\nold'), "did you mean 'job'?"),
        (lesson08.fast_enough, 80_000, "the break-even is at 543"),
        (lesson08.fast_enough, 1_000, "swap may be slower than that"),
        (lesson08.own_build, lambda children: ..., "three dots"),
        (lesson08.own_build, lambda children: lesson08.job(64), "With children=3 there are 1 processes"),
        (lesson08.own_build, lambda children: lesson08.job(32), "32 pages have moved directly, not 64"),
        (lesson08.own_build, stays_behind, "do not run on node 1"),
    ],
)
def test_what_is_wrong_is_said(question, answer, said):
    result = check(question, answer)
    assert not result
    assert said in result.text
