"""Calls that are broken off: by ctrl-C wherever it comes, by an observer that raises, by another thread."""

import gc
import sys
import threading
from pathlib import Path

import pytest
from machines import changed, expect_refusal, frozen, writer

import mmsim
from mmsim import Kernel, MMSimError, Policy, Topology
from mmsim.machine.errors import BrokenOff

SOURCE = str(Path(mmsim.__file__).parent)
MODEL = str(Path(SOURCE, "mm"))


class Machine:
    """Two nodes, and a task with memory of every kind."""

    def __init__(self):
        self.kernel = Kernel(Topology.uniform(nodes=2, frames=128))
        self.task, self.heap = writer(self.kernel, 8, "task")
        self.file = self.kernel.file("file", 8)
        self.data = self.task.mmap(8, self.file)
        self.cpuset = self.kernel.cpuset("group", "0", memory_migrate=True)
        self.cpuset.attach(self.task)
        self.kernel.pin(self.task, self.heap[0])


CALLS = {
    "spawn": lambda m: m.kernel.spawn("more"),
    "file": lambda m: m.kernel.file("more", 8),
    "cpuset": lambda m: m.kernel.cpuset("more", 0),
    "migrate": lambda m: m.kernel.migrate(m.task.pages(m.heap)["pfn"], 1),
    "offline": lambda m: m.kernel.offline([5, 6]),
    "pin": lambda m: m.kernel.pin(m.task, m.data, times=2),
    "unpin": lambda m: m.kernel.unpin(m.task, m.heap[0]),
    "hold_lock": lambda m: m.kernel.hold_lock(m.task, m.heap, m.kernel.clock + 1000),
    "interrupts": lambda m: m.kernel.interrupts(0, 1000, 5),
    "reclaim": lambda m: m.kernel.reclaim(4),
    "swapoff": lambda m: m.kernel.swapoff(),
    "wait": lambda m: m.kernel.wait(1000),
    "mmap": lambda m: m.task.mmap(20, locked=True, name="more"),
    "mmap shared": lambda m: m.task.mmap(20, shared=True),
    "munmap": lambda m: m.task.munmap(m.heap[2:4]),
    "munmap later": lambda m: m.task.munmap(m.heap[2:4], at=m.kernel.clock + 100),
    "mlock": lambda m: m.task.mlock(m.data[2:4]),
    "munlock": lambda m: m.task.munlock(m.heap[2:4]),
    "touch": lambda m: m.task.touch(m.data, write=True),
    "write": lambda m: m.task.write(m.file),
    "fork": lambda m: m.task.fork(),
    "exit": lambda m: m.task.exit(),
    "run_on": lambda m: m.task.run_on(1),
    "set_mempolicy": lambda m: m.task.set_mempolicy(Policy.bind(0)),
    "mbind": lambda m: m.task.mbind(m.heap[1:5], Policy.bind(1), move=True),
    "migrate_pages": lambda m: m.kernel.spawn("root", uid=0).migrate_pages(m.task.pid, 0, 1),
    "attach": lambda m: m.cpuset.attach(m.task),
    "mems": lambda m: setattr(m.cpuset, "mems", 1),
    "memory_migrate": lambda m: setattr(m.cpuset, "memory_migrate", False),
}


def interrupted(call, line, whose):
    """Run a call, with ctrl-C at its n-th line of `whose` source; False if it ended before."""
    lines = 0

    def trace(frame, event, _):
        nonlocal lines
        source = frame.f_code.co_filename
        if not source.startswith(SOURCE):
            return None
        if source.startswith(MODEL) != (whose == MODEL):
            return trace if whose == MODEL else None
        lines += event == "line"
        if lines == line:
            lines += 1
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    gc.disable()  # in what ends with garbage, an error would be lost
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    except BrokenOff:
        return True
    finally:
        sys.settrace(before)
        gc.enable()
    return False


LINES = {MODEL: [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597],
         SOURCE: [*range(1, 50, 2), *range(50, 500, 7)]}  # fmt: skip


@pytest.mark.parametrize("whose", [MODEL, SOURCE], ids=["in the model", "around it"])
@pytest.mark.parametrize("name", CALLS)
def test_ctrl_c(name, whose, machine):
    """A call that is broken off has done nothing, or all of it, or the machine goes no further."""
    kernel, call = machine.kernel, CALLS[name]
    start = kernel.snapshot()
    for line in LINES[whose]:
        before, book = frozen(kernel), repr(kernel._book)
        if not interrupted(lambda: call(machine), line, whose):
            break
        if kernel.k.sys.bug:
            with pytest.raises(BrokenOff, match=r"stands still, restore.* broken off half-way"):
                kernel.spawn("next")
        elif changed(kernel, before) or repr(kernel._book) != book:
            kernel.verify()
        kernel.restore(start)
        assert changed(kernel, before) == []
        kernel.verify()
    kernel.restore(start)
    call(machine)  # it goes on as if nothing had been
    kernel.restore(start)


@pytest.fixture(scope="module")
def machine():
    return Machine()


def test_an_observer_that_raises_breaks_the_call_off():
    machine = Machine()
    kernel = machine.kernel
    before = kernel.snapshot()

    def observer():
        raise ZeroDivisionError

    with kernel.watch(observer), pytest.raises(ZeroDivisionError):
        kernel.migrate([5], 1)
    for call in (lambda: machine.task.touch(machine.heap), lambda: kernel.wait(1), lambda: kernel.spawn("x")):
        with expect_refusal(kernel, BrokenOff, "restore"):
            call()
    assert issubclass(BrokenOff, MMSimError)
    kernel.restore(before)
    kernel.verify()
    assert kernel.migrate([5], 1).moved == 1


def test_an_observer_changes_nothing():
    machine = Machine()

    def observer():
        machine.kernel.wait(1)

    with machine.kernel.watch(observer), pytest.raises(RuntimeError, match="who observes it must not change"):
        machine.kernel.migrate([5], 1)


def test_a_machine_is_for_one_thread_at_a_time():
    machine, said = Machine(), []
    inside, leave = threading.Event(), threading.Event()

    def observer():
        inside.set()
        leave.wait(60)

    def first():
        with machine.kernel.watch(observer):
            machine.kernel.migrate([5], 1)

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(60)
    try:
        machine.kernel.spawn("second")
    except RuntimeError as error:
        said.append(str(error))
    leave.set()
    thread.join()
    assert said == ["another thread is in a call of this machine: give each thread a Kernel of its own"]
    machine.kernel.verify()
    assert machine.kernel.spawn("second").alive  # one after the other is fine
