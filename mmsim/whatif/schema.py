"""What a scenario file may say: its tables and keys, and what their values must be.

`SCENARIO` at the end is the whole of it.  The readers of single values are in values.py; `read` adds the key
and the value to what they refuse, and `mmsim.whatif.scenario` the file.  `reference` lists every key, with an example.
"""

import json
from types import SimpleNamespace
from typing import Any, NamedTuple

from ..terms.arguments import words
from ..machine.config import Config, Costs
from ..machine.file import FS_NAMES
from ..mm.structs import MAX_NODES
from ..machine.changes import parse_patches
from ..machine.releases import V1, parse_release
from ..machine.policy import MODES
from ..machine.topology import Topology
from .report import RATE
from .values import (
    TIMES, UNITS, ScenarioError, choices, figures, flag, hold, module, name, named, near, node, nodes, number,
    one_of, policy, runs, scale, share_of_all, size, sizes, task_name, text, time,
)  # fmt: skip

__all__ = ["SCENARIO", "TIMES", "UNITS", "Key", "ScenarioError", "Table", "Tables", "near", "read", "reference", "toml"]
REQUIRED = object()


class Key(NamedTuple):
    """A key of a table: the reader of its value, the value where the file leaves it out, what it means, an example."""

    read: Any
    default: Any = None
    says: str = ""
    example: Any = None


class Table(NamedTuple):
    """A table: its keys, what is made of their values, and the key that a value without a table stands for."""

    keys: dict
    make: Any = SimpleNamespace
    short: str = ""


class Tables(NamedTuple):
    """An array of tables, each with a name that no other has."""

    table: Table


def read(what, value, world, where):
    """Read a value by a reader, a Table or Tables; `where` is its dotted key."""
    if isinstance(what, Table):
        return read_table(what, value, world, where)
    if isinstance(what, Tables):
        return read_tables(what.table, value, world, where)
    try:
        return what(value, world)
    except (ValueError, TypeError, OSError) as error:
        raise ScenarioError(f"{where} is {value!r}: {error.args[-1]}") from None


def read_tables(table, value, world, where):
    """Read an array of tables."""
    check_tables(value, where)
    names = [part.get("name", i) for i, part in enumerate(value)]
    again = next((n for n in names if names.count(n) > 1), None)
    if again:
        raise ScenarioError(f"{where}: two are called {again!r}; give each a name of its own")
    world[where] = names
    return [read(table, part, world, f"{where}.{n}") for n, part in zip(names, value, strict=True)]


def check_tables(value, where):
    """ScenarioError for what is no array of tables."""
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise ScenarioError(f"{where} is {value!r}: begin each one with [[{where}]]")


def read_table(table, value, world, where):
    """Read a table key by key, in the order of the schema; what was read goes to `world`, too."""
    if table.short and not isinstance(value, dict):
        value = {table.short: value}
    if not isinstance(value, dict):
        raise ScenarioError(f"{where} is {value!r}: it is a table; write [{where}] and its keys below")
    for key in value:
        if key not in table.keys:
            raise ScenarioError(f"{where or 'the file'} has no key {key!r}; {near(key, table.keys)}")
    done = {}
    for key, (reader, default, *_) in table.keys.items():
        inner = f"{where}.{key}".lstrip(".")
        if key in value or (isinstance(reader, Table) and default is None):
            done[key] = read(reader, value.get(key, {}), world, inner)
        elif default is REQUIRED:
            raise ScenarioError(f"{where or 'the file'}: the key {key!r} is missing; it has no default")
        else:
            done[key] = default
        world[inner] = done[key]
    try:
        return table.make(**done)
    except (ValueError, TypeError, OSError) as error:
        raise ScenarioError(f"{where}: {error.args[-1]}") from None


# -- what is made of tables


def make_machine(preset, nodes, remote, distances, memory):
    given = [what for what in (preset, nodes, distances) if what is not None]
    if len(given) != 1:
        raise ValueError(f"give one of preset, nodes and distances, not {len(given)} of them")
    try:
        if preset:
            return Topology.preset(preset, memory)
        return Topology.uniform(nodes, memory, remote) if nodes else Topology.from_matrix(distances, memory)
    except ValueError as error:
        raise ValueError(str(error).replace("frames", "memory", 1)) from None  # as the key is called here


def make_kernel(patches, release, without, **others):
    if release and patches != V1.patches:
        raise ValueError(f"patches is {sorted(patches)}, but release {release.name} has its own: give one of them")
    if without:
        release = parse_release(release and release.name, without)
    return SimpleNamespace(patches=patches, release=release, **others)


def make_trigger(**kinds):
    given = {kind: how for kind, how in kinds.items() if how}
    if len(given) != 1:
        raise ValueError(f"give one of {', '.join(f'[trigger.{kind}]' for kind in kinds)}, not {len(given)} of them")
    return next(iter(given.items()))


# -- the schema

