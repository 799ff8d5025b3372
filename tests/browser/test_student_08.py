"""Lesson 08 as a student goes through it: predict, sweep, solve the exercises; by keys, at 800 pixels."""

import re

import pytest
from lab import settled
from playwright.sync_api import expect
from student import WIDER, button, cell, serious, solve, walk

NAME = "08-what-if-lab.ipynb"


@pytest.fixture
def page(finished):
    """The lesson, whose widget is new."""
    page = finished(NAME)
    cell(page, NAME, "run-widget").locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    settled(page)
    expect(page.locator(".mmsim-sweep [role=status]")).to_contain_text("press Run")
    return page


def test_a_sweep_by_keys(page):
    widget = page.locator(".mmsim-sweep")
    said = widget.locator("[role=status]")
    expect(said).to_contain_text("press Run")
    widget.get_by_label("kernel.patches").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("5, 7, 9")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type("1 GB, 4 GB")
    page.keyboard.press("Tab")
    expect(button(widget, "Run")).to_be_focused()
    page.keyboard.press("Enter")
    expect(said).to_contain_text("6 points, 2 failed; at 100 accesses a page the move pays in 2 of them.")
    expect(widget.locator("img")).to_have_attribute("alt", re.compile("patches 7: 38.8 at 1 GB"))
    expect(widget.get_by_role("row")).to_have_count(7)
    expect(widget).to_contain_text("there is no patch 9")
    widget.get_by_label("accesses a page after the move").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(said).to_contain_text("at 1,000 accesses a page the move pays in 4 of them")
    widget.get_by_label("figure").select_option("failed for good")
    expect(widget.get_by_role("columnheader", name="failed for good")).to_be_visible()
    widget.get_by_label("as", exact=True).select_option("map")
    expect(widget.locator("img")).to_have_attribute("alt", re.compile("outlined: pays"))
    assert not serious(page, ".mmsim-sweep")


@pytest.mark.parametrize("width", [800, 1280])
def test_it_can_be_read_by_everyone(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    settled(page)
    button(page.locator(".mmsim-sweep"), "Run").click()
    expect(page.locator(".mmsim-sweep img")).to_be_visible()
    assert page.evaluate(WIDER) == []
    pictures = page.locator(".jp-Notebook .jp-OutputArea-output img").all()
    assert len(pictures) >= 4
    assert all(len(picture.get_attribute("alt")) > 40 for picture in pictures)
    expect(page.locator("[data-mime-type$='error']")).to_have_count(0)
    assert not serious(page, ".mmsim-predict")


def test_a_long_sweep_is_cancelled_and_the_page_goes_on(page):
    """It would take a minute or more, so Cancel comes in time on every machine."""
    widget = page.locator(".mmsim-sweep")
    said = widget.locator("[role=status]")
    widget.get_by_label("kernel.patches").fill("0, 5, 7")
    widget.get_by_label("kernel.swap").fill("0 GB, 1 GB, 4 GB, 16 GB")
    widget.get_by_label("scale").fill(", ".join(f"{0.06 + point / 100_000}" for point in range(100)))
    widget.get_by_label("scale").press("Tab")
    button(widget, "Run").click()
    expect(said).to_have_text(re.compile(r"\d+ of 1200 points"))
    expect(said.get_by_role("progressbar", name="points that are done")).to_be_visible()
    button(widget, "Cancel").click()
    expect(said).to_have_text(re.compile(r"Cancelled: \d{1,3} points, 0 failed"))
    expect(button(widget, "Run")).to_be_enabled()
    expect(button(widget, "Cancel")).to_be_disabled()


def test_predictions_and_exercises(page):
    asked = page.locator(".mmsim-predict").first
    button(asked, "○ later").click()
    expect(asked.get_by_role("status")).to_contain_text("✓ Right. Rule: break-even =")
    place = page.locator(".jp-CodeCell").filter(has_text="check(lesson08.repaired,").first
    output = place.locator(".jp-OutputArea-output").last
    expect(output).to_contain_text("machine.preset is 'two-sockets': did you mean 'two-socket'?")
    mended = "lesson08.BROKEN.replace('two-sockets', 'two-socket').replace('8 MBytes', '8 MB')"
    solve(page, place, f"check(lesson08.repaired, {mended})")
    expect(output).to_contain_text("did you mean 'job'?")
    solve(page, place, f"check(lesson08.repaired, {mended}.replace('jop', 'job'))")
    expect(output).to_contain_text("✓ Right.")
    place = page.locator(".jp-CodeCell").filter(has_text="check(lesson08.fast_enough,").first
    solve(page, place, "check(lesson08.fast_enough, 13_000)")
    expect(place.locator(".jp-OutputArea-output")).to_contain_text("✓ Right.")


def test_a_student_walks_through_it(finished):
    walk(finished(NAME), NAME)
