"""Page migration (mm/migrate.c, from 2.6.18 on): while a page moves, its ptes are migration entries.

A migration entry is a pte that is not present.  It holds the frame of the page that is moving, and whether it was
writable; who meets one waits for the lock of that page.  No swap slot is used, nothing is evicted, and each page gets
its new frame when its turn comes.  How pages moved before, through the swap cache, is in migrate_v1.py.
"""

from .aops import MIGRATE_PAGE, NO_METHOD, migrate_page_method
from .buffer import block_write_full_page, try_to_release_page
from .filemap import lock_page, unlock_page
from .mempolicy import alloc_page_vma
from .migrate_page import migrate_page
from .migrate_v1 import lock_for_migration, migrate_by_method
from .mmzone import list_del, list_empty
from .page_alloc import alloc_pages
from .rmap import TTU_MIGRATION, first_vma, next_vma, page_address_in_vma, page_mapping, try_to_unmap, vma_address
from .sched import cond_resched
from .shmem import shmem_writepage
from .structs import (
    EAGAIN, EFAULT, EINVAL, ENOMEM, FS_RAMFS, FS_TMPFS, GFP_HIGHUSER, GFP_THISNODE, PF_SWAPWRITE, PG_dirty, PG_private,
    PTE_MIGRATION, PTE_PRESENT, PTE_RW, PTE_YOUNG, VM_MIGRATED, VM_RESTORED,
)
from .swap import get_page, put_page
from .trace import (
    ENTRY_REMOVED, FAILED, FREED, MOVED, NEW_PAGE, NO_NEW_PAGES, PAGEOUT_NOWHERE, PASS, WRITEOUT, trace, trace_list,
)
from .vmscan import move_to_lru, putback_lru_pages

PASS_FORCE = 3  # the first pass that waits for a page's lock, and for its writeback
THIS_NODE = 1  # new pages come from the node that was asked for, or not at all
RECLAIM = 2  # and that node may be reclaimed for them


def migrate_pages(k, pages, to, v, how):
    """Move the isolated pages of list `pages`: the number of pages not moved, which are given back to the LRU.

    Each gets a new page when its turn comes: by the policy of vma `v` and those behind it, for its own address; or, if
    v is 0, on the node that its record names, as `how` says (THIS_NODE, RECLAIM); or from list `to`, if given.
    -ENOMEM: what has moved by then has moved.  -EFAULT after a BUG().
    """
    task = k.task[k.sys.current]
    swapwrite = task.flags & PF_SWAPWRITE
    task.flags |= PF_SWAPWRITE
    nr_failed = 0
    retry = 1
    result = 0
    for pass_ in range(10 if k.change.ten_passes else 11):
        if not retry or result == -ENOMEM:
            break
        k.sys.migration_pass = pass_
        k.sys.passes = pass_ + 1
        trace(k, PASS, 0, 0, pass_)
        retry = 0
        pfn = k.mem_map[pages].next
        while pfn != pages and result != -ENOMEM:
            following = k.mem_map[pfn].next
            cond_resched(k)
            result = unmap_and_move(k, pfn, get_new_page(k, pfn, to, v, how), pass_ >= PASS_FORCE)
            if k.sys.bug:
                return -EFAULT
            if result == -EAGAIN:
                retry += 1
            elif result < 0:
                nr_failed += 1
            pfn = following
    if result == -ENOMEM:
        trace_list(k, NO_NEW_PAGES, k.mem_map[pages].next, pages, ENOMEM)
    k.sys.migration_pass = -1
    putback_lru_pages(k, pages)
    if not swapwrite:
        task.flags &= ~PF_SWAPWRITE
    return -ENOMEM if result == -ENOMEM else nr_failed + retry


def get_new_page(k, pfn, to, v, how):
    """A new page to take the place of a page, or 0; the parameters are those of migrate_pages()."""
    if to:
        new = 0 if list_empty(k, to) else k.mem_map[to].next
        if new:
            list_del(k, new)
        return new
    if v:
        return new_vma_page(k, pfn, v)
    asked = k.considered[k.mem_map[pfn].row].asked
    allowed = k.task[k.sys.current].mems_allowed
    gfp = GFP_HIGHUSER
    if how & THIS_NODE:
        allowed &= 1 << asked
        gfp = GFP_HIGHUSER if how & RECLAIM else GFP_THISNODE
    return alloc_pages(k, gfp, asked, allowed)


