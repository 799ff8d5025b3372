"""Swap slots (mm/swapfile.c, the half that everything rests on): who uses which.

swap_map[entry] counts the swap ptes with that entry, plus one for the swap cache, plus one for a note in a tmpfs file.
"""

from .structs import BUG_COUNT, POISON, VM_SWAP_PEAK
from .trace import bug


def get_swap_page(k):
    """Take the next free slot of the rotating cursor, for the swap cache: its entry, or 0."""
    slots = k.sys.swap_slots
    if not k.sys.swap_on or k.sys.swap_inuse >= slots:
        return 0
    entry = k.sys.swap_cursor
    while k.swap_map[entry]:
        entry = entry + 1 if entry < slots else 1
    k.swap_map[entry] = 1
    k.sys.swap_cursor = entry + 1 if entry < slots else 1
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


def exclusive_swap_page(k, pfn):
    """True if nobody but the swap cache uses the entry of this page."""
    return k.swap_map[k.mem_map[pfn].private] == 1
