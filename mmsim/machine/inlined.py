"""Calls of small functions, replaced by what they do.

A call of Python costs as much as reading two columns, and most functions of the kernel are that small.  What stands
where a call was has the line of the call.
"""

import ast
import copy
import functools
import itertools

SMALL = 100  # nodes of a function that is put where it is called
BYTES = 4  # of code, at least, that such a node makes where nothing is known
numbers = itertools.count()


class Inliner:
    """The part of `interpreted.Twin` that deals with calls; one that was visited has (function, types) as `callee`."""

    def as_expression(self, call):
        """The expression that a function returns, if that is all that it does; else the call."""
        made = self.small(call)
        if not made or len(made.body) > 1 or not isinstance(made.body[0], ast.Return) or calls(made.body[0].value):
            return call
        names, value = [one.arg for one in made.args.args], made.body[0].value
        used = [node.id for node in ast.walk(value) if isinstance(node, ast.Name)]
        if any(not simple(arg) and (calls(arg) or used.count(name) > 1)
               for name, arg in zip(names, call.args, strict=True)):  # fmt: skip
            return call
        return Renamed(dict(zip(names, call.args, strict=True)), call).visit(value)

    def as_statement(self, value, give, node):
        """Statements that compute a value and do with it what `give` says, which makes statements; None: return it."""
        lines = self.inlined(value, give) if getattr(value, "callee", None) else None
        if lines is None:
            lines = [ast.Return(value)] if give is None else give(value)
        return [ast.copy_location(line, node) for line in lines]

    def before(self, test, node):
        """Of a condition that begins with the call of a small function: what that does, and then the condition."""
        holder, field = None, None
        one = test
        while not getattr(one, "callee", None):
            if isinstance(one, ast.UnaryOp):
                holder, field, one = one, "operand", one.operand
            elif isinstance(one, ast.Compare):
                holder, field, one = one, "left", one.left
            else:
                return [], test
        name = f"answer__{next(numbers)}"
        if self.inlined(one, lambda answer: [answer]) is None:
            return [], test
        lines = self.as_statement(one, lambda answer: [ast.Assign([ast.Name(name, ast.Store())], answer)], node)
        if holder is None:
            return lines, ast.Name(name, ast.Load())
        setattr(holder, field, ast.Name(name, ast.Load()))
        return lines, test

    def small(self, call):
        """The definition of the function that is called, if that is small; else None."""
        function, types = call.callee
        if len(function.__code__.co_code) > BYTES * SMALL:
            return None  # without a look at what it calls
        made = self.program.tree(function, types)
        return made if made and facts(made)[0] <= SMALL else None

    def inlined(self, call, give):
        """What a function does, in place of its call: statements; None if that cannot be."""
        made = self.small(call)
        if not made:
            return None
        mark = f"__{next(numbers)}"
        changed = facts(made)[1]
        values, lines = {name: ast.Name(name + mark) for name in changed}, []
        for parameter, arg in zip((one.arg for one in made.args.args), call.args, strict=True):
            if simple(arg) and parameter not in changed:
                values[parameter] = arg
            else:
                lines.append(ast.Assign([ast.Name(parameter + mark, ast.Store())], arg))
                values[parameter] = ast.Name(parameter + mark)
        body = Renamed(values, call).lines(made.body)
        if give is None:
            return lines + body + ([] if ends(body) else [ast.Return(None)])
        body = tail(body, give)
        return None if body is None else lines + body


