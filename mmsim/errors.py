"""What can go wrong beyond an errno."""


class MMSimError(Exception):
    """Base of all errors of the model itself; system calls raise OSError."""


class InvariantError(MMSimError):
    """verify() found a page, a slot or a list that breaks a rule; the message names both."""


class KernelBug(MMSimError):
    """The kernel hit a BUG()."""


class KernelHang(MMSimError):
    """The kernel loops, or sleeps, for ever; the machine is left as it stands then."""


class OutOfMemory(MMSimError):
    """A user fault found no memory: the OOM killer would run now."""
