"""Lessons 01 and 02 as a student goes through them: predict, run the widget, solve an exercise."""

import re

import pytest
from lab import settled
from playwright.sync_api import expect
from student import button, check_that_everyone_can_read, serious, solve, walk

CONFIG, RECHECK = "01-config-migration.ipynb", "02-swapcache-recheck.ipynb"


@pytest.mark.parametrize("name", [CONFIG, RECHECK])
def test_it_check_that_everyone_can_read(finished, name):
    check_that_everyone_can_read(finished(name), pictures=3)


def test_a_prediction_is_judged_and_survives_running_the_cell_again(finished):
    page = finished(CONFIG)
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
    page = finished(CONFIG)
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
    page = finished(CONFIG)
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


def test_the_bad_schedule_is_found_by_keys_alone(finished):
    page = finished(RECHECK)
    player = page.locator(".mmsim-race")
    said = player.get_by_role("status")
    migration, fault = button(player, "Let migration take a step"), button(player, "Let task a take a step")

    def top(place):
        return place.bounding_box()["y"] - player.bounding_box()["y"]

    before = top(migration), top(fault), top(player.get_by_text("What leads to the page"))
    fault.focus()
    page.keyboard.press("Tab")
    expect(migration).to_be_focused()
    for step in (1, 2, 3):
        page.keyboard.press("Enter")
        expect(said).to_contain_text(f"Step {step}, migration")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(said).to_contain_text("a waits for the lock of frame 1, held by migration")
    expect(fault).to_be_disabled()
    migration.focus()
    for step in (5, 6):
        page.keyboard.press("Enter")
        expect(said).to_contain_text(f"Step {step}, migration")
    expect(fault).to_be_enabled()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    expect(said).to_contain_text("✗ It went wrong.")
    expect(player.get_by_text("✗ two frames hold the one page")).to_have_count(2)
    expect(migration).to_be_enabled()
    after = top(migration), top(fault), top(player.get_by_text("What leads to the page"))
    assert after == before, "nothing that one presses or watches moves"
    assert not serious(page, ".mmsim-race")


def test_the_counterexample_is_replayed_and_the_patch_prevents_it(finished):
    page = finished(RECHECK)
    player = page.locator(".mmsim-race")
    said = player.get_by_role("status")
    button(player, "Replay the counterexample").click()
    for turn in ["migration"] * 3 + ["task a"] + ["migration"] * 2 + ["task a"] + ["migration"] * 2:
        button(player, f"Next: {turn}").click()
    expect(said).to_contain_text("✗ Bad. do_swap_page() maps the stale frame 1")
    expect(button(player, "Next")).to_be_disabled()
    button(player, "Back").click()
    expect(said).to_contain_text("Step 8")
    player.get_by_label("Patch 2 applied").check()
    expect(said).to_contain_text("At the start")
    expect(player).to_contain_text("With patch 2, 0 of")
    expect(button(player, "Replay the counterexample")).to_be_disabled()
    player.get_by_label("Race").select_option("lost write")
    expect(button(player, "Let writer take a step")).to_be_visible()
    player.get_by_label("Patch 2 applied").uncheck()
    expect(player).to_contain_text("Without patch 2")
    options = player.get_by_label("Outcome").locator("option").all_inner_texts()
    player.get_by_label("Outcome").select_option(next(o for o in options if "was the last" in o.replace("\xa0", " ")))
    settled(page)
    for step in range(1, 13):
        player.get_by_role("button", name=re.compile("^Next: ")).click()
        expect(said).to_contain_text(f"Step {step},")
    expect(said).to_contain_text("it holds write 1, but write 2 was the last")
    expect(player).to_contain_text("✗ the last write of a is lost")


def test_exercises_of_lesson_02(finished):
    page = finished(RECHECK)
    place = page.locator(".jp-CodeCell").filter(has_text="check(lesson02.bad_schedule,").first
    output = place.locator(".jp-OutputArea-output")
    solve(page, place, "check(lesson02.bad_schedule, ['migration'] * 3 + ['a', 'a'])")
    expect(output).to_contain_text("✗ Not yet. Step 5: a cannot run; waits for the lock of frame 1")
    solve(page, place, "check(lesson02.bad_schedule, ['migration'] * 3 + ['a'] + ['migration'] * 2 + ['a'])")
    expect(output).to_contain_text("✓ Right.")
    place = page.locator(".jp-CodeCell").filter(has_text="check(lesson02.own_recheck,").first
    output = place.locator(".jp-OutputArea-output")
    solve(page, place, "check(lesson02.own_recheck, lambda k, pfn, entry: False)")
    expect(output).to_contain_text("✗ Not yet. 1 of 49 schedules end badly")
    solve(page, place, "check(lesson02.own_recheck, lambda k, pfn, entry: k.swap_cache[entry] != pfn)")
    expect(output).to_contain_text("✓ Right.")


@pytest.mark.parametrize("name", [CONFIG, RECHECK])
def test_a_student_walks_through_it(finished, name):
    walk(finished(name), name)
