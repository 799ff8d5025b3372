"""The twins on columns do what the kernel's functions do as they stand, and show the lines of their source."""

import sys
import traceback

import numpy as np
import pytest
from machines import differing
from test_translate import FUNCTIONS, two_numbers

from mmsim import Kernel, Topology
from mmsim.machine.interpreted import Interpreted
from mmsim.mm import migrate_v1, page_alloc, structs, swap
from mmsim.widgets.recording import Recording

LIMIT = 3


def early(k, a, b):
    """Returns from within branches, of which one goes on."""
    if a > b:
        k.file_page[1].pfn += 1
        if a > 9:
            return 1
    elif a == b:
        return 2
    k.file_page[1].wrote -= 1
    return 3


def searched(k, a, b):
    """Returns from within a loop."""
    for i in range(a, b):
        if i % LIMIT == 1:
            return i
    return -1


def changed(k, a, b):
    """Changes its parameters."""
    a += b
    b = a * 2
    return a - b


def bumped(k, a, b):
    """Has an effect, and an answer that may be dropped."""
    k.file_page[2].pfn += a
    return b


def half(k, row, a):
    """Takes a row."""
    row.entry = a
    return row.entry // 2 if a > 0 else -row.pfn


def everywhere(k, a, b):
    """Calls them where a call may stand; its own variables have their names."""
    i = a + 1
    row = k.file_page[3]
    bumped(k, a, b)
    x = early(k, a, b)
    if not early(k, b, a) and searched(k, a, b) >= 0:
        x += changed(k, i, b) + bumped(k, bumped(k, 1, a), bumped(k, 2, 3))
    while x > 50 or (x and bumped(k, 1, x > 9)):
        x = x // 2 - half(k, row, x)
        if early(k, x, 3) == 1:
            break
        i = changed(k, i, x)
    k.file_page[4] = row
    return last(k, x + i, b)


def last(k, a, b):
    """Ends without an answer, or with a function's."""
    if a > b:
        return half(k, k.file_page[4], a - b)
    bumped(k, a, a)
    return early(k, a, b) if a else searched(k, a, b)


def again(k, a, b):
    """Reads what it has read or written before, also where something else may have changed it meanwhile."""
    i = a % 4 + 1
    j = b % 4 + 1
    one = k.file_page[i]
    other = k.file_page[j]
    one.pfn = a
    other.pfn = b
    one.entry += 1
    x = one.pfn + (other.entry if a > b else one.wrote) + other.entry
    if (a > 3 and one.wrote > other.wrote) or other.entry > 1:
        one.wrote = x % 100
        other.wrote = b
    else:
        i = j
    x += one.wrote + other.wrote + k.file_page[i].wrote
    bumped(k, 1, x)
    x += one.pfn + bumped(k, 3, b) + one.pfn
    for n in range(a % 3):
        other.pfn = other.pfn // 2 + n
        x += one.pfn
        one = k.file_page[n + 1]
    while k.file_page[i].pfn > 50:
        k.file_page[i].pfn //= 2
        i = k.file_page[i].pfn % 4
        x += k.file_page[i].pfn
    k.file_page[k.file_page[i].wrote % 4].pfn += bumped(k, 3, x)
    k.file_page[k.file_page[j].entry % 4].pfn -= 7
    return x + one.pfn + other.entry + k.file_page[k.file_page[j].entry % 4].pfn


@pytest.fixture(scope="module")
def both():
    """Runs a function with two numbers as it stands, and its twin: what either returns; all tables must be equal."""
    plain, other = (Kernel(Topology.uniform(2, 64), compiled=False) for _ in range(2))
    starts = plain.snapshot(), other.snapshot()
    twins = Interpreted(("change", "tracing"))

    def run(function, a, b):
        plain.restore(starts[0])
        other.restore(starts[1])
        twins.bind(other.tables)
        answers = [function(plain.k, a, b), twins(function)(a, b)]
        assert differing(plain.tables, other.tables) == []
        return answers

    return run


OWN = early, searched, changed, everywhere, last, again


@pytest.mark.parametrize("function", [*FUNCTIONS, *OWN], ids=lambda f: f.__name__)
@two_numbers
def test_a_twin_does_what_its_function_does(both, function, a, b):
    plain, twin = both(function, a, b)
    assert plain == twin


def test_a_twin_has_the_lines_of_its_source():
    kernel = Kernel(Topology.uniform(1, 64), compiled=False)
    with pytest.raises(IndexError) as raised:
        kernel.call(swap.put_page, 1 << 20)
    last = traceback.extract_tb(raised.value.__traceback__)[-1]
    assert (last.filename, last.name, last.line) == (swap.__file__, "put_page", "page.count -= 1")


def test_who_follows_the_lines_sees_the_functions_as_they_stand():
    kernel, before, seen = Kernel(Topology.uniform(1, 64), compiled=False), sys.gettrace(), set()
    pfn = kernel.call(page_alloc.rmqueue, 0)
    sys.settrace(lambda frame, *_: seen.add(frame.f_code))
    try:
        kernel.call(swap.put_page, pfn)
    finally:
        sys.settrace(before)
    assert {swap.put_page.__code__, page_alloc.free_page.__code__} <= seen


