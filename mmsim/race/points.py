"""The places where the kernel may be interrupted, and what to say of them.

Before a call of a function named here, the race may let somebody else go on: where the kernel may sleep, and in the
windows of V1 between a test and what relies on it.
"""

from typing import NamedTuple

from ..mm import structs, trace
from ..mm.mmzone import list_empty


class Point(NamedTuple):
    """A place where an actor may be interrupted: what it does next.

    `page`: the page whose lock it must wait for.  `otherwise`: what is said afterwards if it came to nothing, that is,
    if `event` is not in the trace of the step, or `frame` is not locked when it ends.
    """

    what: str
    page: int = 0
    otherwise: str = ""
    event: int = 0
    frame: int = 0


# -- sleeping


def lock_page(caller, k, pfn):
    """Somebody may hold the lock; not that of a new page, which nobody else knows."""
    if k.mem_map[pfn].count == 1:
        return None
    who = f"pass {k.sys.migration_pass}" if caller == "lock_for_migration" else f"{caller}()"
    changed = f"{who}: the entry has changed meanwhile, give frame {pfn} back"
    return Point(f"{who}: lock frame {pfn}", pfn, changed, trace.SHMEM_MOVED_BACK * (caller == "shmem_getpage"))


def wait_on_page_bit(caller, k, pfn, flag):
    """I/O may be under way."""
    return Point(f"{caller}(): wait until frame {pfn} is written") if k.mem_map[pfn].flags & flag else None


def try_to_free_pages(caller, k, zonelist, allowed):  # noqa: ARG001
    """An allocation that may wait has found no memory."""
    return Point(f"{caller}(): there is no memory, reclaim some")


def read_swap_cache(caller, k, pfn, entry, gfp):  # noqa: ARG001
    """The page to read into was allocated, and that may have taken its time."""
    what, otherwise = "put it into the swap cache", f"nobody needs entry {entry} any more, give it back"
    said = f"{caller}(): frame {pfn} is allocated, "
    return Point(said + what, otherwise=said + otherwise, frame=pfn)


def swap_readpage(caller, k, pfn):  # noqa: ARG001
    """The I/O takes its time."""
    return Point(f"swap_readpage(): sleep until entry {k.mem_map[pfn].private} is read into frame {pfn}")


def block_read_full_page(caller, k, pfn):  # noqa: ARG001
    """The I/O takes its time."""
    return Point(f"readpage(): sleep until frame {pfn} is read from its file")


def handle_mm_fault(caller, k, v, address, write):  # noqa: ARG001
    """Any fault but those on swapped pages, pages that are moving, and tmpfs, which have points of their own."""
    vma = k.vma[v]
    pte = k.pte[vma.pte_base + address]
    tmpfs = vma.mapping and k.mapping[vma.mapping].fs == structs.FS_TMPFS
    own = pte.flags & (structs.PTE_SWAP | structs.PTE_MIGRATION) or (tmpfs and not pte.flags & structs.PTE_PRESENT)
    return None if own else Point("handle_mm_fault()")


# -- being preempted


def lookup_swap_cache(caller, k, entry):  # noqa: ARG001
    """The entry was read some time ago; shmem_getpage() has stopped before it looked into the page cache."""
    return Point(f"{caller}(): look entry {entry} up in the swap cache") if caller != "shmem_getpage" else None


def find_get_page(caller, k, m, index):
    """Where shmem_getpage() begins, and begins again."""
    if caller != "shmem_getpage":
        return None
    entry = k.file_page[k.mapping[m].base + index].entry
    what = f"look entry {entry} up in the swap cache" if entry else "look into the page cache"
    return Point(f"shmem_getpage(): {what}")


def trylock_page(caller, k, pfn):
    """Each attempt of a migration begins with it."""
    if caller != "lock_for_migration":
        return None
    who = f"pass {k.sys.migration_pass}"
    written = f"{who}: frame {pfn} goes to its store first, try again later"
    return Point(f"{who}: try to lock frame {pfn}", otherwise=written, frame=pfn)


def unexpected_references(caller, k, pfn, nr_refs):  # noqa: ARG001
    """V1 holds no lock but that of the page."""
    return Point(f"migrate_page_remove_references(): test the references of frame {pfn}")


def replace_page(caller, k, new, pfn):  # noqa: ARG001
    """V1 has tested the references, and takes the lock of the tree only now."""
    who, what = "migrate_page_remove_references()", f"frame {new} takes the slot of frame {pfn}, unmap frame {pfn}"
    return Point(f"{who}: {what}", 0, f"{who}: frame {pfn} has left its slot, try again later", trace.REPLACED)


