"""Address spaces (mm/mmap.c): the vmas of a task."""

from .memory import unmap_page_range
from .rmap import anon_vma_link, anon_vma_unlink
from .shmem import shmem_delete_inode
from .structs import VM_CLONED
from .swap import lru_add_drain


def find_vma(k, mm, address):
    """The first vma of a task that ends after `address`, or 0; it may start after it."""
    v = k.task[mm].mmap_cache
    if not v or k.vma[v].vm_start > address:
        v = k.task[mm].mmap
    while v and k.vma[v].vm_end <= address:
        v = k.vma[v].vm_next
    return v


def insert_vm_struct(k, v):
    """Link a vma into its mm, in the order of addresses, and into the lists of its object."""
    vma = k.vma[v]
    task = k.task[vma.vm_mm]
    before = task.mmap_cache
    if not before or k.vma[before].vm_start > vma.vm_start:
        before = 0
    after = k.vma[before].vm_next if before else task.mmap
    while after and k.vma[after].vm_start < vma.vm_start:
        before = after
        after = k.vma[after].vm_next
    vma.vm_next = after
    if before:
        k.vma[before].vm_next = v
    else:
        task.mmap = v
    task.mmap_cache = v
    if vma.mapping:
        first = k.mapping[vma.mapping].i_mmap
        if first:  # vma_prio_tree_add(): who mapped the file first stays the first that a walk meets
            vma.shared_next = k.vma[first].shared_next
            k.vma[first].shared_next = v
        else:
            vma.shared_next = 0
            k.mapping[vma.mapping].i_mmap = v
    if vma.anon_vma:
        anon_vma_link(k, v, vma.anon_vma)


def remove_vma(k, v):
    """Unlink a vma from its mm and from the lists of its object; the row is free then."""
    vma = k.vma[v]
    task = k.task[vma.vm_mm]
    task.mmap_cache = 0
    at = task.mmap
    if at == v:
        task.mmap = vma.vm_next
    else:
        while k.vma[at].vm_next != v:
            at = k.vma[at].vm_next
        k.vma[at].vm_next = vma.vm_next
    if vma.mapping:
        at = k.mapping[vma.mapping].i_mmap
        if at == v:
            k.mapping[vma.mapping].i_mmap = vma.shared_next
        else:
            while k.vma[at].shared_next != v:
                at = k.vma[at].shared_next
            k.vma[at].shared_next = vma.shared_next
        if k.mapping[vma.mapping].nameless and not k.mapping[vma.mapping].i_mmap:
            shmem_delete_inode(k, vma.mapping)
    if vma.anon_vma:
        anon_vma_unlink(k, v)
    vma.vm_mm = 0
    k.sys.vma_cursor = min(k.sys.vma_cursor, v)


def new_vma(k):
    """The first free row of k.vma, as from vm_area_cachep; the machine keeps enough of them."""
    v = k.sys.vma_cursor
    while k.vma[v].vm_mm:
        v += 1
    k.sys.vma_cursor = v
    return v


def vma_copy(k, v):
    """A free row with the contents of vma `v`, linked nowhere yet (copy_vma() of the kernel is mremap's)."""
    target = new_vma(k)
    k.vma[target] = k.vma[v]
    return target


def split_vma(k, v, address):
    """Cut a vma in two at `address`; both keep their ptes, object and policy.  The second one's row."""
    second = vma_copy(k, v)
    new = k.vma[second]
    new.vm_pgoff += address - new.vm_start
    new.vm_start = address
    k.vma[v].vm_end = address
    insert_vm_struct(k, second)
    return second


def same_policy(vma, mode, home, nodes, mpol_flags, asked):
    """mpol_equal(): whether a vma has this policy."""
    return (vma.mode == mode and vma.home == home and vma.nodes == nodes and vma.mpol_flags == mpol_flags
            and vma.asked == asked)  # fmt: skip


def vma_merge(k, v):
    """Make a vma that was changed one with its neighbours, where nothing tells them apart now: what it has become."""
    after = k.vma[v].vm_next
    before = find_vma(k, k.vma[v].vm_mm, max(k.vma[v].vm_start - 1, 0))
    joins_before = before != v and alike(k, before, v) and anon_vma_fits(k, v, before)
    joins_after = after and alike(k, v, after) and anon_vma_fits(k, v, after)
    if joins_before:
        one = k.vma[before].anon_vma
        other = k.vma[after].anon_vma
        joins_after = joins_after and (one == other or not one or not other)
        join(k, before, v)
        v = before
    if joins_after:
        join(k, v, after)
    return v


def alike(k, v, other):
    """Whether a vma and the one behind it are neighbours with the same flags, object and policy."""
    vma = k.vma[v]
    after = k.vma[other]
    # They must have been one: those of two mmap() calls keep ptes of their own here, and stay two.
    same = vma.vm_end == after.vm_start and vma.pte_base == after.pte_base and vma.mapping == after.mapping
    same = same and vma.vm_flags & ~VM_CLONED == after.vm_flags & ~VM_CLONED
    return same and same_policy(vma, after.mode, after.home, after.nodes, after.mpol_flags, after.asked)


def anon_vma_fits(k, v, neighbour):
    """is_mergeable_anon_vma(): whether a neighbour may take a vma in, as far as their anon_vmas are concerned."""
    one = k.vma[v].anon_vma
    other = k.vma[neighbour].anon_vma
    if one == other:
        return True
    if not k.change.clones_stay:
        return not one or not other
    return not one and not k.vma[neighbour].vm_flags & VM_CLONED


def join(k, v, other):
    """Let a vma take in the one behind it."""
    vma = k.vma[v]
    end = k.vma[other].vm_end
    if k.vma[other].anon_vma and not vma.anon_vma:
        anon_vma_link(k, v, k.vma[other].anon_vma)
    vma.vm_flags |= k.vma[other].vm_flags & VM_CLONED
    remove_vma(k, other)
    vma.vm_end = end


def do_munmap(k, mm, start, end):
    """Unmap [start, end): the pages lose their ptes, the swap entries a user, the vmas go."""
    lru_add_drain(k)  # a pagevec's reference would keep a page in the swap cache
    v = find_vma(k, mm, start)
    if v and k.vma[v].vm_start < start:
        v = split_vma(k, v, start)
    last = find_vma(k, mm, end)
    if last and k.vma[last].vm_start < end:
        split_vma(k, last, end)
    while v and k.vma[v].vm_start < end:
        following = k.vma[v].vm_next
        unmap_page_range(k, v)
        remove_vma(k, v)
        v = following
