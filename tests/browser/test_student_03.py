"""Lesson 03 as a student goes through it: by keys alone from the first cell to the last; the exercises; a walk."""

from playwright.sync_api import expect
from student import Keys, button, cell, check_that_everyone_can_read, output, said, try_exercise, walk

NAME = "03-migrate-pages.ipynb"


def test_lesson_03_by_keys_alone(open_notebook):
    """From the first cell to the last: predictions, the lab, exercises; the page is never clicked."""
    page = open_notebook(NAME, run=False)
    keys = Keys(page, NAME)

    asked = keys.run_to("predict-path")
    expect(button(asked, "○ direct")).to_be_visible()
    keys.back_to("○ direct")
    page.keyboard.press("Enter")
    expect(said(asked)).to_contain_text("✓ Right. Rule: pass 0 skips a page under writeback")
    page.keyboard.press("Shift+Enter")  # in the widget: run its cell again, and go on
    expect(said(asked)).to_contain_text("✓ Right.")

    asked = keys.run_to("predict-pass")
    expect(button(asked, "○ pass 4")).to_be_visible()
    keys.back_to("○ pass 1")
    page.keyboard.press("Space")
    expect(said(asked)).to_contain_text("✗ Not “pass 1”.")
    for key in ("Tab", "Tab", "Enter"):
        page.keyboard.press(key)
    expect(said(asked)).to_contain_text("✓ Right.")
    page.keyboard.press("Shift+Enter")

    keys.run_to("predict-five-words")
    five = keys.write("predict-five", 'check(lesson03.five_obstacles, dict(zip(["locked", "pinned", "dirty file", '
                      '"buffers", "writeback"], ["direct", "retries exhausted"] + ["direct after writeout"] * 2 + '
                      '["direct"])))')  # fmt: skip
    expect(output(five)).to_contain_text("✓ Right.")

    lab = keys.run_to("lab")
    sentence = lab.locator(".mm-said")
    expect(sentence).to_contain_text("Before the call")
    keys.back_to("Step")
    for step in (1, 2, 3):
        page.keyboard.press("Enter")
        expect(sentence).to_contain_text(f"event {step} of")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(sentence).to_contain_text("After the call: kernel returned 3; pages: direct 3")
    expect(lab.locator(".mm-panels")).to_contain_text("no free swap slot")
    keys.back_to("First")
    page.keyboard.press("Space")
    expect(sentence).to_contain_text("Before the call")
    keys.back_to("Settings ▸")  # they are folded
    page.keyboard.press("Enter")
    expect(lab.get_by_label("3 direct")).to_be_visible()
    keys.back_to("3 direct", "Tab")
    page.keyboard.press("Space")
    expect(lab.get_by_label("3 direct")).not_to_be_checked()
    expect(sentence).not_to_contain_text("179 events")
    keys.back_to("Last", "Tab")
    page.keyboard.press("Enter")
    expect(lab.locator(".mm-flow")).to_have_accessible_name(
        "Paths: considered 9, retries exhausted 2, failed for good 1, swapped out 6."
    )
    page.keyboard.press("Shift+Enter")

    keys.run_to("exercises")
    for number, question, wrong, right in (
        (1, "moves_in_pass_4", "kernel.pin(a, page)", "kernel.hold_lock(a, page, kernel.clock + 1_000_000)"),
        (2, "freed_meanwhile", "a.munmap(page)", "a.munmap(page, at=kernel.clock + 1)"),
    ):
        source = f"def obstacle(kernel, a, page):\n    {{}}\n\ncheck(lesson03.{question}, obstacle)"
        place = keys.write(f"exercise-{number}", source.format(wrong))
        expect(output(place)).to_contain_text("✗ Not yet. The page")
        page.keyboard.press("ArrowUp")
        place = keys.write(f"exercise-{number}", source.format(right))
        expect(output(place)).to_contain_text("✓ Right.")
        keys.run_to(f"exercise-{number + 1}-words")
    place = keys.write("exercise-3", "check(lesson03.references, 5)")
    expect(output(place)).to_contain_text("✓ Right.")
    keys.run_to("what-if-claims")
    expect(page.locator("[data-mime-type$='error']")).to_have_count(0)


def test_everyone_can_read_it(finished):
    check_that_everyone_can_read(finished(NAME), 6)


def test_exercises_of_lesson_03(finished):
    page = finished(NAME)
    call = "check(lesson03.moves_in_pass_4, lambda kernel, a, page: {})"
    try_exercise(page, NAME, "exercise-1", (call.format("kernel.pin(a, page)"), "The page did not move"),
                 (call.format("kernel.hold_lock(a, page, kernel.clock + 1_000_000)"), "✓ Right."))  # fmt: skip
    call = "check(lesson03.freed_meanwhile, lambda kernel, a, page: a.munmap(page{}))"
    try_exercise(page, NAME, "exercise-2", (call.format(""), "gone before the migration began"),
                 (call.format(", at=kernel.clock + 1"), "✓ Right."))  # fmt: skip
    try_exercise(page, NAME, "exercise-3", ("check(lesson03.references, 3)", "These are the ptes alone"),
                 ("check(lesson03.references, 5)", "✓ Right."))  # fmt: skip
    hints = cell(page, NAME, "exercise-3-hint")
    hints.locator("summary").first.click()
    expect(hints).to_contain_text("mapcount plus nr_refs")


def test_a_student_walks_through_it(finished):
    walk(finished(NAME), NAME)
