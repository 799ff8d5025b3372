"""The trace: what the kernel did, one row an event; and what became of each page of a migration.

Kernel functions call `trace` with one of the numbers below where something happens.  The number says also what that
means for the page, if the running migration has it in hand: why it does not move now, or where it has ended.  So the
records follow from the events, with or without a trace; a machine without one has an event table of length 0.
"""

from .structs import EAGAIN, VM_DENYWRITE, VM_IO, VM_LOCKED, VM_NOT_MIGRATABLE, VM_RESERVED, VM_SHM

# Every page that a migration considers ends in exactly one of these.
PATHS = (
    "pending", "direct", "direct after writeout", "direct with buffers", "swapped out", "freed from under us",
    "failed for good", "retries exhausted", "not collected",
)  # fmt: skip
(PATH_PENDING, PATH_DIRECT, PATH_WRITEOUT, PATH_BUFFERS, PATH_SWAPPED, PATH_FREED, PATH_FAILED, PATH_RETRIED,
 PATH_SKIPPED) = range(len(PATHS))  # fmt: skip

_VM_NAMES = {VM_LOCKED: "VM_LOCKED", VM_IO: "VM_IO", VM_RESERVED: "VM_RESERVED", VM_DENYWRITE: "VM_DENYWRITE",
             VM_SHM: "VM_SHM"}  # fmt: skip
# The names of each set of flags that make a vma not migratable, by flags // VM_LOCKED.
VM_FLAGS = tuple(
    ", ".join(name for bit, name in _VM_NAMES.items() if flags & bit)
    for flags in range(0, VM_NOT_MIGRATABLE + 1, VM_LOCKED)
)

# Why a page has not moved yet, or never will.  From R_VMA on: one for each set of flags, of the vma.
REASONS = (
    "", "locked by someone else", "under writeback", "pinned: more references than anyone accounts for",
    "no free swap slot", "no memory for a radix tree node", "used lately: a young pte", "mapped by a locked vma",
    "its buffers are dirty, locked or in a journal", "its writeout was started", "the swap device is congested",
    "the file system refuses to move it", "no memory for the new pages", "no new page was left on the list",
    "on no LRU list", "its file is mapped by others too", "freed meanwhile", "it has lost its mapping",
    "mapped by a reserved vma", "it is dirty, and its file system has nowhere to write it",
    "the call failed before it moved anything", *(f"its vma is not migratable ({names})" for names in VM_FLAGS),
)  # fmt: skip
(R_NONE, R_LOCKED, R_WRITEBACK, R_PINNED, R_NO_SLOT, R_NO_NODE, R_YOUNG, R_VMA_LOCKED, R_BUFFERS, R_WRITTEN,
 R_CONGESTED, R_REFUSED, R_NO_MEMORY, R_LIST_EMPTY, R_NOT_LRU, R_SHARED, R_FREED, R_NO_MAPPING, R_VMA_RESERVED,
 R_NOWHERE, R_CALL_FAILED, R_VMA) = range(22)  # fmt: skip

NOTED = 1 << 20

# What an event means: (kernel function, patch that added it, text), by its number.
# {page}, {new} are frames, {arg} is a number whose meaning the text gives; {task}: a pid, {flags}: those of a vma.
EVENTS = {0: ("", 0, "")}


def event(function, patch, text, reason=0, path=0):
    """Register an event: its number, which also says why its page stays (`reason`) or where it ends (`path`)."""
    number = len(EVENTS) | (path << 8 | reason << 12 | NOTED if path or reason else 0)
    EVENTS[number] = function, patch, text
    return number


