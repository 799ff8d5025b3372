"""Kernel: boots the tables, runs the kernel functions over them, keeps time, takes snapshots."""

import copy
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from . import results, saved, verify
from .boot import boot_tables, ctypes_view, load_compiler
from .config import Config, Costs
from .cpusets import CpuSet
from .errors import KernelBug, KernelHang
from .files import FS_NAMES, File
from .mm import memory_failure, mempolicy, structs, timer, vmscan
from .obstacles import Obstacles
from .patches import parse_patches
from .ranges import page_frames
from .task import Task, capabilities
from .topology import Topology

PID_KERNEL, PID_KSWAPD = 0, 1
TRACE_EVENTS = 1 << 16  # rows of the event ring
_BUGS = {
    structs.BUG_NO_MAPPING: "BUG: migrate_page_remove_references() was given page {page}, which has no mapping",
    structs.BUG_NO_SWAP: "BUG: anonymous page {page} is to be moved, but without CONFIG_SWAP it has no swap entry",
    structs.BUG_PAGE_STATE: "BUG: bad page state of page {page}",
    structs.BUG_COUNT: "BUG: page {page} or its swap entry lost a reference too many",
    structs.HANG_UNMAP: "the unmap loop for page {page} never ends: a locked vma maps it, and there is no way back",
    structs.HANG_LOCK: "sleeping on page {page}, but nobody will ever wake us",
}


class Snapshot(NamedTuple):
    """The whole state of a machine at one time; give it to `Kernel.restore`."""

    tables: dict
    book: dict
    last: object

    def __repr__(self):
        return f"<Snapshot at clock {self.tables['sys']['clock'][0] / 1e6:.3f} ms>"


