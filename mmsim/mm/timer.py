"""Simulated time (kernel/timer.c): what happens later, and sleeping until it has; page locks (mm/filemap.c).

Time passes as work is done (`k.sys.clock += cost`); what is due happens where the kernel may
sleep: in `cond_resched`, and in every wait.  Timers are a binary heap by time.
"""

from .mmap import do_munmap
from .page_alloc import ANY_NODE, get_page_from_freelist, wakeup_kswapd
from .structs import (
    BH_JBD, GFP_ATOMIC, HANG_LOCK, PF_MMAP_SEM, PG_locked, PG_private, PG_slab, PG_writeback,
    VM_ATOMIC_FAILURES, VM_INTERRUPTS,
)
from .swap import get_page, put_page
from .trace import ATOMIC_FAILED, bug, trace

IO_DONE, UNLOCK, INTERRUPT, PACKET_DONE, COMMIT, MUNMAP = range(6)
NR_REQUESTS = 128  # writes that a device queues before the writer must wait
MMAP_SEM_WAIT = 10_000  # ns until an munmap that found the mmap_sem held looks again


def add_timer(k, time, kind, a, b, c):
    """Let `kind` happen at `time` with arguments a, b, c; of equal times the one that was added first comes first."""
    i = k.sys.nr_timers
    k.sys.nr_timers = i + 1
    while i and k.timer[(i - 1) // 2].time > time:
        k.timer[i] = k.timer[(i - 1) // 2]
        i = (i - 1) // 2
    t = k.timer[i]
    t.time = time
    t.added = k.sys.timers_added
    t.kind = kind
    t.a = a
    t.b = b
    t.c = c
    k.sys.timers_added += 1


def comes_before(k, i, j):
    """True if the timer in row i comes before that in row j."""
    t = k.timer[i]
    u = k.timer[j]
    return t.time < u.time or (t.time == u.time and t.added < u.added)


def pop_timer(k):
    """Take the earliest timer off the heap."""
    last = k.sys.nr_timers - 1
    k.sys.nr_timers = last
    i = 0
    child = 1
    while child < last:
        if child + 1 < last and comes_before(k, child + 1, child):
            child += 1
        if comes_before(k, last, child):
            break
        k.timer[i] = k.timer[child]
        i = child
        child = 2 * i + 1
    k.timer[i] = k.timer[last]


def run_timer(k):
    """Let the earliest timer happen; the clock moves there if it lies ahead."""
    t = k.timer[0]
    time, kind, a, b, c = t.time, t.kind, t.a, t.b, t.c
    pop_timer(k)
    if time > k.sys.clock:
        k.sys.clock = time
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
    elif kind == COMMIT:
        if k.mem_map[a].flags & PG_private:
            k.mem_map[a].private &= ~BH_JBD
    elif kind == MUNMAP:
        if k.task[a].flags & PF_MMAP_SEM:
            add_timer(k, k.sys.clock + MMAP_SEM_WAIT, MUNMAP, a, b, c)
        else:
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


def cond_resched(k):
    """A point where the kernel may be preempted: whatever is due by now happens."""
    while k.sys.nr_timers and k.timer[0].time <= k.sys.clock:
        run_timer(k)


def wait_until(k, time):
    """Sleep until `time`."""
    while k.sys.nr_timers and k.timer[0].time <= time:
        run_timer(k)
    if time > k.sys.clock:
        k.sys.clock = time


def schedule(k):
    """Give the CPU away until somebody unmaps something (kernel/sched.c): 1; or 0 if nobody is left who could."""
    begins = -1
    for i in range(k.sys.nr_timers):
        t = k.timer[i]
        if t.kind == MUNMAP and not k.task[t.a].flags & PF_MMAP_SEM and (begins < 0 or t.time < begins):
            begins = t.time
    if begins < 0:
        return 0
    wait_until(k, max(begins, k.sys.clock))
    return 1


def wait_on_page(k, pfn, flag):
    """Sleep until a flag of a page is clear: PG_locked, or PG_writeback; 1, or 0 if nobody will ever clear it."""
    while k.mem_map[pfn].flags & flag:
        if not k.sys.nr_timers:
            bug(k, HANG_LOCK, pfn)
            return 0
        run_timer(k)
    return 1


def lock_page(k, pfn):
    """Take the lock of a page, sleeping until it is free (mm/filemap.c); if it never will be, we do not get it."""
    if wait_on_page(k, pfn, PG_locked):
        k.mem_map[pfn].flags |= PG_locked


def hold_locks(k, pfns, until):
    """Others take the locks of pages, and a reference to each, until the clock says `until`."""
    for i in range(len(pfns)):
        k.mem_map[pfns[i]].flags |= PG_locked
        get_page(k, pfns[i])
        add_timer(k, until, UNLOCK, pfns[i], 0, 0)


def trylock_page(k, pfn):
    """Take the lock of a page if it is free (TestSetPageLocked turned around): 1 if we have it now."""
    page = k.mem_map[pfn]
    if page.flags & PG_locked:
        return 0
    page.flags |= PG_locked
    return 1


def unlock_page(k, pfn):
    """Give the lock of a page back (mm/filemap.c)."""
    k.mem_map[pfn].flags &= ~PG_locked


def congestion_wait(k):
    """blk_congestion_wait(): sleep until some write has ended; 0 if none is under way."""
    if not k.sys.in_flight:
        return 0
    before = k.sys.in_flight
    while k.sys.in_flight >= before:
        run_timer(k)
    return 1


def start_writeback(k, pfn, done):
    """Queue the write of a page that ends at `done`; a full queue makes the writer wait."""
    while k.sys.in_flight >= NR_REQUESTS:
        run_timer(k)
    k.mem_map[pfn].flags |= PG_writeback
    k.sys.in_flight += 1
    add_timer(k, done, IO_DONE, pfn, 0, 0)


def congested(k):
    """True where the device has so much to do that only PF_SWAPWRITE may add to it."""
    return k.sys.in_flight >= NR_REQUESTS * 7 // 8
