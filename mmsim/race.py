"""Races: a migration, faults and swapoff, interleaved wherever the kernel may sleep or be preempted (patch 2).

An actor is a generator that calls the very functions of mmsim.mm and yields a `Point` before each
step.  `Race` runs them one step at a time, in an order of one's choice; `explore` tries every order.
"""

from collections import Counter
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from .errors import MMSimError
from .machine import PID_KERNEL, Kernel
from .mm import buffer, memory, migrate, mmzone, page_alloc, rmap, shmem, structs, swapoff
from .mm.filemap import find_get_page
from .mm.mempolicy import collect
from .mm.swap_state import add_to_swap, begin_read_swap_cache, lookup_swap_cache
from .mm.page_io import swap_readpage
from .mm.trace import trylock_page, unlock_page
from .mm.vmscan import isolate_lru_page, move_to_lru, putback_lru_pages
from .topology import Topology

WITHOUT_PATCH_2 = (1, 3, 4, 5, 6, 7)
MOST_STEPS = 400  # of one schedule: more is a livelock


class Point(NamedTuple):
    """A place where an actor may be interrupted: what it does next, and the page flag that it must wait for."""

    what: str
    page: int = 0
    flag: int = 0
    harm: str = ""  # what the step before this point did that must not be


# -- actors


class Fault(NamedTuple):
    """A task touches one page of its first mapping, and faults until the access succeeds."""

    task: str
    page: int = 0
    write: bool = False
    name: str = ""

    def steps(self, kernel):
        """do_swap_page(), shmem_getpage() and the rest of the fault path, step by step."""
        k, (pid, address) = kernel.k, locate(kernel, self)
        v = memory.find_vma(k, pid, address)
        vma = k.vma[v]
        pte = k.pte[vma.pte_base + address]
        harm = ""
        while not allows(pte, self.write):
            if pte.flags & structs.PTE_SWAP:
                harm = (yield from swap_fault(k, v, address, self.write)) or harm
            elif vma.mapping and not pte.flags & structs.PTE_PRESENT:
                harm = (yield from shmem_fault(k, v, address, self.write)) or harm
            else:
                yield Point("handle_mm_fault()", harm=harm)
                if not pte.flags & structs.PTE_SWAP:  # it may have become one since we were interrupted
                    memory.handle_mm_fault(k, v, address, self.write)
        memory.access(k, vma, address, pte, self.write)
        return harm


def allows(pte, write):
    """True if the pte lets the access through."""
    return pte.flags & structs.PTE_PRESENT and (not write or pte.flags & structs.PTE_RW)


def swap_fault(k, v, address, write):
    """One attempt of do_swap_page(); what it did that must not be, or ''."""
    entry = k.pte[k.vma[v].pte_base + address].value
    yield Point(f"do_swap_page(): look entry {entry} up in the swap cache")
    pfn = lookup_swap_cache(k, entry)
    if pfn:
        yield from lock(k, pfn, "do_swap_page()")
    else:
        pfn = yield from read_entry(k, v, address, entry, "do_swap_page()")
        if not pfn:
            return ""
    stale = not k.mem_map[pfn].flags & structs.PG_swapcache
    result = memory.do_swap_page_locked(k, v, address, write, pfn, entry)
    if result == 0 and stale:
        return f"do_swap_page() maps the stale page {pfn}: two frames hold the one page, its migration is undone"
    return ""


def read_entry(k, v, address, entry, who):
    """Allocate a page and read an entry into it; the locked page, or 0 if somebody else was faster."""
    pfn = page_alloc.alloc_page_vma(k, v, address)
    trylock_page(k, pfn)
    yield Point(f"{who}: page {pfn} is allocated, put it into the swap cache")
    if begin_read_swap_cache(k, pfn, entry, structs.GFP_KERNEL) != 1:
        return 0
    yield Point(f"{who}: sleep until entry {entry} is read into page {pfn}")
    swap_readpage(k, pfn)
    return pfn


