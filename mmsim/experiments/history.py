"""One experiment on every kernel: in which release each fact changed, and which change did it, found by running."""

import copy
from contextlib import ExitStack, suppress
from functools import partial, wraps
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..terms.arguments import like, shown
from ..machine.changes import CHANGES
from ..machine.errors import MMSimError
from ..machine.kernel import Kernel
from ..machine.topology import Topology
from .catalogue import named
from .switches import SERIES, SWAP, SWITCHES, axis, candidates, kernel_of, label, left_out, smallest, switches_of

NODES, FRAMES = 4, 2048  # of the machine that an experiment gets where nobody says another
TO_SEE = 64  # frames of a node, where a machine is looked at and does the same with so few

NO_EVENTS = pd.DataFrame(columns=["function", "text"])


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
        names, sides = self.sides(release)
        machines = [self.runs.watched(switches) for switches in sides]
        events = tuple(NO_EVENTS if machine is None else machine.events() for machine in machines)
        pairs = zip(*(each[["function", "text"]].to_numpy().tolist() for each in events), strict=False)
        parting = next((i for i, (one, other) in enumerate(pairs) if one != other), min(map(len, events)))
        return names, events, parting

    def sides(self, release):
        """The two kernels at a border: (their names, their switches); of each the one without what changed first."""
        columns = list(self.facts.columns)
        if release not in set(self.changed["release"]):
            right = ", ".join(dict.fromkeys(self.changed["release"]))
            raise ValueError(f"release is {shown(release)}; something changed in {right or 'none'}")
        a, b = (switches_of(each) for each in axis([columns[columns.index(release) - 1], release]))
        rows = self.changed[self.changed["release"] == release]
        roots = dict.fromkeys(name for change in rows["change"] for name in change.split(" + "))
        here = "V1" if release == "V1" else f"Linux {release}"
        return (f"{here} without {', '.join(roots)}", here), (left_out(a, b, roots), b)

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
    """Run one experiment on every kernel, and find which change made each difference: a History.

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
    facts = pd.DataFrame(cells, pd.Index(names, name="fact"), columns, dtype=object)
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


# -- runs


class Watching(Kernel):
    """A Kernel that notes which switches somebody looks at: on the others, what happens cannot depend."""

    _on_rows = True  # it is the row of the switches that knows who reads it

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
        self._same_in_few = {}  # {switches: does it give the same facts on TO_SEE frames a node?}

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
            return {"ends with": named(error)}

    def watched(self, switches, observer=None):
        """The machine after one more run on these switches, with its trace; None of a Scenario that fails at once.

        `observer(kernel)` is called before each event, as long as the machine keeps a trace.
        """
        if self.scenario:
            return self.watched_scenario(switches, observer)
        kernel = self.boot(switches, trace=True, compiled=False, **self.to_see(switches))
        with kernel.watch(partial(observer or bool, kernel)):
            self.facts_of(kernel)
        return kernel

    def watched_scenario(self, switches, observer):
        """`watched` of a Scenario: from when its machine is built."""
        more = {"kernel.trace": True, "kernel.compiled": False} if self.declared else {}
        experiment, built = copy.copy(self.experiment), []
        with ExitStack() as watching:

            @wraps(experiment.build)
            def build(*args, **given):
                kernel = self.experiment.build(*args, **given)
                built.append(kernel)
                if kernel.k.sys.tracing and not kernel.compiled:
                    watching.enter_context(kernel.watch(partial(observer or bool, kernel)))
                return kernel

            experiment.build = build
            with suppress(OSError, MMSimError):
                experiment.run(self.given | self.naming(switches) | more)
        return built[0] if built else None

    def to_see(self, switches):
        """A machine with fewer frames, if nobody says another, and if it gives the same facts."""
        if "topology" in self.given:
            return {}
        few = {"topology": Topology.uniform(NODES, TO_SEE)}
        if switches not in self._same_in_few:
            facts = self.facts_of(self.boot(switches, **few))
            same_facts = {str(fact): plain(value) for fact, value in facts.items()} == self.outcome(switches)
            self._same_in_few[switches] = same_facts
        return few if self._same_in_few[switches] else {}

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
            facts = {"ends with": named(error)}
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

        chosen = smallest(sorted(candidates(a, b), key=weight), lambda roots: same(of(left_out(a, b, roots)), old))
        return [switch for name, switch in SWITCHES.items() if name in chosen]


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
