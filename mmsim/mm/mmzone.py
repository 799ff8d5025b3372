"""Zones and their lists (include/linux/list.h, mmzone.h): linked through struct page, heads behind the last frame."""


def zone_list(k, node, which):
    """Head of the free, active or inactive list of a node."""
    return k.sys.lists + 3 * node + which


def work_list(k, which):
    """Head of one of the lists that a migration or a reclaim collects pages on; in Linux they are on its stack."""
    return k.sys.work + which


def list_empty(k, head):
    """True if there is no page between the head and itself."""
    return k.mem_map[head].next == head


def list_add_between(k, pfn, before, after):
    """Put a page that is on no list between two neighbours (__list_add)."""
    page = k.mem_map[pfn]
    page.prev = before
    page.next = after
    k.mem_map[after].prev = pfn
    k.mem_map[before].next = pfn


def list_add(k, pfn, head):
    """Put a page that is on no list right behind `head`."""
    list_add_between(k, pfn, head, k.mem_map[head].next)


def list_add_tail(k, pfn, head):
    """Put a page that is on no list at the end, right before `head`."""
    list_add_between(k, pfn, k.mem_map[head].prev, head)


def list_close(k, before, after):
    """Make neighbours of the two that a page stood between (__list_del)."""
    k.mem_map[before].next = after
    k.mem_map[after].prev = before


def list_del(k, pfn):
    """Take a page off the list that it is on, whichever that is."""
    page = k.mem_map[pfn]
    list_close(k, page.prev, page.next)
    page.next = 0
    page.prev = 0


def list_move_tail(k, pfn, head):
    """Take a page off its list and put it at the end of another."""
    page = k.mem_map[pfn]
    list_close(k, page.prev, page.next)
    list_add_tail(k, pfn, head)


def list_splice_tail(k, source, head):
    """Move all pages of one list to the end of another, in order."""
    while not list_empty(k, source):
        list_move_tail(k, k.mem_map[source].next, head)


def walk_list(k, head, on):
    """How many pages a list has; below 0 if its links do not fit (for kernel.verify()).  Each gets `head` in `on`."""
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
