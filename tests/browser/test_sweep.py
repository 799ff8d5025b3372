"""Lesson 08 as a student goes through it: predict, sweep, solve an exercise; by keys, at 800 pixels."""

import re

import pytest
from playwright.sync_api import expect
from student import WIDER, button, serious, solve

LAB = "08-what-if-lab.ipynb"


def test_a_sweep_by_keys(open_notebook):
    page = open_notebook(LAB)
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


def test_a_long_sweep_is_cancelled_and_the_page_goes_on(open_notebook):
    page = open_notebook(LAB)
    widget = page.locator(".mmsim-sweep")
    said = widget.locator("[role=status]")
    widget.get_by_label("scale").fill("1/1024, 1/1000, 1/900, 1/800, 1/700")
    widget.get_by_label("scale").press("Tab")
    button(widget, "Run").click()
    expect(said).to_contain_text("1 of 60 points")
    expect(said.get_by_role("progressbar", name="points that are done")).to_be_visible()
    button(widget, "Cancel").click()
    expect(said).to_contain_text("Cancelled: ")
    expect(button(widget, "Run")).to_be_enabled()
    expect(button(widget, "Cancel")).to_be_disabled()


def test_predictions_and_exercises(open_notebook):
    page = open_notebook(LAB)
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


@pytest.mark.parametrize("width", [800, 1280])
def test_it_can_be_read_by_everyone(open_notebook, page, width):
    page.set_viewport_size({"width": width, "height": 800})
    open_notebook(LAB)
    button(page.locator(".mmsim-sweep"), "Run").click()
    expect(page.locator(".mmsim-sweep img")).to_be_visible()
    assert page.evaluate(WIDER) == []
    pictures = page.locator(".jp-Notebook .jp-OutputArea-output img").all()
    assert len(pictures) >= 4
    assert all(len(picture.get_attribute("alt")) > 40 for picture in pictures)
    expect(page.locator("[data-mime-type$='error']")).to_have_count(0)
    assert not serious(page, ".mmsim-predict")
