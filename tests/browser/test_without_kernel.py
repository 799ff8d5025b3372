"""A widget without a kernel: a notebook that was saved without state, and an HTML export without a network."""

import copy
import functools
import json

import nbformat
from cells import run
from nbconvert import HTMLExporter
from nbformat import v4

CELLS = ["from mmsim.widgets import MigrationLab, RacePlayer\nMigrationLab(beside=4)", "RacePlayer()",
         "from mmsim.lessons import lesson03, predict\npredict(lesson03.path_of)"]  # fmt: skip
PAPERS = "[...document.querySelectorAll('.mm-paper')].map(e => [e.offsetHeight > 100, e.scrollWidth <= e.offsetWidth])"
ALIVE = "document.querySelectorAll('.mm-alive').length"


@functools.cache
def executed():
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in CELLS])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return run(notebook)


def test_a_saved_notebook_shows_the_paper_and_no_error(open_notebook, tmp_path):
    notebook = copy.deepcopy(executed())
    notebook.metadata.pop("widgets", None)
    file = tmp_path / "saved.ipynb"
    nbformat.write(notebook, file)
    page = open_notebook(file, run=False)
    page.wait_for_function(f"{PAPERS}.filter(each => each[0]).length === {len(CELLS)}")
    assert page.evaluate(PAPERS) == [[True, True]] * len(CELLS)
    said = page.locator("body").inner_text()
    assert "model not found" not in said
    assert "Loading widget" not in said
    assert not page.locator(".mm-paper button:enabled").count()
    open_notebook(file)  # now it is run: the widgets live, the paper goes
    page.wait_for_function(f"{ALIVE} === {len(CELLS)}")
    assert page.evaluate(PAPERS) == [[False, True]] * len(CELLS)


def test_an_export_needs_no_network(page, tmp_path):
    file = tmp_path / "export.html"
    file.write_text(HTMLExporter().from_notebook_node(executed())[0])
    page.context.set_offline(True)
    for width in (1280, 800):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(file.as_uri())
        assert page.evaluate(PAPERS) == [[True, True]] * len(CELLS)
    assert page.locator(".mm-paper img").count() == 6
    assert json.loads(page.evaluate("JSON.stringify([...document.images].map(e => e.naturalWidth > 0))")) == [True] * 6
