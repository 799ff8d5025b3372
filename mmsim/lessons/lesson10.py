"""Lesson 10, your kernel: the same ten lines on the model and on a real Linux; what differs, and by which change."""

import warnings
from pathlib import Path
from textwrap import fill
from typing import NamedTuple

import pandas as pd

from .. import Kernel, Policy, Topology, history, which_change
from ..experiments import replay_own, verify
from ..experiments.catalogue import answer, written
from ..experiments.recording import facts_of, record
from ..experiments.records import lines
from ..linux import Linux
from ..linux.errors import INSTEAD, not_here
from ..machine.releases import nearest_release
from ..terms.arguments import counted, shown
from .teaching import Question

RECORD = verify.ROOM / "catalogue-6.1.jsonl"
WORKER = "private memory, a forked worker that wrote half, migrate_pages 0 to 1"  # the ten lines, in that record
HOLE = "a hole in the range of mbind"
TODAY = "6.1"
PAGES = 8
EXPLAINED = ("mapcount-rule", "hole-at-head")  # what the text tells
WIDTH = 78  # of a line of text
NO_NODES = "this machine has one NUMA node, so that no page can be seen moving"


class Seen(NamedTuple):
    """What an experiment gave on a real kernel."""

    release: str  # as `uname -r` says it
    where: str
    facts: dict

    def __repr__(self):
        facts = [f"  {name}: {fact}" for name, fact in self.facts.items()]
        return "\n".join([fill(f"Linux {self.release}, {self.where}", WIDTH), *facts])


def model(release=None):
    """The model of a release, with four nodes; None: V1."""
    return Kernel(Topology.uniform(nodes=4, frames=2048), release=release and nearest_release(release))


def real(experiment, name, nodes=2):
    """What an experiment gives on the reader's own kernel, or else what Linux 6.1 gave when the catalogue was recorded.

    `experiment`: a function of a machine that gives facts; `name`: that of the one in the catalogue that does the same.
    `nodes`: so many of the first nodes must be there: with memory, the first with a CPU.
    """
    try:
        with machine() as kernel:
            if why := too_small(kernel.topology, nodes):
                raise OSError(why)
            return Seen(kernel.release, "this machine", facts_of(experiment, kernel))
    except OSError as error:
        why = error.strerror or str(error)
    case = recorded(name)
    known = facts_of(experiment, model(TODAY))
    facts = {fact: case.facts.get(fact, "not recorded") for fact in known}
    return Seen(case.release, f"as recorded with four nodes; not here, because {why}", facts)


def recorded(name):
    """An experiment of the catalogue as Linux 6.1 gave it, in `mmsim vm`."""
    cases = {case.id: case for case in verify.read(RECORD)}
    if name not in cases:
        raise ValueError(f"name is {shown(name)}; it is that of an experiment of {RECORD.name}")
    return cases[name]


def here():
    """What the machine of the reader is, in words: what it can show, and what not."""
    try:
        with machine() as kernel:
            nodes = counted(sum(frames > 0 for frames in kernel.topology.frames), "node")
            return "\n".join(fill(line, WIDTH) for line in [f"Linux {kernel.release}, {nodes}", *kernel.notes])
    except OSError as error:
        return fill(error.strerror, WIDTH)


def machine():
    """The Linux of the reader; its notes are no warnings."""
    with warnings.catch_warnings(action="ignore"):
        return Linux()


def too_small(topology, nodes):
    """Why a machine cannot show an experiment that needs so many nodes; '' if it can."""
    if sum(frames > 0 for frames in topology.frames) < 2 <= nodes:
        return NO_NODES
    there = topology.nodes >= nodes and all(topology.frames[:nodes]) and topology.cpus[0]
    return "" if there else f"it takes {nodes} nodes with memory, counted from 0, and a CPU of node 0"


def beside(experiment, seen):
    """The facts of an experiment on V1, on the model of a release, and on a real kernel: a row a fact."""
    release = nearest_release(seen.release)
    columns = {"V1": facts_of(experiment, model()), f"model of {release}": facts_of(experiment, model(release)),
               f"Linux {seen.release}": seen.facts}  # fmt: skip
    return pd.DataFrame(columns, dtype=object)


def places(table):
    """The facts of a table that say where pages are, for `plots.placements`."""
    return {name: {"parent": column["after"], "worker": column["partner after"]} for name, column in table.items()}


def forked(kernel, wrote=4, writer="worker"):
    """The ten lines, of a worker, or a parent, that wrote the first so many pages after the fork."""
    parent = kernel.spawn("parent", node=0)
    heap = written(parent, PAGES)
    worker = parent.fork("worker")
    {"worker": worker, "parent": parent}[writer].touch(heap[0:wrote], write=True)
    parent.migrate_pages(0, 0, 1)
    return {"parent": parent.placement(heap).count(1), "worker": worker.placement(heap).count(1)}


