"""The tables of a machine as compiled code sees them: a header for each, bare pointers to rows, numbers of 64 bits.

Tables that are as long on every machine stand behind the headers, and so do those by node, with room for as many nodes
as a machine can have: a number of theirs is found without a header.

Every integer that is read is widened, so that a number is a number.  LLVM is told that the tables stay where they are
during a call, and that no two columns share memory.
"""

from dataclasses import dataclass

import numpy as np
from llvmlite import ir

from .layout import BY_NODE, FIXED, LAYOUT, NAMES, ROW, TABLE

INT, BYTES = ir.IntType(64), ir.IntType(8).as_pointer()
ADDRESS, ROWS = range(2)  # the words of the header of a table
HEADER = 8 * (ROWS + 1)  # bytes
INSIDE = FIXED | BY_NODE
WITH_HEADER = [name for name in NAMES if name not in INSIDE]
BLOCK = np.dtype(
    [("headers", "i8", (len(WITH_HEADER), ROWS + 1)), *((name, *INSIDE[name]) for name in INSIDE)], align=True
)
# Columns without a number below 0, by what their names begin with; of those in hot paths, what was measured to be
# faster.  To read one widens nothing by its sign, so that what was just written is at hand at once ("Widening" in
# docs/speed.md), and a division rounds as the processor does it.
NOT_NEGATIVE = (
    "costs", "distance", "zonelist", "pagevec_count", "swap_cache", "pte.value", "task.node", "vma.vm_start",
    "mem_map.node", "mem_map.index", "mem_map.private", "mem_map.next", "mem_map.prev", "mem_map.row",
    "sys.nr_", "sys.lists", "sys.work", "sys.current", "sys.swap_",
)  # fmt: skip


class Tables:
    """The tables that a call from Python hands over: the address of a BLOCK.

    `arrays` holds views of the block then, in place of the arrays that were copied there.
    """

    def __init__(self, arrays):
        block = arrays["sys"].base
        if getattr(block, "dtype", None) != BLOCK:
            block = np.zeros((), BLOCK)
        for name in INSIDE:
            if arrays[name].base is not block:
                there = block[name][tuple(map(slice, arrays[name].shape))]  # a corner, with fewer nodes
                there[...] = arrays[name]
                arrays[name] = there
        block["headers"] = [header(arrays[name]) for name in WITH_HEADER]
        self.arrays, self.address = arrays, block.ctypes.data
        self.whole = {name: block[name] for name in INSIDE}  # with the room for more nodes


def header(array):
    """Where an array begins, and its rows, which lie side by side."""
    assert array.flags.c_contiguous
    return array.ctypes.data, len(array)


@dataclass(frozen=True)
class Pointer:
    """The address of a BLOCK (K), of the header of a table (TABLE), or of a row or a line of numbers (ROW)."""

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
        """A table, as in k.mem_map; one of FIXED is a row, as k.sys, or a line of numbers, as k.vmstat."""
        at = BLOCK.fields[name][1] if name in INSIDE else HEADER * WITH_HEADER.index(name)
        return Pointer(ROW if name in FIXED else TABLE, name, self.builder.gep(k.address, [INT(at)], inbounds=True))

    def header(self, table, word):
        """A word of the header of a table; it does not change while compiled code runs."""
        words = self.builder.bitcast(table.address, INT.as_pointer())
        value = self.builder.load(self.builder.gep(words, [INT(word)], inbounds=True))
        value.set_metadata("invariant.load", self.module.add_metadata([]))
        return value

    def begin(self, base):
        """The address of the first row of a table, or of the first element of a line."""
        if base.kind == ROW or base.table in BY_NODE:
            return base.address
        return self.builder.inttoptr(self.header(base, ADDRESS), BYTES)

    def element(self, base, index):
        """The address of a row of a table, or of an element of a line."""
        layout = LAYOUT[base.table]
        size = layout.itemsize if base.kind == TABLE else layout.base.itemsize
        return self.builder.gep(self.begin(base), [self.builder.mul(number(index), INT(size))], inbounds=True)

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
        if place[2].startswith(NOT_NEGATIVE):
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
