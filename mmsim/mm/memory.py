"""Page tables (mm/memory.c): what a fault does, what fork copies, what an munmap clears."""

from .filemap import filemap_nopage, lock_page, unlock_page
from .mempolicy import alloc_page_vma
from .radix_tree import file_page
from .rmap import anon_vma_prepare, page_add_anon_rmap, page_remove_rmap
from .shmem import shmem_getpage
from .structs import (
    EAGAIN, ENOMEM, FS_TMPFS, GFP_KERNEL, PG_dirty, PG_locked, PG_reserved, PG_swapcache, PG_uptodate, PTE_DIRTY,
    PTE_MIGRATION, PTE_PRESENT, PTE_RW, PTE_SWAP, PTE_YOUNG, VM_SHARED, VM_WRITE,
)
from .swap import get_page, lru_add_drain, lru_cache_add_active, put_page
from .swap_map import swap_duplicate, swap_free, vm_swap_full
from .swap_state import lookup_swap_cache, read_swap_cache
from .swapfile import can_share_swap_page, free_swap_and_cache, free_swap_cache, remove_exclusive_swap_page
from .trace import (
    FAULT_ANON, FAULT_ZERO, PAGE_GONE, SWAP_BACK_OUT, SWAP_HIT, SWAP_MAPPED, SWAP_MISS, SWAP_RECHECK, WP_COPY,
    WP_REUSE, trace,
)

# What a touch was; negative: an errno.  The four kinds of fault are counted by kind - 1.
NO_FAULT, MINOR, MAJOR, PROTECTION, COPIED = range(5)
PTE_TOUCHED = PTE_PRESENT | PTE_YOUNG
ZERO_PAGE = 0
FAULT_AROUND = 16  # pages


def zap_pte(k, pte):
    """Clear one pte (an inline of zap_pte_range); its page loses a mapping and a reference, its swap entry a user."""
    flags = pte.flags
    value = pte.value
    pte.flags = 0
    pte.value = 0
    if flags & PTE_SWAP:
        free_swap_and_cache(k, value)
        return
    page = k.mem_map[value]
    if page.flags & PG_reserved:
        return
    if flags & PTE_DIRTY and page.mapping > 0:
        page.flags |= PG_dirty
    trace(k, PAGE_GONE, value, 0, 0)
    page_remove_rmap(k, value)
    free_swap_cache(k, value)
    put_page(k, value)


def unmap_page_range(k, v):
    """Clear every pte of a vma (unmap_vmas calls this for each)."""
    vma = k.vma[v]
    for address in range(vma.vm_start, vma.vm_end):
        pte = k.pte[vma.pte_base + address]
        if pte.flags & (PTE_PRESENT | PTE_SWAP):
            zap_pte(k, pte)
        k.wrote[vma.pte_base + address] = 0


def handle_mm_fault(k, v, address, write):
    """Resolve one fault: its kind, -EAGAIN if it must be retried, or an errno."""
    vma = k.vma[v]
    pte = k.pte[vma.pte_base + address]
    if pte.flags & PTE_PRESENT:
        return do_wp_page(k, v, address, pte)
    if pte.flags & PTE_SWAP:
        return do_swap_page(k, v, address, pte.value, write)
    if pte.flags & PTE_MIGRATION:
        return migration_entry_wait(k, pte.value)
    if vma.mapping:
        return do_no_page(k, v, address, pte, write)
    return do_anonymous_page(k, v, address, pte, write)


def migration_entry_wait(k, pfn):
    """Sleep until a page that is being moved is unlocked (mm/migrate.c): -EAGAIN, the fault is retried."""
    get_page(k, pfn)
    lock_page(k, pfn)
    unlock_page(k, pfn)
    put_page(k, pfn)
    return -EAGAIN


