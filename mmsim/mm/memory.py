"""Faults and fork (mm/memory.c): what a touch of a virtual page does."""

from .filemap import filemap_nopage
from .pagemap import file_page
from .mmap import anon_vma_prepare, copy_vma, find_vma, insert_vma
from .page_alloc import alloc_page_vma
from .rmap import page_add_anon_rmap, page_remove_rmap
from .shmem import shmem_getpage
from .structs import (
    EAGAIN, EFAULT, ENOMEM, FS_TMPFS, GFP_KERNEL, PF_MMAP_SEM, PG_dirty, PG_locked, PG_reserved, PG_swapcache,
    PG_uptodate,
    PTE_DIRTY, PTE_MIGRATION, PTE_PRESENT, PTE_RW, PTE_SWAP, PTE_YOUNG, VM_CLONED, VM_LOCKED, VM_MINOR, VM_SHARED,
    VM_STALE_READS, VM_WRITE,
)
from .swap import get_page, lru_add_drain, lru_cache_add_active, put_page
from .swap_state import lookup_swap_cache, read_swap_cache
from .swapfile import (
    free_swap_cache, exclusive_swap_page, remove_exclusive_swap_page, swap_duplicate, swap_free,
    vm_swap_full,
)
from .timer import cond_resched, lock_page, unlock_page
from .trace import (
    FAULT_ANON, FAULT_ZERO, FORKED, SWAP_BACK_OUT, SWAP_HIT, SWAP_MAPPED, SWAP_MISS, SWAP_RECHECK,
    WP_COPY, WP_REUSE, trace,
)

# What a touch was; negative: an errno.  The four kinds of fault are counted by kind - 1.
NO_FAULT, MINOR, MAJOR, PROTECTION, COPIED = range(5)
PTE_TOUCHED = PTE_PRESENT | PTE_YOUNG
ZERO_PAGE = 0
FAULT_AROUND = 16  # pages


def touch_range(k, mm, start, end, write, faults):
    """Let a task read or write every page of [start, end): 0, -EFAULT or -ENOMEM; `faults[kind - 1]` counts."""
    for address in range(start, end):
        kind = touch(k, mm, address, write)
        if kind < 0:
            return kind
        if kind:
            faults[kind - 1] += 1
        cond_resched(k)
    return 0


def make_pages_present(k, mm, start, end):
    """mlock: fault every page of [start, end) in, for writing where the vma allows it: 0, -EFAULT or -ENOMEM.

    Nothing is accessed: a pte that is fit already stays old.
    """
    for address in range(start, end):
        v = find_vma(k, mm, address)
        if not v or k.vma[v].vm_start > address:
            return -EFAULT
        vma = k.vma[v]
        kind = fault_in(k, v, address, vma.vm_flags & VM_WRITE)
        if kind < 0:
            return kind
        pte = k.pte[vma.pte_base + address]
        if pte.flags & PTE_RW and not pte.flags & PTE_DIRTY:  # follow_page() expects a write, and says so to the page
            k.mem_map[pte.value].flags |= PG_dirty
        cond_resched(k)
    return 0


def get_user_pages(k, mm, start, end, times, pfns):
    """Take `times` references on each page of [start, end): 0, -EFAULT or -ENOMEM; `pfns`: the frames, by page."""
    for address in range(start, end):
        pfn = follow_page(k, mm, address)
        while pfn < 0:
            result = make_pages_present(k, mm, address, address + 1)
            if result < 0:
                return result
            pfn = follow_page(k, mm, address)
        k.mem_map[pfn].count += times
        pfns[address - start] = pfn
    return 0


def follow_page(k, mm, address):
    """The frame that a page of a task is in; below 0: it is not present."""
    v = find_vma(k, mm, address)
    if not v or k.vma[v].vm_start > address:
        return -1
    pte = k.pte[k.vma[v].pte_base + address]
    return pte.value if pte.flags & PTE_PRESENT else -1


def touch(k, mm, address, write):
    """One access: fault until the pte allows it, then do what the hardware and the program do.  The kind of fault."""
    v = find_vma(k, mm, address)
    if not v or k.vma[v].vm_start > address or (write and not k.vma[v].vm_flags & VM_WRITE):
        return -EFAULT
    kind = fault_in(k, v, address, write)
    if kind >= 0:
        vma = k.vma[v]
        access(k, vma, address, k.pte[vma.pte_base + address], write)
    return kind


def fault_in(k, v, address, write):
    """Fault until the pte allows an access: the kind of fault, or an errno."""
    vma = k.vma[v]
    pte = k.pte[vma.pte_base + address]
    kind = 0
    task = k.task[vma.vm_mm]
    while not pte.flags & PTE_PRESENT or (write and not pte.flags & PTE_RW):
        task.mmap_cache = v
        task.flags |= PF_MMAP_SEM
        result = handle_mm_fault(k, v, address, write)
        task.flags &= ~PF_MMAP_SEM
        if result < 0 and result != -EAGAIN:
            k.sys.fault_address = address
            return result
        kind = max(kind, result) if result > 0 else kind
    if kind:
        k.sys.clock += k.costs.minor
        k.vmstat[VM_MINOR + kind - 1] += 1
    return kind


