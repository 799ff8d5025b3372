"""What a scenario file may say: its tables and keys, and what their values must be.

`SCENARIO` at the end is the whole of it.  A reader takes a value and the `world` (what was read before:
the machine, the scale, the names of tasks) and gives what the machine is built from; the ValueError of
a reader says what would be right, `read` adds the key and the value, and `mmsim.whatif.scenario` the file.
"""

import difflib
import re
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, NamedTuple

from ..machine.arguments import words
from ..machine.config import Config, Costs
from ..machine.file import FS_NAMES
from ..mm.structs import MAX_NODES
from ..machine.changes import V1, parse_patches, parse_release
from ..machine.policy import MODES, Policy, parse_nodes, resolve
from ..machine.results import PAGE_SIZE
from ..machine.topology import MOST_FRAMES, Topology
from .report import FIGURES

UNITS = {f"{letter}{i}B": 1024**n / PAGE_SIZE for n, letter in enumerate("KMGT", 1) for i in ("", "i")}  # pages
TIMES = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
MOST_TIME = 10**18  # ns: 30 years
REQUIRED = object()


class ScenarioError(ValueError):
    """A scenario says something that cannot be: the message names file, key, value, and what would be right."""


class Key(NamedTuple):
    """A key of a table: the reader of its value, and the value where the file leaves the key out."""

    read: Any
    default: Any = None


class Table(NamedTuple):
    """A table: its keys, what is made of their values, and the key that a value without a table stands for."""

    keys: dict
    make: Any = SimpleNamespace
    short: str = ""


class Tables(NamedTuple):
    """An array of tables, each with a name that no other has."""

    table: Table


def near(word, known):
    """What would be right: the known words, the one that is nearly `word` first."""
    known = [str(one) for one in known]
    close = difflib.get_close_matches(str(word), known, 1)
    return "".join(f"did you mean {one!r}? " for one in close) + f"There are: {', '.join(known) or 'none'}"


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
    for key, (reader, default) in table.keys.items():
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


# -- readers of single values


def text(value, _):
    if not isinstance(value, str) or not value.strip():
        raise ValueError('it is a text, as in "the scheduler moved my job"')
    return value


def name(value, _):
    if not isinstance(value, str) or not re.fullmatch(r"[\w-]+", value):
        raise ValueError("a name is made of letters, digits, - and _")
    return value


def task_name(value, world):
    if name(value, world) in names(world, "background"):
        raise ValueError("a background load has this name; give the task one of its own")
    if value == "all":
        raise ValueError('"all" means all tasks, so none can be called so')
    return value


def flag(value, _):
    if not isinstance(value, bool):
        raise ValueError("it is true or false")
    return value


def number(least, most, kind=int):
    """A reader of numbers."""

    def read_number(value, _):
        if isinstance(value, bool) or not isinstance(value, (int, kind)) or not least <= value <= most:
            raise ValueError(f"it is a {'whole ' * (kind is int)}number from {least} to {most:,}")
        return value

    return read_number


def scale(value, _):
    try:
        return number(1e-9, 1_000, float)(float(Fraction(value)), _)
    except (TypeError, ValueError, ArithmeticError):
        raise ValueError('every size is multiplied by it: a number above 0, as in 0.001 or "1/1024"') from None


