"""Lesson 05: pairs and placements that its text names, and the reader's own pairing; more in test_lessons_05_06.py."""

# ruff: noqa: ARG005
import pytest

from mmsim import Policy
from mmsim.lessons import ask, check, lesson05


@pytest.mark.parametrize(
    ("new", "placement", "pairs"),
    [
        ("1-3", [1, 2, 3], ["2 to 3", "1 to 2", "0 to 1"]),
        ("3", [3, 3, 3], ["0 to 3", "1 to 3", "2 to 3"]),
        ("1,3", [1, 3, 1], ["1 to 3", "0 to 1", "2 to 1"]),
        ("0-2", [0, 1, 2], []),
        ("1-2", [1, 2, 2], ["2 to 1", "1 to 2", "0 to 1"]),
    ],
)
def test_pairs_and_placement(new, placement, pairs):
    kernel, task, heap = lesson05.spread(each=2)
    task.migrate_pages(0, "0-2", new)
    kernel.verify()
    assert task.placement(heap) == [node for node in placement for _ in range(2)]
    assert lesson05.pairs(kernel) == pairs


def test_without_the_patch_there_are_no_pairs():
    kernel, task, heap = lesson05.spread(lesson05.WITHOUT, each=2)
    task.migrate_pages(0, "0-2", "1-3")
    assert task.placement(heap) == [None, None, 1, 1, 2, 2]
    assert lesson05.pairs(kernel) == []


def test_the_right_order_has_no_place_of_its_own_among_the_choices():
    asked = [ask(lesson05.pairing, seed) for seed in range(30)]
    assert len({question.choices.index(question.answer) for question in asked}) > 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_readers_own_pairing(seed):
    assert check(lesson05.own_remap, lambda node, old, new: new[old.index(node) % len(new)], seed)
    by_number = check(lesson05.own_remap, lambda node, old, new: new[node % len(new)], seed)
    assert not by_number
    assert "Your function says" in by_number.text
    assert "IndexError" in check(lesson05.own_remap, lambda node, old, new: new[old.index(node)], seed).text


def test_a_policy_or_a_move_alone_is_not_for_good():
    assert not check(lesson05.for_good, lambda task, heap: None)
    assert "on the nodes [0, 0" in check(lesson05.for_good, lambda task, _: task.set_mempolicy(Policy.bind(1))).text
