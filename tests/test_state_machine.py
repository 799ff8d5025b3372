"""Random machines under random operations: whatever happens, verify() holds and every task reads what it wrote."""

import errno
import tempfile
from contextlib import contextmanager, suppress

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from machines import differing

from mmsim import (
    PATCHES,
    RELEASES,
    Config,
    Costs,
    Kernel,
    KernelBug,
    KernelHang,
    Mapping,
    OutOfMemory,
    Policy,
    Topology,
)  # fmt: skip
from mmsim.machine.file import FS_NAMES
from mmsim.mm.structs import VM_STALE_READS

MAX_TASKS, MAX_MAPPINGS, MAX_FILES = 6, 12, 5
index = st.integers(0, 1_000)  # picks from a list, whatever its length
pages = st.integers(1, 24)
patch_sets = st.sets(st.integers(1, 7)).map(
    lambda chosen: {p.number for p in PATCHES if p.number in chosen and {*p.needs, *needs_of(p)} <= chosen}
)
node_sets = st.sets(st.integers(0, 3), max_size=4)
policy_kinds = st.sampled_from(["default", "preferred", "bind", "interleave"] * 3
                               + ["local", "preferred_many", "weighted_interleave"])  # fmt: skip
MIGRATE_FAILS = ("EPERM", "ENOMEM", "EINVAL", "ENOSYS")
vma_flags = st.sampled_from([(), (), (), (), (), ("io",), ("reserved",), ("denywrite",), ("shm",)])


@contextmanager
def may_fail(*names):
    """A call that may be refused with one of these errnos, or find no memory."""
    try:
        yield
    except OutOfMemory as error:
        note(str(error))
    except OSError as error:
        if errno.errorcode[error.errno] not in names:
            raise
        note(str(error))


def needs_of(patch):
    """What a patch needs at second hand."""
    return {need for n in patch.needs for need in PATCHES[n - 1].needs}


def pick(items, i):
    return items[i % len(items)]


