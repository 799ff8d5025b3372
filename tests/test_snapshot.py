"""Snapshots and files: going back to a state, and writing it down without pickle."""

import json

import numpy as np
import pytest
from machines import Checked, boot, differing, locked_elsewhere, writer

from mmsim import Config, Costs, Kernel, KernelHang, Policy, Topology
from mmsim.mm.structs import Tables


def same(one, other, but=()):
    """The names of the tables in which two machines differ."""
    return [name for name in differing(one.tables, other.tables) if name not in but]


def busy(**options):
    """A machine with a bit of everything: (kernel, task, heap)."""
    kernel = boot(nodes=3, **options)
    task, heap = writer(kernel, 20, name="busy")
    child = task.fork("child")
    child.touch(range(heap.start, heap.start + 5), write=True)
    child.mbind(range(heap.start, heap.start + 3), Policy.bind(2), move=True)
    file = kernel.file("data", 6, fs="ext3")
    task.write(file)
    shared = task.mmap(4, shared=True, name="shm")
    task.touch(shared, write=True)
    group = kernel.cpuset("group", "1-2")
    group.attach(child)
    kernel.reclaim(8)
    kernel.pin(task, heap[10:12], times=2)
    kernel.hold_lock(task, heap[15], until=kernel.clock + 10**8)
    kernel.interrupts(2, period=10_000, hold=50_000)
    task.munmap(heap[18:], at=kernel.clock + 10**6)
    return kernel, task, heap


def act(kernel, pid, heap):
    """Go on with a machine in a way that touches most of it."""
    task = next(t for t in kernel.tasks if t.pid == pid)
    task.touch(range(heap.start, heap.start + 10), write=True)
    task.migrate_pages(0, 0, 1)
    kernel.wait(2 * 10**6)
    kernel.unpin(task, range(heap.start + 10, heap.start + 12), times=2)
    kernel.reclaim(5)
    task.fork("more")


def test_restore_goes_back_exactly():
    kernel, task, heap = busy()
    before = kernel.snapshot()
    copy = {name: table.copy() for name, table in kernel.tables.items()}
    last, names, clock = kernel.last, [t.name for t in kernel.tasks], kernel.clock
    act(kernel, task.pid, heap)
    assert kernel.clock > clock
    kernel.restore(before)
    kernel.verify()
    assert differing(copy, kernel.tables) == []
    assert kernel.last is last
    assert [t.name for t in kernel.tasks] == names
    assert kernel.clock == clock


def test_a_snapshot_is_a_copy():
    kernel, task, heap = busy()
    before = kernel.snapshot()
    copy = {name: table.copy() for name, table in before.tables.items()}
    for _ in range(2):  # neither going on nor restoring twice changes it
        act(kernel, task.pid, heap)
        kernel.restore(before)
    assert differing(copy, before.tables) == []


def test_the_same_happens_again():
    kernel, task, heap = busy()
    before = kernel.snapshot()
    act(kernel, task.pid, heap)
    once = kernel.snapshot()
    events = kernel.events()
    kernel.restore(before)
    act(kernel, task.pid, heap)
    assert same(kernel, once) == []
    assert kernel.events().equals(events)


def test_names_and_pins_go_back_too():
    kernel, task, heap = busy()
    before = kernel.snapshot()
    kernel.pin(task, heap[0])
    kernel.file("other", 3)
    kernel.spawn("other")
    kernel.cpuset("other", 0)
    kernel.restore(before)
    kernel.verify()
    with pytest.raises(ValueError, match="pinned 0 times"):
        kernel.unpin(task, heap[0])
    assert kernel.spawn("new").pid == max(t.pid for t in kernel.tasks)


@pytest.mark.parametrize("trace", [True, False])
def test_save_and_load(tmp_path, trace):
    kernel, task, heap = busy(trace=trace)
    kernel.save(tmp_path / "machine.npz")
    loaded = Checked.load(tmp_path / "machine.npz")
    loaded.verify()
    assert same(kernel, loaded) == []
    assert loaded.topology == kernel.topology
    assert (loaded.config, loaded.costs, loaded.patches) == (kernel.config, kernel.costs, kernel.patches)
    assert [repr(t) for t in loaded.tasks] == [repr(t) for t in kernel.tasks]
    assert loaded.events().equals(kernel.events())
    assert loaded.residency().equals(kernel.residency())
    for machine in (kernel, loaded):
        act(machine, task.pid, heap)
    assert same(kernel, loaded) == []


def test_what_was_not_the_default_is_kept(tmp_path):
    kernel = Kernel(
        Topology.from_matrix([[10, 21], [21, 10]], frames=[64, 128]),
        Config(smp=False, sparsemem=True), patches=(1, 3, 6), swap_slots=77, costs=Costs.preset("two-socket"),
    )  # fmt: skip
    kernel.save(tmp_path / "m.npz")
    loaded = Kernel.load(tmp_path / "m.npz")
    assert loaded.topology.frames == (64, 128)
    assert loaded.config == Config(smp=False, sparsemem=True)
    assert loaded.patches == {1, 3, 6}
    assert loaded.costs == Costs.preset("two-socket")
    assert loaded.k.sys.swap_slots == 77


def test_the_file_holds_no_pickle(tmp_path):
    kernel, _, _ = busy()
    kernel.save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz", allow_pickle=False) as stored:
        assert set(stored) == {*Tables._fields, "about"}
        assert all(stored[name].dtype != object for name in stored)
        json.loads(str(stored["about"]))


def test_a_snapshot_of_a_hang_can_be_left():
    kernel, frames, _, locker, locked = locked_elsewhere()
    before = kernel.snapshot()
    with pytest.raises(KernelHang):
        kernel.migrate(frames, to=1, force=True)
    kernel.restore(before)
    locker.munlock(locked)
    assert kernel.migrate(frames, to=1).moved == 2
