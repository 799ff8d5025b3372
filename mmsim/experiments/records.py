"""Recordings of what a real kernel did: one JSON object a line, the first about the machine, the others experiments.

What a line says is checked when it is read; what it lacks, when it is asked for.  Either is a RecordError, which names
the file, the line and the experiment.
"""

import gzip
import json
import re
from typing import NamedTuple

from ..machine.policy import node_set
from ..machine.topology import Topology

FRAMES = (1024, 1024, 1024, 256)  # the recorded machine, 128 times smaller
SCALE = 20  # the cases that fill a node use so many times fewer pages
MOST_PAGES = 100_000

# kind of mapping: file system (None: anonymous), shared, and whether the recorder wrote the pages or only read them
KINDS = {
    "anon_private": (None, False, True),
    "anon_shared(shmem)": (None, True, True),
    "tmpfs_file_shared": ("tmpfs", True, True),
    "tmpfs_file_private_readonly": ("tmpfs", False, False),
    "tmpfs_file_private_written": ("tmpfs", False, True),
    "ext4_file_shared_dirty": ("ext3", True, True),
    "ext4_file_shared_clean": ("ext3", True, False),
}
FILLED = r"then (\d+) pages freed"  # in setup.node3


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
    variant = property(lambda self: self.call.get("variant", ""), doc="The call in words, where it is in words.")
    kind = property(lambda self: self.setup.get("kind", ""), doc="The kind of mapping.")
    flags = property(lambda self: self.call.get("flags", "").split("|"), doc="MPOL_MF_ flags.")

    @property
    def pages(self):
        """How many pages the model maps for it."""
        return self.setup["pages"] // (SCALE if self.group.startswith("fill") else 1)

    @property
    def freed(self):
        """How many pages of the full node 3 were freed again, as the model does it."""
        return int(re.search(FILLED, self.setup["node3"])[1]) // SCALE

    @property
    def placement(self):
        """The node on which each page starts; None where there is none."""
        if "place_blocks_mask" in self.setup:
            blocks = [n for n in range(len(FRAMES)) if self.setup["place_blocks_mask"] >> n & 1]
            return [blocks[i * len(blocks) // self.pages] for i in range(self.pages)]
        return nodes_of(self.raw["before"][: self.pages])

    @property
    def pinned(self):
        """The pages that vmsplice(2) pins."""
        special = self.setup.get("special", "")
        return [2, 5] if "pages 2 and 5" in special else range(self.pages * special.startswith("vmsplice"))

    @property
    def of_a_file(self):
        """True if its pages are those of a file, or of shared memory; not private ones."""
        _, shared, written = KINDS.get(self.kind, (None, False, True))
        return shared or not written

    def known(self, name, value, table):
        """The entry of a table for a value of the record; RecordError if it has none."""
        if value not in table:
            raise RecordError(f"{self.where}: {name} is {value!r}; known are {', '.join(map(repr, table))}")
        return table[value]


def nodes_of(answers):
    """What move_pages(2) said about pages: their nodes; None for an errno."""
    return [n if isinstance(n, int) else None for n in answers]


# -- readers of values: (value, nodes of the machine) -> what would be right, or None if it is


def whole(least, most):
    """A whole number."""
    right = f"a whole number from {least} to {most:,}"
    return lambda value, _: None if type(value) is int and least <= value <= most else right


def text(value, _):
    return None if isinstance(value, str) else "a text"


def answers(value, nodes):
    """Of each page its node, or an errno."""
    fits = isinstance(value, list) and all(v in range(nodes) if type(v) is int else is_errno(v) for v in value)
    return None if fits else f'a list of nodes (0 to {nodes - 1}) and errnos (as "-EFAULT")'


def is_errno(value):
    return isinstance(value, str) and bool(re.fullmatch(r"-E[A-Z0-9]+", value))


def some_nodes(value, nodes):
    """Different nodes of the machine, ascending."""
    fits = isinstance(value, list) and all(type(v) is int and v in range(nodes) for v in value)
    return None if fits and list(node_set(value)) == value else f"a list of nodes in order, 0 to {nodes - 1}"


def maps(value, _):
    fits = isinstance(value, list) and value and all(isinstance(v, str) and len(v.split()) > 1 for v in value)
    return None if fits else "a list of lines of numa_maps"


def object_(value, _):
    return None if isinstance(value, dict) else "an object"


def counts(value, nodes):
    known = {"other", *map(str, range(nodes))}
    fits = isinstance(value, dict) and set(value) <= known and all(type(n) is int for n in value.values())
    return None if fits else f"an object with a number for each node, 0 to {nodes - 1}"


def one_of(*known):
    return lambda value, _: None if value in known else f"one of {', '.join(known)}"


MODES = ("MPOL_DEFAULT", "MPOL_PREFERRED", "MPOL_BIND", "MPOL_INTERLEAVE")
NODE = lambda value, nodes: whole(0, nodes - 1)(value, nodes)  # noqa: E731
FIELDS = {
    "setup": {
        "pages": whole(1, MOST_PAGES), "unfaulted_tail": whole(0, MOST_PAGES), "cpu": NODE, "task_cpu": NODE,
        "place_blocks_mask": whole(1, (1 << len(FRAMES)) - 1), "kind": one_of(*KINDS), "caller": text, "sharing": text,
        "special": text, "owner": text, "target_uid": whole(0, 1 << 31), "vma_policy": one_of("none", *MODES),
        "task_policy": one_of(*MODES),
        "vma_policy_nodes": some_nodes, "task_policy_nodes": some_nodes, "base_cpuset_mems": some_nodes,
        "vma_pgoff_mod_12": whole(0, 11), "node3": text,
    },
    "call": {
        "name": text, "variant": text, "mode": one_of(*MODES), "flags": text, "nodes": some_nodes, "from": some_nodes,
        "to": some_nodes, "old_mems": some_nodes, "new_mems": some_nodes, "memory_migrate_src": whole(0, 1),
        "memory_migrate_dst": whole(0, 1),
    },
    "": {
        "before": answers, "after": answers, "partner_before": answers, "partner_after": answers,
        "after_touch_tail": answers, "after_write_touch_all": answers, "after_counts": counts,
        "get_mempolicy": object_, "readback": text, "pagemap_after": text, "numa_maps": maps, "numa_maps_after": maps,
        "partner_numa_maps": maps,
    },
}  # fmt: skip
ALWAYS = {"id": text, "group": text, "setup": object_, "call": object_, "ret": whole(-(1 << 31), 1 << 31),
          "errno": text}  # fmt: skip


def read(path):
    """The cases of a recording; its first line describes the machine.  RecordError if it is none."""
    with (gzip.open if str(path).endswith(".gz") else open)(path, "rt", encoding="utf-8-sig") as file:
        try:
            lines = [(number, line) for number, line in enumerate(file, 1) if line.strip()]
        except UnicodeDecodeError:
            raise RecordError(f"{path}: this is no text in UTF-8") from None
    objects = [parsed(line, f"{path}, line {number}") for number, line in lines]
    if not objects:
        raise RecordError(f"{path} is empty; a recording has a line about its machine, and one for each experiment")
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


def demand(record, fields, nodes, needed=True):
    """RecordError for a field that has not the value that it should have, or, if it is needed, is not there."""
    for name, reader in fields.items():
        if needed or name in record:
            right = reader(record[name], nodes)
            if right:
                named = f"{record.name}.{name}".lstrip(".")
                raise RecordError(f"{record.where}: {named} is {short(record[name])}; it must be {right}")


def check(case):
    """RecordError unless the values of a case that is to be replayed are such as the model can have."""
    nodes, placed = len(case.distances), ("before", "after", "partner_before", "partner_after")
    counted = "after_counts" in case.raw  # `before` and `after` are runs of pages then, and not looked at
    demand(case.setup, FIELDS["setup"], nodes, needed=False)
    demand(case.call, FIELDS["call"], nodes, needed=False)
    demand(case.raw, {name: reader for name, reader in FIELDS[""].items() if not (counted and name in placed)}, nodes,
           needed=False)  # fmt: skip
    for name in placed if not counted else ():
        if len(case.raw.get(name, range(MOST_PAGES))) < case.pages:
            raise RecordError(f"{case.where}: {name} is about {len(case.raw[name])} pages; it must be {case.pages}")
    needed = {"from", "to", "old_mems", "new_mems", "base_cpuset_mems"}
    for part, prefix in ((case.setup, ""), (case.setup, "vma_"), (case.setup, "task_"), (case.call, "")):
        if part.get(f"{prefix}mode", part.get(f"{prefix}policy")) in MODES[1:]:
            needed.add(f"{prefix}policy_nodes" if prefix else "nodes")
    for part in (case.setup, case.call):
        for name in needed & set(part):
            if not part[name]:
                raise RecordError(f"{case.where}: {part.name}.{name} is empty; it must name a node")
    if old := case.call.get("old_mems"):
        if case.setup.get("vma_policy", MODES[1]) not in MODES[1:]:
            raise RecordError(f"{case.where}: setup.vma_policy is {case.setup['vma_policy']!r}; it must be "
                              f"one of {', '.join(MODES[1:])}")  # fmt: skip
        for name in ("vma_policy_nodes", "task_policy_nodes"):
            for node in set(case.setup.get(name, [])) - set(old):
                raise RecordError(f"{case.where}: setup.{name} has node {node}, which is not in call.old_mems, {old}")
    if case.group.startswith("fill"):
        if not re.search(FILLED, case.setup["node3"]):
            raise RecordError(f"{case.where}: setup.node3 is {short(case.setup['node3'])}; it must say "
                              "'then 100 pages freed', or another number")  # fmt: skip
        if not case.pages:
            raise RecordError(f"{case.where}: setup.pages is {case.setup['pages']}; it must be at least {SCALE}")
        if nodes != len(FRAMES):
            raise RecordError(f"{case.where}: the group {case.group} is about machines of {len(FRAMES)} nodes")


def short(value):
    """A value as text, cut where it is long."""
    said = repr(value)
    return said if len(said) < 60 else f"{said[:56]} ..."
