"""One experiment on every kernel: in which release each fact changed, and which change did it, found by running."""

from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..machine.arguments import like, shown
from ..machine.changes import CHANGES, PATCHES, RELEASES, SWAP_MIGRATION, V1, Change, order, parse_release
from ..machine.errors import ERRNO_NAMES, MMSimError
from ..machine.kernel import Kernel
from ..machine.topology import Topology

NODES, FRAMES = 4, 2048  # of the machine that an experiment gets where nobody says another
PAIRS = 2500  # sets of switches that are tried one by one (all pairs of 70); beyond that a set is only made smaller

# The switches before V1, beside CHANGES: so that each border of the axis has a name, the first two as well.
SWAP = Change("swap-migration", SWAP_MIGRATION, "Swap Migration V5", ("sys_migrate_pages", "do_mbind"),
              "no memory moves", "pages move by way of swap", "Swap Migration V5")  # fmt: skip
SERIES = tuple(
    Change(f"patch-{p.number}", "V1", p.title, p.functions, "", "", "Direct Migration V1",
           tuple(f"patch-{n}" for n in p.needs)) for p in PATCHES
)  # fmt: skip
SWITCHES = {switch.name: switch for switch in (SWAP, *SERIES, *CHANGES)}


class History(NamedTuple):
    """What an experiment gave on each kernel.

    Attributes
    ----------
    facts : DataFrame
        A row a fact, a column a release.  None: the experiment did not come to this fact there.
    changed : DataFrame
        A row a change of a fact: fact, release, change, before, after.  `change` has the smallest set of switches that
        must be left out of that release for the fact to be what it was, joined by " + ".
    runs : Runs
        What was run; for those who want to run it again.
    """

    facts: pd.DataFrame
    changed: pd.DataFrame
    runs: object

    def beside(self, release):
        """What happens on a kernel, beside what happens without the changes that made a difference in it.

        Parameters
        ----------
        release : str
            A column of `facts`, one in which something changed.

        Returns
        -------
        names : (str, str)
            Of the kernel without these changes, and of the kernel itself.
        events : (DataFrame, DataFrame)
            As `Kernel.events` gives them.
        parting : int
            The first event, counted from 0, that differs in more than its time.
        """
        columns = list(self.facts.columns)
        if release not in set(self.changed["release"]):
            right = ", ".join(dict.fromkeys(self.changed["release"]))
            raise ValueError(f"release is {shown(release)}; something changed in {right or 'none'}")
        a, b = (switches_of(each) for each in axis([columns[columns.index(release) - 1], release]))
        rows = self.changed[self.changed["release"] == release]
        roots = dict.fromkeys(name for change in rows["change"] for name in change.split(" + "))
        here = "V1" if release == "V1" else f"Linux {release}"
        events = self.runs.events(left_out(a, b, roots)), self.runs.events(b)
        pairs = zip(*(each[["function", "text"]].to_numpy().tolist() for each in events), strict=False)
        parting = next((i for i, (one, other) in enumerate(pairs) if one != other), min(map(len, events)))
        return (f"{here} without {', '.join(roots)}", here), events, parting

    @property
    def telling(self):
        """The facts that are something else than 0 on some kernel: a Scenario has many that are not."""
        return [f for f in self.facts.index if any(value not in (0, None) for value in self.facts.loc[f])]

    def summary(self, shown=lambda _, value: said(value)):
        """Each telling fact: a line for each of its values, with the release and the change that made it.

        `shown`: a function of a fact and a value of it, which says how the value is written.
        """
        lines = []
        for fact in self.telling:
            lines.append(f"{fact}\n    {self.facts.columns[0]:12} {shown(fact, self.facts.loc[fact].iloc[0])}")
            for row in self.changed[self.changed["fact"] == fact].itertuples():
                lines.append(f"    {row.release:12} {shown(fact, row.after):24} {row.change}")
        return "\n".join(lines)

    def __repr__(self):
        return f"{self.facts.to_string(na_rep='-')}\n\n{self.changed.to_string(index=False)}"


