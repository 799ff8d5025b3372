"""The speed of a machine: its kernel functions as they stand, or compiled."""

import warnings

COMPILED_FROM = 1 << 16  # page frames from which on compiled code, loaded from the cache, pays within one migration
ADVICE = "pip install numba"


def load_compiler(compiled, frames, changes):
    """mmsim.machine.compiled's map from functions to compiled ones, and its Tables; (None, None): interpret them.

    `compiled`: True, False, or None: by the number of `frames`; `changes`: those since V1 that the machine has.
    """
    if compiled or (compiled is None and frames >= COMPILED_FROM):
        try:
            from . import compiled as compiler

            return compiler.compile_kernel(compiler.ANY if changes else compiler.V1), compiler.Tables
        except ImportError as error:
            if compiled:
                raise ImportError(f"compiled is True, but {error}; {ADVICE}") from error
            warn_slow(str(error))
    return None, None


class SlowWarning(RuntimeWarning):
    """A large machine is interpreted, as numba is missing."""


warnings.simplefilter("always", SlowWarning, append=True)  # for each machine, not once; who has filters keeps them


def warn_slow(reason):
    """Say that a large machine will be slow."""
    message = f"{reason}: this machine is interpreted, some hundred times as slow as compiled; {ADVICE}"
    warnings.warn(message, SlowWarning, stacklevel=4)
