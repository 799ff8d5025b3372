"""A real Linux behind the names of the model; on the machine that the tests run on, whatever that can show."""

import errno
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
from machines import alive, gone, no_numa
from test_interrupted import SOURCE, interrupted

from mmsim import Kernel, Policy, Topology
from mmsim.linux import Linux, calls, cpuset, machine
from mmsim.linux.errors import INSTEAD
from mmsim.linux.files import file_system

ROOT = Path(__file__).parents[1]
if no_numa():
    pytest.skip(no_numa(), allow_module_level=True)


@pytest.fixture
def linux():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kernel = Linux()
    with kernel:
        yield kernel


def run(code, *options, root=ROOT, **how):
    """The output of some lines in an interpreter of their own that has the standard library and nothing else."""
    code = f"import sys, warnings; warnings.simplefilter('ignore'); sys.path.insert(0, {str(root)!r})\n{code}"
    command = [how.pop("python", sys.executable), "-I", "-S", *options, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, **how).stdout.strip()


TEN_LINES = """
from mmsim.linux import Linux
from mmsim.terms.policy import Policy
with Linux() as kernel:
    task = kernel.spawn("a")
    heap = task.mmap(4)
    task.touch(heap, write=True)
    task.mbind(heap, Policy.bind(0), move=True, strict=True)
    print(task.migrate_pages(0, 0, 0), task.placement(heap), task.get_mempolicy(heap), task.uid)
    print(sorted({name.split(".")[0] for name in sys.modules} & {"numpy", "pandas", "numba"}))
"""


def test_python_alone_is_enough():
    assert run(TEN_LINES).splitlines() == [f"0 [0, 0, 0, 0] bind:0 {os.getuid() or 1000}", "[]"]


@pytest.fixture
def for_all():
    """A folder with the package that every user can read, which a clone in the home of root is not."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        shutil.copytree(ROOT / "mmsim", Path(folder, "mmsim"), ignore=shutil.ignore_patterns("__pycache__"))
        yield folder


@pytest.mark.skipif(os.getuid() != 0 or not os.access("/usr/bin/python3", os.X_OK), reason="only root is another user")
def test_no_privilege_is_needed(for_all):
    nobody = {"user": 65534, "group": 65534, "extra_groups": [], "python": "/usr/bin/python3", "cwd": "/",
              "root": for_all}  # fmt: skip
    assert run(TEN_LINES, **nobody).splitlines() == ["0 [0, 0, 0, 0] bind:0 65534", "[]"]
    said = run("""
from mmsim.linux import Linux
with Linux() as kernel:
    for call in (lambda: kernel.spawn("r", uid=0), lambda: kernel.spawn("r", caps="CAP_SYS_ADMIN"),
                 lambda: kernel.cpuset("job", 0)):
        try:
            call()
        except OSError as error:
            print(error.errno, error.strerror)
    """, **nobody)
    assert [line.split(" ", 2)[0] for line in said.splitlines()] == ["1", "1", "13"]
    assert "only root" in said
    assert "delegated" in said


def both(experiment):
    """What an experiment gives on the model of the newest release and here, each with one node."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Linux() as kernel:
            here = experiment(kernel)
    return experiment(Kernel(Topology.uniform(nodes=1, frames=1024), release="6.12")), here


def life(kernel):
    """A little of everything, as facts."""
    task = kernel.spawn("a")
    heap = task.mmap(8)
    facts = [heap.start, task.placement(heap), task.touch(heap[0:4]), task.placement(heap)]
    task.touch(heap[2:6], write=True)
    child = task.fork()
    child.touch(heap[4:8], write=True)
    facts += [t.placement(heap) for t in (task, child)]
    task.munmap(heap[4:6])
    facts += [task.placement(heap), child.placement(heap)]
    other = task.mmap(2, kernel.file("s", 4, fs="tmpfs"), offset=1, shared=True)
    task.touch(other, write=True)
    task.mlock(other)
    task.munlock(other)
    task.write(kernel.file("t", 2, fs="tmpfs"), 1)
    facts += [other.start, task.placement(other), task.placement()]
    task.set_mempolicy(Policy.interleave("all"))
    task.mbind(other, Policy.preferred(0), strict=True)
    facts += [task.policy, child.policy, task.get_mempolicy(other), task.get_mempolicy(heap), child.fork().policy]
    facts += [task.migrate_pages(0, 0, 0), task.move_pages(0, [heap.start + 3], 0)]
    facts += [task.move_pages(child.pid, heap[2:4])]
    task.exit()
    return [[*facts, child.placement(heap), child.alive, task.alive][i] for i in range(len(facts) + 3) if i != 2]


