"""The actors of a race: generators that call the functions of mmsim.mm, and yield before each step."""

from dataclasses import dataclass
from typing import NamedTuple

from ..mm import (
    aops, fault, filemap, memory, mempolicy, migrate_page, migrate_v1, mmap, mmzone, page_alloc, rmap, shmem, structs,
    swap, swapfile,
)
from ..mm.filemap import find_get_page, trylock_page, unlock_page
from ..mm.mbind import collect
from ..mm.page_io import swap_readpage
from ..mm.swap_state import add_to_swap, begin_read_swap_cache, lookup_swap_cache
from ..mm.vmscan import isolate_lru_page, move_to_lru, putback_lru_pages


class Point(NamedTuple):
    """A place where an actor may be interrupted: what it does next, and the page whose lock it must wait for."""

    what: str
    page: int = 0
    harm: str = ""  # what the step before this point did that must not be


@dataclass(frozen=True)
class Actor:
    """Somebody who deals with page `page` of the first mapping of a task; `task`: its label, mostly its name."""

    task: str
    page: int = 0
    name: str = ""
    in_kernel = False

    def locate(self, kernel):
        """(pid, virtual page) of that page."""
        tasks = {task.label: task for task in kernel.tasks}
        if self.task not in tasks:
            raise ValueError(f"task is {self.task!r}; the tasks of this machine are {', '.join(tasks) or 'none'}")
        task = tasks[self.task]
        return task.pid, int(task._vmas()["vm_start"][0]) + self.page


@dataclass(frozen=True)
class Fault(Actor):
    """A task touches its page, and faults until the access succeeds."""

    write: bool = False

    def steps(self, kernel):
        """do_swap_page(), shmem_getpage() and the rest of the fault path, step by step."""
        k, (pid, address) = kernel.k, self.locate(kernel)
        v, pte = walk(k, pid, address)
        wanted, harm = structs.PTE_PRESENT | structs.PTE_RW * self.write, ""
        while pte.flags & wanted != wanted:
            if pte.flags & structs.PTE_SWAP:
                harm = (yield from swap_fault(k, v, address, self.write)) or harm
            elif k.vma[v].mapping and not pte.flags & structs.PTE_PRESENT:
                harm = (yield from shmem_fault(k, v, address, self.write)) or harm
            else:
                yield Point("handle_mm_fault()", harm=harm)
                if not pte.flags & structs.PTE_SWAP:  # it may have become one since we were interrupted
                    memory.handle_mm_fault(k, v, address, self.write)
        fault.access(k, k.vma[v], address, pte, self.write)
        return harm


def swap_fault(k, v, address, write):
    """One attempt of do_swap_page(); what it did that must not be, or ''."""
    entry = k.pte[k.vma[v].pte_base + address].value
    pfn, stale = yield from swapped_page(k, v, address, entry, "do_swap_page()")
    if pfn and memory.do_swap_page_locked(k, v, address, write, pfn, entry) == 0 and stale:
        return f"do_swap_page() maps the stale page {pfn}: two frames hold the one page, its migration is undone"
    return ""


def swapped_page(k, v, address, entry, who):
    """Look an entry up in the swap cache, or read it, and sleep for the lock: (page, True if it has left the cache).

    (0, False) if somebody else was faster with the reading.
    """
    yield Point(f"{who}: look entry {entry} up in the swap cache")
    pfn = lookup_swap_cache(k, entry)
    if pfn:
        yield Point(f"{who}: lock page {pfn}", pfn)
        trylock_page(k, pfn)
        return pfn, not k.mem_map[pfn].flags & structs.PG_swapcache
    pfn = mempolicy.alloc_page_vma(k, v, address)
    trylock_page(k, pfn)
    yield Point(f"{who}: page {pfn} is allocated, put it into the swap cache")
    if begin_read_swap_cache(k, pfn, entry, structs.GFP_KERNEL) != 1:
        return 0, False
    yield Point(f"{who}: sleep until entry {entry} is read into page {pfn}")
    swap_readpage(k, pfn)
    return pfn, False


def shmem_fault(k, v, address, write):
    """One attempt of shmem_getpage(), and the mapping of what it gave; what it did that must not be, or ''."""
    vma, harm = k.vma[v], ""
    m, index = vma.mapping, vma.vm_pgoff + address - vma.vm_start
    entry = k.file_page[k.mapping[m].base + index].entry
    if entry:
        pfn, stale = yield from swapped_page(k, v, address, entry, "shmem_getpage()")
        if not pfn or shmem.shmem_take_back(k, m, index, pfn, entry):
            return ""
        if stale:
            harm = f"shmem_getpage() takes the stale page {pfn} into the page cache; the new page is an orphan"
        swap.put_page(k, pfn)
        if find_get_page(k, m, index) != pfn:
            return harm
        swap.put_page(k, pfn)
    else:
        yield Point("shmem_getpage(): look into the page cache")
    memory.handle_mm_fault(k, v, address, write)
    return harm


