"""The actors of a race: generators that call the functions of mmsim.mm, and yield before each step."""

from typing import NamedTuple

from ..mm import buffer, memory, migrate, mmzone, page_alloc, rmap, shmem, structs, swapoff
from ..mm.filemap import find_get_page
from ..mm.mempolicy import collect
from ..mm.page_io import swap_readpage
from ..mm.swap_state import add_to_swap, begin_read_swap_cache, lookup_swap_cache
from ..mm.trace import trylock_page, unlock_page
from ..mm.vmscan import isolate_lru_page, move_to_lru, putback_lru_pages


class Point(NamedTuple):
    """A place where an actor may be interrupted: what it does next, and the page flag that it must wait for."""

    what: str
    page: int = 0
    flag: int = 0
    harm: str = ""  # what the step before this point did that must not be


class Fault(NamedTuple):
    """A task touches one page of its first mapping, and faults until the access succeeds."""

    task: str
    page: int = 0
    write: bool = False
    name: str = ""

    def steps(self, kernel):
        """do_swap_page(), shmem_getpage() and the rest of the fault path, step by step."""
        k, (pid, address) = kernel.k, locate(kernel, self)
        v = memory.find_vma(k, pid, address)
        vma = k.vma[v]
        pte = k.pte[vma.pte_base + address]
        harm = ""
        while not allows(pte, self.write):
            if pte.flags & structs.PTE_SWAP:
                harm = (yield from swap_fault(k, v, address, self.write)) or harm
            elif vma.mapping and not pte.flags & structs.PTE_PRESENT:
                harm = (yield from shmem_fault(k, v, address, self.write)) or harm
            else:
                yield Point("handle_mm_fault()", harm=harm)
                if not pte.flags & structs.PTE_SWAP:  # it may have become one since we were interrupted
                    memory.handle_mm_fault(k, v, address, self.write)
        memory.access(k, vma, address, pte, self.write)
        return harm


def allows(pte, write):
    """True if the pte lets the access through."""
    return pte.flags & structs.PTE_PRESENT and (not write or pte.flags & structs.PTE_RW)


def swap_fault(k, v, address, write):
    """One attempt of do_swap_page(); what it did that must not be, or ''."""
    entry = k.pte[k.vma[v].pte_base + address].value
    yield Point(f"do_swap_page(): look entry {entry} up in the swap cache")
    pfn = lookup_swap_cache(k, entry)
    if pfn:
        yield from lock(k, pfn, "do_swap_page()")
    else:
        pfn = yield from read_entry(k, v, address, entry, "do_swap_page()")
        if not pfn:
            return ""
    stale = not k.mem_map[pfn].flags & structs.PG_swapcache
    result = memory.do_swap_page_locked(k, v, address, write, pfn, entry)
    if result == 0 and stale:
        return f"do_swap_page() maps the stale page {pfn}: two frames hold the one page, its migration is undone"
    return ""


def read_entry(k, v, address, entry, who):
    """Allocate a page and read an entry into it; the locked page, or 0 if somebody else was faster."""
    pfn = page_alloc.alloc_page_vma(k, v, address)
    trylock_page(k, pfn)
    yield Point(f"{who}: page {pfn} is allocated, put it into the swap cache")
    if begin_read_swap_cache(k, pfn, entry, structs.GFP_KERNEL) != 1:
        return 0
    yield Point(f"{who}: sleep until entry {entry} is read into page {pfn}")
    swap_readpage(k, pfn)
    return pfn


def lock(k, pfn, who):
    """lock_page(), with the sleep that it may take."""
    yield Point(f"{who}: lock page {pfn}", pfn, structs.PG_locked)
    trylock_page(k, pfn)


