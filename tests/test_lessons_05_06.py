"""Lessons 05 and 06: the machines that they show, and their exercises; tests/test_lessons.py asks every question."""

import json

import pytest

from mmsim import Policy, plots
from mmsim.lessons import ask, check, lesson05, lesson06
from mmsim.mm import aops, migrate_v1

# -- 05


@pytest.mark.parametrize(("patches", "gone"), [(7, "direct"), (lesson05.WITHOUT, "swapped out")])
@pytest.mark.parametrize("everyone", [False, True])
def test_who_of_the_household_comes_along(patches, gone, everyone):
    kernel, task = lesson05.household(patches)
    task.mbind(None, Policy.bind(1), move=True, move_all=everyone)
    kernel.verify()
    table = lesson05.fates(kernel)
    assert table.index.tolist() == list(lesson05.FATES)
    moved = {"forked", "database"} | ({"library"} if everyone else set())
    assert set(table.index[table["path"] == gone]) == moved
    stays = ~table.index.isin(moved)
    assert (stays == (table["reason"] != "")).all()
    assert set(table.index[table["path"] == "retries exhausted"]) == {"pinned"}


def test_every_errno_is_answered():
    table = lesson05.answers()
    assert {0, 1, "EPERM", "ESRCH", "EINVAL", "EIO"} == set(table["answer"])
    assert set(table["pages moved"]) == {0, 7}  # the pinned one stays
    assert set(table["answer"][table["pages moved"] == 7]) == {0, 1, "EIO"}


def test_references_are_counted_with_a_pte_for_each_process():
    """fork() copies no ptes of a file that was never written privately: each child must have used the page."""
    for seed in range(1, 25):
        question = ask(lesson06.expected_references, seed)
        users, nr_refs = int(question.text.split()[0]), int(question.rule.split("nr_refs = ")[1][0])
        assert question.answer == users + nr_refs


def test_questions_of_lesson_05_reach_every_answer():
    assert {ask(lesson05.new_page, seed).answer for seed in range(40)} == {0, 1, 2, 3}
    assert {ask(lesson05.stays, seed).answer for seed in range(40)} == {"direct", "not collected", "retries exhausted"}
    assert {ask(lesson05.answered, seed).answer for seed in range(60)} == {0, 1, "EPERM", "ESRCH", "EINVAL", "EIO"}


def test_a_pairing_is_that_of_the_rule():
    """Each pair joins a node with the one of its place, and the wrong orders would mix pages or pair others."""
    for seed in range(20):
        question = ask(lesson05.pairing, seed)
        old, new = (json.loads(part[: part.index("]") + 1]) for part in question.text.split("the nodes ")[1:])
        partners = {f"{n} to {new[i % len(new)]}" for i, n in enumerate(old) if n != new[i % len(new)]}
        assert set(question.answer.split(", ")) == partners
        assert question.answer not in question.wrong


@pytest.mark.parametrize("new", ["1-3", "1-2"])
def test_a_page_that_moves_into_a_frame_just_left_keeps_its_line_in_the_timeline(new):
    kernel, task, _ = lesson05.spread()
    task.migrate_pages(0, "0-2", new)
    copies = kernel.vmstat()["migrated"]
    assert plots.describe(plots.timeline(kernel)).startswith(f"Timeline of 18 pages: moved {copies}, over")


def bound(task, heap):
    task.mbind(heap, Policy.bind(1), move=True)


def rebound(task, heap):
    task.migrate_pages(0, 0, 1)
    task.set_mempolicy(Policy.bind(1))


def forgotten(task, heap):
    task.migrate_pages(0, 0, 1)


# -- 06


@pytest.mark.parametrize("state", lesson06.STATES)
@pytest.mark.parametrize("fs", lesson06.FS_NAMES)
def test_a_path_and_its_writes_fit(fs, state):
    for patches in (lesson06.WITHOUT, 7):
        found = lesson06.account(fs, patches, state)
        written = found["file writes"] + found["swap writes"]
        stuck = found["error"] == "-EAGAIN" and state != "flushed"  # what pdflush has written is not written again
        assert (written == 2) == (found["path"] == "direct after writeout" or stuck)
        assert written in (0, 2)
        assert (found["error"] != "") == (found["path"] in ("failed for good", "retries exhausted"))


def test_the_obstacles_of_a_page_with_buffers():
    kernel, task = lesson06.obstacles()
    assert task.migrate_pages(0, 0, 1) == 1
    kernel.verify()
    assert kernel.last.pages["passes"].tolist() == [1, 11, 4, 2]
    assert task.placement().count(0) == 1


def test_questions_of_lesson_06_reach_every_answer():
    assert {ask(lesson06.path_of, seed).answer for seed in range(60)} == set(lesson06.PATHS)
    assert {3, 4, 5, 6, 7} <= {ask(lesson06.expected_references, seed).answer for seed in range(40)}


METHODS = {"blockfs": aops.BUFFER_MIGRATE_PAGE, "netfs": aops.MIGRATE_PAGE,
           "blockfs-meta": aops.FAIL_MIGRATE_PAGE}  # fmt: skip


def patient(kernel, task):
    kernel.wait(5_000_000_000)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (lesson05.twice, 24),
        (lesson05.for_good, bound),
        (lesson05.for_good, rebound),
        (lesson06.saved, 20),
        (lesson06.method_table, METHODS),
        (lesson06.method_table, METHODS | {"netfs": aops.BUFFER_MIGRATE_PAGE}),
        (lesson06.patience, patient),
    ],
)
def test_right_answers_pass(question, answer):
    assert check(question, answer)


def test_what_is_wrong_is_said():
    assert "6 pages came back" in check(lesson05.for_good, forgotten).text
    assert "TypeError" in check(lesson05.for_good, 5).text
    assert "copied twice" in check(lesson05.twice, 18).text
    for empty in (..., "MIGRATE_PAGE"):
        assert "where the dots are" in check(lesson06.method_table, dict.fromkeys(METHODS, empty)).text
    said = check(lesson06.method_table, METHODS | {"blockfs": aops.MIGRATE_PAGE}).text
    assert "`blockfs`: retries exhausted" in said
    assert "`netfs`" not in said
    assert "The page is gone" in check(lesson06.patience, lambda _, task: task.munmap(None)).text
    assert "retries exhausted" in check(lesson06.patience, lambda *_: None).text


def test_a_readers_methods_are_taken_out_again():
    before = migrate_v1.migrate_page_method
    assert not check(lesson06.method_table, METHODS | {"netfs": aops.NO_METHOD})
    assert migrate_v1.migrate_page_method is before
