"""Taking the swap device away (try_to_unuse of mm/swapfile.c): every entry is brought back to memory."""

from .page_alloc import alloc_page_vma
from .rmap import unuse_pte
from .shmem import move_from_swap_cache
from .structs import EAGAIN, ENOMEM, GFP_KERNEL, PG_dirty, PG_swapcache, PG_writeback, PTE_SWAP
from .swap import put_page
from .swap_state import lookup_swap_cache, read_swap_cache
from .swapfile import delete_from_swap_cache
from .timer import cond_resched, lock_page, unlock_page, wait_on_page
from .trace import UNUSE_RECHECK, trace


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
        lock_page(k, pfn)
        result = read_swap_cache(k, pfn, entry, GFP_KERNEL)
        if result <= 0:
            return result if result else -EAGAIN
    return unuse_locked(k, pfn, entry)


def unuse_locked(k, pfn, entry):
    """With the lock of the page that a look-up of `entry` gave: replace every user of the entry.

    Patch 2: -EAGAIN if the page has left the swap cache while we slept in lock_page().
    """
    page = k.mem_map[pfn]
    if k.patch[2] and not page.flags & PG_swapcache:
        trace(k, UNUSE_RECHECK, pfn, 0, entry)
        unlock_page(k, pfn)
        put_page(k, pfn)
        return -EAGAIN
    wait_on_page(k, pfn, PG_writeback)
    unuse_ptes(k, pfn, entry)
    shmem_unuse(k, pfn, entry)
    if page.flags & PG_swapcache and k.swap_cache[page.private] == pfn:
        delete_from_swap_cache(k, pfn)
    page.flags |= PG_dirty
    unlock_page(k, pfn)
    put_page(k, pfn)
    return 0


def unuse_ptes(k, pfn, entry):
    """Walk all page tables for swap ptes with this entry, and map the page there (unuse_mm)."""
    for v in range(1, len(k.vma)):
        vma = k.vma[v]
        if vma.vm_mm and vma.anon_vma:
            for address in range(vma.vm_start, vma.vm_end):
                pte = k.pte[vma.pte_base + address]
                if pte.flags & PTE_SWAP and pte.value == entry:
                    unuse_pte(k, vma, address, pte, pfn)


def shmem_unuse(k, pfn, entry):
    """Look through the notes of all tmpfs files for this entry, and give the page back to its file."""
    for m in range(2, len(k.mapping)):
        for index in range(k.mapping[m].pages):
            note = k.file_page[k.mapping[m].base + index]
            if note.entry == entry:
                move_from_swap_cache(k, m, index, pfn, entry)
