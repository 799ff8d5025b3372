"""mmsim: see how Linux learned to move the memory of a running process between NUMA nodes (November 2005)."""

import importlib

from .config import Config, Costs
from .cpusets import CpuSet
from .errors import InvariantError, KernelBug, KernelHang, MMSimError, OutOfMemory
from .files import File
from .machine import Kernel, Snapshot
from .patches import PATCHES
from .policy import Policy
from .migration import Migration
from .ranges import Mapping
from .task import Faults, Task
from .topology import Topology

__version__ = "0.1.0"

__all__ = [
    "PATCHES", "Config", "Costs", "CpuSet", "Faults", "File", "InvariantError", "Kernel", "KernelBug", "KernelHang",
    "MMSimError", "Mapping", "Migration", "OutOfMemory", "Policy", "Snapshot", "Task", "Topology",
]  # fmt: skip


def __getattr__(name):
    """Load plots, widgets and the like when they are first asked for: they are slow to import."""
    if name in ("lessons", "oracle", "plots", "race", "scenes", "whatif", "widgets"):
        return importlib.import_module(f".{name}", __name__)
    if name in ("Scenario", "sweep"):
        return getattr(importlib.import_module(".whatif", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
