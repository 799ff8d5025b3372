"""What others do to pages: pins, locks, interrupts, memory pressure, swapoff."""

import numpy as np

from ..terms.arguments import END_OF_TIME, one_node, whole
from .doors import door
from .handles import own
from ..mm import fault, filemap, ll_rw_blk, sched, structs, swapfile, timer, vmscan
from ..mm.swap import release_pages
from .packets import PACKETS, packets
from .errors import os_error
from .ranges import task_range
from .results import ptes_of
from .task import Task
from .trouble import free_memory

PID_KSWAPD = 1
builtin_range = range  # `range` is the name of an argument below
MOST_PINS, MOST_PINS_IN_ALL = 1 << 16, 1 << 26  # by one call: of a page, and of all pages together
MANY = 300  # interrupts from which on `packets` is worth while


class Obstacles:
    """The methods of Kernel by which other users hold, lock and take pages, and the checks of their arguments."""

    @door
    def pin(self, task, range, times=1):
        """Take `times` references on each page of a range, as get_user_pages() does; it faults them in."""
        own(self, task, Task, "task")
        times = whole(times, "times", least=1, most=MOST_PINS)
        start, end = task_range(task, range)
        task._check_alive()
        if (end - start) * times > MOST_PINS_IN_ALL:
            most = MOST_PINS_IN_ALL // (end - start)
            raise ValueError(f"times is {times}; of {end - start:,} pages at once it is at most {most}")
        pfns = np.full(end - start, -1)
        self.k.sys.current = task.pid
        result = self._run(fault.get_user_pages, task.pid, start, end, times, pfns)
        taken = np.repeat(pfns[pfns >= 0], times)
        if result < 0:
            self._run(release_pages, taken)
        else:
            pages, before = self._pins(task)
            pages = np.append(pages, np.repeat(np.arange(start, end, dtype=np.int32), times))
            self._set_pins(task, pages, np.append(before, taken.astype(np.int32)))
        self.call(sched.cond_resched)
        task._check_faults(result, "read", start, end)

    @door
    def unpin(self, task, range, times=1):
        """Drop `times` of the references that `pin` took on each page of a range."""
        own(self, task, Task, "task")
        times = whole(times, "times", least=1)
        start, end = task_range(task, range, mapped=False)
        pages, pfns = self._pins(task)
        end = min(end, start + len(pages) + 1)  # of more pages than there are pins, one of the first has none
        at = np.flatnonzero((pages >= start) & (pages < end))[::-1]
        at = at[np.argsort(pages[at], kind="stable")]  # by address, the newest first
        held = np.bincount(pages[at] - start, minlength=max(0, end - start))
        for page in np.flatnonzero(held < times)[:1].tolist():
            message = f"page {start + page:#x} of {task.label} is pinned {held[page]} times"
            raise ValueError(f"times is {times}, but {message}")
        dropped = at[np.arange(len(at)) - np.repeat(np.cumsum(held) - held, held) < times]
        self._doorkeeper.begun = True
        self._set_pins(task, np.delete(pages, dropped), np.delete(pfns, dropped))
        self.call(release_pages, pfns[dropped].astype(np.int64))

    def _pins(self, task):
        """The pages of a task that are pinned, one by one as they were pinned, and the frames behind them."""
        return [np.array(self._book[kind].get(task.pid, ()), np.int32) for kind in ("pinned", "pins")]

    def _set_pins(self, task, pages, pfns):
        self._book["pinned"][task.pid], self._book["pins"][task.pid] = pages, pfns

    @door
    def hold_lock(self, task, range, until):
        """Let another user hold the locks of the present pages of a range, until the clock says `until` (ns)."""
        own(self, task, Task, "task")
        until = whole(until, "until", least=0, what="ns")
        start, end = task_range(task, range)
        if until <= self.clock:
            raise ValueError(f"until is {until}, but the clock already says {self.clock}")
        _, ptes = ptes_of(task, start, end)
        pfns = ptes["value"][(ptes["flags"] & structs.PTE_PRESENT != 0) & (ptes["value"] > 0)].astype(np.int64)
        for pfn in pfns[self.tables["mem_map"]["flags"][pfns] & structs.PG_locked != 0][:1]:
            raise ValueError(f"range: frame {pfn} is already locked")
        self._grow("timer", len(pfns) + self.k.sys.nr_timers + ll_rw_blk.NR_REQUESTS + 8)
        self._run(filemap.hold_locks, pfns, until)

    @door
    def interrupts(self, node, period, hold=0):
        """Interrupt load: every `period` ns (None: never) one GFP_ATOMIC page on `node`, given back `hold` ns later."""
        node = one_node(node, self.topology.nodes)
        period = 0 if period is None else whole(period, "period", least=1, most=END_OF_TIME - self.clock, what="ns")
        hold = whole(hold, "hold", least=0, most=END_OF_TIME - self.clock, what="ns") if period else 0
        self._grow("timer", 2 * self.k.sys.nr_frames + self.k.sys.nr_timers + ll_rw_blk.NR_REQUESTS)
        zone = self.k.zone[node]
        zone.irq_period = period
        zone.irq_hold = hold
        waiting = self._timers()
        if period and not ((waiting["kind"] == timer.INTERRUPT) & (waiting["a"] == node)).any():
            self._run(timer.add_timer, self.clock + period, timer.INTERRUPT, node, 0, 0)

    def _hurry(self, until):
        """Let the interrupts that arrive before `until` happen, many at once: the machine is as if each had run.

        What else is due runs in its turn, and so do packets in whose pages there is more.  A compiled machine needs no
        such thing.
        """
        periods = self.tables["zone"]["irq_period"]
        while not self.compiled and periods.any():
            waiting = self._timers()
            others = waiting["time"][~np.isin(waiting["kind"], PACKETS)]
            stop = min([until, *others.tolist()])
            pages = self.tables["mem_map"][waiting["a"][waiting["kind"] == timer.PACKET_DONE]]
            plain = ((pages["flags"] == structs.PG_slab) & (pages["count"] == 1)).all()
            if plain and stop > self.clock + MANY * periods[periods > 0].min():
                self._run(packets, stop)
            if stop == until:
                return
            self._run(timer.wait_until, stop)

    @door
    def reclaim(self, pages, node=None):
        """Memory pressure: evict `pages` pages, oldest first, of one node or of all in turn; how many were evicted."""
        pages = whole(pages, "pages", least=0, what="pages")
        nodes = builtin_range(self.topology.nodes) if node is None else [one_node(node, self.topology.nodes)]
        freed = 0
        for n in nodes:
            if freed < pages:
                freed += self.call(vmscan.evict_oldest, n, pages - freed, pid=PID_KSWAPD)
        return freed

    @door
    def swapoff(self):
        """Take the swap device away: everything on it is read back; OSError (ENOMEM) if memory does not suffice."""
        if self.call(swapfile.sys_swapoff) < 0:
            raise os_error("ENOMEM", f"swapoff: no memory left to read the swapped pages into; {free_memory(self)}; "
                                     "swap is on again")

    def _vma(self, task, address):
        """The row of the vma that holds a page of a task, or None."""
        vmas = self.tables["vma"]
        found = np.flatnonzero((vmas["vm_mm"] == task.pid) & (vmas["vm_start"] <= address) & (vmas["vm_end"] > address))
        return vmas[found[0]] if len(found) else None

    def _pte(self, task, address):
        return self.tables["pte"][self._vma(task, address)["pte_base"] + address]