class Kernel(Obstacles):
    """A simulated NUMA machine and its kernel.

    Parameters
    ----------
    topology : Topology
    config : Config
        What the kernel image was configured with.
    patches : int or iterable of int
        The first n of the seven patches, or their numbers.
    swap_slots : int
        Size of the swap device, in pages.
    costs : Costs
    compiled : bool, optional
        Run the kernel functions compiled by numba, or interpreted.  None: compiled from
        65,536 page frames (256 MB) on, if numba is there.
    trace : bool or int
        How many events are kept, the last ones.  True: 65,536 on an interpreted machine, none on a compiled one.

    Examples
    --------
    >>> kernel = Kernel(Topology.uniform(nodes=2, frames=256))
    >>> task = kernel.spawn("a")
    >>> heap = task.mmap(4)
    >>> task.touch(heap, write=True)
    Faults(minor=4, major=0, protection=0, copied=0)
    >>> task.migrate_pages(0, old=0, new=1)
    0
    >>> task.placement(heap)
    [1, 1, 1, 1]
    """

    def __init__(self, topology, config=Config(), patches=7, swap_slots=1024, costs=Costs(), compiled=None, trace=True):
        if not isinstance(topology, Topology):
            raise TypeError(f"topology is {topology!r}; make one with Topology.uniform(), .ring() or .from_matrix()")
        if not isinstance(config, Config):
            raise TypeError(f"config is {config!r}; make one with Config()")
        if not isinstance(costs, Costs):
            raise TypeError(f"costs is {costs!r}; make them with Costs() or Costs.preset()")
        if not hasattr(swap_slots, "__index__") or swap_slots < 0:
            raise ValueError(f"swap_slots is {swap_slots!r}; it is a number of pages, 0 or more")
        if not hasattr(trace, "__index__") or trace < 0:
            raise ValueError(f"trace is {trace!r}; it is True, False, or how many events are kept")
        self.topology = topology
        self.config = config
        self.patches = parse_patches(patches)
        self.costs = costs
        self.last = None
        self._observer = None
        self._book = {"tasks": {PID_KERNEL: "kernel", PID_KSWAPD: "kswapd"}, "files": {}, "cpusets": {0: "root"},
                      "ranges": {}, "pinned": {}, "pins": {}}  # fmt: skip
        compiler = load_compiler(compiled, sum(topology.frames))
        self.compiled = compiler is not None
        if compiler:
            self._compile, self._headers = compiler.compile_kernel(), compiler.Tables
        slots = swap_slots if config.swap else 0
        events = TRACE_EVENTS * (not compiler) if trace is True else int(trace)
        self.tables = boot_tables(topology, config, self.patches, slots, costs, events)
        self._bind()

    # -- the tables and the calls into them

    def _bind(self):
        """Make the views of the arrays: `self.k` for code that runs interpreted, `self._arrays` for compiled code."""
        views = {name: ctypes_view(array) for name, array in self.tables.items()}
        if self._observer:
            views["event"] = Watched(views["event"], self._observer)
        self.k = structs.Tables(**views | {name: views[name][0] for name in ("costs", "sys")})
        if self.compiled:
            self._arrays = self._headers(self.tables)

    def _grow(self, name, rows):
        """See to it that a table has at least `rows` rows; it doubles where it is too small."""
        old = self.tables[name]
        if len(old) < rows:
            new = np.zeros((max(rows, 2 * len(old)), *old.shape[1:]), old.dtype)
            new[: len(old)] = old
            self.tables[name] = new
            self._bind()

    def _reserve_vmas(self, more):
        """Rows for `more` new vmas, and for as many anon_vmas; an munmap that is still to come may split two."""
        pending = int((self._timers()["kind"] == timer.MUNMAP).sum())
        rows = int((self.tables["vma"]["vm_mm"] != 0).sum()) + more + 2 * pending + 2
        self._grow("vma", rows)
        self._grow("anon_vma", rows + 1)

    def _reserve_policies(self, task):
        """Rows of k.sp_node for an mbind() by `task`: each of its vmas of shared memory may cut two ranges in two."""
        shared = self.tables["mapping"]["fs"][task._vmas()["mapping"]] == structs.FS_TMPFS
        self._grow("sp_node", int((self.tables["sp_node"]["mode"] != 0).sum()) + 3 * int(shared.sum()) + 1)

    def _reserve_ptes(self, pages):
        """A free run of `pages` rows in k.pte; its first row."""
        vmas = self.tables["vma"]
        first, last = (np.sort((vmas["pte_base"] + vmas[end])[vmas["vm_mm"] != 0]) for end in ("vm_start", "vm_end"))
        begins, ends = np.append(0, last), np.append(first, 1 << 62)  # of the gaps: no two vmas overlap there
        begin = int(begins[np.argmax(ends - begins >= pages)])
        self._grow("pte", begin + pages)
        return begin

    def _timers(self):
        """The rows of the timers that are pending."""
        return self.tables["timer"][: self.k.sys.nr_timers]

    def call(self, function, *args, pid=PID_KERNEL):
        """Run a kernel function as task `pid`; then whatever it woke runs: kswapd, timers that are due.

        Raises
        ------
        KernelBug, KernelHang
            If the kernel hit a BUG(), or would never return.
        """
        sys = self.k.sys
        sys.current = pid
        result = self._run(function, *args)
        if sys.kswapd_wanted:
            self._run(vmscan.run_kswapd, PID_KSWAPD)
        sys.current = PID_KERNEL
        if sys.nr_timers:
            self._run(timer.cond_resched)
        return result

    def _run(self, function, *args):
        """Run a kernel function; on a machine that stands still since a BUG() nothing runs any more."""
        self._check_bug("this machine stands still, restore() a snapshot: ")
        result = self._compile(function)(self._arrays, *args) if self.compiled else function(self.k, *args)
        self._check_bug()
        return result

    def _check_bug(self, since=""):
        code, page = int(self.k.sys.bug), int(self.k.sys.bug_page)
        if code:
            hang = code in (structs.HANG_UNMAP, structs.HANG_LOCK)
            raise (KernelHang if hang else KernelBug)(since + _BUGS[code].format(page=page))

    def _migration(self, trigger, pids, function, *args, pid=PID_KERNEL, rows=0, both=0):
        """Run a trigger of migration, keeping a record of every page that it considers; its answer.

        `both`: nodes that are emptied and filled; a page may move once more for each of them.  `self.last` is the
        Migration afterwards, also where the kernel hit a BUG().
        """
        vmas = self.tables["vma"]
        mapped = vmas[np.isin(vmas["vm_mm"], list(pids))]
        rows = rows + (both.bit_count() + 1) * int((mapped["vm_end"] - mapped["vm_start"]).sum()) + 2
        self.tables["considered"] = np.zeros(rows, structs.CONSIDERED)
        self.k.sys.nr_considered = 0
        self._bind()
        begin = self.clock
        returned = None
        try:
            returned = self.call(function, *args, pid=pid)
        finally:
            self.last = results.Migration(self, trigger, returned, self.clock - begin)
        return returned

    # -- what a machine is asked to do

    def spawn(self, name, node=0, uid=1000, caps=(), kernel_thread=False):
        """Start a task on the CPU of a node.

        `uid` 0 has every capability; `caps` names others, as in ``("CAP_SYS_ADMIN",)``.
        """
        self._check_node(node)
        uid = self._whole(uid, "uid", least=0)
        bits = capabilities(caps, uid)
        pid = len(self._book["tasks"])
        self._grow("task", pid + 1)
        row = self.tables["task"][pid]
        row["uid"] = row["euid"] = row["suid"] = uid
        row["caps"] = bits
        row["node"] = node
        row["home"] = -1
        row["mems_allowed"] = (1 << self.topology.nodes) - 1
        row["flags"] = structs.PF_KTHREAD if kernel_thread else 0
        self._book["tasks"][pid] = str(name)
        return Task(self, pid)

    def file(self, name, pages, fs="ext3"):
        """Make a file of `pages` pages on a file system: ext2 ext3 ext3-journalled xfs xfs-meta nfs reiserfs tmpfs."""
        if fs not in FS_NAMES:
            raise ValueError(f"fs is {fs!r}; it is one of {', '.join(FS_NAMES)}")
        if not hasattr(pages, "__index__") or pages < 1:
            raise ValueError(f"pages is {pages!r}; a file has at least one page")
        return File(self, self._new_mapping(str(name), int(pages), FS_NAMES[fs], nameless=0))

    def _new_mapping(self, name, pages, fs, nameless):
        used = self.tables["mapping"][: len(self._book["files"]) + 2]
        base = int((used["base"] + used["pages"]).max())
        m = len(used)
        self._grow("mapping", m + 1)
        self._grow("file_page", base + pages)
        self.tables["mapping"][m] = (fs, pages, base, 0, nameless, 0)
        self._book["files"][m] = name
        return m

    def cpuset(self, name, mems, memory_migrate=False, parent=None):
        """Make a cpuset; its nodes must be among its parent's (default: the root, all nodes)."""
        return CpuSet.create(self, str(name), mems, memory_migrate, parent)

    def migrate(self, pages, to, force=False, new_pages=None):
        """Trigger D, an in-kernel caller: move page frames to a node.

        Parameters
        ----------
        pages : iterable of int
            Page frame numbers.
        to : int
            The node that the new pages are asked from.
        force : bool
            Do not leave out what a locked or reserved vma maps: V1 may hang on those.
        new_pages : int, optional
            How many new pages the caller allocates at most; default: one for each page that it has isolated.  When
            the list of new pages is empty, migrate_pages() stops (patch 3).

        Returns
        -------
        Migration
        """
        self._check_node(to, "to")
        most = mempolicy.ALL_PAGES if new_pages is None else self._whole(new_pages, "new_pages", least=0)
        args = self._frames(pages, force)
        self._migration("kernel", (), mempolicy.migrate_frames, *args, to, most, rows=len(args[0]) + 1)
        return self.last

    def offline(self, pages):
        """Bad memory: empty page frames, as trigger D does, and take them out of use. No page gets them ever again.

        Each page goes to another frame of its node, or of the next one that has room. A frame whose page stays, like
        one that a locked or reserved vma maps, stays in use. Free frames are taken away at once, and those that are
        offline already are left alone: neither has a row in the result.

        Parameters
        ----------
        pages : iterable of int
            Page frame numbers.

        Returns
        -------
        Migration
            `returned`: how many of the frames are still in use, or -ENOMEM (no room for all new pages: none moved).
            `stayed` names them, and the reason.
        """
        args = self._frames(pages)
        self._migration("offline", (), memory_failure.soft_offline_page, *args, rows=len(args[0]) + 1)
        return self.last

    def _frames(self, pages, force=False):
        """What an in-kernel caller is given: the page frames, who maps each, and 1 for each that it passes over."""
        pfns = page_frames(pages, self.k.sys.nr_frames)
        if 1 in self.patches and not self.config.migration:
            raise results.os_error("ENOSYS", "this kernel is built without CONFIG_MIGRATION")
        self.last = None
        mapper, locked = results.mappers(self)
        return pfns, mapper[pfns], (locked[pfns] & (not force)).astype(np.int64)

    def wait(self, ns):
        """Let simulated time pass: I/O ends, locks are released, interrupts come and go."""
        until = self.clock + self._whole(ns, "ns", least=0)
        self._skip_rounds(until)
        self.call(timer.wait_until, until)

    # -- what can be seen

    @property
    def clock(self):
        """Simulated time, ns."""
        return int(self.k.sys.clock)

    @property
    def tasks(self):
        """The tasks that live, in the order of their pids."""
        return [Task(self, pid) for pid in self._book["tasks"] if pid > PID_KSWAPD and Task(self, pid).alive]

    def symbols(self):
        """The functions of page migration that this kernel image holds."""
        return self.config.symbols(self.patches)

    def frames(self):
        """mem_map as a DataFrame, one row a page frame."""
        return results.frames(self)

    def residency(self):
        """How many frames of each node belong to whom: nodes x owners."""
        return results.residency(self)

    def vmstat(self):
        """Cumulative counters, and the lowest number of free pages that each node saw."""
        return results.vmstat(self)

    def events(self):
        """The trace as a DataFrame, one row an event."""
        return results.events(self)

    def verify(self):
        """Check every invariant by walking all that can refer to a page; InvariantError names what is broken."""
        verify.verify(self)

    @contextmanager
    def watch(self, observer):
        """Call ``observer()`` at every event of the trace; interpreted machines only."""
        if self.compiled or not self.k.sys.tracing:
            raise ValueError("only an interpreted machine with trace=True can be watched")
        self._observer = observer
        self._bind()
        try:
            yield self
        finally:
            self._observer = None
            self._bind()

    # -- snapshots

    def snapshot(self):
        """A copy of the whole state."""
        tables = {name: array.copy() for name, array in self.tables.items()}
        return Snapshot(tables, copy.deepcopy(self._book), self.last)

    def restore(self, snapshot):
        """Go back to the state of a snapshot of this machine."""
        if not isinstance(snapshot, Snapshot):
            raise TypeError(f"snapshot is {snapshot!r}; take one with kernel.snapshot()")
        for name in ("zone", "mem_map", "swap_map"):
            if (there := snapshot.tables[name].shape) != self.tables[name].shape:
                raise ValueError(f"snapshot is of another machine: its {name} has {there[0]} rows")
        self.tables = {name: array.copy() for name, array in snapshot.tables.items()}
        self._book = copy.deepcopy(snapshot.book)
        self.last = snapshot.last
        self._bind()

    def save(self, path):
        """Write the machine to an .npz file: numpy arrays and JSON text, no pickle.

        A file that exists is replaced when the new one is complete; if that fails, with an OSError, it stays.
        """
        saved.save(self, path)

    @classmethod
    def load(cls, path, compiled=None):
        """The machine that `save` wrote, with `last`.

        Raises
        ------
        ValueError
            With the path, and what is wrong with the file: no machine, one of another version of mmsim, damaged.
        OSError
            The file cannot be read.
        """
        return saved.load(cls, path, compiled)

    def __repr__(self):
        patches = ",".join(map(str, sorted(self.patches))) or "none"
        return (
            f"<Kernel: {self.topology.nodes} nodes, {self.k.sys.nr_frames} frames, patches {patches}, "
            f"clock {self.clock / 1e6:.3f} ms>"
        )

    def _repr_html_(self):
        return f"<p>{self!r}</p>".replace("<Kernel", "&lt;Kernel").replace("ms>", "ms&gt;") + self.residency().to_html()


class Watched:
    """The event table of a machine that is watched: taking the row for a new event calls the observer first."""

    def __init__(self, rows, observer):
        self.rows = rows
        self.observer = observer

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        self.observer()
        return self.rows[i]