def shmem_fault(k, v, address, write):
    """One attempt of shmem_getpage(), and the mapping of what it gave; what it did that must not be, or ''."""
    vma = k.vma[v]
    m, index = vma.mapping, vma.vm_pgoff + address - vma.vm_start
    entry = k.file_page[k.mapping[m].base + index].entry
    harm = ""
    if entry:
        yield Point(f"shmem_getpage(): look entry {entry} up in the swap cache")
        pfn = lookup_swap_cache(k, entry)
        if pfn:
            yield from lock(k, pfn, "shmem_getpage()")
        else:
            pfn = yield from read_entry(k, v, address, entry, "shmem_getpage()")
            if not pfn:
                return ""
        stale = not k.mem_map[pfn].flags & structs.PG_swapcache
        if shmem.shmem_take_back(k, m, index, pfn, entry):
            return ""
        if stale:
            harm = f"shmem_getpage() takes the stale page {pfn} into the page cache; the new page is an orphan"
        memory.put_page(k, pfn)
        if find_get_page(k, m, index) != pfn:
            return harm
        memory.put_page(k, pfn)
    else:
        yield Point("shmem_getpage(): look into the page cache")
    memory.handle_mm_fault(k, v, address, write)
    return harm


class Migrate(NamedTuple):
    """An in-kernel caller moves the page behind one virtual page of a task, mapped or in the swap cache."""

    task: str
    page: int = 0
    to: int = 1
    name: str = "migration"

    def steps(self, kernel):
        """migrate_pages() on a list of one page, step by step."""
        k, (pid, address) = kernel.k, locate(kernel, self)
        pfn = page_behind(k, pid, address)
        yield Point("isolate_lru_page() and allocation of the new page")
        pages, new_pages = mmzone.work_list(k, structs.PAGELIST), mmzone.work_list(k, structs.NEWLIST)
        moved = mmzone.work_list(k, structs.MOVED)
        collect(k, pid, address, pfn, pages)
        if mmzone.list_empty(k, pages):
            return ""
        new = page_alloc.alloc_pages(k, structs.GFP_HIGHUSER, self.to, page_alloc.ANY_NODE)
        mmzone.list_add_tail(k, new, new_pages)
        for pass_ in range(migrate.PASSES):
            k.sys.migration_pass = pass_
            if (yield from move_one(k, pfn, new, moved, pass_)) != -structs.EAGAIN:
                break
        else:
            mmzone.list_del(k, new)
            memory.put_page(k, new)
        k.sys.migration_pass = -1
        yield Point("give the old frame back")
        putback_lru_pages(k, moved)
        putback_lru_pages(k, pages)
        return ""


def move_one(k, pfn, new, moved, pass_):
    """unmap_and_move() of one page into the new page `new`: 0 or -EAGAIN."""
    page = k.mem_map[pfn]
    if pass_ < migrate.PASS_LOCK:
        yield Point(f"pass {pass_}: try to lock page {pfn}")
    else:
        yield Point(f"pass {pass_}: lock page {pfn}", pfn, structs.PG_locked)
    if not trylock_page(k, pfn):
        return -structs.EAGAIN
    if page.flags & structs.PG_writeback:
        yield Point(f"wait until page {pfn} is written")
        migrate.wait_on_page(k, pfn, structs.PG_writeback)
    if not migrate.prepare_anonymous(k, pfn):
        unlock_page(k, pfn)
        return -structs.EAGAIN
    trylock_page(k, new)
    yield Point(f"migrate_page_remove_references(): test the references of page {pfn}")
    if migrate.unexpected_references(k, pfn, 2):
        unlock_page(k, new)
        unlock_page(k, pfn)
        return -structs.EAGAIN
    yield Point(f"migrate_page_remove_references(): page {new} takes the slot of page {pfn}, unmap page {pfn}")
    if migrate.replace_page(k, new, pfn):
        unlock_page(k, new)
        unlock_page(k, pfn)
        return -structs.EAGAIN
    yield Point(f"migrate_page_copy() to page {new}, unlock page {pfn}")
    migrate.migrate_page_copy(k, new, pfn)
    migrate.release_old_page(k, new, pfn, moved)
    yield Point(f"remove_from_swap() on page {new}, unlock it" if k.patch[4] else f"unlock page {new}")
    migrate.release_new_page(k, new, pfn)
    return 0