MACHINE = Table({
    "preset": Key(one_of(Topology.presets()), None, "a machine whose distances are known", "two-socket"),
    "nodes": Key(number(1, MAX_NODES), None, "how many nodes, all of them at one distance: instead of a preset", 4),
    "remote": Key(number(11, 254), 20, "their distance; 10 is local memory", 21),
    "distances": Key(lambda value, _: Topology.from_matrix(value, 1024).distances, None,
                     "the matrix as `numactl --hardware` prints it: instead of a preset", [[10, 21], [21, 10]]),
    "memory": Key(sizes, REQUIRED, "of each node: one size for all, or a list; 0 for a node without memory", "64 GB"),
}, make_machine)  # fmt: skip

COST = {
    "alloc": "to allocate a page", "unmap": "to take away the ptes of a page", "copy": "to copy a page, at distance 10",
    "swap_write": "to write a page to swap", "swap_read": "to read one from there",
    "file_write": "to write a page of a file", "file_read": "to read one", "minor": "a fault without I/O",
    "access": "an access to memory, at distance 10",
}  # fmt: skip
PRESET = Key(lambda value, _: Costs.preset(value), Costs(), "costs of a kind of machine", "two-socket")
COSTS = Table(
    {"preset": PRESET}
    | {key: Key(number(0, 10**12), None, f"ns {COST[key]}", ns) for key, ns in vars(Costs()).items()},
    lambda preset, **changed: Costs(**vars(preset) | {key: ns for key, ns in changed.items() if ns is not None}),
    "preset",
)  # fmt: skip
CONFIG = Table({key: Key(flag, on, f"CONFIG_{key.upper()}", not on) for key, on in vars(Config()).items()}, Config)

KERNEL = Table({
    "patches": Key(lambda value, _: parse_patches(value), parse_patches(7),
                   "the series of November 2005: the first n patches, or a list of them", 5),
    "release": Key(lambda value, _: None if value in ("V1", V1) else parse_release(value), None,
                   'the Linux that answers; left out, or "V1": the series itself', "6.1"),
    "without": Key(lambda value, _: words(value, "without"), (), "changes that this release is to do without, by name",
                   ["file-ptes"]),
    "swap": Key(size, 1024, "the swap device; 0: none", "16 GB"),
    "costs": Key(COSTS, None, "a preset, or a table of the keys below"),
    "config": Key(CONFIG),
    "trace": Key(flag, False, "keep what happens, the last 65,536 events: for small machines", True),
    "compiled": Key(flag, None, "run compiled by numba; left out: by size", True),
}, make_kernel)  # fmt: skip

CPUSET = Table({
    "name": Key(name, REQUIRED, "its name", "batch"),
    "mems": Key(nodes, REQUIRED, "the nodes that it allows", "0-1"),
    "memory_migrate": Key(flag, True, "whether memory follows when the nodes change", False),
    "parent": Key(named("cpuset"), None, "the cpuset that it is in; left out: the root", "batch"),
})  # fmt: skip

BACKGROUND = Table({
    "name": Key(name, REQUIRED, "its name", "others"),
    "node": Key(node, REQUIRED, "the node", 1),
    "cache": Key(size, 0, "clean page cache that nobody maps", "4 GB"),
    "memory": Key(size, 0, "anonymous memory of others", "2 GB"),
    "interrupts": Key(time, None, "from the end on, so often an interrupt takes a frame (GFP_ATOMIC)", "20 us"),
    # scaled, as it decides how much memory is taken
    "hold": Key(hold, 0, "after which time it gives the frame back", "1 s"),
})  # fmt: skip

MEMORY = Table({
    "name": Key(name, REQUIRED, "its name", "heap"),
    "size": Key(size, REQUIRED, "how much, all of it touched", "8 GB"),
    "file": Key(one_of(FS_NAMES), None, "mapped from a file of this file system; left out: anonymous memory", "ext3"),
    "on": Key(node, None, "the node where its pages are, whatever the policy says; left out: as the policy says", 1),
    "shared": Key(flag, False, "MAP_SHARED; without a file: shared anonymous memory", True),
    "locked": Key(flag, False, "mlock()", True),
    "policy": Key(policy, None, "by mbind(), before it is touched", "interleave:0-3"),
    "dirty": Key(share_of_all, 0, "the share of a file that was just written", 0.2),
    "pinned": Key(share_of_all, 0, "the share that a device is using (RDMA, O_DIRECT)", 0.5),
})  # fmt: skip

TASK = Table({
    "name": Key(task_name, REQUIRED, "its name", "job"),
    "node": Key(node, 0, "where it runs while it takes its memory", 0),
    "runs_on": Key(runs, None, "where it runs since then; threads on several nodes: the share of accesses from each",
                   {"0": 0.75, "1": 0.25}),
    "cpuset": Key(named("cpuset"), None, "the cpuset that it is in", "batch"),
    "policy": Key(policy, None, "by set_mempolicy()", "interleave:0-3"),
    "memory": Key(Tables(MEMORY), REQUIRED),
    "children": Key(number(0, 1_000), 0, "how many it forks when the memory is there", 8),
    "copied": Key(share_of_all, 0, "the share of its private memory that each child has written since", 0.05),
})  # fmt: skip

