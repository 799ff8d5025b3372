"""Errnos are those of Linux, in number and name, also where the system beneath has others: macOS, a browser."""

import errno

import pytest
from machines import boot, differing, drain, writer

from mmsim import Kernel, Policy, Topology
from mmsim.experiments.configs import answers, configuration
from mmsim.lessons import lesson05
from mmsim.mm import structs
from mmsim.widgets import MigrationLab

# As Emscripten numbers them: 14 is ECONNREFUSED there, 6 is EAGAIN.
FOREIGN = {"EPERM": 63, "ESRCH": 71, "EIO": 29, "EAGAIN": 6, "ENOMEM": 48, "EACCES": 2, "EFAULT": 21, "EINVAL": 28,
           "ENOSPC": 51, "ENOSYS": 52, "EBUSY": 10, "EEXIST": 20}  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch):
    """A system whose errnos have other numbers."""
    monkeypatch.setattr(errno, "errorcode", {number: name for name, number in FOREIGN.items()})
    for name, number in FOREIGN.items():
        monkeypatch.setattr(errno, name, number)


def refused(call):
    with pytest.raises(OSError, match="Errno") as caught:
        call()
    return caught.value


def test_numbers_and_classes_of_refused_calls():
    kernel = boot(nodes=2, frames=64)
    task, heap = writer(kernel, 4)
    calls = {
        (1, PermissionError): lambda: task.mbind(heap, Policy.bind(1), move_all=True),
        (3, ProcessLookupError): lambda: task.migrate_pages(99, 0, 1),
        (13, PermissionError): lambda: setattr(task.cpuset, "mems", 0),
        (14, OSError): lambda: task.touch(range(4)),
        (17, FileExistsError): lambda: task.mmap(1, at=heap.start),
        (22, OSError): lambda: task.set_mempolicy(Policy.bind(7)),
        (28, OSError): lambda: kernel.cpuset("empty", ()).attach(task),
    }
    for (number, kind), call in calls.items():
        error = refused(call)
        assert (error.errno, type(error)) == (number, kind)
        assert str(error) == f"[Errno {number}] {error.strerror}"
        assert error.args == (number, error.strerror)


def test_names_in_tables():
    kernel = boot(nodes=2, frames=64)
    task, heap = writer(kernel, 4)
    kernel.pin(task, heap[0])
    task.migrate_pages(0, 0, 1)
    assert kernel.last.stayed["error"].tolist() == ["-EAGAIN"]
    full = boot(nodes=2, frames=64, swap_slots=0)
    kernel, (task, _) = full, writer(full, 4)
    drain(kernel, 0, 1)
    drain(kernel, 1, 1)
    assert refused(lambda: task.migrate_pages(0, 0, 1)).errno == -kernel.last.returned == 12
    assert set(kernel.last.pages["error"]) == {"-ENOMEM"}


def test_names_in_answers_lessons_and_the_lab():
    assert answers(configuration("SMP", "SWAP"))["A"] == "-ENOSYS"
    assert lesson05.answer("mbind with MOVE_ALL")[0] == "EPERM"
    kernel = Kernel(Topology.uniform(nodes=2, frames=64))
    task, heap = writer(kernel, 4)
    kernel.pin(task, heap[0])
    lab = MigrationLab(kernel)
    assert lab.recording.stayed(lab.steps)["error"].tolist() == ["-EAGAIN"]
    lab.controls["trigger"].value = "A"
    lab.controls["all"].value = True
    assert lab.message.startswith("The call ends in an error: -EPERM, move_all")


def test_there_are_as_many_pids_as_in_linux(monkeypatch):
    kernel = boot(nodes=2, frames=64)
    task, _ = writer(kernel, 4)
    monkeypatch.setattr(structs, "PID_MAX", task.pid + 2)
    last = task.fork()
    before = kernel.snapshot()
    for call in (task.fork, lambda: kernel.spawn("another")):
        assert refused(call).errno == structs.EAGAIN
    assert kernel.tasks == [task, last]
    assert differing(kernel.tables, before.tables) == []


def test_a_record_names_the_highest_pid():
    kernel = boot(nodes=2, frames=64)
    kernel._book["tasks"] |= dict.fromkeys(range(2, structs.PID_MAX - 1), "gone")
    task, _ = writer(kernel, 4)
    assert task.pid == structs.PID_MAX - 1
    task.migrate_pages(0, 0, 1)
    assert set(kernel.last.pages["pid"]) == {task.pid}
