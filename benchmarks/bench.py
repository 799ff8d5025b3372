"""Measure how fast machines of real size migrate, compiled and interpreted: `make bench`.

Each figure is the CPU time of one system call, the least of several runs, each on a job built anew.  "floor" is one
streaming pass of numpy over the tables that the call works on, in the same run.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mmsim import Kernel, Topology

SMALL = 4096  # pages of an interpreted job
START = """
from mmsim import Kernel, Topology
task = Kernel(Topology.uniform(2, 100_000), compiled=True).spawn("job")
task.touch(task.mmap(1000), write=True)
task.migrate_pages(0, 0, 1)
"""


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


def run(name, pages, compiled):
    """One migration: CPU seconds, those of the floor, bytes of tables a page frame, and the path of all pages."""
    job, patches, slots = CASES[name]
    topology = Topology.from_matrix([[10, 20], [20, 10]], [int(2.2 * pages), int(1.1 * pages) + 64])
    kernel = Kernel(topology, patches=patches, swap_slots=64 + int(slots * pages), trace=False, compiled=compiled)
    task = job(kernel, pages)
    begin = time.process_time()
    left = task.migrate_pages(0, old=0, new=1)
    seconds = time.process_time() - begin
    if left or len(kernel.last.paths) != 1:
        sys.exit(f"{name}: {left} pages stayed; {kernel.last}: this measures nothing")
    begin = time.process_time()
    for table in kernel.tables.values():
        words = table.view(np.int32)
        np.add(words, 0, out=words)
    floor = time.process_time() - begin
    size = sum(table.nbytes for table in kernel.tables.values()) / sum(topology.frames)
    return seconds, floor, size, kernel.last.paths.index[0]


def measure(name, pages, runs, compiled):
    """The best of several runs, a page."""
    seconds, floors, sizes, paths = zip(*(run(name, pages, compiled) for _ in range(runs)), strict=True)
    return {
        "case": name, "pages": pages, "compiled": compiled, "ns": min(seconds) / pages * 1e9,
        "floor": min(floors) / pages * 1e9, "bytes": sizes[0], "path": paths[0],
    }  # fmt: skip


def verified(pages):
    """CPU seconds that verify() takes on a machine where a job of so many pages was migrated."""
    kernel = Kernel(Topology.uniform(2, int(1.1 * pages) + 64), trace=False, compiled=True)
    anonymous(kernel, pages).migrate_pages(0, old=0, new=1)
    kernel.verify()  # compiles
    begin = time.process_time()
    kernel.verify()
    return time.process_time() - begin


def mappings(number, compiled):
    """CPU seconds of so many mmap calls of one page each."""
    task = Kernel(Topology.uniform(2, 8192), trace=False, compiled=compiled).spawn("many")
    task.mmap(1)  # compiles
    begin = time.process_time()
    for _ in range(number):
        task.mmap(1)
    return time.process_time() - begin


def interrupts(number, compiled):
    """CPU seconds of a wait in which so many packets arrive, each of which keeps its page for 50 periods."""
    kernel = Kernel(Topology.uniform(2, 1024), trace=False, compiled=compiled)
    kernel.interrupts(0, period=1_000, hold=50_000)
    kernel.wait(1_000)  # compiles
    begin = time.process_time()
    kernel.wait(1_000 * number)
    return time.process_time() - begin


def interrupts_of_two_nodes(number, compiled):
    """CPU seconds of a wait in which about so many packets arrive, at two nodes whose periods never meet."""
    kernel = Kernel(Topology.uniform(2, 1024), trace=False, compiled=compiled)
    kernel.interrupts(0, period=1_009, hold=50_000)
    kernel.interrupts(1, period=1_013, hold=7_000)
    kernel.wait(1_000)  # compiles
    begin = time.process_time()
    kernel.wait(505 * number)
    return time.process_time() - begin


SETUP = {
    "mappings of one page": (mappings, 3_000), "interrupts": (interrupts, 100_000),
    "interrupts of two nodes": (interrupts_of_two_nodes, 100_000),
}  # fmt: skip


def setup(runs):
    """Print and return what it takes to set many small things up, and that twice as many take about twice as long."""
    rows = []
    for what, (function, number) in SETUP.items():
        for compiled in (False, True):
            took, half = (min(function(n, compiled) for _ in range(runs)) for n in (number, number // 2))
            rows.append({"what": what, "number": number, "compiled": compiled, "seconds": took, "half": half})
            how = "compiled" if compiled else "interpreted"
            print(f"{number:,} {what}, {how}: {took:.3f} s, {took / half:.1f} times what half of them take")
    return rows


def seconds(code, runs=1, **environment):
    """(wall, CPU) seconds that a fresh interpreter takes for some lines, the least of several runs."""
    taken = []
    for _ in range(runs):
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, "-c", code], env=os.environ | environment, check=True, capture_output=True)
        wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append((wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    return tuple(map(min, zip(*taken, strict=True)))


def starts():
    """Print and return what a session waits for: (wall, CPU) seconds of imports, a first compiled run, a later one."""
    imports = {name: seconds(f"import {name}", runs=5) for name in ("numpy", "mmsim")}
    with tempfile.TemporaryDirectory() as folder:
        cold, warm = (seconds(START, runs, XDG_CACHE_HOME=folder) for runs in (1, 3))
    start = {f"import {name}": took for name, took in imports.items()} | {"first run": cold, "later runs": warm}
    print("seconds (of CPU time): " + ", ".join(f"{what} {t[0]:.2f} ({t[1]:.2f})" for what, t in start.items()))
    print(f"import mmsim takes {imports['mmsim'][1] / imports['numpy'][1]:.1f} times the CPU time of import numpy")
    return start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, nargs="+", default=[1 << 16, 1 << 20, 1 << 22, 1 << 24])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--starts", action="store_true", help="only what a session waits for until it runs")
    parser.add_argument("--setup", action="store_true", help="only many small mappings, and many interrupts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    args = parser.parse_args()
    if args.starts:
        starts()
        return
    if args.setup:
        setup(args.runs)
        return
    about = f"Python {platform.python_version()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}"
    print(f"CPU time in ns a page, trace off, least of {args.runs} runs; x: times the floor.  {about}\n")
    print(f"{'':27}{'interpreted':>12}" + "".join(f"{pages:>18,}" for pages in args.pages) + "  bytes a frame")
    rows = []
    for name in CASES:
        row = [measure(name, SMALL, args.runs, False)]
        print(f"{name:27}{row[0]['ns']:>12,.0f}", end="", flush=True)
        for pages in args.pages:
            row.append(measure(name, pages, args.runs if pages < 1 << 23 else 2, True))
            print(f"{row[-1]['ns']:>9,.0f} {row[-1]['ns'] / row[-1]['floor']:>5.1f} x", end="", flush=True)
        print(f"{row[-1]['bytes']:>10.0f}   {row[-1]['path']}")
        rows += row
    checks = {pages: verified(pages) for pages in args.pages}
    print("\nseconds to verify: " + ", ".join(f"{pages:,} pages {took:.2f}" for pages, took in checks.items()))
    many = setup(args.runs)
    start = starts()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory {peak:.1f} GB")
    if args.json:
        figures = {"about": about, "figures": rows, "verify": checks, "setup": many, "start": start, "peak": peak}
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