def unmap_and_replace(caller, k, new, pfn, nr_refs):  # noqa: ARG001
    """Since 2.6.16 the references are counted again when the page is unmapped, and with the lock of the tree held."""
    who, what = "migrate_page_remove_references()", f"unmap frame {pfn}, test again, frame {new} takes its slot"
    return Point(f"{who}: {what}", 0, f"{who}: frame {pfn} is in use or has left its slot", trace.REPLACED)


def migrate_page_move_mapping(caller, k, new, pfn, nr_refs):  # noqa: ARG001
    """Since 2.6.18: the page is unmapped, a fault finds a migration entry."""
    return Point(f"migrate_page_move_mapping(): test the references of frame {pfn}, frame {new} takes its place")


def remove_migration_ptes(caller, k, old, new):  # noqa: ARG001
    """Since 2.6.18: the ptes still have migration entries, and both pages are locked."""
    return Point(f"remove_migration_ptes(): frame {new} is mapped where frame {old} was, and unlocked")


def migrate_page_copy(caller, k, new, pfn):  # noqa: ARG001
    """The new page is in its place, and has no contents yet."""
    return Point(f"migrate_page_copy() to frame {new}" + f", unlock frame {pfn}" * (not k.change.migration_entries))


def release_new_page(caller, k, new, pfn):  # noqa: ARG001
    """The old page is unlocked: who waited for it may go on."""
    return Point(f"remove_from_swap() on frame {new}, unlock it" if k.patch[4] else f"unlock frame {new}")


def putback_lru_pages(caller, k, head):
    """All passes are done."""
    if caller != "migrate_pages" or k.change.migration_entries:
        return None
    return Point("no page has moved: put it back on the LRU" if list_empty(k, head) else "give the old frame back")


POINTS = {
    point.__name__: point for point in (
        lock_page, wait_on_page_bit, try_to_free_pages, read_swap_cache, swap_readpage, block_read_full_page,
        handle_mm_fault, lookup_swap_cache, find_get_page, trylock_page, unexpected_references, replace_page,
        unmap_and_replace, migrate_page_move_mapping, remove_migration_ptes, migrate_page_copy, release_new_page,
        putback_lru_pages,
    )
}  # fmt: skip


# -- what became of a step

RECHECK = "recheck: frame {page} has left the swap cache, give it back"
TURNS = {
    trace.SWAP_RECHECK: f"do_swap_page(): {RECHECK}",
    trace.SHMEM_RECHECK: f"shmem_getpage(): {RECHECK}",
    trace.UNUSE_RECHECK: f"try_to_unuse(): {RECHECK}",
    trace.SWAP_BACK_OUT: "do_swap_page(): the pte has changed meanwhile, give frame {page} back",
    trace.FAULT_SHMEM: "shmem_getpage(): frame {page} is found or made",
    trace.LOCK_BUSY: "pass {pass_}: frame {page} is locked, try again later",
    trace.WRITEBACK_BUSY: "pass {pass_}: frame {page} is being written, try again later",
    trace.NO_SWAP_ENTRY: "add_to_swap(): there is no slot for frame {page}",
    trace.BUFFERS_BUSY: "try_to_release_page(): frame {page} has busy buffers, try again later",
    trace.PAGEOUT_BUSY: "pageout(): frame {page} has a reference too many, try again later",
    trace.PAGEOUT_CONGESTED: "pageout(): the device of frame {page} is congested, try again later",
    trace.REFERENCES: "{who}: frame {page} has a reference too many, try again later",
    trace.EVICTED: "swap_page(): frame {page} is evicted",
}
KEPT = {  # where a migration lets go of the page again; elsewhere it does not matter
    trace.YOUNG: "pass {pass_}: frame {page} was used lately, try again later",
    trace.VMA_LOCKED: "pass {pass_}: frame {page} is mapped by a locked vma, try again later",
    trace.VMA_RESERVED: "pass {pass_}: frame {page} is mapped by a reserved vma, try again later",
}


def happened(k, point):
    """What an actor did in the step that began at `point` and has just ended; the trace is that of this step."""
    events = [k.event[i] for i in range(min(k.sys.nr_events, len(k.event)))]
    let_go = point.frame and not k.mem_map[point.frame].flags & structs.PG_locked
    turns = TURNS | KEPT if let_go else TURNS
    for e in events:
        if e.code in turns:
            return turns[e.code].format(page=e.page, pass_=e.pass_, who=point.what.partition(":")[0])
    missing = point.event and point.event not in [e.code for e in events]
    return point.otherwise if missing or let_go else point.what
