"""Lesson 07 as a student goes through it: predict, also by keys, run the lab, solve the exercises."""

from lab import settled
from playwright.sync_api import expect
from student import Keys, button, cell, check_that_everyone_can_read, said, serious, try_exercise, walk

NAME = "07-add-to-swap-gfp.ipynb"


def test_a_prediction_of_lesson_07_by_keys(open_notebook):
    page = open_notebook(NAME, run=False)
    keys = Keys(page, NAME)
    asked = keys.run_to("predict-mask")
    expect(button(asked, "○ no page")).to_be_visible()
    keys.back_to("○ a page, after direct reclaim")
    page.keyboard.press("Enter")
    expect(said(asked)).to_contain_text("✓ Right.")


def test_everyone_can_read_it(finished):
    check_that_everyone_can_read(finished(NAME), 5)


def test_lesson_07_predict_run_and_check(finished):
    page = finished(NAME)
    asked = cell(page, NAME, "predict-mask")
    button(asked, "○ no page").click()
    expect(said(asked)).to_contain_text("✗ Not “no page”.")
    button(asked, "○ a page, after direct reclaim").click()
    expect(said(asked)).to_contain_text("✓ Right. Rule: not more than pages_min are free.")
    asked = cell(page, NAME, "predict-fails")
    button(asked, "Hint").click()
    expect(said(asked)).to_contain_text("Which pages need a swap entry")
    button(asked, "○ 0").click()
    expect(said(asked)).to_contain_text("✓ Right.")

    lab = cell(page, NAME, "lab")
    expect(lab.locator(".mm-picture")).to_have_count(2)
    button(lab, "Step").click()
    expect(lab.locator(".mm-said")).to_contain_text("event 1 of")
    button(lab, "Last").click()
    expect(lab.locator(".mm-flow")).to_have_accessible_name(
        "Paths: considered 52 | 52, failed for good 0 | 12, direct 52 | 40."
    )
    expect(lab.locator(".mm-panels")).to_contain_text("no memory for a radix tree node")
    button(lab, "Settings ▸").click()
    lab.get_by_label("7 gfp mask").uncheck()
    settled(page)
    button(lab, "Last").click()
    expect(lab.locator(".mm-said")).to_contain_text("returned 12; pages: direct 40, failed for good 12")
    assert not serious(page, ".mm-lab")

    try_exercise(page, NAME, "exercise-1", ("check(lesson07.slab_pages, 16)", "the number of radix tree nodes"),
                 ("check(lesson07.slab_pages, 3)", "✓ Right."))  # fmt: skip
    try_exercise(page, NAME, "exercise-2", ("check(lesson07.before_the_heap, 40)", "all anonymous pages fail"),
                 ("check(lesson07.before_the_heap, 9)", "✓ Right."))  # fmt: skip
    call = "from mmsim import Policy\ncheck(lesson07.without_the_patch, lambda kernel, job, heap: {})"
    try_exercise(page, NAME, "exercise-3", (call.format("job.migrate_pages(0, 0, 1)"), "0 of the 12 pages"),
                 (call.format("job.mbind(heap, Policy.bind(1), move=True)"), "✓ Right."))  # fmt: skip
    try_exercise(page, NAME, "exercise-4", ("check(lesson07.own_mask, structs.GFP_WAIT)", "12 in station 7"),
                 ("check(lesson07.own_mask, structs.GFP_WAIT | structs.GFP_HIGH)", "✓ Right."))  # fmt: skip


def test_a_student_walks_through_it(finished):
    walk(finished(NAME), NAME)
