"""Recordings of what a real kernel did: one JSON object a line, the first about the machine, the others experiments.

What a line says is checked when it is read; what it lacks, when it is asked for.  Either is a RecordError, which names
the file, the line and the experiment.
"""

import gzip
import json
import re
from typing import NamedTuple

from ..machine.policy import node_set
from ..machine.releases import nearest_release
from ..machine.topology import Topology

FRAMES = (1024, 1024, 1024, 256)  # the recorded machine, 128 times smaller
SCALE = 20  # the cases that fill a node use so many times fewer pages
MOST_PAGES = 100_000


class RecordError(ValueError):
    """A recording says something that cannot be, or lacks something: the message says where."""


class Record(dict):
    """A JSON object of a recording, which says where it stands if a key is missing."""

    def __init__(self, entries, where, name=""):
        super().__init__(entries)
        self.where, self.name = where, name

    def __or__(self, other):
        return Record({**self, **other}, self.where, self.name)

    def __missing__(self, key):
        raise RecordError(f"{self.where}: {self.name or 'the record'} has no {key!r}")


class Case(NamedTuple):
    """One recorded experiment; `distances`: of the machine that it was recorded on; `where`: in which line."""

    id: str
    group: str
    setup: dict
    call: dict
    raw: dict
    distances: list
    where: str = "the record"
    release: str = ""  # of the kernel that was recorded, as `uname -r` gives it

    name = property(lambda self: self.call.get("name", ""), doc="The system call, where the record names it.")
    words = property(lambda self: self.call.get("variant", self.call.get("text", "")), doc="The call in words, or ''.")
    kind = property(lambda self: self.setup.get("kind", ""), doc="The kind of mapping.")
    flags = property(lambda self: self.call.get("flags", ""), doc="MPOL_MF_ flags, as in 'STRICT|MOVE'.")
    kernel = property(lambda self: nearest_release(self.release), doc="The release that the model is compared as.")


# -- readers of values: (value, nodes of the machine) -> what would be right, or None if it is


def reader(right, fits):
    """A reader of what fits(value, nodes of the machine); `right` may name the last node, as {}."""
    return lambda value, nodes: None if fits(value, nodes) else right.format(nodes - 1)


def whole(least, most):
    return reader(f"a whole number from {least} to {most:,}", lambda v, _: type(v) is int and least <= v <= most)


def list_of(right, fits):
    """A reader of a list of which each entry fits."""
    return reader(f"a list of {right}", lambda v, nodes: isinstance(v, list) and all(fits(each, nodes) for each in v))


def is_number(value, _):
    return type(value) is int


def is_node(value, nodes):
    return type(value) is int and value in range(nodes)


def is_errno(value):
    return isinstance(value, str) and bool(re.fullmatch(r"-E[A-Z0-9]+", value))


def of_run(value):
    """What is said of a page, also where it is [that, of how many pages it is said]."""
    return value[0] if isinstance(value, list) and len(value) == 2 and type(value[1]) is int else value


text = reader("a text", lambda v, _: isinstance(v, str))
number = reader("a whole number", is_number)
node = reader("a whole number from 0 to {}", is_node)
places = list_of("nodes, 0 to {}", is_node)
answers = list_of('nodes (0 to {}) and errnos (as "-EFAULT")',
                  lambda v, nodes: is_node(of_run(v), nodes) or is_errno(of_run(v)))  # fmt: skip
statuses = list_of('numbers and errnos (as "-EFAULT")', lambda v, _: is_number(of_run(v), _) or is_errno(of_run(v)))
numbers = list_of("whole numbers", is_number)
numbers_or_one = reader("a list of whole numbers", lambda v, _: v == "all 1" or not numbers(v, _))  # all to node 1
maps = list_of("lines of numa_maps", lambda v, _: isinstance(v, str) and len(v.split()) > 1)
node_or_places = reader("a node or a list of nodes, 0 to {}",
                        lambda v, nodes: is_node(v, nodes) or not places(v, nodes))  # fmt: skip
node_set_of = reader("a list of nodes in order, 0 to {}",
                     lambda v, nodes: not places(v, nodes) and list(node_set(v)) == v)  # fmt: skip
counts = reader(
    "an object with a number for each node, 0 to {}",
    lambda v, nodes: isinstance(v, dict) and set(v) <= {"other", *map(str, range(nodes))}
    and all(type(n) is int for n in v.values()),
)  # fmt: skip


def some_nodes(value, nodes):
    return node_set_of(value, nodes) or (None if value else "a list of at least one node")


def object_of(**fields):
    """A reader of an object that has these fields, and perhaps others."""
    return reader(
        "an object" + f" with {', '.join(fields)}" * bool(fields),
        lambda v, nodes: isinstance(v, dict) and not any(read(v.get(name), nodes) for name, read in fields.items()),
    )


