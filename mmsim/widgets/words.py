"""The notes of a run (`mmsim.machine.watching.Notes`) as arrays, from which the tables at any event follow."""

import numpy as np

from ..machine.explain import pieces
from ..machine.interpreted import column
from ..machine.noting import FIRST, PLACES
from ..mm import structs

PIECE = 1 << 12  # notes that are read at a time: memory that is used again costs less than new memory


class Words:
    """Some tables as one row of numbers, column by column, and what is written there event by event.

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
    where, what : ndarray
        The numbers that were written, by their places in the row, and their values.
    ends : ndarray
        How many of them were written before each event, with 0 before and all at the end.
    base : ndarray
        The numbers before all that.
    """

    def __init__(self, tables, notes, most):
        self.rows, self.dtypes = notes.rows, {name: table.dtype for name, table in tables.items()}
        self.columns, end = {}, 0  # {table: {column: where it is in the row}}
        for name, dtype in self.dtypes.items():
            self.columns[name] = {}
            for field in dtype.names or ("",):
                self.columns[name][field] = slice(end, end + notes.rows[name])
                end += notes.rows[name]
        self.base = np.zeros(end, np.int64)
        for name, fields in self.columns.items():
            for field, where in fields.items():
                self.base[where][: len(tables[name])] = tables[name][field] if field else tables[name]
        events = np.frombuffer(b"".join(notes.events), structs.EVENT)
        self.events, self._all = events[:most], len(events)
        self._read(np.frombuffer(notes.written.getbuffer(), np.int64))

    def moment(self, words):
        """The tables that some numbers are."""
        made = {}
        for name, fields in self.columns.items():
            table = made[name] = np.zeros(self.rows[name], self.dtypes[name])
            for field, where in fields.items():
                (table[field] if field else table)[:] = words[where]
        return made

    def after(self, words, before, step):
        """The numbers after some steps, from those after fewer."""
        words, new = words.copy(), slice(self.ends[before], self.ends[step])
        words[self.where[new]] = self.what[new]  # where one was written twice, the later value stays
        count = self.columns["sys"]["nr_events"]  # is not noted: an event is counted when it has happened
        words[count] = self.base[count] + (max(step - 1, 0) if step <= len(self.events) else self._all)
        return words

    def highest(self, name):
        """The highest row of a table of numbers that was not 0 at some step."""
        here = self.columns[name][""]
        at_first = np.flatnonzero(self.base[here])
        later = self.where[(self.where >= here.start) & (self.where < here.stop) & (self.what != 0)] - here.start
        return int(max(at_first.max(initial=0), later.max(initial=0)))

    def _read(self, numbers):
        places = [*PLACES]
        begins = np.flatnonzero(numbers < FIRST + len(places)).astype(np.int32)  # of the notes
        at = (numbers[begins] - FIRST).astype(np.int32)
        events = np.flatnonzero(np.array([place.event for place in places])[at])[: len(self.events)]
        self._find_writers(at, places, events)
        parts = ((column(name, field), where) for name in self.columns for field, where in self.columns[name].items())
        starts = {name: where.start for name, where in parts}
        writes = [(starts[name], row, value) for place in places for name, row, value in place.writes]
        first, row, value = np.array(writes, int).reshape(-1, 3).T
        length = np.array([len(place.writes) for place in places], np.int32)
        before = np.cumsum(length, dtype=np.int32) - length  # where in that list those of each place begin
        length, before = length[at], before[at]
        ends = np.cumsum(length, dtype=np.int32)
        self.ends = np.concatenate([[0], ends[events], [length.sum()]])
        self.where, self.what = np.empty(self.ends[-1], np.int32), np.empty(self.ends[-1], np.int64)
        for part in pieces(len(at), PIECE):
            many = length[part]
            here = slice(ends[part][0] - many[0], ends[part][-1])
            number = np.arange(here.start, here.stop) + np.repeat(before[part] + many - ends[part], many)
            begin = np.repeat(begins[part].astype(int), many)
            self.where[here] = first[number] + numbers[begin + row[number]]
            self.what[here] = numbers[begin + value[number]]

    def _find_writers(self, at, places, events):
        """Who wrote each event: whoever was named last."""
        writers = np.fromiter((place.writer for place in places), object, len(places))
        named = np.flatnonzero(np.array([writer is not None for writer in writers])[at])
        last = named[np.searchsorted(named, events, side="right") - 1]
        self.code = writers[at[last]].tolist()
