"""Wrong calls: each gets the right errno or Python error, a message that names the argument, and changes nothing."""

import numpy as np
import pytest
from machines import boot, expect_refusal, writer

from mmsim import Config, Costs, Kernel, Policy, Topology

BIND = Policy.bind(1)


class Scene:
    """Two nodes; a task with memory, one with other rights, one that is dead, and a kernel thread."""

    def __init__(self):
        self.kernel = boot(nodes=2, frames=128)
        self.task, self.heap = writer(self.kernel, 8, name="task")
        self.stranger = self.kernel.spawn("stranger", uid=7)
        self.dead = self.kernel.spawn("dead")
        self.dead.exit()
        self.thread = self.kernel.spawn("thread", kernel_thread=True)
        self.file = self.kernel.file("file", 4)
        self.fixed = self.task.mmap(4, writable=False)
        self.group = self.kernel.cpuset("group", 0)
        self.group.attach(self.stranger)
        self.empty = self.kernel.cpuset("empty", ())
        self.gap = range(self.fixed.stop + 10, self.fixed.stop + 12)


WRONG = {
    # -- Kernel
    "spawn on no node": (lambda s: s.kernel.spawn("x", node=2), ValueError, "node"),
    "spawn on a negative node": (lambda s: s.kernel.spawn("x", node=-1), ValueError, "node"),
    "spawn on a name": (lambda s: s.kernel.spawn("x", node="0"), TypeError, "node"),
    "spawn with a capability that is none": (lambda s: s.kernel.spawn("x", caps=["CAP_FLY"]), ValueError, "caps"),
    "spawn with a uid that is none": (lambda s: s.kernel.spawn("x", uid="root"), TypeError, "uid"),
    "spawn with a negative uid": (lambda s: s.kernel.spawn("x", uid=-1), ValueError, "uid"),
    "a file on no file system": (lambda s: s.kernel.file("x", 4, fs="ntfs"), ValueError, "fs"),
    "a file without pages": (lambda s: s.kernel.file("x", 0), ValueError, "pages"),
    "a file of half pages": (lambda s: s.kernel.file("x", 1.5), ValueError, "pages"),
    "migrate to no node": (lambda s: s.kernel.migrate([1], to=2), ValueError, "to"),
    "migrate to a set": (lambda s: s.kernel.migrate([1], to=[1]), TypeError, "to"),
    "migrate a frame that is not there": (lambda s: s.kernel.migrate([256], to=1), ValueError, "pages"),
    "migrate a negative frame": (lambda s: s.kernel.migrate([-1], to=1), ValueError, "pages"),
    "migrate one frame without a list": (lambda s: s.kernel.migrate(3, to=1), TypeError, "pages"),
    "migrate words": (lambda s: s.kernel.migrate(["a"], to=1), TypeError, "pages"),
    "migrate pages that are not present": (lambda s: s.kernel.migrate([None], to=1), TypeError, "pages"),
    "pin what is not mapped": (lambda s: s.kernel.pin(s.task, s.gap), "EFAULT", "range"),
    "pin no times": (lambda s: s.kernel.pin(s.task, s.heap, times=0), ValueError, "times"),
    "pin half a time": (lambda s: s.kernel.pin(s.task, s.heap, times=0.5), ValueError, "times"),
    "pin of nobody": (lambda s: s.kernel.pin("task", s.heap), TypeError, "task"),
    "pin of another's range": (lambda s: s.kernel.pin(s.stranger, s.heap), ValueError, "range"),
    "unpin what is not pinned": (lambda s: s.kernel.unpin(s.task, s.heap), ValueError, "times"),
    "unpin backwards": (lambda s: s.kernel.unpin(s.task, s.heap, times=-1), ValueError, "times"),
    "hold a lock into the past": (lambda s: s.kernel.hold_lock(s.task, s.heap, 0), ValueError, "until"),
    "hold a lock for ever": (lambda s: s.kernel.hold_lock(s.task, s.heap, float("inf")), ValueError, "until"),
    "hold a lock until tomorrow": (lambda s: s.kernel.hold_lock(s.task, s.heap, "tomorrow"), TypeError, "until"),
    "hold a lock of what is not mapped": (lambda s: s.kernel.hold_lock(s.task, s.gap, 10**9), "EFAULT", "range"),
    "interrupts on no node": (lambda s: s.kernel.interrupts(5, 100, 100), ValueError, "node"),
    "interrupts all the time": (lambda s: s.kernel.interrupts(0, 0, 100), ValueError, "period"),
    "interrupts backwards": (lambda s: s.kernel.interrupts(0, -5, 100), ValueError, "period"),
    "interrupts that end before they begin": (lambda s: s.kernel.interrupts(0, 5, -1), ValueError, "hold"),
    "reclaim less than nothing": (lambda s: s.kernel.reclaim(-1), ValueError, "pages"),
    "reclaim half a page": (lambda s: s.kernel.reclaim(0.5), ValueError, "pages"),
    "reclaim all": (lambda s: s.kernel.reclaim("all"), TypeError, "pages"),
    "reclaim on no node": (lambda s: s.kernel.reclaim(1, node=9), ValueError, "node"),
    "wait backwards": (lambda s: s.kernel.wait(-1), ValueError, "ns"),
    "wait for a word": (lambda s: s.kernel.wait("long"), TypeError, "ns"),
    "restore nothing": (lambda s: s.kernel.restore(None), TypeError, "snapshot"),
    "restore another's": (lambda s: s.kernel.restore(Kernel(Topology.ring()).snapshot()), ValueError, "machine"),
    # -- mmap and its like
    "mmap nothing": (lambda s: s.task.mmap(0), "EINVAL", "pages"),
    "mmap less than nothing": (lambda s: s.task.mmap(-4), "EINVAL", "pages"),
    "mmap a name": (lambda s: s.task.mmap(4, file="file"), TypeError, "file"),
    "mmap beyond a file": (lambda s: s.task.mmap(4, s.file, offset=1), "EINVAL", "offset"),
    "mmap before a file": (lambda s: s.task.mmap(1, s.file, offset=-1), "EINVAL", "offset"),
    "mmap over a mapping": (lambda s: s.task.mmap(4, at=s.heap.start + 7), "EEXIST", "at"),
    "mmap below zero": (lambda s: s.task.mmap(4, at=-1), "EINVAL", "at"),
    "mmap beyond everything": (lambda s: s.task.mmap(4, at=1 << 40), "EINVAL", "at"),
    "mmap at a word": (lambda s: s.task.mmap(4, at="here"), TypeError, "at"),
    "mmap with a flag that is none": (lambda s: s.task.mmap(4, flags=["hugetlb"]), ValueError, "flags"),
    "mmap of a kernel thread": (lambda s: s.thread.mmap(4), "EINVAL", "kernel thread"),
    "mmap of the dead": (lambda s: s.dead.mmap(4), "ESRCH", "dead"),
    "munmap backwards": (lambda s: s.task.munmap(range(s.heap.stop, s.heap.start)), "EINVAL", "range"),
    "munmap nothing": (lambda s: s.task.munmap(s.heap[2:2]), "EINVAL", "range"),
    "munmap below zero": (lambda s: s.task.munmap(range(-4, 4)), "EINVAL", "range"),
    "munmap in the past": (lambda s: s.task.munmap(s.heap, at=-1), ValueError, "at"),
    "munmap every second page": (lambda s: s.task.munmap(range(s.heap.start, s.heap.stop, 2)), TypeError, "range"),
    "munmap an address": (lambda s: s.task.munmap(s.heap.start), TypeError, "range"),
    "mlock what is not mapped": (lambda s: s.task.mlock(s.gap), "EFAULT", "range"),
    "mlock across a hole": (lambda s: s.task.mlock(range(s.heap.start, s.gap.stop)), "EFAULT", "range"),
    "munlock what is not mapped": (lambda s: s.task.munlock(s.gap), "EFAULT", "range"),
    "touch what is not mapped": (lambda s: s.task.touch(s.gap), "EFAULT", "range"),
    "touch below zero": (lambda s: s.task.touch(range(-1, 1)), "EFAULT", "range"),
    "write what is read-only": (lambda s: s.task.touch(s.fixed, write=True), "EFAULT", "range"),
    "touch another's range": (lambda s: s.stranger.touch(s.heap), ValueError, "range"),
    "touch a list": (lambda s: s.task.touch([1, 2]), TypeError, "range"),
    "touch of the dead": (lambda s: s.dead.touch(range(1)), "ESRCH", "dead"),
    "a page that the mapping does not have": (lambda s: s.heap[8], IndexError, "range"),
    "every second page of a mapping": (lambda s: s.heap[::2], ValueError, "range"),
    "write(2) to a name": (lambda s: s.task.write("file"), TypeError, "file"),
    "write(2) beyond the end": (lambda s: s.task.write(s.file, 2, 3), "EINVAL", "first"),
    "write(2) before the start": (lambda s: s.task.write(s.file, -1), "EINVAL", "first"),
    "write(2) less than nothing": (lambda s: s.task.write(s.file, 0, -1), "EINVAL", "pages"),
    "write(2) of the dead": (lambda s: s.dead.write(s.file), "ESRCH", "dead"),
    # -- life
    "fork of the dead": (lambda s: s.dead.fork(), "ESRCH", "dead"),
    "exit of the dead": (lambda s: s.dead.exit(), "ESRCH", "dead"),
    "run on no node": (lambda s: s.task.run_on(2), ValueError, "node"),
    "run of the dead": (lambda s: s.dead.run_on(1), "ESRCH", "dead"),
    # -- policies
    "a policy that is a word": (lambda s: s.task.set_mempolicy("bind:1"), TypeError, "policy"),
    "bind to nothing": (lambda s: s.task.set_mempolicy(Policy.bind(())), "EINVAL", "policy"),
    "interleave nothing": (lambda s: s.task.set_mempolicy(Policy.interleave("!all")), "EINVAL", "policy"),
    "default with nodes": (lambda s: s.task.set_mempolicy(Policy("default", 0)), "EINVAL", "policy"),
    "a mode that is none": (lambda s: s.task.set_mempolicy(Policy("nearby")), ValueError, "mode"),
    "bind to a node that is not there": (lambda s: s.task.set_mempolicy(Policy.bind("0-2")), "EINVAL", "policy"),
    "bind to words": (lambda s: s.task.set_mempolicy(Policy.bind("here")), ValueError, "policy"),
    "bind to None": (lambda s: s.task.set_mempolicy(Policy.bind(None)), TypeError, "policy"),
    "prefer what the cpuset forbids": (lambda s: s.stranger.set_mempolicy(Policy.preferred(1)), "EINVAL", "policy"),
    "a policy for the dead": (lambda s: s.dead.set_mempolicy(BIND), "ESRCH", "dead"),
    "the policy of nothing": (lambda s: s.task.get_mempolicy(s.gap.start), "EFAULT", "page"),
    "the policy of a word": (lambda s: s.task.get_mempolicy("heap"), TypeError, "page"),
    "mbind across a hole": (lambda s: s.task.mbind(range(s.heap.start, s.gap.stop), BIND), "EFAULT", "range"),
    "mbind backwards": (lambda s: s.task.mbind(range(s.heap.stop, s.heap.start), BIND), "EINVAL", "range"),
    "mbind below zero": (lambda s: s.task.mbind(range(-1, 4), BIND), "EINVAL", "range"),
    "mbind without a policy": (lambda s: s.task.mbind(s.heap, 1), TypeError, "policy"),
    "mbind strictly": (lambda s: s.task.mbind(s.heap, BIND, strict=True), "EIO", "strict"),
    "mbind of shared pages": (lambda s: s.task.mbind(s.heap, BIND, move_all=True), "EPERM", "move_all"),
    "mbind of another's range": (lambda s: s.stranger.mbind(s.heap, BIND), ValueError, "range"),
    "mbind of the dead": (lambda s: s.dead.mbind(range(1), BIND), "ESRCH", "dead"),
    # -- migrate_pages
    "migrate nobody": (lambda s: s.task.migrate_pages(99, 0, 1), "ESRCH", "pid"),
    "migrate a negative pid": (lambda s: s.task.migrate_pages(-1, 0, 1), "ESRCH", "pid"),
    "migrate the dead": (lambda s: s.task.migrate_pages(s.dead.pid, 0, 1), "ESRCH", "pid"),
    "migrate a task and not its pid": (lambda s: s.task.migrate_pages(s.stranger, 0, 1), TypeError, "pid"),
    "migrate a kernel thread": (lambda s: s.task.migrate_pages(s.thread.pid, 0, 1), "EINVAL", "pid"),
    "migrate a stranger": (lambda s: s.task.migrate_pages(s.stranger.pid, 0, 1), "EPERM", "pid"),
    "migrate out of the cpuset": (lambda s: s.stranger.migrate_pages(0, 0, 1), "EPERM", "new"),
    "migrate from no node": (lambda s: s.task.migrate_pages(0, 64, 1), "EINVAL", "old"),
    "migrate to a node that is not there": (lambda s: s.task.migrate_pages(0, 0, "1-2"), "EPERM", "new"),
    "migrate to a node that cannot be": (lambda s: s.task.migrate_pages(0, 0, "1,64"), "EINVAL", "new"),
    "migrate to words": (lambda s: s.task.migrate_pages(0, 0, "there"), ValueError, "new"),
    "migrate from None": (lambda s: s.task.migrate_pages(0, None, 1), TypeError, "old"),
    "migrate by the dead": (lambda s: s.dead.migrate_pages(s.task.pid, 0, 1), "ESRCH", "dead"),
    # -- cpusets
    "a cpuset of nodes that are not there": (lambda s: s.kernel.cpuset("x", "0-2"), "EINVAL", "mems"),
    "a cpuset of words": (lambda s: s.kernel.cpuset("x", "all of them"), ValueError, "mems"),
    "a cpuset wider than its parent": (lambda s: s.kernel.cpuset("x", "0-1", parent=s.group), "EACCES", "mems"),
    "a cpuset below a name": (lambda s: s.kernel.cpuset("x", 0, parent="group"), TypeError, "parent"),
    "attach to an empty cpuset": (lambda s: s.empty.attach(s.task), "ENOSPC", "mems"),
    "attach the dead": (lambda s: s.group.attach(s.dead), "ESRCH", "task"),
    "attach a pid": (lambda s: s.group.attach(2), TypeError, "task"),
    "empty a cpuset with tasks": (lambda s: setattr(s.group, "mems", ()), "ENOSPC", "mems"),
    "move a cpuset to no node": (lambda s: setattr(s.group, "mems", 5), "EINVAL", "mems"),
    "change the root cpuset": (lambda s: setattr(s.task.cpuset, "mems", 0), "EACCES", "mems"),
    # -- looking
    "pages of another's range": (lambda s: s.stranger.pages(s.heap), ValueError, "range"),
    "the placement of a word": (lambda s: s.task.placement("heap"), TypeError, "range"),
    "the cost of a list": (lambda s: s.task.access_cost([1]), TypeError, "range"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_call(name):
    call, error, match = WRONG[name]
    scene = Scene()
    book = {kind: dict(entries) for kind, entries in scene.kernel._book.items()}
    with expect_refusal(scene.kernel, error, rf"\b{match}\b"):
        call(scene)
    assert {kind: dict(entries) for kind, entries in scene.kernel._book.items()} == book
    scene.kernel.verify()
    assert scene.task.touch(scene.heap, write=True) == (0, 0, 0, 0)  # it goes on as before


def test_there_are_enough_of_them():
    assert len(WRONG) >= 60


TWO = [[10, 20], [20, 10]]
NOT_BUILT = {
    "no nodes": (lambda: Topology.from_matrix([], frames=[]), ValueError, "distances"),
    "a matrix that is not square": (lambda: Topology.from_matrix([[10, 20]], frames=64), ValueError, "distances|row"),
    "a node far from itself": (lambda: Topology.from_matrix([[11]], frames=64), ValueError, "distances"),
    "a node too near": (lambda: Topology.from_matrix([[10, 9], [20, 10]], frames=64), ValueError, "distances"),
    "a node too far": (lambda: Topology.uniform(nodes=2, remote=255), ValueError, "distances"),
    "too few frames": (lambda: Topology.uniform(nodes=2, frames=8), ValueError, "frames"),
    "frames below zero": (lambda: Topology.uniform(nodes=2, frames=-64), ValueError, "frames"),
    "no frames at all": (lambda: Topology.from_matrix(TWO, frames=[0, 0]), ValueError, "some node must have memory"),
    "half a frame": (lambda: Topology.from_matrix(TWO, frames=[64, 64.5]), ValueError, "frames is 64.5"),
    "frames in words": (lambda: Topology.from_matrix(TWO, frames="64"), ValueError, "frames is '64"),
    "a gap in the numbers of nodes":
        (lambda: Topology.from_matrix(TWO, frames={0: 512, 8: 512}), ValueError,
         r"frames is {0: 512, 8: 512}, but the machine has nodes 0 to 1"),
    "a node without a word about its frames":
        (lambda: Topology.from_matrix(TWO, frames={0: 512}), ValueError, r"frames is {0: 512"),
    "a matrix that is a number": (lambda: Topology.from_matrix(7, frames=64), ValueError, "distances is 7"),
    "a distance in words": (lambda: Topology.from_matrix([[10, "x"], [20, 10]], 64), ValueError, "is 'x"),
    "half a distance": (lambda: Topology.uniform(nodes=2, remote=20.7), ValueError, "is 20.7"),
    "nodes in words": (lambda: Topology.ring(nodes="four"), ValueError, "nodes is 'four"),
    "frames of another machine": (lambda: Topology.from_matrix([[10]], frames=[64, 64]), ValueError, "frames"),
    "too many nodes": (lambda: Topology.uniform(nodes=63), ValueError, "nodes"),
    "a preset that is none": (lambda: Topology.preset("cray"), ValueError, "preset"),
    "the zonelist of no node": (lambda: Topology.uniform(nodes=2).zonelist(2), ValueError, "node"),
    "negative costs": (lambda: Costs(copy=-1), ValueError, "copy"),
    "costs in words": (lambda: Costs(alloc="much"), ValueError, "alloc"),
    "costs of a machine that is none": (lambda: Costs.preset("cray"), ValueError, "preset"),
    "a number for a topology": (lambda: Kernel(2), TypeError, "topology"),
    "too many patches": (lambda: boot(patches=8), ValueError, "patches"),
    "less than no patches": (lambda: boot(patches=-1), ValueError, "patches"),
    "a patch that is none": (lambda: boot(patches=(1, 9)), ValueError, "patch"),
    "patch 4 without 3": (lambda: boot(patches=(1, 4)), ValueError, "patch 3"),
    "patch 7 without 1": (lambda: boot(patches=[7]), ValueError, "patch 1"),
    "patches in words": (lambda: boot(patches="all"), TypeError, "patches"),
    "no patches": (lambda: boot(patches=None), TypeError, "patches"),
    "less than no swap": (lambda: boot(swap_slots=-1), ValueError, "swap_slots"),
    "swap in words": (lambda: boot(swap_slots="1G"), ValueError, "swap_slots"),
    "a config that is none": (lambda: boot(config={"numa": True}), TypeError, "config"),
    "costs that are none": (lambda: boot(costs=5), TypeError, "costs"),
    "a trace of negative length": (lambda: boot(trace=-5), ValueError, "trace"),
    "a config option that is none": (lambda: Config(hugepages=True), TypeError, "hugepages"),
}


@pytest.mark.parametrize("name", NOT_BUILT)
def test_what_cannot_be_built(name):
    call, error, match = NOT_BUILT[name]
    with pytest.raises(error, match=rf"\b({match})\b"):
        call()


def test_pages_may_be_numpy_integers():
    """Not a wrong call, though its type is unusual: numbers that come out of a table."""
    scene = Scene()
    assert scene.task.mmap(np.int64(3)).pages == 3
    assert scene.kernel.file("x", np.int32(2)).pages == 2
    assert scene.kernel.migrate(np.array([3, 4]), to=np.int64(1)).returned == 0
    assert scene.task.migrate_pages(np.int64(0), np.int64(1), [np.int8(0)]) == 0


def test_a_computer_without_room_for_a_mapping(monkeypatch):
    scene = Scene()

    def no_room(*_):
        raise MemoryError

    with expect_refusal(scene.kernel, "ENOMEM", "no room for .* rows of pte"):
        monkeypatch.setattr(np, "zeros", no_room)
        try:
            scene.task.mmap(1 << 20)
        finally:
            monkeypatch.undo()
    scene.kernel.verify()
    assert scene.task.touch(scene.heap, write=True) == (0, 0, 0, 0)


def test_a_whole_number_beyond_all_time_is_told_how_far_time_goes():
    kernel = Kernel(Topology.uniform(2, 64))
    task = kernel.spawn("task")
    heap = task.mmap(2)
    with expect_refusal(kernel, ValueError, "at is 9223372036854775808; it is a whole number of ns, .* at most"):
        task.munmap(heap, at=2**63)
