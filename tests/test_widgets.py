"""The MigrationLab without a browser: what it records, how its controls behave, what it says."""

import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from mmsim import Config, Kernel, MMSimError, Policy, Topology
from mmsim.widgets import MigrationLab
from mmsim.widgets.layouts import LAYOUTS
from mmsim.widgets.recording import Recording
from mmsim.widgets.scene import BUFFERS, FREE, KIND, MARKED, MARKS, PAGE_CACHE, S_MAPPED, Scene


def machine(pages=12, frames=64, patches=7, **options):
    kernel = Kernel(Topology.ring(nodes=4, frames=frames), patches=patches, swap_slots=max(64, pages), **options)
    task = kernel.spawn("a", uid=0)
    heap = task.mmap(pages)
    task.touch(heap, write=True)
    return kernel, task, heap


@pytest.fixture
def lab():
    return MigrationLab()


def press(lab, *names):
    for name in names:
        lab.controls[name].click()


# -- the recording


@pytest.mark.parametrize("patches", [0, (1, 3), (1, 3, 5), 7])
def test_every_step_is_the_machine_at_that_event(patches):
    kernel, task, heap = machine(patches=patches)
    kernel.pin(task, heap[3])
    before = kernel.snapshot()
    seen = []
    with kernel.watch(lambda: seen.append(kernel.frames())):
        task.migrate_pages(0, 0, 2)
    after = kernel.frames()
    kernel.restore(before)
    recording = Recording(kernel, lambda: task.migrate_pages(0, 0, 2))
    assert recording.steps == len(seen) + 1
    for step in [*range(1, recording.steps), *reversed(range(1, recording.steps))]:  # forth and back
        pd.testing.assert_frame_equal(recording.frames(step), seen[step - 1])
    pd.testing.assert_frame_equal(recording.frames(recording.steps), after)
    kernel.restore(before)
    pd.testing.assert_frame_equal(recording.frames(0), kernel.frames())


def test_the_sentences_are_those_of_the_trace():
    kernel, task, _ = machine()
    first = len(kernel.events())
    recording = Recording(kernel, lambda: task.migrate_pages(0, 0, 2))
    events = kernel.events().iloc[first:]
    assert recording.steps == len(events) + 1
    for step, event in enumerate(events.itertuples(), 1):
        assert recording.text(step).startswith(f"event {step} of {len(events)} ")
        by_frame = re.sub(r"page \d+ of a \((frame \d+)\)", r"\1", recording.text(step))
        assert by_frame.endswith(f"{event.function}(): {event.text}")
    assert "returned 0; pages: direct 12" in recording.text(recording.steps)


def test_a_story_follows_the_page_to_its_new_frame():
    kernel, task, heap = machine()
    frame = int(task.pages(heap[4])["pfn"].iloc[0])
    recording = Recording(kernel, lambda: task.migrate_pages(0, 0, 2))
    new = int(task.pages(heap[4])["pfn"].iloc[0])
    story = recording.story(frame)
    name = "page 4 of a"
    assert story == recording.story(heap.start + 4)
    assert f"{name} (frame {frame}) is taken off its LRU list" in story[0]
    said = f"a swap pte with entry 8 points to {name} (frame {new}) again"  # the last page gets entry 1
    assert said in "\n".join(story)
    with pytest.raises(ValueError, match="neither a page frame"):
        recording.story(10**6)


def test_counters_and_reasons_grow_to_what_the_migration_says():
    kernel, task, heap = machine()
    kernel.pin(task, heap[3:5])
    recording = Recording(kernel, lambda: task.migrate_pages(0, 0, 2))
    assert recording.counters(0)["pages migrated"] == 0
    assert recording.counters(recording.steps)["pages migrated"] == kernel.last.moved == 10
    assert recording.stayed(0).empty
    end = recording.stayed(recording.steps)
    assert end["frame"].tolist() == kernel.last.stayed["old_pfn"].tolist()
    assert end["page"].tolist() == [3, 4]
    assert end["reason"].tolist() == kernel.last.stayed["reason"].tolist()
    halfway = recording.stayed(recording.steps - 30)
    assert set(halfway["what"]) == {"not yet"}


