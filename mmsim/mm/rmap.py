"""The reverse map (mm/rmap.c): from a page to the ptes that map it, and back.

An anonymous page names its anon_vma (mapping < 0), a file page its address_space (mapping > 0);
either lists the vmas that may map the page, at `index - vm_pgoff`.
"""

from .structs import (
    BUG_NO_SWAP, BUG_OTHER_VMA, EFAULT, PG_dirty, PG_referenced, PG_swapcache, PTE_DIRTY, PTE_MIGRATION, PTE_PRESENT,
    PTE_RW, PTE_SWAP, PTE_YOUNG, SWAPPER_SPACE, VM_LOCKED, VM_RESERVED, VM_UNMAPPED,
)
from .swap import put_page
from .swap_map import swap_duplicate
from .trace import MIGRATION_ENTRY, SWAP_PTE, UNMAPPED, VMA_LOCKED, VMA_RESERVED, YOUNG, bug, trace

SWAP_SUCCESS, SWAP_AGAIN, SWAP_FAIL = range(3)
TTU_UNMAP, TTU_IGNORE_REFS, TTU_MIGRATION = range(3)  # in its way: locked vmas, young ptes; locked vmas; nothing


def anon_vma_prepare(k, v):
    """Give a vma an anon_vma before its first anonymous page is mapped."""
    if not k.vma[v].anon_vma:
        anon = k.sys.anon_vma_cursor
        while k.anon_vma[anon]:
            anon += 1
        k.sys.anon_vma_cursor = anon
        anon_vma_link(k, v, anon)


def anon_vma_link(k, v, anon):
    """Put a vma on the list of an anon_vma: its pages may be mapped there."""
    vma = k.vma[v]
    vma.anon_vma = anon
    vma.anon_next = k.anon_vma[anon]
    k.anon_vma[anon] = v


def anon_vma_unlink(k, v):
    """Take a vma off the list of its anon_vma; the row of one that nobody is on is free."""
    vma = k.vma[v]
    at = k.anon_vma[vma.anon_vma]
    if at == v:
        k.anon_vma[vma.anon_vma] = vma.anon_next
    else:
        while k.vma[at].anon_next != v:
            at = k.vma[at].anon_next
        k.vma[at].anon_next = vma.anon_next
    if not k.anon_vma[vma.anon_vma]:
        k.sys.anon_vma_cursor = min(k.sys.anon_vma_cursor, vma.anon_vma)


def page_mapping(page):
    """The address_space that a page stands in: swapper space, a file, or 0."""
    if page.flags & PG_swapcache:
        return SWAPPER_SPACE
    return page.mapping if page.mapping > 0 else 0


def first_vma(k, page):
    """The first vma that may map a page; `next_vma` gives the others."""
    if page.mapping < 0:
        return k.anon_vma[-page.mapping]
    return k.mapping[page.mapping].i_mmap


def next_vma(page, vma):
    """The vma after this one on the list of the page's object."""
    return vma.anon_next if page.mapping < 0 else vma.shared_next


def vma_address(page, vma):
    """The address where `vma` would map `page`, or -EFAULT outside it."""
    address = vma.vm_start + page.index - vma.vm_pgoff
    if address < vma.vm_start or address >= vma.vm_end:
        return -EFAULT
    return address


def page_add_anon_rmap(k, pfn, vma, address):
    """A pte of an anonymous vma maps the page now; the reference is the caller's."""
    page = k.mem_map[pfn]
    if page.mapcount == 0:
        page.mapping = -vma.anon_vma
        page.index = vma.vm_pgoff + address - vma.vm_start
    page.mapcount += 1


def page_remove_rmap(k, pfn):
    """A pte has let go of the page."""
    k.mem_map[pfn].mapcount -= 1


