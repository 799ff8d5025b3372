"""The page cache as a table (include/linux/pagemap.h): file pages by mapping and index."""

from .page_alloc import MPOL_DEFAULT, mpol_set_shared_policy
from .swap import get_page, put_page
from .swapfile import free_swap_and_cache


def file_page(k, m, index):
    """The row of k.file_page for page `index` of a file."""
    return k.mapping[m].base + index


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


def truncate(k, m):
    """Give up pages, noted swap entries and policy of a file that nobody maps any more (shmem_delete_inode)."""
    mpol_set_shared_policy(k, m, 0, k.mapping[m].pages, MPOL_DEFAULT, -1, 0, 0, 0)
    for index in range(k.mapping[m].pages):
        note = k.file_page[file_page(k, m, index)]
        if note.pfn:
            remove_from_page_cache(k, note.pfn)
        if note.entry:
            entry = note.entry
            note.entry = 0
            free_swap_and_cache(k, entry)
        note.wrote = 0
