"""Kernel: boots the tables, runs the kernel functions over them, keeps time."""

import functools
import sys

import numpy as np

from . import results, verify
from ..terms.arguments import END_OF_TIME, one_node, shown, text, whole, yes_no
from .boot import boot_tables, ctypes_view
from .callers import InKernelCallers
from .speed import load_compiler
from .config import Config, Costs
from .cpuset import CpuSet, new_cpuset
from .doors import Doorkeeper, door
from .errors import InvariantError, os_error
from .explain import most_considered, sharers
from .file import FS_NAMES, File
from .interpreted import Interpreted, has_twin
from .layout import known_off
from .migration import Migration
from ..mm import sched, structs, timer, vmscan
from .obstacles import Obstacles
from .changes import CHANGES, parse_patches
from .releases import parse_release
from .snapshot import Snapshot as Snapshot, Snapshots
from .syscalls import capabilities
from .task import Task
from .topology import Topology
from .trouble import stopped
from .watching import Watchable, Watched

PID_KERNEL, PID_KSWAPD = 0, 1
TRACE_EVENTS = 1 << 16  # rows of the event ring
MOST_ROWS = 1 << 30  # of a table: numbers of rows have 32 bits


class Kernel(InKernelCallers, Obstacles, Snapshots, Watchable):
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
    release : str, optional
        Be this kernel, "2.6.14" to "6.12", instead of V1: all seven patches, and every change up to it.
    without : iterable of str
        Names of changes (`mmsim.CHANGES`) that this release is to do without.

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

    _on_rows = False  # run the kernel functions as they stand, on rows of the tables

    def __init__(
        self, topology, config=Config(), patches=7, swap_slots=1024, costs=Costs(), compiled=None, trace=True,
        release=None, without=(),
    ):  # fmt: skip
        if not isinstance(topology, Topology):
            raise TypeError(f"topology is {shown(topology)}; make one with Topology.uniform() or .from_matrix()")
        if not isinstance(config, Config):
            raise TypeError(f"config is {shown(config)}; make one with Config()")
        if not isinstance(costs, Costs):
            raise TypeError(f"costs is {shown(costs)}; make them with Costs() or Costs.preset()")
        swap_slots = whole(swap_slots, "swap_slots", 0, MOST_ROWS, "pages", no_number=ValueError)
        if not isinstance(trace, bool):
            trace = whole(trace, "trace", least=0, most=MOST_ROWS, what="events that are kept, or True or False")
        if compiled is not None:
            compiled = yes_no(compiled, "compiled")
        self.topology = topology
        self.config = config
        made_of = parse_release(release, without)
        if release is None:
            made_of = made_of._replace(patches=parse_patches(patches))
        elif parse_patches(patches) != parse_patches(7):
            raise ValueError(f"patches is {shown(patches)}, but release {made_of.name} has its own: give one of them")
        self.release, self.patches, self.without = made_of.name, made_of.patches, made_of.without
        self.costs = costs
        self.last = None
        self._watcher = None
        self._doorkeeper = Doorkeeper()
        self._births, self._running = 0, False
        self._considers = 0  # how many pages the running migration may look at
        self._self = object()  # what tells this machine's snapshots from those of others
        self._twins = None
        self._book = {"tasks": {PID_KERNEL: "kernel", PID_KSWAPD: "kswapd"}, "files": {}, "cpusets": {0: "root"},
                      "born": {}, "ranges": {}, "forked": {}, "pinned": {}, "pins": {}}  # fmt: skip
        self._compiler, self._compile = load_compiler(compiled, sum(topology.frames)), None
        self.compiled = self._compiler is not None
        slots = swap_slots if config.swap else 0
        self.tables, self.k, self._arrays = {}, None, None
        events = TRACE_EVENTS * (not self.compiled) if trace is True else int(trace)
        self.tables = boot_tables(topology, config, made_of, slots, costs, events)
        self._bind()

    def __setattr__(self, name, value):
        """A misspelt name is an error: attributes are those that a machine is made with."""
        if hasattr(self, "_arrays") and not hasattr(self, name):
            raise AttributeError(f"{name}: a Kernel has no such attribute that could be set")
        object.__setattr__(self, name, value)

    def __del__(self):
        if vars(self).get("_twins"):
            self._twins.let_go()

    @property
    def spoken(self):
        """What to call its kernel in a sentence."""
        return f"Linux {self.release}" if self.release else "V1 on 2.6.14-rc5-mm1"

    @property
    def changes(self):
        """The names of the changes since V1 that it has, in their order."""
        return tuple(c.name for c in CHANGES if getattr(self.k.change, c.name.replace("-", "_")))

    # -- the tables and the calls into them

    def _bind(self):
        """Make the views of the arrays: `self._arrays` for compiled code, `self.k` for code that runs interpreted."""
        seen = self.tables
        if self.compiled:  # first, as that may put some of them elsewhere
            self._compile, self._arrays = self._compiler.twins(self.tables), self._compiler.Tables(self.tables)
            seen = self.tables | self._arrays.whole
        views = {name: ctypes_view(array) for name, array in seen.items()}
        if self._watcher:
            views["event"] = Watched(views["event"], self.tables, self._watcher)
        self.k = structs.Tables(**views | {name: views[name][0] for name in ("change", "costs", "sys")})
        if self._twins:
            self._twins.bind(self.tables)

    def _grow(self, name, rows):
        """See to it that a table has at least `rows` rows; it doubles where it is too small."""
        old = self.tables[name]
        if len(old) < rows:
            try:
                new = np.zeros((max(rows, 2 * len(old)), *old.shape[1:]), old.dtype)
            except MemoryError:
                raise os_error("ENOMEM", f"this computer has no room for {rows:,} rows of {name}") from None
            new[: len(old)] = old
            self._doorkeeper.begun = True
            self.tables[name] = new
            self._bind()

    def _reserve_vmas(self, more):
        """Rows for `more` new vmas, and for as many anon_vmas; an munmap that is still to come may split two."""
        pending = int((self._timers()["kind"] == timer.MUNMAP).sum())
        rows = np.count_nonzero(self.tables["vma"]["vm_mm"]) + more + 2 * pending + 2
        self._grow("vma", rows)
        self._grow("anon_vma", rows + 1)

    def _reserve_policies(self, task):
        """Rows of k.sp_node for an mbind() by `task`: each of its vmas of shared memory may cut two ranges in two."""
        shared = self.tables["mapping"]["fs"][task._vmas()["mapping"]] == structs.FS_TMPFS
        self._grow("sp_node", int((self.tables["sp_node"]["mode"] != 0).sum()) + 3 * int(shared.sum()) + 1)

    def _reserve_ptes(self, pages):
        """A free run of `pages` rows in k.pte; its first row."""
        vmas = self.tables["vma"]
        used = vmas["vm_mm"] != 0  # mostly in order, which a stable sort is quick to see
        base = vmas["pte_base"][used]
        first, last = (np.sort(base + vmas[end][used], kind="stable") for end in ("vm_start", "vm_end"))
        begins, ends = np.append(0, last), np.append(first, 1 << 62)  # of the gaps: no two vmas overlap there
        begin = int(begins[np.argmax(ends - begins >= pages)])
        for name in ("pte", "wrote"):
            self._grow(name, begin + pages)
        return begin

    def _timers(self):
        """The rows of the timers that are pending, in the order of time."""
        first = self.k.sys.first_timer
        return self.tables["timer"][first : first + self.k.sys.nr_timers]

    def call(self, function, *args, pid=PID_KERNEL):
        """Run a kernel function as task `pid`; then whatever it woke runs: kswapd, timers that are due.

        Raises
        ------
        KernelBug, KernelHang
            If the kernel hit a BUG(), or would never return.
        """
        system = self.k.sys
        system.current = pid
        result = self._run(function, *args)
        if system.kswapd_wanted:
            self._run(vmscan.run_kswapd, PID_KSWAPD)
        system.current = PID_KERNEL
        if system.nr_timers:
            self._run(sched.cond_resched)
        return result

    def _run(self, function, *args):
        """Run a kernel function; on a machine that stands still since a BUG() nothing runs any more."""
        self._check_bug("this machine stands still, restore() a snapshot: ")
        if self._running:
            raise RuntimeError("a kernel function is running: who observes it must not change the machine")
        run, tables = self._runner(function)
        if self._watcher:
            self._watcher.compare(self.tables)  # who knows what was written between the calls
        self._doorkeeper.begun = self._running = True
        try:
            result = run(*tables, *args)
        except BaseException:
            self._broken_off()
            raise
        finally:
            self._running = False
        if self._watcher:
            (self._watcher.compare if tables else self._watcher.settle)(self.tables)
        self._check_bug()
        return result

    def _runner(self, function):
        """What runs a kernel function, and what it takes before the function's own arguments."""
        if self.compiled:
            return self._compile(function), (self._arrays,)
        if self._on_rows or sys.gettrace() or not has_twin(function):  # a debugger sees the functions as they stand
            return function, (self.k,)
        if not self._twins or (self.k.sys.tracing and "tracing" in self._twins.program.off):
            watch = {"watch": self._watcher.watch, **self._watcher.hooks} if self._watcher else {}
            self._twins = Interpreted(known_off(self.tables), **watch)
            self._twins.bind(self.tables)
        return functools.partial(self._twins.run, function, self._considers), ()

    def _broken_off(self):
        """From now on the machine stands still: something ended a call half-way."""
        self.k.sys.bug = self.k.sys.bug or structs.BROKEN_OFF

    def _check_bug(self, since=""):
        if self.k.sys.bug:
            raise stopped(self, since)

    def _migration(self, trigger, asked, function, *args, pid=PID_KERNEL):
        """Run a trigger of migration, keeping a record of every page that it considers; its answer.

        `asked`: what it looks at, see explain.Asked.  `self.last` is the Migration afterwards, also where the kernel
        hit a BUG().
        """
        rows = most_considered(self, asked) + 2
        self.tables["considered"] = np.zeros(rows, structs.CONSIDERED)
        self.k.sys.nr_considered = self.k.sys.overflow = 0
        self._bind()
        begin, migrated, shared = self.clock, self.k.vmstat[structs.VM_MIGRATED], sharers(self, asked.walked)
        returned = None
        try:
            self._considers = rows
            returned = self.call(function, *args, pid=pid)
        finally:
            self._considers = 0
            if self.k.sys.bug != structs.BROKEN_OFF:  # half a change has no outcome
                migrated = self.k.vmstat[structs.VM_MIGRATED] - migrated
                self.last = Migration(self, trigger, returned, self.clock - begin, asked, shared, migrated)
        if self.k.sys.overflow:
            raise InvariantError(f"{self.k.sys.overflow} pages were considered for which there was no record")
        return returned

    # -- what a machine is asked to do

    @door
    def spawn(self, name, node=0, uid=1000, caps=(), kernel_thread=False):
        """Start a task on the CPU of a node.

        `uid` 0 has every capability; `caps` names others, as in ``("CAP_SYS_ADMIN",)``.
        """
        name, node = text(name, "name"), one_node(node, self.topology.nodes)
        uid = whole(uid, "uid", least=0, most=structs.MAX_UID)
        bits, kernel_thread = capabilities(caps, uid), yes_no(kernel_thread, "kernel_thread")
        pid = len(self._book["tasks"])
        if pid >= structs.PID_MAX:
            raise os_error("EAGAIN", f"there is no pid left for {name}: they are below {structs.PID_MAX:,}")
        self._grow("task", pid + 1)
        row = {"uid": uid, "euid": uid, "suid": uid, "caps": bits, "node": node, "home": -1,
               "mems_allowed": (1 << self.topology.nodes) - 1, "flags": structs.PF_KTHREAD * kernel_thread}  # fmt: skip
        self.tables["task"][pid] = tuple(row.get(name, 0) for name in structs.TASK.names)
        return self._register(Task, pid, name)

    @door
    def file(self, name, pages, fs="ext3"):
        """Make a file of `pages` pages on a file system: ext2 ext3 ext3-journalled xfs xfs-meta nfs reiserfs tmpfs."""
        if text(fs, "fs") not in FS_NAMES:
            raise ValueError(f"fs is {shown(fs)}; it is one of {', '.join(FS_NAMES)}")
        pages = whole(pages, "pages", least=1, most=MOST_ROWS, what="pages")
        return self._new_mapping(text(name, "name"), pages, FS_NAMES[fs], nameless=0)

    def _cpuset(self, number):
        """The cpuset of that row."""
        return CpuSet(self, number)

    def _set_weights(self, policy):
        """The weights of weighted interleave, if a policy comes with some."""
        for node, weight in zip(policy.nodes, policy.weights, strict=False):
            self.tables["zone"]["weight"][node] = weight

    def _register(self, kind, number, name):
        """A handle for what has got its row in the tables."""
        self._births += 1  # restore() does not take it back: a number may come again, with another thing behind it
        self._book["born"][kind.birth(number)] = self._births
        self._book[kind.kind][number] = name
        return kind(self, number)

    def _new_mapping(self, name, pages, fs, nameless):
        used = self.tables["mapping"][: len(self._book["files"]) + 2]
        base = int((used["base"] + used["pages"]).max())
        m = len(used)
        self._grow("mapping", m + 1)
        self._grow("file_page", base + pages)
        self.tables["mapping"][m] = (fs, pages, base, 0, nameless, 0)
        return self._register(File, m, name)

    cpuset = new_cpuset

    @door
    def wait(self, ns):
        """Let simulated time pass: I/O ends, locks are released, interrupts come and go."""
        until = self.clock + whole(ns, "ns", least=0, most=END_OF_TIME - self.clock)
        self._hurry(until)
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

    frames, residency, vmstat, events = results.frames, results.residency, results.vmstat, results.events
    verify = verify.verify

    def __repr__(self):
        patches = f"patches {','.join(map(str, sorted(self.patches))) or 'none'}"
        if self.release:
            patches = f"Linux {self.release}" + f" without {', '.join(self.without)}" * bool(self.without)
        return (
            f"<Kernel: {self.topology.nodes} nodes, {self.k.sys.nr_frames} frames, {patches}, "
            f"clock {self.clock / 1e6:.3f} ms>"
        )

    def _repr_html_(self):
        return f"<p>{self!r}</p>".replace("<Kernel", "&lt;Kernel").replace("ms>", "ms&gt;") + self.residency().to_html()
