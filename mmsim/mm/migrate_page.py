"""What every migration does with one page (mm/vmscan.c of V1; mm/migrate.c later): references, then contents."""

from .radix_tree import file_page
from .rmap import SWAP_FAIL, SWAP_SUCCESS, TTU_IGNORE_REFS, TTU_UNMAP, page_mapping, try_to_unmap
from .sched import schedule
from .structs import (
    BUG_NO_MAPPING, EAGAIN, EIO, EPERM, HANG_UNMAP, PG_active, PG_checked, PG_dirty, PG_error, PG_mappedtodisk,
    PG_private, PG_referenced, PG_swapcache, PG_uptodate, SWAPPER_SPACE,
)
from .swap import get_page, put_page
from .trace import COPIED, FS_REFUSES, REFERENCES, REPLACED, bug, trace

COPIED_FLAGS = PG_error | PG_referenced | PG_uptodate | PG_active | PG_checked | PG_mappedtodisk | PG_dirty


def migrate_page(k, new, pfn):
    """Move a page without buffers: 0, or -EAGAIN."""
    result = migrate_page_remove_references(k, new, pfn, 2)
    if result == 0:
        migrate_page_copy(k, new, pfn)
    return result


def fail_migrate_page(k, new, pfn):  # noqa: ARG001  the parameters of a migrate_page method
    """The method of pages to which the file system keeps pointers: -EIO."""
    trace(k, FS_REFUSES, pfn, 0, 0)
    return -EIO


def migrate_page_remove_references(k, new, pfn, nr_refs):
    """Let the new page take the old one's place in its mapping, and unmap the old one everywhere: 0, or -EAGAIN.

    `nr_refs`: references that cache, isolation and buffers hold.  V1 tests them before it takes the
    tree lock; patch 2 exists for what happens between this test and the replacement.
    """
    if k.change.migration_entries:
        return migrate_page_move_mapping(k, new, pfn, nr_refs)
    if unexpected_references(k, pfn, nr_refs):
        return -EAGAIN
    if k.change.locked_elsewhere:
        return unmap_and_replace(k, new, pfn, nr_refs)
    return replace_page(k, new, pfn)


def unexpected_references(k, pfn, nr_refs):
    """How many references of a page belong neither to ptes nor to the `nr_refs` known holders (a part of the above)."""
    page = k.mem_map[pfn]
    if not page_mapping(page):
        bug(k, BUG_NO_MAPPING, pfn)
    extra = page.count - page.mapcount - nr_refs
    if extra:
        trace(k, REFERENCES, pfn, 0, extra)
    return extra


def replace_page(k, new, pfn):
    """Put the new page into the old one's slot of the radix tree; there is no way back then (a part of the above)."""
    if not take_slot(k, new, pfn):
        return -EAGAIN
    while not unmap_old_page(k, pfn):  # for ever, if a locked vma of another process stays
        if not schedule(k):
            bug(k, HANG_UNMAP, pfn)
            return -EAGAIN
    put_page(k, pfn)
    return 0


def unmap_old_page(k, pfn):
    """Unmap a page, with a round more for each young pte: 1; 0 while a locked vma of another process maps it."""
    rounds = k.mem_map[pfn].mapcount + 1
    while rounds and try_to_unmap(k, pfn, TTU_UNMAP) != SWAP_SUCCESS:
        rounds -= 1
    return rounds > 0


def unmap_and_replace(k, new, pfn, nr_refs):
    """replace_page() since locked-elsewhere: the ptes go first, so that there still is a way back: 0 or an errno."""
    page = k.mem_map[pfn]
    if page.mapcount and try_to_unmap(k, pfn, TTU_IGNORE_REFS) == SWAP_FAIL:
        return -EPERM  # a vma is locked; ptes that are gone by then stay gone
    if page.mapcount or page.count != nr_refs or not take_slot(k, new, pfn):
        return -EAGAIN
    put_page(k, pfn)
    return 0


def migrate_page_move_mapping(k, new, pfn, nr_refs):
    """The same from 2.6.18 on, for a page that is unmapped already: 0, or -EAGAIN if somebody else refers to it."""
    page = k.mem_map[pfn]
    mapping = page_mapping(page)
    extra = page.count - nr_refs + (0 if mapping else 1)
    if extra:
        trace(k, REFERENCES, pfn, 0, extra)
        return -EAGAIN
    if mapping:
        if not take_slot(k, new, pfn):
            return -EAGAIN
        put_page(k, pfn)
    return 0


def take_slot(k, new, pfn):
    """Put the new page into the old one's slot of the radix tree, with a reference: 1; 0 if another page is there."""
    page = k.mem_map[pfn]
    target = k.mem_map[new]
    mapping = page_mapping(page)
    if mapping == SWAPPER_SPACE:
        if k.swap_cache[page.private] != pfn:
            return 0
        k.swap_cache[page.private] = new
        target.private = page.private
        target.flags |= PG_swapcache
    else:
        slot = k.file_page[file_page(k, mapping, page.index)]
        if slot.pfn != pfn:
            return 0
        slot.pfn = new
    target.index = page.index
    target.mapping = page.mapping
    get_page(k, new)
    trace(k, REPLACED, pfn, new, page.private)
    return 1


def migrate_page_copy(k, new, pfn):
    """Copy contents and flags to the new page; what is left of the old one is a zombie that waits to be freed."""
    page = k.mem_map[pfn]
    target = k.mem_map[new]
    k.sys.clock += k.costs.copy * k.distance[page.node][target.node] // 10
    target.data = page.data
    flags = page.flags
    target.flags |= flags & COPIED_FLAGS
    page.flags = flags & ~(PG_dirty | PG_swapcache | PG_active | PG_private)
    page.private = 0
    page.mapping = 0
    trace(k, COPIED, pfn, new, 0)
