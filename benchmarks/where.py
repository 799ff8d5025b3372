"""Where the time of a page that moves goes: what the kernel reads and writes, and what else costs.

The numbers that are read and written are counted, interpreted.  What the order of the lists, the trace and the record
take is measured, compiled, against the same without them.
"""

from collections import Counter

import numpy as np
from compiled import anonymous, machine
from rows import Row, cpu, said

from mmsim import Kernel, Topology
from mmsim.machine.interpreted import Interpreted
from mmsim.mm import structs

PAGES = 1 << 20
MOST = 8  # columns that have a row of their own


class Counted:
    """A column that counts who uses it."""

    def __init__(self, column, name, reads, writes):
        self.column, self.name, self.reads, self.writes = column, name, reads, writes

    def __len__(self):
        return len(self.column)

    def __getitem__(self, row):
        self.reads[self.name] += 1
        return self.column[row]

    def __setitem__(self, row, value):
        self.writes[self.name] += 1
        self.column[row] = value


class Counting(Interpreted):
    """Twins whose columns count."""

    def __init__(self, off):
        super().__init__(off)
        self.reads, self.writes = Counter(), Counter()

    def bind(self, tables):
        """From now on these arrays are the tables."""
        super().bind(tables)
        for name, column in self.space.items():
            if isinstance(column, memoryview):
                of = name.replace("__", ".").removesuffix(".rows")
                self.space[name] = Counted(column, of, self.reads, self.writes)

    def hold(self, columns):
        """No column that counts becomes a list."""


def counted(pages):
    """(Reads, writes): Counters by column, a page."""
    kernel = Kernel(Topology.uniform(2, 4 * pages), trace=False, compiled=False)
    task = anonymous(kernel, pages)
    kernel._twins = Counting(kernel._twins.program.off)
    kernel._twins.bind(kernel.tables)
    task.migrate_pages(0, old=0, new=1)
    of = kernel._twins.reads, kernel._twins.writes
    return [Counter({column: n / pages for column, n in one.items()}) for one in of]


def shuffle(kernel, node):
    """Put the free pages of a node into a random order."""
    pages, head = kernel.tables["mem_map"], kernel.k.sys.lists + 3 * node + structs.FREE
    order = np.flatnonzero((pages["flags"] & structs.PG_free != 0) & (pages["node"] == node))
    np.random.default_rng(1).shuffle(order)
    ring = np.array([head, *order, head])
    pages["next"][ring[:-1]], pages["prev"][ring[1:]] = ring[1:], ring[:-1]


def moved(pages, runs, shuffled=False, trace=0):
    """CPU ns a page of a migration: (all of it, the kernel's part); `trace`: events that are kept."""
    best = [float("inf")] * 2
    for _ in range(runs):
        kernel = machine(pages, compiled=True, trace=trace)
        for node in range(2 * shuffled):
            shuffle(kernel, node)
        task = anonymous(kernel, pages)
        kernel._compiler = timed = Timed(kernel._compiler)
        whole, _ = cpu(task.migrate_pages, 0, old=0, new=1)
        best = [min(a, b / pages * 1e9) for a, b in zip(best, (whole, timed.seconds), strict=True)]
    return best


class Timed:
    """The compiler of a machine, whose kernel functions are timed."""

    def __init__(self, compiler):
        self.Tables, self.compiler, self.seconds = compiler.Tables, compiler, 0

    def twins(self, tables):
        """As compiled.twins() gives it."""
        twin = self.compiler.twins(tables)

        def timed(function):
            def call(*args):
                seconds, answer = cpu(twin(function), *args)
                self.seconds += seconds
                return answer

            return call

        return timed


def rows(small=False):
    """The rows of where the time goes."""
    pages, runs = (512, 1) if small else (PAGES, 4)
    reads, writes = counted(256 if small else 1024)
    both, tables = reads + writes, Counter()
    note = f"{said(reads.total())} read, {said(writes.total())} written"
    yield Row("numbers that are read and written", both.total(), "a page", note=note)
    for column, n in both.items():
        tables[column.partition(".")[0]] += n
    for table, n in tables.most_common(MOST):
        columns = [(column.partition(".")[2], m) for column, m in both.most_common() if column.startswith(f"{table}.")]
        note = ", ".join(f"{column} {m:.0f}" for column, m in columns[:MOST] if m >= 1)
        yield Row(f"of these in {table}", n, "a page", note=note)
    whole, kernels = moved(pages, runs)
    note = f"{said(kernels)} in the kernel, {said(whole - kernels)} for what `kernel.last` keeps; {pages:,} pages"
    yield Row("a page that moves", whole, "ns", note=note)
    note = "of a machine that has run for a while: each frame is somewhere else in memory"
    yield Row("the same, free pages in random order", moved(pages, runs, shuffled=True)[0], "ns", note=note)
    note = "by the kernel that has all later changes as well"
    yield Row("the same, with a trace", moved(pages, runs, trace=1 << 16)[0], "ns", note=note)
