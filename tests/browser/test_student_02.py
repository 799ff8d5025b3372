"""Lesson 02 as a student goes through it: find the bad schedule, replay it, solve the exercises."""

import re

from lab import settled
from playwright.sync_api import expect
from student import button, check_that_everyone_can_read, serious, solve, walk

NAME = "02-swapcache-recheck.ipynb"


def test_everyone_can_read_it(finished):
    check_that_everyone_can_read(finished(NAME), 3)


def test_the_bad_schedule_is_found_by_keys_alone(finished):
    page = finished(NAME)
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
    page = finished(NAME)
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
    page = finished(NAME)
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


def test_a_student_walks_through_it(finished):
    walk(finished(NAME), NAME)