def access(k, vma, address, pte, write):
    """A load or store through a pte: its bits, the contents, and the check that a read sees the last write."""
    node = k.task[vma.vm_mm].node
    page = k.mem_map[pte.value]
    k.sys.clock += k.costs.access * k.distance[node][page.node] // 10
    pte.flags |= PTE_YOUNG
    if page.data != expected_data(k, vma, address, pte, page):
        k.vmstat[VM_STALE_READS] += 1
    if write:
        pte.flags |= PTE_DIRTY
        k.sys.writes += 1
        page.data = k.sys.writes
        if vma.mapping and vma.vm_flags & VM_SHARED:
            k.file_page[file_page(k, vma.mapping, vma.vm_pgoff + address - vma.vm_start)].wrote = page.data
        else:
            pte.wrote = page.data


def expected_data(k, vma, address, pte, page):
    """What `page` at `address` must hold: one's own the last write there, that of a file what the file was given."""
    if page.mapping < 0 or not vma.mapping:
        return pte.wrote
    return k.file_page[file_page(k, vma.mapping, vma.vm_pgoff + address - vma.vm_start)].wrote


def handle_mm_fault(k, v, address, write):
    """Resolve one fault: its kind, -EAGAIN if it must be retried, or an errno."""
    vma = k.vma[v]
    pte = k.pte[vma.pte_base + address]
    if pte.flags & PTE_PRESENT:
        return do_wp_page(k, v, address)
    if pte.flags & PTE_SWAP:
        return do_swap_page(k, v, address, write)
    if pte.flags & PTE_MIGRATION:
        return migration_entry_wait(k, pte.value)
    if vma.mapping:
        return do_file_page(k, v, address, write)
    return do_anonymous_page(k, v, address, write)


def migration_entry_wait(k, pfn):
    """Sleep until a page that is being moved is unlocked (mm/migrate.c): -EAGAIN, the fault is retried."""
    get_page(k, pfn)
    lock_page(k, pfn)
    unlock_page(k, pfn)
    put_page(k, pfn)
    return -EAGAIN


def do_anonymous_page(k, v, address, write):
    """First touch of an anonymous page: a read maps the zero page, a write a page of its own."""
    vma = k.vma[v]
    pte = k.pte[vma.pte_base + address]
    if not write and not k.change.no_zero_page:
        pte.value = ZERO_PAGE
        pte.flags = PTE_TOUCHED
        trace(k, FAULT_ZERO, ZERO_PAGE, 0, 0)
        return MINOR
    anon_vma_prepare(k, v)
    pfn = alloc_page_vma(k, v, address)
    if not pfn:
        return -ENOMEM
    map_new_anon_page(k, v, address, pfn)
    trace(k, FAULT_ANON, pfn, 0, k.mem_map[pfn].node)
    return MINOR


def map_new_anon_page(k, v, address, pfn):
    """Map a fresh page of the task's own, writable, and let it enter the active list."""
    vma = k.vma[v]
    pte = k.pte[vma.pte_base + address]
    k.mem_map[pfn].flags |= PG_uptodate
    lru_cache_add_active(k, pfn)
    page_add_anon_rmap(k, pfn, vma, address)
    pte.value = pfn
    pte.flags = PTE_TOUCHED | PTE_RW | PTE_DIRTY


def do_file_page(k, v, address, write):
    """First touch of a file page (do_no_page): map the page cache page; a private write gets a copy at once."""
    vma = k.vma[v]
    index = vma.vm_pgoff + address - vma.vm_start
    if k.change.fault_around and not write and do_fault_around(k, v, address):
        return MINOR
    if k.mapping[vma.mapping].fs == FS_TMPFS:
        pfn, read = shmem_getpage(k, vma.mapping, index)
    else:
        pfn, read = filemap_nopage(k, vma.mapping, index)
    if pfn < 0:
        return pfn
    pte = k.pte[vma.pte_base + address]
    if write and not vma.vm_flags & VM_SHARED:
        anon_vma_prepare(k, v)
        new = alloc_page_vma(k, v, address)
        if new:
            k.mem_map[new].data = k.mem_map[pfn].data
            map_new_anon_page(k, v, address, new)
            pte.wrote = k.mem_map[pfn].data
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


