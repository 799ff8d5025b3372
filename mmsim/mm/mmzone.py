"""Zones: list handling, watermarks and free lists (include/linux/list.h, mmzone.h).

The lists are linked through `next` and `prev` of struct page, with list heads that stand
behind the last page frame of mem_map, so that taking a page out is O(1).
"""

from .structs import FREE, GFP_HIGH, GFP_WAIT, PG_free, PG_hwpoison, POISON, VM_ALLOC, VM_FREE, BUG_PAGE_STATE
from .trace import bug


def zone_list(k, node, which):
    """Head of the free, active or inactive list of a node."""
    return k.sys.lists + 3 * node + which


def work_list(k, which):
    """Head of one of the lists that a migration or a reclaim collects pages on; in Linux they are on its stack."""
    return k.sys.work + which


def list_empty(k, head):
    """True if there is no page between the head and itself."""
    return k.mem_map[head].next == head


def list_add(k, pfn, head):
    """Put a page that is on no list right behind `head`."""
    first = k.mem_map[head]
    page = k.mem_map[pfn]
    after = first.next
    page.prev = head
    page.next = after
    k.mem_map[after].prev = pfn
    first.next = pfn


def list_add_tail(k, pfn, head):
    """Put a page that is on no list at the end, right before `head`."""
    list_add(k, pfn, k.mem_map[head].prev)


def list_del(k, pfn):
    """Take a page off the list that it is on, whichever that is."""
    page = k.mem_map[pfn]
    k.mem_map[page.prev].next = page.next
    k.mem_map[page.next].prev = page.prev
    page.next = 0
    page.prev = 0


def list_move_tail(k, pfn, head):
    """Take a page off its list and put it at the end of another."""
    list_del(k, pfn)
    list_add_tail(k, pfn, head)


def list_splice_tail(k, source, head):
    """Move all pages of one list to the end of another, in order."""
    while not list_empty(k, source):
        list_move_tail(k, k.mem_map[source].next, head)


def walk_list(k, head, on):
    """Write `head` into `on` for each page of a list: how many there are; below 0 if the links do not fit together."""
    n = 0
    at = head
    following = k.mem_map[head].next
    while following != head:
        page = k.mem_map[following]
        if page.prev != at:
            return -1 - following
        on[following] = head
        at = following
        following = page.next
        n += 1
    return n if k.mem_map[head].prev == at else -1 - at


def zone_mark(zone, gfp):
    """How many pages must be more than free before an allocation with this mask (zone_watermark_ok)."""
    mark = zone.pages_min
    if gfp & GFP_HIGH:
        mark -= mark // 2
    if not gfp & GFP_WAIT:
        mark -= mark // 4
    return mark


def rmqueue(k, node):
    """Take the first free page of a zone that has one: count 1, nothing else set."""
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
    """Give a page without references back to its zone, its contents poisoned so that stale use shows.

    A frame that is marked as bad memory goes to no list: it is out of use now.
    """
    page = k.mem_map[pfn]
    if page.count != 0 or page.mapcount != 0 or page.flags & PG_free:
        bug(k, BUG_PAGE_STATE, pfn)
        return
    bad = page.flags & PG_hwpoison
    page.flags = bad if bad else PG_free
    page.mapping = 0
    page.index = 0
    page.private = 0
    page.row = 0
    page.data = POISON
    if bad:
        return
    list_add(k, pfn, zone_list(k, page.node, FREE))
    k.zone[page.node].free += 1
    k.vmstat[VM_FREE] += 1
