"""Linux: the machine that one sits at, with the names of the model's Kernel."""

import itertools
import os
import platform
import signal
import socket
import sys
import tempfile
import warnings
import weakref
from errno import EINVAL, ENOSYS, EPERM, errorcode
from pathlib import Path

from ..terms.arguments import counted, one_node, shown, text, whole, words, yes_no
from . import calls, cpuset
from .errors import INSTEAD, not_here
from .files import FS_NAMES, File
from .task import Task
from .topology import read_topology

ROOT = str(Path(__file__).parents[2])
WORKER = f"import sys; sys.path.insert(0, {ROOT!r}); from mmsim.linux.worker import main; main(3)"
NUMBERS = itertools.count()  # of the machines of this process
CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_SYS_RESOURCE", "CAP_SYS_NICE", "CAP_SYS_PTRACE")
ORDINARY = 1000  # the uid that a task has where nobody says another
BALANCING = Path("/proc/sys/kernel/numa_balancing")
ONE_NODE = (
    "this machine has one NUMA node, so that no page can be seen moving: boot it with numa=fake=4, or run `mmsim vm`"
)


class Linux:
    """The machine that you sit at; a task is a child process, which ends with this one.

    Nothing but these children is ever moved, and they do not keep CAP_SYS_NICE, with which the memory that they share
    with other processes (the C library, say) would move as well.

    Parameters
    ----------
    folder : str, optional
        Where files that are not on tmpfs are made; default: that of temporary files.
    whole_machine : bool
        True: this machine is there for nothing else (as that of `mmsim vm`), and root's tasks keep CAP_SYS_NICE.

    Attributes
    ----------
    topology : Topology
        .nodes, .frames, .distances, .cpus.
    release : str
        As `uname -r` says it.
    notes : list of str
        What cannot be seen on this machine, and what else is to be known about it; they are warnings as well.
    last
        `.returned`: what the last migrate_pages() or move_pages() answered.

    Raises
    ------
    OSError
        This is no Linux, or one without the system calls: the message is a sentence.
    """

    def __init__(self, folder=None, whole_machine=False):
        check_system()
        self.topology, self.release, self.last = read_topology(), platform.release(), None
        self._folder, self.whole_machine = folder or tempfile.gettempdir(), yes_no(whole_machine, "whole_machine")
        self.tasks, self._processes, self._first, self.notes = [], [], None, list(notes_on(self.topology))
        self._folder_of_cpusets = f"mmsim-{os.getpid()}-{next(NUMBERS)}"
        self._end = weakref.finalize(self, end_all, self._processes, self._folder_of_cpusets)
        for note in self.notes:
            warnings.warn(note, stacklevel=2)

    def spawn(self, name, node=0, uid=ORDINARY, caps=(), kernel_thread=False):
        """Start a task on the CPUs of a node: a process of Python that does what it is told.

        Only root can choose the user, and keep or take away capabilities; for others each task is their own.
        """
        name, uid = text(name, "name"), whole(uid, "uid", least=0, most=(1 << 31) - 1)
        if yes_no(kernel_thread, "kernel_thread"):
            raise NotImplementedError("kernel_thread: only the kernel starts its threads; leave it out")
        kept, lost = self._capabilities(uid, words(caps, "caps"))
        mine = os.geteuid()
        if mine and uid not in (mine, ORDINARY):
            raise OSError(EPERM, f"uid is {uid}, but only root starts tasks of other users: leave it out")
        if mine and kept:
            raise OSError(EPERM, f"caps: only root can give {', '.join(kept)}")
        cpus = self._cpus(node)
        task = self._template().fork(name)
        task.uid, task._parent = mine or uid, None
        try:
            task._ask("run_on", cpus)
            task._ask("become", None if mine else uid, lost, kept, self.whole_machine and not mine)
        except OSError:
            self.tasks.remove(task)
            self._processes.remove(task._process)
            task._ended()
            raise
        task.node = int(node)
        return task

    def _template(self):
        """The task that those of spawn() are copies of: to copy a Python is faster than to start one."""
        if self._first is None or not self._first.alive:
            ours, its = socket.socketpair()
            with its:
                actions = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1)]
                pid = os.posix_spawn(sys.executable, [sys.executable, "-I", "-S", "-c", WORKER], os.environ,
                                     file_actions=[*actions, (os.POSIX_SPAWN_DUP2, its.fileno(), 3)])  # fmt: skip
            self._first = Task(self, "the first task", ours, Process(pid), os.geteuid())
            self._processes.append(self._first._process)
        return self._first

    def _capabilities(self, uid, names):
        """(capabilities that an ordinary user keeps, those that root loses)."""
        kept, lost = [], []
        for name in names:
            full = "CAP_" + str(name).upper().removeprefix("-").removeprefix("CAP_")
            if full not in CAPABILITIES:
                raise ValueError(f"caps: no capability {shown(name)} here; there are {', '.join(CAPABILITIES)}")
            (lost if str(name).startswith("-") else kept).append(full)
        nice = "CAP_SYS_NICE" in kept or (uid == 0 and "CAP_SYS_NICE" not in lost)
        if nice and not self.whole_machine and not os.geteuid():
            raise NotImplementedError(
                "with CAP_SYS_NICE a task moves the memory of other processes as well: take it away, as in "
                "spawn(..., uid=0, caps='-CAP_SYS_NICE'), or use a machine of its own, `mmsim vm`"
            )
        return kept, lost

    def _cpus(self, node):
        """The CPUs of a node; OSError (EINVAL) if it has none."""
        node = one_node(node, self.topology.nodes)
        if not self.topology.cpus[node]:
            raise OSError(EINVAL, f"node: node {node} has no CPU that this process may use, so that no task runs there")
        return self.topology.cpus[node]

    def _born(self, name, sock, pid, parent):
        """The Task of a process that was forked."""
        task = Task(self, name, sock, Process(pid), parent.uid, parent)
        self.tasks.append(task)
        self._processes.append(task._process)
        return task

    def file(self, name, pages, fs="ext3"):
        """Make a file of `pages` pages: on tmpfs, or (any other `fs`) in the folder of this machine."""
        if text(fs, "fs") not in FS_NAMES:
            raise ValueError(f"fs is {shown(fs)}; it is one of {', '.join(FS_NAMES)}")
        return File(self, text(name, "name"), whole(pages, "pages", least=1, what="pages"), fs, self._folder)

    def cpuset(self, name, mems, memory_migrate=False, parent=None, unified=None):
        """Make a cpuset, in the hierarchy that this machine has; it takes root, or a delegated cgroup."""
        made = cpuset.CpuSet(self, text(name, "name"), mems, yes_no(memory_migrate, "memory_migrate"), parent)
        if unified is not None and unified is not made.unified:
            raise NotImplementedError(f"unified is {unified}, but this machine has the other hierarchy")
        return made

    def pin(self, task, range, times=1):
        """Let the kernel refer to pages, as for I/O that does not end: they cannot be moved."""
        start, end = task._all_mapped(range)
        task._ask("pin", start * calls.PAGE, end - start, whole(times, "times", least=1, most=256))

    def unpin(self, task, range, times=1):
        """Undo pin(), of the same range."""
        start, end = task._all_mapped(range)
        times = whole(times, "times", least=1, most=256)
        if (done := task._ask("unpin", start * calls.PAGE, end - start, times)) < times:
            raise ValueError(f"times is {times}, but {range!r} is pinned {done} times")

    def clear(self):
        """End all tasks, and take the cpusets away: the machine is as new."""
        for task in self.tasks:
            task._ended()
        ended = [task._process for task in self.tasks]  # if ctrl-C comes before it is done, it can be done again
        self._processes[:] = [process for process in self._processes if process not in ended]
        self.tasks.clear()
        cpuset.take_all_away(self._folder_of_cpusets)
        self.last = None

    def close(self):
        """End everything that was started."""
        self.clear()
        if self._first is not None:
            self._first._ended()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __getattr__(self, name):
        if name in INSTEAD:
            raise not_here(f"kernel.{name}")
        raise AttributeError(f"a real machine has no {name}")

    def __repr__(self):
        living = sum(task.alive for task in self.tasks)
        return f"<Linux {self.release}: {counted(self.topology.nodes, 'node')}, {counted(living, 'task')}>"


