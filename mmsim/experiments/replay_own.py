"""What mmsim itself has recorded: the catalogue and random histories, played again on the model of that release."""

from typing import Any, NamedTuple

from ..machine.releases import nearest_release
from ..machine.topology import Topology
from . import compared
from .matrix import CATALOGUE
from .random_histories import play
from .recording import FORMAT, facts_of
from .records import RecordError

FRAMES = 4096  # of a node of the model at most: no experiment fills one


class Recorded(NamedTuple):
    """An experiment of a record: what was seen, or why it was not possible.

    `experiment` does the same on the model, on a Kernel with the arguments `machine`.  `in_order`: a fact that differs
    makes all behind it differ.
    """

    id: str
    group: str
    facts: dict
    why_not: str
    release: str
    experiment: Any
    machine: dict
    in_order: bool = False

    kernel = property(lambda self: nearest_release(self.release), doc="The release that the model is compared as.")


def knows(first):
    """Whether the first object of a record says that it is one of these."""
    return first.get("format") == FORMAT or {"steps", "seen"} <= set(first)


def cases_of(objects, experiments=CATALOGUE):
    """The objects of a record as Recorded; RecordError where one says what cannot be.

    `experiments`: what the names of the record mean.
    """
    if objects[0].get("format") != FORMAT:
        return [history(line) for line in objects]
    return of_catalogue(*objects, experiments=experiments)


def of_catalogue(machine, *lines, experiments):
    """What `mmsim record` has written."""
    try:
        frames = [min(n, FRAMES) for n in machine["frames"]]
        topology = Topology.from_matrix(machine["distances"], frames)
        if not isinstance(machine["kernel"], str) or len(frames) != topology.nodes:
            raise ValueError("kernel is a text, and frames has a number for each node")
        nearest_release(machine["kernel"])
    except (TypeError, ValueError) as error:
        raise RecordError(f"{machine.where}: this describes no machine: {error}") from None
    options = {"topology": topology, "swap_slots": 1024 if machine.get("swap") else 0}
    cases = []
    for line in lines:
        if line["id"] not in experiments:
            raise RecordError(f"{line.where}: there is no experiment {line['id']!r}")
        run, facts, why_not = experiments[line["id"]], line.get("facts", {}), line.get("not possible", "")
        if not isinstance(facts, dict) or not isinstance(why_not, str) or not (facts or why_not):
            raise RecordError(f"{line.where}: an experiment has facts, or a text: 'not possible'")
        wanted = options | getattr(run, "machine", {})
        cases.append(Recorded(line["id"], "catalogue", facts, why_not, machine["kernel"], run, wanted))
    return cases


def history(line):
    """A random history, as `mmsim vm --histories` plays it: a fact a step."""
    try:
        if not isinstance(line["kernel"], str):
            raise ValueError("kernel must be a text")
        nearest_release(line["kernel"])
        facts = by_step(line["steps"], line["seen"])
    except (TypeError, ValueError) as error:
        raise RecordError(f"{line.where}: this is no history: {error}") from None

    def experiment(kernel):
        return by_step(line["steps"], play(kernel, line["steps"]))

    name = f"history {line['seed']}"
    return Recorded(name, "histories", facts, "", line["kernel"], experiment, compared.machine(), in_order=True)


def by_step(steps, seen):
    """What was seen after each step, by the number and the words of the step."""
    return {f"{number}. {' '.join(map(str, step))}": after
            for number, (step, after) in enumerate(zip(steps, seen, strict=True), 1)}  # fmt: skip


def not_asked(case):
    """Why there is nothing to compare; '' if there is."""
    return case.why_not and f"not possible there: {case.why_not.split(':')[0]}"


def machine(case):
    """What to boot for it, for Kernel()."""
    return case.machine


def recorded(case):
    """The facts of the record."""
    return case.facts


def replay(case, kernel):
    """The facts of an experiment on the model."""
    try:
        return facts_of(case.experiment, kernel)
    except NotImplementedError as error:
        return {"ends with": str(error)}
