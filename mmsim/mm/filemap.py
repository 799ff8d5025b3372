"""The page cache (mm/filemap.c): file pages by mapping and index, their locks, the faults and writes that fill it."""

from .buffer import block_commit_write, block_read_full_page
from .mempolicy import alloc_page_vma
from .radix_tree import file_page
from .structs import ENOMEM, HANG_LOCK, PG_dirty, PG_locked, PG_uptodate
from .swap import get_page, lru_cache_add, put_page
from .timer import UNLOCK, add_timer, run_timer
from .trace import FAULT_FILE_HIT, FAULT_FILE_MISS, bug, trace


def find_get_page(k, m, index):
    """The page cache page at `index` of a file, with a reference, or 0."""
    pfn = k.file_page[file_page(k, m, index)].pfn
    if pfn:
        get_page(k, pfn)
    return pfn


def add_to_page_cache(k, pfn, m, index):
    """Put a page into the page cache, which holds a reference."""
    page = k.mem_map[pfn]
    page.mapping = m
    page.index = index
    k.file_page[file_page(k, m, index)].pfn = pfn
    get_page(k, pfn)


def remove_from_page_cache(k, pfn):
    """Take a page out of the page cache; the cache's reference is dropped."""
    page = k.mem_map[pfn]
    k.file_page[file_page(k, page.mapping, page.index)].pfn = 0
    page.mapping = 0
    put_page(k, pfn)


def wait_on_page_bit(k, pfn, flag):
    """Sleep until a flag of a page is clear: PG_locked, or PG_writeback; 1, or 0 if nobody will ever clear it."""
    while k.mem_map[pfn].flags & flag:
        if not k.sys.nr_timers:
            bug(k, HANG_LOCK, pfn)
            return 0
        run_timer(k)
    return 1


def lock_page(k, pfn):
    """Take the lock of a page, sleeping until it is free (of pagemap.h): 1, or 0 if it never will be."""
    free = wait_on_page_bit(k, pfn, PG_locked)
    if free:
        k.mem_map[pfn].flags |= PG_locked
    return free


def trylock_page(k, pfn):
    """Take the lock of a page if it is free (TestSetPageLocked turned around): 1 if we have it now."""
    page = k.mem_map[pfn]
    if page.flags & PG_locked:
        return 0
    page.flags |= PG_locked
    return 1


def unlock_page(k, pfn):
    """Give the lock of a page back."""
    k.mem_map[pfn].flags &= ~PG_locked


def hold_locks(k, pfns, until):
    """An obstacle: others take the locks of pages, and a reference to each, until the clock says `until`."""
    for i in range(len(pfns)):
        k.mem_map[pfns[i]].flags |= PG_locked
        get_page(k, pfns[i])
        add_timer(k, until, UNLOCK, pfns[i], 0, 0)


def find_or_create_page(k, m, index):
    """The page at `index` of a file, locked, with a reference: found, or a new one; 0 without memory."""
    found = find_get_page(k, m, index)
    if not found:
        pfn = alloc_page_vma(k, 0, 0)
        if not pfn:
            return 0
        found = find_get_page(k, m, index)
        if not found:
            lock_page(k, pfn)
            add_to_page_cache(k, pfn, m, index)
            lru_cache_add(k, pfn)
            return pfn
        put_page(k, pfn)  # somebody else was faster while we waited for memory
    lock_page(k, found)
    return found


def filemap_nopage(k, m, index):
    """The page that a fault on a file needs, with a reference: (pfn, 1 if it had to be read), or (-ENOMEM, 0)."""
    pfn = find_get_page(k, m, index)
    if pfn:
        trace(k, FAULT_FILE_HIT, pfn, 0, 0)
        return pfn, 0
    pfn = find_or_create_page(k, m, index)
    if not pfn:
        return -ENOMEM, 0
    read = 0
    if not k.mem_map[pfn].flags & PG_uptodate:
        block_read_full_page(k, pfn)
        read = 1
    unlock_page(k, pfn)
    trace(k, FAULT_FILE_MISS, pfn, 0, 0)
    return pfn, read


def write_file_page(k, m, index, pfn):
    """Write the whole of a locked page of a file: one round of generic_file_write()."""
    page = k.mem_map[pfn]
    k.sys.writes += 1
    page.data = k.sys.writes
    page.flags |= PG_dirty | PG_uptodate
    k.file_page[file_page(k, m, index)].wrote = page.data
    block_commit_write(k, pfn, k.mapping[m].fs)


def generic_file_write(k, m, first, pages):
    """write(2) on whole pages of a file: 0, or -ENOMEM."""
    for index in range(first, first + pages):
        pfn = find_or_create_page(k, m, index)
        if not pfn:
            return -ENOMEM
        write_file_page(k, m, index, pfn)
        unlock_page(k, pfn)
        put_page(k, pfn)
    return 0
