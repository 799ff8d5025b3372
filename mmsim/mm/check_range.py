"""Which pages a migration takes (mm/mempolicy.c, the walk of page tables): what is misplaced is isolated and listed.

It stands apart from mbind.py only for its length.
"""

from .mempolicy import MOVE_FLAGS, MPOL_MF_DISCONTIG_OK, MPOL_MF_INVERT, MPOL_MF_MOVE_ALL, MPOL_MF_STRICT
from .mmap import find_vma
from .mmzone import list_add
from .structs import (
    EACCES, EFAULT, EIO, ENODEV, PG_reserved, PTE_PRESENT, VM_LOCKED, VM_NOT_MIGRATABLE, VM_RESERVED, VM_SHARED,
    VM_WRITE,
)
from .trace import NOT_COLLECTED, VMA_SKIPPED, consider, trace_skipped
from .vmscan import isolate_lru_page


def vma_migratable(k, vma):
    """False for vmas whose pages must stay: locked (until 2.6.21), I/O, reserved, executed files, SysV memory."""
    return not vma.vm_flags & VM_NOT_MIGRATABLE & ~(VM_LOCKED if k.change.locked_vmas_move else 0)


def check_vma(k, v, before, start, end, flags):
    """What check_range() says to a vma before it looks at its pages: 0, or -EFAULT for a hole before or behind it.

    In the kernel: a part of check_range.
    `before`: the vma before this one in the range.  Until hole-at-tail, a hole at the head of the range goes unnoticed
    here, and one at its tail with another vma behind it.
    """
    vma = k.vma[v]
    if flags & MPOL_MF_DISCONTIG_OK:
        return 0
    if not vma.vm_next and vma.vm_end < end:
        return -EFAULT
    if before and k.vma[before].vm_end < vma.vm_start:
        return -EFAULT
    if k.change.hole_at_tail:
        if not before and start < vma.vm_start:
            return -EFAULT
        if vma.vm_end < end and vma.vm_end < k.vma[vma.vm_next].vm_start:
            return -EFAULT
    return 0


def check_vmas(k, first, start, end, flags):
    """check_vma() of every vma from `first` on that begins before `end`: 0, or -EFAULT (a part of check_range)."""
    error = 0
    before = 0
    v = first
    while v and k.vma[v].vm_start < end and not error:
        error = check_vma(k, v, before, start, end, flags)
        before = v
        v = k.vma[v].vm_next
    return error


def check_range(k, mm, start, end, nodes, flags, pages):
    """Look for pages of a task that are on the wrong node, and collect them on list `pages`, if given (not 0).

    Wrong is a node outside `nodes`; with the internal flag INVERT, one inside.  Pages join at the head of the list, so
    that the highest address comes first.  Returns the number of misfits that lie in vmas that are not migratable;
    -EFAULT or -EACCES where the vmas are not as they should be; -EIO for a misfit when there is no list.
    """
    first = find_vma(k, mm, start)
    if not first:
        return -EFAULT
    if k.vma[first].vm_flags & VM_RESERVED and not (k.patch[5] and flags & MPOL_MF_DISCONTIG_OK):
        return -EACCES
    if k.change.hole_at_tail and k.vma[first].vm_start >= end:
        return -EFAULT
    if flags & MOVE_FLAGS and k.change.no_swap_no_migration and k.sys.swap_inuse >= k.sys.swap_slots:
        return -ENODEV
    if pages and check_vmas(k, first, start, end, flags):  # noticed on the way; what was collected is put back
        return -EFAULT
    stuck = 0
    before = 0
    v = first
    while v and k.vma[v].vm_start < end:
        vma = k.vma[v]
        if check_vma(k, v, before, start, end, flags):
            return -EFAULT
        migratable = vma_migratable(k, vma) or walks_anyway(k, flags)
        if stuck and k.change.strict_says_so and not k.change.strict_walks_on and not migratable:
            return stuck
        if flags & MPOL_MF_STRICT or (flags & MOVE_FLAGS and (migratable or not k.change.strict_collects)):
            for address in range(max(start, vma.vm_start), min(end, vma.vm_end)):
                pte = k.pte[vma.pte_base + address]
                if pte.flags & PTE_PRESENT and misfit(k, pte.value, nodes, flags):
                    if not pages:
                        return -EIO
                    if migratable:
                        missed = not migrate_page_add(k, vma, address, pte.value, pages, flags)
                        stuck += missed and counts_missed(k, flags)
                    else:
                        stuck += 1
                        trace_skipped(k, VMA_SKIPPED, mm, address, pte.value, vma.vm_flags)
        before = v
        v = vma.vm_next
    return stuck


def walks_anyway(k, flags):
    """From 2.6.16 until 5.4, STRICT collects pages of vmas that are not migratable like all others."""
    return flags & MPOL_MF_STRICT and k.change.strict_collects


def counts_missed(k, flags):
    """Whether a page that could not be isolated counts as one that stays."""
    return k.change.strict_says_so if flags & MPOL_MF_STRICT else k.change.failures_counted


def misfit(k, pfn, nodes, flags):
    """True if a page is where it should not be; the zero page never is (a part of check_range)."""
    page = k.mem_map[pfn]
    if page.flags & PG_reserved:
        return False
    inside = nodes >> page.node & 1
    return inside if flags & MPOL_MF_INVERT else not inside


def migrate_page_add(k, vma, address, pfn, pages, flags):
    """Isolate a page and put it on the list, if the flags allow: False if it cannot be isolated.

    MOVE leaves what others map too.  V1 decides for a file as a whole, and moves any anonymous page, shared by fork or
    not; since mapcount-rule each page is asked how many ptes map it.
    """
    page = k.mem_map[pfn]
    if page.row:
        return True  # collected already, through another mapping
    if flags & MPOL_MF_MOVE_ALL:
        shared = False
    elif k.change.mapcount_rule:
        shared = page.mapcount > 1
    else:
        m = page.mapping
        shared = m > 0 and not mapping_writably_mapped(k, m) and not single_mm_mapping(k, vma.vm_mm, m)
    if shared:
        trace_skipped(k, NOT_COLLECTED, vma.vm_mm, address, pfn, 0)
        return True
    collect(k, vma.vm_mm, address, pfn, k.mem_map[pages].prev if k.change.migration_entries else pages)
    return page.row != 0


def collect(k, mm, address, pfn, behind):
    """Isolate one page, put it on a list right behind the page or head `behind`, and open its record."""
    consider(k, mm, address, pfn)
    if isolate_lru_page(k, pfn) == 1:
        list_add(k, pfn, behind)


def mapping_writably_mapped(k, m):
    """True if some vma maps the file shared and writable (include/linux/fs.h; here, as it needs no counter)."""
    v = k.mapping[m].i_mmap
    while v:
        vma = k.vma[v]
        if vma.vm_flags & VM_SHARED and vma.vm_flags & VM_WRITE:
            return True
        v = vma.shared_next
    return False


def single_mm_mapping(k, mm, m):
    """True if no other mm than this one maps the file."""
    v = k.mapping[m].i_mmap
    while v:
        if k.vma[v].vm_mm != mm:
            return False
        v = k.vma[v].shared_next
    return True
