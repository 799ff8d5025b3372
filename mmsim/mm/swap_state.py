"""The swap cache (mm/swap_state.c): swapper space, where a page and a swap entry meet."""

from .page_alloc import radix_node_alloc
from .page_io import swap_readpage
from .structs import ENOMEM, GFP_ATOMIC, GFP_NOMEMALLOC, PG_dirty, PG_swapcache, PG_uptodate, RADIX_KEYS
from .swap import get_page, lru_cache_add_active, put_page
from .swapfile import get_swap_page, swap_duplicate, swap_free
from .timer import unlock_page
from .trace import ADD_TO_SWAP, NO_RADIX_NODE, NO_SWAP_ENTRY, R_NO_NODE, R_NO_SLOT, because, trace


def radix_tree_insert(k, entry, pfn, gfp):
    """Put a page into the slot of `entry`; the first key of a group of 64 needs a node: 0 without memory."""
    group = entry // RADIX_KEYS
    if k.radix_count[group] == 0:
        if not radix_node_alloc(k, gfp):
            return 0
        if k.radix_count[group]:  # reclaim has made this node while we waited for memory: give ours back
            k.sys.slab_nodes += 1
    k.radix_count[group] += 1
    k.swap_cache[entry] = pfn
    return 1


def enter_swap_cache(k, pfn, entry):
    """Flag a page that already stands in the tree as swap cache page; the cache holds a reference."""
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
        because(k, pfn, R_NO_SLOT)
        trace(k, NO_SWAP_ENTRY, pfn, 0, 0)
        return 0
    if not radix_tree_insert(k, entry, pfn, gfp):
        swap_free(k, entry)
        because(k, pfn, R_NO_NODE)
        trace(k, NO_RADIX_NODE, pfn, 0, 0)
        return 0
    enter_swap_cache(k, pfn, entry)
    k.mem_map[pfn].flags |= PG_uptodate | PG_dirty
    trace(k, ADD_TO_SWAP, pfn, 0, entry)
    return 1


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
