"""The kernel's functions on columns: the same source, as Python runs it fastest.

To read ``k.mem_map[pfn].count`` Python makes an object for the row first.  The twin of a kernel function reads
``mem_map__count[pfn]``, an element of a memoryview, which takes a fifth of the time; while a long call runs, of a list,
which takes half of that.  A variable that is a row there is its number here; ``k`` is gone; the numbers of the modules
are constants.  Small functions stand where they are called (`mmsim.machine.inlined`).  Files and lines are those of the
source.

The code is made once a process, of each function when it is first called; a machine gives it its own columns.
"""

import ast
import builtins
import functools
import importlib
import inspect
import pkgutil
import struct
from collections import deque
from types import FunctionType, ModuleType

import numpy as np

from .. import mm
from .inlined import Folding, Inliner, called, dropped
from .layout import LAYOUT, is_off
from ..mm.structs import EVENT
from .noting import PACKERS, Mark, Noting, marked
from .signatures import is_k, name_of, source, whole

TRACE = f"{mm.__name__}.trace"
PACKED = struct.Struct("".join(EVENT[name].char for name in EVENT.names))  # an event as it lies in the ring
FEW, PART = 64, 16  # a call is long if it may look at more pages than FEW and one of so many of all frames


class Interpreted:
    """The twins of one machine.  `off`: what is known to be 0, as in `translate.Program`.

    `watch`: "observed", and `observer()` is called before an event is written; or "noted", and all that is written goes
    to `note()`, see `noting`, and `keep()` gets the events.
    """

    def __init__(self, off=(), watch=None, keep=None, **hooks):
        self.program, self.keep = program(off, watch), keep
        # the globals of all twins: hooks, columns, and twins
        self.space = {"__builtins__": builtins, "__name__": __name__, "packed": PACKED.pack} | hooks
        self.bound, self.parts, self.events = {}, {}, ()  # tables; their columns; what has happened
        self.named, self.written = set(), set()  # the columns that twins name, and those that they write
        self.held = None  # {column: a list of what it holds}, during a long call

    def bind(self, tables):
        """From now on these arrays are the tables."""
        for name, array in tables.items():
            if self.bound.get(name) is not array:
                self.bound[name] = array
                for field in array.dtype.names or ("",):
                    part = self.parts[column(name, field)] = array[field] if field else array
                    self.space[column(name, field)] = memoryview(part)
                if name == "event":
                    self.events = deque(maxlen=None if self.keep else len(array))
                    self.space["happened"] = self.events.append

    def let_go(self):
        """Give the tables free: twins name each other, and would hold them until Python looks for such circles."""
        self.space.clear()
        self.bound.clear()
        self.parts.clear()

    def __call__(self, function, types=None):
        """The twin of a kernel function that is called from Python."""
        types = types or (None,) * len(parameters(function))
        name = twin_name(function, types)
        if name not in self.space:
            self.make(name, function, types)
        return self.space[name]

    def run(self, function, pages, *args):
        """What a kernel function returns, which may look at so many pages."""
        try:
            if pages > FEW + len(self.bound["mem_map"]) // PART and self.program.watch != "observed":
                self.held = {}
                self.hold(self.named)
            return self(function)(*args)
        finally:
            self.let_down()
            self.write_events()

    def hold(self, columns):
        """Until `let_down` these are lists: Python reads and writes those in half the time."""
        for name in columns - self.held.keys():
            if self.parts[name].ndim == 1:
                self.held[name] = self.space[name] = self.parts[name].tolist()

    def let_down(self):
        """The tables get what was written."""
        held, self.held = self.held or {}, None
        self.space.update((name, memoryview(self.parts[name])) for name in held)
        for name in held.keys() & self.written:
            part, values = self.parts[name], held[name]
            part[:] = np.frombuffer(struct.pack(f"{len(values)}{part.dtype.char}", *values), part.dtype)

    def write_events(self):
        """The ring gets the events that have happened."""
        if self.events:
            events, ring = b"".join(self.events), self.bound["event"]
            self.events.clear()
            rows = np.frombuffer(events, EVENT)[-len(ring) :]
            first = (self.bound["sys"]["nr_events"][0] - len(rows)) % len(ring)
            end = len(ring) - first
            ring[first : first + len(rows)], ring[: max(len(rows) - end, 0)] = rows[:end], rows[end:]
            if self.keep:
                self.keep(events)

    def make(self, name, function, types):
        """Make a twin, and for each that it calls what makes that one when it is called."""
        code, callees, written = self.program.code(function, types)
        self.space.update(PACKERS)
        self.written |= written
        self.named |= self.parts.keys() & code.co_names
        if self.held is not None:
            self.hold(self.named)
        self.space[name] = FunctionType(code, self.space)
        for callee, what in callees.items():
            if callee not in self.space:
                self.space[callee] = functools.partial(self.first, callee, *what)
        return self.space[name]

    def first(self, name, function, types, *args):
        """The first call of a twin."""
        return self.make(name, function, types)(*args)


