"""Lesson 00: its exercises know the mistake."""

# ruff: noqa: ARG005
import pytest

from mmsim import Policy
from mmsim.lessons import check, lesson00, predict, teaching


def by_range(first, end):
    return lambda a, heap: a.mbind(heap[first:end], Policy.bind(1), move=True)


@pytest.mark.parametrize(
    ("move", "said"),
    [
        (by_range(8, 16), "✓ Right."),
        (by_range(8, 15), "The pages 8 to 14 are on node 1. Python counts from 0"),
        (by_range(7, 16), "The pages 7 to 15 are on node 1."),
        (lambda a, heap: a.migrate_pages(0, 0, 1), "The whole heap has moved."),
        (lambda a, heap: a.mbind(heap[8:16], Policy.bind(1)), "A policy alone moves nothing"),
        (lambda a, heap: a.mbind(heap[8:16], Policy.bind(2), move=True), "The pages are on [0"),
        ("mbind", "Give a function"),
    ],
)
def test_moving_a_part(move, said):
    assert said in check(lesson00.moves_a_part, move).text


@pytest.mark.parametrize(
    ("letters", "said"),
    [
        ("B, A, C", "✓ Right."),
        (["B", "A", "C"], "✓ Right."),
        ("b a c", "✓ Right."),
        ("A, A, C", "A for the batch system: it cannot set a policy"),
        ("B, B, C", "B for the program: that would move the whole process"),
        ("B, A, B", "B for the department: new frames"),
        ("B, A", "Give three letters"),
    ],
)
def test_which_way(letters, said):
    assert said in check(lesson00.which_way, letters).text


def test_the_second_prediction_wrong_then_right_and_run_again():
    asked = predict(lesson00.second_call, seed=1)
    for value in (1, 0):
        asked.guess(value)
    assert predict(lesson00.second_call, seed=1).line.value.startswith("✓ Right.")
    teaching._KEPT.clear()
