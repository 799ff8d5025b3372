"""The triggers of migration (mm/mempolicy.c, the half that moves): mbind, migrate_pages, node by node."""

from .check_range import check_range, collect_for_caller
from .mempolicy import (
    MOVE_FLAGS, MPOL_MF_DISCONTIG_OK, MPOL_MF_INVERT, MPOL_MF_STRICT, alloc_page_vma, mpol_set_shared_policy,
)
from .migrate import RECLAIM, THIS_NODE, migrate_pages
from .migrate_v1 import migrate_pages as migrate_pages_v1
from .mmap import find_vma, same_policy, split_vma, vma_merge
from .mmzone import list_add_tail, list_del, list_empty, work_list
from .nodemask import node_remap, nodes_weight
from .page_alloc import alloc_pages
from .structs import EFAULT, EIO, ENOMEM, FS_TMPFS, GFP_HIGHUSER, MAX_NODES, NEWLIST, PAGELIST, PF_MMAP_SEM
from .swap import put_page
from .trace import CALLER_LIST, NEW_LIST, NODE_PAIR, NO_NEW_PAGES, POLICY_SET, SHARED_POLICY_SET, trace, trace_list
from .vmscan import putback_lru_pages

END_OF_MEMORY = 1 << 30  # behind the last virtual page
ALL_PAGES = 1 << 30  # a list has never so many
CHUNK = 257  # new pages that are allocated at a time in 2.6.16 and 2.6.17


def free_pages_of(k, head):
    """Give the pages of a list, which nobody has used, back to their zones (a part of migrate_pages_to)."""
    while not list_empty(k, head):
        pfn = k.mem_map[head].next
        list_del(k, pfn)
        put_page(k, pfn)


def migrate_pages_to(k, pages, v, start, dest, most):
    """Allocate one new page for each page of a list, but no more than `most`, then migrate (patch 5).

    By the policy of vma `v`, as for the addresses from `start` on; or, if v is 0, on node `dest`; on its own for -1.
    Returns the number of pages not moved, or an errno.  -ENOMEM: nothing has moved; with chunks, those before have.
    """
    if k.change.one_by_one:
        how = THIS_NODE | RECLAIM if k.change.this_node_only and not v else 0
        return migrate_pages(k, pages, 0, v, how)
    new_pages = work_list(k, NEWLIST)
    at = 0
    while True:
        n = new_list(k, pages, new_pages, v, start + at, dest, min(most - at, CHUNK) if k.change.chunks else most)
        if n < 0:
            return n
        at += n
        if k.change.migration_entries:
            left = migrate_pages(k, pages, new_pages, v, 0)
        else:
            left = migrate_pages_v1(k, pages, new_pages)
        if left < 0:
            return left
        if not k.change.chunks or at >= most or not list_empty(k, new_pages) or list_empty(k, pages):
            break
    free_pages_of(k, new_pages)
    return list_length(k, pages) if k.change.chunks else left


def list_length(k, head):
    """How many pages a list has (a part of migrate_pages_to)."""
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
    allowed = k.task[k.sys.current].mems_allowed
    while pfn != pages and n < most:
        if v:
            new = alloc_page_vma(k, v, start + n)
        else:
            new = alloc_pages(k, GFP_HIGHUSER, dest if dest >= 0 else k.mem_map[pfn].node, allowed)
        if not new:
            free_pages_of(k, new_pages)
            trace_list(k, NO_NEW_PAGES, k.mem_map[pages].next, pages, ENOMEM)
            return -ENOMEM
        list_add_tail(k, new, new_pages)
        n += 1
        pfn = k.mem_map[pfn].next
    trace(k, NEW_LIST if k.patch[5] else CALLER_LIST, 0, 0, n)
    return n


