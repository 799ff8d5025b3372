"""Lesson 10 as a student goes through it, whatever kernel there is: predict, run, look, solve the exercises."""

from playwright.sync_api import expect
from student import button, cell, check_that_everyone_can_read, output, try_exercise, walk

NAME = "10-your-kernel.ipynb"


def test_everyone_can_read_it(finished):
    check_that_everyone_can_read(finished(NAME), 2)


def test_lesson_10_predict_run_and_check(finished):
    page = finished(NAME)
    asked = cell(page, NAME, "predict-moves")
    said = asked.get_by_role("status").first
    button(asked, "○ 8").click()
    expect(said).to_contain_text("✗ Not “8”. Hint: A page that was written after the fork was copied")
    button(asked, "○ 2").click()
    expect(said).to_contain_text("✓ Right. Rule: since 2.6.16 only pages that nobody else maps move")
    expect(output(cell(page, NAME, "run-real"))).to_contain_text("[1, 1, 1, 1, 0, 0, 0, 0]")
    expect(output(cell(page, NAME, "one-run"))).to_contain_text("-EFAULT")
    expect(output(cell(page, NAME, "which-without"))).to_contain_text("True")
    expect(output(cell(page, NAME, "record-own"))).to_contain_text("ecorded")
    try_exercise(page, NAME, "exercise-1", ("check(lesson10.first_release, 'V1')", "There all of them move."),
                 ("check(lesson10.first_release, '2.6.16')", "✓ Right."))  # fmt: skip
    try_exercise(
        page,
        NAME,
        "exercise-2",
        ("check(lesson10.own_experiment, experiment)", "which you know already"),
        ("check(lesson10.own_experiment, lambda kernel: {'policy': 1})", "the same on V1 and on 6.1"),
    )


def test_a_student_walks_through_it(finished):
    walk(finished(NAME), NAME)
