"""Running actors against each other: one order of steps at a time, or all of them."""

from collections import Counter

import numpy as np
import pandas as pd

from ..terms.arguments import function, like
from ..machine.errors import MMSimError
from ..machine.kernel import PID_KERNEL
from ..mm import structs, trace
from .interruptible import may_stop
from .points import happened

MOST_STEPS = 400  # of one schedule: more is a livelock
MOST_EVENTS = 1024  # of one step
# What it means that somebody goes on with a page that was looked up in the swap cache, and has left it meanwhile.
STALE = {
    "do_swap_page": "do_swap_page() maps the stale frame {}: two frames hold the one page, its migration is undone",
    "shmem_getpage": "shmem_getpage() takes the stale frame {} into the page cache; the new page is an orphan",
    "try_to_unuse": "try_to_unuse() puts the stale frame {} to use",
}
USED = (trace.SWAP_MAPPED, trace.SHMEM_MOVED_BACK)  # it was mapped, or taken into the page cache


class Race:
    """One interleaving under way.

    Parameters
    ----------
    build : callable
        ``build(patches)`` gives the Kernel to start from.
    actors : list
        Fault, Migrate, Swapoff and the like, or anything with a `name` and `steps(kernel)`.
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
        function(build, "build", "it is a function of patches that gives a Kernel")
        like(actors, "__iter__", "actors", "give a list of actors, as in [Fault(), Migrate()]")
        self.build, self.patches = build, patches
        self.kernel = build(patches)
        self.actors = {actor.name or actor.task: actor for actor in actors}
        if len(self.actors) != len(actors):
            raise ValueError("actors: two of them have the same name")
        self._pids = {
            name: PID_KERNEL if getattr(actor, "in_kernel", True) else actor.locate(self.kernel)[0]
            for name, actor in self.actors.items()
        }
        self.kernel.k.sys.tracing = 1
        self.kernel.tables["event"] = np.zeros(MOST_EVENTS, structs.EVENT)
        self._work = self._more_lists()
        self._start = {name: array.copy() for name, array in self.kernel.tables.items() if name != "event"}
        self._start["considered"] = self.kernel.tables["considered"] = self.kernel.tables["considered"].repeat(8)
        self.kernel._bind()
        self._flags = self.kernel.tables["mem_map"]["flags"]
        self.restart()

    def _more_lists(self):
        """Lists for each actor to collect pages on, as on a stack of its own; the first head of each: {actor: row}."""
        pages = self.kernel.tables["mem_map"]
        heads = np.zeros(structs.WORK_LISTS * len(self.actors), structs.PAGE)
        heads["next"] = heads["prev"] = len(pages) + np.arange(len(heads))
        self.kernel.tables["mem_map"] = np.concatenate([pages, heads])
        return dict(zip(self.actors, heads["next"][:: structs.WORK_LISTS].tolist(), strict=True))

    def restart(self):
        """Back to the start; nobody has done anything yet."""
        for name, array in self._start.items():
            self.kernel.tables[name][:] = array
        self.history, self.waited, self.holders, self.points, self.harm = [], [], {}, {}, ""
        self._passes = dict.fromkeys(self.actors, -1)
        self._running = {name: actor.steps(self.kernel) for name, actor in self.actors.items()}
        for name in self.actors:
            self._advance(name)

    def _advance(self, name):
        """Let an actor run to its next point."""
        sys = self.kernel.k.sys
        before = sys.current, sys.work, sys.migration_pass
        sys.current, sys.work, sys.migration_pass = self._pids[name], self._work[name], self._passes[name]
        sys.nr_events = 0
        self.points[name] = next(self._running[name], None)
        self._passes[name] = sys.migration_pass
        sys.current, sys.work, sys.migration_pass = before
        locked = (self._flags & structs.PG_locked).nonzero()[0].tolist()
        self.holders = {pfn: self.holders.get(pfn, name) for pfn in locked}

    def blocked(self, name):
        """True if an actor waits for the lock of a page."""
        return bool(self.points[name] and self.points[name].page in self.holders)

    def waits_for(self, name):
        """What a blocked actor waits for, in words; '' if it does not wait."""
        page = self.blocked(name) and self.points[name].page
        return f"waits for the lock of frame {page}, held by {self.holders[page]}" if page else ""

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
        waiting = [n for n in self.points if self.blocked(n)]
        if not self.points[name] or name in waiting:
            why = self.waits_for(name) or "has finished"
            raise ValueError(f"name: {name} cannot run, it {why}; choose one of {', '.join(self.choices)}")
        point = self.points[name]
        left = point.page and not self._flags[point.page] & structs.PG_swapcache
        stale = STALE.get(point.what.partition("(")[0], "") if left else ""
        mapped = self.kernel.k.mem_map[point.page].mapcount
        self._advance(name)
        self.history.append((name, happened(self.kernel.k, point)))
        self.waited.append(waiting)
        if stale:
            events = self.kernel.tables["event"][: self.kernel.k.sys.nr_events]
            used = (np.isin(events["code"], USED) & (events["page"] == point.page)).any()
            if used or self.kernel.k.mem_map[point.page].mapcount > mapped:
                self.harm = self.harm or stale.format(point.page)

    def replay(self, names):
        """Start anew, and let these actors take a step each, in this order."""
        self.restart()
        for name in names:
            self.step(name)

    def back(self):
        """Undo the last step."""
        self.replay([name for name, _ in self.history[:-1]])

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
        pte = self.kernel.tables["pte"]
        nodes = np.unique(self.kernel.tables["mem_map"]["node"][pte["value"][pte["flags"] & structs.PTE_PRESENT != 0]])
        return f"good: pages on node {', '.join(map(str, nodes)) or 'none'}", False

    def state(self):
        """What decides the future: the tables, and where each actor stands with what it knows."""
        sys = self.kernel.tables["sys"].copy()
        sys[["clock", "swap_free_at", "disk_free_at", "first_timer", "nr_considered", "nr_events"]] = 0
        ignored = {"sys", "event", "considered", "vmstat", "timer"}
        tables = tuple(array.tobytes() for name, array in self.kernel.tables.items() if name not in ignored)
        stand = tuple(map(frames_of, self._running.values()))
        # item(): a copy leaves what was in memory between the fields, and equal states would look different
        return hash((tables, sys.item())), tuple(self.points.values()), stand, self.harm


def frames_of(generator):
    """Where a generator stands, those that it has called included: line numbers and plain local values.

    What `may_stop` is about to call is in the point, in words.
    """
    state = []
    while generator is not None and generator.gi_frame is not None:
        frame = generator.gi_frame
        if frame.f_code is not may_stop.__code__:
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
        self.race, self.states, self._shortest = race, states, shortest
        self.schedules = counts.total()
        rows = [(text, n, bad, len(shortest[text, bad])) for (text, bad), n in counts.most_common()]
        self.outcomes = pd.DataFrame(rows, columns=["outcome", "schedules", "bad", "shortest"])
        self.bad = int(self.outcomes.loc[self.outcomes["bad"], "schedules"].sum())
        found = [names for (_, bad), names in shortest.items() if bad]
        self.counterexample = Schedule(race, min(found, key=len)) if found else None

    def example(self, outcome):
        """The shortest Schedule with an outcome, named as in `outcomes`, or by a part of it."""
        found = [(text != outcome, len(names), names) for (text, _), names in self._shortest.items() if outcome in text]
        if not found:
            raise ValueError(f"outcome: no schedule ends with {outcome!r}; see .outcomes")
        return Schedule(self.race, min(found)[-1])

    def __repr__(self):
        return f"<Exploration: {self.bad} of {self.schedules} schedules are bad, {self.states} states>"


class Schedule:
    """One order of steps: names of actors; iterate it to replay it step by step."""

    def __init__(self, race, names):
        self.race, self.names = race, names

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


def explore(build, actors, patches=7):
    """Try every interleaving of some actors at the points where the kernel may sleep: an Exploration.

    Equal states are visited once; the schedules through them are counted all the same.

    Parameters
    ----------
    build, actors, patches
        As for `Race`.
    """
    race = Race(build, actors, patches)
    known, under_way = {}, set()

    def visit(path):
        """What can follow from where the race stands: how many schedules each outcome has, and its shortest."""
        key = race.state()
        if key in known:
            return known[key]
        counts, shortest, choices = Counter(), {}, race.choices
        if key in under_way or len(path) > MOST_STEPS:  # as it was some steps ago: so it may go on for ever
            end = "livelock: the actors never finish", True
            return Counter({end: 1}), {end: ()}
        under_way.add(key)
        if not choices:
            end = race.outcome()
            counts, shortest = Counter({end: 1}), {end: ()}
        for i, name in enumerate(choices):
            if i:
                race.replay(path)
            race.step(name)
            below, ends = visit([*path, name])
            counts.update(below)
            for end, names in ends.items():
                if end not in shortest or len(names) + 1 < len(shortest[end]):
                    shortest[end] = (name, *names)
        under_way.remove(key)
        known[key] = counts, shortest
        return known[key]

    counts, shortest = visit([])
    return Exploration(race, counts, shortest, len(known))
