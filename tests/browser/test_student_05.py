"""Lesson 05 as a student goes through it: predict, run the lab, solve the exercises."""

from lab import settled
from playwright.sync_api import expect
from student import button, cell, check_that_everyone_can_read, said, serious, try_exercise, walk

NAME = "05-policy-and-syscalls.ipynb"


def test_everyone_can_read_it(finished):
    check_that_everyone_can_read(finished(NAME), 4)


def test_lesson_05_predict_run_and_check(finished):
    page = finished(NAME)
    asked = cell(page, NAME, "predict-pairs")
    button(asked, "○ 0 to 2, 1 to 4, 4 to 2").click()
    expect(said(asked)).to_contain_text("Then pages would arrive on a node among others that have still to leave it.")
    button(asked, "○ 0 to 2, 4 to 2, 1 to 4").click()
    expect(said(asked)).to_contain_text("✓ Right. Rule: node_remap()")
    for place, wrong, right in (("predict-new", 2, 3), ("predict-stays", "direct", "not collected"),
                                ("predict-answer", 0, 1)):  # fmt: skip
        asked = cell(page, NAME, place)
        button(asked, f"○ {wrong}").click()
        expect(said(asked)).to_contain_text(f"✗ Not “{wrong}”.")
        button(asked, f"○ {right}").click()
        expect(said(asked)).to_contain_text("✓ Right.")

    lab = cell(page, NAME, "lab")
    sentence = lab.locator(".mm-said")
    button(lab, "Step").click()
    expect(sentence).to_contain_text("do_migrate_pages(): next pair: node 2 to node 3")
    button(lab, "Last").click()
    expect(sentence).to_contain_text("migrate_pages returned 0; pages: direct 18")
    expect(lab.locator(".mm-sentences")).to_contain_text("migrate_pages returned 0; pages: swapped out 6")
    button(lab, "Settings ▸").click()
    lab.get_by_label("C cpuset").check()
    settled(page)
    button(lab, "Last").click()
    expect(sentence).to_contain_text("pages: direct 18")
    assert not serious(page, ".mm-lab")

    try_exercise(page, NAME, "exercise-1", ("check(lesson05.twice, 18)", "Can one be copied twice?"),
                 ("check(lesson05.twice, 24)", "✓ Right."))  # fmt: skip
    call = "check(lesson05.for_good, lambda task, heap: task.{})"
    try_exercise(page, NAME, "exercise-2", (call.format("migrate_pages(0, 0, 1)"), "6 pages came back to node 0"),
                 (call.format("mbind(heap, Policy.bind(1), move=True)"), "✓ Right."))  # fmt: skip
    call = "check(lesson05.own_remap, lambda node, old, new: new[{} % len(new)])"
    try_exercise(page, NAME, "exercise-3", (call.format("node"), "Your function says"),
                 (call.format("old.index(node)"), "✓ Right."))  # fmt: skip


def test_a_student_walks_through_it(finished):
    walk(finished(NAME), NAME)
