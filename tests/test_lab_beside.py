"""The MigrationLab without a browser: a machine beside it, obstacles, the flow, the source, what can be taken away."""

import re
from io import BytesIO, StringIO
from xml.etree import ElementTree

import pandas as pd
import pytest
from PIL import Image

from mmsim import Kernel, Topology
from mmsim.mm import trace
from mmsim.widgets import MigrationLab
from mmsim.widgets.controls import EXPORTS
from mmsim.widgets.layouts import LAYOUTS
from mmsim.widgets.panels import flow_svg

TAKEN_UP = (trace.LOCKED, trace.LOCK_BUSY, trace.LOCK_WAIT, trace.WRITEBACK_BUSY, trace.WRITEBACK_WAIT)


def lab_with(layout="one heap", **options):
    lab = MigrationLab(**options)
    lab.controls["layout"].value = layout
    return lab


def outcome(lab, page):
    """The row of the result for a page of the first task."""
    first = int(lab.recording.pte_address[0])
    return lab.migration.pages.set_index("page").loc[first + page]


# -- side by side


@pytest.mark.parametrize("beside", [0, 1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("layout", ["a heap, one page pinned", "files of four file systems, dirty"])
def test_both_machines_take_up_the_same_page_in_the_same_pass(layout, beside):
    lab = lab_with(layout, beside=beside)
    assert lab._pairs[0] == (0, 0)
    assert lab._pairs[-1] == (lab.recording.steps, lab.beside.steps)
    for (a, b), (c, d) in zip(lab._pairs, lab._pairs[1:], strict=False):
        assert (c - a, d - b) in {(1, 0), (0, 1), (1, 1)}
    taken_up = []
    for recording, side in ((lab.recording, 0), (lab.beside, 1)):
        first = {}
        for step, (event, (page, _)) in enumerate(zip(recording.events, recording.hands[1:], strict=False), 1):
            if event["code"] in TAKEN_UP and event["pass_"] >= 0:
                first.setdefault((event["pass_"], page), step)
        taken_up.append({key: next(i for i, pair in enumerate(lab._pairs) if pair[side] == s)
                         for key, s in first.items()})  # fmt: skip
    both = taken_up[0].keys() & taken_up[1].keys()
    assert len(both) >= 22
    assert all(taken_up[0][key] == taken_up[1][key] for key in both)


def test_a_step_moves_both_and_who_is_done_first_waits():
    lab = MigrationLab(beside=0)
    seen = {"both": 0, "waits": 0}
    while lab.step < lab.steps:
        lab.controls["Step"].click()
        assert [stage.step for stage in lab.stages] == [lab.step] * 2
        assert [stage.at for stage in lab.stages] == list(lab._pairs[lab.step])
        seen["waits" if "waits · " in lab._said[0].value + lab._said[1].value else "both"] += 1
    assert min(seen.values()) > 50
    assert "pages: direct 24" in lab._said[0].value
    assert "pages: swapped out 24" in lab._said[1].value
    assert re.search("pages migrated</td><td class=n>24</td><td class=n>0<", lab._counters.value)
    assert re.search("swap writes</td><td class=n>0</td><td class=n>24<", lab._counters.value)


def test_the_machine_that_is_left_is_the_first_one():
    kernel = Kernel(Topology.ring(nodes=4, frames=64), patches=(1, 2, 3, 5))
    task = kernel.spawn("a", uid=0)
    heap = task.mmap(8)
    task.touch(heap, write=True)
    lab = MigrationLab(kernel, beside=3)
    assert kernel.patches == {1, 2, 3, 5}
    assert lab.kernel is kernel
    assert lab.migration.moved == 8
    assert lab.beside.migration.evicted == 8
    kernel.verify()


def test_what_may_stand_beside_follows_the_patches():
    lab = MigrationLab(beside=4)
    beside = lab.controls["beside"]
    assert ("the same without patches 3, 4, 5, 6", 3) in beside.options
    lab.controls[6].value = False
    assert beside.value == 4
    assert lab.beside is not None
    lab.controls[4].value = False
    assert beside.value == ""
    assert lab.beside is None
    assert lab.steps == lab.recording.steps
    with pytest.raises(ValueError, match="beside is 9"):
        MigrationLab(beside=9)
    with pytest.raises(ValueError, match="beside is 6"):
        MigrationLab(patches=4, beside=6)


def test_nothing_without_a_name_may_stand_beside_when_patches_change():
    lab = MigrationLab()
    lab.controls[4].value = False
    assert [text for text, value in lab.controls["beside"].options if value == ""] == ["nothing"]


# -- obstacles


def test_a_pinned_page_stays_and_says_why():
    lab = MigrationLab()
    lab.place("pin", 5)
    assert lab.message == "Placed before the call: page 5 of a pinned."
    assert outcome(lab, 5)["path"] == "retries exhausted"
    assert outcome(lab, 5)["reason"].startswith("pinned")
    assert lab.migration.moved == 23
    assert lab.recording.stayed(lab.steps)["page"].tolist() == [5]
    lab.kernel.verify()
    lab.place("pin", 5)
    assert not lab.placed
    assert lab.migration.moved == 24


def test_a_locked_page_is_waited_for():
    lab = MigrationLab()
    lab.place("lock", 7)
    assert outcome(lab, 7)[["path", "passes"]].tolist() == ["direct", 4]
    assert "is locked: wait for the lock" in "\n".join(lab.story(int(lab.recording.pte_address[7])))


def test_a_shared_page_has_two_tasks():
    lab = MigrationLab()
    lab.place("share", 9)
    lab.place("share", 11)
    task, twin = lab.kernel.tasks
    assert len(twin.pages()) == 2
    assert (twin.pages()["pfn"].tolist()) == task.pages()["pfn"].iloc[[9, 11]].tolist()
    assert lab.migration.moved == 24
    lab.kernel.verify()
    lab.controls["Reset"].click()
    assert not lab.placed
    assert len(lab.kernel.tasks) == 1


def test_a_dirty_page_of_a_file_has_dirty_buffers():
    lab = lab_with("a mapped file and a heap", beside=6)
    lab.place("dirty", 12)
    lab.step = lab.steps
    assert outcome(lab, 12)["path"] == "direct with buffers"
    page = int(lab.recording.pte_address[12])
    assert lab.beside.migration.pages.set_index("page").loc[page, "path"] == "direct after writeout"


def test_obstacles_stay_while_settings_change_and_go_with_the_process():
    lab = MigrationLab()
    lab.place("pin", 3)
    lab.controls[4].value = False
    lab.controls["trigger"].value = "C"
    assert len(lab.placed) == 1
    assert len(lab.migration.stayed) == 1
    lab.controls["layout"].value = "a mapped file and a heap"
    assert not lab.placed


@pytest.mark.parametrize(("tool", "page", "layout", "why"), [
    ("dirty", 3, "one heap", "dirty already"),
    ("share", 10, "two tasks share by fork", "several tasks map it already"),
    ("swap", 3, "one heap", "give one of lock, pin, dirty, share"),
    ("pin", 24, "one heap", "0 to 23"),
])  # fmt: skip
def test_an_impossible_obstacle_is_refused(tool, page, layout, why):
    lab = lab_with(layout)
    recording = lab.recording
    with pytest.raises(ValueError, match=why):
        lab.place(tool, page)
    assert lab.recording is recording
    assert not lab.placed


def test_a_click_places_what_the_tool_says():
    lab = MigrationLab()
    click = lambda cell, stage=0: lab.stages[stage]._handle_custom_msg({"pick": cell}, [])  # noqa: E731
    frame = int(lab.recording.at(0).tables["pte"]["value"][lab.recording.pte_row[5]])
    click(frame)
    assert not lab.placed, "the tool is: look"
    lab.controls["tool"].value = "pin"
    assert lab.stage.tool == "pin"
    click(frame)
    assert [each[0] for each in lab.placed] == ["pin"]
    lab.step = lab.steps
    click(len(lab.recording) + 8)  # page 8 of a, on the strip
    assert lab.message == "Placed before the call: page 5 of a pinned, page 8 of a pinned."
    assert lab.step == 0
    for cell, why in ((0, "frame 0 is of the kernel"), (100, "frame 100 is free"), (290, "a swap slot is no page")):
        click(cell)
        assert lab.message == f"Not pinned: {why}; choose a page that a task maps."
    click(10**6)
    assert len(lab.placed) == 2


def test_a_click_on_the_machine_beside_places_it_in_both():
    lab = MigrationLab(beside=4)
    lab.controls["tool"].value = "pin"
    lab.step = lab.steps
    lab.stages[1]._handle_custom_msg({"pick": len(lab.recording) + 2}, [])
    assert [run.migration.retried for run in (lab.recording, lab.beside)] == [1, 1]


# -- one page


def test_step_goes_from_event_to_event_of_the_page_that_is_followed():
    lab = MigrationLab()
    lab.follow(5)
    assert lab.controls["follow"].value == "page 5 of a"
    steps = lab.recording.steps_of(lab.recording.find(*lab.followed))
    assert [lab.recording.text(step).split(" · ")[-1] for step in steps] == lab.story(int(lab.recording.pte_address[5]))
    for step in steps:
        lab.controls["Step"].click()
        assert lab.step == step
    lab.controls["Step"].click()
    assert lab.step == lab.steps
    lab.controls["Back"].click()
    assert lab.step == steps[-1]
    lab.controls["follow"].value = ""
    assert lab.followed is None
    lab.controls["Step"].click()
    assert lab.step == steps[-1] + 1


def test_a_page_is_followed_by_a_click_or_by_its_name():
    lab = MigrationLab(beside=4)
    click = lambda cell: lab.stages[1]._handle_custom_msg({"pick": cell}, [])  # noqa: E731
    click(len(lab.recording) + 7)
    assert lab.controls["follow"].value == "page 7 of a"
    click(len(lab.recording) + 7)
    assert lab.followed is None
    for text in ("3", "3 of a", "page 3 of a"):
        lab.controls["follow"].value = text
        assert lab.followed == (lab.kernel.tasks[0].pid, int(lab.recording.pte_address[3]))
        lab.controls["follow"].value = ""
    lab.controls["follow"].value = "99"
    assert "There is no page 99 to follow" in lab.message
    with pytest.raises(ValueError, match="page is 24; give 0 to 23, or None"):
        lab.follow(24)


def test_the_bar_marks_passes_failures_the_page_and_where_two_kernels_part():
    lab = lab_with("files of four file systems, dirty", beside=6)
    lab.follow(2)
    kinds = {kind: [step for step, each in lab.controls["position"].marks if each == kind]
             for kind in ("pass", "fails", "part", "page")}  # fmt: skip
    assert len(kinds["pass"]) == lab.migration.passes
    assert len(kinds["fails"]) == lab.migration.failed == 6
    (part,) = kinds["part"]
    before = [run.text(at).partition(" · ")[2] for run, at in zip(lab._runs, lab._pairs[part - 1], strict=True)]
    there = [run.text(at).partition(" · ")[2] for run, at in zip(lab._runs, lab._pairs[part], strict=True)]
    assert before[0] == before[1]
    assert there[0] != there[1]
    assert kinds["page"]


def test_the_number_of_an_event_can_be_written():
    lab = MigrationLab()
    lab.controls["event"].value = 120
    assert lab.step == lab.controls["position"].value == 120
    lab.controls["Step"].click()
    assert lab.controls["event"].value == 121


# -- the flow


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_flow_counts_every_page_once(layout):
    lab = lab_with(layout)
    for step in range(0, lab.steps + 1, 7):
        svg = ElementTree.fromstring(flow_svg([lab.recording], [step]))
        texts = {"".join(text.itertext()): int(text[-1].text) for text in svg.iter("text")}
        considered = next(count for text, count in texts.items() if text.startswith("considered"))
        ends = {text: count for text, count in texts.items() if "?" not in text and not text.startswith("considered")}
        assert sum(ends.values()) == considered == len(lab.recording.fates(step)[0])
    said = re.search('aria-label="([^"]*)"', flow_svg([lab.recording], [lab.steps]))[1]
    assert all(f"{path} {count}" in said for path, count in lab.migration.paths.items())


# -- the source


def test_the_source_of_every_event_is_the_line_that_wrote_it():
    lab = lab_with("a heap, one page pinned")
    for step in range(1, lab.recording.steps):
        lab.step = step
        name, file, first, text, line = lab.source()
        assert file.startswith("mmsim/mm/")
        assert f"def {name}(" in text
        assert "trace(k, " in text.splitlines()[line - first]
    lab.controls["Source"].click()
    lab.controls["First"].click()
    assert "No event is shown" in lab._source.name
    lab.step = 60
    assert lab._source.name.startswith(f"{lab.source()[0]} · mmsim/mm/")
    assert lab._source.marked == lab.source()[-1]


# -- to take away


def test_exports_say_what_the_machine_was_at_the_step():
    lab = lab_with("a heap, one page pinned")
    lab.step = 120
    frames = pd.read_csv(StringIO(lab.export("frames")), index_col=0)
    assert frames["count"].tolist() == lab.recording.frames(120)["count"].tolist()
    events = pd.read_csv(StringIO(lab.export("events")), index_col="step")
    assert len(events) == lab.recording.steps - 1
    assert lab.recording.text(120).endswith(f"{events['function'][120]}(): {events['text'][120]}")
    pages = pd.read_csv(StringIO(lab.export("pages", lab.steps)), index_col=["task", "page"])
    assert pages["pfn"].tolist() == lab.kernel.tasks[0].pages()["pfn"].tolist()
    assert pages["reason"].dropna().str.startswith("pinned").sum() == 1
    assert lab.export("numa_maps", lab.steps).strip() == lab.kernel.tasks[0].numa_maps()
    assert "N0=24" in lab.export("numa_maps", 0)
    assert Image.open(BytesIO(lab.export("png"))).size == (2 * lab.stage.width, 2 * lab.stage.geometry["height"])
    assert ElementTree.fromstring(lab.export("svg")).get("width") == str(lab.stage.width)
    with pytest.raises(ValueError, match="kind is 'gif'"):
        lab.export("gif")


def test_a_policy_that_the_call_sets_is_in_numa_maps():
    lab = MigrationLab(trigger="A")
    assert " default " in lab.export("numa_maps", 0)
    assert " bind:2 " in lab.export("numa_maps", lab.steps)


@pytest.mark.parametrize("kind", EXPORTS)
def test_a_button_sends_a_file(kind):
    lab = MigrationLab()
    sent = []
    lab.stage.send = lambda content, buffers: sent.append((content["save"], buffers))
    lab.controls[EXPORTS[kind]].click()
    ((name, [data]),) = sent
    assert name.startswith(f"mmsim-{kind}-step-0.")
    made = lab.export(kind)
    assert data == (made if isinstance(made, bytes) else made.encode())


# -- the seed


def test_the_seed_makes_the_process():
    lab = MigrationLab()
    assert lab.controls["seed"].disabled
    lab.controls["layout"].value = "a heap at random (seed)"
    assert not lab.controls["seed"].disabled
    one = lab.kernel.frames()
    lab.controls["Reset"].click()
    pd.testing.assert_frame_equal(lab.kernel.frames(), one)
    lab.controls["seed"].value = 2
    assert not lab.kernel.frames().equals(one)
    for seed in range(3, 12):
        lab.controls["seed"].value = seed
        lab.kernel.verify()
        assert len(lab.migration.pages)
