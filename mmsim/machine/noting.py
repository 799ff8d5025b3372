"""What the kernel writes, noted at little cost while it runs, in the order in which it happens.

A twin appends to a list the number of the place where it has written something, and then the rows and the values of
what it wrote there between two branches.  What these mean is known when the twin is made: that is a Place.
"""

import ast
from typing import NamedTuple

from .inlined import called, copied, simple

TABLES = (  # what is noted, beside the events
    "mem_map", "pte", "swap_map", "swap_cache", "vmstat", "sys", "vma", "task", "mapping", "file_page", "sp_node",
    "considered",
)  # fmt: skip


class Place(NamedTuple):
    """A place in a twin where something is noted."""

    numbers: tuple = ()  # what it appends after its own number: None; or a constant, which need not be appended
    writes: tuple = ()  # (column, which of the numbers is the row, which the value), in their order; of event no row
    event: bool = False  # an event is about to be written, before all that
    writer: tuple | None = None  # (code, line) of who will write the next events, after all that


EVENT = "event"  # the mark of a statement in whose place one is about to be written; another mark is its writer
PACK = "if len(numbers) > 4096: pack()"  # a number in a list takes five times the memory
PLACES = {}  # {Place: its number}, of all twins
FIRST = -1 << 63  # the number of the first of them as it is appended: nothing that is written is as low


def number_of(place):
    """The number of a place as it is appended; places that note the same share it."""
    return FIRST + PLACES.setdefault(place, len(PLACES))


class Noting:
    """Adds to the statements of a twin those that note what it writes."""

    def __init__(self):
        self.numbers, self.writes, self.event = [], [], False

    def block(self, nodes):
        """The statements, each run of writes with a note behind it."""
        lines = []
        for node in nodes:
            columns = [one for one in targets(node) if noted(one, node.value)]
            mark = getattr(node, "mark", None)
            if columns:
                lines += self.note(node) if runs(node) else []
                lines += self.store(node, columns)
            elif targets(node) and not runs(node):
                lines += [*(self.note(node) if self.uses(targets(node)) else []), node]
            elif mark == EVENT:
                lines += [*self.note(node), ast.copy_location(ast.parse(PACK).body[0], node)]
                self.event = True
            elif mark:
                lines += self.note(node, writer=mark)
            else:
                lines += [*self.note(node), self.compound(node)]
        return lines + (self.note(nodes[-1]) if nodes else [])

    def uses(self, given):
        """Whether a variable that gets another value is among the numbers."""
        given = [one for target in given for one in ast.walk(target) if isinstance(one, ast.Name)]
        names = {one.id for one in given if isinstance(one.ctx, ast.Store)}
        return any(isinstance(one, ast.Name) and one.id in names for one in self.numbers)

    def compound(self, node):
        """A statement with others within."""
        made = copied(node)
        for field in ("body", "orelse"):
            if hasattr(node, field):
                setattr(made, field, self.block(getattr(node, field)))
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
            row = 0 if in_event(target) else self.number(target.slice, lines)
            to = copied(target)
            to.slice = target.slice if in_event(target) else self.numbers[row]
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
        numbers = [getattr(one, "value", None) for one in self.numbers]
        place = Place(tuple(numbers), tuple(self.writes), self.event, writer)
        new = [one for one in self.numbers if not isinstance(one, ast.Constant)]
        self.numbers, self.writes, self.event = [], [], False
        if place == Place():
            return []
        number = ast.Constant(number_of(place))
        line = called("note", ast.Tuple([number, *new], ast.Load())) if new else called("note_one", number)
        return [ast.copy_location(line, node)]


def noted(element, value):
    """Whether it is noted that an element gets a value; what an event gets from k.sys follows from the rest."""
    if in_event(element):
        return not getattr(value, "column", "").startswith("sys__")
    return getattr(element, "column", "").split("__")[0] in TABLES


def in_event(element):
    """Whether an element is one of the trace, where nobody asks for the row: events stand there in their order."""
    return getattr(element, "column", "").startswith("event__")


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
