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


POINTS = frozenset((
    "lock_page", "wait_on_page_bit", "try_to_free_pages", "read_swap_cache", "swap_readpage", "block_read_full_page",
    "handle_mm_fault", "lookup_swap_cache", "find_get_page", "trylock_page", "unexpected_references", "replace_page",
    "unmap_and_replace", "migrate_page_move_mapping", "remove_migration_ptes", "migrate_page_copy", "release_new_page",
    "putback_lru_pages",
))  # fmt: skip


def point(caller, function, k, *args):
    """The Point before a call of one of POINTS from the function named `caller`; None: not before this one."""
    who = f"{caller}()"
    attempt = f"pass {k.sys.migration_pass}" if caller == "lock_for_migration" else who
    remove = "migrate_page_remove_references()"
    match function, *args:
        # -- sleeping
        case "lock_page", pfn if k.mem_map[pfn].count != 1:  # that of a new page nobody else knows
            changed = f"{attempt}: the entry has changed meanwhile, give frame {pfn} back"
            event = trace.SHMEM_MOVED_BACK * (caller == "shmem_getpage")
            return Point(f"{attempt}: lock frame {pfn}", pfn, changed, event)
        case "wait_on_page_bit", pfn, flag if k.mem_map[pfn].flags & flag:  # I/O is under way
            return Point(f"{who}: wait until frame {pfn} is written")
        case "try_to_free_pages", _zonelist, _allowed:  # an allocation that may wait has found no memory
            return Point(f"{who}: there is no memory, reclaim some")
        case "read_swap_cache", pfn, entry, _gfp:  # the page to read into was allocated, and that may have taken time
            said, back = f"{who}: frame {pfn} is allocated, ", f"nobody needs entry {entry} any more, give it back"
            return Point(f"{said}put it into the swap cache", otherwise=said + back, frame=pfn)
        case "swap_readpage", pfn:  # the I/O takes its time
            return Point(f"swap_readpage(): sleep until entry {k.mem_map[pfn].private} is read into frame {pfn}")
        case "block_read_full_page", pfn:
            return Point(f"readpage(): sleep until frame {pfn} is read from its file")
        case "handle_mm_fault", v, address, _write if not has_points(k, k.vma[v], address):
            return Point("handle_mm_fault()")
        # -- being preempted
        case "lookup_swap_cache", entry if caller != "shmem_getpage":  # that has stopped before, at the page cache
            return Point(f"{who}: look entry {entry} up in the swap cache")
        case "find_get_page", m, index if caller == "shmem_getpage":  # where it begins, and begins again
            entry = k.file_page[k.mapping[m].base + index].entry
            what = f"look entry {entry} up in the swap cache" if entry else "look into the page cache"
            return Point(f"{who}: {what}")
        case "trylock_page", pfn if caller == "lock_for_migration":  # each attempt of a migration begins with it
            written = f"{attempt}: frame {pfn} goes to its store first, try again later"
            return Point(f"{attempt}: try to lock frame {pfn}", otherwise=written, frame=pfn)
        case "unexpected_references", pfn, _nr_refs:  # V1 holds no lock but that of the page
            return Point(f"{remove}: test the references of frame {pfn}")
        case "replace_page", new, pfn:  # V1 has tested the references, and takes the lock of the tree only now
            what = f"{remove}: frame {new} takes the slot of frame {pfn}, unmap frame {pfn}"
            return Point(what, 0, f"{remove}: frame {pfn} has left its slot, try again later", trace.REPLACED)
        case "unmap_and_replace", new, pfn, _nr_refs:  # since 2.6.16 they are counted once more, and that with the lock
            what = f"{remove}: unmap frame {pfn}, test again, frame {new} takes its slot"
            return Point(what, 0, f"{remove}: frame {pfn} is in use or has left its slot", trace.REPLACED)
        case "migrate_page_move_mapping", new, pfn, _nr_refs:  # since 2.6.18: a fault finds a migration entry
            return Point(f"{function}(): test the references of frame {pfn}, frame {new} takes its place")
        case "remove_migration_ptes", old, new:  # since 2.6.18: ptes still have these entries, both pages are locked
            return Point(f"{function}(): frame {new} is mapped where frame {old} was, and unlocked")
        case "migrate_page_copy", new, pfn:  # the new page is in its place, and has no contents yet
            return Point(f"{function}() to frame {new}" + f", unlock frame {pfn}" * (not k.change.migration_entries))
        case "release_new_page", new, _pfn:  # the old page is unlocked: who waited for it may go on
            return Point(f"remove_from_swap() on frame {new}, unlock it" if k.patch[4] else f"unlock frame {new}")
        case "putback_lru_pages", head if caller == "migrate_pages" and not k.change.migration_entries:  # all is done
            none = list_empty(k, head)
            return Point("no page has moved: put it back on the LRU" if none else "give the old frame back")
    return None


def has_points(k, vma, address):
    """Whether a fault has points of its own: those on swapped pages, on pages that are moving, and on tmpfs."""
    pte = k.pte[vma.pte_base + address]
    tmpfs = vma.mapping and k.mapping[vma.mapping].fs == structs.FS_TMPFS
    return pte.flags & (structs.PTE_SWAP | structs.PTE_MIGRATION) or (tmpfs and not pte.flags & structs.PTE_PRESENT)


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
