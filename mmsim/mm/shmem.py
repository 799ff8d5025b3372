"""tmpfs and shared anonymous memory (mm/shmem.c): file pages that live in the page cache or in swap."""

from .filemap import (
    add_to_page_cache, find_get_page, lock_page, remove_from_page_cache, unlock_page, wait_on_page_bit, write_file_page,
)
from .mempolicy import alloc_page_policy, get_shared_policy, mpol_set_shared_policy
from .radix_tree import file_page
from .structs import (
    EAGAIN, ENOMEM, GFP_ATOMIC, GFP_KERNEL, GFP_NOMEMALLOC, MPOL_DEFAULT, PG_dirty, PG_swapcache, PG_uptodate,
    PG_writeback,
)
from .swap import lru_cache_add, put_page
from .swap_map import get_swap_page, swap_duplicate, swap_free
from .swap_state import enter_swap_cache, lookup_swap_cache, move_from_swap_cache, read_swap_cache
from .swapfile import free_swap_and_cache
from .trace import FAULT_SHMEM, SHMEM_NO_NODE, SHMEM_NO_SLOT, SHMEM_RECHECK, trace


def shmem_alloc_page(k, m, index):
    """Allocate page `index` of a tmpfs file, by the policy that governs it."""
    mode, home, nodes = get_shared_policy(k, m, index)
    return alloc_page_policy(k, mode, home, nodes, index)


def shmem_writepage(k, pfn):
    """Move an unmapped, locked page to the swap cache, dirty, and note its entry: 1; or 0 without a slot."""
    page = k.mem_map[pfn]
    entry = get_swap_page(k)
    if not entry:
        trace(k, SHMEM_NO_SLOT, pfn, 0, 0)
        return 0
    if not enter_swap_cache(k, pfn, entry, GFP_ATOMIC | GFP_NOMEMALLOC):
        swap_free(k, entry)
        trace(k, SHMEM_NO_NODE, pfn, 0, 0)
        return 0
    k.file_page[file_page(k, page.mapping, page.index)].entry = entry
    swap_duplicate(k, entry)
    remove_from_page_cache(k, pfn)
    page.flags |= PG_dirty
    return 1


def shmem_getpage(k, m, index):
    """The page at `index` of a tmpfs file, a new one for a hole: (pfn, 1 if it was read from swap), or (-ENOMEM, 0)."""
    read = 0
    while True:
        pfn = find_get_page(k, m, index)
        if pfn:
            trace(k, FAULT_SHMEM, pfn, 0, 0)
            return pfn, read
        entry = k.file_page[file_page(k, m, index)].entry
        if not entry:  # nobody wrote it yet
            pfn = shmem_alloc_page(k, m, index)
            if not pfn:
                return -ENOMEM, 0
            k.mem_map[pfn].flags |= PG_uptodate
            add_to_page_cache(k, pfn, m, index)
            lru_cache_add(k, pfn)
            trace(k, FAULT_SHMEM, pfn, 0, 0)
            return pfn, 0
        pfn = lookup_swap_cache(k, entry)
        if pfn:
            lock_page(k, pfn)
        else:
            pfn = shmem_alloc_page(k, m, index)
            result = read_swap_cache(k, pfn, entry, GFP_KERNEL) if pfn else -ENOMEM
            if result == -EAGAIN:
                continue
            if result:
                return result, 0
            read = 1
        if shmem_take_back(k, m, index, pfn, entry) == 0:
            return pfn, read


def shmem_take_back(k, m, index, pfn, entry):
    """Move a locked page that a look-up of `entry` gave back to the page cache: 0, unlocked (a part of shmem_getpage).

    -EAGAIN, unlocked and given back: the page (patch 2) or the note has changed meanwhile, look again.
    """
    page = k.mem_map[pfn]
    note = k.file_page[file_page(k, m, index)]
    if k.patch[2] and not page.flags & PG_swapcache:
        trace(k, SHMEM_RECHECK, pfn, 0, entry)
    elif note.entry == entry and not note.pfn:
        wait_on_page_bit(k, pfn, PG_writeback)
        move_from_swap_cache(k, m, index, pfn, entry)
        unlock_page(k, pfn)
        return 0
    unlock_page(k, pfn)
    put_page(k, pfn)
    return -EAGAIN


def shmem_file_write(k, m, first, pages):
    """write(2) on whole pages of a tmpfs file: 0, or -ENOMEM."""
    for index in range(first, first + pages):
        pfn, _ = shmem_getpage(k, m, index)
        if pfn < 0:
            return pfn
        lock_page(k, pfn)
        write_file_page(k, m, index, pfn)
        unlock_page(k, pfn)
        put_page(k, pfn)
    return 0


def shmem_delete_inode(k, m):
    """Give up pages, noted swap entries and policy of a file that nobody maps any more."""
    mpol_set_shared_policy(k, m, 0, k.mapping[m].pages, MPOL_DEFAULT, -1, 0, 0, 0)
    for index in range(k.mapping[m].pages):
        note = k.file_page[file_page(k, m, index)]
        if note.pfn:
            remove_from_page_cache(k, note.pfn)
        if note.entry:
            free_swap_and_cache(k, note.entry)
            note.entry = 0
        note.wrote = 0
