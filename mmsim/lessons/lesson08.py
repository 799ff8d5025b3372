"""Lesson 08, the what-if lab: when a move pays, where its pages go, and scenarios of one's own."""

from pathlib import Path

from .. import Kernel, Scenario, Topology
from ..whatif import ScenarioError
from .teaching import Question

EARLIER, SAME, LATER = "earlier", "at about the same number", "later"
TARGET, ELSEWHERE = "all on node 1", "some on node 1, the others on other nodes"
NOWHERE = "where they were: the call fails"
CHANGES = {  # what is said: (parameters, costs)
    "The job has four times as many pages.": ({"pages": 512}, {}),
    "The other node is farther away: distance 40 in place of 20.": ({"remote": 40}, {}),
    "Patch 6 is missing.": ({"patches": (1, 2, 3, 4, 5, 7)}, {}),
    "Patch 5 is missing, so that the pages are swapped out.": ({"patches": (1, 2, 3, 4, 6, 7)}, {}),
    "Patch 2 is missing.": ({"patches": (1, 3, 4, 5, 6, 7)}, {}),
    "Copying a page takes half the time.": ({}, {"copy": 0.5}),
    "An access to memory takes half the time.": ({}, {"access": 0.5}),
    "Writing a page to swap takes twice the time.": ({}, {"swap_write": 2}),
}
BROKEN = Path(__file__).with_name("broken.toml").read_text(encoding="utf-8")  # a scenario with three mistakes


def job(pages=128, patches=7, remote=20, taken=0, frames=2048, swap=2048):
    """Three nodes, on which a job has filled `pages` pages of node 0 before the scheduler moved it to node 1."""
    kernel = Kernel(Topology.uniform(3, frames, remote), patches=patches, swap_slots=swap, trace=False)
    if taken:
        other = kernel.spawn("other", node=1)
        other.touch(other.mmap(taken), write=True)
    task = kernel.spawn("job")
    task.touch(task.mmap(pages, name="heap"), write=True)
    task.run_on(1)
    return kernel


def follow(kernel):
    """Move what the job has on node 0 to node 1."""
    task = next(task for task in kernel.tasks if task.name == "job")
    return task.migrate_pages(0, old=0, new=1)


MOVED_JOB = Scenario("The scheduler moved a job", job, follow)


def even(parameters, times=None):
    """The break-even of a variant."""
    return MOVED_JOB.run(parameters, times).figures["break_even"]


def pays(rng):
    """Whether a change brings the break-even nearer."""
    text = rng.choice(list(CHANGES))
    before, after = even({}), even(*CHANGES[text])
    answer = SAME if abs(after - before) < before / 50 else EARLIER if after < before else LATER
    why = {
        SAME: "What the move costs a page, and what each access to a page saves, are both as before.",
        EARLIER: "What each access saves has grown more than what the move costs a page, or the move is cheaper.",
        LATER: "The move of a page costs more, or each access saves less.",
    }
    return Question(
        "The scheduler has moved a job of 128 pages to node 1, and `migrate_pages()` lets its memory follow. All "
        f"patches are applied. Now one thing is different: {text} When has the move paid for itself, counted in "
        "accesses to each page?",
        answer, f"Rule: break-even = (migration + faults) / saving of an access. {why[answer]} It is {before:.0f} "
        f"accesses a page without the change, and {after:.0f} with it.",
        (EARLIER, SAME, LATER),
        hints=("Is it a cost of the move, a cost of each access, both, or neither?",
               "All counts are for one page. Does the number of pages matter then?"),
    )  # fmt: skip


def where(rng):
    """Where the new pages are if node 1 is nearly full."""
    pages, taken = rng.choice([(600, 0), (600, 1200), (1200, 1400), (400, 1400), (300, 900), (1500, 1500)])
    given = {"pages": pages, "taken": taken, "frames": 1600, "swap": 16}
    found = Scenario("full", full_job, follow).run(given).figures
    answer = NOWHERE if found["error"] else ELSEWHERE if found["off_target"] else TARGET
    off = "" if answer == NOWHERE else f" Here {found['off_target']} new pages are not on node 1."
    return Question(
        f"Each of three nodes has 1,600 page frames. A job has {pages:,} pages on node 0, another process {taken:,} on "
        "node 1, and node 2 has 600 free frames. There is hardly any swap. `migrate_pages()` moves the job from node 0 "
        "to node 1. Where are its pages then?",
        answer, "Rule: `migrate_pages_to()` allocates all new pages before the first page moves, each on node 1 or, if "
        f"that is full, on the next node of its zonelist. If there is none anywhere, the call fails.{off}",
        (TARGET, ELSEWHERE, NOWHERE),
        hints=("How many frames are free on node 1, and how many in all?",
               "While the new pages are allocated, the old ones are still there."),
    )  # fmt: skip


