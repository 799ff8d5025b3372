"""The speed of a machine: its kernel functions as they stand, or compiled."""

import warnings

COMPILED_FROM = 1 << 16  # page frames from which on compiled code, loaded from the cache, pays within one migration
ADVICE = "pip install numba"


def load_compiler(compiled, frames):
    """mmsim.machine.compiled, or None: the kernel functions are interpreted.

    `compiled`: True, False, or None: by the number of `frames`.
    """
    if compiled or (compiled is None and frames >= COMPILED_FROM):
        try:
            from . import compiled as compiler

            return compiler
        except ImportError as error:
            if compiled:
                raise ImportError(f"compiled is True, but {error}; {ADVICE}") from error
            warn_slow(str(error))
    return None


class SlowWarning(RuntimeWarning):
    """A large machine is interpreted, as numba is missing."""


warnings.simplefilter("always", SlowWarning, append=True)  # for each machine, not once; who has filters keeps them


def warn_slow(reason):
    """Say that a large machine will be slow."""
    message = f"{reason}: this machine is interpreted, some hundred times as slow as compiled; {ADVICE}"
    warnings.warn(message, SlowWarning, stacklevel=4)
