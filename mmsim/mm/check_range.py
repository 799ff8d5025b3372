"""Which pages a migration takes (mm/mempolicy.c, the walk of page tables): what is misplaced is isolated and listed."""

from .mempolicy import MOVE_FLAGS, MPOL_MF_DISCONTIG_OK, MPOL_MF_INVERT, MPOL_MF_MOVE_ALL, MPOL_MF_STRICT
from .mmap import find_vma
from .mmzone import list_add
from .structs import (
    EACCES, EFAULT, EIO, ENODEV, PG_reserved, PTE_PRESENT, VM_LOCKED, VM_NOT_MIGRATABLE, VM_RESERVED, VM_SHARED,
    VM_WRITE,
)
from .trace import LEFT_OUT, NOT_COLLECTED, VMA_SKIPPED, consider, trace_skipped
from .vmscan import isolate_lru_page


def check_range(k, mm, start, end, nodes, flags, pages, asked):
    """Look for pages of a task that are on the wrong node, and collect them on list `pages`, if given (not 0).

    Wrong is a node outside `nodes`; with the internal flag INVERT, one inside.  Pages join at the head of the list, the
    highest address first.  `asked`: the node that they are to go to; -1: a policy says it.  Returns how many misfits
    have to stay, or an errno: -EFAULT, -EACCES where the vmas are not as they should be, and nothing is collected then;
    -EIO for a misfit where there is no list.
    """
    v = find_vma(k, mm, start)
    error = check_vmas(k, v, start, end, flags)
    if error:
        return error
    stuck = 0
    covered = start if k.change.hole_at_tail else end
    while v and k.vma[v].vm_start < end:
        vma = k.vma[v]
        if not pages and hole_beside(k, vma, covered, end, flags):
            return -EFAULT
        migratable = not vma.vm_flags & flags_that_hold(k) or (flags & MPOL_MF_STRICT and k.change.strict_collects)
        if stuck and not migratable and k.change.strict_says_so and not k.change.strict_walks_on:
            return stuck
        if flags & MPOL_MF_STRICT or (flags & MOVE_FLAGS and (migratable or not k.change.strict_collects)):
            more = check_pte_range(k, vma, start, end, nodes, flags, pages, asked, migratable)
            if more < 0:
                return more
            stuck += more
        covered = vma.vm_end
        v = vma.vm_next
    return stuck


def check_vmas(k, first, start, end, flags):
    """What check_range() asks before it takes a page: 0 or an errno (a part of it); `first`: the first vma, or 0.

    The kernel finds holes on its walk, and puts back what it has collected: here a call that fails changes nothing.
    """
    if not first:
        return -EFAULT
    if k.vma[first].vm_flags & VM_RESERVED and not (k.patch[5] and flags & MPOL_MF_DISCONTIG_OK):
        return -EACCES
    if k.change.hole_at_tail and k.vma[first].vm_start >= end:
        return -EFAULT
    if not flags & MOVE_FLAGS:
        return 0
    if k.change.no_swap_no_migration and k.sys.swap_inuse >= k.sys.swap_slots:
        return -ENODEV
    covered = start if k.change.hole_at_tail else end
    v = first
    while v and k.vma[v].vm_start < end:
        vma = k.vma[v]
        if hole_beside(k, vma, covered, end, flags):
            return -EFAULT
        covered = vma.vm_end
        v = vma.vm_next
    return 0


def hole_beside(k, vma, covered, end, flags):
    """True for a hole of the range right before or behind a vma, up to which it is `covered` (a part of check_range).

    Until hole-at-tail, a hole at the head of the range goes unnoticed here, and one at its tail with a vma behind it.
    """
    if flags & MPOL_MF_DISCONTIG_OK:
        return False
    if vma.vm_start > covered or (not vma.vm_next and vma.vm_end < end):
        return True
    return k.change.hole_at_tail and vma.vm_end < end and vma.vm_end < k.vma[vma.vm_next].vm_start


def flags_that_hold(k):
    """The flags of a vma that is not migratable: locked (until 2.6.21), I/O, reserved, executed files, SysV memory."""
    return VM_NOT_MIGRATABLE & ~(VM_LOCKED if k.change.locked_vmas_move else 0)


def check_pte_range(k, vma, start, end, nodes, flags, pages, asked, migratable):
    """Collect the misfits among the pages of a vma in [start, end): how many have to stay; -EIO if there is no list."""
    failures_count = k.change.strict_says_so if flags & MPOL_MF_STRICT else k.change.failures_counted
    stuck = 0
    for address in range(max(start, vma.vm_start), min(end, vma.vm_end)):
        pte = k.pte[vma.pte_base + address]
        if pte.flags & PTE_PRESENT and misfit(k, pte.value, nodes, flags):
            if not pages:
                return -EIO
            if not migratable:
                trace_skipped(k, VMA_SKIPPED, vma.vm_mm, address, pte.value, vma.vm_flags)
                stuck += 1
            elif not migrate_page_add(k, vma, address, pte.value, pages, asked, flags) and failures_count:
                stuck += 1
    return stuck


def misfit(k, pfn, nodes, flags):
    """True if a page is where it should not be; the zero page never is (a part of check_pte_range)."""
    page = k.mem_map[pfn]
    if page.flags & PG_reserved:
        return False
    inside = nodes >> page.node & 1
    return inside if flags & MPOL_MF_INVERT else not inside


def migrate_page_add(k, vma, address, pfn, pages, asked, flags):
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
    return collect(k, vma.vm_mm, address, pfn, k.mem_map[pages].prev if k.change.migration_entries else pages, asked)


def collect(k, mm, address, pfn, behind, asked):
    """Open the record of a page, isolate it, and put it on a list right behind the page or head `behind`: if it can.

    `asked`: the node that it is to go to; -1: a policy says it.
    """
    consider(k, mm, address, pfn, asked)
    if isolate_lru_page(k, pfn) != 1:
        return False
    list_add(k, pfn, behind)
    return True


def collect_for_caller(k, mm, address, pfn, held, pages, dest):
    """Collect a frame of an in-kernel caller, once, on list `pages`, to go to node `dest` (-1: to stay on its own).

    `held`: vm_flags for which it is left out.
    """
    if held:
        trace_skipped(k, LEFT_OUT, mm, address, pfn, held)
    elif not k.mem_map[pfn].row:
        collect(k, mm, address, pfn, k.mem_map[pages].prev, dest if dest >= 0 else k.mem_map[pfn].node)


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
