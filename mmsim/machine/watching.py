"""Watching a machine: somebody is called before each event, and told what the kernel writes."""

from collections import deque
from contextlib import contextmanager

from .arguments import like, shown


class Watchable:
    """The part of Kernel that lets somebody watch."""

    def watch(self, observer, written=None):
        """A context in which ``observer()`` is called at every event of the trace; interpreted machines only.

        `written`: a list that gets what the kernel writes, as ``("mem_map__flags", 7)``; None: it may be anything.
        """
        if not callable(observer):
            raise TypeError(f"observer is {shown(observer)}; it is a function without arguments")
        if written is not None:
            like(written, "append", "written", "give a list")
        if self.compiled or not self.k.sys.tracing:
            raise ValueError("only an interpreted machine with trace=True can be watched")
        return self._watched_by(observer, deque(maxlen=1) if written is None else written)

    @contextmanager
    def _watched_by(self, *observer):
        self._observer, self._twins, twins = observer, None, self._twins
        self._bind()
        try:
            yield self
        finally:
            if self._twins:
                self._twins.let_go()
            self._observer, self._twins = None, twins
            self._bind()


class Watched:
    """The event table of a machine that is watched: taking the row for a new event calls the observer first.

    For functions as they stand: what they have written is not known.
    """

    def __init__(self, rows, observer, written):
        self.rows, self.observer, self.written = rows, observer, written

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        self.written.append(None)
        self.observer()
        return self.rows[i]
