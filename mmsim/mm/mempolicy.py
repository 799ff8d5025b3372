"""Memory policies and the triggers of migration (mm/mempolicy.c): mbind, migrate_pages, cpusets."""

from .migrate import RECLAIM, THIS_NODE, migrate_pages
from .migrate_v1 import give_up
from .migrate_v1 import migrate_pages as migrate_pages_v1
from .mmap import find_vma, same_policy, split_vma, vma_merge
from .mmzone import list_add, list_add_tail, list_del, list_empty, work_list
from .page_alloc import alloc_page_vma, alloc_pages, count_nodes, mpol_set_shared_policy, nth_node
from .structs import (
    EACCES, EFAULT, EIO, ENODEV, ENOMEM, FS_TMPFS, GFP_HIGHUSER, MAX_NODES, NEWLIST, PAGELIST, PF_MMAP_SEM, PG_reserved,
    PTE_PRESENT, VM_LOCKED, VM_NOT_MIGRATABLE, VM_RESERVED, VM_SHARED, VM_WRITE,
)
from .swap import put_page
from .trace import (
    CALLER_LIST, NEW_LIST, NODE_PAIR, NOT_COLLECTED, PATH_FREED, PATH_PENDING, PATH_SKIPPED, POLICY_SET,
    R_FREED, R_NOT_LRU, R_SHARED, SHARED_POLICY_SET, VMA_SKIPPED, consider, trace, vma_reason,
)
from .vmscan import isolate_lru_page, putback_lru_pages

MPOL_MF_STRICT = 1 << 0
MPOL_MF_MOVE = 1 << 1
MPOL_MF_MOVE_ALL = 1 << 2
MPOL_MF_DISCONTIG_OK = 1 << 3  # internal: holes between vmas are no error
MPOL_MF_INVERT = 1 << 4  # internal: collect what is on the nodes instead of what is not
MOVE_FLAGS = MPOL_MF_MOVE | MPOL_MF_MOVE_ALL
END_OF_MEMORY = 1 << 30  # behind the last virtual page
ALL_PAGES = 1 << 30  # a list has never so many
CHUNK = 257  # new pages that are allocated at a time in 2.6.16 and 2.6.17


def vma_migratable(k, vma):
    """False for vmas whose pages must stay: locked (until 2.6.21), I/O, reserved, executed files, SysV memory."""
    return not vma.vm_flags & VM_NOT_MIGRATABLE & ~(VM_LOCKED if k.change.locked_vmas_move else 0)


