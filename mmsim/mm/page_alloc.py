"""Page allocation (mm/page_alloc.c): the walk along a zonelist, and what happens when it fails.

Which zonelist is walked is the memory policy's choice: alloc_page_vma() of mm/mempolicy.c.
"""

from .mmzone import rmqueue, zone_mark
from .structs import (
    FS_TMPFS, GFP_HIGHUSER, GFP_NOMEMALLOC, GFP_THISNODE, GFP_WAIT, MPOL_BIND, MPOL_DEFAULT, MPOL_INTERLEAVE,
    MPOL_PREFERRED, MPOL_PREFERRED_MANY, MPOL_WEIGHTED_INTERLEAVE, PF_MEMALLOC, PG_slab, RADIX_NODES, VM_FALLBACK,
    VM_SLAB_PAGES,
)
from .trace import ALLOC_FAILED, ALLOC_FALLBACK, BIND_FAILED, SLAB_PAGE, trace

ANY_NODE = -1  # node mask with all bits set


def get_page_from_freelist(k, zonelist, allowed, gfp, use_low):
    """Walk a zonelist once: a page of the first allowed node with enough free pages, or 0.

    `use_low`: more than pages_low must be free; else the mark that `gfp` may go down to.
    """
    for i in range(k.sys.nr_nodes):
        node = k.zonelist[zonelist][i]
        if allowed >> node & 1:
            zone = k.zone[node]
            mark = zone.pages_low if use_low else zone_mark(zone, gfp)
            if zone.free > mark:
                return rmqueue(k, node)
    return 0


def take_reserve(k, zonelist, allowed):
    """Walk a zonelist without watermarks, for those who free memory: a page, or 0."""
    for i in range(k.sys.nr_nodes):
        node = k.zonelist[zonelist][i]
        if allowed >> node & 1 and k.zone[node].free > 0:
            return rmqueue(k, node)
    return 0


def wakeup_kswapd(k, zonelist, allowed):
    """Ask for background reclaim on every node of the list; it runs when the current call has returned."""
    for i in range(k.sys.nr_nodes):
        node = k.zonelist[zonelist][i]
        if allowed >> node & 1:
            k.zone[node].wake_kswapd = 1
    k.sys.kswapd_wanted = 1


def alloc_pages(k, gfp, zonelist, allowed):
    """Allocate one page (__alloc_pages): its pfn with count 1, or 0.

    `zonelist` is the node asked, or nr_nodes for the ascending list that BIND uses; `allowed`
    is the set of nodes that policy and cpuset leave.
    """
    k.sys.clock += k.costs.alloc
    pfn = get_page_from_freelist(k, zonelist, allowed, gfp, True)
    if not pfn:
        wakeup_kswapd(k, zonelist, allowed)
        pfn = alloc_pages_slow(k, gfp, zonelist, allowed)
    if not pfn:
        if not k.task[k.sys.current].flags & PF_MEMALLOC:  # what reclaim itself does not get is not the cause
            k.sys.oom_zonelist = zonelist
            k.sys.oom_allowed = allowed
        trace(k, ALLOC_FAILED if zonelist < k.sys.nr_nodes else BIND_FAILED, 0, 0, zonelist)
    elif zonelist < k.sys.nr_nodes and k.mem_map[pfn].node != zonelist:
        k.vmstat[VM_FALLBACK] += 1
        trace(k, ALLOC_FALLBACK, pfn, 0, zonelist)
    return pfn


def alloc_pages_slow(k, gfp, zonelist, allowed):
    """No node has more than pages_low free: go down to the caller's mark, then reclaim if it may wait."""
    pfn = get_page_from_freelist(k, zonelist, allowed, gfp, False)
    if pfn:
        return pfn
    if k.task[k.sys.current].flags & PF_MEMALLOC:
        return 0 if gfp & GFP_NOMEMALLOC else take_reserve(k, zonelist, allowed)
    freed = gfp & GFP_WAIT
    while freed and not pfn:
        freed = try_to_free_pages(k, zonelist, allowed)
        pfn = get_page_from_freelist(k, zonelist, allowed, gfp, False)  # also pages that only a pagevec still held
    return pfn


def nth_node(nodes, n):
    """The n-th node of a set, counted from 0; the set has more than n."""
    node = -1
    while n >= 0:
        node += 1
        n -= nodes >> node & 1
    return node