def lock(k, pfn, who):
    """lock_page(), with the sleep that it may take."""
    yield Point(f"{who}: lock page {pfn}", pfn, structs.PG_locked)
    trylock_page(k, pfn)


def shmem_fault(k, v, address, write):
    """One attempt of shmem_getpage(), and the mapping of what it gave; what it did that must not be, or ''."""
    vma = k.vma[v]
    m, index = vma.mapping, vma.vm_pgoff + address - vma.vm_start
    entry = k.file_page[k.mapping[m].base + index].entry
    harm = ""
    if entry:
        yield Point(f"shmem_getpage(): look entry {entry} up in the swap cache")
        pfn = lookup_swap_cache(k, entry)
        if pfn:
            yield from lock(k, pfn, "shmem_getpage()")
        else:
            pfn = yield from read_entry(k, v, address, entry, "shmem_getpage()")
            if not pfn:
                return ""
        stale = not k.mem_map[pfn].flags & structs.PG_swapcache
        if shmem.shmem_take_back(k, m, index, pfn, entry):
            return ""
        if stale:
            harm = f"shmem_getpage() takes the stale page {pfn} into the page cache; the new page is an orphan"
        memory.put_page(k, pfn)
        if find_get_page(k, m, index) != pfn:
            return harm
        memory.put_page(k, pfn)
    else:
        yield Point("shmem_getpage(): look into the page cache")
    memory.handle_mm_fault(k, v, address, write)
    return harm


class Migrate(NamedTuple):
    """An in-kernel caller moves the page behind one virtual page of a task, mapped or in the swap cache."""

    task: str
    page: int = 0
    to: int = 1
    name: str = "migration"

    def steps(self, kernel):
        """migrate_pages() on a list of one page, step by step."""
        k, (pid, address) = kernel.k, locate(kernel, self)
        pfn = page_behind(k, pid, address)
        yield Point("isolate_lru_page() and allocation of the new page")
        pages, new_pages = mmzone.work_list(k, structs.PAGELIST), mmzone.work_list(k, structs.NEWLIST)
        moved = mmzone.work_list(k, structs.MOVED)
        collect(k, pid, address, pfn, pages)
        if mmzone.list_empty(k, pages):
            return ""
        new = page_alloc.alloc_pages(k, structs.GFP_HIGHUSER, self.to, page_alloc.ANY_NODE)
        mmzone.list_add_tail(k, new, new_pages)
        for pass_ in range(migrate.PASSES):
            k.sys.migration_pass = pass_
            if (yield from move_one(k, pfn, new, moved, pass_)) != -structs.EAGAIN:
                break
        else:
            mmzone.list_del(k, new)
            memory.put_page(k, new)
        k.sys.migration_pass = -1
        yield Point("give the old frame back")
        putback_lru_pages(k, moved)
        putback_lru_pages(k, pages)
        return ""


def move_one(k, pfn, new, moved, pass_):
    """unmap_and_move() of one page into the new page `new`: 0 or -EAGAIN."""
    page = k.mem_map[pfn]
    if pass_ < migrate.PASS_LOCK:
        yield Point(f"pass {pass_}: try to lock page {pfn}")
    else:
        yield Point(f"pass {pass_}: lock page {pfn}", pfn, structs.PG_locked)
    if not trylock_page(k, pfn):
        return -structs.EAGAIN
    if page.flags & structs.PG_writeback:
        yield Point(f"wait until page {pfn} is written")
        migrate.wait_on_page(k, pfn, structs.PG_writeback)
    if not migrate.prepare_anonymous(k, pfn):
        unlock_page(k, pfn)
        return -structs.EAGAIN
    trylock_page(k, new)
    yield Point(f"migrate_page_remove_references(): test the references of page {pfn}")
    if migrate.unexpected_references(k, pfn, 2):
        unlock_page(k, new)
        unlock_page(k, pfn)
        return -structs.EAGAIN
    yield Point(f"migrate_page_remove_references(): page {new} takes the slot of page {pfn}, unmap page {pfn}")
    if migrate.replace_page(k, new, pfn):
        unlock_page(k, new)
        unlock_page(k, pfn)
        return -structs.EAGAIN
    yield Point(f"migrate_page_copy() to page {new}, unlock page {pfn}")
    migrate.migrate_page_copy(k, new, pfn)
    migrate.release_old_page(k, new, pfn, moved)
    yield Point(f"remove_from_swap() on page {new}, unlock it" if k.patch[4] else f"unlock page {new}")
    migrate.release_new_page(k, new, pfn)
    return 0


