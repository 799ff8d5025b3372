"""What a move did and what it cost: the figures of one run."""

import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from ..mm import structs
from ..mm.trace import PATHS
from ..machine.policy import format_nodes
from ..machine.results import out_of_use

FIGURES = {
    "kernel": "the kernel that answered",
    "in_use": "pages that the tasks were using",
    "returned": "what the system call returned, summed",
    **{path: f"pages that ended as {path!r}" for path in PATHS[1:]},
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
    "break_even": "accesses to each page after which the move has paid for itself; inf: never",
    "error": "what went wrong; empty: nothing",
}


class Run(NamedTuple):
    """One run of a scenario: the figures (see FIGURES), and what to look at afterwards."""

    figures: dict
    kernel: Any
    migrations: list


def measure(kernel, trigger, tasks):
    """Let the tasks run, pull the trigger, let them run again.

    Each page that a task has in memory is accessed once before the move, so that no fault after it has another
    cause, and twice after it: the first time shows the faults that the move has caused, the second time the cost
    of an access from then on.

    Parameters
    ----------
    kernel : Kernel
    trigger : callable
        Migrates, and returns a Migration or a list of them; of anything else `kernel.last` counts.
    tasks : list of Task
    """
    parts = [(task, *part) for task in tasks for part in in_use(kernel, task)]
    pages = sum(len(part) for _, part, _ in parts)
    before, _ = access(kernel, parts)
    begin, counters = kernel.clock, kernel.vmstat()
    kernel.last, error = None, ""
    try:
        result = trigger(kernel)
    except OSError as refused:
        if kernel.last is None:  # it was refused before it began
            raise
        result, error = kernel.last, f"OSError: {refused}"
    elapsed = kernel.clock - begin
    migrations = [m for m in (result if isinstance(result, list) else [result]) if hasattr(m, "paths")] or [kernel.last]
    first, faults = access(kernel, parts)
    after, _ = access(kernel, parts)
    saved, counted = before - after, kernel.vmstat() - counters
    figures = {
        "kernel": answered_by(kernel), "in_use": pages, "returned": sum(m.returned or 0 for m in migrations),
        **{path: sum(int(m.paths.get(path, 0)) for m in migrations) for path in PATHS[1:]},
        "off_target": sum(m.off_target for m in migrations), "migration_ns": elapsed,
        "faults": faults, "faults_ns": first - after, "swap_written": int(counted["swap_write"]),
        "slots_held": int(np.count_nonzero(kernel.tables["swap_map"][1:])),
        "offline": int(out_of_use(kernel.tables["mem_map"]).sum()), "packets_lost": int(counted["atomic_failures"]),
        "access_before": before / pages if pages else math.nan, "access_after": after / pages if pages else math.nan,
        "break_even": (elapsed + first - after) / saved if saved > 0 else math.inf,
        "error": error,
    }  # fmt: skip
    return Run(figures, kernel, migrations)


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
        use = present * 1 + (present & (ptes["flags"] & writable == writable))
        edges = [0, *(np.flatnonzero(np.diff(use)) + 1).tolist(), len(use)]
        for first, last in itertools.pairwise(edges):
            if use[first]:
                yield range(start + first, start + last), bool(use[first] == 2)


def access(kernel, parts):
    """Let tasks access pages: (ns that it took, faults)."""
    begin = kernel.clock
    faults = sum(sum(task.touch(part, write=write)) for task, part, write in parts)
    return kernel.clock - begin, faults