class Swapoff(NamedTuple):
    """The swap device is taken away."""

    name: str = "swapoff"

    def steps(self, kernel):
        """try_to_unuse() of every entry in use, step by step."""
        k = kernel.k
        k.sys.swap_on = 0
        harm = ""
        for entry in range(1, k.sys.swap_slots + 1):
            while k.swap_map[entry]:
                yield Point(f"try_to_unuse(): look entry {entry} up in the swap cache")
                pfn = lookup_swap_cache(k, entry)
                if pfn:
                    yield from lock(k, pfn, "try_to_unuse()")
                else:
                    pfn = yield from read_entry(k, 0, 0, entry, "try_to_unuse()")
                    if not pfn:
                        continue
                stale = not k.mem_map[pfn].flags & structs.PG_swapcache
                before = k.swap_map[entry]
                if swapoff.unuse_locked(k, pfn, entry) == 0 and stale and k.swap_map[entry] < before:
                    harm = f"try_to_unuse() puts the stale page {pfn} to use for entry {entry}"
        return harm


class WriteAndUnmap(NamedTuple):
    """Another thread of a task writes the page, and memory pressure then takes it into the swap cache again."""

    task: str
    page: int = 0
    name: str = "writer"

    def steps(self, kernel):
        """A write fault, then the first half of reclaim."""
        harm = yield from Fault(self.task, self.page, True).steps(kernel)
        pid, address = locate(kernel, self)
        pfn = page_behind(kernel.k, pid, address)
        yield Point(f"shrink_list(): unmap page {pfn} into the swap cache", pfn, structs.PG_locked, harm)
        if page_behind(kernel.k, pid, address) == pfn:
            unmap_into_swap_cache(kernel.k, pfn)
        return harm


class Pin(NamedTuple):
    """A device writes into a page of a task: get_user_pages(), DMA, put_page()."""

    task: str
    page: int = 0
    name: str = "device"

    def steps(self, kernel):
        """A reference is all that holds the page meanwhile; patch 2 knows nothing of it."""
        k, (pid, address) = kernel.k, locate(kernel, self)
        vma = k.vma[memory.find_vma(k, pid, address)]
        pte, harm = k.pte[vma.pte_base + address], ""
        yield Point("get_user_pages(): find the page in the page table, take a reference")
        while not pte.flags & structs.PTE_PRESENT:
            harm = (yield from Fault(self.task, self.page).steps(kernel)) or harm
        pfn = pte.value
        memory.get_page(k, pfn)
        yield Point(f"the device writes into page {pfn}")
        k.sys.writes += 1
        k.mem_map[pfn].data = pte.wrote = k.sys.writes
        yield Point("put_page(): drop the reference")
        memory.put_page(k, pfn)
        return harm


# -- helpers of the actors, and for building a machine to race on


def locate(kernel, actor):
    """(pid, virtual page) that an actor names: page `actor.page` of the first mapping of task `actor.task`."""
    task = next(t for t in kernel.tasks if t.name == actor.task)
    return task.pid, int(task._vmas()["vm_start"][0]) + actor.page


def page_behind(k, pid, address):
    """The frame of a virtual page: mapped, in the swap cache, or in the page cache; 0 for none."""
    vma = k.vma[memory.find_vma(k, pid, address)]
    pte = k.pte[vma.pte_base + address]
    if pte.flags & structs.PTE_PRESENT:
        return pte.value
    entry = pte.value
    if vma.mapping and not pte.flags & structs.PTE_SWAP:
        note = k.file_page[k.mapping[vma.mapping].base + vma.vm_pgoff + address - vma.vm_start]
        entry = note.entry
        if note.pfn:
            return note.pfn
    return k.swap_cache[entry]


def unmap_into_swap_cache(k, pfn):
    """The first half of reclaim, for a page nobody locks: into the swap cache, out of all page tables."""
    if isolate_lru_page(k, pfn) != 1:
        return
    trylock_page(k, pfn)
    page = k.mem_map[pfn]
    if page.mapping < 0:
        if page.flags & structs.PG_swapcache or add_to_swap(k, pfn, structs.GFP_KERNEL):
            while rmap.try_to_unmap(k, pfn) == rmap.SWAP_FAIL:
                pass
        unlock_page(k, pfn)
    else:
        page.flags |= structs.PG_dirty
        while buffer.writepage(k, pfn, page.mapping) == buffer.PAGE_KEEP:
            pass
    move_to_lru(k, pfn)


def swap_out_half(kernel, task, page=0):
    """Leave page `page` of a task's first mapping in the swap cache, with swap ptes or a note, as reclaim does."""
    start = int(task._vmas()["vm_start"][0])
    kernel.call(unmap_into_swap_cache, page_behind(kernel.k, task.pid, start + page))