class Process:
    """A child process."""

    def __init__(self, pid):
        self.pid, self.code = pid, None

    def running(self):
        """False when it has ended, whoever has ended it."""
        try:
            return self.code is None and os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    def end(self, kill=True):
        """Its exit code, negative if a signal has ended it; `kill`: do not wait until it ends by itself."""
        if self.code is None:
            try:
                if kill:
                    os.kill(self.pid, signal.SIGKILL)
                self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            except (ChildProcessError, ProcessLookupError):
                self.code = 0
        return self.code


def end_all(processes, folder):
    """End some processes, and take the cpusets away that they were in."""
    for process in processes:
        process.end()
    cpuset.take_all_away(folder)


def check_system():
    """OSError, with one sentence, unless this is a Linux that has the system calls."""
    if sys.platform != "linux":
        raise OSError(ENOSYS, f"this is {sys.platform}, not Linux: run the model (mmsim.Kernel), or `mmsim vm`")
    if platform.machine() not in calls.NUMBERS:
        raise OSError(ENOSYS, f"the processor is {platform.machine()}; mmsim.linux knows {' and '.join(calls.NUMBERS)}")
    try:
        calls.get_mempolicy()
    except OSError as error:
        why = {ENOSYS: "this kernel is built without NUMA (CONFIG_NUMA), or a sandbox hides it",
               EPERM: "this container forbids the system calls of NUMA; for docker: --cap-add SYS_NICE, or "
                      "--security-opt seccomp=unconfined"}.get(error.errno)  # fmt: skip
        raise OSError(error.errno, why or f"get_mempolicy() answers {errorcode.get(error.errno)}") from None


def notes_on(topology):
    """What is to be known about this machine."""
    if sum(frames > 0 for frames in topology.frames) < 2:
        yield ONE_NODE
    elif empty := [n for n in range(topology.nodes) if topology.frames[n] and not topology.cpus[n]]:
        yield f"no task can run on {', '.join(f'node {n}' for n in empty)}: no CPU there that this process may use"
    if BALANCING.exists() and BALANCING.read_text().strip() != "0":
        yield ("NUMA balancing is on, and may move pages behind our back: as root, "
               "echo 0 > /proc/sys/kernel/numa_balancing")  # fmt: skip
