"""CpuSet: a group of tasks that is confined to some nodes, where this process may make one (as root, mostly)."""

import contextlib
import os
import re
from errno import EACCES, EEXIST, EPERM, EROFS, ESRCH
from pathlib import Path

from ..terms.arguments import yes_no
from ..terms.policy import format_nodes, named_nodes, node_set
from .errors import error_of
from .topology import numbers

FOLLOWS = [5, 15]  # since Linux 5.15 memory follows in the unified hierarchy


def hierarchy():
    """(folder of the cpuset hierarchy, whether it is the unified one); OSError where there is none."""
    unified = None
    for line in Path("/proc/mounts").read_text().splitlines():
        _, folder, kind, options, *_ = line.split()
        if kind == "cpuset" or (kind == "cgroup" and "cpuset" in options.split(",")):
            return Path(folder), False
        if kind == "cgroup2" and "cpuset" in (Path(folder) / "cgroup.controllers").read_text().split():
            unified = Path(folder)
    if unified is None:
        raise OSError(EACCES, "cpuset: no hierarchy with cpusets is mounted here")
    return unified, True


class CpuSet:
    """A cpuset; make one with `Linux.cpuset`.  `mems` and `memory_migrate` are assignable."""

    def __init__(self, kernel, name, mems, memory_migrate, parent):
        root, unified = hierarchy()
        follows = unified and [int(number) for number in re.findall(r"\d+", kernel.release)[:2]] >= FOLLOWS
        self.__dict__.update(_kernel=kernel, name=name, unified=unified, _follows=follows)
        with self._in_words():
            ours = base(root, unified, kernel._folder_of_cpusets)
            self.__dict__["_folder"] = (parent._folder if parent else ours) / name
            if unified and memory_migrate is not follows:
                always = "always follows; set it" if follows else "never follows before 5.15; leave it out"
                raise NotImplementedError(f"memory_migrate: in the unified hierarchy memory {always}")
            if self._folder.exists():
                raise OSError(EEXIST, f"name: there is a cpuset {name} there already")
            if parent and unified:
                (parent._folder / "cgroup.subtree_control").write_text("+cpuset")
            self._folder.mkdir()
            if not unified:
                self._write(file_of(self._folder, "cpus"), read(self._folder.parent, "cpus"))
            try:
                self.mems = mems
            except (OSError, TypeError, ValueError):
                self._folder.rmdir()
                raise
            if not unified:
                self.memory_migrate = memory_migrate

    @contextlib.contextmanager
    def _in_words(self):
        """Say what an error of the file system means."""
        try:
            yield
        except OSError as error:
            if error.filename is None:
                raise
            if error.errno in (EACCES, EPERM, EROFS):
                raise OSError(EACCES, "cpuset: it takes root, or a cgroup that was delegated to you") from None
            raise error_of("cpuset", error.errno) from None

    def _write(self, file, text):
        with self._in_words():
            try:
                file.write_text(f"{text}\n")
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(file)) from None

    @property
    def mems(self):
        """The nodes that its tasks may allocate on, as text: '0-1'; '' for none."""
        return read(self._folder, "mems")

    @property
    def memory_migrate(self):
        """Whether memory follows its tasks when their nodes change; in the unified hierarchy always since 5.15."""
        return self._follows if self.unified else read(self._folder, "memory_migrate") == "1"

    def __setattr__(self, name, value):
        if name == "mems":
            every = (1 << self._kernel.topology.nodes) - 1
            nodes = named_nodes(node_set(value, "mems"), every, every, "mems")
            text = format_nodes(sum(1 << node for node in nodes)).replace("none", "")
            self._write(file_of(self._folder, "mems"), text)
        elif name == "memory_migrate":
            if self.unified:
                raise OSError(EACCES, "memory_migrate: in the unified hierarchy there is no such file")
            self._write(file_of(self._folder, "memory_migrate"), int(yes_no(value, "memory_migrate")))
        else:
            raise AttributeError(f"{name} of CpuSet {self.name} cannot be set; assign mems or memory_migrate")

    @property
    def _procs(self):
        return self._folder / ("cgroup.procs" if self.unified else "tasks")

    @property
    def tasks(self):
        """The tasks attached to it."""
        pids = set(map(int, self._procs.read_text().split()))
        return [task for task in self._kernel.tasks if task.pid in pids]

    def attach(self, task):
        """Move a task here; if `memory_migrate` is set, its memory comes along."""
        if getattr(task, "_kernel", None) is not self._kernel:
            raise ValueError(f"task: {task!r} is no task of this machine; make one with kernel.spawn()")
        if not task.alive:
            raise OSError(ESRCH, f"task: {task!r} does not live")
        self._write(self._procs, task.pid)
        task.run_on(task.node)  # the cpuset has let it run on each of its own CPUs

    def __repr__(self):
        return f"<CpuSet {self.name}: mems {self.mems or 'none'}>"


def file_of(folder, name):
    """A file of a cpuset; where cpusets are mounted by themselves, it has the short name."""
    long = folder / f"cpuset.{name}"
    return long if long.exists() else folder / name


def read(folder, name):
    """What a file of a cpuset says."""
    for file in (folder / f"cpuset.{name}", folder / f"cpuset.{name}.effective", folder / name):
        if file.exists() and (text := file.read_text().strip()):
            return format_nodes(sum(1 << n for n in numbers(text))) if name == "mems" else text
    return ""


def base(root, unified, name):
    """The folder of the cpusets of a machine; those of processes that are gone are taken away."""
    for old in root.glob("mmsim-[0-9]*"):
        if not Path(f"/proc/{old.name.split('-')[1]}").exists():
            take_away(old)
    ours = root / name
    if not ours.exists():
        if unified:
            (root / "cgroup.subtree_control").write_text("+cpuset")
        ours.mkdir()
        if unified:
            (ours / "cgroup.subtree_control").write_text("+cpuset")
        else:
            for name in ("cpus", "mems"):
                file_of(ours, name).write_text(read(root, name))
    return ours


def take_away(folder):
    """Remove a cpuset and those below it, if no task is there any more."""
    for path, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(path)


def take_all_away(name):
    """Remove the cpusets of a machine; `name`: of their folder."""
    with contextlib.suppress(OSError):
        root, _ = hierarchy()
        take_away(root / name)
