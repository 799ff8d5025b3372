"""The worked example of the specification, row by row: 64 written pages go from node 0 to node 1."""

from typing import NamedTuple

import pytest
from machines import boot, frames_of, paths, slots, states, writer

from mmsim import Faults, Policy

N = 64


class Row(NamedTuple):
    patches: object
    trigger: str
    path: str
    passes: int
    writes: int
    state: str  # of the ptes right after
    node: int | None  # of the frames right after
    kept: int  # slots right after
    peak: int  # most slots that were ever in use
    fault: str  # kind of the second write
    home: int  # where the pages are in the end
    kept_in_the_end: int


EVICTED = ("swapped out", 3, N, "swap", None, N, N, "major", 0, N)
WRITTEN = ("direct after writeout", 2, N, "swap", None, N, N, "minor", 1, N)
RESTORED = ("direct after writeout", 2, N, "present", 1, 0, N, "protection", 1, 0)
DIRECT = ("direct", 1, 0, "present", 1, 0, 1, "protection", 1, 0)
ROWS = [
    Row((), "B", *EVICTED),
    Row((1, 3), "B", *EVICTED),
    Row((1, 3), "D", *WRITTEN),
    Row((1, 3, 4), "D", *RESTORED),
    Row((1, 3, 5), "B", *WRITTEN),
    Row((1, 3, 4, 5), "B", *RESTORED),
    Row((1, 3, 4, 6), "D", *DIRECT),
    Row(7, "A", *DIRECT),
    Row(7, "B", *DIRECT),
    Row(7, "C", *DIRECT),
]


def move(kernel, task, heap, trigger):
    """Node 0 to node 1, by one of the four triggers."""
    if trigger == "A":
        # the policy decides where later pages go; without MOVE nothing would happen to these
        task.mbind(heap, Policy.bind(1), move=True)
    elif trigger == "B":
        assert task.migrate_pages(0, old=0, new=1) == 0
    elif trigger == "C":
        group = kernel.cpuset("group", mems=0)
        group.attach(task)
        group.memory_migrate = True
        group.mems = 1
    else:
        assert kernel.migrate(frames_of(task, heap), to=1).returned == 0


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.patches}-{row.trigger}")
def test_row(row):
    kernel = boot(nodes=2, frames=1024, patches=row.patches, swap_slots=1024)
    task, heap = writer(kernel, N)
    assert task.placement(heap) == [0] * N
    move(kernel, task, heap, row.trigger)

    assert paths(kernel) == {row.path: N}
    assert kernel.last.passes == row.passes
    assert kernel.vmstat()["swap_write"] == row.writes
    assert states(task, heap) == {row.state: N}
    assert task.placement(heap) == [row.node] * N
    assert (slots(kernel), kernel.vmstat()["swap_peak"]) == (row.kept, row.peak)
    moved = row.path != "swapped out"
    assert (kernel.last.moved, kernel.last.evicted) == ((N, 0) if moved else (0, N))
    assert set(kernel.last.pages["new_node"].dropna()) == ({1} if moved else set())
    if not moved:  # no user frame is left
        assert set(kernel.residency().columns) & {"other", "swap cache", "page cache"} == set()
        assert kernel.residency()["job"].sum() == 0

    if row.state == "present":
        assert set(task.pages(heap)["flags"]) <= {"", "dirty"}  # old and write-protected
    assert task.touch(heap, write=True) == Faults(**dict.fromkeys(Faults._fields, 0) | {row.fault: N})
    assert task.placement(heap) == [row.home] * N
    assert slots(kernel) == row.kept_in_the_end
    assert kernel.vmstat()["copied"] == 0


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.patches}-{row.trigger}")
def test_first_pass_of_each_row(row):
    """Why it takes so many passes: what the trace says of one page, pass by pass."""
    kernel = boot(nodes=2, frames=1024, patches=row.patches, swap_slots=1024)
    task, heap = writer(kernel, N)
    (first,) = frames_of(task, heap[0])
    move(kernel, task, heap, row.trigger)
    events = kernel.events()
    story = events[events["page"] == first].groupby("pass")["text"].apply(" | ".join)
    assert len(story) >= row.passes
    if row.path == "swapped out":
        assert "young pte" in story[0]
        assert "written out" in story[1]
        assert "evicted" in story[2]
    elif row.path == "direct after writeout":
        assert "written out" in story[0]
        assert "young pte" in story[1]  # tried again at once: there is no way back
        assert "has moved" in story[1]
    else:
        assert "young pte" in story[0]
        assert "has moved" in story[0]
        assert "written out" not in story[0]
