"""Locking memory (mm/mlock.c): VM_LOCKED of the vmas of a range."""

from .mmap import find_vma, split_vma, vma_merge
from .structs import VM_LOCKED


def do_mlock(k, mm, start, end, flag):
    """Set VM_LOCKED (or with `flag` 0: clear it) in [start, end), all of which is mapped."""
    v = find_vma(k, mm, start)
    while v and k.vma[v].vm_start < end:
        v = mlock_fixup(k, v, start, end, flag)


def mlock_fixup(k, v, start, end, flag):
    """Set VM_LOCKED of what a vma has in [start, end); a vma that is so already stays whole.  The vma behind it."""
    if k.vma[v].vm_flags & VM_LOCKED == flag:
        return k.vma[v].vm_next
    if k.vma[v].vm_start < start:
        v = split_vma(k, v, start)
    if k.vma[v].vm_end > end:
        split_vma(k, v, end)
    k.vma[v].vm_flags = k.vma[v].vm_flags & ~VM_LOCKED | flag
    return k.vma[vma_merge(k, v)].vm_next
