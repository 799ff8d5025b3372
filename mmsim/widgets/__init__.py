"""Widgets to look at a machine and to step through what it does."""

from .config_matrix import ConfigMatrix
from .goals import Goals
from .history_lab import HistoryLab
from .lab import MigrationLab
from .race_player import RacePlayer
from .sweep import Sweep

__all__ = ["ConfigMatrix", "Goals", "HistoryLab", "MigrationLab", "RacePlayer", "Sweep"]
