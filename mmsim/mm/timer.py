"""Simulated time (kernel/timer.c): what happens later, and sleeping until it has.

Time passes as work is done (`k.sys.clock += cost`); what is due happens where the kernel may
sleep: in `cond_resched`, and in every wait.  Timers stand in the order of time, from row `k.sys.first_timer` on: most
belong at either end, as writes end in the order in which they began, and an interrupt comes before its packets end.
"""

from .structs import (
    BH_JBD, GFP_ATOMIC, PF_MMAP_SEM, PG_private, PG_slab, PG_writeback, VM_ATOMIC_FAILURES, VM_INTERRUPTS,
)
from .trace import ATOMIC_FAILED, trace

IO_DONE, UNLOCK, INTERRUPT, PACKET_DONE, COMMIT, MUNMAP = range(6)
MMAP_SEM_WAIT = 10_000  # ns until an munmap that found the mmap_sem held looks again


def add_timer(k, time, kind, a, b, c):
    """Let `kind` happen at `time` with arguments a, b, c; of equal times the one that was added first comes first."""
    t = k.timer[internal_add_timer(k, time)]
    t.time = time
    t.added = k.sys.timers_added
    t.kind = kind
    t.a = a
    t.b = b
    t.c = c
    k.sys.timers_added += 1


def internal_add_timer(k, time):
    """Make room for one more timer, behind all that are not later: its row."""
    first = k.sys.first_timer
    n = k.sys.nr_timers
    k.sys.nr_timers = n + 1
    if first and n and k.timer[first + n // 2].time > time:  # nearer to the front, where a row is free
        i = first - 1
        k.sys.first_timer = i
        while k.timer[i + 1].time <= time:
            k.timer[i] = k.timer[i + 1]
            i += 1
        return i
    if first + n == len(k.timer):  # at the end of the table: back to its beginning
        for i in range(n):
            k.timer[i] = k.timer[first + i]
        first = 0
        k.sys.first_timer = 0
    i = first + n
    while i > first and k.timer[i - 1].time > time:
        k.timer[i] = k.timer[i - 1]
        i -= 1
    return i


def run_timer(k):
    """Let the earliest timer happen; the clock moves there if it lies ahead (a part of __run_timers)."""
    t = k.timer[k.sys.first_timer]
    time, kind, a, b, c = t.time, t.kind, t.a, t.b, t.c
    k.sys.first_timer += 1
    k.sys.nr_timers -= 1
    k.sys.clock = max(k.sys.clock, time)
    if kind == IO_DONE:
        k.mem_map[a].flags &= ~PG_writeback
        k.sys.in_flight -= 1
    elif kind == UNLOCK:
        unlock_page(k, a)
        put_page(k, a)
    elif kind == INTERRUPT:
        interrupt(k, a, time)
    elif kind == PACKET_DONE:
        k.mem_map[a].flags &= ~PG_slab
        put_page(k, a)
    elif kind == COMMIT and k.mem_map[a].flags & PG_private:
        k.mem_map[a].private &= ~BH_JBD
    elif kind == MUNMAP and k.task[a].flags & PF_MMAP_SEM:
        add_timer(k, k.sys.clock + MMAP_SEM_WAIT, MUNMAP, a, b, c)
    elif kind == MUNMAP:
        do_munmap(k, a, b, c)


def interrupt(k, node, time):
    """A packet arrives on a node: one page, atomically, given back after a while; without one the packet is lost."""
    zone = k.zone[node]
    if not zone.irq_period:
        return
    add_timer(k, time + zone.irq_period, INTERRUPT, node, 0, 0)
    k.vmstat[VM_INTERRUPTS] += 1
    pfn = get_page_from_freelist(k, node, ANY_NODE, GFP_ATOMIC, True)
    if not pfn:
        wakeup_kswapd(k, node, ANY_NODE)
        pfn = get_page_from_freelist(k, node, ANY_NODE, GFP_ATOMIC, False)
    if pfn:
        k.mem_map[pfn].flags |= PG_slab
        add_timer(k, time + zone.irq_hold, PACKET_DONE, pfn, 0, 0)
    else:
        k.vmstat[VM_ATOMIC_FAILURES] += 1
        trace(k, ATOMIC_FAILED, 0, 0, node)


def wait_until(k, time):
    """Sleep until `time` (schedule_timeout, to a point in time)."""
    while k.sys.nr_timers and k.timer[k.sys.first_timer].time <= time:
        run_timer(k)
    k.sys.clock = max(k.sys.clock, time)


# The other knot of the kernel: what happens while somebody sleeps may itself unlock, unmap, allocate and sleep.
from .page_alloc import ANY_NODE, get_page_from_freelist  # noqa: E402  first: it ties its own knot
from .filemap import unlock_page  # noqa: E402
from .mmap import do_munmap  # noqa: E402
from .swap import put_page  # noqa: E402
from .vmscan import wakeup_kswapd  # noqa: E402
