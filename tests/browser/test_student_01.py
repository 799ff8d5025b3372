"""Lesson 01 as a student goes through it: predict, switch a kernel, solve the exercises."""

from playwright.sync_api import expect
from student import button, check_that_everyone_can_read, serious, solve, walk

NAME = "01-config-migration.ipynb"


def test_everyone_can_read_it(finished):
    check_that_everyone_can_read(finished(NAME), 3)


def test_a_prediction_is_judged_and_survives_running_the_cell_again(finished):
    page = finished(NAME)
    asked = page.locator(".mmsim-predict").first
    said = asked.get_by_role("status")
    expect(said).to_be_empty()
    button(asked, "Hint").click()
    expect(said).to_contain_text("Hint 1 of 2")
    button(asked, "○ in the image").click()
    expect(said).to_contain_text("✗ Not “in the image”.")
    expect(said).to_contain_text("Try once more.")
    button(asked, "○ left out").focus()
    page.keyboard.press("Enter")
    expect(said).to_contain_text("✓ Right.")
    page.locator(".jp-CodeCell").filter(has_text="lesson01.compiled_in").locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    expect(page.locator(".mmsim-predict").first.get_by_role("status")).to_contain_text("✓ Right.")
    expect(button(page.locator(".mmsim-predict").first, "● left out")).to_be_visible()
    button(page.locator(".mmsim-predict").first, "Another one (seed 10)").click()
    expect(page.locator(".mmsim-predict").first.get_by_role("status")).to_be_empty()


def test_switching_a_kernel_by_keys(finished):
    page = finished(NAME)
    widget = page.locator(".mmsim-config")
    said = widget.get_by_role("status")
    expect(said).to_contain_text("CONFIG_MIGRATION=y")
    widget.get_by_label("NUMA", exact=True).focus()
    page.keyboard.press("Space")
    expect(said).to_contain_text("CONFIG_MIGRATION=n")
    expect(said).to_contain_text("D answers -ENOSYS")
    expect(widget.get_by_role("row", name="migrate_pages() ✗ left out by patch 1", exact=True)).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(widget.get_by_label("SPARSEMEM")).to_be_checked()
    expect(said).to_contain_text("D answers 0, 4 swapped out")
    widget.get_by_label("patch 1 applied").uncheck()
    expect(widget.get_by_label("patches 2 to 7")).to_be_disabled()
    assert not serious(page, ".mmsim-config")


def test_exercises_of_lesson_01(finished):
    page = finished(NAME)
    for start, wrong, right in (
        ("without_the_code", "check(lesson01.without_the_code, 16)", "check(lesson01.without_the_code, 4)"),
        ("only_in_kernel", "check(lesson01.only_in_kernel, configuration('SPARSEMEM'))",
         "check(lesson01.only_in_kernel, configuration('DISCONTIGMEM', 'SWAP'))"),
    ):  # fmt: skip
        place = page.locator(".jp-CodeCell").filter(has_text=f"check(lesson01.{start},").first
        output = place.locator(".jp-OutputArea-output")
        expect(output).to_contain_text("○ No answer yet")
        solve(page, place, wrong)
        expect(output).to_contain_text("✗ Not yet.")
        solve(page, place, right)
        expect(output).to_contain_text("✓ Right. Rule:")


def test_a_student_walks_through_it(finished):
    walk(finished(NAME), NAME)
