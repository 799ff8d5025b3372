"""What the file systems do with their pages (fs/buffer.c, address_space_operations of include/linux/fs.h)."""

from .pagemap import file_page
from .structs import (
    FS_EXT2, FS_EXT3, FS_RAMFS, FS_SWAP, FS_TMPFS, FS_XFS, FS_XFS_META, PG_dirty, PG_private, BH_Dirty,
    VM_FILE_WRITE,
)
from .page_io import swap_writepage
from .rmap import SWAP_SUCCESS, try_to_unmap
from .shmem import shmem_writepage
from .swap import put_page
from .timer import start_writeback, unlock_page
from .trace import BUFFERS_BUSY, PAGEOUT_DECLINED, PAGEOUT_START, R_BUFFERS, R_NOWHERE, because, trace

# What pageout() and the writepage methods answer.
PAGE_KEEP, PAGE_ACTIVATE, PAGE_SUCCESS, PAGE_CLEAN = range(4)

# The migrate_page method of an address_space (patch 6).
NO_METHOD, MIGRATE_PAGE, BUFFER_MIGRATE_PAGE, FAIL_MIGRATE_PAGE = range(4)


def migrate_page_method(k, fs):
    """How the pages of a file system migrate: one of the methods above; tmpfs has one since shmem-method."""
    if fs == FS_SWAP or (fs == FS_TMPFS and k.change.shmem_method):
        return MIGRATE_PAGE
    if fs in (FS_EXT2, FS_EXT3, FS_XFS):
        return BUFFER_MIGRATE_PAGE
    if fs == FS_XFS_META:
        return FAIL_MIGRATE_PAGE
    return NO_METHOD


def try_to_release_page(k, pfn):
    """Drop the buffers of a page: 1, or 0 while one of them is dirty, locked or in a journal."""
    page = k.mem_map[pfn]
    if page.private:
        because(k, pfn, R_BUFFERS)
        trace(k, BUFFERS_BUSY, pfn, 0, 0)
        return 0
    page.flags &= ~PG_private
    put_page(k, pfn)
    return 1


def block_write_full_page(k, pfn):
    """Start writing a file page; its buffers are clean from now on, as far as a journal lets them go."""
    page = k.mem_map[pfn]
    page.flags &= ~PG_dirty
    if page.flags & PG_private:
        page.private &= ~BH_Dirty
    k.file_page[file_page(k, page.mapping, page.index)].disk = page.data
    done = max(k.sys.clock, k.sys.disk_free_at) + k.costs.file_write
    k.sys.disk_free_at = done
    k.vmstat[VM_FILE_WRITE] += 1
    start_writeback(k, pfn, done)
    trace(k, PAGEOUT_START, pfn, 0, 0)


def writepage(k, pfn, mapping):
    """The writepage method of a locked, dirty page's address_space.

    PAGE_SUCCESS: the page is unlocked and on its way (tmpfs: in the swap cache now).
    PAGE_KEEP, PAGE_ACTIVATE: it is still locked.
    """
    fs = k.mapping[mapping].fs
    if fs == FS_TMPFS:
        if k.mem_map[pfn].mapcount and try_to_unmap(k, pfn, False) != SWAP_SUCCESS:
            return PAGE_KEEP
        if not shmem_writepage(k, pfn):
            trace(k, PAGEOUT_DECLINED, pfn, 0, 0)
            return PAGE_ACTIVATE
    elif fs == FS_RAMFS:
        because(k, pfn, R_NOWHERE)
        trace(k, PAGEOUT_DECLINED, pfn, 0, 0)
        return PAGE_ACTIVATE
    elif fs == FS_SWAP:
        swap_writepage(k, pfn)
    else:
        block_write_full_page(k, pfn)
    unlock_page(k, pfn)
    return PAGE_SUCCESS