def history(experiment, releases=None, **given):
    """Run one experiment on every kernel, and find which change made each difference.

    Parameters
    ----------
    experiment : callable or Scenario
        A function of a Kernel that gives a dict of facts, {name: value}.  An error of the machine that it does not
        catch is a fact, "ends with".  Of a Scenario the facts are its figures.
    releases : iterable of str, optional
        Default: V1, and the RELEASES at which something changes.  "V1", or None, is V1 itself: it was no release, but
        it parts what the seven patches did from what was changed on the way into 2.6.16.
    **given
        For the Kernel that a function gets (`topology`, `swap_slots`, `config`, ...; default: four nodes of 2,048 page
        frames, and what the function's attribute `machine` says); for a Scenario, values of its parameters.

    Returns
    -------
    History

    Raises
    ------
    TypeError, ValueError
        For what is no experiment, no release, or no dict of facts.

    Examples
    --------
    >>> def heap_without_swap(kernel):
    ...     task = kernel.spawn("a")
    ...     heap = task.mmap(4)
    ...     task.touch(heap, write=True)
    ...     task.migrate_pages(0, 0, 1)
    ...     return {"on node 1": task.placement(heap).count(1)}
    >>> told = mmsim.history(heap_without_swap, swap_slots=0)
    >>> told.changed[["release", "change", "before", "after"]].values.tolist()[-1]
    ['2.6.18', 'migration-entries', 0, 4]
    """
    runs = Runs(experiment, given)
    made_of = axis(releases)
    outcomes = [runs.outcome(switches_of(each)) for each in made_of]
    names = list(dict.fromkeys(fact for outcome in outcomes for fact in outcome))
    columns = [label(each) for each in made_of]
    cells = [[outcome.get(fact) for outcome in outcomes] for fact in names]
    facts = pd.DataFrame(index=pd.Index(names, name="fact"), columns=columns, dtype=object)
    for row, values in enumerate(cells):
        for column, value in enumerate(values):
            facts.iat[row, column] = value
    changed = [
        {"fact": fact, "release": column, "change": " + ".join(switch.name for switch in runs.causes(a, b, fact)),
         "before": before.get(fact), "after": after.get(fact)}
        for ((a, before), (b, after)), column in zip(pairwise(zip(made_of, outcomes, strict=True)), columns[1:],
                                                     strict=True)
        for fact in names if not same(before.get(fact), after.get(fact))
    ]  # fmt: skip
    changed = pd.DataFrame(changed, columns=["fact", "release", "change", "before", "after"], dtype=object)
    return History(facts, changed, runs)


def which_change(experiment, a, b, **given):
    """The smallest set of switches between two kernels that makes the outcomes differ, found by running.

    Left out of the later kernel (with all that needs them), the outcome is that of the earlier one; no single change,
    and no pair, of fewer does that.  Of more than two, none can be spared.

    Parameters
    ----------
    experiment : callable or Scenario
        As for `history`.
    a, b : str or None
        Two releases; None or "V1": V1.

    Returns
    -------
    list of Change
        Empty if the outcomes are alike.  The seven patches are "patch-1" to "patch-7".
    """
    runs = Runs(experiment, given)
    made_of = axis([a, b])
    return runs.causes(*made_of) if len(made_of) == 2 else []


# -- kernels as sets of switches


def label(made_of):
    """The name of a kernel on the axis."""
    return made_of.name or "V1"


def axis(releases=None):
    """The kernels of some names, each once, in the order of their time."""
    if isinstance(releases, str) or not (releases is None or hasattr(releases, "__iter__")):
        raise TypeError(f"releases is {shown(releases)}; give several, as in ['V1', '2.6.18', '6.1']")
    names = [None, *RELEASES] if releases is None else list(releases)
    made_of = {label(each): each for each in (V1 if n in (None, "V1") else parse_release(n) for n in names)}
    if not made_of:
        raise ValueError("releases is empty; give at least one, or None for all")
    return sorted(made_of.values(), key=lambda each: order(each.name) if each.name else (*order(SWAP_MIGRATION), 1))


