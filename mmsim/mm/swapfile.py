"""Giving swap slots back (mm/swapfile.c, the half that knows pages and ptes): one by one, or all of them (swapoff).

Of other files, and here, as they rest on what is here: free_swap_cache (mm/swap_state.c), remove_from_swap (mm/rmap.c),
shmem_unuse (mm/shmem.c).
"""

from .filemap import lock_page, unlock_page, wait_on_page_bit
from .mempolicy import alloc_page_vma
from .rmap import first_vma, next_vma, page_add_anon_rmap, vma_address
from .sched import cond_resched
from .structs import (
    EAGAIN, ENOMEM, GFP_KERNEL, PG_dirty, PG_locked, PG_swapcache, PG_writeback, PTE_PRESENT, PTE_SWAP, VM_RESTORED,
)
from .swap import get_page, put_page
from .swap_map import exclusive_swap_page, swap_free, vm_swap_full
from .swap_state import delete_from_swap_cache, lookup_swap_cache, move_from_swap_cache, read_swap_cache
from .trace import LEFT_SWAP, RESTORED, UNUSE_RECHECK, trace


def remove_exclusive_swap_page(k, pfn):
    """Take a locked page out of the swap cache if only that and one other hold it and no pte has its entry: 1, or 0."""
    page = k.mem_map[pfn]
    if not page.flags & PG_swapcache or page.flags & PG_writeback or page.count != 2 or not exclusive_swap_page(k, pfn):
        return 0
    delete_from_swap_cache(k, pfn)
    return 1


def free_swap_cache(k, pfn):
    """A page has lost a pte: take it out of the swap cache if that holds it alone with the caller."""
    if not k.mem_map[pfn].flags & PG_locked:
        remove_exclusive_swap_page(k, pfn)


def free_swap_and_cache(k, entry):
    """A pte gives up its swap entry; a page that nobody but the swap cache holds then goes too, if it is unlocked."""
    swap_free(k, entry)
    pfn = k.swap_cache[entry]
    if k.swap_map[entry] == 1 and pfn and not k.mem_map[pfn].flags & (PG_locked | PG_writeback):
        if k.mem_map[pfn].count == 1 or vm_swap_full(k):
            delete_from_swap_cache(k, pfn)


def can_share_swap_page(k, pfn):
    """True if one pte alone refers to an anonymous page: it maps the page, or has its swap entry."""
    page = k.mem_map[pfn]
    swapped = k.swap_map[page.private] - 1 if page.flags & PG_swapcache else 0
    return page.mapcount + swapped == 1


def unuse_pte(k, vma, address, pte, pfn):
    """Turn one swap pte into a real one (patch 4 made it public)."""
    swap_free(k, pte.value)
    pte.value = pfn
    pte.flags = PTE_PRESENT
    get_page(k, pfn)
    page_add_anon_rmap(k, pfn, vma, address)
    k.vmstat[VM_RESTORED] += 1


def remove_from_swap(k, pfn):
    """Make real ptes of all swap ptes that name this locked page (patch 4), and free the swap entry.

    The new ptes are old and write-protected: the next write is one cheap protection fault.
    """
    page = k.mem_map[pfn]
    if page.mapping >= 0 or not page.flags & PG_swapcache:
        return
    entry = page.private
    v = first_vma(k, page)
    while v and k.swap_map[entry] > 1:
        vma = k.vma[v]
        address = vma_address(page, vma)
        if address >= 0:
            pte = k.pte[vma.pte_base + address]
            if pte.flags & PTE_SWAP and pte.value == entry:
                unuse_pte(k, vma, address, pte, pfn)
                trace(k, RESTORED, pfn, 0, entry)
        v = next_vma(page, vma)
    if k.swap_map[entry] == 1 and not page.flags & PG_writeback:
        delete_from_swap_cache(k, pfn)
        trace(k, LEFT_SWAP, pfn, 0, entry)


def sys_swapoff(k):
    """Give no more slots out, and empty all that are in use: 0; -ENOMEM where memory ran out, swap is on again then."""
    k.sys.swap_on = 0
    for entry in range(1, k.sys.swap_slots + 1):
        while k.swap_map[entry]:
            result = try_to_unuse(k, entry)
            if result < 0 and result != -EAGAIN:
                k.sys.swap_on = 1
                return result
            cond_resched(k)
    return 0


def try_to_unuse(k, entry):
    """Bring one swap entry back: find or read its page, lock it, and let everyone who names the entry have the page."""
    pfn = lookup_swap_cache(k, entry)
    if pfn:
        lock_page(k, pfn)
    else:
        pfn = alloc_page_vma(k, 0, 0)
        if not pfn:
            return -ENOMEM
        result = read_swap_cache(k, pfn, entry, GFP_KERNEL)
        if result:
            return result
    return unuse_locked(k, pfn, entry)


def unuse_locked(k, pfn, entry):
    """The rest of try_to_unuse(), for the locked page that a look-up gave: 0, or -EAGAIN if it has left (patch 2)."""
    page = k.mem_map[pfn]
    if k.patch[2] and not page.flags & PG_swapcache:
        trace(k, UNUSE_RECHECK, pfn, 0, entry)
        unlock_page(k, pfn)
        put_page(k, pfn)
        return -EAGAIN
    wait_on_page_bit(k, pfn, PG_writeback)
    unuse_ptes(k, pfn, entry)
    shmem_unuse(k, pfn, entry)
    if page.flags & PG_swapcache and k.swap_cache[page.private] == pfn:
        delete_from_swap_cache(k, pfn)
    page.flags |= PG_dirty
    unlock_page(k, pfn)
    put_page(k, pfn)
    return 0


def unuse_ptes(k, pfn, entry):
    """Walk all page tables while there are swap ptes with this entry, and map the page there (unuse_mm, for all)."""
    for v in range(1, len(k.vma)):
        vma = k.vma[v]
        if vma.vm_mm and vma.anon_vma and k.swap_map[entry] > 1:
            for address in range(vma.vm_start, vma.vm_end):
                pte = k.pte[vma.pte_base + address]
                if pte.flags & PTE_SWAP and pte.value == entry:
                    unuse_pte(k, vma, address, pte, pfn)
                    break


def shmem_unuse(k, pfn, entry):
    """Look through the notes of all tmpfs files for this entry, and give the page back to its file."""
    for m in range(2, len(k.mapping)):
        for index in range(k.mapping[m].pages):
            if k.file_page[k.mapping[m].base + index].entry == entry:
                move_from_swap_cache(k, m, index, pfn, entry)
