"""Snapshots, and machines in files: an .npz with the tables and a description of the machine that agrees with them."""

import contextlib
import copy
import hashlib
import json
import sys
import zipfile
from typing import NamedTuple

import numpy as np

from . import verify
from ..terms.arguments import shown
from .bounds import check_bounds
from .config import Config, Costs
from .doors import Doorkeeper
from .errors import InvariantError
from .layout import LAYOUT
from .migration import Migration
from ..mm import mempolicy, structs, timer, trace
from .changes import parse_patches
from .topology import Topology
from .writing import replacing

GROW = (
    "pte", "wrote", "vma", "anon_vma", "task", "cpuset", "mapping", "sp_node", "file_page", "timer", "event",
    "considered",
)  # fmt: skip
DESCRIBED = (  # tables and columns that follow from what a machine was built as
    "zonelist distance patch change costs zone.start zone.end mem_map.node "
    "sys.nr_nodes sys.nr_frames sys.lists sys.work sys.swap_slots sys.numa sys.has_swap"
)


def file_format():
    """What tells a file of this mmsim from those of others: it depends on all that numbers in the tables mean."""
    meant = [
        (name, value.descr if isinstance(value, np.dtype) else value)
        for module in (structs, trace, timer, mempolicy)
        for name, value in sorted(vars(module).items())
        if isinstance(value, (int, tuple, np.dtype))
    ]
    return hashlib.sha256(repr(meant).encode()).hexdigest()[:16]


def version():
    """The version of this mmsim; to import it from here would be to import all."""
    return sys.modules[__package__.partition(".")[0]].__version__


