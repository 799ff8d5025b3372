"""Measure what mmsim costs, and print it as one table: `make bench`.

Each figure stands beside its goal, with the share of the goal that it takes: up to 1 it holds.  All is kept in
docs/speed.json, from which `python docs/speed.py` writes docs/speed.md; a topic that is not measured keeps its rows.

python benchmarks/bench.py                     all topics that take minutes, not more
python benchmarks/bench.py compiled starts     these topics
"""

import argparse
import datetime
import importlib
import json
import os
import platform
import time
from pathlib import Path

from rows import ROOT, Row, said

KEPT = Path(ROOT) / "docs" / "speed.json"
TOPICS = {  # module: what it measures
    "compiled": "compiled machines, trace off; CPU time",
    "where": "where the time of a page goes, direct, anonymous; CPU time",
    "starts": "until a session runs; CPU time",
    "interpreted": "interpreted machines; CPU time",
    "browser": "the migration lab in a browser, 1,024 pages on 4 nodes",
    "many": "many runs",
    "growth": "many small things",
    "others": "what one would use instead",
    "simulator": "a simulator from the literature",
    "fresh": "`make lab` in a fresh clone, warm package cache",
    "quick_suite": "the tests that a reader runs, in a fresh clone",
    "long_suite": "all other tests, in a fresh clone",
}
SLOW = ("simulator", "fresh", "quick_suite", "long_suite")  # only if they are asked for


def computer():
    """The computer in words."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (OSError, StopIteration, ValueError):
        return f"{model}, {os.cpu_count()} CPUs"
    return f"{model}, {os.cpu_count()} CPUs, {size:.0f} GB"


def goal(row):
    """The goal of a row in words."""
    return "" if row.goal is None else f"{'≥' if row.least else '≤'}\N{NO-BREAK SPACE}{row.goal:,g}"


def line(row):
    """A row as a line of the table."""
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    figures = f"{said(row.figure):>9} {row.unit:16} {goal(row):>8} {ratio:>6}  {row.holds:4}"
    return f"{row.what:62} {figures} {row.note}".rstrip()


def measure(topic, small=False):
    """Measure a topic, print its rows as they come, and return what is kept of it."""
    about = {"date": f"{datetime.date.today()}", "machine": computer(), "python": platform.python_version(),
             "load": round(os.getloadavg()[0], 1)}  # fmt: skip
    print(f"-- {TOPICS[topic]}", flush=True)
    begin, rows = time.perf_counter(), []
    for row in importlib.import_module(topic).rows(small):
        rows.append(row)
        print(line(row), flush=True)
    return about | {"seconds": round(time.perf_counter() - begin), "rows": [row._asdict() for row in rows]}


def table(kept):
    """All that was kept, {topic: [Row]}, in the order of TOPICS."""
    return {topic: [Row(**row) for row in kept[topic]["rows"]] for topic in TOPICS if topic in kept}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=", ".join(TOPICS))
    parser.add_argument("--small", action="store_true", help="only see that it runs; nothing is kept")
    parser.add_argument("--kept", action="store_true", help="only print what was measured last")
    asked = parser.parse_args()
    if unknown := set(asked.topics) - {*TOPICS}:
        parser.error(f"there is no topic {', '.join(sorted(unknown))}; topics: {', '.join(TOPICS)}")
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    print(f"{'':62} {'figure':>9} {'':16} {'goal':>8} {'ratio':>6}  holds")
    for topic in TOPICS:
        if not asked.kept and topic in (asked.topics or {*TOPICS} - {*SLOW}):
            made = measure(topic, asked.small)
            if not asked.small:
                kept[topic] = made
                KEPT.write_text(json.dumps({each: kept[each] for each in TOPICS if each in kept}, indent=1) + "\n")
        elif topic in kept and not asked.small and not asked.topics:
            print(f"-- {TOPICS[topic]}; measured {kept[topic]['date']}")
            print(*map(line, table(kept)[topic]), sep="\n")
    if asked.small:
        return
    every = [row for rows in table(kept).values() for row in rows if row.goal is not None]
    print(f"\n{sum(row.holds == 'yes' for row in every)} of {len(every)} goals hold; kept in {KEPT}")


if __name__ == "__main__":
    main()
