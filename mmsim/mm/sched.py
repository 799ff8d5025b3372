"""Giving the CPU away (kernel/sched.c)."""

from .structs import PF_MMAP_SEM
from .timer import MUNMAP, run_timer, wait_until


def cond_resched(k):
    """A point where the kernel may be preempted: whatever is due by now happens."""
    while k.sys.nr_timers and k.timer[k.sys.first_timer].time <= k.sys.clock:
        run_timer(k)


def schedule(k):
    """Give the CPU away until somebody unmaps something (kernel/sched.c): 1; or 0 if nobody is left who could."""
    for i in range(k.sys.nr_timers):
        t = k.timer[k.sys.first_timer + i]
        if t.kind == MUNMAP and not k.task[t.a].flags & PF_MMAP_SEM:
            wait_until(k, max(t.time, k.sys.clock))
            return 1
    return 0
