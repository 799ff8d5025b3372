"""mmsim: see how Linux learned to move the memory of a running process between NUMA nodes (November 2005).

Six floors, each resting on the ones below: `mm` is the modelled kernel, `machine` the machine as Python sees it
(`linux` a real one), `race`, `whatif` and `experiments` are what one can do with it, `plots` and `widgets` show it,
`lessons` and `cli` ask about it.
"""

import importlib

from .machine.changes import CHANGES, PATCHES, RELEASES
from .machine.config import Config, Costs
from .machine.cpuset import CpuSet
from .machine.errors import InvariantError, KernelBug, KernelHang, MMSimError, OutOfMemory
from .machine.file import File
from .machine.kernel import Kernel, Snapshot
from .machine.migration import Migration
from .machine.policy import Policy
from .machine.ranges import Mapping
from .machine.task import Faults, Task
from .machine.topology import Topology

__version__ = "0.1.0"

__all__ = [
    "CHANGES", "PATCHES", "RELEASES", "Config", "Costs", "CpuSet", "Faults", "File", "InvariantError", "Kernel",
    "KernelBug", "KernelHang", "MMSimError", "Mapping", "Migration", "OutOfMemory", "Policy", "Snapshot", "Task",
    "Topology",
]  # fmt: skip

ROOMS = ("experiments", "lessons", "linux", "plots", "race", "whatif", "widgets")
SHORT = {"oracle": "experiments.verify", "scenes": "experiments.scenes"}  # modules that are named without their room
ELSEWHERE = {
    "Scenario": "whatif", "sweep": "whatif", "EXPERIMENTS": "experiments.catalogue", "history": "experiments.history",
    "which_change": "experiments.history",
}  # fmt: skip


def __getattr__(name):
    """Load plots, widgets and the like when they are first asked for: they are slow to import."""
    if name in ROOMS or name in SHORT:
        return importlib.import_module(f".{SHORT.get(name, name)}", __name__)
    if name in ELSEWHERE:
        return getattr(importlib.import_module(f".{ELSEWHERE[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