def page_referenced(k, pfn):
    """How many ptes used the page lately, its own flag included; all of them are cleared by the question."""
    page = k.mem_map[pfn]
    referenced = 1 if page.flags & PG_referenced else 0
    page.flags &= ~PG_referenced
    v = first_vma(k, page) if page.mapcount else 0
    while v:
        vma = k.vma[v]
        address = vma_address(page, vma)
        if address >= 0:
            pte = k.pte[vma.pte_base + address]
            if pte.flags & PTE_YOUNG and pte.flags & PTE_PRESENT and pte.value == pfn:
                pte.flags &= ~PTE_YOUNG
                referenced += 1
        v = next_vma(page, vma)
    return referenced


def try_to_unmap(k, pfn, how):
    """Take a locked page out of all page tables; `how`: one of the TTU_* above.

    SWAP_SUCCESS: no pte is left.  SWAP_FAIL: a vma is locked or reserved, or a pte was young; the walk ended there, and
    the young bit is gone, so that the next attempt finds it old.  TTU_MIGRATION (2.6.18) leaves migration entries.
    """
    page = k.mem_map[pfn]
    v = first_vma(k, page)
    while v:
        vma = k.vma[v]
        address = vma_address(page, vma)
        if address >= 0:
            pte = k.pte[vma.pte_base + address]
            if pte.flags & PTE_PRESENT and pte.value == pfn:
                if try_to_unmap_one(k, pfn, vma, pte, how) == SWAP_FAIL:
                    return SWAP_FAIL
                if page.mapcount == 0:
                    return SWAP_SUCCESS
        v = next_vma(page, vma)
    return SWAP_AGAIN if page.mapcount else SWAP_SUCCESS


def try_to_unmap_one(k, pfn, vma, pte, how):
    """Take a pte from a page, if nothing is in the way: it becomes a swap pte, a migration entry, or an empty pte."""
    page = k.mem_map[pfn]
    if how != TTU_MIGRATION:
        if vma.vm_flags & (VM_LOCKED | VM_RESERVED):
            trace(k, VMA_LOCKED if vma.vm_flags & VM_LOCKED else VMA_RESERVED, pfn, 0, vma.vm_mm)
            return SWAP_FAIL
        if pte.flags & PTE_YOUNG and how == TTU_UNMAP:
            pte.flags &= ~PTE_YOUNG
            trace(k, YOUNG, pfn, 0, vma.vm_mm)
            return SWAP_FAIL
    k.sys.clock += k.costs.unmap
    if pte.flags & PTE_DIRTY and not page.flags & PG_dirty:
        page.flags |= PG_dirty
    if page.mapping < 0 and page.flags & PG_swapcache:
        swap_duplicate(k, page.private)
        pte.value = page.private
        pte.flags = PTE_SWAP
        trace(k, SWAP_PTE, pfn, 0, page.private)
    elif how == TTU_MIGRATION and (page.mapping < 0 or k.change.file_ptes):
        pte.flags = PTE_MIGRATION | (pte.flags & (PTE_RW | PTE_YOUNG if k.change.young_remembered else PTE_RW))
        trace(k, MIGRATION_ENTRY, pfn, 0, vma.vm_mm)
    else:
        pte.value = 0
        pte.flags = 0
        if page.mapping < 0:
            bug(k, BUG_NO_SWAP, pfn)
            return SWAP_FAIL
        trace(k, UNMAPPED, pfn, 0, vma.vm_mm)
    k.vmstat[VM_UNMAPPED] += 1
    page_remove_rmap(k, pfn)
    put_page(k, pfn)
    return SWAP_AGAIN


def page_address_in_vma(k, pfn, v):
    """The address at which vma `v` maps a page, if it is one of its object's; below 0: nowhere."""
    page = k.mem_map[pfn]
    vma = k.vma[v]
    if page.mapping != (-vma.anon_vma if page.mapping < 0 else vma.mapping) or not page.mapping:
        return -EFAULT
    address = vma_address(page, vma)
    if address < 0 and page.mapping > 0 and not k.change.address_of_the_page:
        bug(k, BUG_OTHER_VMA, pfn)  # the kernel expects only vmas that map the page itself
    return address
