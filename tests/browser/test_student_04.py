"""Lesson 04 as a student goes through it: predict, run the lab, solve the exercises."""

from lab import settled
from playwright.sync_api import expect
from student import button, cell, check_that_everyone_can_read, said, serious, try_exercise, walk

NAME = "04-remove-from-swap.ipynb"


def test_everyone_can_read_it(finished):
    check_that_everyone_can_read(finished(NAME), 6)


def test_lesson_04_predict_run_and_check(finished):
    page = finished(NAME)
    asked = cell(page, NAME, "predict-kind")
    button(asked, "○ a minor fault a page").click()
    expect(said(asked)).to_contain_text("✗ Not “a minor fault a page”.")
    asked = cell(page, NAME, "predict-number")
    button(asked, "Check").click()
    expect(said(asked)).to_contain_text("○ No answer yet")
    for typed, judged in (("7", "✗ Not “7”. Does a fault of one process"), ("14", "✓ Right.")):
        asked.get_by_label("Answer").fill(typed)
        button(asked, "Check").click()
        expect(said(asked)).to_contain_text(judged)

    lab = cell(page, NAME, "lab")
    button(lab, "Last").click()
    expect(lab.locator(".mm-flow")).to_have_accessible_name("Paths: considered 8, direct after writeout 8.")
    counters = lab.locator(".mm-panels")
    expect(counters).to_contain_text("swap slots in use\t0", use_inner_text=True)
    button(lab, "Settings ▸").click()
    lab.get_by_label("4 remove_from_swap").uncheck()
    settled(page)
    button(lab, "Last").click()
    expect(counters).to_contain_text("swap slots in use\t8", use_inner_text=True)
    assert not serious(page, ".mm-lab")

    try_exercise(page, NAME, "exercise-1", ("check(lesson04.restored, 10)", "There are two page tables"),
                 ("check(lesson04.restored, 20)", "✓ Right."))  # fmt: skip
    try_exercise(page, NAME, "exercise-2", ("check(lesson04.slots_needed, 1)", "That is so with patch 6"),
                 ("check(lesson04.slots_needed, 64)", "✓ Right."))  # fmt: skip
    call = "check(lesson04.own_test, lambda k, pte, entry: pte.flags & structs.PTE_SWAP{})"
    try_exercise(page, NAME, "exercise-3", (call.format(""), "✗ Not yet. A pte leads to a page that is not its own"),
                 (call.format(" and pte.value == entry"), "✓ Right."))  # fmt: skip


def test_a_student_walks_through_it(finished):
    walk(finished(NAME), NAME)
