"""A scenario of one's own machine: read from it, or from what numactl and /proc said on another one.

Names of processes and hosts are never written, names of files only where they are asked for.
"""

import math
import re
from pathlib import Path
from typing import NamedTuple

from ..machine.releases import UnknownRelease, parse_release
from ..machine.policy import format_nodes, node_set
from .schema import ScenarioError

SHARED = re.compile(r"^(/SYSV|/dev/shm/|/dev/zero|/memfd:|/\[)")  # tmpfs, whatever it is called
FRAMES = 1 << 20  # 4 GB: a machine that is run in a second
KB_A_PAGE = 4


class Found(NamedTuple):
    """What is known of a machine; sizes in kB. `free`, `cache`: {node: kB}, empty where nobody says."""

    sizes: dict
    distances: list
    free: dict
    cache: dict
    swap: int | None = None
    release: str | None = None


def this_machine(root="/"):
    """What this computer is: nodes, distances, what is free and cached on each, free swap, release."""
    root = Path(root)
    folders = {int(f.name[4:]): f for f in (root / "sys/devices/system/node").glob("node[0-9]*")}
    if not folders:
        raise ScenarioError("--from-machine: /sys/devices/system/node is not there: this needs Linux; elsewhere give "
                            "--numactl FILE, with what `numactl --hardware` says there")  # fmt: skip
    about = {n: dict(re.findall(r"(\w+):\s+(\d+) kB", (folders[n] / "meminfo").read_text())) for n in sorted(folders)}
    distances = [[int(d) for d in (folders[n] / "distance").read_text().split()] for n in about]
    swap = re.search(r"SwapFree:\s+(\d+)", (root / "proc/meminfo").read_text())
    columns = ({n: int(each[key]) for n, each in about.items()} for key in ("MemTotal", "MemFree", "FilePages"))
    release = (root / "proc/sys/kernel/osrelease").read_text().strip()
    sizes, free, cache = columns
    return Found(sizes, distances, free, cache, int(swap[1]) if swap else 0, release)


def from_numactl(text):
    """What `numactl --hardware` says of a machine."""
    sizes, free = ({int(n): int(mb) << 10 for n, mb in re.findall(rf"node\s+(\d+) {what}:\s+(\d+) MB", text)}
                   for what in ("size", "free"))  # fmt: skip
    rows = {int(n): [int(d) for d in row.split()] for n, row in re.findall(r"^\s*(\d+):((?:\s+\d+)+)\s*$", text, re.M)}
    if not sizes or rows.keys() != sizes.keys() or any(len(row) != len(rows) for row in rows.values()):
        raise ScenarioError("--numactl: this is not what `numactl --hardware` prints: for each node a line like "
                            "`node 0 size: 64215 MB`, and the node distances")  # fmt: skip
    return Found(sizes, [rows[n] for n in sorted(rows)], free, {})


class Area(NamedTuple):
    """Memory of one kind, of one policy: its pages on each node in kB, and the files that it is of."""

    kind: str
    policy: str
    kb: dict
    files: list


def from_numa_maps(text):
    """The memory of a process, from /proc/PID/numa_maps: an Area for each kind and policy."""
    areas = {}
    for number, line in enumerate(filter(str.strip, text.splitlines()), 1):
        found = re.match(r"[0-9a-f]+ ((?:prefer \(many\)|weighted interleave|[a-z=]+)\S*)( |$)", line)
        if not found:
            raise ScenarioError(f"--numa-maps, line {number}: {line[:40]!r} is no line of /proc/PID/numa_maps")
        words = dict(re.findall(r"(\w+)=(\S+)", line))
        each = int(words.get("kernelpagesize_kB", KB_A_PAGE))
        file, anon = words.get("file", ""), int(words.get("anon", 0))
        kb = {int(n): int(pages) * each for n, pages in re.findall(r"\bN(\d+)=(\d+)", line)}
        pages = sum(kb.values()) // each
        kind = "shared" if SHARED.match(file) else "anonymous" if not file or anon * 2 >= max(pages, 1) else "files"
        area = areas.setdefault((kind, policy(found[1])), Area(kind, policy(found[1]), {}, []))
        for node, size in kb.items():
            area.kb[node] = area.kb.get(node, 0) + size
        if file and kb:
            area.files.append(file)
    return [area for area in areas.values() if area.kb]


def policy(words):
    """A policy of numa_maps as scenarios write it; empty for that of the task."""
    words = words.replace("prefer (many)", "preferred_many").replace("weighted interleave", "weighted_interleave")
    words = re.sub(r"=(static|relative)", "", words).replace("=", ":")  # as before Linux 2.6.26
    mode, _, nodes = re.sub(r"[{}]|/\w+", "", words).partition(":")
    mode = {"prefer": "preferred"}.get(mode, mode)
    return f"{mode}:{nodes}" if nodes and mode != "default" else mode * (mode == "local")


