"""Page migration as V1 has it: the passes, and moving one page.

In V1 this is the last part of mm/vmscan.c; it became mm/migrate.c with 2.6.17.  migrate_pages() is one long function
there; its pieces here have names of their own, as unmap_and_move() and move_to_new_page() belong to the later kernel.
Without patch 3 migration is eviction.  With it, and with a list of new pages, a page gets a new frame while everything
that refers to it is carried over (migrate_page.py).
"""

from .buffer import buffer_migrate_page, try_to_release_page
from .filemap import lock_page, trylock_page, unlock_page, wait_on_page_bit
from .aops import (
    BUFFER_MIGRATE_PAGE, FAIL_MIGRATE_PAGE, NO_METHOD, PAGE_CLEAN, PAGE_KEEP, PAGE_SUCCESS, migrate_page_method,
)
from .migrate_page import fail_migrate_page, migrate_page
from .mmzone import list_del, list_empty, list_move_tail, list_splice_tail, work_list
from .rmap import page_mapping
from .sched import cond_resched
from .structs import (
    BUG_NO_SWAP, EAGAIN, EFAULT, ENOMEM, FAILED, GFP_KERNEL, MOVED, PF_SWAPWRITE, PG_private, PG_swapcache,
    PG_writeback, VM_MIGRATED,
)
from .swap_state import add_to_swap
from .swapfile import remove_from_swap
from .trace import (
    FALL_BACK, FREED, LIST_EMPTY, LOCK_BUSY, LOCK_WAIT, LOCKED, NEW_PAGE, NO_MAPPING, PASS, WRITEBACK_BUSY,
    WRITEBACK_WAIT, bug, trace, trace_list,
)
from .trace import FAILED as EVENT_FAILED, MOVED as EVENT_MOVED
from .vmscan import move_to_lru, pageout, putback_lru_pages, swap_page

PASSES = 11  # pass 0 to pass 10
PASS_LOCK = 3  # the first pass that waits for a page's lock
PASS_FALL_BACK = 3  # the first pass that swaps out what cannot be moved


def migrate_pages(k, pages, to):
    """Move the isolated pages of list `pages` to the new pages of list `to`; 0 for `to`: swap them out.

    Up to eleven passes, while some page asks for a retry.  Pages that could not be moved stay on
    `pages`; their number is returned.  Moved ones are given back when all passes are done.  -EFAULT after a BUG().
    """
    task = k.task[k.sys.current]
    swapwrite = task.flags & PF_SWAPWRITE
    task.flags |= PF_SWAPWRITE
    to = to if k.patch[3] else 0
    failed = work_list(k, FAILED)
    nr_failed = 0
    retry = 1
    for pass_ in range(PASSES):
        if not retry:
            break
        k.sys.migration_pass = pass_
        k.sys.passes = pass_ + 1
        trace(k, PASS, 0, 0, pass_)
        retry = 0
        pfn = k.mem_map[pages].next
        while pfn != pages:
            following = k.mem_map[pfn].next
            cond_resched(k)
            if to and list_empty(k, to):
                trace_list(k, LIST_EMPTY, pfn, pages, 0)
                break
            result = migrate_one_page(k, pfn, to, pass_)
            if k.sys.bug:
                return -EFAULT
            if result == -EAGAIN:
                retry += 1
            elif result:
                nr_failed += 1
                trace(k, EVENT_FAILED, pfn, 0, -result)
                list_move_tail(k, pfn, failed)
            pfn = following
    list_splice_tail(k, failed, pages)
    putback_lru_pages(k, work_list(k, MOVED))
    k.sys.migration_pass = -1
    if not swapwrite:
        task.flags &= ~PF_SWAPWRITE
    return nr_failed + retry


def migrate_one_page(k, pfn, to, pass_):
    """Try once to move one page: 0: done with it; -EAGAIN: retry; another errno: it failed for good."""
    if k.mem_map[pfn].count == 1 and k.patch[3]:
        trace(k, FREED, pfn, 0, 0)
        list_move_tail(k, pfn, work_list(k, MOVED))
        return 0
    if not lock_for_migration(k, pfn, pass_ >= PASS_LOCK, pass_ > 0):
        return -EAGAIN
    if not prepare_anonymous(k, pfn):
        unlock_page(k, pfn)
        return -ENOMEM
    if not to:
        return swap_page(k, pfn)
    return move_locked_page(k, to, pfn, pass_)


