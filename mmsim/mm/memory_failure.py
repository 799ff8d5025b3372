"""Bad memory (mm/memory-failure.c): page frames are emptied, and taken out of use.

In 2005 this was a plan: the text of V1 names it as something that may be built upon the series.  Linux has done it
since 2.6.33 (soft_offline_page), and taken whole ranges away since 2.6.24 (offline_pages).  Here it stands on V1.
"""

from .check_range import collect_for_caller
from .mbind import ALL_PAGES, migrate_pages_to
from .mmzone import list_del, list_empty, work_list
from .structs import PAGELIST, PG_free, PG_hwpoison
from .trace import OFFLINE, OFFLINE_BUSY, trace
from .vmscan import putback_lru_pages


def soft_offline_page(k, pfns, owners, left_out):
    """Empty page frames and take them out of use: how many are still in use, or -ENOMEM.

    Each page is moved to where its own node's zonelist has room, as trigger D moves it.  All frames are marked before
    new ones are allocated, so that none takes in the page of another.  `owners`, `left_out`: as for migrate_frames().
    """
    pages = work_list(k, PAGELIST)
    for i in range(len(pfns)):
        if set_hwpoison(k, pfns[i]):
            collect_for_caller(k, owners[i][0], owners[i][1], pfns[i], left_out[i], pages, -1)
    left = 0 if list_empty(k, pages) else migrate_pages_to(k, pages, 0, 0, -1, ALL_PAGES)
    if k.sys.bug:
        return 0
    putback_lru_pages(k, pages)
    busy = settle(k)
    return left if left < 0 else busy


def set_hwpoison(k, pfn):
    """Mark a frame; a free one leaves its free list, and is out of use at once.  Its references: 0 if it is empty."""
    page = k.mem_map[pfn]
    if page.flags & PG_free:
        zone = k.zone[page.node]
        list_del(k, pfn)
        page.flags = 0
        zone.free -= 1
        zone.lowest_free = min(zone.lowest_free, zone.free)
        trace(k, OFFLINE, pfn, 0, 0)
    page.flags |= PG_hwpoison
    return page.count


def settle(k):
    """Of the frames that were in use, those that are empty now stay marked, the others do not: how many are in use."""
    busy = 0
    for row in range(1, k.sys.nr_considered + 1):
        c = k.considered[row]
        page = k.mem_map[c.old_pfn]
        if page.count:
            page.flags &= ~PG_hwpoison
            busy += 1
            trace(k, OFFLINE_BUSY, c.old_pfn, 0, 0)
        else:
            trace(k, OFFLINE, c.old_pfn, 0, 0)
    return busy
