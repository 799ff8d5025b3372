"""Accesses to virtual pages (arch/i386/mm/fault.c), and what of mm/memory.c looks for its vmas itself."""

from .memory import handle_mm_fault
from .mmap import find_vma
from .radix_tree import file_page
from .sched import cond_resched
from .structs import (
    EAGAIN, EFAULT, PF_MMAP_SEM, PG_dirty, PTE_DIRTY, PTE_PRESENT, PTE_RW, PTE_YOUNG, VM_MINOR, VM_SHARED,
    VM_STALE_READS, VM_WRITE,
)


def touch_range(k, mm, start, end, write, faults):
    """A program reads or writes every page of [start, end): 0, -EFAULT or -ENOMEM; `faults[kind - 1]` counts."""
    for address in range(start, end):
        kind = touch(k, mm, address, write)
        if kind < 0:
            return kind
        if kind:
            faults[kind - 1] += 1
        cond_resched(k)
    return 0


def touch(k, mm, address, write):
    """One access: fault until the pte allows it (do_page_fault), then do what the hardware does.  The kind of fault."""
    v = find_vma(k, mm, address)
    if not v or k.vma[v].vm_start > address or (write and not k.vma[v].vm_flags & VM_WRITE):
        return -EFAULT
    kind = fault_in(k, v, address, write)
    if kind >= 0:
        vma = k.vma[v]
        access(k, vma, address, k.pte[vma.pte_base + address], write)
    return kind


def fault_in(k, v, address, write):
    """Fault until the pte allows an access: the kind, or an errno (a part of do_page_fault and get_user_pages)."""
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
        kind = max(kind, result)
    if kind:
        k.sys.clock += k.costs.minor
        k.vmstat[VM_MINOR + kind - 1] += 1
    return kind


def access(k, vma, address, pte, write):
    """What a load or store does to the pte and the contents, with the check that a read sees the last write."""
    node = k.task[vma.vm_mm].node
    page = k.mem_map[pte.value]
    k.sys.clock += k.costs.access * k.distance[node][page.node] // 10
    pte.flags |= PTE_YOUNG
    if page.data != expected_data(k, vma, address, page):
        k.vmstat[VM_STALE_READS] += 1
    if write:
        pte.flags |= PTE_DIRTY
        k.sys.writes += 1
        page.data = k.sys.writes
        if vma.mapping and vma.vm_flags & VM_SHARED:
            k.file_page[file_page(k, vma.mapping, vma.vm_pgoff + address - vma.vm_start)].wrote = page.data
        else:
            k.wrote[vma.pte_base + address] = page.data


def expected_data(k, vma, address, page):
    """What `page` at `address` must hold: one's own the last write there, that of a file what the file was given."""
    if not vma.mapping or page.mapping < 0:
        return k.wrote[vma.pte_base + address]
    return k.file_page[file_page(k, vma.mapping, vma.vm_pgoff + address - vma.vm_start)].wrote


def make_pages_present(k, mm, start, end):
    """mlock: fault [start, end) in, for writing where the vma allows it, without an access: 0, -EFAULT or -ENOMEM."""
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