class Module(ModuleType):
    """A module of the kernel, which notes what was put there in place of what its source says (`edited`)."""

    def __setattr__(self, name, value):
        place = self.__name__, name
        source = edited.get(place, vars(self).get(name))
        super().__setattr__(name, value)
        if value is source:
            edited.pop(place, None)
        elif not name.startswith("__"):  # those are for the import system
            edited[place] = source


edited = {}  # {(module, name): what the source says}: an exercise puts a function or a number there, or a test does
for module in pkgutil.iter_modules(mm.__path__):
    importlib.import_module(f"{mm.__name__}.{module.name}").__class__ = Module


def has_twin(function):
    """Whether a function is one of the kernel's own, and nothing there is other than its source says."""
    return not edited and inspect.isfunction(function) and function.__module__.rpartition(".")[0] == mm.__name__


def parameters(function):
    """The names of what a twin takes."""
    return [name for name in function.__code__.co_varnames[: function.__code__.co_argcount] if name != "k"]


def column(table, field):
    """What a column is called in twins."""
    return f"{table}__{field or 'rows'}"


@functools.cache
def twin_name(function, types):
    """What a twin is called by others; `types`: for each argument but k the table of which it is a row, or None."""
    return "__".join([name_of(function).replace(".", "__"), *(one or "" for one in types)]).rstrip("_")


@functools.cache
def program(off, watch=None):
    """The one Program of its kind."""
    return Program(off, watch)


class Program:
    """The code of twins, for all machines."""

    def __init__(self, off, watch=None):
        self.off, self.watch = off, watch
        self.trees, self.codes = {}, {}

    def tree(self, function, types):
        """The definition of a twin; None while it is made, as for a function that calls itself."""
        key = function, types
        if key not in self.trees:
            self.trees[key] = None
            self.trees[key] = Twin(self, function, types).definition()
        return self.trees[key]

    def code(self, function, types):
        """The code of a twin; what it calls, {twin_name: (function, types)}; the columns that it writes."""
        key = function, types
        if key not in self.codes:
            tree = self.tree(*key)
            stored = (one for one in ast.walk(tree) if isinstance(getattr(one, "ctx", None), ast.Store))
            written = {one.column for one in stored if hasattr(one, "column")}
            tree = ast.Module([Noting().compound(tree) if self.watch == "noted" else tree], [])
            made = compile(ast.fix_missing_locations(tree), inspect.getsourcefile(function), "exec")
            body = next(one for one in made.co_consts if inspect.iscode(one))
            callees = {call.func.id: call.callee for call in ast.walk(tree) if hasattr(call, "callee")}
            self.codes[key] = body, callees, written
        return self.codes[key]