def switches_of(made_of):
    """The names of the switches that are on in a kernel."""
    patches = (f"patch-{n}" for n in made_of.patches)
    return frozenset([*["swap-migration"] * made_of.swap_migration, *patches, *made_of.changes])


def kernel_of(switches, name=None):
    """The Release that has these switches, and calls itself `name`."""
    patches = frozenset(n for n in range(1, 8) if f"patch-{n}" in switches)
    changes = frozenset(c.name for c in CHANGES if c.name in switches)
    return V1._replace(name=name, patches=patches, changes=changes, swap_migration="swap-migration" in switches)


def left_out(a, b, roots):
    """The switches of `b` without some: in what these switch, and in all that came with them and needs them, as `a`."""
    gone = set(roots)
    while more := {n for n in b - a - gone if gone.intersection(SWITCHES[n].needs)}:
        gone |= more
    return (b - gone) | {n for n in a - b if n in gone or SWITCHES[n].ends in gone}


def candidates(a, b):
    """The switches by which two kernels differ, without those that another one ends."""
    return [n for n in SWITCHES if n in b - a or (n in a - b and SWITCHES[n].ends not in b)]


# -- runs


class Watching(Kernel):
    """A Kernel that notes which switches somebody looks at: on the others, what happens cannot depend."""

    def __init__(self, *args, **given):
        self.seen = {"zonelists-take-turns"}  # boot looks at it, before anybody can watch
        super().__init__(*args, **given)
        if self.compiled:  # nobody sees what compiled code looks at
            self.seen.update(c.name for c in CHANGES)

    def _bind(self):
        super()._bind()
        self.k = self.k._replace(change=Looked(self.k.change, self.seen))


class Looked:
    """A row of switches that notes which ones are read."""

    __slots__ = ("_row", "_seen")

    def __init__(self, row, seen):
        self._row, self._seen = row, seen

    def __getattr__(self, name):
        self._seen.add(name.replace("_", "-"))
        return getattr(self._row, name)


