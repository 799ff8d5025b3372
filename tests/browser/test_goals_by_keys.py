"""Goals by keys, at two widths and larger; the fields of a link; what stands on paper: all for everyone."""

import nbformat
import pytest
from lab import settled
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect
from student import WIDER, button, serious

CELLS = ["from mmsim.widgets import Goals, MigrationLab\ngoals = Goals()\ngoals", "MigrationLab(beside=4)"]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    file = tmp_path_factory.mktemp("goals") / "goals.ipynb"
    python = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in CELLS], metadata=python), file)
    return file


@pytest.fixture
def page(finished, notebook):
    page = finished(notebook)
    page.locator(".mmsim-goals.mm-alive").wait_for()
    return page


def test_a_goal_by_keys(page):
    goals = page.locator(".mmsim-goals")
    said = goals.locator(".end")
    goals.get_by_label("goal", exact=True).select_option(label="3 of 5: A page that will not move")
    settled(page)
    expect(said).to_contain_text("○ 0 calls. Not yet: pages 0, 1, 2, 3, 4, 5 are not on the wanted node.")
    button(goals, "Make the call").focus()
    page.keyboard.press("Enter")
    expect(said).to_contain_text("○ 1 call. Not yet: page 1 is not on the wanted node.")
    expect(goals).to_contain_text("pinned: more references than anyone accounts for")
    page.keyboard.press("Tab")
    expect(button(goals, "Undo")).to_be_focused()
    page.keyboard.press("Enter")
    expect(said).to_contain_text("○ 0 calls.")
    goals.get_by_label("call", exact=True).focus()
    page.keyboard.type("kernel.unpin(a, heap[1])")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(said).to_contain_text("○ 1 call.")
    goals.get_by_label("call", exact=True).select_option(label='a.migrate_pages(0, "0", "1")')
    button(goals, "Make the call").click()
    expect(said).to_contain_text("✓ Reached with 2 calls, and it cannot be done better.")
    button(goals, "Solution").click()
    expect(said).to_contain_text("The best is 2 calls. kernel.unpin(a, heap[1]); then a.migrate_pages")
    assert not serious(page, ".mmsim-goals")


@pytest.mark.parametrize(("width", "zoom"), [(1280, 1), (800, 1), (1280, 1.5)])
def test_it_fits_and_can_be_read(page, width, zoom):
    page.set_viewport_size({"width": int(width / zoom), "height": int(800 / zoom)})
    lab = page.locator(".mm-lab")
    if button(lab, "Link ▸").count():
        button(lab, "Link ▸").click()
    settled(page)
    assert page.evaluate(WIDER) == []
    expect(lab.get_by_label("address")).to_have_value("?trigger=B&from=0&to=2&beside=4")
    expect(lab.get_by_label("Python")).to_have_value("MigrationLab(trigger='B', old='0', new='2', beside=4)")
    assert not serious(page, ".mmsim-goals")
    assert not serious(page, ".mm-lab")


def test_the_paper_is_for_everyone_too(page):
    # By style alone: a living widget hides its paper again whenever its own size changes.
    shown = ".mm-paper[hidden], .jp-OutputArea-child { display: block !important }"
    style = page.add_style_tag(content=f".mm-alive {{ display: none }} {shown}")
    page.locator(".mm-paper").first.wait_for()
    assert not serious(page, ".mm-paper")
    style.evaluate("style => style.remove()")  # the page will show other notebooks
