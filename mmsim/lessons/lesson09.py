"""Lesson 09, any kernel: experiments along the axis of releases, which change did it, and what real kernels say."""

from .. import CHANGES, EXPERIMENTS, Kernel, Scenario, Topology, history, which_change
from ..experiments import verify
from .teaching import Question

FIVE = ("absent node beside a present one", "a heap that was only read", "a machine without swap",
        "the owner's call on shared pages", "locked memory of one's own")  # fmt: skip
SHORT = ("absent node", "only read", "no swap", "shared", "locked")
ASKED = (*FIVE, "a locked vma elsewhere", "the next touch of a mapped file", "BIND under a changed cpuset")
AFTER = "V1"  # what came before is the subject of the other lessons
JOB = {name: {"kernel.release": name} for name in ("V1", "6.1")}  # kernels that move the scheduler's job
COLUMNS = ("direct", "migration_ns", "faults", "swap_written", "slots_held", "break_even")


def recorded(pick):
    """The Verdicts of recorded cases of Linux 6.1; `pick` says of a case whether it is judged."""
    cases = verify.read(verify.recording("6.1"))
    return [verify.judge(case) for case in cases if pick(case)]


def scheduler(scale="1/4096"):
    """The job that the scheduler moved, on V1 and on Linux 6.1: {kernel: {figure: value}}."""
    job = Scenario.load("scheduler-moved-my-job")
    runs = {name: job.run({"scale": scale} | given).figures for name, given in JOB.items()}
    return {name: {key: figures[key] for key in COLUMNS} for name, figures in runs.items()}


def places(release=None):
    """Where the four pages of each of the five experiments are in the end, on a kernel: {short name: nodes}.

    Without a release: where they were before.
    """
    found = {}
    for name, short in zip(FIVE, SHORT, strict=True):
        more = getattr(EXPERIMENTS[name], "machine", {}) | ({} if release in (None, AFTER) else {"release": release})
        kernel = Kernel(Topology.uniform(nodes=4, frames=2048), **more)
        had = EXPERIMENTS[name](kernel).get("pages in memory before", 4)
        found[short] = kernel.tasks[0].placement() if release else [0] * had + [None] * (4 - had)
    return found


def borders(name):
    """The rows of `History.changed` behind V1, of an experiment."""
    told = history(EXPERIMENTS[name])
    releases = list(told.facts.columns)
    later = told.changed["release"].map(releases.index) > releases.index(AFTER)
    return told, told.changed[later]


# -- predictions


def which_did_it(rng):
    """Of some changes, the one that made a difference."""
    name = rng.choice(ASKED)
    row = rng.choice(list(borders(name)[1].itertuples()))
    others = [c.name for c in CHANGES if c.name != row.change and c.release <= "3"]
    change = next(c for c in CHANGES if c.name == row.change)
    choices = tuple(sorted([row.change, *rng.sample(others, 2)]))
    return Question(
        f"The experiment: {EXPERIMENTS[name].__doc__.strip()} In {row.release} the fact \"{row.fact}\" turned from "
        f"{row.before} to {row.after}. Which change did it?",
        row.change, f"Rule: {change.title}. Before: {change.before}. After: {change.after}.", choices,
        hints=("The names say what a change is about.", f"Its function is {change.functions[0]}()."),
    )  # fmt: skip


def what_it_gives(rng):
    """How many pages of an experiment are on node 1, on some kernel."""
    name = rng.choice(FIVE)
    told, _ = borders(name)
    release = rng.choice(["V1", "2.6.16", "2.6.18", "2.6.24", "3.8", "6.12"])
    answer = told.facts.at["pages on node 1", release]
    steps = [f"{row.after} since {row.release} ({row.change})"
             for row in told.changed[told.changed["fact"] == "pages on node 1"].itertuples()]  # fmt: skip
    return Question(
        f"{EXPERIMENTS[name].__doc__.strip()} It has four pages. The kernel is {release}. How many of them are on node "
        "1 afterwards?",
        answer, f"Rule: {', '.join(steps)}.", (0, 4),
        hints=("Find the row of this experiment in station 2, and go along it from the left.",
               "A field reaches up to the next border. In which one is this release?"),
    )  # fmt: skip


# -- exercises


def own_experiment(rng):  # noqa: ARG001
    """Exercise 1: a function of a kernel that shows one change."""

    def judge(experiment):
        told = history(experiment, ["2.6.17", "2.6.18"])
        if told.changed.empty:
            return "Its facts are the same in 2.6.17 and in 2.6.18."
        if "migration-entries" not in " ".join(told.changed["change"]):
            return f"What makes the difference is {told.changed['change'].iloc[0]}."
        return ""

    return Question(
        "Write a function of a kernel whose facts are changed by migration-entries in 2.6.18.",
        "for example the protection faults of the next write after a move",
        "Rule: with a migration entry the pte comes back as it was, so that a write finds it writable.",
        wrong={(lambda kernel: {"clock at first": kernel.clock}): "the same", 5: "a function"},
        hints=("Which faults does the next write have after `task.migrate_pages(0, 0, 1)`?",
               'Return `{"protection": task.touch(heap, write=True).protection}`.'),
        judge=judge, function="Give a function of a kernel.",
    )  # fmt: skip


def first_release(rng):  # noqa: ARG001
    """Exercise 2: the first release in which one's own locked memory moves."""
    _, changed = borders("locked memory of one's own")
    row = changed[changed["fact"] == "pages on node 1"].iloc[-1]
    return Question(
        "In which release does locked memory of one's own move for the first time?",
        row.release, f"Rule: {row.change}, found by running: {row.before} pages before, {row.after} after.",
        wrong={"2.6.18": "That is when migration entries came, without which it could not be."},
        hints=('`history(EXPERIMENTS["locked memory of one\'s own"])` has the attribute `changed`.',
               "Look at the last row whose fact is \"pages on node 1\"."),
    )  # fmt: skip


def one_change(rng):  # noqa: ARG001
    """Exercise 3: which change lets a machine without swap migrate again."""
    found = which_change(EXPERIMENTS["a machine without swap"], "2.6.17", "2.6.18")
    (change,) = found
    return Question(
        "Which change lets a machine without swap migrate again?",
        change.name, f"Rule: {change.title}. Left out of 2.6.18, no page moves.",
        wrong={"no-swap-no-migration": "That one took it away."},
        hints=("`which_change(experiment, a, b)` compares two releases.", "Take 2.6.17 and 2.6.18."),
    )  # fmt: skip
