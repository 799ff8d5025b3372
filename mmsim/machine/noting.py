"""What the kernel writes, noted at little cost while it runs, in the order in which it happens.

A twin appends the rows and values of what it has written between two branches to one list, and to another the number
of the place where it did so.  Which columns these were is known when the twin is made: it is a Place.
"""

import ast
from typing import NamedTuple

from .inlined import called, calls, copied, simple


class Place(NamedTuple):
    """A place in a twin where something is noted."""

    numbers: int = 0  # how many it appends
    writes: tuple = ()  # (column, which of the numbers is the row, which is the value), in their order
    event: bool = False  # an event is about to be written, before all that
    writer: tuple | None = None  # (code, line) of who will write the next events, after all that


EVENT = "event"  # the mark of a statement in whose place an event is about to be written; else it is a writer
PLACES = {}  # {Place: its number}, of all twins


def number_of(place):
    """The number of a place; places that note the same share it."""
    return PLACES.setdefault(place, len(PLACES))


class Noting:
    """Adds to the statements of a twin those that note what it writes."""

    def __init__(self):
        self.numbers, self.writes, self.event = [], [], False

    def block(self, nodes):
        """The statements, each run of writes with a note behind it."""
        lines = []
        for node in nodes:
            columns = [one for one in targets(node) if hasattr(one, "column") and not isinstance(one.slice, ast.Tuple)]
            mark = getattr(node, "mark", None)
            if columns:
                lines += self.note(node) if calls(node) else []
                lines += self.store(node, columns)
            elif targets(node) and not calls(node):
                lines += [*(self.note(node) if self.uses(targets(node)) else []), node]
            elif mark == EVENT:
                lines += self.note(node)
                self.event = True
            elif mark:
                lines += self.note(node, writer=mark)
            else:
                lines += [*self.note(node), self.compound(node)]
        return lines + (self.note(nodes[-1]) if nodes else [])

    def uses(self, given):
        """Whether a variable that gets another value is among the numbers."""
        names = {one.id for target in given for one in ast.walk(target) if isinstance(one, ast.Name)}
        return any(isinstance(one, ast.Name) and one.id in names for one in self.numbers)

    def compound(self, node):
        """A statement with others within."""
        made = copied(node)
        for field in ("body", "orelse"):
            if hasattr(node, field):
                setattr(made, field, self.block(getattr(node, field)))
        return made

    def store(self, node, columns):
        """A write, of which each row and the value have a name."""
        lines, value = [], node.value
        if isinstance(node, ast.AugAssign):
            target = copied(node.target)
            target.slice, target.ctx = self.numbers[self.number(target.slice, lines)], ast.Load()
            value = ast.BinOp(target, node.op, value)
        what = self.number(value, lines)
        for target in columns:
            row = self.number(target.slice, lines)
            to = copied(target)
            to.slice = self.numbers[row]
            lines.append(ast.Assign([to], self.numbers[what]))
            self.writes.append((target.column, row, what))
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

    def note(self, node, writer=None):
        """The statements that note what has gathered."""
        lines, place = [], Place(len(self.numbers), tuple(self.writes), self.event, writer)
        if self.numbers:
            lines.append(called("note", ast.Tuple(self.numbers, ast.Load())))
        if place != Place():
            lines.append(called("noted_at", ast.Constant(number_of(place))))
        self.numbers, self.writes, self.event = [], [], False
        return [ast.copy_location(line, node) for line in lines]


def marked(mark):
    """A statement that does nothing but say something to `Noting`."""
    made = ast.Expr(ast.Constant(None))
    made.mark = mark
    return made


def targets(node):
    """What a statement gives values to."""
    return node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign) else []
