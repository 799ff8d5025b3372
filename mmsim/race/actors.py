"""The actors of a race: who calls which function of mmsim.mm, as generators that yield before each step."""

from dataclasses import dataclass
from typing import NamedTuple

from ..mm import aops, fault, mbind, mmap, rmap, structs, swap, swapfile, trace
from ..mm.filemap import trylock_page, unlock_page
from ..mm.swap_state import add_to_swap
from ..mm.vmscan import isolate_lru_page, move_to_lru
from .interruptible import interruptible
from .points import Point


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
        """touch(): do_swap_page(), shmem_getpage() and the rest of the fault path."""
        yield from interruptible(fault.touch)(kernel.k, *self.locate(kernel), self.write)


@dataclass(frozen=True)
class Migrate(Actor):
    """An in-kernel caller moves the page, mapped or in the swap cache, to another node."""

    name: str = "migration"
    to: int = 1
    in_kernel = True

    def steps(self, kernel):
        """migrate_pages() on a list of one page, from collecting it to giving its frame back."""
        at = self.locate(kernel)
        pfn = page_behind(kernel.k, *at)
        gone = f"isolate_lru_page(): frame {pfn} is on no LRU list, leave it alone"
        yield Point("isolate_lru_page() and allocation of the new page", otherwise=gone, event=trace.ISOLATED)
        yield from interruptible(mbind.migrate_frames)(kernel.k, [pfn], [at], [0], self.to, mbind.ALL_PAGES)


class Swapoff(NamedTuple):
    """The swap device is taken away."""

    name: str = "swapoff"

    def steps(self, kernel):
        """try_to_unuse() of every entry in use."""
        yield from interruptible(swapfile.sys_swapoff)(kernel.k)


@dataclass(frozen=True)
class WriteAndUnmap(Actor):
    """Another thread of a task writes the page, and memory pressure then takes it into the swap cache again."""

    name: str = "writer"

    def steps(self, kernel):
        """A write fault, then the first half of reclaim."""
        yield from Fault(self.task, self.page, write=True).steps(kernel)
        at = self.locate(kernel)
        pfn = page_behind(kernel.k, *at)
        yield Point(f"shrink_list(): unmap frame {pfn} into the swap cache", pfn)
        if page_behind(kernel.k, *at) == pfn:
            unmap_into_swap_cache(kernel.k, pfn)


@dataclass(frozen=True)
class Pin(Actor):
    """A device writes into a page of a task: get_user_pages(), DMA, put_page()."""

    name: str = "device"

    def steps(self, kernel):
        """A reference is all that holds the page meanwhile; patch 2 knows nothing of it."""
        k, (pid, address), pfns = kernel.k, self.locate(kernel), [0]
        yield Point("get_user_pages(): find the page in the page table, take a reference")
        yield from interruptible(fault.get_user_pages)(k, pid, address, address + 1, 1, pfns)
        yield Point(f"the device writes into frame {pfns[0]}")
        vma = k.vma[mmap.find_vma(k, pid, address)]
        k.sys.writes += 1
        k.mem_map[pfns[0]].data = k.wrote[vma.pte_base + address] = k.sys.writes
        yield Point("put_page(): drop the reference")
        swap.put_page(k, pfns[0])


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
            while rmap.try_to_unmap(k, pfn, rmap.TTU_UNMAP) == rmap.SWAP_FAIL:
                pass
        unlock_page(k, pfn)
    else:
        page.flags |= structs.PG_dirty
        while aops.writepage(k, pfn, page.mapping) == aops.PAGE_KEEP:
            pass
    move_to_lru(k, pfn)