def do_anonymous_page(k, v, address, pte, write):
    """First touch of an anonymous page: a read maps the zero page, a write a page of its own."""
    if not write and not k.change.no_zero_page:
        pte.value = ZERO_PAGE
        pte.flags = PTE_TOUCHED
        trace(k, FAULT_ZERO, ZERO_PAGE, 0, 0)
        return MINOR
    anon_vma_prepare(k, v)
    pfn = alloc_page_vma(k, v, address)
    if not pfn:
        return -ENOMEM
    map_new_anon_page(k, k.vma[v], address, pte, pfn)
    trace(k, FAULT_ANON, pfn, 0, k.mem_map[pfn].node)
    return MINOR


def map_new_anon_page(k, vma, address, pte, pfn):
    """Map a fresh page of the task's own, writable, and let it enter the active list (a part of each fault)."""
    k.mem_map[pfn].flags |= PG_uptodate
    lru_cache_add_active(k, pfn)
    page_add_anon_rmap(k, pfn, vma, address)
    pte.value = pfn
    pte.flags = PTE_TOUCHED | PTE_RW | PTE_DIRTY


def do_no_page(k, v, address, pte, write):
    """First touch of a file page: map the page cache page; a private write gets a copy at once."""
    vma = k.vma[v]
    index = vma.vm_pgoff + address - vma.vm_start
    if k.change.fault_around and not write and do_fault_around(k, vma, address):
        return MINOR
    if k.mapping[vma.mapping].fs == FS_TMPFS:
        pfn, read = shmem_getpage(k, vma.mapping, index)
    else:
        pfn, read = filemap_nopage(k, vma.mapping, index)
    if pfn < 0:
        return pfn
    if write and not vma.vm_flags & VM_SHARED:
        anon_vma_prepare(k, v)
        new = alloc_page_vma(k, v, address)
        if new:
            k.mem_map[new].data = k.mem_map[pfn].data
            map_new_anon_page(k, vma, address, pte, new)
            k.wrote[vma.pte_base + address] = k.mem_map[pfn].data
        put_page(k, pfn)
        if not new:
            return -ENOMEM
    else:
        map_file_page(k, vma, pte, pfn, write)
    return MAJOR if read else MINOR


def map_file_page(k, vma, pte, pfn, write):
    """Let an empty pte refer to a page of the page cache; our reference to the page becomes the pte's."""
    k.mem_map[pfn].mapcount += 1
    pte.value = pfn
    pte.flags = PTE_TOUCHED
    if vma.vm_flags & VM_SHARED and vma.vm_flags & VM_WRITE:
        pte.flags |= PTE_RW | (PTE_DIRTY if write else 0)


def do_fault_around(k, vma, address):
    """A read fault on a file: map what the page cache has around the address; True if that has resolved the fault."""
    first = max(address - address % FAULT_AROUND, vma.vm_start)
    for near in range(first, min(first + FAULT_AROUND, vma.vm_end)):
        pte = k.pte[vma.pte_base + near]
        pfn = k.file_page[file_page(k, vma.mapping, vma.vm_pgoff + near - vma.vm_start)].pfn
        if pte.flags == 0 and pfn and k.mem_map[pfn].flags & PG_uptodate and not k.mem_map[pfn].flags & PG_locked:
            get_page(k, pfn)
            map_file_page(k, vma, pte, pfn, False)
    return k.pte[vma.pte_base + address].flags & PTE_PRESENT != 0


def do_swap_page(k, v, address, entry, write):
    """Fault on a swap pte: find the page in the swap cache or read it, lock it, map it."""
    kind = MINOR
    pfn = lookup_swap_cache(k, entry)
    if pfn:
        trace(k, SWAP_HIT, pfn, 0, entry)
        lock_page(k, pfn)
    else:
        pfn = alloc_page_vma(k, v, address)
        if not pfn:
            return -ENOMEM
        result = read_swap_cache(k, pfn, entry, GFP_KERNEL)
        if result:
            return result
        lru_add_drain(k)  # as swapin_readahead() ends: a pagevec's reference would keep the page in the swap cache
        trace(k, SWAP_MISS, pfn, 0, entry)
        kind = MAJOR
    result = do_swap_page_locked(k, v, address, write, pfn, entry)
    return kind if result == 0 else result


