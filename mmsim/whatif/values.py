"""The readers of the values of a scenario file.

A reader takes a value and the `world` (what was read before: the machine, the scale, the names of tasks) and gives
what the machine is built from; its ValueError says what would be right.
"""

import difflib
import re
from fractions import Fraction

from ..machine.policy import MODES, Policy, parse_nodes, resolve
from ..machine.results import PAGE_SIZE
from ..machine.topology import MOST_FRAMES
from .report import FIGURES

UNITS = {f"{letter}{i}B": 1024**n / PAGE_SIZE for n, letter in enumerate("KMGT", 1) for i in ("", "i")}  # pages
TIMES = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
MOST_TIME = 10**18  # ns: 30 years


class ScenarioError(ValueError):
    """A scenario says something that cannot be: the message names file, key, value, and what would be right."""


def near(word, known):
    """What would be right: the known words, the one that is nearly `word` first."""
    known = [str(one) for one in known]
    close = difflib.get_close_matches(str(word), known, 1)
    return "".join(f"did you mean {one!r}? " for one in close) + f"There are: {', '.join(known) or 'none'}"


def reader(right, fits):
    """A reader of what fits(value); `right`: what to say of anything else."""

    def read(value, _):
        if not fits(value):
            raise ValueError(right)
        return value

    return read


def number(least, most, kind=int):
    """A reader of numbers."""
    return reader(f"it is a {'whole ' * (kind is int)}number from {least} to {most:,}",
                  lambda v: not isinstance(v, bool) and isinstance(v, (int, kind)) and least <= v <= most)  # fmt: skip


text = reader('it is a text, as in "the scheduler moved my job"', lambda v: isinstance(v, str) and v.strip())
name = reader("a name is made of letters, digits, - and _", lambda v: isinstance(v, str) and re.fullmatch(r"[\w-]+", v))
flag = reader("it is true or false", lambda v: isinstance(v, bool))
share_of_all = number(0, 1, float)
choices = reader('each key has a list of values, as in "kernel.patches" = [0, 4, 7]',
                 lambda v: isinstance(v, dict) and all(isinstance(x, list) and x for x in v.values()))  # fmt: skip


def task_name(value, world):
    if name(value, world) in names(world, "background"):
        raise ValueError("a background load has this name; give the task one of its own")
    if value == "all":
        raise ValueError('"all" means all tasks, so none can be called so')
    return value


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
    return max(round(pages), int(pages > 0))


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


def runs(value, world):
    """{node: the share of its accesses that a task makes from there}."""
    if not isinstance(value, dict):
        return {node(value, world): 1.0}
    shares = {node(int(n) if str(n).isdigit() else n, world): share_of_all(share, world) for n, share in value.items()}
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError("the shares of its nodes make 1, as in { 0 = 0.75, 1 = 0.25 }")
    return shares


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


def figures(value, world):
    return [one_of(FIGURES)(one, world) for one in (value if isinstance(value, list) else [value])]
