"""Page allocation (mm/page_alloc.c): free lists, watermarks, the walk along the zonelist that a policy has chosen."""

from .mmzone import list_add, list_del, zone_list
from .structs import (
    BUG_PAGE_STATE, FREE, GFP_HIGH, GFP_NO_MARK, GFP_NOMEMALLOC, GFP_WAIT, PF_MEMALLOC, PG_free, PG_hwpoison, POISON,
    VM_ALLOC, VM_FALLBACK, VM_FREE,
)
from .trace import ALLOC_FAILED, ALLOC_FALLBACK, BIND_FAILED, bug, trace

ANY_NODE = -1  # node mask with all bits set


def zone_mark(zone, gfp):
    """How many pages must be more than free before an allocation with this mask (zone_watermark_ok)."""
    if gfp & GFP_NO_MARK:
        return 0
    mark = zone.pages_min
    if gfp & GFP_HIGH:
        mark -= mark // 2
    if not gfp & GFP_WAIT:
        mark -= mark // 4
    return mark


def rmqueue(k, node):
    """Take the first free page of a zone that has one: count 1, nothing else set (buffered_rmqueue)."""
    zone = k.zone[node]
    pfn = k.mem_map[zone_list(k, node, FREE)].next
    list_del(k, pfn)
    page = k.mem_map[pfn]
    if page.flags != PG_free or page.count != 0:
        bug(k, BUG_PAGE_STATE, pfn)
    page.flags = 0
    page.count = 1
    page.data = 0
    zone.free -= 1
    if zone.free < zone.lowest_free:
        zone.lowest_free = zone.free
    k.vmstat[VM_ALLOC] += 1
    return pfn


def free_page(k, pfn):
    """Give a page without references back to its zone, poisoned so that stale use shows (free_hot_page)."""
    page = k.mem_map[pfn]
    if page.count != 0 or page.mapcount != 0 or page.flags & PG_free:
        bug(k, BUG_PAGE_STATE, pfn)
        return
    bad = page.flags & PG_hwpoison
    page.flags = bad if bad else PG_free
    page.mapping = 0
    page.index = 0
    page.private = 0
    page.data = POISON
    if bad:  # it goes to no list: it is out of use now
        return
    list_add(k, pfn, zone_list(k, page.node, FREE))
    k.zone[page.node].free += 1
    k.vmstat[VM_FREE] += 1


def get_page_from_freelist(k, zonelist, allowed, gfp, use_low):
    """A page of the first allowed node with more free than the mark of `gfp` or, `use_low`, than pages_low; else 0."""
    for i in range(k.sys.nr_nodes):
        node = k.zonelist[zonelist][i]
        if allowed >> node & 1:
            zone = k.zone[node]
            mark = zone.pages_low if use_low else zone_mark(zone, gfp)
            if zone.free > mark:
                return rmqueue(k, node)
    return 0


def alloc_pages(k, gfp, zonelist, allowed):
    """One page of the `allowed` nodes, along a zonelist (nr_nodes: that of BIND): its pfn, or 0 (__alloc_pages)."""
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
    elif k.mem_map[pfn].node != zonelist and zonelist < k.sys.nr_nodes:
        k.vmstat[VM_FALLBACK] += 1
        trace(k, ALLOC_FALLBACK, pfn, 0, zonelist)
    return pfn


def alloc_pages_slow(k, gfp, zonelist, allowed):
    """No node has pages_low free: go down to the caller's mark, then reclaim if it may wait (part of __alloc_pages)."""
    pfn = get_page_from_freelist(k, zonelist, allowed, gfp, False)
    if pfn:
        return pfn
    if k.task[k.sys.current].flags & PF_MEMALLOC:
        return 0 if gfp & GFP_NOMEMALLOC else get_page_from_freelist(k, zonelist, allowed, GFP_NO_MARK, False)
    freed = gfp & GFP_WAIT
    while freed and not pfn:
        freed = try_to_free_pages(k, zonelist, allowed)
        pfn = get_page_from_freelist(k, zonelist, allowed, gfp, False)  # also pages that only a pagevec still held
    return pfn


# One of the two knots of the kernel: allocation reclaims, and reclaim allocates (swap entries need radix nodes).
from .vmscan import try_to_free_pages, wakeup_kswapd  # noqa: E402
