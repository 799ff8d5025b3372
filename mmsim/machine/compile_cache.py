"""Where compiled kernel functions are kept on disk."""

import contextlib
import functools
import hashlib
import importlib
import os
import pkgutil
import shutil
import sys
import types
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import platformdirs

from .. import mm

# What these do is part of the key.
SOURCES = ("compiled.py", "translate.py", "signatures.py", "columns.py", "layout.py", "boot.py")
KINDS = V1, ANY = "v1", "any"  # of kernels: one without a trace and what came after V1, and one with all of it
KEPT = 4  # caches on disk: this version's, and those of others that were used last


def kernel_modules():
    """The modules of the modelled kernel."""
    return [importlib.import_module(f"{mm.__name__}.{m.name}") for m in pkgutil.iter_modules(mm.__path__)]


def describe(value):
    """All of a global of a kernel module that compiled code depends on, as text, the same in each process."""
    if isinstance(value, types.FunctionType):
        return describe(value.__code__)
    if isinstance(value, types.CodeType):  # also inside another one: its repr has an address, new in each process
        constants = [describe(one) if isinstance(one, types.CodeType) else repr(one) for one in value.co_consts]
        return repr((value.co_code, constants, value.co_names, value.co_varnames))
    return repr(value) if isinstance(value, (int, tuple, np.dtype)) else ""


@functools.cache
def folder():
    """The folder for the code of the kernel as it is now, with all that it depends on; None where none can be made."""
    try:
        key = hashlib.sha256(f"{version('numba')} {version('llvmlite')} {sys.version}".encode())
        for name in SOURCES:
            key.update(Path(__file__).with_name(name).read_bytes())
        for module in kernel_modules():
            key.update("".join(f"{name} {describe(value)}" for name, value in sorted(vars(module).items())).encode())
        here = platformdirs.user_cache_path("mmsim", appauthor=False) / f"kernel-{key.hexdigest()[:16]}"
        here.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # one that was filled for us may be for reading only
            os.utime(here)
        for old in sorted(here.parent.glob("kernel-*"), key=os.path.getmtime)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    except (OSError, RuntimeError, PackageNotFoundError):
        return None
    return here


def filled():
    """Whether there is some code of the kernel as it is now."""
    return bool(folder() and any(folder().glob("entries.*.code")))