class Runs:
    """The runs of one experiment: each kernel at most once, and none that differs only in what no run looked at."""

    def __init__(self, experiment, given):
        self.scenario = not isinstance(experiment, type) and hasattr(experiment, "run") and hasattr(experiment, "build")
        if not self.scenario:
            like(experiment, "__call__", "experiment", "give a function of a kernel, or a Scenario")
            given = getattr(experiment, "machine", {}) | given
        self.experiment, self.given, self._known = experiment, given, []

    def outcome(self, switches):
        """The facts, {name: value}, on a kernel with these switches."""
        for seen, on, facts in self._known:
            if switches & seen == on:
                return facts
        seen, facts = self.run_scenario(switches) if self.scenario else self.run(switches)
        self._known.append((seen, switches & seen, facts))
        return facts

    def boot(self, switches, name=None, **more):
        """A machine with these switches, for a function."""
        given = {"topology": Topology.uniform(NODES, FRAMES), "trace": False} | self.given | more
        return Watching(release=kernel_of(switches, name), **given)

    def run(self, switches):
        """(switches that mattered, facts) of a function; the patches always count as such."""
        kernel = self.boot(switches)
        facts = self.facts_of(kernel)
        if not hasattr(facts, "items"):
            name = getattr(self.experiment, "__name__", "the experiment")
            raise TypeError(f"{name} returned {shown(facts)}; it gives facts, as in {{'moved': 4}}")
        before = {switch.name for switch in (SWAP, *SERIES)}
        return frozenset(kernel.seen | before), {str(fact): plain(value) for fact, value in facts.items()}

    def facts_of(self, kernel):
        """What a function gives; its end, where the machine ends it."""
        try:
            return self.experiment(kernel)
        except (OSError, MMSimError) as error:
            return {"ends with": answer_of(error)}

    def events(self, switches):
        """The trace of one more run on these switches; empty where a Scenario keeps none."""
        if not self.scenario:
            kernel = self.boot(switches, trace=True, compiled=False)
            self.facts_of(kernel)
            return kernel.events()
        try:
            more = {"kernel.trace": True, "kernel.compiled": False} if self.declared else {}
            return self.experiment.run(self.given | self.naming(switches) | more).kernel.events()
        except (OSError, MMSimError):
            return pd.DataFrame(columns=["function", "text"])

    def naming(self, switches):
        """The parameters by which a Scenario learns its kernel."""
        made_of = kernel_of(switches)
        return {"kernel.release": made_of, "kernel.patches": 7} if self.declared else {"release": made_of}

    @property
    def declared(self):
        """True for a Scenario that is a file."""
        return getattr(self.experiment, "source", None) is not None

    def run_scenario(self, switches):
        """(all switches, figures) of a Scenario."""
        try:
            figures = self.experiment.run(self.given | self.naming(switches)).figures
            names = dict.fromkeys([*self.experiment.figures, *figures])  # first those that its author wants to be seen
            facts = {name: plain(figures[name]) for name in names if name not in ("kernel", "error")}
            facts |= {"ends with": figures["error"]} if figures["error"] else {}
        except (OSError, MMSimError) as error:
            facts = {"ends with": answer_of(error)}
        return frozenset(SWITCHES), facts

    def causes(self, a, b, fact=None):
        """The smallest set of Changes without which `b` gives what `a` gives: one fact, or all of them."""
        a, b = switches_of(a), switches_of(b)

        def of(switches):
            outcome = self.outcome(switches)
            return outcome if fact is None else outcome.get(fact)

        old = of(a)
        if same(of(b), old):
            return []

        def weight(name):  # of two, that on which less hangs, and rather a change than a patch that came before it
            return len(b - left_out(a, b, [name])), SWITCHES[name] in SERIES

        chosen = smallest(
            sorted(candidates(a, b), key=weight),
            lambda roots: same(of(left_out(a, b, roots)), old),
        )
        return [switch for name, switch in SWITCHES.items() if name in chosen]


def smallest(names, holds):
    """The smallest set of names for which something holds, as it does for all: one, a pair, or one made small."""
    for size in (1, 2):
        sets = list(combinations(names, size))
        found = next((chosen for chosen in sets if holds(chosen)), None) if len(sets) <= PAIRS else None
        if found:
            return found
    return reduced(list(names), holds)


def reduced(names, holds, parts=2):
    """A set of which no name can be spared (Zeller's ddmin: leave out a half, a quarter, ... as long as it holds)."""
    while len(names) > 1:
        size = -(-len(names) // parts)
        rests = [names[:i] + names[i + size :] for i in range(0, len(names), size)]
        found = next((rest for rest in rests if holds(rest)), None)
        if found is None and size == 1:
            break
        names, parts = (names, min(len(names), 2 * parts)) if found is None else (found, max(2, parts - 1))
    return names


def same(a, b):
    """True for equal facts; nan is nan."""
    return repr(a) == repr(b)


def said(value):
    """A fact as tables and figures write it."""
    if value is None:
        return "-"
    return f"{value:,.5g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)


def plain(value):
    """A fact as Python has it, so that 1 is 1 whoever counted."""
    if isinstance(value, (np.generic, np.ndarray)):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return (list if isinstance(value, list) else tuple)(plain(each) for each in value)
    if hasattr(value, "items"):
        return {plain(key): plain(each) for key, each in value.items()}
    return sorted(value) if isinstance(value, (set, frozenset)) else value


def answer_of(error):
    """What an error of the machine is called: '-ENOMEM', 'KernelHang'."""
    if isinstance(error, OSError):
        return f"-{ERRNO_NAMES.get(error.errno, error.errno)}"
    return type(error).__name__