class Twin(Inliner, Folding):
    """Makes the definition of a twin; a node that is a row has the name of its table as `table`."""

    def __init__(self, program, function, types):
        self.program, self.function, self.event = program, function, {}
        self.tables = dict(zip(parameters(function), types, strict=True))  # {variable: whose row it is, or None}

    def definition(self):
        """The definition on columns."""
        tree = source(self.function)
        body = tree.body[1:] if ast.get_docstring(tree, clean=False) else tree.body
        arguments = ast.arguments([], [ast.arg(one) for one in self.tables], None, [], [], None, [])
        made = ast.FunctionDef(tree.name, arguments, self.statements(body), [], lineno=tree.lineno)
        return ast.copy_location(made, tree)

    def statements(self, nodes):
        """Some statements on columns."""
        return self.lines(nodes) or [ast.Pass()]

    # -- tables, rows, columns

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Load):
            if node.id in self.tables or node.id in self.function.__code__.co_varnames:
                return row(ast.Name(node.id, node.ctx), self.tables.get(node.id))
            value = self.function.__globals__.get(node.id)
            if isinstance(value, (int, tuple)):
                return ast.Constant(value)
        return ast.Name(node.id, node.ctx)

    def visit_Attribute(self, node):
        if whole(node):
            return row(ast.Constant(0), node.attr)
        base = self.visit(node.value)
        if (base.table, node.attr) == ("sys", "tracing") and self.program.watch:
            return ast.Constant(1)
        if is_off(base.table, node.attr, self.program.off):
            return ast.Constant(0)
        return element(base.table, node.attr, base, node.ctx)

    def visit_Subscript(self, node):
        table, index = whole(node.value), self.visit(node.slice)
        if table and (LAYOUT[table].names or LAYOUT[table].shape):
            return row(index, table)
        if table:
            return element(table, "", index, node.ctx)
        base = self.visit(node.value)
        if getattr(base, "table", None):  # a line of a matrix
            return element(base.table, "", ast.Tuple([base, index], ast.Load()), node.ctx)
        return ast.Subscript(base, index, node.ctx)

    def visit_Call(self, node):
        name = getattr(node.func, "id", "")
        callee, table = self.function.__globals__.get(name), name == "len" and whole(node.args[0])
        if table:
            return ast.Call(node.func, [ast.Name(column(table, (LAYOUT[table].names or [""])[0]), ast.Load())], [])
        if not inspect.isfunction(callee):
            return self.generic_visit(node)
        arguments = [self.visit(one) for one in node.args if not is_k(one)]
        types = tuple(getattr(one, "table", None) for one in arguments)
        call = ast.Call(ast.Name(twin_name(callee, types), ast.Load()), arguments, [])
        call.callee = callee, types
        return self.as_expression(ast.copy_location(call, node))

    def visit_Assign(self, node):
        value = self.visit(node.value)
        targets = [self.visit(one) for one in node.targets]
        table, (target, *more) = getattr(value, "table", None), targets
        if isinstance(node.targets[0], ast.Name):
            self.tables[target.id] = table
            if table == "event" and self.program.watch != "observed":
                return [marked(Mark())] if self.program.watch else []
            if not more:
                lines = self.as_statement(value, lambda answer: [ast.Assign([target], answer)], node)
                return [called("observer"), *lines] if table == "event" else lines
        elif getattr(target, "column", "").startswith("event__") and self.program.watch != "observed":
            return self.happens(target.column, value, node)
        elif table:  # a whole row is copied
            pairs = [[element(table, field, one, ctx) for one, ctx in ((target, ast.Store()), (value, ast.Load()))]
                     for field in LAYOUT[table].names]  # fmt: skip
            return [ast.copy_location(ast.Assign([to], one), node) for to, one in pairs]
        return ast.copy_location(ast.Assign(targets, value), node)

    def happens(self, name, value, node):
        """What becomes of giving a column of the trace a value: with the last one, the event is there."""
        self.event[name] = value
        row = [self.event.get(column("event", field)) for field in EVENT.names]
        if None in row:
            return []
        self.event = {}
        return ast.copy_location(called("happened", ast.Call(ast.Name("packed", ast.Load()), row, [])), node)

    # -- what is known before, and where calls are

    def visit_If(self, node):
        test = self.visit(node.test)
        if isinstance(test, ast.Constant):
            return self.statements(node.body if test.value else node.orelse)
        before, test = self.before(test, node)
        body, orelse = self.statements(node.body), self.statements(node.orelse) if node.orelse else []
        return [*before, ast.copy_location(ast.If(test, body, orelse), node)]

    def visit_While(self, node):
        return ast.copy_location(ast.While(self.visit(node.test), self.statements(node.body), []), node)

    def visit_For(self, node):
        self.tables[node.target.id] = None
        made = ast.For(node.target, self.visit(node.iter), self.statements(node.body), [])
        return ast.copy_location(made, node)

    def visit_Return(self, node):
        value = self.visit(node.value) if node.value else None
        return self.as_statement(value, None, node)

    def visit_Expr(self, node):
        value = self.visit(node.value)
        lines, callee = self.as_statement(value, dropped, node), getattr(value, "callee", None)
        if self.program.watch == "noted" and callee and callee[0].__module__ == TRACE != self.function.__module__:
            self.sign(lines, node)
        return lines

    def sign(self, lines, node):
        """The events that some statements write, or call for, are written on the line of a node."""
        writer = self.function.__code__, node.value.lineno
        events = [one for line in lines for one in ast.walk(line) if hasattr(one, "mark")]
        for one in events:
            one.mark = one.mark._replace(writer=writer)
        if not events:
            lines.insert(0, ast.copy_location(marked(Mark(False, writer)), node))


def row(index, table):
    """An index that is the number of a row of a table; None: of none."""
    index.table = table
    return index


def element(table, field, index, ctx):
    """An element of a column."""
    made = ast.Subscript(ast.Name(column(table, field), ast.Load()), index, ctx)
    made.column = column(table, field)
    return made
