"""move_pages(2), the call that moves single pages (mm/migrate.c, from 2.6.18 on): each has a status of its own."""

from .check_range import collect
from .migrate import RECLAIM, THIS_NODE, migrate_pages
from .mmap import find_vma
from .mmzone import list_empty, work_list
from .structs import (
    EACCES, EAGAIN, EBUSY, EFAULT, ENODEV, ENOENT, PAGELIST, PG_reserved, PTE_PRESENT, VM_LOCKED, VM_NOT_MIGRATABLE,
)

STAYS = VM_NOT_MIGRATABLE & ~VM_LOCKED  # from the first day, locked vmas are no obstacle to this call
NOT_WRITTEN = 1 << 30  # the status of a page to which the call writes none


def page_at(k, mm, address, moving):
    """The frame behind an address, or an errno (the zero page has one); `moving`: its vma must be migratable, too."""
    v = find_vma(k, mm, address)
    if not v or k.vma[v].vm_start > address or (moving and k.vma[v].vm_flags & STAYS):
        return -EFAULT
    pte = k.pte[k.vma[v].pte_base + address]
    if not pte.flags & PTE_PRESENT:
        if k.vma[v].mapping or pte.flags or not k.change.move_pages_efault or k.change.empty_pte_enoent:
            return -ENOENT
        return -EFAULT  # it is for what would be the zero page: an empty pte of anonymous memory
    if k.mem_map[pte.value].flags & PG_reserved:
        return -EFAULT if k.change.move_pages_efault else -ENOENT
    return pte.value


def do_pages_stat(k, mm, addresses, status):
    """Say where pages are: the node of each, or an errno; nothing moves."""
    for i in range(len(addresses)):
        pfn = page_at(k, mm, addresses[i], False)
        status[i] = pfn if pfn < 0 else k.mem_map[pfn].node
    return 0


def add_page_for_migration(k, mm, address, node, pages, move_all):
    """Put the page at an address on list `pages`: (1, its record); (0, 0) if it is on `node` already; (an errno, 0)."""
    pfn = page_at(k, mm, address, True)
    if pfn < 0:
        return pfn, 0
    page = k.mem_map[pfn]
    if page.node == node:
        return 0, 0
    if page.mapcount > 1 and not move_all:
        return -EACCES, 0
    if page.row:
        return -EBUSY, 0  # the same page, named twice
    return (1, page.row) if collect(k, mm, address, pfn, k.mem_map[pages].prev, node) else (-EBUSY, 0)


def how_to_allocate(k):
    """What a new page of move_pages(2) may be: see migrate_pages()."""
    return (THIS_NODE if k.change.move_pages_node_only else 0) | (RECLAIM if k.change.move_pages_reclaims else 0)


def do_pages_move(k, mm, addresses, wanted, allowed, status, move_all):
    """Move pages in the order given, in batches to one node, until one fails: 0, the number not moved, or an errno."""
    pages = work_list(k, PAGELIST)
    n = len(addresses)
    start = 0
    batch = -1  # the node of the pages from `start` on that are on the list
    error = 0
    for i in range(n):
        node = wanted[i]
        error = check_node(k, node, allowed)
        if error:
            break
        if node != batch:
            error = move_pages_and_store_status(k, pages, batch, status, start, i, n)
            if error:
                return error
            batch = node
            start = i
        added, _ = add_page_for_migration(k, mm, addresses[i], node, pages, move_all)
        if added <= 0:
            if added or k.change.present_has_status:
                status[i] = added if added else node
            error = move_pages_and_store_status(k, pages, batch, status, start, i, n)
            if error:
                return error - 1 if error > 0 and k.change.never_tried_counted else error
            start = i + 1
    late = move_pages_and_store_status(k, pages, batch, status, start, n if not error else i, n)
    return error if error else late


def check_node(k, node, allowed):
    """-ENODEV for a node that the machine does not have, -EACCES for one that the cpuset does not allow, or 0."""
    if node < 0 or node >= k.sys.nr_nodes:
        return -ENODEV
    return 0 if allowed >> node & 1 else -EACCES


def move_pages_and_store_status(k, pages, node, status, start, end, n):
    """Move what was collected for addresses [start, end) to a node; the status of each, if all have moved."""
    if list_empty(k, pages):
        return 0
    left = migrate_pages(k, pages, 0, 0, how_to_allocate(k))
    if left > 0 and k.change.never_tried_counted:
        left += n - end
    if left == 0:
        for i in range(start, end):
            status[i] = node
    return left


def do_move_pages(k, mm, addresses, wanted, allowed, status, move_all):
    """do_pages_move() before 4.17: all pages are looked up first, then moved together, and each has its own result."""
    for i in range(len(addresses)):
        error = check_node(k, wanted[i], allowed)
        if error:
            return error
    pages = work_list(k, PAGELIST)
    for i in range(len(addresses)):
        added, row = add_page_for_migration(k, mm, addresses[i], wanted[i], pages, move_all)
        status[i] = NOT_WRITTEN + row if row else added if added else wanted[i]
    result = 0 if k.change.move_pages_zero else -ENOENT
    if not list_empty(k, pages):
        left = migrate_pages(k, pages, 0, 0, how_to_allocate(k))
        result = 0 if left > 0 and k.change.move_pages_zero else left
    for i in range(len(addresses)):
        if status[i] > NOT_WRITTEN:
            c = k.considered[status[i] - NOT_WRITTEN]
            status[i] = -c.error if c.error else k.mem_map[c.new_pfn].node if c.new_pfn else -EAGAIN
        if result < 0:
            status[i] = NOT_WRITTEN
    return result


def sys_move_pages(k, mm, addresses, wanted, allowed, status, move_all, only_ask):
    """move_pages(2), its arguments checked; `status`: a node or errno each.  0, the number not moved, or an errno."""
    if only_ask:
        return do_pages_stat(k, mm, addresses, status)
    if k.change.move_pages_in_order:
        return do_pages_move(k, mm, addresses, wanted, allowed, status, move_all)
    return do_move_pages(k, mm, addresses, wanted, allowed, status, move_all)
