"""The tables of a machine as compiled code sees them: a header for each, bare pointers to rows, numbers of 64 bits.

Every integer that is read is widened, so that a number is a number.  LLVM is told that the tables stay where they are
during a call, and that no two columns share memory.
"""

from dataclasses import dataclass

import numpy as np
from llvmlite import ir

from .layout import LAYOUT, NAMES, ONE_ROW, ROW, TABLE

INT, BYTES = ir.IntType(64), ir.IntType(8).as_pointer()
ADDRESS, ROWS, STRIDE = range(3)  # the words of the header of a table
NOT_NEGATIVE = "costs", "distance"  # in these tables: a division then rounds as the processor does it


class Tables:
    """The tables that a call from Python hands over: their headers, one after the other."""

    def __init__(self, arrays):
        self.arrays = arrays
        self.headers = np.array([header(arrays[name]) for name in NAMES], np.int64)
        self.address = self.headers.ctypes.data


def header(array):
    """Where an array begins, its rows, and the bytes from one to the next."""
    return array.ctypes.data, len(array), array.strides[0]


@dataclass(frozen=True)
class Pointer:
    """The address of all headers (K), of the header of a table (TABLE), or of a row or a line of a matrix (ROW)."""

    kind: str
    table: str
    address: ir.Value = None

    @property
    def type(self):
        """What it points to."""
        return self.kind, self.table


def number(value):
    """A number as LLVM has it."""
    return INT(value) if isinstance(value, int) else value


class Columns:
    """Reads and writes the tables, at the place of an ir.IRBuilder.  A place: (address, dtype, name of the column)."""

    def __init__(self, builder, module):
        self.builder, self.module = builder, module

    def table(self, k, name):
        """A table, as in k.mem_map; or the row of one that has one only, as in k.sys."""
        at = self.builder.gep(k.address, [INT(8 * (STRIDE + 1) * NAMES.index(name))], inbounds=True)
        pointer = Pointer(TABLE, name, at)
        return Pointer(ROW, name, self.begin(pointer)) if name in ONE_ROW else pointer

    def header(self, table, word):
        """A word of the header of a table; it does not change while compiled code runs."""
        words = self.builder.bitcast(table.address, INT.as_pointer())
        value = self.builder.load(self.builder.gep(words, [INT(word)], inbounds=True))
        value.set_metadata("invariant.load", self.module.add_metadata([]))
        return value

    def begin(self, table):
        """The address of the first row of a table."""
        return self.builder.inttoptr(self.header(table, ADDRESS), BYTES)

    def element(self, base, index):
        """The address of a row of a table, or of an element of a line."""
        layout = LAYOUT[base.table]
        size, first = INT(layout.base.itemsize), base.address
        if base.kind == TABLE:
            size, first = self.header(base, STRIDE) if layout.shape else size, self.begin(base)
        return self.builder.gep(first, [self.builder.mul(number(index), size)], inbounds=True)

    def item(self, base, index):
        """What an index gives: a row, or the place of a number."""
        layout, address = LAYOUT[base.table], self.element(base, index)
        if base.kind == TABLE and (layout.names or layout.shape):
            return Pointer(ROW, base.table, address)
        return address, layout.base, base.table

    def field(self, row, name):
        """The place of a column of a row."""
        dtype, offset = LAYOUT[row.table].fields[name][:2]
        return self.builder.gep(row.address, [INT(offset)], inbounds=True), dtype, f"{row.table}.{name}"

    def load(self, place):
        """Read a number, widened to 64 bits."""
        value = self.builder.load(self.typed(place))
        value.set_metadata("tbaa", self.mark(place))
        if place[2].partition(".")[0] in NOT_NEGATIVE:
            kind = value.type
            value.set_metadata("range", self.module.add_metadata([kind(0), kind((1 << kind.width - 1) - 1)]))
        return self.builder.sext(value, INT) if value.type != INT else value

    def store(self, place, value):
        """Write a number, cut to the size of its column."""
        pointer, value = self.typed(place), number(value)
        value = self.builder.trunc(value, pointer.type.pointee) if pointer.type.pointee != INT else value
        self.builder.store(value, pointer).set_metadata("tbaa", self.mark(place))

    def copy(self, target, row):
        """Copy a whole row, as in k.vma[a] = k.vma[b], at one stroke."""
        words = ir.VectorType(ir.IntType(32), LAYOUT[row.table].itemsize // 4).as_pointer()
        value = self.builder.load(self.builder.bitcast(row.address, words), align=4)
        self.builder.store(value, self.builder.bitcast(target.address, words), align=4)

    def typed(self, place):
        """A place as a pointer of the size of its numbers."""
        return self.builder.bitcast(place[0], ir.IntType(8 * place[1].itemsize).as_pointer())

    def mark(self, place):
        """What tells LLVM which column a place belongs to."""
        add = self.module.add_metadata  # the same again is the same
        kind = add([place[2], add(["mmsim"])])
        return add([kind, kind, INT(0)])
