"""Notebook 00 as a student goes through it: press the button, predict, run, check."""

from lab import settled
from playwright.sync_api import expect
from student import SUM, at_step, button, try_exercise, walk

NAME = "00-pages-and-nodes.ipynb"


def cell(page, text):
    """The code cell that contains a text now, and is the same cell when its text has changed."""
    cells = page.locator(".jp-Notebook-cell")
    (place,) = (
        i
        for i, source in enumerate(cells.evaluate_all("cells => cells.map(cell => cell.innerText)"))
        if text in source and "jp-CodeCell" in cells.nth(i).get_attribute("class")
    )
    return cells.nth(place)


def test_the_first_minute(open_notebook):
    """What the first lines tell the reader to do works, without scrolling."""
    page = open_notebook(NAME, run=False)
    page.get_by_role("strong").filter(has_text="Begin by moving some pages").click()
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Shift+Enter")
    last = page.get_by_role("button", name="Last", exact=True)
    expect(last).to_be_in_viewport(ratio=1)
    last.click()
    lab = page.locator(".mm-lab")
    expect(lab).to_contain_text("direct 16")
    expect(lab).to_contain_text("pinned")
    expect(lab).to_contain_text("retries exhausted")


def test_what_is_seen_can_also_be_heard(finished):
    """Every picture has a text alternative that says more than its title; claims are folded; no cell failed."""
    page = finished(NAME)
    pictures = page.locator(".jp-Notebook .jp-OutputArea-output img").all()
    assert len(pictures) >= 5
    assert all(len(picture.get_attribute("alt")) > 40 for picture in pictures)
    expect(page.locator(".jp-CodeCell .jp-InputPlaceholder").first).to_be_visible()
    expect(page.locator("[data-mime-type$='error']")).to_have_count(0)


def test_nothing_is_wider_than_the_window(finished):
    page = finished(NAME)
    page.set_viewport_size({"width": 800, "height": 800})
    settled(page)
    wide = page.evaluate("""() => [...document.querySelectorAll('.jp-OutputArea-output, .jp-RenderedMarkdown')]
        .filter(area => area.scrollWidth > area.clientWidth + 1).map(area => area.innerText.slice(0, 60))""")
    assert wide == []


def test_a_prediction_is_judged(finished):
    page = finished(NAME)
    asked = cell(page, "lesson00.asked_order").locator(".mmsim-predict")
    for typed, verdict in (("3, 2, 1, 0", "✗ Not “3, 2, 1, 0”. Two nodes are equally far."),
                           ("0 1 2 3", "It goes by distance. A right answer: 3, 1, 2, 0."),
                           ("[3, 1, 2, 0]", "✓ Right. Rule: the node itself comes first")):  # fmt: skip
        asked.get_by_label("Answer").fill(typed)
        expect(asked.get_by_role("status")).to_be_empty()
        asked.get_by_label("Answer").press("Enter")
        expect(asked.get_by_role("status")).to_contain_text(verdict)


def test_exercises_know_the_mistake(finished):
    page = finished(NAME)
    call = "check(lesson00.moves_a_part, lambda a, heap: {})"
    try_exercise(page, NAME, "exercise-2", (call.format("a.migrate_pages(0, 0, 1)"), "The whole heap has moved."),
                 (call.format("a.mbind(heap[8:15], Policy.bind(1), move=True)"), "ends before j"),
                 (call.format("a.mbind(heap[8:16], Policy.bind(1), move=True)"), "✓ Right."))  # fmt: skip
    try_exercise(page, NAME, "exercise-3", ("check(lesson00.which_way, 'B, A, B')", "B for the department"),
                 ("check(lesson00.which_way, 'B, A, C')", "✓ Right."))  # fmt: skip


def test_step_and_play(finished):
    page = finished(NAME)
    button(page, "Step").click()
    at_step(page, 1)
    first = page.evaluate(SUM)
    button(page, "Play").click()
    page.wait_for_function("Number(document.querySelector('.mm-picture').dataset.step) >= 30")
    assert page.evaluate(SUM) != first


def test_a_student_walks_through_it(finished):
    walk(finished(NAME), NAME)
