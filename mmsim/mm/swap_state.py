"""The swap cache (mm/swap_state.c): swapper space, where a page and a swap entry meet."""

from .filemap import add_to_page_cache, unlock_page
from .page_io import swap_readpage
from .radix_tree import file_page, radix_tree_delete, radix_tree_insert
from .structs import ENOMEM, GFP_ATOMIC, GFP_NOMEMALLOC, PG_dirty, PG_swapcache, PG_uptodate
from .swap import get_page, lru_cache_add_active, put_page
from .swap_map import get_swap_page, swap_duplicate, swap_free
from .trace import ADD_TO_SWAP, NO_RADIX_NODE, NO_SWAP_ENTRY, SHMEM_MOVED_BACK, trace


def enter_swap_cache(k, pfn, entry):
    """Flag a page that already stands in the tree as swap cache page; the cache holds a reference.

    In the kernel: a part of __add_to_swap_cache.
    """
    page = k.mem_map[pfn]
    page.flags |= PG_swapcache
    page.private = entry
    get_page(k, pfn)


def add_to_swap(k, pfn, gfp):
    """Give a locked anonymous page a swap entry and put it into the swap cache: 1, or 0 if it fails.

    Patch 7 added `gfp`: with GFP_KERNEL the radix tree node may be waited for; before, it never was.  A page that
    entered needs writing, so it is dirty.
    """
    gfp = (gfp if k.patch[7] else GFP_ATOMIC) | GFP_NOMEMALLOC
    entry = get_swap_page(k)
    if not entry:
        trace(k, NO_SWAP_ENTRY, pfn, 0, 0)
        return 0
    if not radix_tree_insert(k, entry, pfn, gfp):
        swap_free(k, entry)
        trace(k, NO_RADIX_NODE, pfn, 0, 0)
        return 0
    enter_swap_cache(k, pfn, entry)
    k.mem_map[pfn].flags |= PG_uptodate | PG_dirty
    trace(k, ADD_TO_SWAP, pfn, 0, entry)
    return 1


def delete_from_swap_cache(k, pfn):
    """Take a locked page out of the swap cache; the slot loses that use, the page must be kept or written again."""
    page = k.mem_map[pfn]
    entry = page.private
    radix_tree_delete(k, entry)
    page.flags = (page.flags & ~PG_swapcache) | PG_dirty
    page.private = 0
    swap_free(k, entry)
    put_page(k, pfn)


def move_from_swap_cache(k, m, index, pfn, entry):
    """Page `pfn` takes its place in the page cache, and the slot of `entry` in the swap cache is emptied.

    Without patch 2 the page may be stale: the slot then holds another one, and is emptied all the same.
    """
    page = k.mem_map[pfn]
    k.file_page[file_page(k, m, index)].entry = 0
    holder = k.swap_cache[entry]
    add_to_page_cache(k, pfn, m, index)
    if holder == pfn:
        delete_from_swap_cache(k, pfn)
    elif holder:
        radix_tree_delete(k, entry)
        swap_free(k, entry)
    page.flags |= PG_dirty
    swap_free(k, entry)
    trace(k, SHMEM_MOVED_BACK, pfn, 0, entry)


def lookup_swap_cache(k, entry):
    """The page of an entry, with a reference; 0 if the swap cache has none."""
    pfn = k.swap_cache[entry]
    if pfn:
        get_page(k, pfn)
    return pfn


def read_swap_cache(k, pfn, entry, gfp):
    """Read an entry into the new, locked page `pfn` (read_swap_cache_async, without read-ahead).

    1: the page is in the swap cache now.  Otherwise the page is given back; 0: nobody uses the
    entry any more, or somebody else has read it meanwhile; -ENOMEM: no radix tree node.
    """
    result = begin_read_swap_cache(k, pfn, entry, gfp)
    if result == 1:
        swap_readpage(k, pfn)
    return result


def begin_read_swap_cache(k, pfn, entry, gfp):
    """The part of a read before the I/O: others find the page in the swap cache from now on, and wait for its lock."""
    result = 0
    if not k.swap_cache[entry] and swap_duplicate(k, entry):
        if radix_tree_insert(k, entry, pfn, gfp):
            enter_swap_cache(k, pfn, entry)
            lru_cache_add_active(k, pfn)
            return 1
        swap_free(k, entry)
        result = -ENOMEM
    unlock_page(k, pfn)
    put_page(k, pfn)
    return result
