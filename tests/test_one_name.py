"""One page has one name everywhere: page 5 of a, with its frame in brackets; what knows frames alone says frame."""

import re

import pytest

from mmsim import Kernel, Topology, plots
from mmsim.machine.names import page_name
from mmsim.widgets import MigrationLab
from mmsim.widgets.recording import Recording


def test_a_page_has_one_name_and_its_frame_stands_in_brackets():
    lab = MigrationLab()
    texts = [lab.recording.text(step) for step in range(lab.steps + 1)]
    named = [text for text in texts if "page 5 of a (frame " in text]
    assert len(named) > 8
    assert "is locked for migration" in named[1]
    assert not [text for text in texts if re.search(r"\bpage \d+ (?!of)", text)]
    labels = [lab._scenes[0].label(step) for step in range(lab.steps + 1)]
    assert not [text for text in labels if re.search(r"\bpage \d+ (?!of)", text)]
    assert sum("in hand is page 5 of a (frame 6)" in text for text in labels) > 8
    # what the frame was left with is no page any more
    assert re.fullmatch(r"event 292 .* putback_lru_pages\(\): frame 1 goes back to the LRU", texts[292])
    table = lab.recording.event_table()
    assert [text.endswith(what) for text, what in zip(texts[1:-1], table["text"], strict=True)] == [True] * 292


def test_a_page_of_a_file_that_nobody_maps_is_named_by_its_file():
    kernel = Kernel(Topology.uniform(nodes=2, frames=128), patches=7)
    task = kernel.spawn("a")
    file = kernel.file("data", 4, fs="ext3")
    task.write(file)
    task.touch(task.mmap(2), write=True)
    pfn = int(kernel.frames().query("file == 'data'").index[0])
    recording = Recording(kernel, lambda: kernel.offline([pfn]))
    assert f"page 0 of file data (frame {pfn}) is locked for migration" in "\n".join(recording.story(pfn))


def test_what_knows_frames_alone_says_frame():
    kernel = Kernel(Topology.uniform(nodes=2, frames=128), patches=7)
    task = kernel.spawn("a", uid=0)
    heap = task.mmap(8)
    task.touch(heap, write=True)
    task.migrate_pages(0, 0, 1)
    assert not kernel.events()["text"].str.contains(r"\bpage \d", regex=True).any()
    assert "frame 8 is locked for migration" in kernel.events()["text"].tolist()


@pytest.mark.parametrize("gap", [1, 3])
def test_the_table_of_passes_counts_as_the_lab_does(gap):
    """Also where what was considered does not begin with the first page of the task."""
    kernel = Kernel(Topology.uniform(nodes=2, frames=128), patches=7)
    task = kernel.spawn("a", uid=0)
    task.mmap(gap)
    heap = task.mmap(6)
    task.touch(heap, write=True)
    task.migrate_pages(0, 0, 1)
    assert plots.passes_table(kernel).index.tolist() == [f"page {gap + i} of a" for i in range(6)]
    assert page_name(kernel, task.pid, heap[2].start) == f"page {gap + 2} of a"
