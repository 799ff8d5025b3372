"""Lessons 03 and 04: the machines that they show, and their exercises; tests/test_lessons.py asks every question."""

# ruff: noqa: ARG005
import pytest

from mmsim.lessons import ask, check, lesson03, lesson04
from mmsim.mm import migrate_v1, structs


@pytest.mark.parametrize("patches", [(1,), (1, 3), (1, 3, 4), (1, 3, 6), 7])
def test_each_obstacle_has_one_path(patches):
    kernel, task = lesson03.obstacle_course(patches)
    assert task.placement() == [0] * len(lesson03.OBSTACLES)
    lesson03.move(kernel, task)
    kernel.verify()
    table = lesson03.outcome(kernel)
    assert table.index.tolist() == list(lesson03.OBSTACLES)
    stays = table["path"].isin(["failed for good", "retries exhausted"])
    assert (stays == (table["reason"] != "")).all()
    assert set(table.index[stays]) == {"pinned", "journal"} | ({"no swap slot"} if patches != 7 else set())


def test_a_story_ends_where_its_page_ends():
    kernel, task = lesson03.obstacle_course()
    lesson03.move(kernel, task)
    for name in ("none", "clean file", "locked", "writeback", "dirty file", "buffers"):
        assert "has moved to frame" in lesson03.story(kernel, name)["what"].iloc[-1]
    assert "failed for good" in lesson03.story(kernel, "no swap slot")["what"].iloc[-1]
    assert [label for label in lesson03.story(kernel, "pinned").index if label] == [str(n) for n in range(11)]
    assert lesson03.story(kernel, "pinned", last=1).index[-1] == ""


def test_questions_of_lesson_03_reach_every_answer():
    paths = {ask(lesson03.path_of, seed).answer for seed in range(40)}
    assert paths == set(lesson03.PATHS)
    assert {ask(lesson03.pass_of, seed).answer for seed in range(40)} == {f"pass {n}" for n in (0, 1, 3, 4)}


def test_questions_of_lesson_04_reach_every_answer():
    kinds = {ask(lesson04.kind_of_fault, seed).answer for seed in range(20)}
    assert kinds == {lesson04.NO_FAULT, lesson04.MINOR, lesson04.PROTECTION}
    assert 0 in {ask(lesson04.minor_faults, seed).answer for seed in range(20)}


def pass_4(kernel, a, page):
    kernel.hold_lock(a, page, kernel.clock + 1_000_000)


def gone(kernel, a, page):
    a.munmap(page, at=kernel.clock + 1)


def ours(k, pte, entry):
    return pte.flags & structs.PTE_SWAP and pte.value == entry


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (lesson03.five_obstacles, ask(lesson03.five_obstacles).answer),
        (lesson03.moves_in_pass_4, pass_4),
        (lesson03.freed_meanwhile, gone),
        (lesson03.references, 5),
        (lesson04.restored, 20),
        (lesson04.slots_needed, 64),
        (lesson04.own_test, ours),
    ],
)
def test_right_answers_pass(question, answer):
    assert check(question, answer)


def test_what_is_wrong_is_said():
    dots = dict.fromkeys(ask(lesson03.five_obstacles).answer, ...)
    assert "where the dots are" in check(lesson03.five_obstacles, dots).text
    one = ask(lesson03.five_obstacles).answer | {"pinned": "direct"}
    assert "4 of 5 are right" in check(lesson03.five_obstacles, one).text
    assert "`pinned`" in check(lesson03.five_obstacles, one).text
    assert "Give a function" in check(lesson03.moves_in_pass_4, 4).text
    assert "gone before" in check(lesson03.freed_meanwhile, lambda kernel, a, page: a.munmap(page)).text
    assert "three dots" in check(lesson04.own_test, lambda k, pte, entry: ...).text
    assert "holds a frame" in check(lesson04.own_test, lambda k, pte, entry: True).text


def test_a_readers_test_is_taken_out_again():
    before = migrate_v1.remove_from_swap
    assert not check(lesson04.own_test, lambda k, pte, entry: 1 / 0)
    assert migrate_v1.remove_from_swap is before


@pytest.mark.parametrize("patches", [(1, 3), (1, 3, 4), (1, 2, 3, 5, 6, 7), 7])
def test_the_account_of_a_migration(patches):
    saved = patches == 7 or 4 in patches
    bill = lesson04.account(patches, pages=8)
    assert (bill["swap ptes"], bill["real ptes"]) == ((0, 8) if saved else (8, 0))
    assert (bill["faults in all"], bill["slots in use then"]) == ((8, 0) if saved else (16, 8))
    assert lesson04.account(patches, ("write",), 8)["faults in all"] == 8
