"""The kernel's own functions as generators: they stop where the kernel may sleep or be preempted.

`mmsim.machine.compiled` makes machine code of the functions of `mmsim.mm`; this makes generators of them.  The source
is the same.  Where a function calls one that may stop, as in ``lock_page(k, pfn)``, its generator has ``(yield from
may_stop("do_swap_page", lock_page, k, pfn))``.  So `mm` has no word about races in it.

What else there was: a second copy of the functions, with yields, had to be kept in step by hand, and was not (it never
wrote a page of tmpfs out, and tried again where there was no swap slot).  A scheduler that `mm` calls where it sleeps
needs a stack for each actor.  Threads have one, but a browser has none of them; greenlets exchange stacks of machine
code, and cannot be built for a browser (issue 2664 of pyodide), and there the lesson about races is to run.
"""

import ast
import copy
import functools
import inspect
from types import FunctionType

from .. import mm
from ..machine.signatures import source
from .points import POINTS, point


def may_stop(caller, function, k, *args):
    """Call a kernel function from the one named `caller`: stop before, if there is a point here, and within."""
    stop = point(caller, function.__name__, k, *args)
    if stop:
        yield stop
    generator = interruptible(function)
    return (yield from generator(k, *args)) if generator else function(k, *args)


@functools.cache
def interruptible(function):
    """The generator function made of a kernel function; None if that never stops, or is not the kernel's."""
    names = {name for name, called in calls(function).items() if name in POINTS or stops(called)}
    if not names:
        return None
    definition = copy.deepcopy(source(function))
    Calls(function.__name__, names).visit(definition)
    definition.args.kwonlyargs.append(ast.arg("may_stop"))
    definition.args.kw_defaults.append(None)
    tree = ast.fix_missing_locations(ast.Module([definition], []))
    code = compile(tree, inspect.getsourcefile(function), "exec")
    body = next(constant for constant in code.co_consts if inspect.iscode(constant))
    generator = FunctionType(body, function.__globals__, function.__name__)
    generator.__kwdefaults__ = {"may_stop": may_stop}
    return generator


class Calls(ast.NodeTransformer):
    """Let the calls of some functions go through `may_stop`."""

    def __init__(self, caller, names):
        self.caller, self.names = caller, names

    def visit_Call(self, node):
        """``f(k, x)`` becomes ``(yield from may_stop(caller, f, k, x))``."""
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name) or node.func.id not in self.names:
            return node
        arguments = [ast.Constant(self.caller), node.func, *node.args]
        return ast.YieldFrom(ast.Call(ast.Name("may_stop", ast.Load()), arguments, []))


def stops(function):
    """True if a point can be reached from within a kernel function; reclaim and allocation call each other.

    Also of what stands in the place of a kernel function for a while: then it is looked at when it is called.
    """
    seen, rest = set(), [function]
    while rest:
        one = rest.pop()
        if one not in seen:
            seen.add(one)
            if not is_kernel(one) or not POINTS.isdisjoint(calls(one)):
                return True
            rest += calls(one).values()
    return False


def is_kernel(function):
    """Whether a function is one of mmsim.mm."""
    return function.__module__.rpartition(".")[0] == mm.__name__


@functools.cache
def calls(function):
    """The kernel functions that a kernel function names: {name: function}."""
    if not is_kernel(function):
        return {}
    found = {name: function.__globals__.get(name) for name in function.__code__.co_names}
    return {name: called for name, called in found.items() if isinstance(called, FunctionType)}
