"""Running actors against each other: one order of steps at a time, or all of them."""

from collections import Counter

import numpy as np
import pandas as pd

from ..errors import MMSimError
from ..machine import PID_KERNEL
from ..mm import structs
from .actors import Migrate, Swapoff, locate

MOST_STEPS = 400  # of one schedule: more is a livelock


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
