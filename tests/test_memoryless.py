"""A node with a CPU and no memory, as an Altix could have: it is asked, and others give (mm/page_alloc.c of 2005)."""

import numpy as np
import pytest
from machines import Checked, differing, expect_error, frames_of, paths, writer

from mmsim import Kernel, OutOfMemory, Policy, Topology, plots
from mmsim.widgets import MigrationLab
from mmsim.widgets.scene import Scene

RING = [[10, 20, 30, 20], [20, 10, 20, 30], [30, 20, 10, 20], [20, 30, 20, 10]]


def altix(frames=(128, 0, 128, 0), **options):
    return Checked(Topology.from_matrix(RING, frames), **options)


@pytest.mark.parametrize("frames", [(128, 0, 128, 0), (0, 128, 0, 128), (0, 0, 0, 64), (64, 0, 0, 0)])
def test_a_machine_boots_and_works(frames):
    kernel = altix(frames)
    kernel.verify()
    first, table = np.flatnonzero(frames)[0], kernel.residency()
    assert table["kernel"].tolist() == [int(node == first) for node in range(4)]  # the zero page
    assert (table["free"] + table["kernel"]).tolist() == list(frames)
    for node in range(4):
        kernel.spawn("a", node=node).touch(kernel.tasks[-1].mmap(4), write=True)
        nearest = kernel.topology.zonelist(node)[0]
        assert kernel.tasks[-1].placement() == [nearest] * 4
    kernel.interrupts(1, period=1000, hold=500)
    kernel.wait(10_000)
    kernel.reclaim(4)
    kernel.verify()


def test_frames_may_be_named():
    named = Topology.from_matrix(RING, frames={3: 0, 0: 128, 1: 0, 2: 128})
    assert named == Topology.from_matrix(RING, frames=[128, 0, 128, 0])
    assert named.frames == (128, 0, 128, 0)


def test_its_zonelist_begins_elsewhere():
    topology = altix().topology
    assert [topology.zonelist(node) for node in range(4)] == [[0, 2], [0, 2], [2, 0], [0, 2]]


@pytest.mark.parametrize(
    ("policy", "placement"),
    [(Policy.preferred(1), {0}), (Policy.preferred(3), {0}), (Policy.bind("0-1"), {0}), (Policy.bind("1-2"), {2}),
     (Policy.interleave("1-2"), {0, 2})],
)  # fmt: skip
def test_policies_with_it(policy, placement):
    kernel = altix()
    task = kernel.spawn("a", node=2)
    task.set_mempolicy(policy)
    task.touch(task.mmap(8), write=True)
    assert set(task.placement()) == placement


def test_bind_to_it_alone_finds_no_memory():
    """The zonelist that BIND makes leaves zones without pages out, and is empty then."""
    kernel = altix()
    task = kernel.spawn("a")
    heap = task.mmap(2)
    task.mbind(heap, Policy.bind(1))
    with expect_error(OutOfMemory, "no memory"):
        task.touch(heap, write=True)


@pytest.mark.parametrize("trigger", ["mbind", "migrate_pages", "cpuset", "kernel"])
def test_pages_that_are_to_go_there_go_to_the_nearest_node(trigger):
    """do_migrate_pages() asks nobody whether the target has memory; alloc_pages_node() walks its zonelist."""
    kernel = altix()
    task, heap = writer(kernel, 8, node=2)
    if trigger == "mbind":
        task.mbind(heap, Policy.preferred(1), move=True)
    elif trigger == "migrate_pages":
        assert task.migrate_pages(0, 2, 1) == 0
    elif trigger == "cpuset":
        kernel.cpuset("there", "0-1", memory_migrate=True).attach(task)
    else:
        kernel.migrate(frames_of(task), to=1)
    assert task.placement(heap) == [0] * 8
    assert paths(kernel) == {"direct": 8}
    assert kernel.last.off_target == {"migrate_pages": 8, "kernel": 8}.get(trigger, 0)


def test_a_move_between_nodes_without_memory_copies_pages_where_they_are():
    kernel = altix()
    task, heap = writer(kernel, 4, node=0)
    before = frames_of(task)
    assert task.migrate_pages(0, 0, 1) == 0
    assert task.placement(heap) == [0] * 4
    assert not set(before) & set(frames_of(task))
    assert task.migrate_pages(0, 1, 2) == 0
    assert kernel.last.moved == 0


def test_a_cpuset_of_it_alone():
    kernel = altix()
    task, _ = writer(kernel, 4)
    task.set_mempolicy(Policy.default())
    kernel.cpuset("nothing", "1,3").attach(task)
    with expect_error(OutOfMemory, "no memory"):
        task.touch(task.mmap(1), write=True)


def test_compiled_it_is_the_same():
    tables = []
    for compiled in (False, True):
        kernel = Kernel(Topology.from_matrix(RING, [128, 0, 128, 0]), compiled=compiled, trace=False)
        task, _ = writer(kernel, 100, node=3)
        task.migrate_pages(0, "0", "1")
        task.migrate_pages(0, "0", "2")
        kernel.reclaim(20)
        kernel.verify()
        tables.append({name: table for name, table in kernel.tables.items() if name != "considered"})
    assert differing(*tables) == []


def test_figures_and_lab_say_that_it_has_none():
    kernel = altix()
    task, _ = writer(kernel, 8)
    said = plots.describe(plots.topology(kernel))
    assert "128, 0, 128 and 0 frames" in said
    assert [text.get_text() for text in plots.topology(kernel).texts if "no memory" in text.get_text()]
    assert "on node 1, which has no memory, asks node 0" in plots.describe(plots.zonelist(kernel, 1))
    assert "node 1: free 0" in plots.describe(plots.residency(kernel))
    for node in range(4):
        plots.watermarks(kernel, node)
    plots.page_table(task)
    lab = MigrationLab(lambda: altix_with_a_task(), old=0, new=1)
    assert "node 1: no memory" in Scene(lab.recording).label(0)
    assert lab.static_svg().count("no memory") >= 2
    assert lab.export("png")


def altix_with_a_task():
    kernel = Kernel(Topology.from_matrix(RING, [64, 0, 64, 0]))
    writer(kernel, 12)
    return kernel
