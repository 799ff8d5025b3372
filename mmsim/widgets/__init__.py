"""Widgets to look at a machine and to step through what it does."""

from .config_matrix import ConfigMatrix
from .lab import MigrationLab
from .race_player import RacePlayer
from .sweep import Sweep

__all__ = ["ConfigMatrix", "MigrationLab", "RacePlayer", "Sweep"]
