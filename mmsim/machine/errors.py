"""What can go wrong: the errnos of Linux, and what goes beyond an errno."""

from ..mm import structs

# Numbers and names are Linux's (include/asm-generic/errno.h), whatever system mmsim runs on.
ERRNO = {name: getattr(structs, name) for name in (
    "EPERM", "ENOENT", "ESRCH", "EIO", "EAGAIN", "ENOMEM", "EACCES", "EFAULT", "EBUSY", "EEXIST", "ENODEV",
    "EINVAL", "ENOSPC", "ENOSYS",
)}  # fmt: skip
ERRNO_NAMES = {number: name for name, number in ERRNO.items()}
_KINDS = {"EPERM": PermissionError, "EACCES": PermissionError, "ESRCH": ProcessLookupError, "EEXIST": FileExistsError,
          "ENOENT": FileNotFoundError}  # fmt: skip


def os_error(name, message):
    """An OSError with the errno of that name, of the class that Python has for it."""
    error = _KINDS.get(name, OSError)()  # with arguments, Python would take the number for one of its own system
    error.args = error.errno, error.strerror = ERRNO[name], message
    return error


class MMSimError(Exception):
    """Base of all errors of the model itself; system calls raise OSError."""


class InvariantError(MMSimError):
    """verify() found a page, a slot or a list that breaks a rule; the message names both."""


class KernelBug(MMSimError):
    """The kernel hit a BUG()."""


class KernelHang(MMSimError):
    """The kernel loops, or sleeps, for ever; the machine is left as it stands then."""


class BrokenOff(MMSimError):
    """A call was ended half-way, by ctrl-C or by an observer; nothing more happens until restore()."""


class OutOfMemory(MMSimError):
    """A user fault found no memory: the OOM killer would run now."""