def check_vma(k, v, before, start, end, flags):
    """What check_range() says to a vma before it looks at its pages: 0, or -EFAULT for a hole before or behind it.

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
    """check_vma() of every vma from `first` on that begins before `end`: 0, or -EFAULT."""
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
                        skip(k, mm, address, pte.value, vma_reason(vma.vm_flags))
                        trace(k, VMA_SKIPPED, pte.value, 0, vma.vm_flags)
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
    """True if a page is where it should not be; the zero page never is."""
    page = k.mem_map[pfn]
    if page.flags & PG_reserved:
        return False
    inside = nodes >> page.node & 1
    return inside if flags & MPOL_MF_INVERT else not inside


def skip(k, mm, address, pfn, reason):
    """Write down that a page was not collected, and why."""
    c = k.considered[consider(k, mm, address, pfn)]
    c.path = PATH_SKIPPED
    c.reason = reason


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
        shared = page.mapping > 0 and not file_is_ours(k, page.mapping, vma.vm_mm)
    if shared:
        skip(k, vma.vm_mm, address, pfn, R_SHARED)
        trace(k, NOT_COLLECTED, pfn, 0, 0)
        return True
    collect(k, vma.vm_mm, address, pfn, k.mem_map[pages].prev if k.change.migration_entries else pages)
    return page.row != 0


def collect(k, mm, address, pfn, behind):
    """Isolate one page, put it on a list right behind the page or head `behind`, and open its record."""
    isolated = isolate_lru_page(k, pfn)
    row = consider(k, mm, address, pfn)
    c = k.considered[row]
    if isolated == 1:
        list_add(k, pfn, behind)
        k.mem_map[pfn].row = row
    elif isolated == 0:
        c.path = PATH_SKIPPED
        c.reason = R_NOT_LRU
    else:
        c.path = PATH_FREED
        c.reason = R_FREED


def file_is_ours(k, m, mm):
    """True if some vma maps the file shared and writable, or no other mm maps it."""
    v = k.mapping[m].i_mmap
    others = 0
    while v:
        vma = k.vma[v]
        if vma.vm_flags & VM_SHARED and vma.vm_flags & VM_WRITE:
            return True
        if vma.vm_mm != mm:
            others += 1
        v = vma.shared_next
    return others == 0


def free_pages_of(k, head):
    """Give the pages of a list, which nobody has used, back to their zones."""
    while not list_empty(k, head) and not k.sys.bug:
        pfn = k.mem_map[head].next
        list_del(k, pfn)
        put_page(k, pfn)


def migrate_pages_to(k, pages, v, start, dest, most):
    """Allocate one new page for each page of a list, but no more than `most`, then migrate (patch 5).

    By the policy of vma `v`, as for the addresses from `start` on; or, if v is 0, on node `dest`; on its own for -1.
    Returns the number of pages not moved, or -ENOMEM: nothing has moved then; with chunks, those before have.
    """
    if k.change.one_by_one:
        how = THIS_NODE | RECLAIM if k.change.this_node_only and not v else 0
        return migrate_pages(k, pages, 0, v, dest, how)
    new_pages = work_list(k, NEWLIST)
    at = 0
    left = 0
    more = True
    while more:
        n = new_list(k, pages, new_pages, v, start + at, dest, min(most - at, CHUNK) if k.change.chunks else most)
        if n < 0:
            return n
        at += n
        if k.change.migration_entries:
            left = migrate_pages(k, pages, new_pages, v, dest, 0)
        else:
            left = migrate_pages_v1(k, pages, new_pages)
        more = k.change.chunks and at < most and list_empty(k, new_pages) and not list_empty(k, pages) and not k.sys.bug
    free_pages_of(k, new_pages)
    if k.change.chunks:
        left = list_length(k, pages)
    return left


def list_length(k, head):
    """How many pages a list has."""
    n = 0
    pfn = k.mem_map[head].next
    while pfn != head:
        n += 1
        pfn = k.mem_map[pfn].next
    return n


def new_list(k, pages, new_pages, v, start, dest, most):
    """Allocate a new page for each of a list, but no more than `most`: how many, or -ENOMEM and none."""
    n = 0
    pfn = k.mem_map[pages].next
    while pfn != pages and n < most:
        if v:
            new = alloc_page_vma(k, v, start + n)
        else:
            node = dest if dest >= 0 else k.mem_map[pfn].node
            new = alloc_pages(k, GFP_HIGHUSER, node, k.task[k.sys.current].mems_allowed)
        if not new:
            free_pages_of(k, new_pages)
            give_up(k, pages, ENOMEM)
            return -ENOMEM
        list_add_tail(k, new, new_pages)
        row = k.mem_map[pfn].row
        if row:
            k.considered[row].path = PATH_PENDING  # the chunk before may have been too small for it
            if not v:
                k.considered[row].asked = node
        n += 1
        pfn = k.mem_map[pfn].next
    trace(k, NEW_LIST if k.patch[5] else CALLER_LIST, 0, 0, n)
    return n


def migrate_frames(k, pfns, owners, left_out, dest, most):
    """Trigger D: move the page frames `pfns` to node `dest`, as an in-kernel caller with its own lists does.

    `owners`: a task and address that map each frame, for the record; `left_out`: the flags of a vma for which the
    caller passes over a frame, else 0; `most`: how many new pages it allocates at most.  Returns the number of pages
    not moved, or -ENOMEM.
    """
    pages = work_list(k, PAGELIST)
    for i in range(len(pfns)):
        pfn = pfns[i]
        if left_out[i]:
            skip(k, owners[i][0], owners[i][1], pfn, vma_reason(left_out[i]))
        elif not k.mem_map[pfn].row:
            collect(k, owners[i][0], owners[i][1], pfn, k.mem_map[pages].prev)
    left = 0 if list_empty(k, pages) else migrate_pages_to(k, pages, 0, 0, dest, most)
    putback_lru_pages(k, pages)
    return left


def migrate_to_node(k, mm, source, dest, flags):
    """Move what a task has on node `source` to node `dest` (patch 5): pages not moved, or an errno."""
    pages = work_list(k, PAGELIST)
    stuck = check_range(k, mm, 0, END_OF_MEMORY, 1 << source, flags | MPOL_MF_DISCONTIG_OK | MPOL_MF_INVERT, pages)
    left = 0
    if not list_empty(k, pages):
        left = migrate_pages_to(k, pages, 0, 0, dest, ALL_PAGES)
    putback_lru_pages(k, pages)
    return left + stuck if left >= 0 and stuck > 0 and k.change.failures_counted else left


def node_remap(node, source, target):
    """The node of `target` that has the place which `node` has in `source`; modulo the size of `target`."""
    if not source >> node & 1 or not target:
        return node
    place = count_nodes(source & ((1 << node) - 1))
    return nth_node(target, place % count_nodes(target))


def nodes_remap(nodes, source, target):
    """Every node of a set, remapped."""
    result = 0
    for node in range(MAX_NODES):
        if nodes >> node & 1:
            result |= 1 << node_remap(node, source, target)
    return result


def next_pair(left, source, target, stays):
    """The pair of nodes to migrate next: (node, its target), or (-1, -1); `stays`: not from a node of `target`.

    The first one whose target is not itself waiting to be emptied: memory leaves a node before
    more arrives there.  Else the last one that moves at all.
    """
    s = -1
    d = -1
    for node in range(MAX_NODES):  # also those that the machine does not have: they are in nobody's way
        if left >> node & 1 and not (stays and target >> node & 1):
            to = node_remap(node, source, target)
            if to != node:
                s = node
                d = to
                if not left >> to & 1:
                    break
    return s, d


def do_migrate_pages(k, mm, source, target, flags):
    """Move a task's memory from one set of nodes to another: pages not moved, or an errno.

    Without patch 5: swap out what is on a node of `source` and not of `target`.
    """
    task = k.task[mm]
    task.flags |= PF_MMAP_SEM
    if k.patch[5]:
        left = migrate_node_sets(k, mm, source, target, flags)
    else:
        pages = work_list(k, PAGELIST)
        nodes = source & ~target
        check_range(k, mm, 0, END_OF_MEMORY, nodes, flags | MPOL_MF_DISCONTIG_OK | MPOL_MF_INVERT, pages)
        left = 0 if list_empty(k, pages) else migrate_pages_v1(k, pages, 0)
        putback_lru_pages(k, pages)
    if not k.sys.bug:
        task.flags &= ~PF_MMAP_SEM
    return left


def migrate_node_sets(k, mm, source, target, flags):
    """The loop of do_migrate_pages() over pairs of nodes (patch 5): pages not moved, or an errno."""
    waiting = source
    stays = k.change.node_in_both_stays and count_nodes(source) != count_nodes(target)
    busy = 0
    while waiting and not k.sys.bug:
        s, d = next_pair(waiting, source, target, stays)
        if s < 0:
            break
        waiting &= ~(1 << s)
        trace(k, NODE_PAIR, 0, 0, 256 * s + d)
        left = migrate_to_node(k, mm, s, d, flags)
        if left < 0:
            return left
        busy += left
    return busy


def mbind_range(k, mm, start, end, mode, home, nodes, mpol_flags, asked):
    """Split the vmas at the ends of a range and give those inside a policy; that of tmpfs belongs to the object."""
    v = find_vma(k, mm, start)
    changed = 0
    while v and k.vma[v].vm_start < end:
        if k.change.mbind_merges and same_policy(k.vma[v], mode, home, nodes, mpol_flags, asked):
            v = k.vma[v].vm_next
            continue
        if k.vma[v].vm_start < start:
            v = split_vma(k, v, start)
        if k.vma[v].vm_end > end:
            split_vma(k, v, end)
        vma = k.vma[v]
        if k.mapping[vma.mapping].fs == FS_TMPFS:
            size = vma.vm_end - vma.vm_start
            mpol_set_shared_policy(
                k, vma.mapping, vma.vm_pgoff, vma.vm_pgoff + size, mode, home, nodes, mpol_flags, asked
            )
            trace(k, SHARED_POLICY_SET, 0, 0, size)
        vma.mode = mode
        vma.home = home
        vma.nodes = nodes
        vma.mpol_flags = mpol_flags
        vma.asked = asked
        changed += 1
        if k.change.mbind_merges:
            v = vma_merge(k, v)
        v = k.vma[v].vm_next
    trace(k, POLICY_SET, 0, 0, changed)


def do_mbind(k, mm, start, end, mode, home, nodes, mpol_flags, asked, given, flags):
    """mbind(2) after its arguments were checked: 0 or an errno.

    `given`: where the pages may be.  With STRICT alone a misfit is -EIO, and nothing changes.  With MOVE or MOVE_ALL
    the misfits are migrated to where the new policy, which is described by the rest, allocates.
    """
    task = k.task[mm]
    task.flags |= PF_MMAP_SEM
    pages = work_list(k, PAGELIST) if flags & MOVE_FLAGS else 0
    result = check_range(k, mm, start, end, given, flags, pages)
    if result >= 0:
        hole = hole_at_head(k, mm, start)
        if not hole:
            mbind_range(k, mm, start, end, mode, home, nodes, mpol_flags, asked)
        if pages and hole and k.change.hole_moves_nothing:
            putback_lru_pages(k, pages)
        elif pages:
            result += move_misfits(k, mm, start, pages)
        result = -EFAULT if hole else -EIO if flags & MPOL_MF_STRICT and result else 0
    if not k.sys.bug:
        task.flags &= ~PF_MMAP_SEM
    return result


def hole_at_head(k, mm, start):
    """True if the policy cannot be set since nothing is mapped where the range begins."""
    if not k.change.hole_at_head or k.change.hole_at_tail:
        return False
    return k.vma[find_vma(k, mm, start)].vm_start > start


def move_misfits(k, mm, start, pages):
    """Migrate the pages that mbind() has collected to where the policy of the range allocates: 1 if some are left."""
    if list_empty(k, pages):
        return 0
    left = 0
    if k.patch[5]:  # V1 asks only whether pages are left; -ENOMEM is not reported
        left = migrate_pages_to(k, pages, find_vma(k, mm, start), start, -1, ALL_PAGES)
    else:
        migrate_pages_v1(k, pages, 0)
    left = 1 if not list_empty(k, pages) or (left and k.change.one_by_one) else 0
    putback_lru_pages(k, pages)
    return left
