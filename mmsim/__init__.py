"""mmsim: see how Linux learned to move the memory of a running process between NUMA nodes (November 2005).

Six floors, each resting on the ones below: `mm` is the modelled kernel, `machine` the machine as Python sees it
(`linux` a real one), `race`, `whatif` and `experiments` are what one can do with it, `plots` and `widgets` show it,
`lessons` and `cli` ask about it.  `terms` has the words in which one speaks to any machine.

Nothing is loaded before it is asked for: `mmsim.linux` runs where there is Python and nothing else.
"""

import importlib

__version__ = "0.1.0"

ROOMS = ("experiments", "lessons", "linux", "machine", "mm", "plots", "race", "terms", "whatif", "widgets")
SHORT = {"oracle": "experiments.verify", "scenes": "experiments.scenes"}  # modules that are named without their room
WHERE = {
    "machine.changes": ("CHANGES", "PATCHES", "RELEASES"), "machine.config": ("Config", "Costs"),
    "machine.cpuset": ("CpuSet",), "machine.file": ("File",), "machine.kernel": ("Kernel", "Snapshot"),
    "machine.errors": ("InvariantError", "KernelBug", "KernelHang", "MMSimError", "OutOfMemory"),
    "machine.migration": ("Migration",), "machine.task": ("Task",), "machine.topology": ("Topology",),
    "terms.arguments": ("Faults",), "terms.policy": ("Policy",), "terms.ranges": ("Mapping",),
}  # fmt: skip
ELSEWHERE = {name: module for module, names in WHERE.items() for name in names}
__all__ = sorted(ELSEWHERE)  # what `from mmsim import *` gives
ELSEWHERE |= {
    "Scenario": "whatif", "sweep": "whatif", "EXPERIMENTS": "experiments.catalogue", "history": "experiments.history",
    "which_change": "experiments.history",
}  # fmt: skip


def __getattr__(name):
    """Load a room, or what is known by its name alone, when it is first asked for."""
    if name in ROOMS or name in SHORT:
        return importlib.import_module(f".{SHORT.get(name, name)}", __name__)
    if name in ELSEWHERE:
        value = getattr(importlib.import_module(f".{ELSEWHERE[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    """What completion offers."""
    return sorted({*globals(), *ROOMS, *SHORT, *ELSEWHERE})
