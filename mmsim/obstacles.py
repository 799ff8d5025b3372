"""What others do to pages: pins, locks, interrupts, memory pressure, swapoff."""

import numpy as np

from .errors import OutOfMemory
from .mm import structs, swapoff, timer, vmscan
from .mm.swap import put_page
from .ranges import builtin_range, task_range
from .results import os_error, ptes_of
from .task import Task

PID_KSWAPD = 1


class Obstacles:
    """The methods of Kernel by which other users hold, lock and take pages, and the checks of their arguments."""

    def pin(self, task, range, times=1):
        """Take `times` references on each page of a range, as get_user_pages() does; it faults them in."""
        self._check_task(task)
        start, end = task_range(task, range)
        times = self._whole(times, "times")
        address, ptes = ptes_of(self, task, start, end)
        there = ptes["flags"] & structs.PTE_PRESENT != 0
        taken = address[there].tolist()
        self._take(task, taken, ptes["value"][there], times)
        for at in address[~there].tolist():
            try:
                self._take(task, [at], [self._fault_in(task, at)], times)
            except (OSError, OutOfMemory):
                for done in taken:
                    self.unpin(task, builtin_range(done, done + 1), times)
                raise
            taken.append(at)

    def _take(self, task, addresses, pfns, times):
        """Take references on the frames behind some pages of a task, and write them down."""
        np.add.at(self.tables["mem_map"]["count"], pfns, times)
        for address, pfn in zip(addresses, np.asarray(pfns).tolist(), strict=True):
            self._book["pins"].setdefault(f"{task.pid}:{address}", []).extend([pfn] * times)

    def _fault_in(self, task, address):
        """The frame behind a page of a task; the page is faulted in until it is present."""
        while True:
            vma = self._vma(task, address)
            if vma is not None and self._pte(task, address)["flags"] & structs.PTE_PRESENT:
                return int(self._pte(task, address)["value"])
            write = vma is not None and bool(vma["vm_flags"] & structs.VM_WRITE)
            task.touch(builtin_range(address, address + 1), write)

    def unpin(self, task, range, times=1):
        """Drop `times` of the references that `pin` took on each page of a range."""
        self._check_task(task)
        times = self._whole(times, "times")
        start, end = task_range(task, range, mapped=False)
        pins = self._book["pins"]
        for address in builtin_range(start, end):
            held = len(pins.get(f"{task.pid}:{address}", ()))
            if held < times:
                raise ValueError(f"times is {times}, but page {address:#x} of {task.name} is pinned {held} times")
        for address in builtin_range(start, end):
            for _ in builtin_range(times):
                self.call(put_page, pins[f"{task.pid}:{address}"].pop())

    def hold_lock(self, task, range, until):
        """Let another user hold the locks of the present pages of a range, until the clock says `until` (ns)."""
        self._check_task(task)
        start, end = task_range(task, range)
        until = self._whole(until, "until", least=0)
        if until <= self.clock:
            raise ValueError(f"until is {until}, but the clock already says {self.clock}")
        ptes = [self._pte(task, a) for a in builtin_range(start, end)]
        pfns = [int(p["value"]) for p in ptes if p["flags"] & structs.PTE_PRESENT and p["value"]]
        pages = self.tables["mem_map"]
        for pfn in pfns:
            if pages["flags"][pfn] & structs.PG_locked:
                raise ValueError(f"range: page {pfn} is already locked")
        self._grow("timer", len(pfns) + self.k.sys.nr_timers + timer.NR_REQUESTS + 8)
        for pfn in pfns:
            pages["flags"][pfn] |= structs.PG_locked
            pages["count"][pfn] += 1
            self._run(timer.schedule, until, timer.UNLOCK, pfn, 0, 0)

    def interrupts(self, node, period, hold=0):
        """Interrupt load: every `period` ns (None: never) one GFP_ATOMIC page on `node`, given back `hold` ns later."""
        self._check_node(node)
        period = 0 if period is None else self._whole(period, "period")
        hold = self._whole(hold, "hold", least=0) if period else 0
        self._grow("timer", 2 * self.k.sys.nr_frames + self.k.sys.nr_timers + timer.NR_REQUESTS)
        zone = self.k.zone[node]
        zone.irq_period = period
        zone.irq_hold = hold
        waiting = self._timers()
        if period and not ((waiting["kind"] == timer.INTERRUPT) & (waiting["a"] == node)).any():
            self._run(timer.schedule, self.clock + period, timer.INTERRUPT, node, 0, 0)

    def reclaim(self, pages, node=None):
        """Memory pressure: evict `pages` pages, oldest first, of one node or of all in turn; how many were evicted."""
        pages = self._whole(pages, "pages", least=0)
        nodes = builtin_range(self.topology.nodes) if node is None else [self._check_node(node)]
        freed = 0
        for n in nodes:
            if freed < pages:
                freed += self.call(vmscan.evict_oldest, n, pages - freed, pid=PID_KSWAPD)
        return freed

    def swapoff(self):
        """Take the swap device away: everything on it is read back; OSError (ENOMEM) if memory does not suffice."""
        if self.call(swapoff.sys_swapoff) < 0:
            raise os_error("ENOMEM", "swapoff: no memory left to read the swapped pages into; swap is on again")

    @staticmethod
    def _check_task(task):
        if not isinstance(task, Task):
            raise TypeError(f"task is {task!r}; make one with kernel.spawn()")

    @staticmethod
    def _whole(number, name, least=1):
        """An argument that is a whole number, as an int."""
        if isinstance(number, bool) or not isinstance(number, (int, float, np.number)):
            raise TypeError(f"{name} is {number!r}; it is a whole number, {least} or more")
        if not least <= number < 1 << 62 or number != int(number):
            raise ValueError(f"{name} is {number!r}; it is a whole number, {least} or more")
        return int(number)

    def _check_node(self, node, name="node"):
        if isinstance(node, bool) or not hasattr(node, "__index__"):
            raise TypeError(f"{name} is {node!r}; it is the number of a node")
        if not 0 <= node < self.topology.nodes:
            raise ValueError(f"{name} is {node}; this machine has the nodes 0 to {self.topology.nodes - 1}")
        return node

    def _vma(self, task, address):
        """The row of the vma that holds a page of a task, or None."""
        vmas = self.tables["vma"]
        found = np.flatnonzero((vmas["vm_mm"] == task.pid) & (vmas["vm_start"] <= address) & (vmas["vm_end"] > address))
        return vmas[found[0]] if len(found) else None

    def _pte(self, task, address):
        return self.tables["pte"][self._vma(task, address)["pte_base"] + address]
