"""A child has its parent's addresses: what names a part of the parent's memory names the same part of the child's."""

import pytest
from machines import boot, expect_error, expect_refusal, writer

from mmsim import Kernel, Mapping, Policy, plots

CALLS = {
    "touch": lambda task, part: task.touch(part, write=True),
    "pages": lambda task, part: task.pages(part),
    "placement": lambda task, part: task.placement(part),
    "access_cost": lambda task, part: task.access_cost(part),
    "mbind": lambda task, part: task.mbind(part, Policy.bind(1), move=True),
    "get_mempolicy": lambda task, part: task.get_mempolicy(part),
    "mlock": lambda task, part: task.mlock(part),
    "munlock": lambda task, part: task.munlock(part),
    "pin": lambda task, part: (task._kernel.pin(task, part), task._kernel.unpin(task, part)),
    "hold_lock": lambda task, part: task._kernel.hold_lock(task, part, task._kernel.clock + 1000),
    "munmap": lambda task, part: task.munmap(part),
}


@pytest.fixture
def kernel():
    return boot(frames=128)


@pytest.mark.parametrize("call", CALLS)
def test_a_child_may_be_given_its_parents_ranges(kernel, call):
    task, heap = writer(kernel, 8, name="parent")
    child = task.fork()
    CALLS[call](child, heap)
    kernel.wait(2000)
    grandchild = task.fork().fork()
    CALLS[call](grandchild, heap[2:6])
    kernel.verify()


@pytest.mark.parametrize("call", CALLS)
def test_nobody_else_may(kernel, call):
    task, heap = writer(kernel, 8, name="parent")
    child, cousin = task.fork(), kernel.spawn("stranger")
    own = child.mmap(4)
    for stranger, part in ((cousin, heap), (task, own), (task.fork(), own)):
        with expect_refusal(kernel, ValueError, "range|page"):
            CALLS[call](stranger, part)


def test_the_child_has_its_own_pages_behind_them(kernel):
    task, heap = writer(kernel, 8, name="parent")
    child = task.fork()
    child.run_on(1)
    assert child.touch(heap[:3], write=True).copied == 3
    child.mbind(heap[4], Policy.bind(1))
    assert (task.placement(heap), child.placement(heap)) == ([0] * 8, [1] * 3 + [0] * 5)
    assert (task.get_mempolicy(heap[4]), child.get_mempolicy(heap[4])) == (Policy.default(), Policy.bind(1))


def test_it_stays_so_whatever_the_parent_does(kernel):
    task, heap = writer(kernel, 8, name="parent")
    child = task.fork()
    task.munmap(heap[:4])
    assert child.placement(heap) == [0] * 8
    task.exit()
    assert child.touch(heap, write=True).protection == 8
    grandchild = child.fork()
    assert grandchild.placement(heap) == [0] * 8
    child.munmap(heap)
    assert grandchild.placement(heap) == [0] * 8
    with expect_error("EFAULT", "range"):
        child.touch(heap)


def test_what_the_parent_maps_later_is_not_the_childs(kernel):
    """The two have other things at the same address then."""
    task, _ = writer(kernel, 8, name="parent")
    child = task.fork()
    later, own = task.mmap(4), child.mmap(4)
    assert later.start == own.start
    task.touch(later, write=True)
    with expect_refusal(kernel, ValueError, "4 pages of parent from .* does not belong to parent'"):
        child.touch(later)
    assert child.placement(own) == [None] * 4
    assert task.fork().placement(later) == [0] * 4  # a child of later has it


def test_it_outlasts_snapshots_and_files(kernel, tmp_path):
    task, heap = writer(kernel, 8, name="parent")
    before = kernel.snapshot()
    child = task.fork("child")
    after = kernel.snapshot()
    kernel.restore(before)
    kernel.restore(after)
    assert child.placement(heap) == [0] * 8
    kernel.save(tmp_path / "machine.npz")
    loaded = Kernel.load(tmp_path / "machine.npz")
    parent, child = loaded.tasks
    assert child.placement(Mapping(parent, heap.start + 1, 2)) == [0, 0]
    with expect_error(ValueError, "range"):
        child.placement(Mapping(parent, heap.start, 9))


def test_its_mappings_have_the_names_of_the_parents(kernel):
    task = kernel.spawn("parent")
    task.touch(task.mmap(4, name="heap"), write=True)
    child = task.fork("child")
    labels = [text.get_text() for text in plots.page_table(child).get_yticklabels()]
    assert labels[0].startswith("heap")
