"""Memory policies (mm/mempolicy.c): which node a page is asked from.  mbind.py has the other half of that file.

get_shared_policy() is shmem_get_policy() of mm/shmem.c; it is here, as that file rests on this one.
"""

from .nodemask import node_remap, nodes_remap, nodes_weight, nth_node
from .page_alloc import alloc_pages
from .structs import (
    FS_TMPFS, GFP_HIGHUSER, GFP_THISNODE, MAX_NODES, MPOL_BIND, MPOL_DEFAULT, MPOL_F_RELATIVE_NODES,
    MPOL_F_STATIC_NODES, MPOL_INTERLEAVE, MPOL_PREFERRED, MPOL_PREFERRED_MANY, MPOL_WEIGHTED_INTERLEAVE,
)

MPOL_MF_STRICT = 1 << 0
MPOL_MF_MOVE = 1 << 1
MPOL_MF_MOVE_ALL = 1 << 2
MPOL_MF_DISCONTIG_OK = 1 << 3  # internal: holes between vmas are no error
MPOL_MF_INVERT = 1 << 4  # internal: collect what is on the nodes instead of what is not
MOVE_FLAGS = MPOL_MF_MOVE | MPOL_MF_MOVE_ALL


def interleave_nodes(task):
    """The next node of a task's round robin, for pages that are allocated without an address."""
    node = task.il_next
    following = task.nodes >> (node + 1)
    task.il_next = nth_node(following, 0) + node + 1 if following else nth_node(task.nodes, 0)
    return node


def weighted_node(k, nodes, offset):
    """The node for page `offset` of an object under weighted interleave (weighted_interleave_nid)."""
    total = 0
    for node in range(k.sys.nr_nodes):
        total += k.zone[node].weight * (nodes >> node & 1)
    place = offset % total
    node = nth_node(nodes, 0)
    while place >= k.zone[node].weight:
        place -= k.zone[node].weight
        node += 1 + nth_node(nodes >> node + 1, 0)
    return node


def weighted_interleave_nodes(k, task):
    """The next node of a task's round robin, each as often in a row as its weight says."""
    if task.il_weight == 0:
        task.il_weight = k.zone[task.il_next].weight
    node = task.il_next
    task.il_weight -= 1
    if task.il_weight == 0:
        interleave_nodes(task)
    return node


def mpol_shared_policy_lookup(k, m, index):
    """The row of k.sp_node that governs page `index` of a tmpfs file; 0: none does."""
    n = k.mapping[m].policy
    while n and k.sp_node[n].end <= index:
        n = k.sp_node[n].next
    return n if n and k.sp_node[n].start <= index else 0


def mpol_set_shared_policy(k, m, start, size, mode, home, nodes, mpol_flags, asked):
    """Give `size` pages of a tmpfs file a policy, whoever maps them, in place of what was set; DEFAULT: none."""
    end = start + size
    split_shared_policy(k, m, start)
    split_shared_policy(k, m, end)
    before = 0
    n = k.mapping[m].policy
    while n and k.sp_node[n].start < end:
        following = k.sp_node[n].next
        if k.sp_node[n].start < start:
            before = n
        else:
            k.sp_node[n].mode = MPOL_DEFAULT
        n = following
    if mode != MPOL_DEFAULT:
        n = sp_alloc(k, start, end, n, mode, home, nodes, mpol_flags, asked)
    if before:
        k.sp_node[before].next = n
    else:
        k.mapping[m].policy = n


def split_shared_policy(k, m, index):
    """Make `index` a border between the ranges of a shared policy (a part of shared_policy_replace)."""
    n = mpol_shared_policy_lookup(k, m, index)
    if n and k.sp_node[n].start < index:
        node = k.sp_node[n]
        node.next = sp_alloc(
            k, index, node.end, node.next, node.mode, node.home, node.nodes, node.mpol_flags, node.asked
        )
        node.end = index


def sp_alloc(k, start, end, following, mode, home, nodes, mpol_flags, asked):
    """A row of k.sp_node for a range and its policy, linked to the one behind it; the machine keeps enough of them."""
    n = 1
    while k.sp_node[n].mode != MPOL_DEFAULT:
        n += 1
    node = k.sp_node[n]
    node.start = start
    node.end = end
    node.next = following
    node.mode = mode
    node.home = home
    node.nodes = nodes
    node.mpol_flags = mpol_flags
    node.asked = asked
    return n


def get_shared_policy(k, m, index):
    """The policy of page `index` of a tmpfs file, else that of the current task: (mode, home, nodes)."""
    n = mpol_shared_policy_lookup(k, m, index)
    if n:
        policy = k.sp_node[n]
        return policy.mode, policy.home, policy.nodes
    task = k.task[k.sys.current]
    return task.mode, task.home, task.nodes


def get_vma_policy(k, v, address):
    """The policy of an address: (mode, home, nodes); of a tmpfs file, else of vma `v`, else (or v = 0) of the task."""
    if v:
        vma = k.vma[v]
        if vma.mapping and k.mapping[vma.mapping].fs == FS_TMPFS:
            return get_shared_policy(k, vma.mapping, vma.vm_pgoff + address - vma.vm_start)
        if vma.mode != MPOL_DEFAULT:
            return vma.mode, vma.home, vma.nodes
    task = k.task[k.sys.current]
    return task.mode, task.home, task.nodes


def alloc_page_policy(k, mode, home, nodes, offset):
    """Allocate a page by a policy, for page `offset` of an object or (-1) none: pfn, or 0 (part of alloc_page_vma)."""
    task = k.task[k.sys.current]
    allowed = task.mems_allowed
    zonelist = task.node
    if mode == MPOL_INTERLEAVE:
        zonelist = nth_node(nodes, offset % nodes_weight(nodes)) if offset >= 0 else interleave_nodes(task)
    elif mode == MPOL_WEIGHTED_INTERLEAVE:
        zonelist = weighted_node(k, nodes, offset) if offset >= 0 else weighted_interleave_nodes(k, task)
    elif mode == MPOL_BIND and allowed & nodes:  # else it is as DEFAULT
        zonelist = zonelist if k.change.bind_nearest else k.sys.nr_nodes
        allowed &= nodes
    elif mode == MPOL_PREFERRED_MANY and allowed & nodes:
        pfn = alloc_pages(k, GFP_THISNODE, zonelist, allowed & nodes)
        if pfn:
            return pfn
    elif mode == MPOL_PREFERRED and home >= 0:
        zonelist = home
    return alloc_pages(k, GFP_HIGHUSER, zonelist, allowed)


def alloc_page_vma(k, v, address):
    """Allocate a user page for an address of vma `v`; v = 0: for none, as the current task says."""
    mode, home, nodes = get_vma_policy(k, v, address)
    offset = k.vma[v].vm_pgoff + address - k.vma[v].vm_start if v else -1
    return alloc_page_policy(k, mode, home, nodes, offset)


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
    size = nodes_weight(allowed)
    nodes = 0
    for n in range(MAX_NODES):
        if asked >> n & 1:
            nodes |= 1 << nth_node(allowed, n % size)
    return nodes
