"""Interpreted machines: CPU time a page, with and without the recording of the migration lab."""

import compiled
from rows import Row, cpu, said

from mmsim import Kernel, Policy, Topology
from mmsim.widgets.recording import Recording

PAGES = 4096
WANTED = 15  # us a page


def laboratory(pages):
    """What the lab shows: a job of so many pages on two nodes of a ring of four."""
    kernel = Kernel(Topology.ring(nodes=4, frames=3 * pages // 4), swap_slots=pages)
    job = kernel.spawn("job")
    job.set_mempolicy(Policy.interleave("0-1"))
    job.touch(job.mmap(pages), write=True)
    return kernel, job


def recorded(pages):
    """CPU us a page of a migration that is recorded, and of the same with the trace alone."""
    kernel, job = laboratory(pages)
    begin = kernel.snapshot()
    alone, _ = cpu(job.migrate_pages, 0, "0-1", "2-3")
    kernel.restore(begin)
    with_it, recording = cpu(Recording, kernel, lambda: job.migrate_pages(0, "0-1", "2-3"))
    return with_it / pages * 1e6, alone / pages * 1e6, recording.steps


def rows(small=False):
    """The rows of interpreted machines."""
    pages, runs = (256, 1) if small else (PAGES, 10)
    for name in compiled.CASES:
        seen = compiled.measure(name, pages, runs, compiled=False)
        goal = WANTED if name.startswith("direct, anonymous") else None
        yield Row(f"{name}: {pages:,} pages", seen["ns"] / 1e3, "us a page", goal, note="trace off", raw=seen)
    with_it, alone, steps = map(min, zip(*(recorded(pages // 4) for _ in range(runs)), strict=True))
    note = f"{steps:,} events; with the trace alone {said(alone)}"
    yield Row(f"with the recording of the lab: {pages // 4:,} pages", with_it, "us a page", 2 * WANTED, note=note)
