"""What the tests share: small machines that are verified after every operation, and short questions to them."""

import errno
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from mmsim import Kernel, Topology, race
from mmsim.linux import machine
from mmsim.mm import page_alloc, structs, swap

N = 8  # pages of the task that the fixture `job` of conftest.py makes
RECORDS = ("considered", "event")  # tables that tell of the last migration and of the past, not of the machine


def no_numa():
    """Why the system calls of NUMA cannot be tried on this machine; '' if they can."""
    try:
        machine.check_system()
    except OSError as error:
        return f"no system calls of NUMA here: {error.strerror}"
    return ""


def alive(pid):
    """Whether a process runs (not: is a zombie)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids):
    """Whether processes end, soon."""
    end = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.01)
    return not any(map(alive, pids))


def share(examples):
    """So many examples with the profile `long` of conftest.py, and fewer with a shorter one."""
    return max(1, examples * settings.default.max_examples // 200)


@cache
def explored(scene, patches):
    """What `race.explore` finds in one of its scenes; each is explored once in a process, which takes up to seconds."""
    return race.explore(*race.SCENES[scene], patches)


def by_age(tables):
    """Tables with the timers as they were added; where in their table they stand does not matter."""
    sys = tables["sys"].copy()
    first, number = sys["first_timer"][0], sys["nr_timers"][0]
    sys["first_timer"] = 0
    return tables | {"sys": sys, "timer": np.sort(tables["timer"][first : first + number], order="added")}


class Checked(Kernel):
    """A Kernel that verifies itself whenever one of its functions has run."""

    def call(self, function, *args, pid=0):
        result = super().call(function, *args, pid=pid)
        self.verify()
        return result

    def pin(self, *args, **kwargs):
        super().pin(*args, **kwargs)
        self.verify()

    def hold_lock(self, *args, **kwargs):
        super().hold_lock(*args, **kwargs)
        self.verify()


def boot(nodes=2, frames=256, **options):
    """A checked machine whose nodes are alike."""
    return Checked(Topology.uniform(nodes=nodes, frames=frames), **options)


def writer(kernel, pages, name="job", node=0, **mapping):
    """A task that wrote `pages` anonymous pages: (task, mapping)."""
    task = kernel.spawn(name, node)
    heap = task.mmap(pages, **mapping)
    task.touch(heap, write=True)
    return task, heap


def states(task, part=None):
    """How many pages of a task are in which state: {"present": 3, ...}."""
    return task.pages(part)["state"].value_counts().to_dict()


def frames_of(task, part=None):
    """The page frames that a task maps."""
    return task.pages(part)["pfn"].dropna().astype(int).tolist()


def locked_elsewhere(patches=7):
    """Frames of a file that a locked vma of another process maps: (kernel, frames, owner, locker, what it locked)."""
    kernel = boot(patches=patches)
    owner, locker = kernel.spawn("owner"), kernel.spawn("locker")
    file = kernel.file("f", 2)
    mine, theirs = (task.mmap(2, file, writable=False) for task in (owner, locker))
    owner.touch(mine)
    locker.mlock(theirs)
    assert frames_of(owner) == frames_of(locker)
    return kernel, frames_of(owner), owner, locker, theirs


def paths(kernel):
    """Pages per path of the last migration; every page considered is in exactly one."""
    result = kernel.last.paths.to_dict()
    assert sum(result.values()) == len(kernel.last.pages)
    assert "pending" not in result
    return result


def slots(kernel):
    """Swap slots in use."""
    return int((kernel.tables["swap_map"][1:] > 0).sum())


def free(kernel, node):
    """Free frames of a node."""
    return int(kernel.tables["zone"]["free"][node])


def settle(kernel):
    """Let no page wait in a pagevec."""
    kernel.call(swap.lru_add_drain_all)


def drain(kernel, node, left):
    """Let packets take frames of a node, whatever its watermarks say, until `left` are free."""
    while free(kernel, node) > left:
        kernel.k.mem_map[page_alloc.rmqueue(kernel.k, node)].flags |= structs.PG_slab
    kernel.verify()


def frozen(kernel):
    """A copy of everything that a refused call must leave alone."""
    return {name: table.copy() for name, table in kernel.tables.items() if name not in RECORDS}


def changed(kernel, before):
    """The tables that differ from a copy that `frozen` made."""
    return differing(before, kernel.tables)


def differing(tables, others):
    """The names of the tables that differ from those of the same name in `others`."""
    return [name for name, table in tables.items() if not equal(table, others[name])]


def equal(one, other):
    """np.array_equal(), which takes its time with columns: bytes first; equal tables may differ between the columns."""
    return (one.shape == other.shape and one.tobytes() == other.tobytes()) or np.array_equal(one, other)


@contextmanager
def expect_error(error, match):
    """Expect an errno (by name) or a Python error, with a message."""
    with pytest.raises(OSError if isinstance(error, str) else error, match=match) as caught:
        yield
    if isinstance(error, str):
        assert errno.errorcode[caught.value.errno] == error


@contextmanager
def expect_refusal(kernel, error, match):
    """Expect an error from a call that leaves the machine as it was."""
    before = frozen(kernel)
    with expect_error(error, match):
        yield
    assert changed(kernel, before) == []