class Swapoff(NamedTuple):
    """The swap device is taken away."""

    name: str = "swapoff"

    def steps(self, kernel):
        """try_to_unuse() of every entry in use, step by step."""
        k = kernel.k
        k.sys.swap_on = 0
        harm = ""
        for entry in range(1, k.sys.swap_slots + 1):
            while k.swap_map[entry]:
                yield Point(f"try_to_unuse(): look entry {entry} up in the swap cache")
                pfn = lookup_swap_cache(k, entry)
                if pfn:
                    yield from lock(k, pfn, "try_to_unuse()")
                else:
                    pfn = yield from read_entry(k, 0, 0, entry, "try_to_unuse()")
                    if not pfn:
                        continue
                stale = not k.mem_map[pfn].flags & structs.PG_swapcache
                before = k.swap_map[entry]
                if swapoff.unuse_locked(k, pfn, entry) == 0 and stale and k.swap_map[entry] < before:
                    harm = f"try_to_unuse() puts the stale page {pfn} to use for entry {entry}"
        return harm


class WriteAndUnmap(NamedTuple):
    """Another thread of a task writes the page, and memory pressure then takes it into the swap cache again."""

    task: str
    page: int = 0
    name: str = "writer"

    def steps(self, kernel):
        """A write fault, then the first half of reclaim."""
        harm = yield from Fault(self.task, self.page, True).steps(kernel)
        pid, address = locate(kernel, self)
        pfn = page_behind(kernel.k, pid, address)
        yield Point(f"shrink_list(): unmap page {pfn} into the swap cache", pfn, structs.PG_locked)
        if page_behind(kernel.k, pid, address) == pfn:
            unmap_into_swap_cache(kernel.k, pfn)
        return harm


class Pin(NamedTuple):
    """A device writes into a page of a task: get_user_pages(), DMA, put_page()."""

    task: str
    page: int = 0
    name: str = "device"

    def steps(self, kernel):
        """A reference is all that holds the page meanwhile; patch 2 knows nothing of it."""
        k, (pid, address) = kernel.k, locate(kernel, self)
        vma = k.vma[memory.find_vma(k, pid, address)]
        pte, harm = k.pte[vma.pte_base + address], ""
        yield Point("get_user_pages(): find the page in the page table, take a reference")
        while not pte.flags & structs.PTE_PRESENT:
            harm = (yield from Fault(self.task, self.page).steps(kernel)) or harm
        pfn = pte.value
        memory.get_page(k, pfn)
        yield Point(f"the device writes into page {pfn}")
        k.sys.writes += 1
        k.mem_map[pfn].data = pte.wrote = k.sys.writes
        yield Point("put_page(): drop the reference")
        memory.put_page(k, pfn)
        return harm


# -- helpers of the actors, and for building a machine to race on


def locate(kernel, actor):
    """(pid, virtual page) that an actor names: page `actor.page` of the first mapping of task `actor.task`."""
    task = next(t for t in kernel.tasks if t.name == actor.task)
    return task.pid, int(task._vmas()["vm_start"][0]) + actor.page


def page_behind(k, pid, address):
    """The frame of a virtual page: mapped, in the swap cache, or in the page cache; 0 for none."""
    vma = k.vma[memory.find_vma(k, pid, address)]
    pte = k.pte[vma.pte_base + address]
    if pte.flags & structs.PTE_PRESENT:
        return pte.value
    entry = pte.value
    if vma.mapping and not pte.flags & structs.PTE_SWAP:
        note = k.file_page[k.mapping[vma.mapping].base + vma.vm_pgoff + address - vma.vm_start]
        entry = note.entry
        if note.pfn:
            return note.pfn
    return k.swap_cache[entry]


