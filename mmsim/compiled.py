"""The kernel functions compiled by numba: the same source, some hundred times as fast (extra ``mmsim[fast]``).

A shadow of every module of mmsim.mm is made in which each function is a numba dispatcher; as the
functions find each other through these shadows, calling one compiles what it needs.
"""

import functools
import importlib
import pkgutil
import types

from . import mm


@functools.cache
def compile_kernel():
    """A function that maps a plain kernel function to its compiled twin, to be called from Python."""
    try:
        import numba
    except ImportError:
        raise ImportError(
            "a compiled machine needs numba: pip install 'mmsim[fast]', or leave compiled=False"
        ) from None
    modules = [importlib.import_module(f"{mm.__name__}.{m.name}") for m in pkgutil.iter_modules(mm.__path__)]
    shadows = {module.__name__: dict(vars(module)) for module in modules}
    # Unpacking the tables of a call from Python is costly code: only the functions that are called so get it.
    inner = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
    twins = {}
    for module in modules:
        for function in vars(module).values():
            if isinstance(function, types.FunctionType) and function.__module__ == module.__name__:
                twins[function] = inner(shadow_of(function, shadows))
    for names in shadows.values():
        names.update({name: twins[f] for name, f in names.items() if isinstance(f, types.FunctionType) and f in twins})
    return functools.cache(lambda function: numba.njit(shadow_of(function, shadows)))


def shadow_of(function, shadows):
    """The same function, finding the others through the shadow of its module."""
    return types.FunctionType(function.__code__, shadows[function.__module__], function.__name__)
