"""Task: a child process that does what it is told, with the names of the model's Task."""

import json
import re
import socket
from errno import EEXIST, EFAULT, EINVAL, ENOENT, ENOMEM, ESRCH, errorcode
from pathlib import Path

from ..terms.arguments import Faults, counted, shown, text, whole, words, yes_no
from ..terms.policy import FLAG_NAMES, MODE_NAMES, Policy, check_policy, named_nodes, node_set
from ..terms.ranges import Range
from .calls import MPOL_MF_MOVE, MPOL_MF_MOVE_ALL, MPOL_MF_STRICT, NOT_WRITTEN, PAGE
from .errors import INSTEAD, error_of, not_here
from .files import File
from .topology import numbers

FIRST_PAGE = 0x10000  # where the first mapping of a task starts, as in the model
POLICY_FLAGS = {"": 0, "static": 1 << 15, "relative": 1 << 14}
MOST_NODE = 1023  # that a node mask has room for
VM_FLAGS = ("io", "reserved", "denywrite", "shm")


class Task:
    """A child process; make one with `Linux.spawn`, or with `fork` of another task."""

    def __init__(self, kernel, name, sock, process, uid, parent=None):
        self._kernel, self._sock, self._process = kernel, sock, process
        self.name, self.uid, self.node, self.pid = name, uid, None, process.pid
        self._number, self._rest, self._parent, self._how = 0, b"", parent, ""
        self._areas = [] if parent is None else list(parent._areas)
        self._inherited = list(self._areas)

    def _ask(self, name, *args, fd=None, alive=True):
        """What the child process answers; an OSError in words if its call fails."""
        self._check_alive()
        self._number += 1
        line = json.dumps([self._number, name, args]).encode() + b"\n"
        try:
            if fd is None:
                self._sock.sendall(line)
            else:
                socket.send_fds(self._sock, [line], [fd])
            while True:
                while b"\n" not in self._rest:
                    more = self._sock.recv(1 << 20)
                    if not more:
                        raise ConnectionResetError
                    self._rest += more
                answer, self._rest = self._rest.split(b"\n", 1)
                number, failed, value = json.loads(answer)
                if number == self._number:  # an older one is that of a call that was interrupted here
                    break
        except (BrokenPipeError, ConnectionResetError):
            if not alive:
                return None
            code = self._ended(kill=False)
            self._how = f", by signal {-code}" if code < 0 else ""
            raise OSError(ESRCH, f"{self.label} was ended{self._how}") from None
        if failed:
            raise error_of(name, failed)
        return value

    @property
    def label(self):
        """What messages call it."""
        return f"{self.name} (pid {self.pid})"

    @property
    def alive(self):
        """False after exit(), and when something else has ended it."""
        return self._sock is not None and self._process.running()

    def _check_alive(self):
        if self._sock is None:
            raise OSError(ESRCH, f"{self.label} does not live any more{self._how}")

    def _ended(self, kill=True):
        """Forget the process, which is to end, or ends without our doing: its exit code."""
        if self._sock is not None:
            self._sock.close()
            self._sock, self._areas = None, []
        return self._process.end(kill)

    # -- address space

    def _range(self, range_, name="range"):
        """(first page, end) of a Mapping, a part of one, or a range of page numbers; None: all that is mapped."""
        if range_ is None:
            return (self._areas[0][0], self._areas[-1][1]) if self._areas else (0, 0)
        if isinstance(range_, Range):
            self._check_owner(range_, name)
        elif not isinstance(range_, range) or range_.step != 1:
            right = "give a mapping, a part of one as in heap[8:16], or range(first, last)"
            raise TypeError(f"{name} is {shown(range_)}; {right}")
        start, end = range_.start, range_.stop
        if end < start:
            raise OSError(EINVAL, f"{name}: it ends ({end:#x}) before it starts ({start:#x})")
        if start < 0 or end > 1 << 51:
            raise OSError(EFAULT, f"{name}: {start:#x} to {end:#x} are no pages of an address space")
        return start, end

    def _check_owner(self, range_, name):
        """ValueError unless a Range is a task's own, or one that it got from its parent with fork()."""
        if range_.task._kernel is not self._kernel:
            raise ValueError(f"{name}: {range_!r} belongs to a task of another machine")
        task = self
        while task is not range_.task:
            if task is None or not any(a <= range_.start and range_.stop <= e for a, e in task._inherited):
                raise ValueError(f"{name}: {range_!r} does not belong to {self.label}")
            task = task._parent

    def mmap(self, pages, file=None, offset=0, shared=False, writable=True, locked=False, flags=(), at=None, name=None):
        """Map pages: anonymous memory, or a file from page `offset` on; as in the model, at the same addresses."""
        self._check_alive()
        pages, offset = whole(pages, "pages", what="pages"), whole(offset, "offset", what="pages")
        shared, writable, locked = yes_no(shared, "shared"), yes_no(writable, "writable"), yes_no(locked, "locked")
        if name is not None:
            text(name, "name")
        if pages < 1:
            raise OSError(EINVAL, f"pages is {pages}; map at least one page")
        if file is None and offset:
            raise OSError(EINVAL, f"offset is {offset}, but no file is mapped")
        if file is not None and (offset < 0 or offset + pages > self._own(file).pages):
            raise OSError(EINVAL, f"offset {offset} and {counted(pages, 'page')}: {file!r}")
        for flag in words(flags, "flags"):
            if flag not in VM_FLAGS:
                raise ValueError(f"flags: {shown(flag)} is none; there are {', '.join(VM_FLAGS)}")
            if flag != "shm":
                raise NotImplementedError(f"flags: only drivers of the kernel make mappings that are {flag}")
        start = max(FIRST_PAGE, self._range(None)[1]) if at is None else whole(at, "at", least=0)
        if self._inside(start, start + pages):
            raise OSError(EEXIST, f"at: something is mapped at {start:#x} already")
        fd = None if file is None else file._fd
        self._ask("mmap", start * PAGE, pages, shared, writable, offset, fd=fd)
        self._areas = joined([*self._areas, (start, start + pages)])
        if locked:
            try:
                self._ask("mlock", start * PAGE, pages)
            except OSError:  # the caller gets no mapping, so that there is to be none
                self.munmap(range(start, start + pages))
                raise
        return Range(self, start, pages)

    def _own(self, file):
        """A file of this machine."""
        if not isinstance(file, File):
            raise TypeError(f"file is {shown(file)}; make one with kernel.file()")
        if file._kernel is not self._kernel:
            raise ValueError(f"file: {file!r} belongs to another machine; make one on this machine with kernel.file()")
        return file

    def munmap(self, range):
        """Unmap pages."""
        start, end = self._range(range)
        if start == end:
            raise OSError(EINVAL, f"range: {start:#x} to {end:#x} are no pages that could be unmapped")
        parts = self._inside(start, end)
        for first, last in parts:  # not what Python has there
            self._ask("munmap", first * PAGE, last - first)
        left = [piece for a, e in self._areas for piece in ((a, min(e, start)), (max(a, end), e))]
        self._areas = [(a, e) for a, e in left if a < e]

    def _inside(self, start, end):
        """The parts of [start, end) in which this task has mapped something."""
        parts = ((max(a, start), min(e, end)) for a, e in self._areas)
        return [(a, e) for a, e in parts if a < e]

    def _pythons(self, start, end):
        """Whether in [start, end) there is something that this task has not mapped itself."""
        for line in Path(f"/proc/{self.pid}/maps").read_text().splitlines():
            first, last = (int(part, 16) // PAGE for part in line.split()[0].split("-"))
            first, last = max(first, start), min(last, end)
            if first < last and self._inside(first, last) != [(first, last)]:
                return True
        return False

    def _all_mapped(self, range_):
        """As _range(), where every page must be mapped."""
        start, end = self._range(range_)
        if start < end and self._inside(start, end) != [(start, end)]:
            raise OSError(EFAULT, f"range: not all of {start:#x} to {end:#x} is mapped by {self.label}")
        return start, end

    def mlock(self, range):
        """Lock pages in memory; OSError (ENOMEM) if that is more than `ulimit -l` lets this task lock."""
        start, end = self._all_mapped(range)
        self._ask("mlock", start * PAGE, end - start)

    def munlock(self, range):
        """Undo mlock."""
        start, end = self._all_mapped(range)
        self._ask("munlock", start * PAGE, end - start)

    def touch(self, range, write=False):
        """Read or write every page of a range once.

        Returns
        -------
        Faults
            A real kernel counts minor and major faults; what of the minor ones were faults on a protected pte, and
            which copied, it does not say: these are None.
        """
        start, end = self._range(range)
        write = yes_no(write, "write")
        there = self._inside(start, end)
        upto = there[0][1] if there and there[0][0] == start else start  # behind it may be what Python has mapped
        wrong, minor, major = self._ask("touch", start * PAGE, upto - start, write)
        if wrong == ENOMEM:
            raise OSError(ENOMEM, f"no memory for a page of {self.label}")
        if wrong or upto < end:
            verb = "write" if write else "read"
            raise OSError(EFAULT, f"range: {self.label} must not {verb} all of {start:#x} to {end:#x}")
        return Faults(minor, major, None, None)

    def write(self, file, first=0, pages=None):
        """write(2): fill whole pages of a file."""
        self._check_alive()
        self._own(file)
        first = whole(first, "first", what="pages")
        pages = file.pages - first if pages is None else whole(pages, "pages", what="pages")
        if first < 0 or pages < 0 or first + pages > file.pages:
            raise OSError(EINVAL, f"first is {first}, pages {pages}: {file!r}")
        self._ask("write", first, pages, fd=file._fd)

    # -- life

    def fork(self, name=None):
        """Make a child process with the same memory, copy-on-write, at the same addresses."""
        self._check_alive()
        ours, its = socket.socketpair()
        with its:
            pid = self._ask("fork", fd=its.fileno())
        child = self._kernel._born(f"{self.name}'" if name is None else text(name, "name"), ours, pid, self)
        child.node = self.node
        return child

    def exit(self):
        """End the task: its memory is unmapped."""
        self._ask("exit", alive=False)
        self._ended()

    def run_on(self, node):
        """The scheduler moves the task to the CPUs of another node; its memory stays."""
        cpus = self._kernel._cpus(node)
        self._ask("run_on", cpus)
        self.node = int(node)

    # -- policies and migration

    def _nodes(self, spec, name):
        """The numbers of the nodes that a node set names."""
        named = node_set(spec, name)
        every = (1 << self._kernel.topology.nodes) - 1
        allowed = 0  # by its cpuset
        if isinstance(named, str):
            status = Path(f"/proc/{self.pid}/status").read_text()
            allowed = sum(1 << node for node in numbers(re.search(r"Mems_allowed_list:\s*(\S+)", status)[1]))
        nodes = named_nodes(named, every, allowed, name)
        if any(not 0 <= node <= MOST_NODE for node in nodes):
            raise OSError(EINVAL, f"{name}: {list(nodes)} are no nodes; they go from 0 to {MOST_NODE}")
        return list(nodes)

    def _policy(self, policy):
        """(mode with its flag, nodes) as the system calls take them."""
        check_policy(policy)
        if policy.weights:
            raise NotImplementedError("weights are the machine's: root sets them, below /sys/kernel/mm/mempolicy")
        return MODE_NAMES.index(policy.mode) | POLICY_FLAGS[policy.flag], self._nodes(policy.nodes, "policy")

    policy = property(lambda self: self.get_mempolicy(), doc="Its own memory policy.")

    def set_mempolicy(self, policy):
        """Set the policy of the task, for pages that it will allocate."""
        self._ask("set_mempolicy", *self._policy(policy))

    def get_mempolicy(self, page=None):
        """The task's policy; or the one that governs a virtual page."""
        if page is not None:
            page = self._range(page, "page")[0] if isinstance(page, Range) else whole(page, "page")
            if not self._inside(page, page + 1):
                raise OSError(EFAULT, f"page: {page:#x} of {self.label} is not mapped")
        mode, nodes = self._ask("get_mempolicy", page and page * PAGE)
        flag = next(name for name in reversed(FLAG_NAMES) if mode & POLICY_FLAGS[name] == POLICY_FLAGS[name])
        return Policy(MODE_NAMES[mode & 0xFF], tuple(nodes), flag)

    def mbind(self, range, policy, move=False, move_all=False, strict=False):
        """Set the policy of a range; `move` or `move_all` migrates misplaced pages; as in the model."""
        start, end = self._range(range)
        mode, nodes = self._policy(policy)
        flags = MPOL_MF_MOVE * yes_no(move, "move") | MPOL_MF_MOVE_ALL * yes_no(move_all, "move_all")
        flags |= MPOL_MF_STRICT * yes_no(strict, "strict")
        if start < end and self._inside(start, end) != [(start, end)] and self._pythons(start, end):
            raise OSError(EFAULT, f"range: in {start:#x} to {end:#x} there is memory of Python itself")
        self._ask("mbind", start * PAGE, end - start, mode, nodes, flags)

    def _target(self, pid):
        """The process that a pid means: 0, or a task of this machine; no other is ever moved."""
        if isinstance(pid, Task):
            raise TypeError(f"pid is {pid!r}; give its number, {pid.pid}, or 0 for the caller")
        pid = whole(pid, "pid", what="a task, or 0 for the caller")
        if pid and not any(task.pid == pid and task.alive for task in self._kernel.tasks):
            raise OSError(ESRCH, f"pid: no task of this machine has pid {pid}, and other processes are left alone")
        return pid

    def migrate_pages(self, pid, old, new):
        """Move what a task has on nodes `old` to nodes `new`: pages that could not be moved.

        Python's own pages, which the process of a task has as well, go along.
        """
        old, new = self._nodes(old, "old"), self._nodes(new, "new")
        returned = self._ask("migrate_pages", self._target(pid), old, new)
        self._kernel.last = Last(returned)
        return returned

    def move_pages(self, pid, pages, nodes=None, all=False):
        """Move single pages, each to a node of its own, or ask where they are: a node or '-EBUSY' ... for each."""
        if isinstance(pages, (Range, range)) or pages is None:
            addresses = list(range(*self._range(pages, "pages")))
        else:
            addresses = [whole(page, "pages", what="virtual pages") for page in pages]
        if nodes is not None:
            nodes = list(nodes) if hasattr(nodes, "__iter__") else [nodes] * len(addresses)
            nodes = [whole(node, "nodes") for node in nodes]
            if len(nodes) != len(addresses):
                raise ValueError(f"nodes has {len(nodes)} entries for {counted(len(addresses), 'page')}")
        flags = MPOL_MF_MOVE_ALL if yes_no(all, "all") else MPOL_MF_MOVE
        places = [address * PAGE for address in addresses]
        returned, status = self._ask("move_pages", self._target(pid), places, nodes, flags)
        said = [None if s == NOT_WRITTEN else s if s >= 0 else f"-{errorcode.get(-s, -s)}" for s in status]
        self._kernel.last = Last(returned)
        if returned < 0:
            error = error_of("move_pages", -returned)
            error.status = said
            raise error
        return said

    # -- what can be seen

    def placement(self, range=None):
        """The node of each page of a range; None where none of its own is present."""
        start, end = self._range(range)
        inside = [page for first, last in self._inside(start, end) for page in _range(first, last)]
        if not inside:
            return [None] * (end - start)
        _, status = self._ask("move_pages", 0, [page * PAGE for page in inside], None, MPOL_MF_MOVE)
        nodes = dict(zip(inside, status, strict=True))
        return [node if (node := nodes.get(page, -ENOENT)) >= 0 else None for page in _range(start, end)]

    def numa_maps(self):
        """As /proc/PID/numa_maps, of what this task has mapped itself; Python's memory is left out."""
        self._check_alive()
        lines = Path(f"/proc/{self.pid}/numa_maps").read_text().splitlines()
        return "\n".join(line for line in lines if self._inside(page := int(line.split()[0], 16) // PAGE, page + 1))

    def __getattr__(self, name):
        if name in INSTEAD:
            raise not_here(f"task.{name}")
        raise AttributeError(f"a task has no {name}")

    def __repr__(self):
        state = f"on node {self.node}" if self._sock else "dead"
        return f"<Task {self.name}: pid {self.pid}, uid {self.uid}, {state}>"


_range = range  # `range` is the name of an argument above


class Last:
    """What the last migration answered."""

    def __init__(self, returned):
        self.returned = returned

    def __repr__(self):
        return f"<Migration: returned {self.returned}>"


def joined(areas):
    """Areas [start, end), neighbours made one."""
    found = []
    for start, end in sorted(areas):
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found