FAULT_ANON = event("do_anonymous_page", 0, "first write: page {page} on node {arg} is mapped")
FAULT_ZERO = event("do_anonymous_page", 0, "first read: the shared zero page is mapped")
FAULT_FILE_MISS = event("filemap_nopage", 0, "not in the page cache: page {page} is read from the file")
FAULT_FILE_HIT = event("filemap_nopage", 0, "page {page} is found in the page cache and mapped")
FAULT_SHMEM = event("shmem_getpage", 0, "page {page} of tmpfs is found or made")
SHMEM_MOVED_BACK = event(
    "shmem_getpage", 0, "page {page} moves from the swap cache to the page cache; entry {arg} is freed"
)
SWAP_MISS = event("do_swap_page", 0, "major fault: entry {arg} is read from swap into page {page}")
SWAP_HIT = event("do_swap_page", 0, "minor fault: entry {arg} is in the swap cache as page {page}")
SWAP_RECHECK = event("do_swap_page", 2, "page {page} left the swap cache while we waited for its lock: look up again")
SWAP_BACK_OUT = event("do_swap_page", 0, "the pte no longer holds entry {arg}: back out, the fault is retried")
SWAP_MAPPED = event("do_swap_page", 0, "page {page} is mapped again")
SHMEM_RECHECK = event("shmem_getpage", 2, "page {page} left the swap cache while we waited for its lock: look up again")
UNUSE_RECHECK = event("try_to_unuse", 2, "page {page} left the swap cache while we waited for its lock: look up again")
WP_REUSE = event("do_wp_page", 0, "write to a protected pte: page {page} is ours alone, no copy")
WP_COPY = event("do_wp_page", 0, "copy-on-write: page {page} is copied to page {new}")
ALLOC_FALLBACK = event("__alloc_pages", 0, "asked node {arg}, but page {page} comes from a fallback node")
ALLOC_FAILED = event("__alloc_pages", 0, "no page for node {arg}")
BIND_FAILED = event("__alloc_pages", 0, "no page on any node that the policy allows")
ATOMIC_FAILED = event("__alloc_pages", 0, "an interrupt on node {arg} gets no page: a packet is lost")
DIRECT_RECLAIM = event("try_to_free_pages", 0, "low memory: a round of direct reclaim freed {arg} page{s}")
KSWAPD = event("balance_pgdat", 0, "kswapd freed {arg} page{s}")
ISOLATED = event("isolate_lru_page", 0, "page {page} is taken off its LRU list")
NOT_ISOLATED = event("isolate_lru_page", 0, "page {page} is on no LRU list and is left alone", R_NOT_LRU, PATH_SKIPPED)
BEING_FREED = event("isolate_lru_page", 0, "page {page} is being freed and is left alone", R_FREED, PATH_FREED)
NOT_COLLECTED = event(
    "migrate_page_add", 0, "page {page} belongs to a file that others map too: MPOL_MF_MOVE leaves it",
    R_SHARED, PATH_SKIPPED,
)
VMA_SKIPPED = event("check_range", 0, "page {page} is in a vma that is not migratable ({flags})", R_VMA, PATH_SKIPPED)
LEFT_OUT = event("in_kernel_caller", 0, "page {page} is in a vma that is not migratable ({flags})", R_VMA, PATH_SKIPPED)
PUT_BACK = event("putback_lru_pages", 0, "page {page} goes back to the LRU", path=PATH_RETRIED)
PASS = event("migrate_pages", 0, "pass {arg} over the list begins")
LOCK_BUSY = event("migrate_pages", 0, "page {page} is locked by someone: it will be tried again", R_LOCKED)
LOCK_WAIT = event("migrate_pages", 0, "page {page} is locked: wait for the lock")
LOCKED = event("migrate_pages", 0, "page {page} is locked for migration")
WRITEBACK_BUSY = event("migrate_pages", 0, "page {page} is under writeback: it will be tried again", R_WRITEBACK)
WRITEBACK_WAIT = event("migrate_pages", 0, "page {page} is under writeback: wait for the I/O to end")
FREED = event("migrate_pages", 3, "page {page} was freed from under us: nothing left to move", R_FREED, PATH_FREED)
LIST_EMPTY = event("migrate_pages", 3, "the list of new pages is empty: stop", R_LIST_EMPTY)
NEW_PAGE = event("migrate_pages", 3, "page {new} on node {arg} is to take the place of page {page}")
NO_NEW_PAGES = event("migrate_pages", 5, "there is no memory for new pages: stop", R_NO_MEMORY, PATH_FAILED)
NO_MAPPING = event("migrate_pages", 3, "page {page} has lost its mapping: it will be tried again", R_NO_MAPPING)
FALL_BACK = event("migrate_pages", 3, "page {page} cannot lose its buffers: fall back to swapping it out")
MOVED = event("migrate_pages", 3, "page {page} has moved to page {new}", path=PATH_DIRECT)
FAILED = event("migrate_pages", 0, "page {page} has failed for good", path=PATH_FAILED)
ADD_TO_SWAP = event("add_to_swap", 0, "page {page} gets swap entry {arg} and enters the swap cache")
NO_SWAP_ENTRY = event("add_to_swap", 0, "no free swap slot for page {page}", R_NO_SLOT)
NO_RADIX_NODE = event("add_to_swap", 0, "no memory for a radix tree node: page {page} gets no swap entry", R_NO_NODE)
SLAB_PAGE = event("kmem_cache_grow", 0, "page {page} becomes a slab page for radix tree nodes")
YOUNG = event("try_to_unmap", 0, "page {page} was used lately (young pte of {task}): SWAP_FAIL", R_YOUNG)
VMA_LOCKED = event("try_to_unmap", 0, "page {page} is mapped by a locked vma of {task}: SWAP_FAIL", R_VMA_LOCKED)
VMA_RESERVED = event("try_to_unmap", 0, "page {page} is mapped by a reserved vma of {task}: SWAP_FAIL", R_VMA_RESERVED)
SWAP_PTE = event("try_to_unmap", 0, "a pte of page {page} becomes a swap pte with entry {arg}")
UNMAPPED = event("try_to_unmap", 0, "the pte of {task} for page {page} is cleared")
PAGEOUT_BUSY = event("pageout", 0, "page {page} has references that nobody accounts for: keep it", R_PINNED)
PAGEOUT_CONGESTED = event("pageout", 0, "the device is congested: page {page} is kept", R_CONGESTED)
PAGEOUT_NO_MAPPING = event("pageout", 0, "page {page} has lost its mapping: keep it", R_NO_MAPPING)
PAGEOUT_START = event("pageout", 0, "page {page} is written out", R_WRITTEN, PATH_WRITEOUT)
PAGEOUT_NOWHERE = event("pageout", 0, "the file system has nowhere to write page {page}", R_NOWHERE)
SHMEM_NO_SLOT = event("shmem_writepage", 0, "no free swap slot for page {page}", R_NO_SLOT)
SHMEM_NO_NODE = event("shmem_writepage", 0, "no memory for a radix tree node: page {page} is kept", R_NO_NODE)
REMOVE_BUSY = event("remove_mapping", 0, "page {page} is still in use: it stays", R_PINNED)
REMOVE_NO_MAPPING = event("remove_mapping", 0, "page {page} has lost its mapping: it stays", R_NO_MAPPING)
EVICTED = event("swap_page", 0, "page {page} is evicted, and its frame is free", path=PATH_SWAPPED)
BUFFERS_BUSY = event(
    "try_to_release_page", 0, "the buffers of page {page} are dirty, locked or in a journal", R_BUFFERS
)
REFERENCES = event(
    "migrate_page_remove_references", 3, "page {page} has {arg} reference{s} that nobody accounts for: try again later",
    R_PINNED,
)
REPLACED = event("migrate_page_remove_references", 3, "page {new} takes the slot of page {page} in the radix tree")
COPIED = event("migrate_page_copy", 3, "the contents of page {page} are copied to page {new}")
RESTORED = event("remove_from_swap", 4, "a swap pte with entry {arg} points to page {page} again")
LEFT_SWAP = event("remove_from_swap", 4, "page {page} leaves the swap cache; entry {arg} is free")
NODE_PAIR = event("do_migrate_pages", 5, "next pair: node {source} to node {target}")  # arg: 256 * source + target
NEW_LIST = event("migrate_pages_to", 5, "{arg} new page{s} {are} allocated")
CALLER_LIST = event("in_kernel_caller", 0, "{arg} new page{s} {are} allocated")  # trigger D before patch 5
MIGRATION_ENTRY = event("try_to_unmap", 0, "the pte of {task} for page {page} becomes a migration entry")
ENTRY_REMOVED = event("remove_migration_pte", 0, "the migration entry of {task} becomes a pte of page {page}")
WRITEOUT = event("writeout", 0, "page {page} is written first", R_WRITTEN, PATH_WRITEOUT)
BUFFERS_MOVED = event(
    "buffer_migrate_page", 6, "the buffers of page {page} are handed to page {new}", path=PATH_BUFFERS
)
FS_REFUSES = event("fail_migrate_page", 6, "the file system refuses to move page {page}: -EIO", R_REFUSED)
POLICY_SET = event("mbind_range", 0, "the policy of {arg} vma{s} is set")
SHARED_POLICY_SET = event(
    "mpol_set_shared_policy", 0, "{arg} page{s} of shared memory get the policy, for all who map them"
)
CPUSET_NODES = event("update_nodemask", 0, "the allowed nodes of {task} change")
FORKED = event("copy_page_range", 0, "{task} shares the pages of its parent")
PAGE_GONE = event("unmap_vmas", 0, "page {page} is unmapped by its owner")
OFFLINE = event("soft_offline_page", 0, "page {page} is empty, and taken out of use")
OFFLINE_BUSY = event("soft_offline_page", 0, "page {page} is still in use, and stays")