def unmap_into_swap_cache(k, pfn):
    """The first half of reclaim, for a page nobody locks: into the swap cache, out of all page tables."""
    if isolate_lru_page(k, pfn) != 1:
        return
    trylock_page(k, pfn)
    page = k.mem_map[pfn]
    if page.mapping < 0:
        if page.flags & structs.PG_swapcache or add_to_swap(k, pfn, structs.GFP_KERNEL):
            while rmap.try_to_unmap(k, pfn) == rmap.SWAP_FAIL:
                pass
        unlock_page(k, pfn)
    else:
        page.flags |= structs.PG_dirty
        while buffer.writepage(k, pfn, page.mapping) == buffer.PAGE_KEEP:
            pass
    move_to_lru(k, pfn)


def swap_out_half(kernel, task, page=0):
    """Leave page `page` of a task's first mapping in the swap cache, with swap ptes or a note, as reclaim does."""
    start = int(task._vmas()["vm_start"][0])
    kernel.call(unmap_into_swap_cache, page_behind(kernel.k, task.pid, start + page))


def one_page(patches, shared=False, fork=False, slots=4, mapped=False):
    """Task a, with one page in the swap cache: anonymous, or `shared` (tmpfs); `fork`: a child b has it, too.

    `mapped`: the page is in the page table as usual, not swapped out.
    """
    kernel = Kernel(Topology.uniform(nodes=2, frames=64), patches=patches, swap_slots=slots)
    task = kernel.spawn("a")
    task.touch(task.mmap(1, shared=shared), write=True)
    if fork:
        task.fork("b")
    if not mapped:
        swap_out_half(kernel, task)
    return kernel


# Where patch 2 decides, as (build, actors) for `Race` and `explore`: its three sites, and what follows from them.
SCENES = {
    "do_swap_page": (one_page, [Fault("a"), Migrate("a")]),
    "shmem_getpage": (partial(one_page, shared=True), [Fault("a"), Migrate("a")]),
    "try_to_unuse": (one_page, [Swapoff(), Migrate("a")]),
    "try_to_unuse of tmpfs": (partial(one_page, shared=True), [Swapoff(), Migrate("a")]),
    "sharers part": (partial(one_page, fork=True), [Fault("a"), Migrate("a"), Fault("b")]),
    "lost write": (partial(one_page, slots=1), [Fault("a"), Migrate("a"), WriteAndUnmap("a")]),
}  # fmt: skip
# What patch 2 does not help against: a reference taken through the page table, after the test.
PINNED = (partial(one_page, mapped=True), [Pin("a"), Migrate("a")])


# -- running them