def keep(experiment, path="my-experiment.jsonl"):
    """Record an experiment on the reader's kernel, in a file like those of `mmsim record`, and judge the model by it.

    Returns what became of it, as text; a file of that name is written anew.
    """
    name = getattr(experiment, "__name__", "experiment")
    try:
        with machine() as kernel:
            told = "".join(f"{line}\n" for line in record(kernel, experiments={name: experiment}))
        Path(path).write_text(told, encoding="utf-8")
    except OSError as error:
        return f"Not recorded: {error.strerror}. On a Linux of your own, or in `mmsim vm`, it can be."
    (case,) = replay_own.cases_of(lines(path), {name: experiment})
    verdict = verify.judge(case)
    if case.why_not:
        return f"Linux {case.release} cannot do it: {case.why_not}"
    facts = "\n".join(f"  {fact}: {value}" for fact, value in case.facts.items())
    return f"Linux {case.release}, recorded in {path}:\n{facts}\nThe model: {verdict.verdict} {verdict.why}".rstrip()


# -- predictions


def who_moves(rng):
    """How many pages come along where some are shared with a worker."""
    wrote, writer, whose = rng.choice((2, 3, 5, 6)), rng.choice(("worker", "parent")), rng.choice(("parent", "worker"))
    release = rng.choice((None, TODAY, TODAY))
    answer = forked(model(release), wrote, writer)[whose]
    kernel = f"Linux {release}" if release else "V1"
    rule = (f"Rule: since 2.6.16 only pages that nobody else maps move: the {wrote} of the parent that are its own."
            if release else "Rule: V1 moves each page that the parent maps, whoever maps it as well.")  # fmt: skip
    return Question(
        f"A parent has written {PAGES} pages and forks a worker. Then the {writer} writes the first {wrote} again. The "
        f"parent calls `migrate_pages(0, 0, 1)`, on {kernel}. How many pages of the {whose} are on node 1 afterwards?",
        answer, rule, tuple(sorted({0, wrote, PAGES - wrote, PAGES})),
        hints=("A page that was written after the fork was copied: each has one of its own.",
               "Which pages does the parent map now, and which of them does the worker map, too?"),
    )  # fmt: skip


def what_it_answers(rng):
    """What mbind() says to a hole, wherever it is."""
    where = rng.choice(("first", "first", "last", "middle"))
    first = {"first": 0, "middle": 3, "last": 6}[where]
    release = rng.choice((None, TODAY))
    kernel = f"Linux {release}" if release else "V1"
    task = model(release).spawn("a", node=0)
    heap = written(task, PAGES)
    task.munmap(heap[first : first + 2])
    return Question(
        f"A task unmaps the {where} two of {PAGES} pages, and calls `mbind()` for all {PAGES}, on {kernel}. What is "
        "the answer?",
        answer(task.mbind, range(heap.start, heap.stop), Policy.bind(0), move=True),
        "Rule: a hole is -EFAULT; one at the head went unnoticed until 2.6.33, because check_range() of 2005 "
        "begins at the first vma that it finds.",
        (0, "-EFAULT"),
        hints=("mbind() wants every page of its range to be mapped. Does it look in time?",
               "Only the head of the range is special, and only on old kernels."),
    )  # fmt: skip


# -- exercises


def first_release(rng):  # noqa: ARG001
    """Exercise 1: the release in which shared pages begin to stay."""
    changed = history(forked).changed
    row = changed[changed["change"] == "mapcount-rule"].iloc[-1]
    return Question(
        "In which release did the worker's pages stay for the first time?",
        row.release, f"Rule: {row.change}, found by running: {row.before} pages of the worker moved before, "
                     f"{row.after} after.",
        wrong={"V1": "There all of them move.", TODAY: "They stay there, but not for the first time."},
        hints=("`history(experiment).changed` has a row for each change of a fact.",
               "Look for the row of which the change is mapcount-rule."),
    )  # fmt: skip


class Portable:
    """A Kernel with those names alone that a real machine has, too."""

    def __init__(self, kernel):
        self._kernel = kernel

    def __getattr__(self, name):
        if name in INSTEAD:
            raise not_here(f"kernel.{name}")
        return getattr(self._kernel, name)


def own_experiment(rng):  # noqa: ARG001
    """Exercise 2: an experiment that shows another change."""

    def judge(experiment):
        try:
            old, new = (facts_of(lambda kernel: experiment(Portable(kernel)), model(r)) for r in (None, TODAY))
        except NotImplementedError as error:
            return f"No real machine can do that: {error}."
        if old == new:
            return f"Its facts are the same on V1 and on {TODAY}."
        found = [change.name for change in which_change(experiment, "V1", TODAY)]
        if set(found) <= set(EXPLAINED):
            return f"What makes the difference is {' and '.join(found)}, which you know already."
        return ""

    return Question(
        f"Write a function of a kernel that gives other facts on V1 than on {TODAY}, by another change than the two of "
        "this lesson.",
        "for example how the policy LOCAL is shown",
        "Rule: whatever both machines have names for can be asked of both; which_change says what made the difference.",
        wrong={(lambda kernel: {"tasks": len(kernel.tasks)}): "the same", forked: "known already",
               _clock: "the model alone", 5: "a function"},
        hints=("Lock memory with `task.mlock(heap)`, and then move it: where is it afterwards?",
               "With one node: what is `str(task.get_mempolicy())` after `task.set_mempolicy(Policy.local())`?"),
        judge=judge, function="Give a function of a kernel.",
    )  # fmt: skip


def _clock(kernel):
    return {"clock": kernel.clock}