def lock_for_migration(k, pfn, wait_lock, wait_io):
    """Take the lock of a page that is not under writeback: 1; or 0 where it would have to wait, and must not."""
    if not trylock_page(k, pfn):
        if not wait_lock:
            trace(k, LOCK_BUSY, pfn, 0, 0)
            return 0
        trace(k, LOCK_WAIT, pfn, 0, 0)
        if not lock_page(k, pfn):
            return 0
    if k.mem_map[pfn].flags & PG_writeback:
        if not wait_io:
            trace(k, WRITEBACK_BUSY, pfn, 0, 0)
            unlock_page(k, pfn)
            return 0
        trace(k, WRITEBACK_WAIT, pfn, 0, 0)
        if not wait_on_page_bit(k, pfn, PG_writeback):
            return 0
    trace(k, LOCKED, pfn, 0, 0)
    return 1


def prepare_anonymous(k, pfn):
    """Put an anonymous page into the swap cache, so that its ptes can be swap ptes meanwhile: 1, or 0."""
    page = k.mem_map[pfn]
    if page.mapping >= 0 or page.flags & PG_swapcache or not k.sys.has_swap:
        return 1  # without CONFIG_SWAP there is nothing to call; with a list of new pages BUG() follows
    return add_to_swap(k, pfn, GFP_KERNEL)


def move_locked_page(k, to, pfn, pass_):
    """Move a locked page to the first new one of list `to`; the answer is that of migrate_one_page().

    By the method of its address_space (patch 6).  One without is written if it is dirty, and loses its buffers; from
    pass 3 on a page that cannot lose them is swapped out as a last resort.  It is unlocked in the end.
    """
    page = k.mem_map[pfn]
    new = k.mem_map[to].next
    trace(k, NEW_PAGE, pfn, new, k.mem_map[new].node)
    mapping = page_mapping(page)
    if not mapping:
        if page.mapping < 0:
            bug(k, BUG_NO_SWAP, pfn)
            return 0
        trace(k, NO_MAPPING, pfn, 0, 0)
        unlock_page(k, pfn)
        return -EAGAIN
    method = migrate_page_method(k, k.mapping[mapping].fs)
    if method == NO_METHOD:
        answer = pageout(k, pfn, mapping)
        if answer == PAGE_CLEAN and page.flags & PG_private and not try_to_release_page(k, pfn):
            if pass_ >= PASS_FALL_BACK:
                trace(k, FALL_BACK, pfn, 0, 0)
                return swap_page(k, pfn)
            answer = PAGE_KEEP
        if answer != PAGE_CLEAN:
            if answer != PAGE_SUCCESS:
                unlock_page(k, pfn)
            return -EAGAIN
    lock_page(k, new)
    result = migrate_by_method(k, method, new, pfn)
    if result == 0:
        unlock_page(k, pfn)
        list_move_tail(k, pfn, work_list(k, MOVED))
        release_new_page(k, new, pfn)
    elif not k.sys.bug:
        unlock_page(k, new)
        unlock_page(k, pfn)
    return result


def migrate_by_method(k, method, new, pfn):
    """Move a page by a method, the simplest if there is none: 0, -EAGAIN or another errno (a part of migrate_pages)."""
    if method == FAIL_MIGRATE_PAGE:
        return fail_migrate_page(k, new, pfn)
    if method == BUFFER_MIGRATE_PAGE and k.mem_map[pfn].flags & PG_private:
        return buffer_migrate_page(k, new, pfn)
    return migrate_page(k, new, pfn)


def release_new_page(k, new, pfn):
    """Unlock the new page, once its swap ptes are real ptes again (patch 4), and give it to the LRU."""
    if k.patch[4]:  # V1 does it for a page that fails for good as well; none of those has a swap pte
        remove_from_swap(k, new)
    unlock_page(k, new)
    k.vmstat[VM_MIGRATED] += 1
    trace(k, EVENT_MOVED, pfn, new, 0)
    list_del(k, new)
    move_to_lru(k, new)