def trace(k, event, page, new_page, arg):
    """Something happens: what it means for the page goes into its record, and a row into the trace, if there is one."""
    if event >= NOTED and k.mem_map[page].row:
        note(k.sys, k.mem_map[page], k.considered[k.mem_map[page].row], event, new_page, arg)
    if k.sys.tracing:
        append(k, event, page, new_page, arg)


def append(k, event, page, new_page, arg):
    """Append a row to the ring of events.  After a BUG nothing happens any more."""
    if k.sys.bug:
        return
    e = k.event[k.sys.nr_events % len(k.event)]
    k.sys.nr_events += 1
    e.time = k.sys.clock
    e.code = event
    e.actor = k.sys.current
    e.page = page
    e.new_page = new_page
    e.arg = arg
    e.pass_ = k.sys.migration_pass


def trace_list(k, event, pfn, head, arg):
    """One event that is about all pages of a list, from `pfn` on."""
    trace(k, event, 0, 0, arg)
    while pfn != head:
        page = k.mem_map[pfn]
        if page.row:
            note(k.sys, page, k.considered[page.row], event, 0, arg)
        pfn = page.next


def trace_skipped(k, event, mm, address, pfn, flags):
    """The event of a page that is not collected; `flags`: of the vma that is why, or 0."""
    page = k.mem_map[pfn]
    row = page.row  # of a page that was collected through another mapping
    consider(k, mm, address, pfn, -1)
    trace(k, event, pfn, 0, flags)
    page.row = row