TASKS = Key(named("task", several=True), "all", 'a task without its children, a list, or "all" with children', "job")
TRIGGER = Table({  # one of these
    "migrate_pages": Key(Table({
        "task": TASKS,
        "old": Key(nodes, REQUIRED, "the nodes to be left", 0),
        "new": Key(nodes, REQUIRED, "the nodes to go to", 1),
    }), (), "root runs migratepages(8) for each process"),
    "mbind": Key(Table({
        "task": Key(named("task"), REQUIRED, "the program", "job"),
        "memory": Key(lambda value, world: named(f"task.{world['trigger.mbind.task']}.memory")(value, world), None,
                      "the part of its memory; left out: all of it", "heap"),
        "policy": Key(policy, REQUIRED, "its new policy", "bind:1"),
    }), (), "a program binds its memory anew, with MPOL_MF_MOVE"),
    "attach": Key(Table({
        "task": TASKS, "cpuset": Key(named("cpuset"), REQUIRED, "where they are attached", "batch"),
    }), (), "tasks are attached to another cpuset"),
    "mems": Key(Table({
        "cpuset": Key(named("cpuset"), REQUIRED, "whose nodes change", "batch"),
        "mems": Key(nodes, REQUIRED, "its new nodes", "0-1"),
    }), (), "a cpuset gets other nodes"),
    "kernel": Key(Table({"task": TASKS, "to": Key(node, REQUIRED, "the node to go to", 1)}), (),
                  "a caller in the kernel moves all that the tasks have"),
    "offline": Key(Table({
        "node": Key(node, REQUIRED, "the node", 1),
        "start": Key(size, 0, "where on it the module begins", "0 GB"),
        "memory": Key(module, REQUIRED, "how large it is", "8 GB"),
    }), (), "bad memory is emptied, and taken out of use"),
}, make_trigger)  # fmt: skip

SCENARIO = Table({
    "name": Key(text, REQUIRED, "what it is called", "The scheduler moved my job"),
    "question": Key(text, "", "what is to be known", "Does it pay to move the memory, too?"),
    "scale": Key(scale, 1, "every size is multiplied by it", "1/64"),
    "machine": Key(MACHINE, REQUIRED),
    "kernel": Key(KERNEL),
    "cpuset": Key(Tables(CPUSET), []),
    "background": Key(Tables(BACKGROUND), []),
    "task": Key(Tables(TASK), REQUIRED),
    "trigger": Key(TRIGGER, REQUIRED),
    "report": Key(Table({
        "tasks": TASKS._replace(says="whose accesses count"),
        "figures": Key(figures, None, "the figures to be shown; left out: all", ["direct", "break_even"]),
        "rate": Key(number(1, 10**12), RATE, "accesses to memory a second by each process, for break_even_s", 10**6),
    })),
    "grid": Key(choices, {}, "values that a sweep tries", {"kernel.release": ["V1", "6.1"]}),
})  # fmt: skip

# Tables in the order of a file: what each is for.
ABOUT = {
    "": "the file", "machine": "the machine", "kernel": "the kernel", "kernel.costs": "what things take, in ns",
    "kernel.config": "how it was configured", "cpuset": "cpusets, each begins with [[cpuset]]",
    "background": "what others have, each begins with [[background]]", "task": "the jobs, each begins with [[task]]",
    "task.memory": "the memory of the task above, each begins with [[task.memory]]",
    "trigger": "what is done: one of these tables", "report": "what is reported",
}


class Said(NamedTuple):
    """A key as the reference has it: table, name, what it says, its unit, an example, and its default."""

    table: str
    key: str
    says: str
    unit: str
    example: Any
    default: str


PAGES, NS = "pages, or a text with KB, MB, GB, TB", "ns, or a text with us, ms, s"
UNIT = {
    size: PAGES, sizes: PAGES, module: PAGES, time: NS, hold: NS, node: "number of a node",
    nodes: 'nodes: 1, [0, 1], "0-1,3", "all", "!0"', policy: "mode:nodes; modes: " + ", ".join(MODES),
    flag: "true, false", share_of_all: "share, 0 to 1", scale: 'factor, as 0.01 or "1/64"',
}  # fmt: skip


def reference(table=SCENARIO, where=""):
    """Every key that a scenario file may have, as Said: those of a table first, then the tables below it."""
    tables = []
    for key, (reader, default, says, example) in table.keys.items():
        below = reader.table if isinstance(reader, Tables) else reader
        if isinstance(below, Table):
            tables.append((f"{where}.{key}".lstrip("."), below, says))
        else:
            shown = "required" if default is REQUIRED else plain(default)
            yield Said(where, key, says, UNIT.get(reader, ""), example, shown)
    for inner, below, says in tables:
        if where == "trigger":
            yield Said(inner, "", says, "", None, "")
        yield from reference(below, inner)


def plain(default):
    """A default in words."""
    if default is None or default in ((), [], {}, ""):
        return ""
    if isinstance(default, Costs):
        return "altix-2005"
    if isinstance(default, frozenset):
        return "7"
    return toml(default)


def toml(value):
    """A value as a TOML file has it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k if str(k).isalnum() else toml(k)} = {toml(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)