def test_the_same_lines_give_the_same_facts():
    model, here = both(life)
    assert here == model


WRONG = {
    "no pages": lambda s: s.t.mmap(0),
    "behind the end of a file": lambda s: s.t.mmap(4, s.k.file("s", 4, fs="tmpfs"), offset=1),
    "what is mapped already": lambda s: s.t.mmap(1, at=s.h.start),
    "a read-only page": lambda s: s.t.touch(s.t.mmap(1, writable=False), write=True),
    "a hole": lambda s: (s.t.munmap(s.h[1:2]), s.t.touch(s.h)),
    "nothing": lambda s: s.t.munmap(s.h[1:1]),
    "the policy of a hole": lambda s: (s.t.munmap(s.h[1:2]), s.t.mbind(s.h, Policy.bind(0))),
    "a node that is not there": lambda s: s.t.mbind(s.h, Policy.bind(9)),
    "no node": lambda s: s.t.set_mempolicy(Policy.bind(())),
    "nodes for the default": lambda s: s.t.set_mempolicy(Policy("default", 0)),
    "all without the capability": lambda s: s.t.mbind(s.h, Policy.bind(0), move_all=True),
    "all pages without the capability": lambda s: s.t.move_pages(0, s.h, 0, all=True),
    "a node that is not there, for a page": lambda s: s.t.move_pages(0, s.h, 9),
    "a page of nobody": lambda s: s.t.get_mempolicy(5),
    "a target that is not there": lambda s: s.t.migrate_pages(0, 0, 9),
    "nobody": lambda s: s.t.migrate_pages(999_999, 0, 0),
    "the dead": lambda s: (s.t.exit(), s.t.touch(s.h)),
    "locking a hole": lambda s: (s.t.munmap(s.h[1:2]), s.t.mlock(s.h)),
    "half a page": lambda s: s.t.mmap(1.5),
    "a word for a number": lambda s: s.t.mmap("8"),
    "no range": lambda s: s.t.touch(3),
    "no policy": lambda s: s.t.mbind(s.h, 0),
    "no flag": lambda s: s.t.mmap(1, flags="huge"),
    "another machine's range": lambda s: s.t.touch(Kernel(Topology.uniform(1, 64)).spawn("b").mmap(1)),
    "another task's range": lambda s: s.k.spawn("b").touch(s.h),
    "no node of this machine": lambda s: s.t.run_on(99),
    "no file": lambda s: s.t.mmap(1, "data"),
    "no file system": lambda s: s.k.file("a", 1, fs="fat"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_call_is_the_same_error_as_on_the_model(name):
    def experiment(kernel):
        task = kernel.spawn("a")
        heap = task.mmap(4)
        task.touch(heap, write=True)
        with pytest.raises((OSError, TypeError, ValueError)) as caught:
            WRONG[name](SimpleNamespace(k=kernel, t=task, h=heap))
        assert str(caught.value)
        return caught.type, getattr(caught.value, "errno", None)

    model, here = both(experiment)
    assert here == model


def test_what_only_the_model_can_says_what_to_do_instead(linux):
    task = linux.spawn("a")
    for name in INSTEAD:
        with pytest.raises(NotImplementedError, match=r"on a real machine: .+"):
            getattr(task if name in ("pages", "access_cost") else linux, name)
    assert not hasattr(linux, "kernel_of_truth")
    for call in (lambda: linux.spawn("k", kernel_thread=True), lambda: task.mmap(1, flags="io"),
                 lambda: linux.file("a", 1, fs="tmpfs").placement(),
                 lambda: task.set_mempolicy(Policy.weighted_interleave(0, [3]))):  # fmt: skip
        with pytest.raises(NotImplementedError):
            call()


def test_a_pinned_page_has_one_more_user(linux):
    task = linux.spawn("a")
    heap = task.mmap(20)
    task.touch(heap, write=True)
    linux.pin(task, heap, times=2)
    linux.unpin(task, heap)
    with pytest.raises(ValueError, match="is pinned 1 times"):
        linux.unpin(task, heap, times=2)


def test_numa_maps_shows_what_the_task_has_mapped(linux):
    task = linux.spawn("a")
    heap = task.mmap(3)
    task.touch(heap, write=True)
    task.mbind(heap, Policy.bind(0))
    (line,) = task.numa_maps().splitlines()
    assert re.match(f"{heap.start * calls.PAGE:x} bind:0 anon=3 dirty=3 .*N0=3", line)


def test_files_in_a_folder(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kernel = Linux(folder=tmp_path)
    if file_system(tmp_path) == "tmpfs":
        with pytest.raises(NotImplementedError, match="name a folder"):
            kernel.file("data", 4)
        return
    with kernel:
        file = kernel.file("data", 4)
        task = kernel.spawn("a")
        data = task.mmap(4, file)
        faults = task.touch(data)
        assert faults.minor + faults.major >= 1
        assert task.placement(data).count(None) == 0
        assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="cpusets take root")
def test_cpusets(linux):
    try:
        job = linux.cpuset("job", "all")
    except OSError as error:
        pytest.skip(f"no cpusets here: {error.strerror}")
    task = linux.spawn("a")
    job.attach(task)
    assert job.tasks == [task]
    assert os.sched_getaffinity(task.pid) == set(linux.topology.cpus[0]), "it stays on its node"
    assert job.mems == ",".join([job.mems])
    with pytest.raises(OSError, match="mems"):
        job.mems = "900"
    with pytest.raises(AttributeError, match="assign mems"):
        job.mem = 1
    folder = job._folder
    linux.close()
    assert not folder.parent.exists()


@pytest.mark.parametrize(("release", "follows"), [("5.14.0-70.el9", False), ("5.15", True), ("6.1.0-56-amd64", True)])
def test_in_the_unified_hierarchy_memory_follows_since_5_15(release, follows, linux, tmp_path, monkeypatch):
    monkeypatch.setattr(cpuset, "hierarchy", lambda: (tmp_path, True))
    linux.release = release
    with pytest.raises(NotImplementedError, match="always follows" if follows else "never follows before 5.15"):
        linux.cpuset("job", 0, memory_migrate=not follows)
    assert linux.cpuset("job", 0, memory_migrate=follows).memory_migrate is follows


# -- safety


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_parent_that_is_killed_leaves_no_child(how):
    code = f"""
import sys, time; sys.path.insert(0, {str(ROOT)!r})
from mmsim.linux import Linux
kernel = Linux()
a = kernel.spawn("a")
b = a.fork()
c = b.fork()
b.exit()
print(a.pid, c.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-W", "ignore", "-c", code], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL) as parent:  # fmt: skip
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(alive, pids))
        parent.send_signal(how)
        parent.wait()
    assert gone(pids)


def test_a_task_whose_caller_ended_before_it_heard_the_answer_ends_without_a_word():
    mine, other = socket.socketpair()
    command = [sys.executable, "-m", "mmsim.linux.worker", str(other.fileno())]
    with subprocess.Popen(command, pass_fds=[other.fileno()], cwd=ROOT, stderr=subprocess.PIPE) as task:
        other.close()
        mine.sendall(b'[1, "run_on", [[0]]]\n')
        select.select([mine], [], [], 20)
        mine.close()  # with an answer that was not read: the connection is reset
        assert task.communicate(timeout=20)[1] == b""
    assert task.returncode == 0


def test_a_machine_that_nobody_has_any_more_leaves_no_child():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kernel = Linux()
    pids = [kernel.spawn("a").pid, kernel.tasks[0].fork().pid]
    kernel._end()
    assert gone(pids)


def test_a_task_that_was_killed_is_named(linux):
    task = linux.spawn("a")
    os.kill(task.pid, signal.SIGKILL)
    with pytest.raises(ProcessLookupError, match=r"a \(pid \d+\) was ended, by signal 9"):
        task.mmap(1)
    assert not task.alive


def test_a_limit_on_locked_memory_is_a_sentence():
    said = run(f"""
import resource
resource.setrlimit(resource.RLIMIT_MEMLOCK, (4 * {calls.PAGE}, 4 * {calls.PAGE}))
from mmsim.linux import Linux
with Linux() as kernel:
    task = kernel.spawn("a")
    heap = task.mmap(5)
    task.mlock(heap[1:5])
    task.munlock(heap)
    for call in (lambda: task.mlock(heap), lambda: task.mmap(5, locked=True)):
        try:
            call()
        except OSError as error:
            print(error.errno, error.strerror)
    print(task._areas == [(heap.start, heap.stop)])
    """).splitlines()
    assert [line.partition(" ")[0] for line in said] == [str(errno.ENOMEM), str(errno.ENOMEM), "True"]
    assert all("more than this task may lock (see `ulimit -l`)" in line for line in said[:2])


def test_the_caller_and_other_processes_are_never_touched(linux):
    task = linux.spawn("a")
    before = calls.get_mempolicy()
    for pid in (os.getpid(), os.getppid(), 1):
        for call in (lambda p: task.migrate_pages(p, 0, 0), lambda p: task.move_pages(p, [1], 0)):
            with pytest.raises(ProcessLookupError, match="other processes are left alone"):
                call(pid)
    task.set_mempolicy(Policy.bind(0))
    assert calls.get_mempolicy() == before
    with pytest.raises(OSError, match="memory of Python itself"):
        task.mbind(range(1 << 40), Policy.bind(0), move=True)


@pytest.mark.skipif(os.getuid() != 0, reason="only root has capabilities to drop")
def test_no_task_keeps_the_capability_to_move_what_others_have(linux):
    for options in ({"uid": 0}, {"caps": "CAP_SYS_NICE"}, {"uid": 5, "caps": ["CAP_SYS_NICE"]}):
        with pytest.raises(NotImplementedError, match="mmsim vm"):
            linux.spawn("r", **options)
    task = linux.spawn("r", uid=0, caps="-CAP_SYS_NICE")
    for each in (task, task.fork(), linux.spawn("a"), linux.spawn("b", caps="CAP_SYS_PTRACE")):
        status = Path(f"/proc/{each.pid}/status").read_text()
        held = [int(bits, 16) for bits in re.findall(r"Cap(?:Inh|Prm|Eff|Amb):\s*(\w+)", status)]
        assert not any(bits >> 23 & 1 for bits in held)


def test_an_interrupted_call_does_not_answer_the_next_one(linux):
    task = linux.spawn("a")
    heap = task.mmap(4)
    task._number += 1
    task._sock.sendall(b'[%d, "get_mempolicy", [null]]\n' % task._number)  # as if ctrl-C had come before the answer
    assert task.placement(heap) == [None] * 4


# -- machines that cannot


@pytest.mark.parametrize(
    ("number", "said"), [(errno.ENOSYS, "built without NUMA"), (errno.EPERM, "this container forbids")]
)
def test_a_kernel_without_the_calls_is_one_sentence(number, said, monkeypatch):
    def refuse(*_):
        raise OSError(number, "no")

    monkeypatch.setattr(calls, "syscall", refuse)
    with pytest.raises(OSError, match=said) as caught:
        Linux()
    assert caught.value.errno == number


def test_another_system_is_one_sentence(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(OSError, match="this is darwin, not Linux"):
        Linux()


def test_where_there_is_no_linux_everything_else_can_be_imported():
    """As on Windows, and in a browser, where Python lacks these modules."""
    code = f"""
import ctypes, sys; sys.path.insert(0, {str(ROOT)!r})
import numpy, pandas, matplotlib.pyplot, ipywidgets, networkx, anywidget, joblib
sys.platform, ctypes.PyDLL = "emscripten", None
sys.modules.update(dict.fromkeys(["fcntl", "grp", "pwd", "resource", "termios"]))
from mmsim.lessons import lesson10
print(lesson10.real(lesson10.forked, lesson10.HOLE).where)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "this is emscripten, not Linux" in done.stdout


def test_another_processor_is_one_sentence(monkeypatch):
    monkeypatch.setattr(machine.platform, "machine", lambda: "riscv64")
    with pytest.raises(OSError, match="x86_64 and aarch64"):
        Linux()


def test_ctrl_c_while_tasks_end_leaves_a_machine_that_can_end_them(linux):
    for line in range(1, 100):
        tasks = [linux.spawn("a"), linux.spawn("b")]
        done = not interrupted(linux.clear, line, SOURCE)
        linux.clear()
        assert gone([task.pid for task in tasks])
        assert (linux.tasks, linux._processes) == ([], [linux._first._process])
        if done:
            break
    assert 20 < line < 99


def test_one_node_and_numa_balancing_are_said(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "BALANCING", tmp_path / "numa_balancing")
    (tmp_path / "numa_balancing").write_text("1\n")
    one = machine.read_topology()._replace(nodes=1, frames=(1000,))
    notes = " ".join(machine.notes_on(one))
    assert "numa=fake=4" in notes
    assert "NUMA balancing is on" in notes
    two = one._replace(nodes=2, frames=(1000, 1000), cpus=((0,), ()), distances=((10, 20), (20, 10)))
    assert "no task can run on node 1" in " ".join(machine.notes_on(two))
    assert two.zonelist(1) == [1, 0]
