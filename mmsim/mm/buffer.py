"""File pages with buffers (fs/buffer.c): reading and writing them, giving their buffers up or carrying them over."""

from .ll_rw_blk import submit_bio
from .migrate_page import migrate_page_copy, migrate_page_remove_references
from .radix_tree import file_page
from .structs import (
    BH_Dirty, BH_JBD, FS_EXT2, FS_EXT3, FS_EXT3_JOURNALLED, FS_REISERFS, FS_XFS, FS_XFS_META, PG_dirty,
    PG_mappedtodisk, PG_private, PG_uptodate, VM_FILE_READ, VM_FILE_WRITE,
)
from .swap import get_page, put_page
from .timer import COMMIT, add_timer, wait_until
from .trace import BUFFERS_BUSY, BUFFERS_MOVED, PAGEOUT_START, trace

WITH_BUFFERS = FS_EXT2, FS_EXT3, FS_EXT3_JOURNALLED, FS_XFS, FS_XFS_META, FS_REISERFS
JOURNAL_COMMIT = 5_000_000_000  # ns after a write until a journalling file system commits it


def block_commit_write(k, pfn, fs):
    """Attach buffers to a page that write(2) has filled, if its file system has any, and mark them dirty."""
    if fs not in WITH_BUFFERS:
        return
    page = k.mem_map[pfn]
    if not page.flags & PG_private:
        page.flags |= PG_private
        page.private = 0
        get_page(k, pfn)
    page.private |= BH_Dirty
    if fs == FS_EXT3_JOURNALLED and not page.private & BH_JBD:
        page.private |= BH_JBD
        add_timer(k, k.sys.clock + JOURNAL_COMMIT, COMMIT, pfn, 0, 0)


def block_read_full_page(k, pfn):
    """Read a page from its file, and sleep until it is there (readpage)."""
    page = k.mem_map[pfn]
    done = k.sys.disk_free_at = max(k.sys.clock, k.sys.disk_free_at) + k.costs.file_read
    k.vmstat[VM_FILE_READ] += 1
    wait_until(k, done)
    page.data = k.file_page[file_page(k, page.mapping, page.index)].disk
    page.flags |= PG_uptodate | PG_mappedtodisk


def block_write_full_page(k, pfn):
    """Start writing a file page; its buffers are clean from now on, as far as a journal lets them go."""
    page = k.mem_map[pfn]
    page.flags &= ~PG_dirty
    if page.flags & PG_private:
        page.private &= ~BH_Dirty
    k.file_page[file_page(k, page.mapping, page.index)].disk = page.data
    done = k.sys.disk_free_at = max(k.sys.clock, k.sys.disk_free_at) + k.costs.file_write
    k.vmstat[VM_FILE_WRITE] += 1
    submit_bio(k, pfn, done)
    trace(k, PAGEOUT_START, pfn, 0, 0)


def try_to_release_page(k, pfn):
    """Drop the buffers of a page: 1, or 0 while one of them is dirty, locked or in a journal."""
    page = k.mem_map[pfn]
    if page.private:
        trace(k, BUFFERS_BUSY, pfn, 0, 0)
        return 0
    page.flags &= ~PG_private
    put_page(k, pfn)
    return 1


def buffer_migrate_page(k, new, pfn):
    """Move a page with its buffers, dirty or not, and the reference that they hold (patch 6): 0, or -EAGAIN."""
    result = migrate_page_remove_references(k, new, pfn, 3)
    if result == 0:
        page = k.mem_map[pfn]
        target = k.mem_map[new]
        target.private = page.private
        target.flags |= PG_private
        get_page(k, new)
        page.private = 0
        page.flags &= ~PG_private
        put_page(k, pfn)
        trace(k, BUFFERS_MOVED, pfn, new, 0)
        migrate_page_copy(k, new, pfn)
    return result
