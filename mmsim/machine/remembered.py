"""Elements of columns that were just read or written, kept in variables while nothing can have changed them.

To read an element once more costs ten times what a variable costs.  A call of another twin, or a loop, may change all.
"""

import ast
import itertools

from .inlined import copied, ends


class Remembering(ast.NodeTransformer):
    """Makes the statements of a twin anew, in the order in which they run.

    `known`: {(column, row): a variable or number that is the element}, `equal`: {variable: one that has its value}.
    A row is the name of a variable, or a number.
    """

    def __init__(self):
        self.known, self.equal, self.used, self.numbers = {}, {}, set(), itertools.count()

    def definition(self, tree):
        """The definition of a twin."""
        made = copied(tree)
        made.body = self.block(tree.body)
        return Needed(self.used).visit(made)

    def block(self, nodes):
        """Some statements, one after the other."""
        return [self.visit(node) for node in nodes]

    def visit(self, node):
        return super().visit(copied(node))

    def place(self, element):
        """(column, row) of an element; None where its row is computed, or it is of no column."""
        row = getattr(element.slice, "target", element.slice)
        row = getattr(row, "id", getattr(row, "value", None))
        known = is_element(element) and isinstance(row, (str, int))
        return (element.column, self.equal.get(row, row)) if known else None

    def keep(self, place):
        """A new variable for an element, which is there only if somebody asks for it."""
        name = f"known__{next(self.numbers)}"
        self.known[place] = ast.Name(name, ast.Load())
        return ast.Name(name, ast.Store())

    def forget(self, name):
        """A variable gets another value."""
        self.equal = {one: other for one, other in self.equal.items() if name not in (one, other)}
        self.known = {place: one for place, one in self.known.items() if name not in (place[1], text(one))}

    # -- expressions

    def visit_Subscript(self, node):
        node.slice = self.visit(node.slice)
        place = self.place(node)
        if place in self.known:
            self.used.add(text(self.known[place]))
            return copied(self.known[place])
        return ast.NamedExpr(self.keep(place), node) if place else node

    def visit_Call(self, node):
        node = self.generic_visit(node)
        if hasattr(node, "callee"):
            self.known = {}
        return node

    def visit_BoolOp(self, node):
        node.values = [self.visit(node.values[0]), *self.perhaps(node.values[1:])]
        return node

    def visit_IfExp(self, node):
        node.test = self.visit(node.test)
        (node.body,), (node.orelse,) = self.perhaps([node.body]), self.perhaps([node.orelse])
        return node

    def perhaps(self, nodes):
        """Expressions that may not be looked at: what they read is not known afterwards."""
        before, made = self.known.copy(), self.block(nodes)
        self.known = both(before, self.known)
        return made

    # -- statements

    def visit_Assign(self, node):
        (first, *_), read = node.targets, is_element(node.value)
        node.value = self.visit(node.value)
        place = None
        if isinstance(first, ast.Name) and read and isinstance(node.value, ast.NamedExpr):
            node.value = node.value.value  # it has a variable already
            place = self.place(node.value)
            del self.known[place]
        targets = []
        for target in map(copied, node.targets):
            self.locate(target)
            self.changed(target)
            targets += self.written(target, node.value)
        node.targets = targets
        if place and first.id != place[1]:
            self.known[place] = ast.Name(first.id, ast.Load())
        elif isinstance(first, ast.Name) and isinstance(node.value, ast.Name):
            self.equal[first.id] = self.equal.get(node.value.id, node.value.id)
        return node

    def locate(self, target):
        """The row of what is written."""
        if isinstance(target, ast.Subscript):
            target.slice = self.visit(target.slice)

    def changed(self, target):
        """Forget what is no longer true when a target is written."""
        if isinstance(target, ast.Subscript):
            column = getattr(target, "column", None)
            self.known = {place: one for place, one in self.known.items() if place[0] != column}
        else:
            for one in ast.walk(target):
                self.forget(getattr(one, "id", None))

    def written(self, target, value):
        """The targets by which an element stays known: itself, and a variable if the value has none."""
        place = isinstance(target, ast.Subscript) and self.place(target)
        if place and not isinstance(value, (ast.Name, ast.Constant)):
            return [self.keep(place), target]
        if place:
            self.known[place] = value
        return [target]

    def visit_AugAssign(self, node):
        if isinstance(node.target, ast.Subscript) and self.place(node.target):
            old = copied(node.target)
            old.ctx = ast.Load()
            made = ast.Assign([node.target], ast.BinOp(old, node.op, node.value))
            return self.visit(ast.copy_location(made, node))
        node.target = copied(node.target)
        self.locate(node.target)
        node.value = self.visit(node.value)
        self.changed(node.target)
        return node

    def visit_If(self, node):
        node.test = self.visit(node.test)
        before = self.known.copy(), self.equal.copy()
        node.body = self.block(node.body)
        after, (self.known, self.equal) = (self.known, self.equal), before
        node.orelse = self.block(node.orelse)
        if ends(node.orelse):
            self.known, self.equal = after
        elif not ends(node.body):
            self.known, self.equal = both(after[0], self.known), both(after[1], self.equal)
        return node

    def visit_While(self, node):
        self.known, self.equal = {}, {}
        node.test = self.visit(node.test)
        return self.loop(node)

    def visit_For(self, node):
        node.iter = self.visit(node.iter)
        self.known, self.equal = {}, {}
        return self.loop(node)

    def loop(self, node):
        """A loop, after which nothing is known."""
        node.body = self.block(node.body)
        self.known, self.equal = {}, {}
        return node


class Needed(ast.NodeTransformer):
    """Leaves out the variables for which nobody asked."""

    def __init__(self, used):
        self.used = used

    def visit_NamedExpr(self, node):
        self.generic_visit(node)
        return node if node.target.id in self.used else node.value

    def visit_Assign(self, node):
        self.generic_visit(node)
        node.targets = [one for one in node.targets if not self.idle(one)]
        return node

    def idle(self, target):
        """Whether that is one of them."""
        name = getattr(target, "id", "")
        return name.startswith("known__") and name not in self.used


def is_element(node):
    """Whether an expression is an element of a column."""
    return isinstance(node, ast.Subscript) and hasattr(node, "column")


def both(one, other):
    """What is known in either case."""
    return {key: value for key, value in one.items() if key in other and text(other[key]) == text(value)}


def text(node):
    """The name of a variable, or a number."""
    return getattr(node, "id", getattr(node, "value", node))
