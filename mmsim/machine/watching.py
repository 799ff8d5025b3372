"""Watching a machine: somebody is called before each event, or gets notes of all that the kernel writes."""

import sys
from contextlib import contextmanager
from io import BytesIO

import numpy as np

from ..mm import trace
from . import interpreted
from ..terms.arguments import shown
from .noting import Place, number_of


class Watchable:
    """The part of Kernel that lets somebody watch."""

    def watch(self, observer):
        """A context in which ``observer()`` is called at every event of the trace; interpreted machines only."""
        if not callable(observer):
            raise TypeError(f"observer is {shown(observer)}; it is a function without arguments")
        return self._watched_by(Observed(observer))

    @contextmanager
    def _watched_by(self, watcher):
        """A context in which an Observed or a Notes hears what goes on."""
        if self.compiled or not self.k.sys.tracing:
            raise ValueError("only an interpreted machine with trace=True can be watched")
        self._watcher, self._twins, twins = watcher, None, self._twins
        self._bind()
        try:
            yield self
        finally:
            if self._twins:
                self._twins.let_go()
            self._watcher, self._twins = None, twins
            self._bind()


class Observed:
    """Who is called before each event."""

    watch = "observed"  # how twins are made for it

    def __init__(self, observer):
        self.hooks = {"observer": observer}
        self.observer = observer

    def event(self, *_):
        """A function that runs as it stands is about to write an event."""
        self.observer()

    def compare(self, *_):
        """A call begins or ends."""

    settle = compare


class Notes:
    """What was written to some tables, and which events there were, in order.

    Twins note what they write (`mmsim.machine.noting`). What happens elsewhere, in functions that run as they stand and
    between the calls, is found by looking.

    Attributes
    ----------
    written : BytesIO
        What was noted, in 64 bits a number: the number of a Place, and the numbers of that place; and so on.
    events : list of bytes
        The events, from the start, one or several a piece.
    known : dict
        The tables, as they are with all that.
    rows : dict
        How many rows each has had at most.
    """

    watch = "noted"

    def __init__(self, tables):
        self.written, self.events, self.known = BytesIO(), [], dict(tables)
        self.rows = dict.fromkeys(tables, 0)
        self.hooks = {"note": self.written.write, "keep": self.events.append}
        self._event = None  # the row of the last event, if twins did not write it

    def settle(self, tables):
        """All that has changed is noted."""
        self.known = {name: tables[name].copy() for name in self.known}

    def compare(self, tables):
        """Look for what has changed and is not noted."""
        if self._event is not None:
            self.events.append(tables["event"][self._event].tobytes())
            self._event = None
        for name, old in self.known.items():
            now = tables[name]
            self.rows[name] = max(self.rows[name], len(now))
            if len(old) == len(now) and np.array_equal(old.view(np.int32), now.view(np.int32)):
                continue
            self.known[name] = now.copy()
            old, now = (np.append(one, np.zeros(self.rows[name] - len(one), one.dtype)) for one in (old, now))
            for field in now.dtype.names or ("",):
                was, values = (old[field], now[field]) if field else (old, now)
                rows = np.flatnonzero(was != values)
                if not len(rows):
                    continue
                place = number_of(Place(((interpreted.column(name, field), 1, 2),)))
                self.written.write(np.stack([np.full(len(rows), place), rows, values[rows]], axis=1))

    def event(self, tables, row):
        """A function that runs as it stands is about to write an event, into a row of the ring."""
        self.compare(tables)
        self._event = row
        self.written.write(np.array([number_of(Place(event=True, writer=writer()))]))


class Watched:
    """The event table of a machine that is watched: taking the row for a new event calls the watcher first.

    For functions as they stand.
    """

    def __init__(self, rows, tables, watcher):
        self.rows, self.tables, self.watcher = rows, tables, watcher

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        self.watcher.event(self.tables, i)
        return self.rows[i]


def writer():
    """(code, line) of the kernel function that is about to write an event and has asked for its row."""
    frame = sys._getframe(1)
    while frame.f_code.co_filename in (__file__, trace.__file__):
        frame = frame.f_back
    return frame.f_code, frame.f_lineno