@contextlib.contextmanager
def blaming(path):
    """Make a ValueError that names the file of whatever zipfile, json and our own checks make of damage in it."""
    try:
        yield
    except MemoryError:
        raise
    except InvariantError as error:
        raise ValueError(f"{path}: this machine is damaged: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    except Exception as error:
        raise ValueError(f"{path}: this file is damaged: {type(error).__name__}: {error}") from error


# -- the file


def read(file):
    """(the description, the tables) that a file holds; the tables have the columns that they must have."""
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise ValueError(f"this is no machine that Kernel.save() wrote ({error})") from None
    about = json.loads(str(array(archive, "about")))
    if about.get("format") != file_format():
        raise ValueError(
            f"mmsim {about.get('mmsim', 'before 0.1.0')} has saved it in a format that is not this one's, {version()}: "
            "load it with that version; or build the machine anew, and save it again"
        )
    return about, {name: array(archive, name) for name in structs.Tables._fields}


def describe(about, tables):
    """The arguments with which Kernel is made."""
    topology = Topology.from_matrix(*about["topology"])
    slots = about["swap_slots"]
    sizes = {"mem_map": sum(topology.frames) + 3 * topology.nodes + structs.WORK_LISTS, "swap_map": slots + 1}
    for name, rows in sizes.items():  # before a machine of the wrong size is made
        if len(tables[name]) != rows:
            raise ValueError(f"{name} has {len(tables[name]):,} rows; its description says {rows:,}")
    return {
        "topology": topology, "config": Config(**about["config"]), "costs": Costs(**about["costs"]),
        "swap_slots": slots, "release": about["release"], "without": about["without"],
        "patches": parse_patches(7 if about["release"] else about["patches"]),
    }  # fmt: skip


def array(archive, name):
    """An array of the file.  Its header must be that of such a table before anything else of it is believed."""
    if f"{name}.npy" not in archive.namelist():
        raise ValueError(f"this is no machine that Kernel.save() wrote: it has no array {name!r}")
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as member:
        try:
            np.lib.format.read_magic(member)
            shape, by_columns, dtype = np.lib.format.read_array_header_1_0(member)
        except ValueError:  # numpy's own words may advise to trust the file
            raise ValueError(f"{name} is no array of numpy, or its header is damaged") from None
        text = name == "about" and dtype.kind == "U" and shape == ()
        right = dtype if text else LAYOUT[name].base if name in LAYOUT else "text"
        if not text and (right == "text" or dtype != right or not shape or 0 in shape or by_columns):
            raise ValueError(f"{name} is an array of {dtype}, shape {shape}; it must have {right}")
        size = info.file_size - member.tell()
        if size != dtype.itemsize * np.prod(shape, dtype=object):
            raise ValueError(f"{name} has {size:,} bytes of data; that does not fit its shape {shape}")
        return np.frombuffer(bytearray(member.read()), right).reshape(shape)


def compare(tables, fresh):
    """ValueError for a table that a machine of this description does not have; `fresh` has just booted."""
    for name, table in tables.items():
        like = fresh.tables[name]
        if table.shape[1:] != like.shape[1:] or len(table) < len(like) or (name not in GROW and len(table) > len(like)):
            raise ValueError(f"{name} has the shape {table.shape}; its description says {like.shape}")
    if len(tables["wrote"]) != len(tables["pte"]):
        raise ValueError(f"wrote has {len(tables['wrote']):,} rows, and pte {len(tables['pte']):,}")
    for what in DESCRIBED.split():
        name, _, column = what.partition(".")
        here, there = (each[name][column] if column else each[name] for each in (tables, fresh.tables))
        if not np.array_equal(here, there):
            raise ValueError(f"{what} is not what its description says")


def book(kinds, fresh):
    """The names of tasks, files and the like, by their numbers, and the pins; ValueError for those of no row."""
    found = {kind: dict(map(tuple, kinds[kind])) for kind in fresh._book}
    for kind, first, rows in (("tasks", 0, "task"), ("files", 2, "mapping"), ("cpusets", 0, "cpuset")):
        names = found[kind]
        if [*names] != [*range(first, first + len(names))] or first + len(names) > len(fresh.tables[rows]):
            raise ValueError(f"its {kind} have the numbers {[*names]}; there are {len(fresh.tables[rows])} rows")
    named = ("tasks", "files", "cpusets", "ranges")
    if not all(isinstance(name, str) for kind in named for name in found[kind].values()):
        raise ValueError("the name of a task, a file, a cpuset or a range is no text")
    if not all(isinstance(birth, int) for birth in found["born"].values()):
        raise ValueError("when its tasks, files and cpusets were made is no number")
    for pid, (parent, _) in found["forked"].items():
        if not {pid, parent} <= set(found["tasks"]):
            raise ValueError(f"its task {pid} is the child of task {parent}, and one of them is none")
    for pid, pfns in found["pins"].items():
        _, pfns = np.array([found["pinned"][pid], pfns], np.int32)
        if pid not in found["tasks"] or ((pfns < 0) | (pfns >= sum(fresh.topology.frames))).any():
            raise ValueError(f"its pins of task {pid} are of no page frame")
    return found


class Snapshot(NamedTuple):
    """The whole state of a machine at one time; give it to `Kernel.restore`."""

    machine: object
    about: dict
    tables: dict
    book: dict
    last: object

    def __repr__(self):
        return f"<Snapshot at clock {self.tables['sys']['clock'][0] / 1e6:.3f} ms>"


class Snapshots:
    """The methods of Kernel that keep a machine, and take it back."""

    def snapshot(self):
        """A copy of the whole state."""
        tables = {name: array.copy() for name, array in self.tables.items()}
        return Snapshot(self._self, self._about(), tables, copy.deepcopy(self._book), self.last)

    def _about(self):
        """What a machine was built as: only a machine of the same kind can take over its tables."""
        return {"topology": self.topology, "config": self.config, "patches": self.patches, "costs": self.costs,
                "release": self.release, "without": self.without,
                "swap_slots": int(self.k.sys.swap_slots)}  # fmt: skip

    def restore(self, snapshot):
        """Go back to the state of a snapshot of this machine."""
        if not isinstance(snapshot, Snapshot):
            raise TypeError(f"snapshot is {shown(snapshot)}; take one with kernel.snapshot()")
        for name, mine in self._about().items():
            if (there := snapshot.about[name]) != mine and snapshot.machine is not self._self:
                raise ValueError(f"snapshot is of another machine: its {name} is {there!r}, here it is {mine!r}")
        self._doorkeeper.enter()  # for good: what follows is nobody's call that was broken off
        tables = {name: array.copy() for name, array in snapshot.tables.items()}
        self.tables, self._book, self.last = tables, copy.deepcopy(snapshot.book), snapshot.last
        for name in ("config", "patches", "costs"):  # they may have been switched in between
            setattr(self, name, snapshot.about[name])
        self._births = max([self._births, *self._book["born"].values()])
        self._bind()
        self._doorkeeper, self._running = Doorkeeper(), False

    def save(self, path):
        """Write the machine to an .npz file: numpy arrays and JSON text, no pickle.

        A file that exists is replaced when the new one is complete; if that fails, with an OSError, it stays.
        """
        about = self._about() | {
            "mmsim": version(), "format": file_format(), "topology": [self.topology.distances, self.topology.frames],
            "config": vars(self.config), "costs": vars(self.costs), "patches": sorted(self.patches),
            "book": {kind: list(entries.items()) for kind, entries in self._book.items()},
            "last": self.last and self.last.saved(),
        }  # fmt: skip
        with replacing(path) as file:
            np.savez_compressed(file, about=np.array(json.dumps(about, default=np.ndarray.tolist)), **self.tables)

    @classmethod
    def load(cls, path, compiled=None):
        """The machine that `save` wrote, with `last`.

        Raises
        ------
        ValueError
            With the path, and what is wrong with the file: no machine, one of another version of mmsim, damaged.
        OSError
            The file cannot be read.
        """
        with open(path, "rb") as file, blaming(path):
            about, tables = read(file)
            description = describe(about, tables)
        kernel = cls(**description, compiled=compiled, trace=False)
        with blaming(path):
            compare(tables, kernel)
            kernel.tables = tables
            kernel._book = book(about["book"], kernel)
            kernel._births = max([0, *kernel._book["born"].values()])
            kernel._bind()
            check_bounds(kernel)
            if not kernel.k.sys.bug:  # where one has ended a call half-way, not every rule holds
                verify.verify(kernel)
            if about["last"] is not None:
                kernel.last = Migration.loaded(kernel, about["last"])
        return kernel
