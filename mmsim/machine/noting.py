"""What the kernel writes, noted at little cost while it runs, in the order in which it happens.

A twin puts down the number of the place where it has written something, and then the rows and the values of what it
wrote on its way there since the last one.  What these mean is known when the twin is made: that is a Place.
"""

import ast
import struct
from typing import NamedTuple

from .inlined import called, copied, ends, simple

TABLES = (  # what is noted, beside the events
    "mem_map", "pte", "swap_map", "swap_cache", "vmstat", "sys", "vma", "task", "mapping", "file_page", "sp_node",
    "considered",
)  # fmt: skip
FOLLOWS = "sys__nr_events"  # from the events


class Place(NamedTuple):
    """A place in a twin where something is noted."""

    writes: tuple = ()  # (column, which number of the note is the row, which the value), in order; 0: the place's own
    event: bool = False  # an event happens, after all that
    writer: tuple | None = None  # (code, line) of who writes it, and the next ones


class Mark(NamedTuple):
    """What a statement that does nothing says to `Noting`: as in Place."""

    event: bool = True
    writer: tuple | None = None


PLACES = {}  # {Place: its number}, of all twins
FIRST = -1 << 63  # the number of the first of them as it is put down: nothing that is written is as low
PACKERS = {}  # {its name in twins: a function that makes bytes of so many numbers}


def number_of(place):
    """The number of a place as it is put down; places that note the same share it."""
    return FIRST + PLACES.setdefault(place, len(PLACES))


class Noting:
    """Adds to the statements of a twin those that note what it writes."""

    def __init__(self):
        self.numbers, self.writes = [], []

    def block(self, nodes, last):
        """The statements, each run of writes with a note behind it; `last`: whose line a note at the end is on."""
        lines = []
        for node in nodes:
            columns = [one for one in targets(node) if noted(one)]
            mark = getattr(node, "mark", None)
            if columns:
                lines += self.note(node) if runs(node) else []
                lines += self.store(node, columns)
            elif targets(node) and not runs(node):
                lines += [*(self.note(node) if self.uses(targets(node)) else []), node]
            elif isinstance(node, (ast.Expr, ast.Pass)) and not mark and not runs(node):
                lines.append(node)
            elif mark:
                lines += self.note(node, *mark)
            elif isinstance(node, ast.If) and not runs(node.test):
                lines.append(self.branches(node))
            else:
                lines += [*self.note(node), self.compound(node)]
        return lines + self.note(last)

    def uses(self, given):
        """Whether a variable that gets another value is among the numbers."""
        given = [one for target in given for one in ast.walk(target) if isinstance(one, ast.Name)]
        names = {one.id for one in given if isinstance(one.ctx, ast.Store)}
        return any(isinstance(one, ast.Name) and one.id in names for one in self.numbers)

    def compound(self, node):
        """A statement with others within."""
        made = copied(node)
        for field in ("body", "orelse"):
            if getattr(node, field, None):
                setattr(made, field, self.block(getattr(node, field), node))
        return made

    def branches(self, node):
        """An ``if``: what was written before it is noted with what is written within, or behind one that goes away."""
        made, before = copied(node), (self.numbers, self.writes)
        for field in ("body", "orelse"):
            self.numbers, self.writes = map(list, before)
            if field == "body" or node.orelse or not ends(node.body):
                setattr(made, field, self.block(getattr(node, field), node))
        return made

    def store(self, node, columns):
        """A write, of which each row and the value get a name or are constants."""
        lines, value = [], node.value
        if isinstance(node, ast.AugAssign):
            target = copied(node.target)
            target.slice, target.ctx = self.numbers[self.number(target.slice, lines)], ast.Load()
            value = ast.BinOp(target, node.op, value)
        for name in (one for one in targets(node) if isinstance(one, ast.Name)):
            lines.append(ast.Assign([name], value))
            value = ast.Name(name.id, ast.Load())
        what = self.number(value, lines)
        for target in columns:
            row = self.number(target.slice, lines)
            to = copied(target)
            to.slice = self.numbers[row]
            lines.append(ast.Assign([to], self.numbers[what]))
            self.writes.append((target.column, 1 + row, 1 + what))
        return [ast.copy_location(line, node) for line in lines]

    def number(self, node, lines):
        """Which of the numbers of this place an expression is; what computes it is added to the lines."""
        if not simple(node):
            name = f"noted__{len(self.numbers)}"
            lines.append(ast.Assign([ast.Name(name, ast.Store())], node))
            node = ast.Name(name, ast.Load())
        same = [i for i, one in enumerate(self.numbers) if ast.dump(one) == ast.dump(node)]
        if not same:
            self.numbers.append(node)
        return same[0] if same else len(self.numbers) - 1

    def note(self, node, event=False, writer=None):
        """The statements that note what has gathered."""
        place = Place(tuple(self.writes), event, writer)
        if place == Place():
            return []
        numbers = [ast.Constant(number_of(place)), *self.numbers]
        self.numbers, self.writes = [], []
        packer = f"packed{len(numbers)}"
        pack = PACKERS.setdefault(packer, struct.Struct(f"{len(numbers)}q").pack)
        if all(isinstance(one, ast.Constant) for one in numbers):
            what = ast.Constant(pack(*(one.value for one in numbers)))
        else:
            what = ast.Call(ast.Name(packer, ast.Load()), numbers, [])
        return [ast.copy_location(called("note", what), node)]


def noted(element):
    """Whether it is noted that an element gets a value."""
    column = getattr(element, "column", "")
    return column.partition("__")[0] in TABLES and column != FOLLOWS


def runs(node):
    """Whether another twin runs in a statement."""
    return any(hasattr(one, "callee") for one in ast.walk(node))


def marked(mark):
    """A statement that does nothing but say something to `Noting`."""
    made = ast.Expr(ast.Constant(None))
    made.mark = mark
    return made


def targets(node):
    """What a statement gives values to."""
    return node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign) else []
