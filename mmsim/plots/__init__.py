"""Figures of the machine and its migrations, with matplotlib.

Each function draws on `ax`, or on a figure of its own where none is given, and returns the Axes;
`describe` gives the same in a sentence, for those who cannot see it.
"""

from .configs import images
from .distances import topology, zonelist
from .entry import entry
from .flow import compare, flow, paths
from .history import history
from .memory import page_table, residency
from .passes import passes, passes_table
from .placements import placements
from .races import race
from .style import STYLE, describe
from .sweep import sweep
from .time import timeline
from .verdicts import verdicts
from .zones import free_pages, watermarks

__all__ = [
    "STYLE", "compare", "describe", "entry", "flow", "free_pages", "history", "images", "page_table", "passes",
    "passes_table", "paths", "placements", "race", "residency", "sweep", "timeline", "topology", "verdicts",
    "watermarks", "zonelist",
]  # fmt: skip