class Race:
    """One interleaving under way.

    Parameters
    ----------
    build : callable
        ``build(patches)`` gives the Kernel to start from.
    actors : list
        Of Fault, Migrate, Swapoff, WriteAndUnmap, or anything with a `name` and `steps(kernel)`.
    patches : int or iterable of int

    Attributes
    ----------
    points : dict
        Where each actor stands: a `Point`, or None when it has finished.
    holders : dict
        Who holds the lock of which page: {page: actor}.
    history : list
        The steps done, (actor, what it did).
    waited : list
        For each step done, the actors that were blocked meanwhile.
    """

    def __init__(self, build, actors, patches=7):
        self.build, self.patches = build, patches
        self.kernel = build(patches)
        self.actors = {actor.name or actor.task: actor for actor in actors}
        if len(self.actors) != len(actors):
            raise ValueError("actors: two of them have the same name")
        in_kernel = (Migrate, Swapoff)
        self._pids = {
            name: PID_KERNEL if isinstance(actor, in_kernel) else locate(self.kernel, actor)[0]
            for name, actor in self.actors.items()
        }
        self.kernel.k.sys.tracing = 0
        self._start = {name: array.copy() for name, array in self.kernel.tables.items() if name != "event"}
        self._start["considered"] = self.kernel.tables["considered"] = self.kernel.tables["considered"].repeat(8)
        self.kernel._bind()
        self.restart()

    def restart(self):
        """Back to the start; nobody has done anything yet."""
        for name, array in self._start.items():
            self.kernel.tables[name][:] = array
        self.history, self.waited = [], []
        self.holders = {}
        self.harm = ""
        self._running = {name: actor.steps(self.kernel) for name, actor in self.actors.items()}
        self.points = {}
        for name in list(self._running):
            self._advance(name)

    def _advance(self, name):
        sys = self.kernel.k.sys
        sys.current = self._pids[name]
        try:
            self.points[name] = next(self._running[name])
            self.harm = self.harm or self.points[name].harm
        except StopIteration as end:
            self.points[name] = None
            self.harm = self.harm or (end.value or "")
        sys.current = PID_KERNEL
        locked = np.flatnonzero(self.kernel.tables["mem_map"]["flags"] & structs.PG_locked).tolist()
        self.holders = {pfn: self.holders.get(pfn, name) for pfn in locked}

    def blocked(self, name):
        """True if an actor waits for a page flag that is set."""
        point = self.points[name]
        return bool(point and point.flag and self.kernel.k.mem_map[point.page].flags & point.flag)

    def waits_for(self, name):
        """What a blocked actor waits for, in words; '' if it does not wait."""
        page = self.points[name].page if self.blocked(name) else 0
        return f"waits for the lock of page {page}, held by {self.holders[page]}" if page else ""

    @property
    def choices(self):
        """The actors that can take a step now."""
        return [name for name, point in self.points.items() if point and not self.blocked(name)]

    @property
    def done(self):
        """True when every actor has finished."""
        return not any(self.points.values())

    def step(self, name):
        """Let one actor run to its next point."""
        if name not in self.choices:
            why = self.waits_for(name) or "has finished"
            raise ValueError(f"name: {name} cannot run, it {why}; choose one of {', '.join(self.choices)}")
        self.history.append((name, self.points[name].what))
        self.waited.append([n for n in self.points if self.blocked(n)])
        self._advance(name)

    def back(self):
        """Undo the last step."""
        names = [name for name, _ in self.history[:-1]]
        self.restart()
        for name in names:
            self.step(name)

    def outcome(self):
        """(what came of it, True if that is bad), when all have finished; '' while they have not."""
        if not self.done:
            return ("deadlock: everybody waits", True) if not self.choices else ("", False)
        try:
            self.kernel._check_bug()
            self.kernel.verify()
        except MMSimError as error:
            return f"{self.harm or 'corrupt'}: {error}", True
        if self.harm:
            return self.harm, True
        k, tables = self.kernel.k, self.kernel.tables
        used = tables["pte"]["flags"] & structs.PTE_PRESENT != 0
        nodes = sorted({int(k.mem_map[int(pfn)].node) for pfn in tables["pte"]["value"][used]})
        return f"good: pages on node {', '.join(map(str, nodes)) or 'none'}", False

    def state(self):
        """What decides the future: the tables, and where each actor stands with what it knows."""
        clocks = ("clock", "swap_free_at", "disk_free_at", "nr_considered", "nr_events")
        sys = self.kernel.tables["sys"].copy()
        for name in clocks:
            sys[name] = 0
        ignored = {"sys", "event", "considered", "vmstat", "timer"}
        tables = b"".join(a.tobytes() for n, a in self.kernel.tables.items() if n not in ignored)
        return hash((tables, sys.tobytes())), tuple(frames_of(g) for g in self._running.values()), self.harm


def frames_of(generator):
    """Where a generator stands, those that it has called included: line numbers and plain local values."""
    state = []
    while generator is not None and generator.gi_frame is not None:
        frame = generator.gi_frame
        plain = tuple((n, x) for n, x in frame.f_locals.items() if isinstance(x, (int, str)))
        state.append((frame.f_code.co_name, frame.f_lineno, plain))
        generator = generator.gi_yieldfrom
    return tuple(state)


