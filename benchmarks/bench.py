"""Measure how fast an interpreted machine migrates, and what importing mmsim costs: `make bench`.

Each figure is the median of several runs; a machine is built anew for each, and only the system call is timed.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from mmsim import Kernel, Topology

ROOT = Path(__file__).parents[1]
HEAVY = ("matplotlib", "ipywidgets", "numba")  # `import mmsim` must load none of them
IMPORT = f"""
import sys, time
begin = time.perf_counter()
import mmsim
seconds = time.perf_counter() - begin
print(seconds, *sorted(set({HEAVY}) & set(sys.modules)))
"""


def microseconds_a_page(patches, pages):
    """Migrate `pages` anonymous pages from node 0 to node 1: microseconds a page, and the Migration."""
    kernel = Kernel(Topology.uniform(2, frames=2 * pages), patches=patches, swap_slots=2 * pages, trace=False)
    task = kernel.spawn("job")
    task.touch(task.mmap(pages), write=True)
    begin = time.perf_counter()
    left = task.migrate_pages(0, old=0, new=1)
    seconds = time.perf_counter() - begin
    if left:
        sys.exit(f"{left} pages stayed: this measures nothing")
    return seconds * 1e6 / pages, kernel.last


def import_seconds():
    """Import mmsim in a fresh interpreter: seconds, and which of the heavy packages it loaded."""
    command = [sys.executable, "-c", IMPORT]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    return float(answer[0]), answer[1:]


def measure(pages, runs):
    """All figures, as a dict: name -> {median, all, unit, note}."""
    figures = {}
    for name, patches in (("direct migration, patches 1 to 7", 7), ("eviction, no patch", 0)):
        results = [microseconds_a_page(patches, pages) for _ in range(runs)]
        paths = ", ".join(f"{path}: {n:,}" for path, n in results[-1][1].paths.items())
        figures[name] = {"unit": "us a page", "all": [us for us, _ in results], "note": paths}
    import_seconds()  # the first one may have to compile the modules
    imports = [import_seconds() for _ in range(runs)]
    loaded = sorted({package for _, packages in imports for package in packages})
    note = f"loads {', '.join(loaded)}" if loaded else f"loads none of {', '.join(HEAVY)}"
    figures["import mmsim"] = {"unit": "s", "all": [s for s, _ in imports], "loaded": loaded, "note": note}
    for figure in figures.values():
        figure["median"] = statistics.median(figure["all"])
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=4096)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    args = parser.parse_args()
    figures = measure(args.pages, args.runs)
    python = f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs"
    print(f"{args.pages:,} anonymous pages, interpreted, trace=False; median of {args.runs}; {python}\n")
    for name, figure in figures.items():
        print(f"{name:34}{figure['median']:8.3g} {figure['unit']:10}  {figure['note']}")
    if args.json:
        about = {"pages": args.pages, "runs": args.runs, "python": python}
        args.json.write_text(json.dumps(about | {"figures": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