def full_job(taken=0, **given):
    """`job`, on a machine of which node 2 is taken but for 600 frames."""
    kernel = job(taken=taken, **given)
    third = kernel.spawn("third", node=2)
    third.touch(third.mmap(1000), write=True)
    return kernel


def repaired(rng):  # noqa: ARG001
    """Exercise 1: a scenario file with three mistakes."""

    def judge(text):
        try:
            figures = Scenario.loads(text, "your file").run().figures
        except ScenarioError as error:
            return f"{error}."
        if figures["in_use"] != 2048:
            return f"The job has {figures['in_use']:,} pages. It was to have 8 MB."
        return "" if figures["direct"] == 0 and figures["direct after writeout"] else "Leave the patches as they are."

    return Question(
        "Repair the file.", '`"two-socket"`, `"8 MB"` and `"job"`',
        "Rule: a file is checked before anything runs. The message names the key, the value and what would be right.",
        wrong={BROKEN: ""}, judge=judge,
        hints=("Run the cell as it is, and read the message.",
               "Each repair uncovers the next mistake. There are three."),
    )  # fmt: skip


def fast_enough(rng):  # noqa: ARG001
    """Exercise 2: how fast swap must be for a kernel without patch 6."""
    given = {"patches": (1, 2, 3, 4, 5, 7)}

    def judge(ns):
        now = job().costs.swap_write
        found = even(given, {"swap_write": ns / now})
        if found > 100:
            return f"With {ns:,} ns the break-even is at {found:,.0f} accesses a page."
        return "" if found > 90 else f"With {ns:,} ns it is at {found:,.0f} already; swap may be slower than that."

    return Question(
        "How many ns may writing a page to swap take?", "any time from about 12,100 to 13,600 ns",
        "Rule: without patch 6 `pageout()` writes each page before it moves, so that `swap_write` adds to the cost of "
        "every page. An access saves 150 ns.",
        wrong={80_000: "", 100: ""}, judge=judge,
        hints=("`lesson08.even({'patches': (1, 2, 3, 4, 5, 7)}, {'swap_write': 0.5})` is the break-even for half of "
               "80,000 ns.", "It is what a page costs over what an access saves: (other costs + `swap_write`) / 150."),
    )  # fmt: skip


def own_build(rng):  # noqa: ARG001
    """Exercise 3: a scenario in Python."""

    def judge(build):
        if build(0) is ...:
            return "The function still returns the three dots."
        yours = Scenario("yours", build, follow)
        for children in (0, 3):
            run = yours.run({"children": children})
            tasks = [task for task in run.kernel.tasks if task.pages()["pfn"].notna().any()]
            if len(tasks) != children + 1:
                return f"With children={children} there are {len(tasks)} processes with memory."
            if run.figures["direct"] != 64:
                return f"{run.figures['direct']} pages have moved directly, not 64."
            if run.figures["access_before"] <= run.figures["access_after"]:
                return "The processes do not run on node 1."
        return ""

    return Question(
        "Write a function `build(children)`.",
        "`lesson08.job(64)`, then `kernel.tasks[0].fork()` as often as asked",
        "Rule: a scenario is two functions: one builds the machine from parameters, the other calls the trigger. "
        "`fork()` shares the pages, and `migrate_pages()` moves a shared anonymous page once, for all.",
        wrong={64: "no function"}, judge=judge, function="Give a function.",
        hints=("`kernel = lesson08.job(64)` makes the machine and the job: `kernel.tasks[0]`.",
               "A child runs where its parent runs. Return the kernel."),
    )  # fmt: skip