def consider(k, mm, address, pfn, asked):
    """Open the record of a page that the running migration looks at: what happens to `pfn` is noted there.

    `asked`: the node that it is to go to, or -1.  The rest of its row is 0 as yet, as all rows are when the migration
    begins: PATH_PENDING, R_NONE.
    """
    n = k.sys.nr_considered + 1
    k.sys.passes = 0
    if n >= len(k.considered):
        k.mem_map[pfn].row = 0
        k.sys.overflow += 1
        return
    k.sys.nr_considered = n
    c = k.considered[n]
    c.mm = mm
    c.address = address
    c.old_pfn = pfn
    c.asked = asked
    k.mem_map[pfn].row = n


def note(sys, page, c, event, new, arg):
    """What an event means for a page in the hands of the running migration, in its record `c`; the last reason wins."""
    # It takes no tables but the rows that it needs: a page that moves pays for this call.
    path = event >> 8 & 15
    reason = event >> 12 & 255
    if path == PATH_DIRECT:
        c.new_pfn = new
        c.passes = sys.migration_pass + 1
        c.error = 0
        c.reason = R_NONE
        if c.path in (PATH_PENDING, PATH_FAILED):  # else it was written before, or has buffers
            c.path = PATH_DIRECT
        page.row = 0
        return
    if path == PATH_RETRIED:
        give_up(sys, c)
        page.row = 0
        return
    if c.path == PATH_FAILED:  # and is tried again, with the next chunk of new pages
        c.path = PATH_PENDING
        c.error = 0
    c.passes = sys.migration_pass + 1
    if reason == R_VMA:
        reason = vma_reason(arg)
    if reason or path == PATH_SWAPPED:
        c.reason = reason
    if path == PATH_FAILED:
        c.error = arg
    if path:
        c.path = path
    if path in (PATH_SWAPPED, PATH_FREED, PATH_SKIPPED):
        page.row = 0


def vma_reason(flags):
    """The reason for a page in a vma that some of these flags keep from being migratable."""
    return R_VMA + (flags & VM_NOT_MIGRATABLE) // VM_LOCKED


def give_up(sys, c):
    """A page is put back: if it has not ended by then, its retries are exhausted, or there was no pass at all."""
    if c.path != PATH_FAILED and sys.passes:
        c.path = PATH_RETRIED
        c.error = EAGAIN
        c.passes = sys.passes
    elif c.path != PATH_FAILED:
        c.path = PATH_SKIPPED
        c.reason = R_CALL_FAILED


def bug(k, code, pfn):
    """BUG(): remember the first thing that must never happen; the machine raises it when the call returns."""
    if not k.sys.bug:
        k.sys.bug = code
        k.sys.bug_page = pfn
        k.sys.bug_task = k.sys.current
