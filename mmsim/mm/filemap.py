"""The page cache (mm/filemap.c): file pages by mapping and index, and the faults and writes that fill it."""

from .page_alloc import alloc_page_vma
from .structs import (
    BH_JBD, BH_Dirty, ENOMEM, FS_EXT2, FS_EXT3, FS_EXT3_JOURNALLED, FS_REISERFS, FS_XFS, FS_XFS_META,
    PG_dirty, PG_mappedtodisk, PG_private, PG_uptodate, VM_FILE_READ,
)
from .pagemap import add_to_page_cache, file_page, find_get_page
from .swap import get_page, lru_cache_add, put_page
from .timer import add_timer, lock_page, unlock_page, wait_until, COMMIT
from .trace import FAULT_FILE_HIT, FAULT_FILE_MISS, trace

JOURNAL_COMMIT = 5_000_000_000  # ns after a write until a journalling file system commits it


def page_cache_alloc(k, m, index):
    """A new, locked page for the page cache, by the policy of the current task; 0 without memory."""
    pfn = alloc_page_vma(k, 0, 0)
    if not pfn:
        return 0
    other = find_get_page(k, m, index)
    if other:  # somebody else was faster while we waited for memory
        put_page(k, pfn)
        lock_page(k, other)
        return other
    lock_page(k, pfn)
    add_to_page_cache(k, pfn, m, index)
    lru_cache_add(k, pfn)
    return pfn


def read_file_page(k, pfn):
    """Read a page from its file, and sleep until it is there (readpage)."""
    page = k.mem_map[pfn]
    done = max(k.sys.clock, k.sys.disk_free_at) + k.costs.file_read
    k.sys.disk_free_at = done
    k.vmstat[VM_FILE_READ] += 1
    wait_until(k, done)
    page.data = k.file_page[file_page(k, page.mapping, page.index)].disk
    page.flags |= PG_uptodate | PG_mappedtodisk


def filemap_nopage(k, m, index):
    """The page that a fault on a file needs, with a reference: (pfn, 1 if it had to be read), or (-ENOMEM, 0)."""
    pfn = find_get_page(k, m, index)
    if pfn:
        trace(k, FAULT_FILE_HIT, pfn, 0, 0)
        return pfn, 0
    pfn = page_cache_alloc(k, m, index)
    if not pfn:
        return -ENOMEM, 0
    read = 0
    if not k.mem_map[pfn].flags & PG_uptodate:
        read_file_page(k, pfn)
        read = 1
    unlock_page(k, pfn)
    trace(k, FAULT_FILE_MISS, pfn, 0, 0)
    return pfn, read


def has_buffers(fs):
    """True for the file systems that keep buffers with their pages."""
    return fs in (FS_EXT2, FS_EXT3, FS_EXT3_JOURNALLED, FS_XFS, FS_XFS_META, FS_REISERFS)


def mark_buffers_dirty(k, pfn, fs):
    """Attach buffers to a page that write(2) has filled, and mark them dirty; a journal holds its own."""
    page = k.mem_map[pfn]
    if not page.flags & PG_private:
        page.flags |= PG_private
        page.private = 0
        get_page(k, pfn)
    page.private |= BH_Dirty
    if fs == FS_EXT3_JOURNALLED:
        if not page.private & BH_JBD:
            add_timer(k, k.sys.clock + JOURNAL_COMMIT, COMMIT, pfn, 0, 0)
        page.private |= BH_JBD


def write_file_page(k, m, index, pfn):
    """Write the whole of a locked page of a file, as write(2) does."""
    page = k.mem_map[pfn]
    k.sys.writes += 1
    page.data = k.sys.writes
    page.flags |= PG_dirty | PG_uptodate
    k.file_page[file_page(k, m, index)].wrote = page.data
    if has_buffers(k.mapping[m].fs):
        mark_buffers_dirty(k, pfn, k.mapping[m].fs)


def generic_file_write(k, m, first, pages):
    """write(2) on whole pages of a file: 0, or -ENOMEM."""
    for index in range(first, first + pages):
        pfn = find_get_page(k, m, index)
        if pfn:
            lock_page(k, pfn)
        else:
            pfn = page_cache_alloc(k, m, index)
            if not pfn:
                return -ENOMEM
        write_file_page(k, m, index, pfn)
        unlock_page(k, pfn)
        put_page(k, pfn)
    return 0
