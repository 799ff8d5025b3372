"""cpusets (kernel/cpuset.c): trigger C.  The nodes of a group of tasks change, and their memory follows."""

from .mbind import do_migrate_pages
from .mempolicy import MPOL_MF_MOVE_ALL, mpol_rebind_mm, mpol_rebind_task
from .structs import PF_DEAD, PF_KTHREAD
from .trace import CPUSET_NODES, trace


def refresh_mems(k, pid, old, new, migrate):
    """Confine a task to `new` nodes; with `migrate` its memory follows, nobody is told how far (cpuset_migrate_mm)."""
    task = k.task[pid]
    task.mems_allowed = new
    mpol_rebind_task(k, pid, old, new)
    if k.change.vma_policies_follow:
        mpol_rebind_mm(k, pid, old, new)
    trace(k, CPUSET_NODES, 0, 0, pid)
    if not migrate or old == new or task.flags & (PF_KTHREAD | PF_DEAD) or not k.sys.numa:
        return  # without NUMA do_migrate_pages() is an empty function
    caller = k.task[k.sys.current]
    before = caller.mems_allowed
    if k.change.target_cpuset or not k.change.cpuset_moves_at_once:
        caller.mems_allowed = new  # the task moves its memory itself, or whoever writes does it in its place
    do_migrate_pages(k, pid, old, new, MPOL_MF_MOVE_ALL)
    caller.mems_allowed = before


def cpuset_attach(k, pid, c):
    """Move a task to cpuset `c`; if that one migrates, the task's memory follows: 0."""
    old = k.cpuset[k.task[pid].cpuset].mems
    k.task[pid].cpuset = c
    refresh_mems(k, pid, old, k.cpuset[c].mems, k.cpuset[c].memory_migrate)
    return 0


def update_nodemask(k, c, mems):
    """Give a cpuset other nodes; each of its tasks follows: 0."""
    old = k.cpuset[c].mems
    k.cpuset[c].mems = mems
    for pid in range(len(k.task)):
        if k.task[pid].cpuset == c and not k.task[pid].flags & PF_DEAD:
            refresh_mems(k, pid, old, mems, k.cpuset[c].memory_migrate)
    return 0
