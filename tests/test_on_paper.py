"""What stands for a widget without a kernel: what is shown before it, and exports with and without saved state."""

import re
from base64 import b64decode
from html.parser import HTMLParser
from xml.etree import ElementTree

import nbformat
import pytest
from nbconvert import HTMLExporter, MarkdownExporter
from nbformat import v4

from mmsim import Kernel, Topology
from mmsim.lessons import lesson03, predict
from mmsim.widgets import ConfigMatrix, HistoryLab, MigrationLab, RacePlayer, Sweep
from mmsim.widgets.onpaper import VIEW

WIDGETS = {
    "lab": MigrationLab, "two": lambda: MigrationLab(beside=4), "simple": lambda: MigrationLab(simple=True),
    "race": RacePlayer, "config": ConfigMatrix, "history": HistoryLab,
    "sweep": lambda: Sweep("scheduler-moved-my-job"), "prediction": lambda: predict(lesson03.path_of, 1),
}  # fmt: skip


class Paper(HTMLParser):
    """The words, the pictures and the buttons of some HTML."""

    def __init__(self, text):
        super().__init__()
        self.words, self.pictures, self.buttons, self.open = "", [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.open.append(tag)
        if tag == "img":
            self.open.pop()
            self.pictures.append((attrs["src"], attrs["alt"]))
        if tag == "button":
            self.buttons.append("disabled" in attrs)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        self.words += data * ("style" not in self.open)


@pytest.fixture
def shown(monkeypatch):
    """What a cell shows of a widget: a list of bundles."""
    bundles = []
    monkeypatch.setattr("mmsim.widgets.parts.display", lambda bundle, **_: bundles.append(bundle))

    def show(name):
        bundles.clear()
        WIDGETS[name]()._ipython_display_()
        return bundles

    return show


@pytest.mark.parametrize("name", WIDGETS)
def test_paper_comes_first_and_the_widget_after_it(shown, name):
    paper, view = shown(name)
    assert set(paper) == {"text/html", "text/plain"}
    assert set(view) == {VIEW, "text/html"}
    assert view["text/html"] == "", "nothing stands there twice"
    assert f'data-mm="{view[VIEW]["model_id"]}"' in paper["text/html"]
    said = Paper(paper["text/html"])
    assert "Without a running kernel" in said.words
    assert said.buttons
    assert all(said.buttons), "every button is dead"
    assert len(paper["text/plain"]) > 40


def test_the_lab_is_its_first_and_last_step(shown):
    paper, _ = shown("lab")
    said, lab = Paper(paper["text/html"]), MigrationLab()
    assert "B migrate_pages: from nodes 0 to nodes 2 · all patches · one heap" in said.words
    assert "Before the call. 292 events follow." in said.words
    assert "After the call: migrate_pages returned 0; pages: direct 24." in said.words
    assert [alt for _, alt in said.pictures] == [lab._scenes[0].label(0), lab._scenes[0].label(lab.steps)]
    for source, alt in said.pictures:
        svg = ElementTree.fromstring(b64decode(source.removeprefix("data:image/svg+xml;base64,")))
        assert int(svg.get("width")) <= 900
        assert svg.find("{http://www.w3.org/2000/svg}desc").text == alt
    for text in ("Before the call", "After the call"):
        assert text in paper["text/plain"]


def test_why_pages_stay_and_the_other_machine_are_on_paper():
    def machine(patches):
        kernel = WIDGETS["lab"]()._build(frozenset(patches))
        kernel.pin(kernel.tasks[0], range(kernel.tasks[0].pages().index[5], kernel.tasks[0].pages().index[5] + 1))
        return kernel

    lab = MigrationLab(machine, new=2, beside=4)
    said = Paper(lab._repr_mimebundle_()["text/html"])
    assert len(said.pictures) == 4
    assert "pinned by the kernel" in said.words or "pinned" in said.words
    assert "patches 1, 2, 3, 5, 6, 7: After the call" in said.words


def test_a_large_machine_is_a_small_picture():
    kernel = Kernel(Topology.uniform(nodes=2, frames=1024), swap_slots=16)
    task = kernel.spawn("a", uid=0)
    task.touch(task.mmap(4), write=True)
    html = MigrationLab(kernel, new=1)._repr_mimebundle_()["text/html"]
    assert html.count("data:image/png;base64,") == 2
    assert len(html) < 200_000


def test_the_race_is_its_start_and_its_shortest_bad_end(shown):
    said = Paper(shown("race")[0]["text/html"])
    assert "The shortest schedule that ends badly" in said.words
    assert "do_swap_page() maps the stale frame 1" in said.words
    assert len(said.pictures) == 2
    assert "pte of a: swap entry 1" in said.pictures[0][1]
    assert "pte of a: frame 1" in said.pictures[1][1]
    player = RacePlayer()
    player.patch.value = True
    said = Paper(player._repr_mimebundle_()["text/html"])
    assert "ends badly" not in said.words.replace("schedules end badly", "")
    assert player.race.history == [], "the race that is shown stands where it stood"


def test_hints_and_answer_of_a_prediction_are_folded(shown):
    html = shown("prediction")[0]["text/html"]
    assert re.findall("<summary>(.*?)</summary>", html)[-1] == "Answer"
    assert html.index("<details>") < html.index("The model answers")


@pytest.mark.parametrize("state", [True, False])
def test_exports_hold_the_paper_with_and_without_saved_state(shown, state):
    paper, view = shown("lab")
    outputs = [v4.new_output("display_data", bundle) for bundle in (paper, view)]
    notebook = v4.new_notebook(cells=[v4.new_code_cell("MigrationLab()", outputs=outputs)])
    if state:  # as nbclient keeps it
        model = {"model_name": "VBoxModel", "model_module": "@jupyter-widgets/controls", "state": {}}
        notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {
            "state": {view[VIEW]["model_id"]: model}, "version_major": 2, "version_minor": 0}}  # fmt: skip
    nbformat.validate(notebook)
    html = HTMLExporter().from_notebook_node(notebook)[0]
    assert html.count('alt="Page frames of 4 nodes.') == 2
    assert "After the call: migrate_pages returned 0" in html
    assert ('type="application/vnd.jupyter.widget-view+json">' in html) == state
    assert MarkdownExporter().from_notebook_node(notebook)[0].count("Without a running kernel") == 1
