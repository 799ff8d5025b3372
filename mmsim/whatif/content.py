"""What something is known by that has no name to rely on: its content, and that of all that it refers to."""

import dis
import hashlib
import sys
import sysconfig
import types
import weakref
from pathlib import Path

INSTALLED = tuple(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib"))
NOT_WRITTEN = {"__module__", "__dict__", "__weakref__", "__doc__"}  # in a class, whoever wrote it
PLAIN = (int, float, complex, str, bytes, type(None), type(...))
FIXED = (tuple, frozenset, types.CodeType, types.CellType, types.FunctionType, types.ModuleType, type)
first_seen = {}  # id: (content of what may change, when it was asked for first; itself, so that no other has its id)


def digest(value):
    """A short text that is the same for the same content, and for no other.

    Of a function counts what it does: its code, its defaults, and the functions and values that it refers to, in turn;
    neither its name nor where it stands.  What is installed, and mmsim, counts by its name.  A list or the like counts
    as it was when this process saw it first: a function may count its calls there, and is no other one for that.
    """
    return hashlib.sha256(repr(content(value)).encode()).hexdigest()[:16]


def content(value, inside=()):
    """What `digest` is made from, as nested tuples of text; `inside`: the ids of all that this is a part of."""
    if isinstance(value, PLAIN):
        return type(value).__name__, repr(value)
    if id(value) in inside:
        return "again", str(len(inside) - inside.index(id(value)))
    if id(value) in first_seen:
        return first_seen[id(value)][0]
    found = type(value).__name__, *(content(part, (*inside, id(value))) for part in take_apart(value))
    if not isinstance(value, FIXED):
        try:
            weakref.finalize(value, first_seen.pop, id(value))
            first_seen[id(value)] = found, None
        except TypeError:  # as of lists and dicts
            first_seen[id(value)] = found, value
    return found


def take_apart(value):
    """The parts whose contents are the content of a value."""
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, dict):
        return sorted(value.items(), key=lambda item: repr(item[0]))
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    if isinstance(value, types.CodeType):
        return value.co_code, value.co_names, value.co_varnames, value.co_consts
    if isinstance(value, types.CellType):
        return [value.cell_contents] if value != types.CellType() else []
    if hasattr(value, "__wrapped__"):
        return [value.__wrapped__]
    if isinstance(value, (types.FunctionType, types.ModuleType, type)):
        return named(value)
    try:
        made_of = value.__reduce_ex__(4)
    except Exception:  # what cannot be copied either
        return [type(value)]
    if isinstance(made_of, str):
        return [made_of]
    parts = (tuple(part) if hasattr(part, "__next__") else part for part in made_of)  # items come from an iterator
    return [type(value), *parts]


def named(value):
    """The parts of a function, a class or a module: of one that is installed, its name."""
    if installed(value):
        return value.__name__, getattr(value, "__module__", ""), getattr(value, "__qualname__", "")
    if isinstance(value, types.ModuleType):
        file = getattr(value, "__file__", None)
        return [Path(file).read_bytes() if file else value.__name__]
    if isinstance(value, type):
        return value.__bases__, *(item for item in vars(value).items() if item[0] not in NOT_WRITTEN)
    used = [(name, value.__globals__[name]) for name in global_names(value.__code__) if name in value.__globals__]
    return value.__code__, value.__defaults__, tuple((value.__kwdefaults__ or {}).items()), value.__closure__, *used


def global_names(code):
    """The names of what is not its own in some code, and in the functions that it makes, sorted."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return sorted(names.union(*(global_names(part) for part in code.co_consts if isinstance(part, types.CodeType))))


def installed(value):
    """True for what comes with Python, with mmsim, or from a package that was installed."""
    name = value.__name__ if isinstance(value, types.ModuleType) else value.__module__ or "__main__"
    root = name.partition(".")[0]
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    known = root in sys.stdlib_module_names or root == "mmsim" or file.startswith(INSTALLED)
    return known and root != "__main__"