# What stands in a record, where it stands there: a pattern of its names, and the reader of its value
FIELDS = {
    "setup": {
        "pages": whole(1, MOST_PAGES), "unfaulted_tail": whole(0, MOST_PAGES), "((task|caller|touch)_)?cpu": node,
        "place": node_or_places, "place_cyclic_nodes|place_blocks_on_nodes": places,
        "place_blocks_mask": whole(1, (1 << len(FRAMES)) - 1), "(owner|target)_uid": whole(0, 1 << 31),
        "kind|caller|owner|sharer|lock|sharing|special|state|fs|cgroup|node3|vma_policy|task_policy": text,
        "vma_policy_nodes|task_policy_nodes": node_set_of, "base_cpuset_mems": some_nodes,
        "vma_pgoff_mod_12": whole(0, 11), "target_dumpable": whole(0, 1),
        "node3_free(_pages)?_before|pages_not_swapped_out|swap_slots_asked|page_cluster": number,
    },
    "call": {
        "name|variant|text|mode|flags|pid": text, "nodes": numbers_or_one, "cpu": node,
        "from|to|old_mems|new_mems|default_from|default_to": some_nodes, "memory_migrate_(src|dst)": whole(0, 1),
    },
    "": {
        r"((partner|sharer)_)?(before|after)(_\w+)?(?<!_counts)": answers, "(before|after)_counts": counts,
        "(read|write|second_read|sharer_read)_touch|touch": object_of(minflt=number, majflt=number),
        r"(sharer_)?state_(before|after)\w*": object_of(numa_maps=maps, mapped=numbers, no_pte=number),
        r"swap_(before|after)\w*": object_of(slots_used=number, swap_cached_pages=number),
        r"(partner_)?numa_maps(_\w+)?": maps, "status": statuses, "get_mempolicy": object_of(mode=text, nodes=places),
        r"mincore\w*|pagemap\w*|effective|readback|first_errno": text,
        r"mapped_after_call|swap_slots_used_after_call|first_ret|node3_free\w*": number,
    },
}  # fmt: skip
ALWAYS = {"id": text, "group": text, "setup": object_of(), "call": object_of(), "ret": whole(-(1 << 31), 1 << 31),
          "errno": text}  # fmt: skip


def lines(path):
    """The objects of a recording, of which the first may describe the machine.  RecordError if it is none."""
    with (gzip.open if str(path).endswith(".gz") else open)(path, "rt", encoding="utf-8-sig") as file:
        try:
            texts = [(number, line) for number, line in enumerate(file, 1) if line.strip()]
        except UnicodeDecodeError:
            raise RecordError(f"{path}: this is no text in UTF-8") from None
    if not texts:
        raise RecordError(f"{path} is empty; a recording has a line about its machine, and one for each experiment")
    return [parsed(line, f"{path}, line {number}") for number, line in texts]


def read(path):
    """The cases of a recording; its first line describes the machine.  RecordError if it is none."""
    return cases_of(lines(path))


def cases_of(objects):
    """The objects of a recording as Cases."""
    distances = machine_of(objects[0])
    release = str(objects[0].get("kernel", "")).split(" ")[0]
    return [case_of(record, distances, release) for record in objects[1:]]


def parsed(line, where):
    """One line as a Record."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{where}: this is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise RecordError(f"{where}: {short(value)} is no JSON object")
    return Record(value, where)


def machine_of(record):
    """The distances that the first line gives."""
    rows, node = [], 0
    while not rows or f"distance{node}" in record:
        rows.append(record[f"distance{node}"])
        node += 1
    try:
        numbers = [[int(d) if d.isdecimal() else d for d in row.split()] for row in rows]
        machine = Topology.from_matrix(numbers, frames=64)
        return [list(row) for row in machine.distances]
    except (ValueError, AttributeError) as error:
        raise RecordError(f"{record.where}: the distances {rows} are none: {error}") from None


def case_of(record, distances, release=""):
    """A line as a Case, checked."""
    if isinstance(record.get("id"), str):
        record.where += f" ({record['id']})"
    where, nodes = record.where, len(distances)
    demand(record, ALWAYS, nodes)
    setup, call = (Record(record[part], where, part) for part in ("setup", "call"))
    return Case(record["id"], record["group"], setup, call, record, distances, where, release)


def demand(record, fields, nodes):
    """RecordError for a field that is not there, or has not the value that it should have."""
    for name, reader in fields.items():
        if right := reader(record[name], nodes):
            named = f"{record.name}.{name}".lstrip(".")
            raise RecordError(f"{record.where}: {named} is {short(record[name])}; it must be {right}")


def check(case):
    """RecordError unless what a case says is such as can be: whether it is understood is another question."""
    nodes = len(case.distances)
    for where, part in (("setup", case.setup), ("call", case.call), ("", case.raw)):
        known = {name: reader for pattern, reader in FIELDS[where].items() for name in part
                 if re.fullmatch(pattern, name)}  # fmt: skip
        demand(part, known, nodes)
    if not case.name.startswith("move_pages") and "nodes" in case.call:
        demand(case.call, {"nodes": node_set_of}, nodes)
    demand(case.setup, {"pages": FIELDS["setup"]["pages"]}, nodes)
    for name in ("before", "after") if case.group not in ("set_mempolicy", "timing") else ():
        long = sum(run[1] if isinstance(run, list) else 1 for run in case.raw[name])
        if long < case.setup["pages"]:
            raise RecordError(f"{case.where}: {name} is about {long} pages; it must be {case.setup['pages']}")
    if "node3" in case.setup and (nodes != len(FRAMES) or case.setup["pages"] < SCALE):
        raise RecordError(f"{case.where}: setup.node3 is about machines of {len(FRAMES)} nodes, "
                          f"and setup.pages must be at least {SCALE}")  # fmt: skip


def short(value):
    """A value as text, cut where it is long."""
    said = repr(value)
    return said if len(said) < 60 else f"{said[:56]} ..."
