"""What a move did and what it cost: the figures of one run."""

import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from ..mm import structs
from ..mm.trace import PATHS
from ..machine.errors import OutOfMemory
from ..machine.policy import format_nodes
from ..machine.results import out_of_use, ptes_of
from . import places

FIGURES = {
    "kernel": "the kernel that answered",
    "in_use": "pages that the tasks were using; one that several share counts once",
    "returned": "what the system calls returned: pages that did not move, summed; or the first error",
    **{path: f"pages that ended as {path!r}" for path in PATHS[1:]},
    "to_leave": "pages that were to leave a node, or a frame",
    "still_there": "those of them that are still there",
    "off_target": "new pages on another node than was asked for",
    "migration_ns": "simulated time of the migration",
    "faults": "faults that the tasks took at the next access to each page",
    "faults_ns": "simulated time of these faults",
    "swap_written": "pages written to swap",
    "slots_held": "swap slots in use in the end",
    "offline": "page frames that are out of use in the end",
    "packets_lost": "GFP_ATOMIC allocations that failed meanwhile, as those of network packets",
    "access_before": "mean ns of an access before the move",
    "access_after": "mean ns of an access after it",
    "break_even": "accesses to each page by each process after which the move has paid for itself; inf: never",
    "break_even_s": "seconds after which it has, at `rate` accesses a second to memory by each process; inf: never",
    "error": "what went wrong; empty: nothing",
}
NOT_WHOLE = {"kernel", "access_before", "access_after", "break_even", "break_even_s", "error"}
RATE = 10_000_000  # accesses to memory a second by each process: one that hardly does anything else


class Answer(NamedTuple):
    """One system call of a trigger, and what it answered.

    `call`: what was typed; `task`: whose pages it is about; `migration`: what it did, None if it was refused before it
    began; `error`: what went wrong, or None; `errno`: its number as the call returns it, negative.
    """

    call: str
    task: str
    migration: Any
    error: str | None = None
    errno: int | None = None

    @property
    def returned(self):
        """What the system call returned; None after a BUG."""
        return self.errno if self.migration is None else self.migration.returned


class Run(NamedTuple):
    """One run of a scenario: the figures (see FIGURES), and what to look at afterwards.

    `answers`: an Answer for each system call; `before`, `after`: the pages that each node held, {(node, owner): pages};
    `left`: what is left where nothing was to be, see `places.left_behind`.  A sweep does not look at the last three.
    """

    figures: dict
    kernel: Any
    migrations: list
    answers: list = []  # noqa: RUF012
    before: dict = {}  # noqa: RUF012
    after: dict = {}  # noqa: RUF012
    left: list = []  # noqa: RUF012


def measure(kernel, trigger, tasks, leaving=None, rate=RATE, shares=None, details=True,
            progress=None):
    """Let the tasks run, pull the trigger, let them run again.

    Each page that a task has in memory is accessed once before the move, so that no fault after it has another
    cause, and twice after it: the first time shows the faults that the move has caused, the second time the cost
    of an access from then on.

    `trigger` migrates, and returns a Migration or a list of them, or of Answers; of anything else `kernel.last` counts.
    `leaving`: what is to move away; None: nobody knows, and the pages that were considered and stayed count.  `rate`:
    accesses to memory a second by each process, for "break_even_s".  `shares`: {pid: {node: share}} of tasks whose
    threads run on several nodes: how much of their accesses is from where.  `details`: look also at what the nodes
    hold.  `progress` is told how many pages were accessed.
    """
    parts = [(task, *part) for task in tasks for part in in_use(kernel, task)]
    used = distinct(kernel, parts)
    before, _ = access(kernel, parts, shares, progress)
    held = places.held(kernel) if details else {}
    to_leave = [] if leaving is None else places.still_there(kernel, leaving)
    begin, counters = kernel.clock, kernel.tables["vmstat"].copy()
    answers = answers_of(kernel, trigger)
    elapsed, counted = kernel.clock - begin, kernel.tables["vmstat"] - counters
    migrations = [answer.migration for answer in answers if answer.migration is not None]
    stays = [] if leaving is None else places.still_there(kernel, leaving, to_leave)
    left = places.left_behind(kernel, leaving, answers, stays) if details and leaving else []
    after = places.held(kernel) if details else {}
    faults, faults_ns, after_ns, error = next_accesses(kernel, parts, shares, progress)
    figures = {
        "kernel": answered_by(kernel), "in_use": used, **of_calls(answers),
        "to_leave": sum(sum(m._counts) for m in migrations) if leaving is None else len(to_leave),
        "still_there": sum(m.failed + m.retried + m.skipped for m in migrations) if leaving is None else len(stays),
        "off_target": sum(m.off_target for m in migrations), "migration_ns": elapsed,
        "faults": faults, "faults_ns": faults_ns if faults else 0,
        "swap_written": int(counted[structs.VM_SWAP_WRITE]),
        "slots_held": int(np.count_nonzero(kernel.tables["swap_map"][1:])),
        "offline": int(out_of_use(kernel.tables["mem_map"]).sum()),
        "packets_lost": int(counted[structs.VM_ATOMIC_FAILURES]),
        **paid(sum(len(part) for _, part, _ in parts), before, elapsed + faults_ns, after_ns, rate * len(tasks)),
        "error": "; ".join(dict.fromkeys(filter(None, [*(answer.error for answer in answers), error]))),
    }  # fmt: skip
    return Run(figures, kernel, migrations, answers, held, after, left)