def do_fault_around(k, v, address):
    """A read fault on a file: map what the page cache has around the address; True if that has resolved the fault."""
    vma = k.vma[v]
    first = max(address - address % FAULT_AROUND, vma.vm_start)
    for near in range(first, min(first + FAULT_AROUND, vma.vm_end)):
        pte = k.pte[vma.pte_base + near]
        pfn = k.file_page[file_page(k, vma.mapping, vma.vm_pgoff + near - vma.vm_start)].pfn
        if pte.flags == 0 and pfn and k.mem_map[pfn].flags & PG_uptodate and not k.mem_map[pfn].flags & PG_locked:
            get_page(k, pfn)
            map_file_page(k, vma, pte, pfn, False)
    return k.pte[vma.pte_base + address].flags & PTE_PRESENT != 0


def do_swap_page(k, v, address, write):
    """Fault on a swap pte: find the page in the swap cache or read it, lock it, map it."""
    vma = k.vma[v]
    entry = k.pte[vma.pte_base + address].value
    kind = MINOR
    pfn = lookup_swap_cache(k, entry)
    if pfn:
        trace(k, SWAP_HIT, pfn, 0, entry)
        lock_page(k, pfn)
    else:
        pfn = alloc_page_vma(k, v, address)
        if not pfn:
            return -ENOMEM
        lock_page(k, pfn)
        result = read_swap_cache(k, pfn, entry, GFP_KERNEL)
        if result <= 0:
            return result if result else -EAGAIN
        lru_add_drain(k)  # as swapin_readahead() ends: a pagevec's reference would keep the page in the swap cache
        trace(k, SWAP_MISS, pfn, 0, entry)
        kind = MAJOR
    result = do_swap_page_locked(k, v, address, write, pfn, entry)
    return kind if result == 0 else result


def do_swap_page_locked(k, v, address, write, pfn, entry):
    """With the lock of the page that a look-up of `entry` gave: map it, or back out with -EAGAIN.

    Patch 2: the page may have left the swap cache while we slept in lock_page(); look up again then.
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
    users = page.mapcount + k.swap_map[entry] - (1 if k.swap_cache[entry] else 0)
    page_add_anon_rmap(k, pfn, vma, address)
    pte.value = pfn
    pte.flags = PTE_TOUCHED
    if write and users == 1:
        pte.flags |= PTE_RW | PTE_DIRTY
    swap_free(k, entry)
    trace(k, SWAP_MAPPED, pfn, 0, entry)
    if vm_swap_full(k):
        remove_exclusive_swap_page(k, pfn)
    unlock_page(k, pfn)
    if write and users > 1:
        return min(do_wp_page(k, v, address), 0)
    return 0


def do_wp_page(k, v, address):
    """Write to a write-protected pte: reuse an anonymous page that is ours alone, else copy it."""
    vma = k.vma[v]
    pte = k.pte[vma.pte_base + address]
    old = pte.value
    page = k.mem_map[old]
    if vma.vm_flags & VM_SHARED or page_is_exclusive(k, page, old):
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
    source = page.node
    k.sys.clock += k.costs.copy * k.distance[source][k.mem_map[new].node] // 10
    map_new_anon_page(k, v, address, new)
    if page.mapping > 0:
        pte.wrote = page.data
    trace(k, WP_COPY, old, new, 0)
    if not page.flags & PG_reserved:
        page_remove_rmap(k, old)
        put_page(k, old)
        if page.flags & PG_swapcache:
            free_swap_cache(k, old)
    put_page(k, old)
    return COPIED


def page_is_exclusive(k, page, pfn):
    """True if a page is anonymous, and no other pte, present or swapped out, refers to it (can_share_swap_page).

    A page whose lock is held is not waited for: it counts as shared.
    """
    if page.mapping >= 0 or page.mapcount != 1 or page.flags & PG_locked:
        return False
    return not page.flags & PG_swapcache or exclusive_swap_page(k, pfn)


def dup_mmap(k, parent, child, pte_base):
    """fork: copy all vmas of a task, and the ptes of those with an anon_vma; the child's begin at row `pte_base`."""
    k.task[child].mmap = k.task[child].mmap_cache = 0
    v = k.task[parent].mmap
    while v:
        vma = k.vma[v]
        new = copy_vma(k, v)
        copy = k.vma[new]
        copy.vm_mm = child
        copy.vm_flags &= ~VM_LOCKED
        if copy.anon_vma:
            copy.vm_flags |= VM_CLONED
        copy.pte_base = pte_base - vma.vm_start
        pte_base += vma.vm_end - vma.vm_start
        insert_vma(k, new)
        if vma.anon_vma:  # else faults will fill the child's ptes as well
            for address in range(vma.vm_start, vma.vm_end):
                copy_one_pte(k, vma, vma.pte_base + address, copy.pte_base + address)
        v = vma.vm_next
    trace(k, FORKED, 0, 0, child)


def copy_one_pte(k, vma, source, target):
    """Share one page, or one swap entry, with the child; a private page becomes read-only in both."""
    pte = k.pte[source]
    new = k.pte[target]
    new.wrote = pte.wrote
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
