"""Compiled machines of real size: CPU time a page of whole system calls, and how many times the floor that is.

The floor is one streaming pass of numpy over the tables that the call works on, in the same run.  Each figure is the
least of some runs, each on a job built anew.
"""

import gc
import resource
import sys
from pathlib import Path

import numpy as np
from rows import Row, cpu, fresh, said

from mmsim import Kernel, Topology
from mmsim.whatif.estimate import memory

SIZES = (1 << 16, 1 << 20, 1 << 24)  # pages: 256 MB, 4 GB, 64 GB
HUGE = 1 << 26  # 256 GB
RUNS = 6  # of which the least counts: each second one may be the first to touch its memory
FRAME = 80  # bytes a page frame of such a machine, all tables together, with room to spare


def anonymous(kernel, pages):
    """A task on node 0 that wrote so many anonymous pages."""
    task = kernel.spawn("job")
    task.touch(task.mmap(pages), write=True)
    return task


def of_a_file(kernel, pages):
    """A task on node 0 that wrote a file, and maps it."""
    task = kernel.spawn("job")
    file = kernel.file("data", pages, "ext3")
    task.write(file)
    task.touch(task.mmap(pages, file))
    return task


def forked(kernel, pages):
    """A task whose child shares all its pages."""
    task = anonymous(kernel, pages)
    task.fork()
    return task


def crowded(kernel, pages):
    """A task on node 0; on node 1 another one leaves room for half of its pages."""
    room = int(kernel.tables["zone"]["free"][1] - kernel.tables["zone"]["pages_low"][1])
    other = kernel.spawn("other", node=1)
    other.touch(other.mmap(room - pages // 2), write=True)
    return anonymous(kernel, pages)


# name: the job, patches, swap slots a page
CASES = {
    "direct, anonymous": (anonymous, 7, 0),
    "eviction, no patch": (anonymous, 0, 1.1),
    "direct, file with buffers": (of_a_file, 7, 0),
    "direct, shared by fork": (forked, 7, 0),
    "direct, half-full target": (crowded, 7, 0),
}


def machine(pages, room=2.2, **options):
    """A machine of two nodes: a job of so many pages fits `room` times into the first, once into the second."""
    topology = Topology.from_matrix([[10, 20], [20, 10]], [int(room * pages), int(1.1 * pages) + 64])
    return Kernel(topology, **{"trace": False} | options)


def floor(kernel):
    """CPU seconds of one streaming pass over all tables of a machine."""

    def stream():
        for table in kernel.tables.values():
            words = table.view(np.int32)
            np.add(words, 0, out=words)

    return cpu(stream)[0]


def run(name, pages, compiled=True, room=2.2):
    """One migration: CPU seconds, those of the operating system, of the floor; bytes a page frame; the path of all."""
    gc.collect()  # so that memory is used again, and not taken anew
    job, patches, slots = CASES[name]
    kernel = machine(pages, room, patches=patches, swap_slots=64 + int(slots * pages), compiled=compiled)
    task = job(kernel, pages)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_stime  # finer than os.times()
    seconds, left = cpu(task.migrate_pages, 0, old=0, new=1)
    system = resource.getrusage(resource.RUSAGE_SELF).ru_stime - before
    if left or len(kernel.last.paths) != 1:
        sys.exit(f"{name}: {left} pages stayed; {kernel.last}: this measures nothing")
    size = sum(table.nbytes for table in kernel.tables.values()) / sum(kernel.topology.frames)
    return seconds, system, floor(kernel), size, kernel.last.paths.index[0]


def measure(name, pages, runs, compiled=True, room=2.2):
    """The best of several runs: ns a page, the same of the floor, bytes a page frame, the path of all pages."""
    seconds, _, floors, sizes, paths = zip(*(run(name, pages, compiled, room) for _ in range(runs)), strict=True)
    return {"case": name, "pages": pages, "ns": min(seconds) / pages * 1e9, "floor": min(floors) / pages * 1e9,
            "bytes": sizes[0], "path": paths[0]}  # fmt: skip


def touched(pages, runs):
    """The same of building a job: mmap, and writing each page."""
    built = []
    for _ in range(runs):
        kernel = machine(pages, compiled=True)
        task = kernel.spawn("job")
        built.append((cpu(lambda task=task: task.touch(task.mmap(pages), write=True))[0], floor(kernel)))
    seconds, floors = map(min, zip(*built, strict=True))
    return {"case": "building the job", "pages": pages, "ns": seconds / pages * 1e9, "floor": floors / pages * 1e9}


def times_the_floor(seen, goal):
    """A row; the goal is one of the largest size."""
    times = seen["ns"] / seen["floor"]
    note = f"{said(seen['ns'])} ns a page; floor {said(seen['floor'])}"
    what = f"{seen['case']}: {seen['pages']:,} pages"
    return Row(what, times, "x the floor", goal if seen["pages"] >= SIZES[-1] else None, note=note, raw=seen)


def linear(pages, base):
    """A row: ns a page of a huge job, over that of a smaller one on a machine that is as full.

    Without what the operating system takes to hand out memory that is touched for the first time: so much is never
    used twice, and where the system is a guest, its host has to find each page.
    """
    what, unit = f"direct, anonymous: {pages:,} pages, over {base:,}", "x as long a page"
    wanted, there = int(2.2 * pages) * FRAME, memory()
    if wanted > there:
        note = f"not measured: it takes {wanted / 2**30:.0f} GB, and {there / 2**30:.0f} are free"
        return Row(what, None, unit, 1.25, note=note)
    seen = []
    for n, runs in ((base, 3), (pages, 2)):
        seconds, system = min(run("direct, anonymous", n, room=1.1)[:2] for _ in range(runs))
        seen.append(((seconds - system) / n * 1e9, system / n * 1e9))
    (small, handed), (large, more) = seen
    note = f"{said(small)} and {said(large)} ns a page; memory at first touch: {said(handed)} and {said(more)} more"
    return Row(what, large / small, unit, 1.25, note=note)


def verified(pages):
    """A row: what verify() takes, on a machine where a job of so many pages was migrated."""
    kernel = machine(pages, 1.1, compiled=True)
    anonymous(kernel, pages).migrate_pages(0, old=0, new=1)
    kernel.verify()  # compiles
    return Row(f"verify(): {pages:,} pages", cpu(kernel.verify)[0], "s", note="after a migration of all of them")


def whole(pages):
    """A row: a job that is built and migrated by a process of its own, by the clock, and the memory that it took."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from compiled import *; "
    took, _ = fresh(f"{code}anonymous(machine({pages}, compiled=True), {pages}).migrate_pages(0, 0, 1)")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    what = f"a process that builds and migrates a job of {pages // 2**18} GB"
    return Row(what, took, "s", note=f"{peak:.1f} GB of memory; by the clock", raw={"GB": peak})


def rows(small=False):
    """The rows of compiled machines; `small`: only to see that all of it runs."""
    sizes, huge = ((512, 1024), 4096) if small else (SIZES, HUGE)
    measure("direct, anonymous", sizes[0], 1)  # compiles
    widest = 0
    for name in CASES:
        for pages in sizes:
            seen = measure(name, pages, RUNS)
            widest = max(widest, seen["bytes"])
            yield times_the_floor(seen, 8)
    for pages in sizes:
        yield times_the_floor(touched(pages, RUNS), 4)
    yield whole(sizes[-1])
    yield linear(huge, sizes[1])
    yield verified(sizes[-1])
    yield Row("all tables together, at most", widest, "bytes a frame", note="of the machines above")
