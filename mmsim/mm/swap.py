"""References and LRU lists (mm/swap.c).

A new page waits in a per-CPU pagevec, with a reference, until fourteen have gathered or somebody drains it.
"""

from .mmzone import list_add, list_del, zone_list
from .page_alloc import free_page
from .structs import ACTIVE, BUG_COUNT, INACTIVE, PAGEVEC_SIZE, PG_active, PG_lru
from .trace import bug


def get_page(k, pfn):
    """Take a reference."""
    k.mem_map[pfn].count += 1


def put_page(k, pfn):
    """Drop a reference; the last one frees the page."""
    page = k.mem_map[pfn]
    page.count -= 1
    if page.count < 0:
        bug(k, BUG_COUNT, pfn)
    elif page.count == 0:
        if page.flags & PG_lru:
            del_page_from_lru(k, pfn)
        free_page(k, pfn)


def release_pages(k, pfns):
    """Drop a reference of each of some pages."""
    for i in range(len(pfns)):
        put_page(k, pfns[i])


def del_page_from_lru(k, pfn):
    """Take a page off the LRU list that it is on."""
    page = k.mem_map[pfn]
    zone = k.zone[page.node]
    list_del(k, pfn)
    page.flags &= ~PG_lru
    if page.flags & PG_active:
        zone.active -= 1
    else:
        zone.inactive -= 1


def add_page_to_lru(k, pfn):
    """Put a page on the active or inactive list of its zone, by its flag."""
    page = k.mem_map[pfn]
    zone = k.zone[page.node]
    page.flags |= PG_lru
    if page.flags & PG_active:
        zone.active += 1
        list_add(k, pfn, zone_list(k, page.node, ACTIVE))
    else:
        zone.inactive += 1
        list_add(k, pfn, zone_list(k, page.node, INACTIVE))


def drain_pagevec(k, which):
    """__pagevec_lru_add(): put the pages of one pagevec on their LRU lists and drop its references."""
    n = k.pagevec_count[which]
    k.pagevec_count[which] = 0
    for i in range(n):
        pfn = k.pagevec[which][i]
        if which % 2:
            k.mem_map[pfn].flags |= PG_active
        add_page_to_lru(k, pfn)
        put_page(k, pfn)


def pagevec_add(k, which, pfn):
    """Let a page wait in a pagevec of this CPU; a full one is drained."""
    get_page(k, pfn)
    n = k.pagevec_count[which]
    k.pagevec[which][n] = pfn
    k.pagevec_count[which] = n + 1
    if n + 1 == PAGEVEC_SIZE:
        drain_pagevec(k, which)


def lru_cache_add(k, pfn):
    """Queue a page for the inactive list."""
    pagevec_add(k, 2 * k.task[k.sys.current].node, pfn)


def lru_cache_add_active(k, pfn):
    """Queue a page for the active list."""
    pagevec_add(k, 2 * k.task[k.sys.current].node + 1, pfn)


def lru_add_drain(k):
    """Drain the pagevecs of this CPU."""
    drain_pagevec(k, 2 * k.task[k.sys.current].node)
    drain_pagevec(k, 2 * k.task[k.sys.current].node + 1)


def lru_add_drain_all(k):
    """Drain the pagevecs of every CPU."""
    for which in range(2 * k.sys.nr_nodes):
        drain_pagevec(k, which)