def do_swap_page_locked(k, v, address, write, pfn, entry):
    """The rest of do_swap_page(), for a page that a look-up of `entry` gave, locked: map it, 0 or an errno; unlocked.

    -EAGAIN: while we slept in lock_page() the pte has changed, or the page has left the swap cache (patch 2).
    """
    vma = k.vma[v]
    pte = k.pte[vma.pte_base + address]
    page = k.mem_map[pfn]
    stale = k.patch[2] and not page.flags & PG_swapcache
    if stale or not pte.flags & PTE_SWAP or pte.value != entry:
        trace(k, SWAP_RECHECK if stale else SWAP_BACK_OUT, pfn, 0, entry)
        unlock_page(k, pfn)
        put_page(k, pfn)
        return -EAGAIN
    ours = can_share_swap_page(k, pfn)
    page_add_anon_rmap(k, pfn, vma, address)
    pte.value = pfn
    pte.flags = PTE_TOUCHED
    if write and ours:
        pte.flags |= PTE_RW | PTE_DIRTY
    swap_free(k, entry)
    trace(k, SWAP_MAPPED, pfn, 0, entry)
    if vm_swap_full(k):
        remove_exclusive_swap_page(k, pfn)
    unlock_page(k, pfn)
    return 0 if ours or not write else min(do_wp_page(k, v, address, pte), 0)


def do_wp_page(k, v, address, pte):
    """Write to a write-protected pte: reuse an anonymous page that is ours alone, else copy it."""
    vma = k.vma[v]
    old = pte.value
    page = k.mem_map[old]
    ours = page.mapping < 0 and not page.flags & PG_locked and can_share_swap_page(k, old)  # no wait for a lock
    if vma.vm_flags & VM_SHARED or ours:
        pte.flags |= PTE_RW | PTE_DIRTY | PTE_YOUNG
        trace(k, WP_REUSE, old, 0, 0)
        return PROTECTION
    anon_vma_prepare(k, v)
    get_page(k, old)
    new = alloc_page_vma(k, v, address)
    if not new:
        put_page(k, old)
        return -ENOMEM
    if not pte.flags & PTE_PRESENT or pte.value != old:  # it was stolen while we waited for memory
        put_page(k, new)
        put_page(k, old)
        return -EAGAIN
    k.mem_map[new].data = page.data
    k.sys.clock += k.costs.copy * k.distance[page.node][k.mem_map[new].node] // 10
    map_new_anon_page(k, vma, address, pte, new)
    if page.mapping > 0:
        k.wrote[vma.pte_base + address] = page.data
    trace(k, WP_COPY, old, new, 0)
    if not page.flags & PG_reserved:
        page_remove_rmap(k, old)
        put_page(k, old)
        if page.flags & PG_swapcache:
            free_swap_cache(k, old)
    put_page(k, old)
    return COPIED


def copy_page_range(k, vma, copy):
    """Copy the ptes of a vma with an anon_vma to that of a child; faults will fill the others' as well."""
    if vma.anon_vma:
        for address in range(vma.vm_start, vma.vm_end):
            copy_one_pte(k, vma, k.pte[vma.pte_base + address], k.pte[copy.pte_base + address])
            k.wrote[copy.pte_base + address] = k.wrote[vma.pte_base + address]


def copy_one_pte(k, vma, pte, new):
    """Share one page, or one swap entry, with the child; a private page becomes read-only in both."""
    if pte.flags & PTE_PRESENT:
        if not vma.vm_flags & VM_SHARED:
            pte.flags &= ~PTE_RW
        page = k.mem_map[pte.value]
        if not page.flags & PG_reserved:
            page.mapcount += 1
            get_page(k, pte.value)
    elif pte.flags & PTE_SWAP:
        swap_duplicate(k, pte.value)
    new.value = pte.value
    new.flags = pte.flags & ~PTE_YOUNG