class Folding(ast.NodeTransformer):
    """A copy that leaves out what the source decides: operands, branches."""

    def visit(self, node):
        return super().visit(copied(node))

    def visit_BoolOp(self, node):
        """All operands but the last one are asked for their truth alone."""
        decides, values = isinstance(node.op, ast.Or), []
        *most, last = node.values
        for one in map(self.visit, most):
            if not isinstance(one, ast.Constant):
                values.append(one)
            elif bool(one.value) == decides:
                values.append(one)
                break
        else:
            values.append(self.visit(last))
        return ast.BoolOp(node.op, values) if len(values) > 1 else values[0]

    def visit_UnaryOp(self, node):
        operand = self.visit(node.operand)
        return folded(ast.UnaryOp(node.op, operand), operand)

    def visit_BinOp(self, node):
        left, right = self.visit(node.left), self.visit(node.right)
        return folded(ast.BinOp(left, node.op, right), left, right)

    def visit_Compare(self, node):
        left, right = self.visit(node.left), self.visit(node.comparators[0])
        return folded(ast.Compare(left, node.ops, [right]), left, right)

    def visit_IfExp(self, node):
        test = self.visit(node.test)
        if isinstance(test, ast.Constant):
            return self.visit(node.body if test.value else node.orelse)
        return ast.IfExp(test, self.visit(node.body), self.visit(node.orelse))

    def visit_If(self, node):
        test = self.visit(node.test)
        if isinstance(test, ast.Constant):
            return self.lines(node.body if test.value else node.orelse)
        body = self.lines(node.body) or [ast.Pass()]
        return ast.copy_location(ast.If(test, body, self.lines(node.orelse)), node)

    def lines(self, nodes):
        """What becomes of some statements, up to one that ends them."""
        found = []
        for node in nodes:
            made = self.visit(node)
            found += made if isinstance(made, list) else [made]
            if ends(found):
                break
        return found


class Renamed(Folding):
    """A copy, on the line of a call, in which some names stand for others, or for values."""

    def __init__(self, values, call):
        self.values, self.call = values, call

    def visit(self, node):
        made = super().visit(node)
        return ast.copy_location(made, self.call) if isinstance(made, (ast.expr, ast.stmt)) else made

    def visit_Name(self, node):
        if node.id not in self.values:
            return node
        made = copy.copy(self.values[node.id])
        if isinstance(made, ast.Name):
            made.ctx = node.ctx
        return made


@functools.cache
def facts(definition):
    """How many nodes there are in a definition, and the names that are given values there."""
    nodes = list(ast.walk(definition))
    return len(nodes), {one.id for one in nodes if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}


def copied(node):
    """A copy of a node, with lists of its own."""
    made = type(node)()
    made.__dict__.update((name, [*value] if type(value) is list else value) for name, value in vars(node).items())
    return made


def folded(node, *operands):
    """A known value instead of an expression of known ones."""
    if not all(isinstance(one, ast.Constant) for one in operands):
        return node
    whole = ast.fix_missing_locations(ast.Expression(copy.deepcopy(node)))
    return ast.Constant(eval(compile(whole, "known", "eval")))


def dropped(answer):
    """What `give` is where nobody wants the answer."""
    return [ast.Expr(answer)] if calls(answer) else []


def called(name, *arguments):
    """A statement that calls a function."""
    return ast.Expr(ast.Call(ast.Name(name, ast.Load()), [*arguments], []))


def simple(node):
    """Whether it costs nothing to have an expression several times."""
    return isinstance(node, (ast.Constant, ast.Name))


def calls(node):
    """Whether there is a call in an expression."""
    return any(isinstance(one, ast.Call) for one in ast.walk(node))


def ends(lines):
    """Whether nothing comes after some statements."""
    last = lines[-1] if lines else None
    if isinstance(last, ast.If):
        return ends(last.body) and ends(last.orelse)
    return isinstance(last, (ast.Return, ast.Break, ast.Continue))


def returns(line):
    """Whether there is a return in a statement."""
    return any(isinstance(one, ast.Return) for one in ast.walk(line))


def tail(lines, give):
    """Statements that give their answer away instead of returning it; None where a return is in a loop."""
    for at, line in enumerate(lines):
        rest = lines[at + 1 :]
        if isinstance(line, ast.Return):
            return lines[:at] + give(line.value or ast.Constant(None))
        if returns(line):
            if not isinstance(line, ast.If):
                return None
            if rest and not ends(line.body) and not ends(line.orelse):
                return None  # the rest would be there twice
            body = tail(line.body + ([] if ends(line.body) else rest), give)
            orelse = tail(line.orelse + ([] if ends(line.orelse) else rest), give)
            if body is None or orelse is None:
                return None
            return [*lines[:at], ast.If(line.test, body or [ast.Pass()], orelse)]
    return lines + give(ast.Constant(None))