def scenario_text(found, areas=(), names=False):
    """The scenario file of a machine (Found), and of a process on it that is to leave the node which has most of it.

    `areas`: the memory of the process; empty: a job of a quarter of the smallest node.  `names`: write also those of
    files, as comments.
    """
    # A scale at which the machine is small enough to be run at once.
    times = 2 ** max(0, math.ceil(math.log2(sum(found.sizes.values()) / KB_A_PAGE / FRAMES)))
    scale = "1" if times == 1 else f"1/{times}"
    called = {node: n for n, node in enumerate(found.sizes)}  # here nodes have no gaps
    sizes, distances = list(found.sizes.values()), found.distances
    lines = ['name = "My machine"', 'question = "What would this move do here?"',
             f'scale = "{scale}"            # every size is multiplied by it; "1": the machine as it is',
             "", "[machine]"]  # fmt: skip
    if list(called) != list(called.values()):
        gaps = ", ".join(f"{node} is {n}" for node, n in called.items())
        lines.append(f"# nodes have no gaps here: {gaps}")
    if len(sizes) == 1:
        lines.append("# it has one node; so that there is somewhere to go, a second one is added")
        sizes, distances = sizes * 2, [[10, 20], [20, 10]]
        found = found._replace(free=found.free | {max(found.sizes) + 1: sizes[0]})
    lines += [f"distances = {distances}", f"memory = {[f'{kb} KB' for kb in sizes]}".replace("'", '"'), "", "[kernel]",
              release_line(found.release)]  # fmt: skip
    unknown = 'swap = "0 GB"             # numactl does not say: as /proc/meminfo has it at SwapFree'
    swap = unknown if found.swap is None else f'swap = "{found.swap} KB"            # what is free of it'
    lines += [swap, 'costs = "two-socket"']
    used = {}
    for area in areas:
        for node, kb in area.kb.items():
            if node not in called:
                raise ScenarioError(f"--numa-maps: there is memory on node {node}; the machine has {list(called)}")
            used[node] = used.get(node, 0) + kb
    for node in called:
        lines += others(found, node, called[node], used.get(node, 0))
    most = max(used, key=used.get) if used else next(iter(called))
    lines += ["", "[[task]]", 'name = "job"', f"node = {called[most]}"]
    if not areas:
        lines += ["", "[[task.memory]]", 'name = "heap"', f'size = "{min(filter(None, sizes)) // 4} KB"']
    for n, area in enumerate(areas):
        lines += area_lines(area, n, called, names)
    rest = [n for n in range(len(sizes)) if n != called[most]]
    lines += ["", "[trigger.migrate_pages]", 'task = "job"', f"old = {called[most]}", f"new = {rest}", ""]
    return "\n".join(lines)


def release_line(release):
    """The key of the release, by what uname says: of one that the model does not know, the nearest."""
    try:
        return f'release = "{parse_release(release).name}"' if release else (
            'release = "6.1"           # nobody said which kernel it is: as uname -r has it')  # fmt: skip
    except UnknownRelease as unknown:
        known = unknown.nearest
        return f'release = "{known}"          # it is {release.partition("-")[0]}; this is the nearest that is modelled'


def others(found, node, called, used):
    """What others have on a node."""
    if node not in found.free:
        return []
    cache = found.cache.get(node, 0)
    memory = max(0, found.sizes[node] - found.free[node] - cache - used)
    what = [f'cache = "{cache} KB"'] * bool(cache) + [f'memory = "{memory} KB"'] * bool(memory)
    return ["", "[[background]]", f'name = "others-{called}"', f"node = {called}", *what] if what else []


def area_lines(area, number, called, names):
    """The tables of one Area: one for each node that it is on."""
    lines = [f"# {file}" for file in dict.fromkeys(area.files)] if names else []
    for node, kb in sorted(area.kb.items()):
        lines += ["", "[[task.memory]]", f'name = "{area.kind}-{number}-on-{called[node]}"', f'size = "{kb} KB"',
                  f"on = {called[node]}"]  # fmt: skip
        if area.kind == "files":
            lines.append('file = "ext3"             # numa_maps does not say which; ext4 behaves as ext3 here')
        if area.kind == "shared":
            lines += ['file = "tmpfs"', "shared = true"]
        if area.policy:
            mode, colon, nodes = area.policy.partition(":")
            here = format_nodes(sum(1 << called[n] for n in node_set(nodes) if n in called)) if colon else ""
            lines.append(f'policy = "{mode}{colon}{here}"')
    return lines
