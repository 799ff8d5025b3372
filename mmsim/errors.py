"""What can go wrong beyond an errno."""


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
