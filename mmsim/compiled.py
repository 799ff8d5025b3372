"""The kernel functions compiled by numba: the same source, some hundred times as fast (extra ``mmsim[fast]``).

A shadow of every module of mmsim.mm is made in which each function is a numba dispatcher; as the
functions find each other through these shadows, calling one compiles what it needs.
"""

import functools
import importlib
import pkgutil
import types

from . import mm

INLINED = 500  # bytes of bytecode up to which a function is compiled into its callers: more costs compile time only


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

    def jit(function, **options):
        # Nothing here allocates: numba's reference counting (_nrt) would be pure loss, a factor of 12.
        return numba.njit(shadow_of(function, shadows), _nrt=False, **options)

    twins = {}
    for module in modules:
        for function in vars(module).values():
            if isinstance(function, types.FunctionType) and function.__module__ == module.__name__:
                small = len(function.__code__.co_code) < INLINED
                # The code that unpacks the tables of a call from Python is large: only entry points get it.
                twins[function] = jit(function, forceinline=small, no_cpython_wrapper=True, no_cfunc_wrapper=True)
    for names in shadows.values():
        names.update({name: twins[f] for name, f in names.items() if isinstance(f, types.FunctionType) and f in twins})
    return functools.cache(jit)


def shadow_of(function, shadows):
    """The same function, finding the others through the shadow of its module."""
    return types.FunctionType(function.__code__, shadows[function.__module__], function.__name__)
