"""What a student does in a notebook, for the tests in this folder.

With MMSIM_SHOTS=1 each step of `walk` is kept as a picture in test-results/.
"""

import importlib
import json
import os
import re
from pathlib import Path

import pytest
from lab import settled
from playwright.sync_api import expect

from mmsim.lessons import ask, teaching

SHOTS = Path(__file__).parents[2] / "test-results"
ASKED = re.compile(r"\b(predict|check)\((lesson\d\d)\.(\w+)")
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
WIDER = """() => [...document.querySelectorAll(
        '.jp-OutputArea-output, .jp-RenderedMarkdown, .mmsim-plain, .mmsim-plain *')]
    .filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 && !e.closest('.unseen')
        && getComputedStyle(e).overflowX !== 'visible')
    .map(e => e.className + ': ' + e.innerText.slice(0, 60))"""
ACTIVE = "[...document.querySelectorAll('.jp-Notebook .jp-Cell')].findIndex(e => e.matches('.jp-mod-active'))"
IDLE = "![...document.querySelectorAll('.jp-InputPrompt')].some(prompt => prompt.textContent.includes('*'))"
SUM = """() => { // of all that the canvas shows
    const canvas = document.querySelector('.mm-picture canvas');
    const bytes = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return bytes.reduce((sum, byte, i) => (sum * 31 + byte + i) % 1000003, 7);
}"""
FOCUSED = """(document.activeElement.closest('label') ?? document.activeElement).textContent.trim()"""


def button(place, name):
    return place.get_by_role("button", name=name, exact=True)


def at_step(page, step):
    """Wait until the picture of a lab is that of a step."""
    page.wait_for_selector(f".mm-picture[data-step='{step}']")


