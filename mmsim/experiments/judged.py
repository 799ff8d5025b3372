"""A record of the catalogue and the model of that release compared: each experiment run again, on the model."""

import fnmatch
from typing import NamedTuple

from ..machine.changes import CHANGES, RELEASES, order
from ..machine.releases import nearest_release
from ..machine.kernel import Kernel
from ..machine.topology import Topology
from .matrix import CATALOGUE
from .recording import FORMAT, facts_of
from .records import RecordError, parsed

FRAMES = 4096  # of a node of the model at most: no experiment fills one


class Recorded(NamedTuple):
    """An experiment of a record: what was seen, or why it was not possible; on which machine."""

    id: str
    facts: dict
    why_not: str
    machine: dict
    where: str
    group = "catalogue"

    release = property(lambda self: self.machine["kernel"], doc="As `uname -r` says it.")


class Lack(NamedTuple):
    """Something that the model does not have: the experiments (a pattern of names) and the facts that it is about."""

    experiments: str
    facts: frozenset
    what: str


LACKS = (
    Lack("the next touch of a mapped file", frozenset({"faults at the next read"}),
         "a fault on a file reads and maps its neighbours as well (since 3.15), and counts once for all"),
)  # fmt: skip


def is_catalogue(path):
    """Whether a file is such a record."""
    try:
        with open(path, encoding="utf-8") as file:
            return f'"{FORMAT}"' in file.readline()
    except (OSError, UnicodeDecodeError):
        return False


def read(path):
    """The experiments of a record; RecordError says where it is none."""
    with open(path, encoding="utf-8") as file:
        lines = [parsed(line, f"{path}, line {n}") for n, line in enumerate(file, 1) if line.strip()]
    machine, cases = lines[0], []
    try:
        Topology.from_matrix(machine["distances"], 64)
        frames = list(machine["frames"])
        if not isinstance(machine["kernel"], str) or len(frames) != len(machine["distances"]):
            raise ValueError("kernel is a text, and frames has a number for each node")
        nearest_release(machine["kernel"])
    except (TypeError, ValueError) as error:
        raise RecordError(f"{machine.where}: this describes no machine: {error}") from None
    for line in lines[1:]:
        if line["id"] not in CATALOGUE:
            raise RecordError(f"{line.where}: there is no experiment {line['id']!r}")
        facts, why_not = line.get("facts", {}), line.get("not possible", "")
        if not isinstance(facts, dict) or not isinstance(why_not, str) or not (facts or why_not):
            raise RecordError(f"{line.where}: an experiment has facts, or a text: 'not possible'")
        cases.append(Recorded(line["id"], facts, why_not, machine, line.where))
    return cases


def options(case):
    """The arguments of the Kernel that is like the machine of a record."""
    machine = case.machine
    topology = Topology.from_matrix(machine["distances"], [min(n, FRAMES) for n in machine["frames"]])
    wanted = getattr(CATALOGUE[case.id], "machine", {})
    return {"topology": topology, "swap_slots": 1024 if machine.get("swap") else 0} | wanted


def facts_on(case, release, without=()):
    """The facts of an experiment on the model of a release; None: V1."""
    kernel = Kernel(release=release, without=without, trace=False, **options(case))
    try:
        return facts_of(CATALOGUE[case.id], kernel)
    except NotImplementedError as error:
        return {"ends with": str(error)}


def judge(case, verdict):
    """Compare one experiment; `verdict` makes the Verdict."""
    if case.why_not:
        return verdict(case, "not asked", f"not possible there: {case.why_not.split(':')[0]}", {}, {})
    release = nearest_release(case.release)
    model = facts_on(case, release)
    wrong = {name for name in {*case.facts, *model} if case.facts.get(name) != model.get(name)}
    if not wrong:
        return verdict(case, "equal", "", case.facts, model)
    named = [it for it in LACKS if fnmatch.fnmatchcase(case.id, it.experiments) and wrong & it.facts]
    if named and not wrong.difference(*(it.facts for it in named)):
        return verdict(case, "differ", "; ".join(it.what for it in named), case.facts, model)
    why = explained(case, release)
    return verdict(case, "differ" if why else "unexplained", why, case.facts, model)


def explained(case, release):
    """The change that explains a difference, found by running: the kernel is as if it had it, or had it not; or ''."""
    for later in (each for each in RELEASES if order(each) > order(release)):
        if facts_on(case, later) == case.facts:
            return f"as Linux {later}: a vendor brought a change back, or it came between two releases"
    for change in reversed(CHANGES):
        if order(change.release) <= order(release):
            try:
                if facts_on(case, release, [change.name]) == case.facts:
                    return f"as without the change {change.name}"
            except ValueError:  # others need it
                continue
    return ""


def verdicts(path, name, verdict):
    """The verdicts on the experiments of a record, or on the one called `name`."""
    return [judge(case, verdict) for case in read(path) if name in (None, case.id)]