def test_a_thousand_pages_are_recorded_event_by_event():
    """How long it takes, and how long a click, is measured by benchmarks/browser.py."""
    kernel, task, _ = machine(1024, frames=1536)
    recording = Recording(kernel, lambda: task.migrate_pages(0, 0, 2))
    assert len(recording.events) > 10_000
    node_2 = kernel.tables["mem_map"]["node"][: len(recording)] == 2
    for step, there in ((0, 0), (recording.steps, 1024)):
        states = Scene(recording).states(step)
        assert (states[node_2] == S_MAPPED).sum() == there


def test_a_ring_that_has_wrapped_is_recorded_all_the_same():
    kernel, task, _ = machine(trace=50)
    recording = Recording(kernel, lambda: task.migrate_pages(0, 0, 2))
    assert len(recording.events) > 100
    assert recording.text(1).endswith("next pair: node 0 to node 2")


# -- the scene


@pytest.mark.parametrize("width", [640, 760, 1100, 1280])
@pytest.mark.parametrize("topology", [Topology.uniform(2, 32), Topology.ring(5, 64), Topology.preset("altix-8n", 256),
                                      Topology.from_matrix([[10, 20], [20, 10]], [1024, 1024])])  # fmt: skip
def test_everything_has_its_place(topology, width):
    kernel = Kernel(topology)
    task = kernel.spawn("a")
    task.touch(task.mmap(24), write=True)
    g = Scene(Recording(kernel, lambda: task.migrate_pages(0, 0, 1))).geometry(width)
    assert g["cells"] == sum(group["count"] for group in g["groups"])
    for group in g["groups"]:
        lines = -(-group["count"] // group["cols"])
        assert group["x"] >= 0
        assert group["x"] + group["cols"] * group["w"] <= width
        if "box" in group:
            x, y, w, h = group["box"]
            assert x + w <= width
            assert x <= group["x"]
            assert group["x"] + group["cols"] * group["w"] <= x + w
            assert y < group["y"]
            assert group["y"] + lines * group["h"] <= y + h <= g["height"]


def test_looks_and_letters_of_the_frames():
    kernel, task, heap = machine()
    child = task.fork("b")
    kernel.pin(task, heap[3])
    task.mlock(heap[8:10])  # breaks the sharing of these two
    pfn = task.pages()["pfn"].tolist()
    theirs = child.pages()["pfn"].tolist()
    scene = Scene(Recording(kernel, lambda: None))
    looks, letters = scene.cells(0)
    assert chr(letters[pfn[0]]) == "+"
    assert scene.describe(0, pfn[8]).startswith(f"frame {pfn[8]} on node 0: page 8 of a; in a locked vma")
    assert chr(letters[theirs[8]]) == "b"
    assert all(looks[pfn[i]] & MARKED for i in (3, 8))
    assert [letters[pfn[i]] for i in (3, 8)] == [MARKS["pinned"], MARKS["in a locked vma"]]
    assert int((looks[:256] & KIND == FREE).sum()) == int((kernel.frames()["state"] == "free").sum())


def test_the_static_twin(lab):
    lab.step = 60
    svg = ElementTree.fromstring(lab.static_svg())
    name = "{http://www.w3.org/2000/svg}"
    squares = [e for e in svg.iter(f"{name}rect") if e.get("class") == "frame"]
    assert len(squares) == len(lab.kernel.frames())
    assert svg.find(f"{name}title").text == lab.recording.text(60)
    assert "node 0: 38 free" in svg.find(f"{name}desc").text
    assert repr(lab) == f"<MigrationLab: {lab.recording.text(60)} {svg.find(f'{name}desc').text}>"


def test_every_cell_can_say_what_it_is(lab):
    press(lab, *["Step"] * 70)
    answers = []
    lab.stage.send = answers.append
    for cell in range(lab.stage.geometry["cells"] + 1):
        lab.stage._handle_custom_msg({"look": cell}, [])
    assert len(answers) == lab.stage.geometry["cells"]
    texts = [answer["text"] for answer in answers]
    assert texts[0] == "frame 0 on node 0: of the kernel; references 1, 0 of them from ptes; flags uptodate, reserved"
    assert texts[256].startswith("page 0 of a: frame 1 on node 0")
    assert texts[128].startswith("frame 128 on node 2: page 23 of a")  # the highest address moves first
    assert "swap slot 1: free" in texts


OBSTACLES = [*MARKS, "buffers", "file"]


def with_every_obstacle():
    """A machine with one slot, which the first page keeps, on which a run meets every obstacle."""
    kernel = Kernel(Topology.uniform(nodes=2, frames=64), swap_slots=1)
    task = kernel.spawn("a", uid=0)
    heap = task.mmap(6, name="heap")
    task.touch(heap, write=True)
    kernel.pin(task, heap[5])
    kernel.hold_lock(task, heap[5], kernel.clock + 10**4)
    task.touch(task.mmap(2, locked=True), write=True)
    for fs in ("ext3-journalled", "reiserfs"):
        file = kernel.file(fs, 2, fs=fs)
        task.write(file, 0, 2)
        task.touch(task.mmap(2, file=file, shared=True))
    return kernel


def test_every_obstacle_is_seen_on_its_page_in_the_legend_and_in_words():
    lab = MigrationLab(with_every_obstacle, new=1)
    scene, shown, said = lab._scenes[0], set(), set()
    for step in range(lab.recording.steps + 1):
        looks, letters = scene.cells(step)
        for cell in np.flatnonzero(looks[: len(lab.recording)] & (MARKED | BUFFERS)).tolist():
            seen = {name for name, bit in MARKS.items() if looks[cell] & MARKED and letters[cell] & bit}
            seen |= {"buffers"} if looks[cell] & BUFFERS else set()
            if not seen <= shown:
                said |= {word for word in OBSTACLES if word in scene.describe(step, cell)}
            shown |= seen
    assert shown == {*MARKS, "buffers"}
    assert said == set(OBSTACLES)
    assert {*scene.letters.values(), *scene.file_letters.values()} == {ord(c) for c in "aer"}
    legend = {text: (look, letter) for look, letter, text in scene.legend}
    assert {"file ext3-journalled", "file reiserfs", "buffers", "dirty", "journal", "no slot", "locked vma", "pinned",
            "locked", "writeback"} <= legend.keys()  # fmt: skip
    assert any("pinned; locked" in scene.describe(0, cell) for cell in range(64)), "both, in words"


def test_a_page_of_a_file_keeps_its_letter_when_it_moves():
    lab = MigrationLab()
    lab.controls["layout"].value = "a mapped file and a heap"
    (letter,) = lab._scenes[0].file_letters.values()
    seen = {(int((looks & KIND == PAGE_CACHE).sum()), chr(letter))
            for looks, letters in map(lab._scenes[0].cells, (0, lab.recording.steps))
            if set(letters[looks & (KIND | MARKED) == PAGE_CACHE]) == {letter}}  # fmt: skip
    assert seen == {(16, "d")}


# -- the controls


def test_the_player(lab):
    assert (lab.step, lab.steps) == (0, len(lab.recording.events) + 1)
    press(lab, "Back")
    assert lab.step == 0
    press(lab, "Step", "Step", "Step", "Back")
    assert lab.step == lab.stage.step == lab.controls["position"].value == 2
    shown = lab.stage.cells
    press(lab, "Last")
    assert lab.step == lab.steps
    pd.testing.assert_frame_equal(lab.recording.frames(lab.step), lab.kernel.frames())
    press(lab, "Step")
    assert lab.step == lab.steps
    lab.controls["position"].value = 2
    assert lab.stage.cells == shown
    press(lab, "First")
    assert lab.step == 0
    press(lab, "Last", "Reset")
    assert lab.step == 0
    lab.step = 10**6
    assert lab.step == lab.steps


def test_playing_takes_one_step_for_each_picture_shown(lab):
    press(lab, "Play")
    assert lab.controls["Play"].description == "Pause"
    for step in (0, 0, 0, 1, 5):  # the same request again, and one for a step that is not shown, are void
        lab.stage._handle_custom_msg({"next": step}, [])
    assert lab.step == 2
    press(lab, "Play")
    lab.stage._handle_custom_msg({"next": 2}, [])
    assert lab.step == 2
    lab.controls["speed"].value = lab.controls["speed"].most
    press(lab, "Play")
    while lab.stage.playing:
        lab.stage._handle_custom_msg({"next": lab.step}, [])
    assert lab.step == lab.steps
    press(lab, "Play")
    assert lab.step == 0, "from the end, playing begins anew"


def test_a_click_sends_a_few_kilobytes():
    kernel, _task, _ = machine(1024, frames=512)
    lab = MigrationLab(kernel, old="0-1", new="2-3")
    sent = []
    lab.stage.send_state = lambda key=None: sent.append(key)
    press(lab, "Step")
    assert "geometry" not in str(sent)
    assert len(lab.stage.cells) <= 2 * (2048 + 1024 + 1024)


def test_patches_take_along_what_needs_them(lab):
    patches = lambda: {n for n in range(1, 8) if lab.controls[n].value}  # noqa: E731
    assert patches() == set(range(1, 8))
    lab.controls[3].value = False
    assert patches() == {1, 2, 7} == lab.kernel.patches
    assert lab.message == "Patches 4, 5, 6 are off too: nothing to build on without 3."
    assert lab.migration.evicted == 24
    lab.controls[6].value = True
    assert patches() == {1, 2, 3, 6, 7}
    assert lab.message == "Patch 3 is on too: 6 needs it."
    lab.controls[1].value = False
    assert patches() == {2} == lab.kernel.patches


@pytest.mark.parametrize("trigger", "ABCD")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_and_triggers(lab, layout, trigger):
    lab.controls["layout"].value = layout
    lab.controls["trigger"].value = trigger
    lab.kernel.verify()
    assert not lab.message
    assert lab.migration.moved
    assert len(lab.recording.stayed(lab.steps)) == len(lab.migration.stayed)
    kernel = lab.kernel
    press(lab, "Reset")
    assert lab.kernel is not kernel
    pd.testing.assert_frame_equal(lab.kernel.frames(), kernel.frames())


def test_flags(lab):
    assert lab.controls["all"].disabled
    lab.controls["trigger"].value = "A"
    assert lab.controls["from"].disabled
    lab.controls["layout"].value = "a heap, one page pinned"
    lab.controls["strict"].value = True
    assert lab.message.startswith("The call ends in an error: -EIO, strict: ")
    assert "-EIO" in lab.recording.text(lab.steps)


@pytest.mark.parametrize(("control", "text", "message"), [
    ("to", "9", "Not run: -EINVAL, to: there is no node 9; this machine has the nodes 0 to 3."),
    ("from", "x", "Not run: from is 'x': 'x' is no node"),
    ("to", "3-1", "runs backwards"),
])  # fmt: skip
def test_wrong_nodes_are_said_and_nothing_is_run(lab, control, text, message):
    recording = lab.recording
    lab.controls[control].value = text
    assert message in lab.message
    assert lab.recording is recording
    lab.controls[control].value = "1"
    assert not lab.message
    assert lab.recording is not recording


def hanging():
    """Another process maps the same file in a locked vma: V1's endless loop."""
    kernel = Kernel(Topology.uniform(nodes=2, frames=64))
    file = kernel.file("data", 8)
    for name, locked in (("a", False), ("b", True)):
        task = kernel.spawn(name)
        task.touch(task.mmap(8, file=file, shared=True, locked=locked))
    return kernel


def without_swap():
    kernel = Kernel(Topology.uniform(nodes=2, frames=64), Config(swap=False))
    task = kernel.spawn("a")
    task.touch(task.mmap(8), write=True)
    return kernel


@pytest.mark.parametrize(("make", "words"), [(hanging, "KernelHang: the unmap loop"), (without_swap, "KernelBug: BUG")])
def test_a_kernel_that_dies_says_so(make, words):
    lab = MigrationLab(make)
    assert words in lab.message
    press(lab, "Last")
    assert words in lab.recording.text(lab.step)
    assert isinstance(lab.recording.error, MMSimError)


def test_a_machine_of_ones_own_is_put_back_for_each_run():
    kernel, task, heap = machine(patches=(1, 3, 5))
    lab = MigrationLab(kernel, new=3)
    assert lab.kernel is kernel
    assert kernel.patches == {1, 3, 5}
    assert task.placement(heap) == [None] * 12, "without patch 4 the ptes are swap ptes now"
    lab.controls[4].value = True
    assert kernel.patches == {1, 3, 4, 5}
    assert task.placement(heap) == [3] * 12
    lab.controls["to"].value = "1"
    assert task.placement(heap) == [1] * 12
    kernel.verify()


def test_a_function_that_makes_machines():
    made = []

    def make(patches):
        made.append(patches)
        return machine(patches=patches)[0]

    lab = MigrationLab(make, trigger="D", old=0, new=2, patches=4)
    lab.controls[4].value = False
    assert made[-2:] == [(1, 2, 3, 4), (1, 2, 3)]
    assert lab.migration.trigger == "kernel"
    assert MigrationLab(lambda: machine()[0]).migration.moved == 12
    assert MigrationLab(lambda pages=5: machine(pages)[0]).migration.moved == 5
    with pytest.raises(TypeError, match="give a Kernel"):
        MigrationLab(7)
    with pytest.raises(ValueError, match="no task lives"):
        MigrationLab(lambda: Kernel(Topology.uniform(2, 64)))
    with pytest.raises(ValueError, match="can be watched"):
        MigrationLab(lambda: machine(trace=False)[0])


def test_a_policy_of_the_users_stays(lab):
    kernel, task, heap = machine()
    task.mbind(heap, Policy.bind(0))
    lab = MigrationLab(kernel)
    assert lab.migration.moved == 12
    assert str(task.get_mempolicy(heap)) == str(Policy.bind(0))


def test_a_first_look_shows_picture_player_and_reasons_and_a_button_the_rest():
    lab = MigrationLab(simple=True)
    assert lab.simple
    assert "mm-simple" in lab._dom_classes
    large = lab.stage.geometry["groups"][0]["w"]
    press(lab, "Last", "More")
    assert not lab.simple
    assert lab.step == lab.steps
    assert lab.stage.geometry["groups"][0]["w"] < large
    assert "mm-simple" not in lab._dom_classes
    press(lab, "More")
    assert lab.simple


def test_the_settings_are_said_in_one_line_while_they_are_folded(lab):
    assert lab._settings.layout.display == "none"
    assert lab._summary.value == "B migrate_pages: from nodes 0 to nodes 2 · all patches · one heap"
    lab.controls["trigger"].value = "A"
    lab.controls[6].value = False
    assert lab._summary.value == "A mbind: what is elsewhere to nodes 2 · patches 1, 2, 3, 4, 5, 7 · one heap"
    press(lab, "Settings")
    assert lab._settings.layout.display is None


def test_controls_have_names(lab):
    names = [w.description for w in lab.controls.values() if hasattr(w, "description")]
    assert all(names)
    assert lab.controls["speed"].name == "speed"
    assert re.fullmatch(r"Page frames of 4 nodes\. node 0: .* free.*\.", lab.stage.label)
    assert np.frombuffer(lab.stage.cells, np.uint8).size == 2 * lab.stage.geometry["cells"]


def test_what_a_first_look_hides_is_made_when_it_is_seen():
    lab = MigrationLab(simple=True)
    lab.step = lab.steps
    assert (lab._flow.value, lab._counters.value) == ("", "")
    lab.controls["More"].click()
    assert "pages migrated" in lab._counters.value
    seen = lab._flow.value
    assert seen
    lab.step = 1
    assert lab._flow.value != seen
