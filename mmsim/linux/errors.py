"""What the errors of the system calls mean, and what else there is to do: the sentences of errors.toml."""

import errno
import tomllib
from pathlib import Path

SAYS = tomllib.loads(Path(__file__).with_name("errors.toml").read_text(encoding="utf-8"))
INSTEAD = SAYS["instead"]  # {name of the model that a real machine cannot have: what can be done}


def error_of(call, number):
    """The OSError of a call that failed, with a sentence that says what was wrong."""
    name = errno.errorcode.get(number, str(number))
    return OSError(number, SAYS.get(call, {}).get(name) or f"{call}: {SAYS['any'].get(name, name)}")


def not_here(name):
    """The error for a name of the model that a real machine does not have."""
    instead = INSTEAD[name.rpartition(".")[2]]
    return NotImplementedError(f"{name} is not for a user's program on a real machine: {instead}")
