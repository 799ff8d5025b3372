"""What translations of the kernel's source know of the tables: which columns each has, and which have one row only."""

import numpy as np

from .boot import boot_tables
from .config import Config, Costs
from ..mm import structs
from .releases import V1
from .topology import Topology

NAMES = structs.Tables._fields
_some = boot_tables(Topology.uniform(1, frames=32), Config(), V1, 0, Costs(), 0)
# What is as long on every machine: dtype and shape.  Those with columns have one row, and are used as that.
FIXED = {name: (_some[name].dtype, _some[name].shape) for name in ("change", "costs", "sys", "patch", "vmstat")}
# What has a row or two for each node: dtype, and the shape for as many nodes as a machine can have.
_most = structs.MAX_NODES
BY_NODE = {
    name: (_some[name].dtype, shape)
    for name, shape in {
        "zone": (_most,), "zonelist": (_most + 1, _most), "distance": (_most, _most),
        "pagevec": (2 * _most, structs.PAGEVEC_SIZE), "pagevec_count": (2 * _most,),
    }.items()
}  # fmt: skip
# The dtype of each table; for a matrix, that of a line.  The last three are arrays that a call from Python hands over.
LAYOUT = {name: table.dtype for name, table in _some.items()} | {
    name: np.dtype((dtype, shape[1:])) for name, (dtype, shape) in BY_NODE.items()
} | {"int32": np.dtype("i4"), "int64": np.dtype("i8"), "pairs": np.dtype(("i8", (2,)))}  # fmt: skip
K, TABLE, ROW = "k", "table", "row"  # what no number is
OFF = "change", "tracing"  # what may be known to be 0: the later changes, the trace


def is_off(table, column, off):
    """Whether a column is one of those that are known to be 0; `off`: which of OFF are."""
    return (table == "change" and "change" in off) or ((table, column) == ("sys", "tracing") and "tracing" in off)


def known_off(tables):
    """Which of OFF are 0 on a machine as it is."""
    on = {"change": any(tables["change"][0]), "tracing": tables["sys"]["tracing"][0]}
    return tuple(what for what in OFF if not on[what])
