"""Page allocation (mm/page_alloc.c): the walk along a zonelist, and what happens when it fails.

Which zonelist is walked is the memory policy's choice: alloc_page_vma() of mm/mempolicy.c.
"""

from .mmzone import rmqueue, zone_mark
from .structs import (
    GFP_HIGHUSER, GFP_NOMEMALLOC, GFP_WAIT, PF_MEMALLOC, PG_slab, VM_FALLBACK, VM_SLAB_PAGES, RADIX_NODES,
)
from .trace import ALLOC_FAILED, ALLOC_FALLBACK, SLAB_PAGE, trace

ANY_NODE = -1  # node mask with all bits set
MPOL_DEFAULT, MPOL_PREFERRED, MPOL_BIND, MPOL_INTERLEAVE = range(4)


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
        trace(k, ALLOC_FAILED, 0, 0, zonelist)
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
    while gfp & GFP_WAIT and try_to_free_pages(k, zonelist, allowed):
        pfn = get_page_from_freelist(k, zonelist, allowed, gfp, False)
        if pfn:
            return pfn
    return 0


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


def policy_node(k, mode, home):
    """The node that a policy asks: its zonelist is walked.  nr_nodes stands for BIND's ascending list."""
    if mode == MPOL_BIND:
        return k.sys.nr_nodes
    if mode == MPOL_PREFERRED and home >= 0:
        return home
    return k.task[k.sys.current].node


def interleave_nodes(task):
    """The next node of a task's round robin."""
    node = task.il_next
    if not task.nodes >> node & 1:
        node = nth_node(task.nodes, 0)
    task.il_next = node + 1
    while task.il_next < 63 and not task.nodes >> task.il_next & 1:
        task.il_next += 1
    if task.il_next == 63:
        task.il_next = nth_node(task.nodes, 0)
    return node


def alloc_page_vma(k, v, address):
    """Allocate a user page as the policy of vma `v` says, else that of the current task (v = 0: only that).

    Returns the pfn, or 0 without memory.
    """
    task = k.task[k.sys.current]
    allowed = task.mems_allowed
    vma = k.vma[v]
    if v and vma.mode != MPOL_DEFAULT:
        if vma.mode == MPOL_INTERLEAVE:
            offset = vma.vm_pgoff + address - vma.vm_start
            zonelist = nth_node(vma.nodes, offset % count_nodes(vma.nodes))
        else:
            zonelist = policy_node(k, vma.mode, vma.home)
        if vma.mode == MPOL_BIND:
            allowed &= vma.nodes
    else:
        zonelist = interleave_nodes(task) if task.mode == MPOL_INTERLEAVE else policy_node(k, task.mode, task.home)
        if task.mode == MPOL_BIND:
            allowed &= task.nodes
    return alloc_pages(k, GFP_HIGHUSER, zonelist, allowed)


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