def next_accesses(kernel, parts, shares, progress):
    """Let the tasks access their pages after the move: (faults, their ns, ns of an access from all nodes, error).

    The times are nan where memory runs out.
    """
    try:
        first, faults = access(kernel, parts, None, progress)
        again, _ = access(kernel, parts, None, progress)
        return faults, first - again, access(kernel, parts, shares)[0] if shares else again, ""
    except OutOfMemory as killed:
        return 0, math.nan, math.nan, f"OutOfMemory at the next access: {killed}"


def of_calls(answers):
    """The figures of the system calls: what they returned, and the ways that pages took."""
    returned = [answer.returned or 0 for answer in answers]
    counts = [answer.migration._counts for answer in answers if answer.migration is not None]
    return {
        "returned": next((errno for errno in returned if errno < 0), sum(returned)),
        **{path: sum(one[way] for one in counts) for way, path in enumerate(PATHS) if way},
    }


def paid(accesses, before, cost, after, rate):
    """The figures of what a move that took `cost` ns pays.

    `before`, `after`: ns that so many `accesses` took; `rate`: how many there are a second in all.
    """
    rounds = cost / (before - after) if before > after else math.inf
    return {
        "access_before": before / accesses if accesses else math.nan,
        "access_after": after / accesses if accesses else math.nan,
        "break_even": rounds, "break_even_s": rounds * accesses / rate if rate else math.inf,
    }  # fmt: skip


def answers_of(kernel, trigger):
    """Pull a trigger: an Answer for each of its system calls."""
    kernel.last, error, errno = None, None, None
    try:
        result = trigger(kernel)
    except OSError as refused:
        if kernel.last is None:  # it was refused before it began
            raise
        result, error, errno = kernel.last, f"OSError: {refused}", -refused.errno
    results = result if isinstance(result, list) else [result]
    if results and all(isinstance(each, Answer) for each in results):
        return results
    migrations = [each for each in results if hasattr(each, "paths")] or [kernel.last]
    return [Answer(m.trigger, "", m, error, errno) for m in migrations]


def distinct(kernel, parts):
    """How many page frames some parts of the memory of tasks are in."""
    used = np.zeros(kernel.k.sys.nr_frames, bool)
    for task, part, _ in parts:
        _, ptes = ptes_of(task, part.start, part.stop)
        used[ptes["value"]] = True
    return int(np.count_nonzero(used))


def answered_by(kernel):
    """The kernel whose answer this is: 'Linux 6.1, modelled', or 'V1 on 2.6.14-rc5-mm1, patches 1-7'."""
    if kernel.release is None:
        return f"{kernel.spoken}, patches {format_nodes(sum(1 << n for n in kernel.patches)) or 'none'}"
    return f"{kernel.spoken}, modelled" + f", without {', '.join(kernel.without)}" * bool(kernel.without)


def in_use(kernel, task):
    """The pages that a task has in memory: (range of page numbers, whether it can write them without a fault)."""
    writable = structs.PTE_PRESENT | structs.PTE_RW | structs.PTE_DIRTY
    for vma in task._vmas():
        start, end = int(vma["vm_start"]), int(vma["vm_end"])
        ptes = kernel.tables["pte"][vma["pte_base"] + start : vma["pte_base"] + end]
        present = (ptes["flags"] & structs.PTE_PRESENT != 0) & (ptes["value"] > 0)  # frame 0 is the zero page
        use = present.astype(np.int8) + (present & (ptes["flags"] & writable == writable))
        edges = [0, *(np.flatnonzero(np.diff(use)) + 1).tolist(), len(use)]
        for first, last in itertools.pairwise(edges):
            if use[first]:
                yield range(start + first, start + last), bool(use[first] == 2)


def access(kernel, parts, shares=None, progress=None):
    """Let tasks access pages: (ns that it took, faults); from several nodes: the mean by their shares."""
    total = faults = 0
    for task, part, write in parts:
        home = task.node
        for node, share in ((shares or {}).get(task.pid) or {home: 1}).items():
            begin = kernel.clock
            task.run_on(node)
            faults += sum(task.touch(part, write=write))
            total += share * (kernel.clock - begin)
        task.run_on(home)
        if progress:
            progress(len(part))
    return total, faults