class Exploration:
    """All interleavings of some actors.

    Attributes
    ----------
    schedules : int
        How many there are.
    bad : int
        How many of them end badly.
    states : int
        Different states that they go through.
    outcomes : DataFrame
        Outcome, schedules that lead there, whether it is bad, and the length of the shortest one.
    counterexample : Schedule or None
        The shortest bad one.
    """

    def __init__(self, race, counts, shortest, states):
        self.race = race
        self.states = states
        self.schedules = sum(counts.values())
        self.bad = sum(n for (_, bad), n in counts.items() if bad)
        rows = [(*end, n, len(shortest[end])) for end, n in counts.most_common()]
        table = pd.DataFrame(rows, columns=["outcome", "bad", "schedules", "shortest"])
        self.outcomes = table[["outcome", "schedules", "bad", "shortest"]]
        self._shortest = shortest
        bad = [names for (_, is_bad), names in shortest.items() if is_bad]
        self.counterexample = Schedule(race, min(bad, key=len)) if bad else None

    def example(self, outcome):
        """The shortest Schedule with an outcome, named as in `outcomes`, or by a part of it."""
        ends = {text: names for (text, _), names in self._shortest.items()}
        found = [ends[outcome]] if outcome in ends else [names for text, names in ends.items() if outcome in text]
        if not found:
            raise ValueError(f"outcome: no schedule ends with {outcome!r}; see .outcomes")
        return Schedule(self.race, min(found, key=len))

    def __repr__(self):
        return f"<Exploration: {self.bad} of {self.schedules} schedules are bad, {self.states} states>"


class Schedule:
    """One order of steps: names of actors; iterate it to replay it step by step."""

    def __init__(self, race, names):
        self.race = race
        self.names = names

    def __len__(self):
        return len(self.names)

    def __iter__(self):
        """Replay: yields (actor, what it does), the step done; the machine is `self.race.kernel`."""
        self.race.restart()
        for name in self.names:
            self.race.step(name)
            yield self.race.history[-1]

    def under(self, patches):
        """The same order on a kernel with other patches, as far as it goes there; then whoever can runs to the end."""
        race = Race(self.race.build, list(self.race.actors.values()), patches)
        for name in self.names:
            if name in race.choices:
                race.step(name)
        while race.choices and len(race.history) < MOST_STEPS:
            race.step(race.choices[0])
        return Schedule(race, tuple(name for name, _ in race.history))

    def table(self):
        """The steps and the outcome as a DataFrame, one row a step; `race_view.lanes` has a column an actor."""
        rows = [{"actor": name, "step": what} for name, what in self]
        return pd.DataFrame([*rows, {"actor": "outcome", "step": self.race.outcome()[0]}])


def explore(build, actors, patches=7):
    """Try every interleaving of some actors at the points where the kernel may sleep.

    Equal states are visited once; the schedules through them are counted all the same.

    Parameters
    ----------
    build, actors, patches
        As for `Race`.

    Returns
    -------
    Exploration
    """
    race = Race(build, actors, patches)
    known = {}

    def visit(path):
        """What can follow from where the race stands: how many schedules each outcome has, and its shortest."""
        key = race.state()
        if key in known:
            return known[key]
        choices = race.choices
        if not choices or len(path) > MOST_STEPS:
            end = ("livelock: the actors never finish", True) if choices else race.outcome()
            known[key] = Counter({end: 1}), {end: ()}
            return known[key]
        counts, shortest = Counter(), {}
        for i, name in enumerate(choices):
            if i:
                race.restart()
                for earlier in path:
                    race.step(earlier)
            race.step(name)
            below, ends = visit([*path, name])
            counts.update(below)
            for end, names in ends.items():
                if end not in shortest or len(names) + 1 < len(shortest[end]):
                    shortest[end] = (name, *names)
        known[key] = counts, shortest
        return known[key]

    counts, shortest = visit([])
    return Exploration(race, counts, shortest, len(known))
