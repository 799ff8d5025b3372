"""The notes of a run (`mmsim.machine.watching.Notes`) as arrays, from which the tables at any event follow."""

import numpy as np

from ..machine.interpreted import column
from ..machine.noting import FIRST, PLACES
from ..machine.watching import COMPARED
from ..mm import structs

SIZES = 8, 4, 2, 1  # of an element, in bytes
EVENT_COLUMNS = {column("event", name): name for name in ("code", "page", "new_page", "arg")}
STOOD = {"time": "clock", "actor": "current", "pass_": "migration_pass"}  # in k.sys when the event was written


class Words:
    """Some tables as one row of bytes, and what is written there event by event.

    Parameters
    ----------
    tables : dict
        The tables before, {name: array}.
    notes : Notes
        Of all that happened then.
    most : int
        How many events are told apart.

    Attributes
    ----------
    events : ndarray
        The events, structs.EVENT.
    code : list of (code, int)
        Who wrote each event: a function, a line.
    written : dict
        {size: (where, what, ends)}: the elements of so many bytes that were written, by their number in the row, their
        values, and how many of them were written before each event, with 0 before and all at the end.
    base : ndarray
        The bytes before all that.
    """

    def __init__(self, tables, notes, most):
        self.tables, self.columns, self.written, end = {}, {}, {}, 0
        for name, table in tables.items():
            begin, width = end, table.dtype.itemsize
            end = begin + -(-notes.rows[name] * width // 8) * 8
            self.tables[name] = slice(begin, begin + notes.rows[name] * width), table.dtype
            for field in table.dtype.names or ("",):
                kind, offset = table.dtype.fields[field][:2] if field else (table.dtype, 0)
                size = kind.itemsize
                self.columns[column(name, field)] = size, (begin + offset) // size, width // size
        self.base = np.zeros(end, np.int8)
        for name, table in tables.items():
            begin = self.tables[name][0].start
            self.base[begin : begin + table.nbytes] = table.view(np.int8).ravel()
        self._read(notes, most)

    def moment(self, words):
        """The tables that some bytes are."""
        return {name: words[where].view(dtype) for name, (where, dtype) in self.tables.items()}

    def after(self, words, before, step):
        """The bytes after some steps, from those after fewer."""
        words = words.copy()
        for size, (where, what, ends) in self.written.items():
            new = slice(ends[before], ends[step])
            words.view(f"i{size}")[where[new]] = what[new]  # where one was written twice, the later value stays
        return words

    def highest(self, name):
        """The highest row of a table of numbers that was not 0 at some step."""
        size, first, _ = self.columns[column(name, "")]
        where, what, ends = self.written[size]
        where = where[: ends[-2]][what[: ends[-2]] != 0] - first
        ends = [self.moment(words)[name] for words in (self.base, self.after(self.base, 0, len(ends) - 1))]
        rows = np.concatenate([where[(where >= 0) & (where < len(ends[0]))], *map(np.flatnonzero, ends)])
        return int(rows.max(initial=0))

    def _read(self, notes, most):
        known, numbers = [*PLACES], notes.all()
        begins = np.flatnonzero(numbers < FIRST + len(known))  # of the notes
        at = (numbers[begins] - FIRST).astype(np.int16)
        event = np.array([place.event for place in known])[at]
        nth = np.cumsum(event) - 1  # of the event that a note belongs to
        events = np.flatnonzero(event)[:most]
        self._find_writers(at, known, events)
        used = np.flatnonzero(np.bincount(at, minlength=len(known)))
        plans = {number: self._plan(known[number].writes) for number in used.tolist()}
        looked = np.flatnonzero(at == COMPARED - FIRST)
        starts = {}
        for size in SIZES:
            length = np.zeros(len(known), int)
            length[used] = [plan[size].shape[1] if size in plan else 0 for plan in plans.values()]
            length = length[at]
            length[looked] = [
                sum(len(rows) for name, (rows, _) in found.items() if self.columns[name][0] == size)
                for found in notes.compared
            ]
            ends = np.cumsum(length)
            starts[size], total = ends - length, ends[-1] if len(ends) else 0
            arrays = np.zeros(total, np.int32), np.zeros(total, f"i{size}")
            self.written[size] = *arrays, np.concatenate([[0], starts[size][events], [total]])
        order = np.argsort(at, kind="stable")
        for number, here in zip(plans, np.split(order, np.searchsorted(at[order], used[1:])), strict=False):
            noted = self._noted(numbers, begins[here] + 1, known[number].numbers)
            for size, (first, step, rows, values) in plans[number].items():
                to = starts[size][here][:, None] + np.arange(len(first))
                self.written[size][0][to] = first + step * noted[:, rows]
                self.written[size][1][to] = noted[:, values]
            for name, _, value in known[number].writes:
                if name in EVENT_COLUMNS:
                    mine = nth[here] < len(self.events)
                    self.events[EVENT_COLUMNS[name]][nth[here][mine]] = noted[mine, value]
        for i, found in zip(looked.tolist(), notes.compared, strict=True):
            self._put({size: start[i] for size, start in starts.items()}, found)
        for name, stood in STOOD.items():
            self.events[name] = self._at_events(column("sys", stood))

    def _noted(self, numbers, begins, what):
        """The numbers of all notes that were made at a place, a line each, with the constants among them."""
        noted = np.empty((len(begins), len(what)), int)
        new = 0
        for i, constant in enumerate(what):
            noted[:, i] = numbers[begins + new] if constant is None else constant
            new += constant is None
        return noted

    def _find_writers(self, at, known, events):
        """Who wrote each event: whoever was named last."""
        writers = [place.writer for place in known]
        named = np.array([writer is not None for writer in writers])[at]
        last = np.maximum.accumulate(np.where(named, np.arange(len(at)), 0))[events]
        self.code = [writers[number] for number in at[last].tolist()]
        self.events = np.zeros(len(events), structs.EVENT)

    def _at_events(self, name):
        """What stood in a column of one row when the events were written."""
        size, first, _ = self.columns[name]
        where, what, ends = self.written[size]
        writes = np.flatnonzero(where == first)
        values = np.append(self.base.view(f"i{size}")[first], what[writes])
        return values[np.searchsorted(writes, ends[1:-1])]

    def _plan(self, writes):
        """{size: (first place of each column that is written, step a row, which number is the row, the value)}."""
        plan = {}
        for name, row, value in writes:
            if name in self.columns:
                size, first, step = self.columns[name]
                plan.setdefault(size, []).append((first, step, row, value))
        return {size: np.array(each).T for size, each in plan.items()}

    def _put(self, starts, found):
        """What was found by looking, from some places on."""
        for name, (rows, values) in found.items():
            size, first, step = self.columns[name]
            new = slice(starts[size], starts[size] + len(rows))
            self.written[size][0][new] = first + step * rows
            self.written[size][1][new] = values
            starts[size] = new.stop
