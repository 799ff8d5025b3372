"""Lesson 09 as a student goes through it: predict, look for the change, solve an exercise."""

from playwright.sync_api import expect
from student import button, cell, check_that_everyone_can_read, said, try_exercise, walk

NAME = "09-any-kernel.ipynb"


def test_everyone_can_read_it(finished):
    check_that_everyone_can_read(finished(NAME), 5)


def test_lesson_09_predict_run_and_check(finished):
    page = finished(NAME)
    asked = cell(page, NAME, "predict-which")
    button(asked, "○ mapcount-rule").click()
    expect(said(asked)).to_contain_text("✓ Right. Rule: MOVE takes only pages that nobody else maps.")
    lab = cell(page, NAME, "lab")
    button(lab, "4.16: targets-clipped").click()
    expect(lab).to_contain_text("They part at event")
    try_exercise(page, NAME, "exercise-2", ("check(lesson09.first_release, '2.6.18')", "migration entries came"),
                 ("check(lesson09.first_release, '2.6.21')", "✓ Right."))  # fmt: skip


def test_a_student_walks_through_it(finished):
    walk(finished(NAME), NAME)
