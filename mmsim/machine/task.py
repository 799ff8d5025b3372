"""Task: a process, the ranges of its address space, and its system calls."""

import numpy as np

from . import numa_maps, results
from ..terms.arguments import Faults, counted, one_node, shown, text, whole, words, yes_no
from .doors import door
from .errors import OutOfMemory, os_error
from .file import File
from .handles import own
from ..mm import fault, filemap, fork, ll_rw_blk, mbind, mlock, mmap, shmem, structs, timer
from .names import task_labels
from .ranges import Range, areas, task_range
from .syscalls import NumaCalls
from .trouble import out_of_memory, shortage

_VM_FLAGS = {name: getattr(structs, f"VM_{name.upper()}") for name in ("io", "reserved", "denywrite", "shm")}
FIRST_PAGE = 0x10000  # where the first mapping of a task starts
SPARE_TIMERS = ll_rw_blk.NR_REQUESTS + 8  # timers that a call may need on top of those pending


class Task(NumaCalls):
    """A process, or a kernel thread; make one with `Kernel.spawn`."""

    __slots__ = ()
    kind, made_by, _table = "tasks", "kernel.spawn()", "task"

    pid = property(lambda self: self._number, doc="Its number.")

    def _gone(self, message):
        return os_error("ESRCH", message)

    def _what(self):
        return f"{self.name} (pid {self.pid})"

    def _vmas(self):
        """The rows of this task's vmas, by address."""
        self._check_exists()
        vmas = self._kernel.tables["vma"]
        rows = np.flatnonzero(vmas["vm_mm"] == self.pid)
        return vmas.take(rows[np.argsort(vmas["vm_start"][rows])])  # fast, where vmas[rows] is not

    def _call(self, function, *args):
        """Run a system call as this task; its result where it is no errno."""
        self._check_alive()
        return self._kernel.call(function, *args, pid=self.pid)

    def _check_alive(self):
        if self._row["flags"] & structs.PF_DEAD:
            raise os_error("ESRCH", f"{self.name} (pid {self.pid}) does not live any more")

    label = property(lambda self: task_labels(self._kernel)[self.pid] if self.exists else self.name,
                     doc="What tables and figures call it: its name, and where others have that, its pid.")  # fmt: skip
    uid = property(lambda self: int(self._row["uid"]), doc="The user that it runs as.")
    node = property(lambda self: int(self._row["node"]), doc="The node whose CPU it runs on.")

    @property
    def alive(self):
        """False after exit(), and after restore() to a time before it was made."""
        return self.exists and not self._row["flags"] & structs.PF_DEAD

    @property
    def cpuset(self):
        """The cpuset that it is attached to."""
        return self._kernel._cpuset(int(self._row["cpuset"]))

    @property
    def policy(self):
        """Its own memory policy."""
        return self.get_mempolicy()

    # -- address space

    @door
    def mmap(self, pages, file=None, offset=0, shared=False, writable=True, locked=False, flags=(), at=None, name=None):
        """Map pages: anonymous memory, or a file from page `offset` on.

        Parameters
        ----------
        pages : int
        file : File, optional
        shared : bool
            Writes go to the file (and to everyone who maps it); else to copies of one's own.
        locked : bool
            As with mlock: the pages are faulted in, and must stay.
        flags : iterable of str
            Other flags of the vma: io reserved denywrite shm.
        at : int, optional
            Virtual page to start at; default: behind the last mapping.
        name : str, optional
            A name for plots and numa_maps.

        Returns
        -------
        Mapping
        """
        self._check_alive()
        kernel = self._kernel
        pages, offset = whole(pages, "pages", what="pages"), whole(offset, "offset", what="pages")
        name = text(name, "name") if name is not None else ""
        shared, locked = yes_no(shared, "shared"), yes_no(locked, "locked")
        if pages < 1:
            raise os_error("EINVAL", f"pages is {pages}; map at least one page")
        if self._row["flags"] & structs.PF_KTHREAD:
            raise os_error("EINVAL", f"{self.label} is a kernel thread and has no address space")
        if file is None and offset:
            raise os_error("EINVAL", f"offset is {offset}, but no file is mapped")
        if file is not None and (offset < 0 or offset + pages > own(kernel, file, File, "file").pages):
            raise os_error("EINVAL", f"offset {offset} and {counted(pages, 'page')}: {file!r}")
        bits = structs.VM_WRITE * yes_no(writable, "writable") | structs.VM_SHARED * shared | structs.VM_LOCKED * locked
        for flag in words(flags, "flags"):
            if flag not in _VM_FLAGS:
                raise ValueError(f"flags: {shown(flag)} is none; there are {', '.join(_VM_FLAGS)}")
            bits |= _VM_FLAGS[flag]
        start = self._free_address(pages, at)
        kernel._reserve_vmas(8)
        base = kernel._reserve_ptes(pages) - start
        if shared and not file:
            file = kernel._new_mapping("/dev/zero", pages, structs.FS_TMPFS, nameless=1)
        mapping = file._number if file else 0
        v = kernel.call(mmap.new_vma)
        row = {"vm_mm": self.pid, "vm_start": start, "vm_end": start + pages, "vm_flags": bits, "mapping": mapping,
               "vm_pgoff": offset if mapping else start, "pte_base": base, "home": -1}  # fmt: skip
        kernel.tables["vma"][v] = tuple(row.get(name, 0) for name in structs.VMA.names)
        kernel.call(mmap.insert_vm_struct, v)
        kernel._book["ranges"][f"{self.pid}:{start}"] = name
        if locked:
            try:
                self._populate(start, start + pages)
            except OutOfMemory:  # the caller gets no mapping, so that there is to be none
                self._call(mmap.do_munmap, self.pid, start, start + pages)
                raise
        return Range(self, start, pages)

    def _free_address(self, pages, at):
        vmas = self._kernel.tables["vma"]
        own = vmas["vm_mm"] == self.pid
        starts, ends = vmas["vm_start"][own], vmas["vm_end"][own]
        if at is None:
            start = int(ends.max(initial=FIRST_PAGE))
            if start + pages >= mbind.END_OF_MEMORY:
                room = mbind.END_OF_MEMORY - start - 1
                raise os_error("ENOMEM", f"pages is {pages:,}; the address space of {self.name} has room for {room:,}")
            return start
        at = whole(at, "at", what="a virtual page")
        if at < 0 or at + pages >= mbind.END_OF_MEMORY:
            raise os_error("EINVAL", f"at is {at}; virtual pages go from 0 to {mbind.END_OF_MEMORY - 1}")
        if ((starts < at + pages) & (at < ends)).any():
            raise os_error("EEXIST", f"at: something is mapped at {at:#x} already")
        return at

    @door
    def munmap(self, range, at=None):
        """Unmap pages.  `at`: not now, but when the clock says so (ns), as another thread of the task would."""
        start, end = task_range(self, range, mapped=False, beyond="EINVAL")
        self._check_alive()
        if start == end:
            raise os_error("EINVAL", f"range: {start:#x} to {end:#x} are no pages that could be unmapped")
        kernel = self._kernel
        if at is not None and (at := whole(at, "at", what="ns")) < kernel.clock:
            raise ValueError(f"at is {at}, but the clock already says {kernel.clock}")
        kernel._reserve_vmas(4)
        if at is not None:
            kernel._grow("timer", kernel.k.sys.nr_timers + SPARE_TIMERS)
            kernel._run(timer.add_timer, at, timer.MUNMAP, self.pid, start, end)
            return
        self._call(mmap.do_munmap, self.pid, start, end)

    @door
    def mlock(self, range):
        """Lock pages in memory: they are faulted in, and their vma is not migratable any more."""
        start, end = self._set_locked(range, structs.VM_LOCKED)
        self._populate(start, end)

    @door
    def munlock(self, range):
        """Undo mlock."""
        self._set_locked(range, 0)

    def _populate(self, start, end):
        """Fault the pages of [start, end) in without using them, as mlock() does."""
        self._check_faults(self._call(fault.make_pages_present, self.pid, start, end), "fault in", start, end)

    def _set_locked(self, range, flag):
        """Set or clear VM_LOCKED in a range: (start, end)."""
        self._check_alive()
        start, end = task_range(self, range)
        self._kernel._reserve_vmas(4)
        self._call(mlock.do_mlock, self.pid, start, end, flag)
        return start, end

    @door
    def touch(self, range, write=False):
        """Read or write every page of a range once.

        Returns
        -------
        Faults

        Raises
        ------
        OSError
            EFAULT: a page is not mapped, or must not be written.
        OutOfMemory
            No memory for a page; those before it were touched.
        """
        start, end = task_range(self, range, mapped=False)
        write, faults = yes_no(write, "write"), np.zeros(4, np.int64)
        result = self._call(fault.touch_range, self.pid, start, end, int(write), faults)
        self._check_faults(result, "write" if write else "read", start, end)
        return Faults(*map(int, faults))

    def _check_faults(self, result, verb, start, end):
        """Raise what it means if the pages of a range could not be faulted in."""
        if result == -structs.EFAULT:
            raise os_error("EFAULT", f"range: {self.label} must not {verb} all of {start:#x} to {end:#x}")
        if result < 0:
            self._kernel.tables["vmstat"][structs.VM_OOM] += 1
            raise out_of_memory(self._kernel, self)

    @door
    def write(self, file, first=0, pages=None):
        """write(2): fill whole pages of a file; they become dirty, and their buffers where the file system has any."""
        self._check_alive()
        own(self._kernel, file, File, "file")
        first = whole(first, "first", what="pages")
        pages = file.pages - first if pages is None else whole(pages, "pages", what="pages")
        if first < 0 or pages < 0 or first + pages > file.pages:
            raise os_error("EINVAL", f"first is {first}, pages {pages}: {file!r}")
        self._kernel._grow("timer", self._kernel.k.sys.nr_timers + pages + SPARE_TIMERS)
        function = shmem.shmem_file_write if file.fs == "tmpfs" else filemap.generic_file_write
        if self._call(function, file._number, first, pages) < 0:
            lack = shortage(self._kernel, self)
            raise os_error("ENOMEM", f"no memory for the page cache of {file.name}: {lack}")

    # -- life

    @door
    def fork(self, name=None):
        """Make a child that shares all pages, copy-on-write; what the parent calls its mappings, the child may, too."""
        self._check_alive()
        kernel = self._kernel
        child = kernel.spawn(f"{self.name}'" if name is None else name, self.node, self.uid)
        kernel.tables["task"][child.pid] = self._row
        vmas = self._vmas()
        kernel._reserve_vmas(len(vmas) + 4)
        base = kernel._reserve_ptes(int((vmas["vm_end"] - vmas["vm_start"]).sum()))
        self._call(fork.dup_mmap, self.pid, child.pid, base)
        kernel._book["forked"][child.pid] = self.pid, areas(vmas)
        names = kernel._book["ranges"]
        names |= {f"{child.pid}:{start}": names.get(f"{self.pid}:{start}", "") for start in vmas["vm_start"].tolist()}
        return child

    @door
    def exit(self):
        """End the task: its memory is unmapped."""
        self._call(mmap.do_munmap, self.pid, 0, mbind.END_OF_MEMORY)
        self._row["flags"] |= structs.PF_DEAD

    @door
    def run_on(self, node):
        """The scheduler moves the task to the CPU of another node; its memory stays."""
        self._check_alive()
        self._row["node"] = one_node(node, self._kernel.topology.nodes)

    # -- what can be seen

    pages, placement, access_cost = results.pages, results.placement, results.access_cost
    numa_maps = numa_maps.numa_maps

    def __repr__(self):
        if not self.exists:
            return f"<Task {self.name}: pid {self.pid}, which is no more>"
        state = "" if self.alive else ", dead"
        return f"<Task {self.name}: pid {self.pid}, uid {self.uid}, on node {self.node}{state}>"
