"""Lesson 06 as a student goes through it: predict, run the lab, solve the exercises."""

from lab import settled
from playwright.sync_api import expect
from student import button, cell, check_that_everyone_can_read, output, said, serious, solve, try_exercise, walk

NAME = "06-buffer-migrate.ipynb"


def test_everyone_can_read_it(finished):
    check_that_everyone_can_read(finished(NAME), 5)


def test_lesson_06_predict_run_and_check(finished):
    page = finished(NAME)
    asked = cell(page, NAME, "predict-path")
    button(asked, "○ direct after writeout").click()
    expect(said(asked)).to_contain_text("✗ Not “direct after writeout”.")
    button(asked, "○ direct").click()
    expect(said(asked)).to_contain_text("✓ Right. Rule: its writepage puts the page into the swap cache")
    asked = cell(page, NAME, "predict-references")
    for typed, judged in (("3", "✗ Not “3”. These are the ptes alone."), ("6", "✓ Right.")):
        asked.get_by_label("Answer").fill(typed)
        button(asked, "Check").click()
        expect(said(asked)).to_contain_text(judged)

    lab = cell(page, NAME, "lab")
    sentences = lab.locator(".mm-sentences")
    button(lab, "Last").click()
    expect(sentences).to_contain_text("with buffers 6, failed for good 2, retries exhausted 2")
    expect(sentences).to_contain_text("pages: direct after writeout 18, retries exhausted 2")
    expect(lab.locator(".mm-panels")).to_contain_text("file writes\t6\t14", use_inner_text=True)
    button(lab, "Settings ▸").click()
    lab.get_by_label("6 buffers").uncheck()
    settled(page)
    button(lab, "Last").click()
    expect(lab.locator(".mm-said")).to_contain_text("pages: direct after writeout 18, retries exhausted 2")
    assert not serious(page, ".mm-lab")

    try_exercise(page, NAME, "exercise-1", ("check(lesson06.saved, 5)", "What about the anonymous pages?"),
                 ("check(lesson06.saved, 20)", "✓ Right."))  # fmt: skip
    place = cell(page, NAME, "exercise-2")
    expect(output(place)).to_contain_text("✗ Not yet. Put a method where the dots are")
    call = 'check(lesson06.method_table, dict(zip(["blockfs", "netfs", "blockfs-meta"], {})))'
    for methods, judged in (("[1, 1, 3]", "blockfs: retries exhausted"), ("[2, 1, 3]", "✓ Right.")):
        solve(page, place, call.format(methods))
        expect(output(place)).to_contain_text(judged)
    call = "check(lesson06.patience, lambda kernel, task: kernel.wait({}))"
    try_exercise(page, NAME, "exercise-3", (call.format("10**6"), "✗ Not yet. The path is: retries exhausted."),
                 (call.format("5 * 10**9"), "✓ Right."))  # fmt: skip


def test_a_student_walks_through_it(finished):
    walk(finished(NAME), NAME)
