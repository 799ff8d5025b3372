"""cpusets (kernel/cpuset.c): trigger C.  The nodes of a group of tasks change, and their memory follows."""

from .mempolicy import MPOL_MF_MOVE_ALL, do_migrate_pages, node_remap, nodes_remap
from .page_alloc import count_nodes, nth_node
from .structs import (
    MAX_NODES, MPOL_F_RELATIVE_NODES, MPOL_F_STATIC_NODES, MPOL_PREFERRED, PF_DEAD, PF_KTHREAD,
)
from .trace import CPUSET_NODES, trace


def mpol_rebind_task(k, pid, old, new):
    """Carry a task's own policy over to new nodes, relative positions kept."""
    task = k.task[pid]
    task.il_next = node_remap(task.il_next, old, new)
    mpol_rebind_policy(k, task, old, new)
    if task.mpol_flags and task.nodes and not task.nodes >> task.il_next & 1:
        task.il_next = nth_node(task.nodes, 0)


def mpol_rebind_mm(k, pid, old, new):
    """Carry the policies of a task's vmas over as well (since vma-policies-follow); those of shared objects stay."""
    v = k.task[pid].mmap
    while v:
        mpol_rebind_policy(k, k.vma[v], old, new)
        v = k.vma[v].vm_next


def mpol_rebind_policy(k, policy, old, new):
    """Carry one policy over: remapped, or with static-relative by the nodes that the program named."""
    if policy.mpol_flags == MPOL_F_STATIC_NODES:
        nodes = policy.asked & new
        if not nodes and k.change.static_takes_all:
            nodes = new
    elif policy.mpol_flags == MPOL_F_RELATIVE_NODES:
        nodes = relative_nodes(policy.asked, new)
    else:
        nodes = nodes_remap(policy.nodes, old, new)
    if policy.mode == MPOL_PREFERRED:
        rebind_preferred(k, policy, nodes, old, new)
    else:
        policy.nodes = nodes


def rebind_preferred(k, policy, nodes, old, new):
    """PREFERRED has one node: the local one where STATIC has none left; since preferred-stays it is left alone."""
    if k.change.preferred_stays:
        return
    if policy.mpol_flags == MPOL_F_STATIC_NODES:
        first = nth_node(policy.asked, 0)
        policy.home = first if new >> first & 1 else -1
    elif policy.mpol_flags == MPOL_F_RELATIVE_NODES:
        policy.home = nth_node(nodes, 0)
    elif policy.home >= 0:
        policy.home = node_remap(policy.home, old, new)
        policy.nodes = nodes


def relative_nodes(asked, allowed):
    """The nodes of a cpuset that RELATIVE means: numbers count within `allowed`, and wrap round."""
    size = count_nodes(allowed)
    nodes = 0
    for n in range(MAX_NODES):
        if asked >> n & 1:
            nodes |= 1 << nth_node(allowed, n % size)
    return nodes


def cpuset_update_task(k, pid, old, new, migrate):
    """Confine a task to `new` nodes; with `migrate`, its memory goes from `old` to them (cpuset_migrate_mm).

    How many pages were not moved, or an errno, nobody is told.
    """
    task = k.task[pid]
    task.mems_allowed = new
    mpol_rebind_task(k, pid, old, new)
    if k.change.vma_policies_follow:
        mpol_rebind_mm(k, pid, old, new)
    trace(k, CPUSET_NODES, 0, 0, pid)
    if not migrate or old == new or task.flags & (PF_KTHREAD | PF_DEAD):
        return
    if not k.sys.numa:  # do_migrate_pages() is an empty function there
        return
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
    cpuset_update_task(k, pid, old, k.cpuset[c].mems, k.cpuset[c].memory_migrate)
    return 0


def update_nodemask(k, c, mems):
    """Give a cpuset other nodes; each of its tasks follows: 0."""
    old = k.cpuset[c].mems
    k.cpuset[c].mems = mems
    for pid in range(len(k.task)):
        if k.task[pid].cpuset == c and not k.task[pid].flags & PF_DEAD:
            cpuset_update_task(k, pid, old, mems, k.cpuset[c].memory_migrate)
    return 0