def solve(page, place, text):
    """Replace the text of a cell and run it."""
    place.locator(".cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(text)
    page.keyboard.press("Shift+Enter")


def serious(page, context):
    """What axe finds that keeps somebody from using a part of the page."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    found = axe.Axe().run(page, context=context).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html']}" for v in found if v["impact"] in ("serious", "critical")]


def cell(page, name, cell_id):
    """A cell of a notebook by its id, which JupyterLab does not show."""
    ids = [cell["id"] for cell in json.loads((NOTEBOOKS / name).read_text())["cells"]]
    return page.locator(".jp-Notebook .jp-Cell").nth(ids.index(cell_id))


def output(place):
    return place.locator(".jp-OutputArea-output")


def said(place):
    """What a prediction says of the answer."""
    return place.get_by_role("status").first


def try_exercise(page, name, cell_id, *tries):
    """Solve an exercise, as often as there are tries: (source, what the check says)."""
    place = cell(page, name, cell_id)
    expect(output(place)).to_contain_text("○ No answer yet")
    for source, said in tries:
        solve(page, place, source)
        expect(output(place)).to_contain_text(said)


def keep(page, name, step):
    """A picture of what the window shows now, if somebody asked for it."""
    if os.environ.get("MMSIM_SHOTS"):
        SHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SHOTS / f"{name[:2]}-{step}.png")


def walk(page, name):
    """Go through a lesson whose cells have all run: each prediction wrong, hint, right; each exercise wrong, right."""
    cells = {cell["id"]: cell for cell in json.loads((NOTEBOOKS / name).read_text())["cells"]}
    asked = 0
    for cell_id, source in [(key, "".join(each["source"])) for key, each in cells.items()]:
        tags, found = cells[cell_id]["metadata"].get("tags", ()), ASKED.search(source)
        if found and "predict" in tags and found[1] == "predict":
            predict_wrong_then_right(page, name, cell_id, question_of(found))
            asked += 1
        elif found and "exercise" in tags:
            solution = "".join(cells[f"{cell_id}-solution"]["source"])
            right = re.sub(r"^assert (?=check)", "", re.sub(r"^reveal\(.*", "", solution, flags=re.M), flags=re.M)
            wrong = [repr(each) for each in question_of(found)(1).wrong if isinstance(each, int | str)]
            call = f"check({found[2]}.{found[3]}, {(*wrong, 'lambda *_: 1 / 0')[0]})"
            place = cell(page, name, cell_id)
            for code, mark in ((call, "✗ Not yet"), (right.strip(), "✓ Right.")):
                solve(page, place, code)
                expect(output(place)).to_contain_text(mark)
                keep(page, name, f"{cell_id}-{'right' if mark[0] == '✓' else 'wrong'}")
            asked += 1
    assert asked > 2
    expect(page.locator("[data-mime-type$='error']")).to_have_count(0)


def question_of(found):
    """The function that makes a Question from a seed."""
    make = getattr(importlib.import_module(f"mmsim.lessons.{found[2]}"), found[3])
    return lambda seed: ask(make, seed)


def predict_wrong_then_right(page, name, cell_id, question):
    """Take the next question of a prediction, answer it wrong, ask for a hint, and answer it right."""
    place = cell(page, name, cell_id).locator(".mmsim-predict")
    another = place.get_by_role("button", name=re.compile("^Another one"))
    seed = int(re.search(r"\d+", another.inner_text())[0])
    another.click()
    settled(page)
    asked, said = question(seed), place.get_by_role("status")
    expect(said).to_be_empty()

    def answer(value):
        if asked.choices:
            place.get_by_role("button", name=re.compile(rf"^[○●] {re.escape(str(value))}$")).click()
        else:
            place.get_by_label("Answer").fill(str(value))
            place.get_by_label("Answer").press("Enter")

    answer(next(value for value in (*asked.choices, "987654") if not teaching.same(value, asked.answer)))
    expect(said).to_contain_text("Try once more.")
    keep(page, name, f"{cell_id}-wrong")
    if asked.hints:
        button(place, "Hint").click()
        expect(said).to_contain_text("Hint 1 of")
        keep(page, name, f"{cell_id}-hint")
    answer(asked.answer)
    expect(said).to_contain_text("✓ Right.")
    keep(page, name, f"{cell_id}-right")


def check_that_everyone_can_read(page, pictures):
    """No error, nothing too wide at 800 pixels, and a text for each picture."""
    page.set_viewport_size({"width": 800, "height": 800})
    settled(page)
    assert page.evaluate(WIDER) == []
    alternatives = [picture.get_attribute("alt") for picture in page.locator(".jp-OutputArea-output img").all()]
    assert len(alternatives) >= pictures
    assert all(len(text) > 40 for text in alternatives)
    expect(page.locator("[data-mime-type$='error']")).to_have_count(0)
    assert not serious(page, ".mmsim-predict")


class Keys:
    """A student without a mouse, in command mode on the first cell of a notebook."""

    def __init__(self, page, name):
        self.page, self.name = page, name

    def run_to(self, cell_id):
        """Run cells until this one has been run; the one behind it is the active one then. The cell."""
        wanted = cell(self.page, self.name, cell_id)
        for place in range(self.page.evaluate(ACTIVE), 1 + wanted.evaluate(f"cell => {place_of('cell')}")):
            self.page.keyboard.press("Shift+Enter")
            self.page.wait_for_function(f"{ACTIVE} === {place + 1}")
        self.page.wait_for_function(IDLE, polling=100)
        return wanted

    def back_to(self, text, key="Shift+Tab"):
        """Press Shift+Tab until what has the focus, or its label, bears this text."""
        for _ in range(60):
            self.page.keyboard.press(key)
            if self.page.evaluate(FOCUSED) == text:
                return
        raise AssertionError(f"{key} does not lead to {text!r}")

    def write(self, cell_id, text):
        """Write another text into the active cell, and run it; the cell."""
        place = cell(self.page, self.name, cell_id)
        assert self.page.evaluate(ACTIVE) == place.evaluate(f"cell => {place_of('cell')}")
        self.page.keyboard.press("Enter")
        self.page.wait_for_function("document.activeElement.matches('.cm-content')")
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(text)
        self.page.keyboard.press("Shift+Enter")
        return place


def place_of(cell):
    return f"[...document.querySelectorAll('.jp-Notebook .jp-Cell')].indexOf({cell})"
