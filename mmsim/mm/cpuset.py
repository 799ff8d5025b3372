"""cpusets (kernel/cpuset.c): trigger C.  The nodes of a group of tasks change, and their memory follows."""

from .mempolicy import MPOL_MF_MOVE_ALL, do_migrate_pages, node_remap, nodes_remap
from .structs import PF_DEAD, PF_KTHREAD
from .trace import CPUSET_NODES, trace


def mpol_rebind_task(k, pid, old, new):
    """Carry the policies of a task and of its vmas over to new nodes, relative positions kept."""
    task = k.task[pid]
    if task.home >= 0:
        task.home = node_remap(task.home, old, new)
    task.nodes = nodes_remap(task.nodes, old, new)
    v = task.mmap
    while v:
        vma = k.vma[v]
        if vma.home >= 0:
            vma.home = node_remap(vma.home, old, new)
        vma.nodes = nodes_remap(vma.nodes, old, new)
        v = vma.vm_next


def cpuset_update_task(k, pid, old, new, migrate):
    """Confine a task to `new` nodes; with `migrate`, its memory goes from `old` to them (cpuset_migrate_mm).

    Returns the pages not moved, or an errno; user space is told neither.
    """
    task = k.task[pid]
    task.mems_allowed = new
    mpol_rebind_task(k, pid, old, new)
    trace(k, CPUSET_NODES, 0, 0, pid)
    if not migrate or old == new or task.flags & (PF_KTHREAD | PF_DEAD):
        return 0
    if not k.sys.numa:  # do_migrate_pages() is an empty function there
        return 0
    caller = k.task[k.sys.current]
    before = caller.mems_allowed
    caller.mems_allowed = new
    result = do_migrate_pages(k, pid, old, new, MPOL_MF_MOVE_ALL)
    caller.mems_allowed = before
    return result


def cpuset_attach(k, pid, c):
    """Move a task to cpuset `c`; if that one migrates, the task's memory follows."""
    old = k.cpuset[k.task[pid].cpuset].mems
    k.task[pid].cpuset = c
    return cpuset_update_task(k, pid, old, k.cpuset[c].mems, k.cpuset[c].memory_migrate)


def update_nodemask(k, c, mems):
    """Give a cpuset other nodes; each of its tasks follows.  The pages not moved, in all; or the last errno."""
    old = k.cpuset[c].mems
    k.cpuset[c].mems = mems
    result = 0
    for pid in range(len(k.task)):
        if k.task[pid].cpuset == c and not k.task[pid].flags & PF_DEAD:
            left = cpuset_update_task(k, pid, old, mems, k.cpuset[c].memory_migrate)
            result = left if left < 0 or result < 0 else result + left
    return result
