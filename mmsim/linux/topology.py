"""Which nodes this machine has, as Linux tells it below /sys, and which CPUs are theirs."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from .calls import PAGE

SYS = Path("/sys/devices/system")


class Topology(NamedTuple):
    """The NUMA nodes of this machine; with the names of the model's Topology."""

    nodes: int  # the highest number of a node, and one more
    frames: tuple  # pages of each; 0 for one that is absent
    distances: tuple  # a row a node; 0 where one is absent
    cpus: tuple  # of each node those that this process may run on

    def zonelist(self, node):
        """The nodes with memory in the order of their distance."""
        there = [n for n in range(self.nodes) if self.frames[n]]
        return sorted(there, key=lambda n: (self.distances[node][n], n))


def numbers(text):
    """The numbers of '0-2,5'."""
    ends = [part.split("-") for part in text.strip().split(",") if part]
    return [n for end in ends for n in range(int(end[0]), int(end[-1]) + 1)]


def read_topology():
    """The Topology of this machine; one node where Linux knows no others."""
    here = sorted(os.sched_getaffinity(0))
    online = SYS / "node/online"
    if not online.exists():
        return Topology(1, (os.sysconf("SC_PHYS_PAGES"),), ((10,),), (tuple(here),))
    there = numbers(online.read_text())
    count = max(there) + 1
    frames, distances = [0] * count, [(0,) * count] * count
    for node in there:
        folder = SYS / f"node/node{node}"
        frames[node] = int(re.search(r"MemTotal:\s+(\d+) kB", (folder / "meminfo").read_text())[1]) * 1024 // PAGE
        row, known = [0] * count, (folder / "distance").read_text().split()
        for other, distance in zip(there, known, strict=True):
            row[other] = int(distance)
        distances[node] = tuple(row)
    cpus = [[] for _ in range(count)]
    for cpu in here:  # not nodeN/cpulist: with numa=fake a CPU is in the list of several nodes
        home = [int(path.name[4:]) for path in (SYS / f"cpu/cpu{cpu}").glob("node[0-9]*")]
        cpus[home[0] if home else there[0]].append(cpu)
    return Topology(count, tuple(frames), tuple(distances), tuple(map(tuple, cpus)))
