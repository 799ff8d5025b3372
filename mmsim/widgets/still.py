"""One moment of a run, so that a Scene can show it, also where tables grow while the run goes on."""

import copy

import numpy as np

from ..machine.noting import TABLES
from .recording import Recording, moment

STEP = 1  # at which a Scene shows it


class Still(Recording):
    """A machine as it was when event `number` was about to be written, or as it is at its end.

    `number` counts from 0, from the start of the machine.
    """

    def __init__(self, kernel, number):
        self.topology, self.number = kernel.topology, number
        self._book = copy.deepcopy(kernel._book)
        self._find_ptes(kernel.tables["vma"])
        self._before = {name: kernel.tables[name].copy() for name in TABLES}
        self._moment = moment(self._before, self._book, kernel.release)

    def finish(self, kernel):
        """Take the events from a machine whose run has ended: which pages were in hand at that moment."""
        ring, total = kernel.tables["event"], int(kernel.k.sys.nr_events)
        self.events = ring[np.arange(max(0, total - len(ring)), total) % len(ring)]
        self._find_hands()
        at = self.number - max(0, total - len(ring))
        self.hands, self.steps = self.hands[[0, at + 1 if at < len(self.events) else 0]], STEP
        self.events = self.events[at : at + 1] if at < len(self.events) else self.events[-1:]
        return self

    def at(self, _):
        """The machine at that moment."""
        return self._moment

    def text(self, _):
        """Which moment it is, in words."""
        return f"The machine at event {self.number + 1}"

    @property
    def slots_used(self):
        """The highest swap entry in use."""
        used = np.flatnonzero(self._moment.tables["swap_map"])
        return int(used.max(initial=0))