def count_nodes(nodes):
    """How many nodes a set has."""
    n = 0
    while nodes:
        nodes &= nodes - 1
        n += 1
    return n


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
    """The row of k.sp_node that governs page `index` of a tmpfs file (mm/mempolicy.c); 0: none does."""
    n = k.mapping[m].policy
    while n and k.sp_node[n].end <= index:
        n = k.sp_node[n].next
    return n if n and k.sp_node[n].start <= index else 0


def mpol_set_shared_policy(k, m, start, end, mode, home, nodes, mpol_flags, asked):
    """Give pages [start, end) of a tmpfs file a policy, whoever maps them (mm/mempolicy.c).

    What was set for some of them before is cut off; DEFAULT leaves nothing in its place.
    """
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
        n = new_sp_node(k, start, end, n, mode, home, nodes, mpol_flags, asked)
    if before:
        k.sp_node[before].next = n
    else:
        k.mapping[m].policy = n


def split_shared_policy(k, m, index):
    """Make `index` a border between the ranges of a shared policy, if one of them lies across it."""
    n = mpol_shared_policy_lookup(k, m, index)
    if n and k.sp_node[n].start < index:
        node = k.sp_node[n]
        node.next = new_sp_node(
            k, index, node.end, node.next, node.mode, node.home, node.nodes, node.mpol_flags, node.asked
        )
        node.end = index


def new_sp_node(k, start, end, following, mode, home, nodes, mpol_flags, asked):
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
    """The policy that governs page `index` of a tmpfs file: (mode, home, nodes); its own, else the current task's."""
    n = mpol_shared_policy_lookup(k, m, index)
    if n:
        policy = k.sp_node[n]
        return policy.mode, policy.home, policy.nodes
    task = k.task[k.sys.current]
    return task.mode, task.home, task.nodes


def get_vma_policy(k, v, address):
    """The policy that governs an address: (mode, home, nodes).

    That of the object for tmpfs and shared memory, else that of vma `v`; where there is none, or v is 0, that of the
    current task.
    """
    if v:
        vma = k.vma[v]
        if vma.mapping and k.mapping[vma.mapping].fs == FS_TMPFS:
            return get_shared_policy(k, vma.mapping, vma.vm_pgoff + address - vma.vm_start)
        if vma.mode != MPOL_DEFAULT:
            return vma.mode, vma.home, vma.nodes
    task = k.task[k.sys.current]
    return task.mode, task.home, task.nodes


def alloc_page_policy(k, mode, home, nodes, offset):
    """Allocate a user page as a policy says, for page `offset` of an object; below 0: for no address in particular.

    BIND of whose nodes the cpuset allows none is treated as DEFAULT.  Returns the pfn, or 0 without memory.
    """
    task = k.task[k.sys.current]
    allowed = task.mems_allowed
    zonelist = task.node
    if mode == MPOL_INTERLEAVE:
        zonelist = nth_node(nodes, offset % count_nodes(nodes)) if offset >= 0 else interleave_nodes(task)
    elif mode == MPOL_WEIGHTED_INTERLEAVE:
        zonelist = weighted_node(k, nodes, offset) if offset >= 0 else weighted_interleave_nodes(k, task)
    elif mode == MPOL_BIND and allowed & nodes:
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
    """Allocate a user page for an address of vma `v`; v = 0: for none, as the current task says (mm/mempolicy.c)."""
    mode, home, nodes = get_vma_policy(k, v, address)
    offset = k.vma[v].vm_pgoff + address - k.vma[v].vm_start if v else -1
    return alloc_page_policy(k, mode, home, nodes, offset)


def shmem_alloc_page(k, m, index):
    """Allocate page `index` of a tmpfs file, by the policy that governs it (mm/shmem.c)."""
    mode, home, nodes = get_shared_policy(k, m, index)
    return alloc_page_policy(k, mode, home, nodes, index)


def radix_node_alloc(k, gfp):
    """A radix tree node from the slab (kmem_cache_alloc); an empty slab grows by a page: 1, or 0 without memory."""
    if not k.sys.slab_nodes:
        pfn = alloc_pages(k, gfp, k.task[k.sys.current].node, ANY_NODE)
        if not pfn:
            return 0
        k.mem_map[pfn].flags |= PG_slab
        k.vmstat[VM_SLAB_PAGES] += 1
        k.sys.slab_nodes += RADIX_NODES
        trace(k, SLAB_PAGE, pfn, 0, 0)
    k.sys.slab_nodes -= 1
    return 1


# The one knot of the kernel: allocation reclaims, and reclaim allocates (swap entries need radix nodes).
from .vmscan import try_to_free_pages  # noqa: E402
