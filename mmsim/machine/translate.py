"""The kernel's functions in the language of LLVM, of which `mmsim.machine.compiled` makes machine code.

The kernel (`mmsim.mm`) keeps to a small part of Python: integers of 64 bits, the tables of `k`, their rows and columns,
``if``, ``while``, ``for`` over a ``range``, and calls of each other.  Each expression and each statement of that has a
method below, named after its class in `ast`.  Whatever else stands in a kernel function is refused, with its line.

A value is a number, known (a Python int) or computed (an ir.Value of 64 bits); a Pointer; or a tuple of numbers.
"""

import ast
import functools
import inspect
import operator

from llvmlite import ir

from .columns import BYTES, INT, ROWS, Columns, Pointer, number
from .layout import BY_NODE, is_off, K, LAYOUT, ROW, TABLE
from .signatures import NUMBER, name_of, results, source, types_of, whole

COMPARE = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
# In Python, and in an ir.IRBuilder.
ARITHMETIC = {
    ast.Add: (operator.add, "add"), ast.Sub: (operator.sub, "sub"), ast.Mult: (operator.mul, "mul"),
    ast.BitAnd: (operator.and_, "and_"), ast.BitOr: (operator.or_, "or_"), ast.BitXor: (operator.xor, "xor"),
    ast.LShift: (operator.lshift, "shl"),
    ast.RShift: (operator.rshift, "ashr"), ast.FloorDiv: (operator.floordiv, None), ast.Mod: (operator.mod, None),
}  # fmt: skip


class Program:
    """A module of LLVM with some kernel functions and all that they call.

    `off`: what is known to be 0, as layout.is_off() has it; what that switches is neither translated nor asked for at
    run time.  `hot`: functions that stand in place of each call; `apart`: those that never do; `sparing`: those that
    leave the registers of their callers alone.
    """

    def __init__(self, functions, off=(), hot=(), apart=(), sparing=()):
        self.module = ir.Module("kernel")
        self.off, self.hot, self.apart, self.sparing = off, hot, apart, sparing
        self.made, self.waiting = {}, []
        for function in functions:
            self.function(function, types_of(function)).linkage = ""  # Python finds it by its name
        while self.waiting:
            Translation(self, *self.waiting.pop()).run()

    def function(self, function, types):
        """The ir.Function of a kernel function for arguments of some types; its body is translated in its turn."""
        if (function, types) not in self.made:
            width = results(function) or 1
            answer = INT if width == 1 else ir.LiteralStructType([INT] * width)
            kind = ir.FunctionType(answer, [INT if one == NUMBER else BYTES for one in types])
            made = ir.Function(self.module, kind, self.module.get_unique_name(name_of(function)))
            made.linkage = "internal"
            made.attributes.add("nounwind")
            if function in self.hot:
                made.attributes.add("alwaysinline")
            if function in self.apart:
                made.attributes.add("noinline")
            if function in self.sparing:
                made.calling_convention = "preserve_mostcc"
            self.made[function, types] = made
            self.waiting.append((function, types, made))
        return self.made[function, types]


