"""Swap slots (mm/swapfile.c): who uses which, and giving them back.

swap_map[entry] counts the swap ptes with that entry, plus one for the swap cache, plus one
for a note in a tmpfs file.  Entry 0 is the header of the device.
"""

from .structs import BUG_COUNT, PG_dirty, PG_locked, PG_swapcache, PG_writeback, POISON, RADIX_KEYS, VM_SWAP_PEAK
from .swap import put_page
from .trace import bug


def get_swap_page(k):
    """Take the next free slot of the rotating cursor, for the swap cache: its entry, or 0."""
    slots = k.sys.swap_slots
    if not k.sys.swap_on or k.sys.swap_inuse >= slots:
        return 0
    entry = k.sys.swap_cursor
    while k.swap_map[entry]:
        entry = entry % slots + 1
    k.swap_map[entry] = 1
    k.sys.swap_cursor = entry % slots + 1
    k.sys.swap_inuse += 1
    if k.sys.swap_inuse > k.vmstat[VM_SWAP_PEAK]:
        k.vmstat[VM_SWAP_PEAK] = k.sys.swap_inuse
    return entry


def swap_duplicate(k, entry):
    """One more user of an entry; 0 if nobody uses it any more."""
    if k.swap_map[entry] == 0:
        return 0
    k.swap_map[entry] += 1
    return 1


def swap_free(k, entry):
    """One user less; the last one frees the slot."""
    k.swap_map[entry] -= 1
    if k.swap_map[entry] == 0:
        k.sys.swap_inuse -= 1
        k.swap_data[entry] = POISON
    elif k.swap_map[entry] < 0:
        bug(k, BUG_COUNT, k.swap_cache[entry])


def vm_swap_full(k):
    """More than half of swap is in use: be eager to give slots back."""
    return k.sys.swap_inuse * 2 > k.sys.swap_slots


def delete_from_swap_cache(k, pfn):
    """Take a locked page out of the swap cache; the slot loses that use, the page must be kept or written again."""
    page = k.mem_map[pfn]
    entry = page.private
    clear_swap_cache_slot(k, entry)
    page.flags = (page.flags & ~PG_swapcache) | PG_dirty
    page.private = 0
    swap_free(k, entry)
    put_page(k, pfn)


def clear_swap_cache_slot(k, entry):
    """Empty one slot of the swap cache's radix tree; its node goes back to the slab with the last key."""
    k.swap_cache[entry] = 0
    group = entry // RADIX_KEYS
    k.radix_count[group] -= 1
    if k.radix_count[group] == 0:
        k.sys.slab_nodes += 1


def exclusive_swap_page(k, pfn):
    """True if nobody but the swap cache uses the entry of this page."""
    return k.swap_map[k.mem_map[pfn].private] == 1


def remove_exclusive_swap_page(k, pfn):
    """Take a locked page out of the swap cache if only that and one other hold it and no pte has its entry: 1, or 0."""
    page = k.mem_map[pfn]
    if not page.flags & PG_swapcache or page.flags & PG_writeback:
        return 0
    if page.count != 2 or not exclusive_swap_page(k, pfn):
        return 0
    delete_from_swap_cache(k, pfn)
    return 1


def free_swap_and_cache(k, entry):
    """A pte gives up its swap entry; a page that nobody but the swap cache holds then goes too, if it is unlocked."""
    swap_free(k, entry)
    pfn = k.swap_cache[entry]
    if k.swap_map[entry] == 1 and pfn and not k.mem_map[pfn].flags & (PG_locked | PG_writeback):
        if k.mem_map[pfn].count == 1 or vm_swap_full(k):
            delete_from_swap_cache(k, pfn)


def free_swap_cache(k, pfn):
    """A page has lost a pte: take it out of the swap cache if that holds it alone with the caller (mm/swap_state.c)."""
    if not k.mem_map[pfn].flags & PG_locked:
        remove_exclusive_swap_page(k, pfn)
