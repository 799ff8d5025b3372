"""What a kernel function takes and returns, read from its source."""

import ast
import functools
import inspect
import sys

from .layout import K, TABLE

NUMBER = "number"
# What is no number of the arguments of a function that is called from Python.
ARRAYS = dict.fromkeys(("faults", "pfns", "left_out", "addresses", "wanted", "status"), "int64") | {
    "on": "int32", "owners": "pairs",
}  # fmt: skip


@functools.cache
def functions_of(module):
    """The syntax trees of the functions of a module, by their first line."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.lineno: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def source(function):
    """The syntax tree of a kernel function."""
    return functions_of(function.__module__)[function.__code__.co_firstlineno]


def types_of(function):
    """The types of the arguments of a kernel function that is called from Python."""
    names = [*inspect.signature(function).parameters][1:]
    return ((K, ""), *((TABLE, ARRAYS[name]) if name in ARRAYS else NUMBER for name in names))


def name_of(function):
    """What a kernel function is called in the module of LLVM: there are two migrate_pages."""
    return f"{function.__module__.rpartition('.')[2]}.{function.__name__}"


def is_k(node):
    """Whether an expression is all tables."""
    return isinstance(node, ast.Name) and node.id == "k"


def whole(node):
    """The name of a table, if an expression is one."""
    return node.attr if isinstance(node, ast.Attribute) and is_k(node.value) else None


@functools.cache
def results(function):
    """How many numbers a kernel function returns; None: nothing."""

    def width(node):
        if node is None:
            return None
        if isinstance(node, ast.Tuple):
            return len(node.elts)
        if isinstance(node, ast.IfExp):
            return width(node.body)
        called = isinstance(node, ast.Call) and function.__globals__.get(node.func.id)
        return results(called) if inspect.isfunction(called) and called is not function else 1

    found = {width(node.value) for node in ast.walk(source(function)) if isinstance(node, ast.Return)} or {None}
    if len(found) > 1:
        raise SyntaxError(f"{name_of(function)} returns different numbers of numbers: {found}")
    return found.pop()