def new_vma_page(k, pfn, v):
    """A new page by the policy of the vma of a range that maps a page (mm/mempolicy.c); v: the first of the range."""
    address = page_address_in_vma(k, pfn, v)
    while address < 0 and k.change.address_of_the_page and k.vma[v].vm_next:
        v = k.vma[v].vm_next
        address = page_address_in_vma(k, pfn, v)
    return alloc_page_vma(k, v, address)


def unmap_and_move(k, pfn, new, force):
    """Try once to move one page to a new one: 0: done with it; -EAGAIN: retry; another errno: it failed for good.

    The new page is given back unless it was used; so is the page itself, unless it is to be tried again.
    """
    page = k.mem_map[pfn]
    if not new:
        return -ENOMEM
    if page.count == 1:
        trace(k, FREED, pfn, 0, 0)
        put_page(k, new)
        list_del(k, pfn)
        move_to_lru(k, pfn)
        return 0
    result = -EAGAIN
    if lock_for_migration(k, pfn, force, force):
        trace(k, NEW_PAGE, pfn, new, k.mem_map[new].node)
        try_to_unmap(k, pfn, TTU_MIGRATION)
        if page.mapcount == 0:
            result = move_to_new_page(k, new, pfn)
        if result:
            remove_migration_ptes(k, pfn, pfn)
        unlock_page(k, pfn)
    if result == -EAGAIN:
        put_page(k, new)
        return result
    if result:
        trace(k, FAILED, pfn, 0, -result)
        page.row = 0  # in V1 the page may be tried again, with the next chunk of new pages; here it ends
        put_page(k, new)
    else:
        k.vmstat[VM_MIGRATED] += 1
        trace(k, MOVED, pfn, new, 0)
        move_to_lru(k, new)
    list_del(k, pfn)
    move_to_lru(k, pfn)
    return result


def move_to_new_page(k, new, pfn):
    """Move an unmapped, locked page to a new one, by the method of its address_space: 0, -EAGAIN or another errno."""
    page = k.mem_map[pfn]
    target = k.mem_map[new]
    lock_page(k, new)
    target.index = page.index
    target.mapping = page.mapping
    mapping = page_mapping(page)
    method = migrate_page_method(k, k.mapping[mapping].fs) if mapping else MIGRATE_PAGE
    if method == NO_METHOD:
        result = fallback_migrate_page(k, mapping, new, pfn)
    else:
        result = migrate_by_method(k, method, new, pfn)
    if result == 0:
        remove_migration_ptes(k, pfn, new)
    else:
        target.mapping = 0
        target.index = 0
    unlock_page(k, new)
    return result


def remove_migration_ptes(k, old, new):
    """Make real ptes of all migration entries of page `old`: they map `new`, writable as before."""
    page = k.mem_map[new]
    v = first_vma(k, page) if page.mapping else 0
    while v:
        vma = k.vma[v]
        address = vma_address(page, vma)
        if address >= 0:
            pte = k.pte[vma.pte_base + address]
            if pte.flags & PTE_MIGRATION and pte.value == old:
                get_page(k, new)
                page.mapcount += 1
                pte.value = new
                pte.flags = PTE_PRESENT | (pte.flags & (PTE_RW | PTE_YOUNG))
                k.vmstat[VM_RESTORED] += 1
                trace(k, ENTRY_REMOVED, new, 0, vma.vm_mm)
        v = next_vma(page, vma)


def fallback_migrate_page(k, mapping, new, pfn):
    """Move a page whose file system has no method: write it first if it is dirty, then drop its buffers."""
    page = k.mem_map[pfn]
    if page.flags & PG_dirty:
        return writeout(k, mapping, pfn)
    if page.flags & PG_private and not try_to_release_page(k, pfn):
        return -EAGAIN
    return migrate_page(k, new, pfn)


def writeout(k, mapping, pfn):
    """Start writing a dirty page, so that a later attempt finds it clean: -EAGAIN; -EINVAL if that cannot be."""
    if k.mapping[mapping].fs == FS_RAMFS:
        trace(k, PAGEOUT_NOWHERE, pfn, 0, 0)
        return -EINVAL
    remove_migration_ptes(k, pfn, pfn)
    if k.mapping[mapping].fs == FS_TMPFS:
        if not shmem_writepage(k, pfn):
            return -EAGAIN
        trace(k, WRITEOUT, pfn, 0, 0)
    else:
        block_write_full_page(k, pfn)
    unlock_page(k, pfn)
    lock_page(k, pfn)
    return -EAGAIN