@dataclass(frozen=True)
class Migrate(Actor):
    """An in-kernel caller moves the page, mapped or in the swap cache, to another node."""

    name: str = "migration"
    to: int = 1
    in_kernel = True

    def steps(self, kernel):
        """migrate_pages() on a list of one page, step by step."""
        k, (pid, address) = kernel.k, self.locate(kernel)
        pfn = page_behind(k, pid, address)
        yield Point("isolate_lru_page() and allocation of the new page")
        pages, new_pages, moved = (
            mmzone.work_list(k, which) for which in (structs.PAGELIST, structs.NEWLIST, structs.MOVED)
        )
        collect(k, pid, address, pfn, pages)
        if mmzone.list_empty(k, pages):
            return ""
        new = page_alloc.alloc_pages(k, structs.GFP_HIGHUSER, self.to, page_alloc.ANY_NODE)
        mmzone.list_add_tail(k, new, new_pages)
        for pass_ in range(migrate_v1.PASSES):
            k.sys.migration_pass = pass_
            if (yield from move_one(k, pfn, new, moved, pass_)) != -structs.EAGAIN:
                break
        else:
            mmzone.list_del(k, new)
            swap.put_page(k, new)
        k.sys.migration_pass = -1
        yield Point("give the old frame back")
        putback_lru_pages(k, moved)
        putback_lru_pages(k, pages)
        return ""


def move_one(k, pfn, new, moved, pass_):
    """migrate_one_page() of one page into the new page `new`: 0 or -EAGAIN."""
    page = k.mem_map[pfn]
    sleeps = pass_ >= migrate_v1.PASS_LOCK
    yield Point(f"pass {pass_}: {'' if sleeps else 'try to '}lock page {pfn}", pfn * sleeps)
    if not trylock_page(k, pfn):
        return -structs.EAGAIN
    if page.flags & structs.PG_writeback:
        yield Point(f"wait until page {pfn} is written")
        filemap.wait_on_page_bit(k, pfn, structs.PG_writeback)
    if not migrate_v1.prepare_anonymous(k, pfn):
        unlock_page(k, pfn)
        return -structs.EAGAIN
    trylock_page(k, new)
    yield Point(f"migrate_page_remove_references(): test the references of page {pfn}")
    if migrate_page.unexpected_references(k, pfn, 2):
        unlock_page(k, new)
        unlock_page(k, pfn)
        return -structs.EAGAIN
    yield Point(f"migrate_page_remove_references(): page {new} takes the slot of page {pfn}, unmap page {pfn}")
    if migrate_page.replace_page(k, new, pfn):
        unlock_page(k, new)
        unlock_page(k, pfn)
        return -structs.EAGAIN
    yield Point(f"migrate_page_copy() to page {new}, unlock page {pfn}")
    migrate_page.migrate_page_copy(k, new, pfn)
    migrate_v1.release_old_page(k, new, pfn, moved)
    yield Point(f"remove_from_swap() on page {new}, unlock it" if k.patch[4] else f"unlock page {new}")
    migrate_v1.release_new_page(k, new, pfn)
    return 0


class Swapoff(NamedTuple):
    """The swap device is taken away."""

    name: str = "swapoff"

    def steps(self, kernel):
        """try_to_unuse() of every entry in use, step by step."""
        k, harm = kernel.k, ""
        k.sys.swap_on = 0
        for entry in range(1, k.sys.swap_slots + 1):
            while k.swap_map[entry]:
                pfn, stale = yield from swapped_page(k, 0, 0, entry, "try_to_unuse()")
                before = k.swap_map[entry]
                if pfn and swapfile.unuse_locked(k, pfn, entry) == 0 and stale and k.swap_map[entry] < before:
                    harm = f"try_to_unuse() puts the stale page {pfn} to use for entry {entry}"
        return harm


@dataclass(frozen=True)
class WriteAndUnmap(Actor):
    """Another thread of a task writes the page, and memory pressure then takes it into the swap cache again."""

    name: str = "writer"

    def steps(self, kernel):
        """A write fault, then the first half of reclaim."""
        harm = yield from Fault(self.task, self.page, write=True).steps(kernel)
        at = self.locate(kernel)
        pfn = page_behind(kernel.k, *at)
        yield Point(f"shrink_list(): unmap page {pfn} into the swap cache", pfn, harm)
        if page_behind(kernel.k, *at) == pfn:
            unmap_into_swap_cache(kernel.k, pfn)
        return harm


@dataclass(frozen=True)
class Pin(Actor):
    """A device writes into a page of a task: get_user_pages(), DMA, put_page()."""

    name: str = "device"

    def steps(self, kernel):
        """A reference is all that holds the page meanwhile; patch 2 knows nothing of it."""
        k, harm = kernel.k, ""
        _, pte = walk(k, *self.locate(kernel))
        yield Point("get_user_pages(): find the page in the page table, take a reference")
        while not pte.flags & structs.PTE_PRESENT:
            harm = (yield from Fault(self.task, self.page).steps(kernel)) or harm
        pfn = pte.value
        swap.get_page(k, pfn)
        yield Point(f"the device writes into page {pfn}")
        k.sys.writes += 1
        k.mem_map[pfn].data = pte.wrote = k.sys.writes
        yield Point("put_page(): drop the reference")
        swap.put_page(k, pfn)
        return harm


# -- helpers of the actors, and for building a machine to race on


def walk(k, pid, address):
    """The vma (its row) and the pte of a virtual page."""
    v = mmap.find_vma(k, pid, address)
    return v, k.pte[k.vma[v].pte_base + address]


def page_behind(k, pid, address):
    """The frame of a virtual page: mapped, in the swap cache, or in the page cache; 0 for none."""
    v, pte = walk(k, pid, address)
    vma, entry = k.vma[v], pte.value
    if pte.flags & structs.PTE_PRESENT:
        return pte.value
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
        while aops.writepage(k, pfn, page.mapping) == aops.PAGE_KEEP:
            pass
    move_to_lru(k, pfn)
