"""The tables of a machine as numba sees them: `k`, its tables and their rows are bare pointers.

Every integer that is read is widened to 64 bits, so that each function is compiled for one signature.  LLVM is
told that the tables stay where they are during a call, and that no two columns share memory.
"""

import operator

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_getattr_generic, lower_setattr_generic
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_global, signature
from numba.extending import NativeValue, infer_getattr, lower_builtin, models, register_model, typeof_impl, unbox

from .boot import boot_tables
from .releases import V1
from .config import Config, Costs
from ..mm import structs
from .topology import Topology

INT, BYTES = cgutils.intp_t, cgutils.voidptr_t
NAMES = structs.Tables._fields
# The dtype of each table; for a matrix, that of a line.
LAYOUT = {
    name: np.dtype((table.dtype, table.shape[1:]))
    for name, table in boot_tables(Topology.uniform(1, frames=32), Config(), V1, 0, Costs(), 0).items()
}
ONE_ROW = ("change", "costs", "sys")
ADDRESS, ROWS, STRIDE = range(3)  # the words of the header of a table


class Tables:
    """The tables that a call from Python hands over: their headers, one after the other."""

    def __init__(self, arrays):
        tables = [arrays[name] for name in NAMES]
        self.arrays = arrays
        self.headers = np.array([(a.ctypes.data, len(a), a.strides[0]) for a in tables], np.int64)
        self.address = self.headers.ctypes.data


class Pointer(types.Type):
    """A pointer that knows what it points to."""

    def __init__(self, table=""):
        self.table = table
        super().__init__(f"{type(self).__name__}({table})")


class K(Pointer):
    """The parameter `k` of every kernel function: to the headers."""


class Table(Pointer):
    """One table, as in k.mem_map: to its header."""


class Row(Pointer):
    """One row, as in k.mem_map[pfn]; or one line of a matrix, as in k.distance[node]."""


for kind in (K, Table, Row):
    register_model(kind)(lambda manager, kind: models.PrimitiveModel(manager, kind, BYTES))


@typeof_impl.register(Tables)
def typeof_tables(tables, context):
    return K()


@unbox(K)
def unbox_tables(typ, tables, c):
    address = c.pyapi.object_getattr_string(tables, "address")
    pointer = c.pyapi.long_as_voidptr(address)
    c.pyapi.decref(address)
    return NativeValue(pointer)


# -- what an expression is


@infer_getattr
class TypeOfTable(AttributeTemplate):
    key = K

    def generic_resolve(self, k, name):
        return Row(name) if name in ONE_ROW else Table(name)


@infer_getattr
class TypeOfColumn(AttributeTemplate):
    key = Row

    def generic_resolve(self, row, name):
        return types.int64


@infer_global(operator.getitem)
class TypeOfItem(AbstractTemplate):
    def generic(self, args, kws):
        if not isinstance(args[0], (Table, Row)):
            return None
        layout = LAYOUT[args[0].table]
        has_rows = isinstance(args[0], Table) and (layout.names or layout.shape)
        return signature(Row(args[0].table) if has_rows else types.int64, args[0], types.int64)


@infer_global(operator.setitem)
class TypeOfSetItem(AbstractTemplate):
    def generic(self, args, kws):
        if isinstance(args[0], (Table, Row)):
            row = isinstance(args[2], Row) and args[2].table == args[0].table  # a whole row, as in k.vma[a] = k.vma[b]
            return signature(types.void, args[0], types.int64, args[2] if row else types.int64)
        return None


@infer_global(len)
class TypeOfLen(AbstractTemplate):
    def generic(self, args, kws):
        return signature(types.int64, args[0]) if isinstance(args[0], Table) else None


# -- what it does


def header(builder, table, word):
    """A word of a table's header; it does not change while compiled code runs."""
    value = builder.load(cgutils.gep_inbounds(builder, builder.bitcast(table, INT.as_pointer()), word))
    value.set_metadata("invariant.load", builder.module.add_metadata([]))
    return value


def column(builder, address, dtype, name):
    """Where a number is, as a pointer of its size; and the mark that tells LLVM which column it belongs to."""
    add = builder.module.add_metadata
    kind = add([name, add(["mmsim"])])
    return builder.bitcast(address, ir.IntType(8 * dtype.itemsize).as_pointer()), add([kind, kind, INT(0)])


def load(builder, *where):
    """Read a number, widened to 64 bits."""
    address, mark = column(builder, *where)
    value = builder.load(address)
    value.set_metadata("tbaa", mark)
    return builder.sext(value, INT)


def store(builder, value, *where):
    """Write a number, cut to the size of its column."""
    address, mark = column(builder, *where)
    builder.store(builder.trunc(value, ir.IntType(8 * where[1].itemsize)), address).set_metadata("tbaa", mark)


def field(builder, table, row, name):
    """Address, dtype and name of a column of a row."""
    dtype, offset = LAYOUT[table].fields[name][:2]
    return builder.gep(row, [INT(offset)], inbounds=True), dtype, f"{table}.{name}"


def item(builder, kind, base, index):
    """Address, dtype and name of an element of a table, or of a line of a matrix."""
    dtype = LAYOUT[kind.table].base
    size = INT(dtype.itemsize)
    if isinstance(kind, Table):
        size = header(builder, base, STRIDE) if LAYOUT[kind.table].shape else size
        base = builder.inttoptr(header(builder, base, ADDRESS), BYTES)
    return builder.gep(base, [builder.mul(index, size)], inbounds=True), dtype, kind.table


@lower_getattr_generic(K)
def get_table(context, builder, typ, k, name):
    table = builder.gep(k, [INT(8 * (STRIDE + 1) * NAMES.index(name))], inbounds=True)
    return builder.inttoptr(header(builder, table, ADDRESS), BYTES) if name in ONE_ROW else table


@lower_getattr_generic(Row)
def get_column(context, builder, typ, row, name):
    return load(builder, *field(builder, typ.table, row, name))


@lower_setattr_generic(Row)
def set_column(context, builder, sig, args, name):
    store(builder, args[1], *field(builder, sig.args[0].table, args[0], name))


@lower_builtin(operator.getitem, Table, types.Integer)
@lower_builtin(operator.getitem, Row, types.Integer)
def get_item(context, builder, sig, args):
    where = item(builder, sig.args[0], *args)
    return where[0] if isinstance(sig.return_type, Row) else load(builder, *where)


@lower_builtin(operator.setitem, Table, types.Integer, types.Integer)
@lower_builtin(operator.setitem, Row, types.Integer, types.Integer)
def set_item(context, builder, sig, args):
    store(builder, args[2], *item(builder, sig.args[0], *args[:2]))


@lower_builtin(operator.setitem, Table, types.Integer, Row)
def copy_row(context, builder, sig, args):
    address, dtype, _ = item(builder, sig.args[0], *args[:2])
    cgutils.raw_memmove(builder, address, args[2], INT(1), dtype.itemsize)


@lower_builtin(len, Table)
def get_len(context, builder, sig, args):
    return header(builder, args[0], ROWS)
