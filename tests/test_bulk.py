"""What is done for many pages at once is what the same would be page by page."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule
from machines import Checked, boot, differing, free, share, writer
from test_state_machine import Machine, index

from mmsim import Kernel, OutOfMemory, Topology
from mmsim.machine import verify
from mmsim.mm import structs


def walk(kernel):
    """verify.walk_page_tables(), one pte at a time."""
    k = kernel.k
    found = verify.Found([0] * len(k.mem_map), [0] * len(k.swap_map), [True] * len(k.mem_map), [])
    for vma in sorted((v for v in k.vma if v.vm_mm), key=lambda v: v.pte_base + v.vm_start):
        for address in range(vma.vm_start, vma.vm_end):
            pte, offset = k.pte[vma.pte_base + address], vma.vm_pgoff + address - vma.vm_start
            page = k.mem_map[k.swap_cache[pte.value] if pte.flags & structs.PTE_SWAP else pte.value]
            if pte.flags & structs.PTE_PRESENT:
                found.mapped[pte.value] += 1
                of_vma = page.mapping and page.mapping in (vma.mapping, -vma.anon_vma) and page.index == offset
                found.reached[pte.value] &= bool(of_vma or page.flags & structs.PG_reserved)
            elif pte.flags & structs.PTE_SWAP:
                found.swapped[pte.value] += 1
            else:
                continue
            on_device = pte.flags & structs.PTE_SWAP and not k.swap_cache[pte.value]
            holds = k.swap_data[pte.value] if on_device else page.data
            of_file = pte.flags & structs.PTE_PRESENT and page.mapping > 0  # or a copy that mlock made
            written = k.wrote[vma.pte_base + address]
            if of_file:
                written = k.file_page[k.mapping[vma.mapping].base + offset].wrote
            if holds != written:
                found.lost.append(f"virtual page {address:#x} of pid {vma.vm_mm}: it holds write {holds},")
    return found


class Walked(Machine):
    @rule(damage=st.sampled_from([None, ("mem_map", "index"), ("mem_map", "mapping"), ("mem_map", "data"),
                                  ("vma", "anon_vma"), ("wrote", ...)]),
          i=index, block=st.sampled_from([1, 7, 1 << 18]))  # fmt: skip
    def page_tables_are_walked(self, damage, i, block):
        before = self.keep()
        if damage:
            table, column = damage
            numbers = self.kernel.tables[table][column]
            numbers[np.roll(np.flatnonzero(numbers), i)[:1]] += 1
        with mock.patch.object(verify, "BLOCK", block):
            found, singly = verify.walk_page_tables(self.kernel), walk(self.kernel)
        assert [column.tolist() for column in found[:3]] == list(singly[:3])
        assert found.lost.startswith(singly.lost[0]) if singly.lost else not found.lost
        self.go_back(before)


TestWalked = Walked.TestCase
TestWalked.settings = settings(max_examples=share(25))

steps = st.lists(
    st.tuples(st.sampled_from(["pin", "pin", "unpin", "hold_lock", "write"]), st.integers(0, 23), st.integers(0, 8),
              st.integers(1, 3)), max_size=12,
)  # fmt: skip


@settings(max_examples=share(60))
@given(steps)
def test_pins_and_locks_of_a_range_are_those_of_its_pages(steps):
    kernels = [Checked(Topology.uniform(nodes=2, frames=256)) for _ in range(2)]
    for kernel in kernels:
        task, heap = writer(kernel, 16)
        task.fork()  # a write breaks the sharing: the same virtual page is then pinned in another frame
        task.mmap(16, at=heap.stop)
    together, singly = kernels
    for what, first, size, times in steps:
        before = singly.snapshot()
        parts = range(0x10000 + first, 0x10000 + first + size)
        answers = [
            do(together, what, [parts], times),
            do(singly, what, [range(page, page + 1) for page in parts], times),
        ]
        assert answers[0] == answers[1]
        if answers[1]:
            singly.restore(before)  # refused: together, nothing is done
        assert differing(together.tables, singly.tables) == [], what
        assert pins(together) == pins(singly)


def pins(kernel):
    """What is pinned: pages and frames, by task."""
    return [[p.tolist() for p in kernel._book[kind].values() if len(p)] for kind in ("pinned", "pins")]


def do(kernel, what, parts, times):
    """Do something to some parts of the first task: why it was refused, or None."""
    task, clock = kernel.tasks[0], kernel.clock
    try:
        for part in parts:
            if what == "write":
                task.touch(part, write=True)
            elif what == "hold_lock":
                kernel.hold_lock(task, part, clock + 10**9)
            else:
                getattr(kernel, what)(task, part, times)
    except ValueError as error:
        return str(error)
    return None


def test_a_pin_that_finds_no_memory_takes_no_references():
    kernel = boot(frames=64, swap_slots=0)
    task, heap = writer(kernel, 4)
    large = task.mmap(200, at=heap.stop)
    before = kernel.tables["mem_map"]["count"][:].copy()
    with pytest.raises(OutOfMemory):
        kernel.pin(task, range(heap.start, large.stop), times=3)
    assert kernel.vmstat()["oom"] == 1
    assert kernel.tables["mem_map"]["count"].max() <= before.max()
    assert free(kernel, 0) < 16  # the pages that were faulted in stay
    kernel.verify()
    with pytest.raises(ValueError, match="pinned 0 times"):
        kernel.unpin(task, heap)


def test_unpin_drops_the_newest_pins():
    kernel = boot()
    task, heap = writer(kernel, 2)
    kernel.pin(task, heap)
    old = task.pages(heap)["pfn"].tolist()
    task.munmap(heap)
    task.touch(task.mmap(2, at=heap.start), write=True)
    kernel.pin(task, heap[1])
    kernel.unpin(task, heap)  # of the second page, the new frame
    assert kernel._book["pins"][task.pid].tolist() == old[1:]
    kernel.verify()


def test_pins_are_saved(tmp_path):
    kernel = boot()
    task, heap = writer(kernel, 4)
    kernel.pin(task, heap, times=2)
    kernel.save(tmp_path / "machine.npz")
    loaded = Kernel.load(tmp_path / "machine.npz")
    loaded.verify()
    loaded.unpin(loaded.tasks[0], range(heap.start, heap.stop), times=2)
    loaded.verify()
    assert pins(loaded) == [[], []]
