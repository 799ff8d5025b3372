"""fork (kernel/fork.c)."""

from .memory import copy_page_range
from .mmap import vma_copy, insert_vm_struct
from .structs import VM_CLONED, VM_LOCKED
from .trace import FORKED, trace


def dup_mmap(k, parent, child, pte_base):
    """Copy all vmas of a task to its child, whose ptes begin at row `pte_base`."""
    k.task[child].mmap = k.task[child].mmap_cache = 0
    v = k.task[parent].mmap
    while v:
        vma = k.vma[v]
        new = vma_copy(k, v)
        copy = k.vma[new]
        copy.vm_mm = child
        copy.vm_flags &= ~VM_LOCKED
        if copy.anon_vma:
            copy.vm_flags |= VM_CLONED
        copy.pte_base = pte_base - vma.vm_start
        pte_base += vma.vm_end - vma.vm_start
        insert_vm_struct(k, new)
        copy_page_range(k, vma, copy)
        v = vma.vm_next
    trace(k, FORKED, 0, 0, child)