def recorded(follow):
    """A recording of a migration, of reclaim and of faults."""
    kernel = Kernel(Topology.uniform(2, 128), patches=7, compiled=False)
    task, before = kernel.spawn("a"), sys.gettrace()
    heap = task.mmap(20)
    task.touch(heap, write=True)
    shared = task.mmap(8, file=kernel.file("f", 8, fs="ext2"), shared=True)
    task.touch(shared, write=True)
    kernel.pin(task, heap[:1])

    def run():
        task.migrate_pages(0, 0, 1)
        kernel.reclaim(9)
        task.touch(heap, write=True)

    sys.settrace(follow)
    try:
        return Recording(kernel, run)
    finally:
        sys.settrace(before)


def test_what_twins_say_that_they_write_is_all_that_changes():
    told, compared = recorded(None), recorded(lambda *_: None)
    assert told.error is None
    assert told.steps > 150
    for step in range(told.steps + 1):
        assert differing(told.at(step).tables, compared.at(step).tables) == []
    codes = [[(code.co_qualname, code.co_filename, line) for code, line in each.code] for each in (told, compared)]
    assert codes[0] == codes[1]


def test_a_recording_of_several_calls_with_tables_that_grow_and_a_ring_that_is_too_small():
    kernel = Kernel(Topology.uniform(2, 512), compiled=False, trace=8)
    task, moments = kernel.spawn("a"), []
    heap = task.mmap(20)
    task.touch(heap, write=True)

    def run():
        task.migrate_pages(0, 0, 1)
        moments.append((kernel.k.sys.nr_events, kernel.clock, kernel.tables["mem_map"].copy()))
        task.mmap(300)
        task.migrate_pages(0, 1, 0)

    begin = kernel.k.sys.nr_events
    recording = Recording(kernel, run)
    (events, clock, pages), last = moments[0], recording.at(recording.steps).tables
    assert len(recording.events) == kernel.k.sys.nr_events - begin > 8
    ring = np.roll(kernel.tables["event"], -(kernel.k.sys.nr_events % 8))
    assert recording.events[-8:].tolist() == ring.tolist()
    between = recording.at(events - begin + 1).tables  # the second call has begun, its first event is not written
    assert between["sys"]["clock"][0] == clock
    assert np.array_equal(between["mem_map"]["data"], pages["data"])
    assert differing(last, kernel.tables) == []


def test_a_long_call_of_which_the_tables_are_copied_does_what_functions_do_as_they_stand():
    before, done = sys.gettrace(), []
    for follow in (None, lambda *_: None):
        kernel = Kernel(Topology.uniform(2, 300), patches=7, compiled=False, trace=1000)
        task = kernel.spawn("a")
        heap = task.mmap(200)
        task.touch(heap, write=True)
        kernel.pin(task, heap[:3])
        held, twins = set(), kernel._twins
        twins.hold = lambda names, hold=twins.hold, held=held: (held.update(names), hold(names))
        sys.settrace(follow)
        try:
            task.migrate_pages(0, 0, 1)
        finally:
            sys.settrace(before)
        kernel.reclaim(5)
        done.append((kernel.tables, held))
    (tables, held), (other, none) = done
    assert [name for name, table in tables.items() if not np.array_equal(table, other[name])] == []
    assert tables["sys"]["nr_events"][0] > 1000
    assert {"mem_map__next", "considered__path", "sys__clock"} <= held
    assert none == set()


def test_tables_that_have_grown_are_the_twins_own():
    kernel = Kernel(Topology.uniform(1, 512), compiled=False)
    task = kernel.spawn("a")
    task.touch(task.mmap(8), write=True)
    first = kernel.tables["pte"]
    heap = task.mmap(300)
    assert kernel.tables["pte"] is not first
    assert task.touch(heap, write=True).minor == 300
    kernel.verify()


def test_a_function_of_ones_own_runs_over_rows_and_the_twins_see_what_it_did():
    kernel = Kernel(Topology.uniform(1, 64), compiled=False)
    pfn = kernel.call(lambda k: page_alloc.rmqueue(k, 0))
    assert kernel.call(page_alloc.rmqueue, 0) != pfn
    assert kernel.tables["mem_map"]["count"][pfn] == 1


def test_what_is_put_into_a_module_of_the_kernel_counts(monkeypatch):
    def moved():
        kernel = Kernel(Topology.uniform(2, 64), trace=False, compiled=False)
        task = kernel.spawn("a")
        heap = task.mmap(4)
        task.touch(heap, write=True)
        task.migrate_pages(0, 0, 1)
        return task.placement(heap).count(1)

    assert moved() == 4
    monkeypatch.setattr(migrate_v1, "migrate_page", lambda *_: -structs.EIO)
    assert moved() == 0
    monkeypatch.undo()
    assert moved() == 4
    monkeypatch.setattr(migrate_v1, "PASSES", 0)
    assert moved() == 0
