"""What each file system does with its pages: its address_space_operations (include/linux/fs.h)."""

from .buffer import block_write_full_page
from .filemap import unlock_page
from .page_io import swap_writepage
from .rmap import SWAP_SUCCESS, TTU_UNMAP, try_to_unmap
from .shmem import shmem_writepage
from .structs import FS_EXT2, FS_EXT3, FS_RAMFS, FS_SWAP, FS_TMPFS, FS_XFS, FS_XFS_META
from .trace import PAGEOUT_NOWHERE, trace

# What pageout() and the writepage methods answer.
PAGE_KEEP, PAGE_ACTIVATE, PAGE_SUCCESS, PAGE_CLEAN = range(4)

# The migrate_page method of an address_space (patch 6).
NO_METHOD, MIGRATE_PAGE, BUFFER_MIGRATE_PAGE, FAIL_MIGRATE_PAGE = range(4)


def migrate_page_method(k, fs):
    """The migrate_page method of a file system, one of those above (patch 6); tmpfs has one since shmem-method."""
    if not k.patch[6]:
        return NO_METHOD
    if fs == FS_SWAP or (fs == FS_TMPFS and k.change.shmem_method):
        return MIGRATE_PAGE
    if fs in (FS_EXT2, FS_EXT3, FS_XFS):
        return BUFFER_MIGRATE_PAGE
    if fs == FS_XFS_META:
        return FAIL_MIGRATE_PAGE
    return NO_METHOD


def writepage(k, pfn, mapping):
    """The writepage method of a locked, dirty page's address_space; unless it answers PAGE_SUCCESS, it stays locked."""
    fs = k.mapping[mapping].fs
    if fs == FS_TMPFS:
        if k.mem_map[pfn].mapcount and try_to_unmap(k, pfn, TTU_UNMAP) != SWAP_SUCCESS:
            return PAGE_KEEP
        if not shmem_writepage(k, pfn):
            return PAGE_ACTIVATE
    elif fs == FS_RAMFS:
        trace(k, PAGEOUT_NOWHERE, pfn, 0, 0)
        return PAGE_ACTIVATE
    elif fs == FS_SWAP:
        swap_writepage(k, pfn)
    else:
        block_write_full_page(k, pfn)
    unlock_page(k, pfn)
    return PAGE_SUCCESS