def migrate_frames(k, pfns, owners, left_out, dest, most):
    """Trigger D: move page frames to node `dest`, as an in-kernel caller does: pages not moved, or -ENOMEM.

    `owners`: a task and address that map each frame, for the record; `left_out`: the flags of a vma for which the
    caller passes over a frame, else 0; `most`: how many new pages it allocates at most.
    """
    pages = work_list(k, PAGELIST)
    for i in range(len(pfns)):
        collect_for_caller(k, owners[i][0], owners[i][1], pfns[i], left_out[i], pages, dest)
    left = 0 if list_empty(k, pages) else migrate_pages_to(k, pages, 0, 0, dest, most)
    putback_lru_pages(k, pages)
    return left


def move_or_evict(k, pages, v, start, dest):
    """Migrate all pages of a list as migrate_pages_to() does; without patch 5 there are no new ones: swap them out."""
    if k.patch[5]:
        return migrate_pages_to(k, pages, v, start, dest, ALL_PAGES)
    return migrate_pages_v1(k, pages, 0)


def migrate_to_node(k, mm, sources, dest, flags):
    """Move what a task has on some nodes to node `dest`: pages not moved, or an errno."""
    pages = work_list(k, PAGELIST)
    stuck = check_range(k, mm, 0, END_OF_MEMORY, sources, flags | MPOL_MF_DISCONTIG_OK | MPOL_MF_INVERT, pages, dest)
    left = 0 if list_empty(k, pages) else move_or_evict(k, pages, 0, 0, dest)
    putback_lru_pages(k, pages)
    return left + stuck if left >= 0 and stuck > 0 and k.change.failures_counted else left


def next_pair(left, source, target, stays):
    """The pair of nodes to migrate next: (node, its target), or (-1, -1) (a part of do_migrate_pages).

    The first one whose target is not itself waiting to be emptied: memory leaves a node before more arrives there.
    Else the last one that moves at all.  `stays`: not from a node of `target`.
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
    """Move a task's memory from one set of nodes to another, pair by pair (patch 5): pages not moved, or an errno."""
    k.task[mm].flags |= PF_MMAP_SEM
    waiting = source
    stays = k.change.node_in_both_stays and nodes_weight(source) != nodes_weight(target)
    busy = 0
    if not k.patch[5]:
        busy = migrate_to_node(k, mm, source & ~target, -1, flags)
        waiting = 0
    while waiting and busy >= 0:
        s, d = next_pair(waiting, source, target, stays)
        if s < 0:
            break
        waiting &= ~(1 << s)
        trace(k, NODE_PAIR, 0, 0, 256 * s + d)
        left = migrate_to_node(k, mm, 1 << s, d, flags)
        busy = busy + left if left >= 0 else left
    k.task[mm].flags &= ~PF_MMAP_SEM
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
            mpol_set_shared_policy(k, vma.mapping, vma.vm_pgoff, size, mode, home, nodes, mpol_flags, asked)
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
    stuck = check_range(k, mm, start, end, given, flags, pages, -1)
    hole = False  # where the range begins
    if k.change.hole_at_head and not k.change.hole_at_tail:
        hole = k.vma[find_vma(k, mm, start)].vm_start > start
    if stuck >= 0 and not hole:
        mbind_range(k, mm, start, end, mode, home, nodes, mpol_flags, asked)
    if stuck >= 0 and pages:
        if hole and k.change.hole_moves_nothing:
            putback_lru_pages(k, pages)
        else:
            stuck += move_misfits(k, mm, start, pages)
    task.flags &= ~PF_MMAP_SEM
    if stuck < 0:
        return stuck
    if hole:
        return -EFAULT
    return -EIO if stuck and flags & MPOL_MF_STRICT else 0


def move_misfits(k, mm, start, pages):
    """Migrate what mbind() has collected as the policy of the range says: 1 if some are left (a part of do_mbind)."""
    if list_empty(k, pages):
        return 0
    left = move_or_evict(k, pages, find_vma(k, mm, start), start, -1)
    # V1 asks only whether pages are left; -ENOMEM is not reported
    left = 1 if not list_empty(k, pages) or (left and k.change.one_by_one) else 0
    putback_lru_pages(k, pages)
    return left