def quantity(value, units, what):
    """How many of the smallest unit a number, or a text such as "16 GB", is."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", value) if isinstance(value, str) else None
    if found and found[2] in units:
        return float(found[1]) * units[found[2]]
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(f"it is {what}; units: {', '.join(units)}")


def size(value, world):
    """Pages, times the scale."""
    pages = quantity(value, UNITS, 'a number of pages, or a text as in "16 GB" or "512 MB"') * world["scale"]
    if pages > MOST_FRAMES:
        raise ValueError(f"it is at most {MOST_FRAMES:,} pages, 4 TB")
    return max(round(pages), pages > 0)


def sizes(value, world):
    return [size(v, world) for v in value] if isinstance(value, list) else size(value, world)


def time(value, _):
    ns = quantity(value, TIMES, 'a number of ns, or a text as in "20 us"')
    if ns > MOST_TIME:
        raise ValueError(f"it is at most {MOST_TIME:,} ns")
    return round(ns)


def hold(value, world):
    return round(time(value, world) * world["scale"])


def node(value, world):
    nodes = world["machine"].nodes
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < nodes:
        raise ValueError(f"it is the number of a node; this machine has the nodes 0 to {nodes - 1}")
    return value


def nodes(value, world):
    if not parse_nodes(value, world["machine"].nodes):
        raise ValueError('name at least one node, as in 2, [0, 1], "0-1,3", "all", "!0"')
    return value


def policy(value, world):
    mode, _, where = value.partition(":") if isinstance(value, str) else ("", "", "")
    if mode not in MODES:
        raise ValueError(f'a policy is a text as in "bind:0", "interleave:0-3" or "preferred:1"; {near(mode, MODES)}')
    made = Policy(mode, where)
    resolve(made, world["machine"].nodes, (1 << world["machine"].nodes) - 1)
    return made


def one_of(known):
    """A reader of one of some words."""

    def word(value, _):
        if not isinstance(value, str) or value not in known:
            raise ValueError(near(value, known))
        return value

    return word


def names(world, kind):
    """The names of the tasks, cpusets or the like."""
    return [getattr(known, "name", known) for known in world.get(kind, [])]


def named(kind, several=False):
    """A reader of the name of a task, a cpuset or the like; `several`: also of a list of names, or "all"."""

    def reference(value, world):
        if several and value == "all":
            return value
        for one in value if several and isinstance(value, list) else [value]:
            one_of(names(world, kind))(one, world)
        return [value] if several and isinstance(value, str) else value

    return reference


def module(value, world):
    """Memory of a node that begins at `start`."""
    node, start, pages = *(world[f"trigger.offline.{key}"] for key in ("node", "start")), size(value, world)
    left = world["machine"].frames[node] - start
    if not 0 < pages <= left:
        most = f"what node {node} has from its page {start:,} on: {max(0, left):,} pages"
        raise ValueError(f"it is at least one page, and at most {most}")
    return pages


def area(value, world):
    return named(f"task.{world['trigger.mbind.task']}.memory")(value, world)


def release(value, _):
    return None if value in ("V1", V1) else parse_release(value)


def figures(value, world):
    return [one_of(FIGURES)(one, world) for one in (value if isinstance(value, list) else [value])]


def choices(value, _):
    if not isinstance(value, dict) or not all(isinstance(v, list) and v for v in value.values()):
        raise ValueError('each key has a list of values, as in "kernel.patches" = [0, 4, 7]')
    return value


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


def make_costs(preset, **changed):
    return Costs(**vars(preset) | {key: ns for key, ns in changed.items() if ns is not None})


def make_trigger(**kinds):
    given = {kind: how for kind, how in kinds.items() if how}
    if len(given) != 1:
        raise ValueError(f"give one of {', '.join(f'[trigger.{kind}]' for kind in kinds)}, not {len(given)} of them")
    return next(iter(given.items()))


# -- the schema

SHARE = number(0, 1, float)

MACHINE = Table({
    "preset": Key(one_of(Topology.presets())),
    "nodes": Key(number(1, MAX_NODES)),
    "remote": Key(number(11, 254), 20),
    "distances": Key(lambda value, _: Topology.from_matrix(value, 1024).distances),
    "memory": Key(sizes, REQUIRED),  # of each node: one size for all, or a list
}, make_machine)  # fmt: skip

PRESET = Key(lambda value, _: Costs.preset(value), Costs())
COSTS = Table({"preset": PRESET} | dict.fromkeys(vars(Costs()), Key(number(0, 10**12))), make_costs, short="preset")
CONFIG = Table({option: Key(flag, on) for option, on in vars(Config()).items()}, Config)

KERNEL = Table({
    "patches": Key(lambda value, _: parse_patches(value), parse_patches(7)),  # the first n, or a list of them
    "release": Key(release),  # the Linux that answers, as a text: "2.6.18", "6.1"; left out, or "V1": the series itself
    "without": Key(lambda value, _: words(value, "without"), ()),  # changes that this release is to do without
    "swap": Key(size, 1024),
    "costs": Key(COSTS),  # a preset, or a table of some costs in ns
    "config": Key(CONFIG),
    "trace": Key(flag, False),  # keep what happens, the last 65,536 events: for small machines
    "compiled": Key(flag),  # left out: Kernel decides by size
}, make_kernel)  # fmt: skip

CPUSET = Table({
    "name": Key(name, REQUIRED),
    "mems": Key(nodes, REQUIRED),
    "memory_migrate": Key(flag, True),
    "parent": Key(named("cpuset")),
})  # fmt: skip

BACKGROUND = Table({
    "name": Key(name, REQUIRED),
    "node": Key(node, REQUIRED),
    "cache": Key(size, 0),  # clean page cache that nobody maps
    "memory": Key(size, 0),  # anonymous memory of others
    "interrupts": Key(time),  # from the end on: one GFP_ATOMIC frame each so often ...
    "hold": Key(hold, 0),  # ... given back after this time, which is scaled as it decides how much memory is taken
})  # fmt: skip

MEMORY = Table({
    "name": Key(name, REQUIRED),
    "size": Key(size, REQUIRED),
    "file": Key(one_of(FS_NAMES)),  # the file system; left out: anonymous memory
    "shared": Key(flag, False),
    "locked": Key(flag, False),
    "policy": Key(policy),
    "dirty": Key(SHARE, 0),  # how much of a file was just written
    "pinned": Key(SHARE, 0),  # how much a device is using
})  # fmt: skip

TASK = Table({
    "name": Key(task_name, REQUIRED),
    "node": Key(node, 0),  # where it runs while it takes its memory
    "runs_on": Key(node),  # where the scheduler has moved it since
    "cpuset": Key(named("cpuset")),
    "policy": Key(policy),
    "memory": Key(Tables(MEMORY), REQUIRED),
    "children": Key(number(0, 1_000), 0),  # forked when the memory is there
    "copied": Key(SHARE, 0),  # how much of it each child has written since
})  # fmt: skip

TASKS = Key(named("task", several=True), "all")
TRIGGER = Table({  # one of these
    "migrate_pages": Key(Table({"task": TASKS, "old": Key(nodes, REQUIRED), "new": Key(nodes, REQUIRED)}), ()),
    "mbind": Key(Table({"task": Key(named("task"), REQUIRED), "memory": Key(area),
                        "policy": Key(policy, REQUIRED)}), ()),
    "attach": Key(Table({"task": TASKS, "cpuset": Key(named("cpuset"), REQUIRED)}), ()),
    "mems": Key(Table({"cpuset": Key(named("cpuset"), REQUIRED), "mems": Key(nodes, REQUIRED)}), ()),
    "kernel": Key(Table({"task": TASKS, "to": Key(node, REQUIRED)}), ()),
    "offline": Key(Table({"node": Key(node, REQUIRED), "start": Key(size, 0), "memory": Key(module, REQUIRED)}), ()),
}, make_trigger)  # fmt: skip

SCENARIO = Table({
    "name": Key(text, REQUIRED),
    "question": Key(text, ""),
    "scale": Key(scale, 1),
    "machine": Key(MACHINE, REQUIRED),
    "kernel": Key(KERNEL),
    "cpuset": Key(Tables(CPUSET), []),
    "background": Key(Tables(BACKGROUND), []),
    "task": Key(Tables(TASK), REQUIRED),
    "trigger": Key(TRIGGER, REQUIRED),
    "report": Key(Table({"tasks": TASKS, "figures": Key(figures)})),
    "grid": Key(choices, {}),
})  # fmt: skip
