"""The swap cache (mm/swap_state.c): swapper space, where a page and a swap entry meet."""

from .filemap import add_to_page_cache, lock_page, unlock_page
from .page_io import swap_readpage
from .radix_tree import file_page, radix_tree_delete, radix_tree_insert
from .structs import EAGAIN, ENOMEM, GFP_ATOMIC, GFP_NOMEMALLOC, PG_dirty, PG_swapcache, PG_uptodate
from .swap import get_page, lru_cache_add_active, put_page
from .swap_map import get_swap_page, swap_duplicate, swap_free
from .trace import ADD_TO_SWAP, NO_RADIX_NODE, NO_SWAP_ENTRY, SHMEM_MOVED_BACK, trace


def enter_swap_cache(k, pfn, entry, gfp):
    """Put a page into an entry's slot, with a reference for the cache (__add_to_swap_cache): 1; 0 without memory."""
    if not radix_tree_insert(k, entry, pfn, gfp):
        return 0
    page = k.mem_map[pfn]
    page.flags |= PG_swapcache
    page.private = entry
    get_page(k, pfn)
    return 1


def add_to_swap(k, pfn, gfp):
    """Give a locked anonymous page a swap entry and put it into the swap cache, dirty: 1, or 0 if it fails."""
    gfp = (gfp if k.patch[7] else GFP_ATOMIC) | GFP_NOMEMALLOC  # with GFP_KERNEL a radix tree node may be waited for
    entry = get_swap_page(k)
    if not entry:
        trace(k, NO_SWAP_ENTRY, pfn, 0, 0)
        return 0
    if not enter_swap_cache(k, pfn, entry, gfp):
        swap_free(k, entry)
        trace(k, NO_RADIX_NODE, pfn, 0, 0)
        return 0
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
    """A page of the swap cache takes its place in the page cache again; its file does not note the entry any more."""
    add_to_page_cache(k, pfn, m, index)
    if k.swap_cache[entry] == pfn:
        delete_from_swap_cache(k, pfn)
    elif k.swap_cache[entry]:  # without patch 2: the new page loses its slot to the old one, and is an orphan
        radix_tree_delete(k, entry)
        swap_free(k, entry)
    k.mem_map[pfn].flags |= PG_dirty
    k.file_page[file_page(k, m, index)].entry = 0
    swap_free(k, entry)
    trace(k, SHMEM_MOVED_BACK, pfn, 0, entry)


def lookup_swap_cache(k, entry):
    """The page of an entry, with a reference; 0 if the swap cache has none."""
    pfn = k.swap_cache[entry]
    if pfn:
        get_page(k, pfn)
    return pfn


def read_swap_cache(k, pfn, entry, gfp):
    """Read an entry into a new page: 0, it is locked and in the swap cache; or it is given back: -EAGAIN, -ENOMEM."""
    result = -EAGAIN  # nobody uses the entry any more, or somebody else has read it meanwhile
    if not k.swap_cache[entry] and swap_duplicate(k, entry):
        lock_page(k, pfn)  # who looks the entry up waits until it is read
        if enter_swap_cache(k, pfn, entry, gfp):
            lru_cache_add_active(k, pfn)
            swap_readpage(k, pfn)
            return 0
        swap_free(k, entry)
        unlock_page(k, pfn)
        result = -ENOMEM
    put_page(k, pfn)
    return result
