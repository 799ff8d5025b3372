"""Thousands of interrupts that happen at once leave the machine as if each had run by itself."""

import heapq

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import boot, by_age, differing, share

from mmsim import Kernel
from mmsim.machine import obstacles
from mmsim.mm import timer


class Counting(Kernel):
    """A machine that counts the calls into the kernel."""

    calls = 0

    def _run(self, function, *args):
        self.calls += 1
        return super()._run(function, *args)


def loaded(loads, trace=False, swap_slots=0, frames=128):
    """A machine under interrupts: {node: (period, hold)}."""
    kernel = boot(nodes=2, frames=frames, trace=trace, swap_slots=swap_slots)
    for node, (period, hold) in loads.items():
        kernel.interrupts(node, period, hold)
    return kernel


def unlike(one, other):
    """The tables in which two machines differ; where in their table the timers stand does not matter."""
    return differing(by_age(one.tables), by_age(other.tables))


LOADS = st.dictionaries(
    st.integers(0, 1), st.tuples(st.sampled_from([100, 101, 150, 997, 1_000]), st.integers(0, 40_000)), min_size=1
)


WAITS = st.integers(1, 60_000) | st.integers(100_000, 150_000)  # the long ones skip whole rounds


@given(LOADS, st.booleans(), st.lists(WAITS, min_size=1, max_size=3), st.booleans())
@settings(max_examples=share(100))
def test_a_long_wait_is_as_if_every_interrupt_had_run(loads, trace, waits, job):
    slow, fast = loaded({}, trace, swap_slots=64), loaded({}, trace, swap_slots=64)
    for kernel in (slow, fast):
        if job:
            task = kernel.spawn("a")
            task.touch(task.mmap(60), write=True)
            task.munmap(task.mmap(2), at=kernel.clock + 20_000)
            kernel.hold_lock(task, task.mmap(4, locked=True), until=kernel.clock + 30_000)
        for node, (period, hold) in loads.items():
            kernel.interrupts(node, period, hold)
    for ns in waits:
        slow.call(timer.wait_until, slow.clock + ns)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(obstacles, "MANY", 3)
            fast.wait(ns)
        fast.verify()
        assert unlike(slow, fast) == []


def test_a_load_that_has_ended_ends_with_its_last_packets():
    slow, fast = (loaded({0: (100, 5_000), 1: (130, 9_000)}) for _ in range(2))
    for kernel in (slow, fast):
        kernel.wait(10_000)
        kernel.interrupts(0, None)
    slow.call(timer.wait_until, slow.clock + 80_000)
    fast.wait(80_000)
    fast.verify()
    assert unlike(slow, fast) == []


def test_most_of_a_long_wait_is_skipped():
    kernel = Counting(boot().topology)
    kernel.interrupts(0, period=1_000, hold=5_500)
    kernel.wait(10**12)
    kernel.verify()
    assert kernel.vmstat()["interrupts"] == 10**9
    assert kernel.clock == 10**12
    assert kernel.calls < 100


def test_what_else_is_pending_happens_in_its_turn():
    kernel = Counting(boot().topology)
    task = kernel.spawn("a")
    heap = task.mmap(2)
    task.touch(heap, write=True)
    kernel.interrupts(0, period=1_000, hold=5_500)
    task.munmap(heap, at=kernel.clock + 5_000_000)
    kernel.wait(10_000_000)
    kernel.verify()
    assert task.placement() == []
    assert kernel.vmstat()["interrupts"] == 10_000
    assert kernel.calls < 100


def test_periods_that_never_meet_do_not_make_a_wait_long():
    kernel = Counting(boot().topology)
    kernel.interrupts(0, period=1_009, hold=50_000)
    kernel.interrupts(1, period=1_013, hold=7_000)
    kernel.wait(20_000_000)
    kernel.verify()
    assert kernel.vmstat()["interrupts"] == 20_000_000 // 1_009 + 20_000_000 // 1_013
    assert kernel.calls < 100


ROOM = 10  # timers


@given(st.lists(st.none() | st.integers(0, 12), min_size=80, max_size=120))
@settings(max_examples=share(200))
def test_timers_happen_in_the_order_of_time_and_of_equal_times_as_they_were_added(steps):
    """None: the earliest happens; a number: one more is added, so much later than now."""
    kernel = boot(nodes=1, frames=64)
    kernel.tables["timer"] = kernel.tables["timer"][:ROOM].copy()  # so that its end is reached
    kernel._bind()
    waiting, added = [], 0
    for ahead in steps:
        if ahead is not None and len(waiting) < ROOM:
            heapq.heappush(waiting, (kernel.clock + ahead, added))
            kernel._run(timer.add_timer, kernel.clock + ahead, timer.COMMIT, 0, added, 0)
            added += 1
        elif waiting:
            time, number = heapq.heappop(waiting)
            assert (kernel._timers()["time"][0], kernel._timers()["b"][0]) == (time, number)
            kernel._run(timer.run_timer)
            assert kernel.clock >= time
    assert kernel._timers()["b"].tolist() == [number for _, number in sorted(waiting)]
    assert kernel.k.sys.timers_added == added
