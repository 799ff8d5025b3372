"""Interrupts that go in rounds: rounds that are skipped leave the machine as if all of them had run."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import boot, share

from mmsim import Kernel
from mmsim.machine import obstacles
from mmsim.mm import timer


class Counting(Kernel):
    """A machine that counts the calls into the kernel."""

    calls = 0

    def _run(self, function, *args):
        self.calls += 1
        return super()._run(function, *args)


def loaded(loads, trace, swap_slots=0):
    """A machine under interrupts: {node: (period, hold)}."""
    kernel = boot(nodes=2, frames=128, trace=trace, swap_slots=swap_slots)
    for node, (period, hold) in loads.items():
        kernel.interrupts(node, period, hold)
    return kernel


def differing(one, other):
    """The tables in which two machines differ; where in the heap a timer is does not matter."""
    tables = [kernel.tables | {"timer": np.sort(kernel._timers(), order="added")} for kernel in (one, other)]
    return [name for name, table in tables[0].items() if not np.array_equal(table, tables[1][name])]


LOADS = st.dictionaries(
    st.integers(0, 1), st.tuples(st.sampled_from([100, 150, 1_000]), st.integers(0, 40_000)), min_size=1
)


@given(LOADS, st.booleans(), st.integers(100_000, 150_000))
@settings(max_examples=share(100))
def test_a_long_wait_is_as_if_every_interrupt_had_run(loads, trace, ns):
    slow, fast = loaded(loads, trace), loaded(loads, trace)
    slow.call(timer.wait_until, ns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(obstacles, "ROUNDS_FROM", 10)
        fast.wait(ns)
    fast.verify()
    assert differing(slow, fast) == []


def test_most_of_a_long_wait_is_skipped():
    kernel = Counting(boot().topology)
    kernel.interrupts(0, period=1_000, hold=5_500)
    kernel.wait(100_000_000)
    kernel.verify()
    assert kernel.vmstat()["interrupts"] == 100_000
    assert kernel.clock == 100_000_000
    assert kernel.calls < 100


def test_where_anything_else_is_pending_nothing_is_skipped():
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