class Machine(RuleBasedStateMachine):
    Kernel = Kernel

    @initialize(
        frames=st.lists(st.integers(32, 96), min_size=2, max_size=4),
        ring=st.booleans(),
        patches=st.one_of(patch_sets, st.integers(0, 7)),
        slots=st.sampled_from([0, 1, 3, 16, 80, 80, 80, 400]),
        swap=st.sampled_from([True] * 9 + [False]),
        costs=st.sampled_from([Costs(), Costs(), Costs(*[0] * 9), Costs.preset("two-socket")]),
        trace=st.booleans(),
        fs=st.sampled_from(sorted(FS_NAMES)),
        shared=st.booleans(),
        release=st.one_of(st.none(), st.sampled_from(RELEASES)),
    )
    def boot(self, frames, ring, patches, slots, swap, costs, trace, fs, shared, release):
        shape = Topology.ring if ring else Topology.uniform
        topology = Topology.from_matrix(shape(len(frames)).distances, frames)
        self.kernel = self.Kernel(
            topology, Config(swap=swap), 7 if release else patches, swap_slots=slots, costs=costs,
            trace=trace and 4096, compiled=False, release=release,
        )  # fmt: skip
        self.tasks = [self.kernel.spawn("user"), self.kernel.spawn("root", uid=0)]
        self.mappings, self.cpusets, self.pins = [], [], []
        self.files = [self.kernel.file(fs, 12, fs) for fs in (fs, "tmpfs")]
        self.kept = None
        for task in self.tasks:  # something to move from the start
            self.mappings.append((task, task.mmap(12)))
            self.touch(len(self.mappings) - 1, 0, 12, write=True)
        for i, file in enumerate(self.files):
            self.write(0, i, 0, 8)
            self.mappings.append((self.tasks[0], self.tasks[0].mmap(12, file, shared=shared)))
            self.touch(len(self.mappings) - 1, 0, 12, write=False)

    # -- helpers

    def node(self, i):
        return i % self.kernel.topology.nodes

    def nodes(self, chosen):
        return {n for n in chosen if n < self.kernel.topology.nodes}

    def policy(self, kind, chosen, i):
        nodes = self.nodes(chosen)
        flag = {"static": i % 5 == 3, "relative": i % 5 == 4} if self.kernel.k.change.static_relative else {}
        if kind == "preferred":
            return Policy.preferred(self.node(i) if nodes else None, **flag if nodes else {})
        if kind in ("default", "local"):
            return getattr(Policy, kind)()
        return getattr(Policy, kind)(nodes, **flag)

    def part(self, i, first, size):
        """A task and a part of one of its mappings."""
        task, mapping = pick(self.mappings, i)
        if size > 16:
            return task, mapping
        first %= mapping.pages
        return task, mapping[first : first + size]

    def keep(self):
        book = [list(x) for x in (self.tasks, self.mappings, self.files, self.cpusets, self.pins)]
        return self.kernel.snapshot(), book

    def go_back(self, kept):
        snapshot, book = kept
        self.kernel.restore(snapshot)
        self.tasks, self.mappings, self.files, self.cpusets, self.pins = (list(x) for x in book)

    def migrate(self, trigger, *errors):
        """Run a trigger of migration; what V1 does not survive is undone by going back."""
        before = self.keep()
        self.kernel.last = None
        fatal = None
        try:
            with may_fail(*errors):
                trigger()
        except (KernelHang, KernelBug) as error:
            fatal = error
        self.check_result()
        if fatal:
            note(str(fatal))
            assert not isinstance(fatal, KernelHang) or ("unmap loop" in str(fatal) and self.kernel.patches >= {1, 3})
            no_swap = "CONFIG_SWAP" in str(fatal) and not self.kernel.config.swap
            wrong_vma = "another part of the file" in str(fatal) and not self.kernel.k.change.address_of_the_page
            assert not isinstance(fatal, KernelBug) or no_swap or wrong_vma
            self.go_back(before)

    def check_result(self):
        """The accounts of a migration add up, whatever became of it."""
        last = self.kernel.last
        if last is None:
            return
        assert self.kernel.k.sys.overflow == 0
        assert sum(last.paths) == len(last.pages)
        assert not last.pages[last.pages["pid"] > 0].duplicated(["pid", "page"]).any()
        if last.returned is not None:
            assert "pending" not in last.paths
            frames = last.pages["new_pfn"].dropna()
            assert last.moved == len(frames)
            assert frames.between(1, self.kernel.k.sys.nr_frames - 1).all()
            stay = last.pages[last.pages["path"].isin(["failed for good", "retries exhausted", "not collected"])]
            assert (stay["reason"] != "").all()

    # -- tasks and their memory

    @precondition(lambda self: len(self.tasks) < MAX_TASKS)
    @rule(i=index, uid=st.sampled_from([0, 1000, 1000, 1001]))
    def spawn(self, i, uid):
        self.tasks.append(self.kernel.spawn(f"task{len(self.tasks)}", self.node(i), uid))

    @precondition(lambda self: self.tasks and len(self.mappings) < MAX_MAPPINGS)
    @rule(i=index, size=pages, shared=st.booleans(), writable=st.sampled_from([True, True, False]),
          locked=st.sampled_from([False] * 5 + [True]), flags=vma_flags)  # fmt: skip
    def mmap_anonymous(self, i, size, shared, writable, locked, flags):
        task = pick(self.tasks, i)
        before = task.pages().index.max() + 1 if len(task.pages()) else 0x10000
        self.mappings.append((task, Mapping(task, before + 1, size)))
        with may_fail("EFAULT"):  # a locked one is populated at once, and an munmap may be due at this very place
            task.mmap(size, shared=shared, writable=writable, locked=locked, flags=flags, at=before + 1)

    @precondition(lambda self: self.tasks and self.files and len(self.mappings) < MAX_MAPPINGS)
    @rule(i=index, j=index, offset=index, size=pages, shared=st.booleans(), writable=st.booleans(), flags=vma_flags)
    def mmap_file(self, i, j, offset, size, shared, writable, flags):
        task, file = pick(self.tasks, i), pick(self.files, j)
        offset %= file.pages
        size = min(size, file.pages - offset)
        self.mappings.append((task, task.mmap(size, file, offset, shared, writable, flags=flags)))

    @precondition(lambda self: len(self.files) < MAX_FILES)
    @rule(size=pages, fs=st.sampled_from(sorted(FS_NAMES)))
    def file(self, size, fs):
        self.files.append(self.kernel.file(f"file{len(self.files)}", size, fs))

    @precondition(lambda self: self.mappings)
    @rule(i=index, first=index, size=pages, write=st.booleans())
    def touch(self, i, first, size, write):
        task, part = self.part(i, first, size)
        with may_fail("EFAULT"):
            task.touch(part, write)

    @precondition(lambda self: self.mappings)
    @rule()
    def read_everything(self):
        for task, mapping in self.mappings:
            with may_fail("EFAULT"):
                task.touch(mapping)

    @precondition(lambda self: self.files and self.tasks)
    @rule(i=index, j=index, first=index, size=pages)
    def write(self, i, j, first, size):
        file = pick(self.files, j)
        first %= file.pages
        with may_fail("ENOMEM"):
            pick(self.tasks, i).write(file, first, min(size, file.pages - first))

    @precondition(lambda self: self.tasks and len(self.tasks) < MAX_TASKS)
    @rule(i=index)
    def fork(self, i):
        parent = pick(self.tasks, i)
        child = parent.fork()
        self.tasks.append(child)
        self.mappings += [(child, Mapping(child, m.start, m.pages)) for t, m in self.mappings if t is parent]
        del self.mappings[MAX_MAPPINGS:]

    @precondition(lambda self: len(self.tasks) > 1)
    @rule(i=index)
    def exit(self, i):
        task = pick(self.tasks, i)
        task.exit()
        self.tasks.remove(task)
        self.mappings = [(t, m) for t, m in self.mappings if t is not task]

    @precondition(lambda self: self.mappings)
    @rule(i=index, first=index, size=pages, later=st.sampled_from([None, None, 1_000, 100_000]))
    def munmap(self, i, first, size, later):
        task, part = self.part(i, first, size)
        task.munmap(part, at=None if later is None else self.kernel.clock + later)

    @precondition(lambda self: self.mappings)
    @rule(i=index, first=index, size=pages)
    def mlock(self, i, first, size):
        task, part = self.part(i, first, size)
        with may_fail("EFAULT"):
            task.mlock(part)

    @precondition(lambda self: self.mappings)
    @rule(i=index, first=index, size=pages)
    def munlock(self, i, first, size):
        task, part = self.part(i, first, size)
        with may_fail("EFAULT"):
            task.munlock(part)

    # -- obstacles

    @precondition(lambda self: self.mappings)
    @rule(i=index, first=index, size=pages)
    def pin(self, i, first, size):
        task, part = self.part(i, first, size)
        with may_fail("EFAULT"):
            self.kernel.pin(task, part)
            self.pins.append((task, part))

    @precondition(lambda self: self.pins)
    @rule(i=index)
    def unpin(self, i):
        self.kernel.unpin(*self.pins.pop(i % len(self.pins)))

    @precondition(lambda self: self.mappings)
    @rule(i=index, first=index, size=pages, ns=st.sampled_from([100, 50_000, 10_000_000]))
    def hold_lock(self, i, first, size, ns):
        task, part = self.part(i, first, size)
        with may_fail("EFAULT"), suppress(ValueError):  # locked already
            self.kernel.hold_lock(task, part, self.kernel.clock + ns)

    @rule(ns=st.sampled_from([0, 1_000, 1_000_000, 6_000_000_000]))
    def wait(self, ns):
        for node in range(self.kernel.topology.nodes):
            if ns > 1_000_000:
                self.kernel.interrupts(node, None, None)
        self.kernel.wait(ns)

    @rule(i=index, period=st.sampled_from([None, 2_000, 20_000]), hold=st.sampled_from([1, 10_000, 1_000_000]))
    def interrupts(self, i, period, hold):
        self.kernel.interrupts(self.node(i), period, hold)

    @rule(n=st.integers(1, 60), i=st.one_of(st.none(), index))
    def reclaim(self, n, i):
        assert 0 <= self.kernel.reclaim(n, None if i is None else self.node(i)) <= n

    @rule()
    def swapoff(self):
        before = self.keep()
        with may_fail("ENOMEM"):
            self.kernel.swapoff()
            assert not self.kernel.tables["swap_map"].any()
        if before[0].tables["sys"]["swap_slots"][0] > 16:
            self.go_back(before)  # most machines should go on with swap

    # -- policies and migration

    @precondition(lambda self: self.tasks)
    @rule(i=index, j=index)
    def run_on(self, i, j):
        pick(self.tasks, i).run_on(self.node(j))

    @precondition(lambda self: self.tasks)
    @rule(i=index, kind=policy_kinds, chosen=node_sets, j=index)
    def set_mempolicy(self, i, kind, chosen, j):
        with may_fail("EINVAL"):
            pick(self.tasks, i).set_mempolicy(self.policy(kind, chosen, j))

    @precondition(lambda self: self.mappings)
    @rule(i=index, first=index, size=pages, kind=policy_kinds,
          chosen=node_sets, j=index, flags=st.sets(st.sampled_from(["move", "move_all", "strict"])))  # fmt: skip
    def mbind(self, i, first, size, kind, chosen, j, flags):
        task, part = self.part(i, first, size)
        flags = dict.fromkeys(flags, True)
        self.migrate(
            lambda: task.mbind(part, self.policy(kind, chosen, j), **flags),
            "EINVAL",
            "EPERM",
            "EFAULT",
            "EACCES",
            "EIO",
            "ENODEV",
        )

    @precondition(lambda self: self.mappings)
    @rule(i=index, first=index, size=pages, to=st.one_of(st.none(), index), move_all=st.booleans())
    def move_pages(self, i, first, size, to, move_all):
        task, part = self.part(i, first, size)
        wanted = to if to is None else self.node(to)
        errors = ["ENOSYS", "EPERM", "ENOENT", "EACCES", "ENOMEM"]
        self.migrate(lambda: task.move_pages(0, part, wanted, move_all), *errors)

    @precondition(lambda self: self.tasks)
    @rule(i=index, j=index, old=node_sets, new=node_sets)
    def migrate_pages(self, i, j, old, new):
        caller, target = pick(self.tasks, i), pick(self.tasks, j)
        self.migrate(lambda: caller.migrate_pages(target.pid, self.nodes(old), self.nodes(new)), *MIGRATE_FAILS)

    @precondition(lambda self: self.tasks)
    @rule(i=index, to=index, force=st.booleans())
    def migrate_task(self, i, to, force):
        """Trigger D on all that a task maps."""
        wanted = pick(self.tasks, i).pages()["pfn"].dropna()
        self.migrate(lambda: self.kernel.migrate(wanted, self.node(to), force=force))

    @precondition(lambda self: self.tasks)
    @rule(i=index, j=index)
    def send(self, i, j):
        """Trigger B from wherever the task's memory is to one node."""
        task = pick(self.tasks, i)
        self.migrate(lambda: task.migrate_pages(0, "all", self.node(j)), *MIGRATE_FAILS)

    @rule(first=index, size=st.integers(1, 80), to=index, force=st.booleans())
    def migrate_frames(self, first, size, to, force):
        """Trigger D on neighbouring frames, whatever they hold."""
        frames = self.kernel.k.sys.nr_frames
        wanted = [(first + n) % frames for n in range(size)]
        self.migrate(lambda: self.kernel.migrate(wanted, self.node(to), force=force))

    @precondition(lambda self: len(self.cpusets) < 3)
    @rule(chosen=node_sets, follow=st.booleans(), i=index)
    def cpuset(self, chosen, follow, i):
        parent = pick([None, *self.cpusets], i)
        with may_fail("EACCES"):
            name = f"set {len(self.kernel._book['cpusets'])}"
            follow &= bool(self.kernel.k.patch[0])  # before Swap Migration a cpuset has no such file
            self.cpusets.append(self.kernel.cpuset(name, self.nodes(chosen), follow, parent=parent))

    @precondition(lambda self: self.cpusets and self.tasks)
    @rule(i=index, j=index)
    def attach(self, i, j):
        self.migrate(lambda: pick(self.cpusets, i).attach(pick(self.tasks, j)), "ENOSPC")

    @precondition(lambda self: self.cpusets)
    @rule(i=index, chosen=node_sets, follow=st.booleans())
    def mems(self, i, chosen, follow):
        cpuset = pick(self.cpusets, i)
        no_mems = ["EINVAL"] if self.kernel.k.change.empty_mems_refused and not self.nodes(chosen) else []
        if self.kernel.k.patch[0]:
            cpuset.memory_migrate = follow
        self.migrate(lambda: setattr(cpuset, "mems", self.nodes(chosen)), "ENOSPC", "EACCES", "EBUSY", *no_mems)

    # -- snapshots

    @rule()
    def snapshot(self):
        self.kept = self.keep()

    @precondition(lambda self: self.kept)
    @rule()
    def restore(self):
        self.go_back(self.kept)

    def teardown(self):
        """Whatever has happened, a file can hold it."""
        if hasattr(self, "kernel"):
            with tempfile.TemporaryDirectory() as folder:
                self.kernel.save(f"{folder}/machine.npz")
                loaded = Kernel.load(f"{folder}/machine.npz")
            assert differing(self.kernel.tables, loaded.tables) == []
            assert repr(loaded.last) == repr(self.kernel.last)

    @invariant()
    def sound(self):
        if hasattr(self, "kernel"):
            self.kernel.verify()
            assert self.kernel.k.vmstat[VM_STALE_READS] == 0
            assert self.kernel.k.sys.bug == 0


TestMachine = Machine.TestCase