class Translation:
    """The translation of one function for arguments of some types."""

    def __init__(self, program, function, types, made):
        self.program, self.function, self.made = program, function, made
        self.variables = ir.IRBuilder(made.append_basic_block("variables"))  # each a slot; LLVM makes registers of them
        self.slots = {}  # {name: (slot, what it points to or NUMBER)}
        self.builder = ir.IRBuilder(made.append_basic_block("body"))
        self.columns = Columns(self.builder, program.module)
        self.loops = []  # [(where continue goes, where break goes)]
        for argument, one, name in zip(made.args, types, function.__code__.co_varnames, strict=False):
            self.assign_name(name, argument if one == NUMBER else Pointer(*one, argument))

    def run(self):
        """Translate the body."""
        self.statements(source(self.function).body)
        if not self.builder.block.is_terminated:
            self.builder.unreachable() if self.made.ftype.return_type != INT else self.builder.ret(INT(0))
        self.variables.branch(self.made.blocks[1])

    def refuse(self, node, why):
        """Raise the error for what is not in the kernel's language."""
        raise SyntaxError(f"{inspect.getsourcefile(self.function)}, line {node.lineno}: {ast.unparse(node)}: {why}")

    def blocks(self, number_of):
        """Some new blocks."""
        return [self.made.append_basic_block() for _ in range(number_of)]

    def go_on(self, block):
        """Leave the block for another one, if it is not left already."""
        if not self.builder.block.is_terminated:
            self.builder.branch(block)

    # -- statements

    def statements(self, nodes):
        """Translate some statements, up to one that leaves the block."""
        for node in nodes:
            if self.builder.block.is_terminated:
                break
            translate = getattr(self, f"do_{type(node).__name__}", None)
            translate(node) if translate else self.refuse(node, "the kernel has no such statement")

    def do_Pass(self, _node):
        """Nothing."""

    def do_Expr(self, node):
        if not isinstance(node.value, ast.Constant):  # a contract
            self.value(node.value)

    def do_Return(self, node):
        answer = self.value(node.value) if node.value else 0
        if isinstance(answer, tuple):
            struct = ir.Constant(self.made.ftype.return_type, ir.Undefined)
            for at, one in enumerate(answer):
                struct = self.builder.insert_value(struct, number(one), at)
            answer = struct
        self.builder.ret(number(answer))

    def do_Assign(self, node):
        value = self.value(node.value)
        for target in node.targets:
            self.assign(target, value)

    def do_AugAssign(self, node):
        if isinstance(node.target, ast.Name):
            self.assign_name(node.target.id, self.arithmetic(node, self.value(node.target), self.value(node.value)))
        else:
            place = self.place(node.target)
            self.columns.store(place, self.arithmetic(node, self.columns.load(place), self.value(node.value)))

    def assign(self, target, value):
        """Give a name, a column, a row, or each of a tuple of such a value."""
        if isinstance(target, ast.Tuple):
            for one, part in zip(target.elts, value, strict=True):
                self.assign(one, part)
        elif isinstance(target, ast.Name):
            self.assign_name(target.id, value)
        elif isinstance(value, Pointer):
            self.columns.copy(self.place(target), value)
        else:
            self.columns.store(self.place(target), value)

    def assign_name(self, name, value):
        """Give a variable a value."""
        kind, value = (value.type, value.address) if isinstance(value, Pointer) else (NUMBER, number(value))
        if name not in self.slots:
            self.slots[name] = self.variables.alloca(value.type, name=name), kind
        slot, before = self.slots[name]
        if kind != before:
            raise SyntaxError(f"{name_of(self.function)}: {name} is {before} and {kind}")
        self.builder.store(value, slot)

    def do_If(self, node):
        known = self.known(node.test)
        if known is not None:
            self.statements(node.body if known else node.orelse)
            return
        yes, no, after = self.blocks(3)
        self.branch(node.test, yes, no)
        for block, nodes in ((yes, node.body), (no, node.orelse)):
            self.builder.position_at_end(block)
            self.statements(nodes)
            self.go_on(after)
        self.builder.position_at_end(after)

    def do_While(self, node):
        test, body, after = self.blocks(3)
        self.builder.branch(test)
        self.builder.position_at_end(test)
        self.branch(node.test, body, after)
        self.builder.position_at_end(body)
        self.loop(node.body, test, after)

    def do_For(self, node):
        if not (isinstance(node.iter, ast.Call) and ast.unparse(node.iter.func) == "range"):
            self.refuse(node.iter, "the kernel has loops over ranges only")
        bounds = [self.value(one) for one in node.iter.args]
        start, stop, step = [0, *bounds, 1] if len(bounds) == 1 else [*bounds, 1][:3]
        test, body, again, after = self.blocks(4)
        counter = self.variables.alloca(INT)  # the body may change the variable, and not the course of the loop
        self.builder.store(number(start), counter)
        self.builder.branch(test)
        self.builder.position_at_end(test)
        now = self.builder.load(counter)
        self.builder.cbranch(self.builder.icmp_signed("<" if step > 0 else ">", now, number(stop)), body, after)
        self.builder.position_at_end(again)
        self.builder.store(self.builder.add(self.builder.load(counter), INT(step)), counter)
        self.builder.branch(test)
        self.builder.position_at_end(body)
        self.assign_name(node.target.id, now)
        self.loop(node.body, again, after)

    def loop(self, nodes, again, after):
        """The body of a loop, and the way out of it."""
        self.loops.append((again, after))
        self.statements(nodes)
        self.loops.pop()
        self.go_on(again)
        self.builder.position_at_end(after)

    def do_Continue(self, _node):
        self.builder.branch(self.loops[-1][0])

    def do_Break(self, _node):
        self.builder.branch(self.loops[-1][1])

    # -- conditions

    def known(self, node):
        """Whether a condition holds, if the source says it; None if it does not."""
        if isinstance(node, ast.Constant) or self.is_off(node):
            return bool(self.value(node))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return {None: None, True: False, False: True}[self.known(node.operand)]
        if isinstance(node, ast.BoolOp):
            decides, known = isinstance(node.op, ast.Or), [self.known(one) for one in node.values]
            return decides if decides in known else None if None in known else not decides
        return None

    def is_off(self, node):
        """Whether an expression is a switch that is off."""
        return isinstance(node, ast.Attribute) and is_off(whole(node.value), node.attr, self.program.off)

    def branch(self, node, yes, no):
        """Go to one of two blocks by a condition."""
        if self.known(node) is not None:
            self.builder.branch(yes if self.known(node) else no)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            self.branch(node.operand, no, yes)
        elif isinstance(node, ast.BoolOp):
            *most, last = [one for one in node.values if self.known(one) is None]
            for one in most:
                (following,) = self.blocks(1)
                self.branch(one, *((yes, following) if isinstance(node.op, ast.Or) else (following, no)))
                self.builder.position_at_end(following)
            self.branch(last, yes, no)
        else:
            self.builder.cbranch(self.bit(node), yes, no)

    def bit(self, node):
        """A condition as one bit."""
        if not isinstance(node, ast.Compare):
            return self.builder.icmp_signed("!=", number(self.value(node)), INT(0))
        if len(node.ops) > 1:
            self.refuse(node, "the kernel compares two numbers")
        (op,), left, right = node.ops, number(self.value(node.left)), self.value(node.comparators[0])
        if type(op) in COMPARE:
            return self.builder.icmp_signed(COMPARE[type(op)], left, number(right))
        found = functools.reduce(self.builder.or_, [self.builder.icmp_signed("==", left, number(one)) for one in right])
        return found if isinstance(op, ast.In) else self.builder.not_(found)

    # -- expressions

    def value(self, node):
        """What an expression is."""
        translate = getattr(self, f"of_{type(node).__name__}", None)
        return translate(node) if translate else self.refuse(node, "the kernel has no such expression")

    def of_Constant(self, node):
        return int(node.value)

    def of_Name(self, node):
        if node.id in self.slots:
            slot, kind = self.slots[node.id]
            value = self.builder.load(slot)
            return value if kind == NUMBER else Pointer(*kind, value)
        value = self.function.__globals__.get(node.id)
        return value if isinstance(value, (int, tuple)) else self.refuse(node, "is no number, and has no value")

    def of_Tuple(self, node):
        return tuple(self.value(one) for one in node.elts)

    def of_Attribute(self, node):
        if self.is_off(node):
            return 0
        base = self.value(node.value)
        return self.columns.table(base, node.attr) if base.kind == K else self.columns.load(self.place(node, base))

    def of_Subscript(self, node):
        item = self.place(node)
        return item if isinstance(item, Pointer) else self.columns.load(item)

    def place(self, node, base=None):
        """A row, or the place of a number, as mmsim.machine.columns has it."""
        base = base or self.value(node.value)
        if isinstance(node, ast.Subscript):
            return self.columns.item(base, self.value(node.slice))
        if base.kind != ROW or node.attr not in (LAYOUT[base.table].names or ()):
            self.refuse(node, "is no column")
        return self.columns.field(base, node.attr)

    def of_UnaryOp(self, node):
        if isinstance(node.op, ast.Not):
            return self.builder.zext(self.builder.not_(self.bit(node.operand)), INT)
        value, minus = self.value(node.operand), isinstance(node.op, ast.USub)
        if isinstance(value, int):
            return -value if minus else ~value
        return self.builder.neg(value) if minus else self.builder.not_(value)

    def of_BinOp(self, node):
        return self.arithmetic(node, self.value(node.left), self.value(node.right))

    def arithmetic(self, node, left, right):
        """Two numbers make one; a known one of known ones."""
        if type(node.op) not in ARITHMETIC:
            self.refuse(node, "is no arithmetic of the kernel")
        known, computed = ARITHMETIC[type(node.op)]
        if isinstance(left, int) and isinstance(right, int):
            return known(left, right)
        if computed:
            flags = ("nsw",) if computed in ("add", "sub", "mul") else ()  # no number of a machine grows that large
            return getattr(self.builder, computed)(number(left), number(right), flags=flags)
        return self.divide(number(left), number(right), rest=isinstance(node.op, ast.Mod))

    def divide(self, left, right, rest):
        """Python rounds down where the processor rounds towards 0.  No divisor is ever 0."""
        quotient, remainder = self.builder.sdiv(left, right), self.builder.srem(left, right)
        different = self.builder.icmp_signed("<", self.builder.xor(remainder, right), INT(0))  # in sign
        down = self.builder.and_(different, self.builder.icmp_signed("!=", remainder, INT(0)))
        if rest:
            return self.builder.add(remainder, self.builder.select(down, right, INT(0)))
        return self.builder.sub(quotient, self.builder.zext(down, INT))

    def of_Compare(self, node):
        return self.builder.zext(self.bit(node), INT)

    def of_BoolOp(self, node):
        """The first operand that decides, or the last one."""
        if self.known(node) is not None:
            return int(self.known(node))
        answer, (after,) = self.variables.alloca(INT), self.blocks(1)
        *most, last = [one for one in node.values if self.known(one) is None]
        for one in most:
            value, (following,) = number(self.value(one)), self.blocks(1)
            self.builder.store(value, answer)
            true = self.builder.icmp_signed("!=", value, INT(0))
            self.builder.cbranch(true, *((after, following) if isinstance(node.op, ast.Or) else (following, after)))
            self.builder.position_at_end(following)
        self.builder.store(number(self.value(last)), answer)
        self.builder.branch(after)
        self.builder.position_at_end(after)
        return self.builder.load(answer)

    def of_IfExp(self, node):
        if self.known(node.test) is not None:
            return self.value(node.body if self.known(node.test) else node.orelse)
        yes, no, after = self.blocks(3)
        self.branch(node.test, yes, no)
        slots = []
        for block, one in ((yes, node.body), (no, node.orelse)):
            self.builder.position_at_end(block)
            value = self.value(one)
            parts = value if isinstance(value, tuple) else (value,)
            slots = slots or [self.variables.alloca(INT) for _ in parts]
            for part, slot in zip(parts, slots, strict=True):
                self.builder.store(number(part), slot)
            self.builder.branch(after)
        self.builder.position_at_end(after)
        values = tuple(self.builder.load(slot) for slot in slots)
        return values if isinstance(value, tuple) else values[0]

    def of_Call(self, node):
        if not isinstance(node.func, ast.Name) or node.keywords:
            self.refuse(node, "is no call of the kernel")
        name, arguments = node.func.id, [self.value(one) for one in node.args]
        if name == "len":
            if arguments[0].kind != TABLE or arguments[0].table in BY_NODE:
                self.refuse(node, "is as long on every machine, or as there are nodes")
            return self.columns.header(arguments[0], ROWS)
        if name in ("min", "max"):
            return functools.reduce(self.lesser if name == "min" else self.greater, map(number, arguments))
        called = self.function.__globals__.get(name)
        if not inspect.isfunction(called):
            self.refuse(node, "is no function of the kernel")
        types = tuple(one.type if isinstance(one, Pointer) else NUMBER for one in arguments)
        values = [one.address if isinstance(one, Pointer) else number(one) for one in arguments]
        answer = self.builder.call(self.program.function(called, types), values)
        width = results(called) or 1
        return answer if width == 1 else tuple(self.builder.extract_value(answer, at) for at in range(width))

    def lesser(self, left, right):
        return self.builder.select(self.builder.icmp_signed("<", left, right), left, right)

    def greater(self, left, right):
        return self.builder.select(self.builder.icmp_signed(">", left, right), left, right)
