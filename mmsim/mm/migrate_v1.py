"""Page migration as V1 has it: the passes, and moving one page through the swap cache.

In V1 this is the last part of mm/vmscan.c; it became mm/migrate.c with 2.6.17.  What moves pages since 2.6.18 is in
migrate.py.  Without patch 3 migration is eviction.  With it, and with a list of new pages, a page gets a new frame
while everything that refers to it is carried over.

Change that acts here: locked-elsewhere.
"""

from .buffer import (
    BUFFER_MIGRATE_PAGE, FAIL_MIGRATE_PAGE, NO_METHOD, PAGE_CLEAN, PAGE_SUCCESS, migrate_page_method,
    try_to_release_page,
)
from .pagemap import file_page
from .mmzone import list_del, list_empty, list_move_tail, list_splice_tail, work_list
from .rmap import SWAP_FAIL, SWAP_SUCCESS, page_mapping, remove_from_swap, try_to_unmap
from .structs import (
    BUG_NO_MAPPING, BUG_NO_SWAP, EAGAIN, EIO, ENOMEM, EPERM, FAILED, GFP_KERNEL, HANG_UNMAP, MOVED, PF_SWAPWRITE,
    PG_active, PG_checked, PG_dirty, PG_error, PG_mappedtodisk, PG_private, PG_referenced, PG_swapcache,
    PG_uptodate, PG_writeback, SWAPPER_SPACE, VM_MIGRATED,
)
from .swap import get_page, put_page
from .swap_state import add_to_swap
from .timer import cond_resched, lock_page, schedule, trylock_page, unlock_page, wait_on_page
from .trace import (
    BUFFERS_MOVED, COPIED, FALL_BACK, FREED, FS_REFUSES, LIST_EMPTY, LOCK_BUSY, LOCK_WAIT, LOCKED,
    NEW_PAGE, PASS, PATH_BUFFERS, PATH_DIRECT, PATH_FAILED, PATH_FREED, PATH_RETRIED, PATH_SWAPPED,
    PATH_WRITEOUT, R_FREED, R_LIST_EMPTY, R_LOCKED, R_NO_MAPPING, R_NO_MEMORY, R_PINNED, R_REFUSED, R_WRITEBACK,
    R_WRITTEN, REFERENCES, REPLACED, WRITEBACK_BUSY, WRITEBACK_WAIT, because, bug, conclude, trace,
)
from .trace import FAILED as EVENT_FAILED
from .trace import MOVED as EVENT_MOVED
from .vmscan import move_to_lru, pageout, putback_lru_pages, swap_page

PASSES = 11  # pass 0 to pass 10
PASS_LOCK = 3  # the first pass that waits for a page's lock
PASS_FALL_BACK = 3  # the first pass that swaps out what cannot be moved
COPIED_FLAGS = PG_error | PG_referenced | PG_uptodate | PG_active | PG_checked | PG_mappedtodisk | PG_dirty


def migrate_pages(k, pages, to):
    """Move the isolated pages of list `pages` to the new pages of list `to`; 0 for `to`: swap them out.

    Up to eleven passes, while some page asks for a retry.  Pages that could not be moved stay on
    `pages`; their number is returned.  Moved ones are given back when all passes are done.
    """
    task = k.task[k.sys.current]
    swapwrite = task.flags & PF_SWAPWRITE
    task.flags |= PF_SWAPWRITE
    failed = work_list(k, FAILED)
    moved = work_list(k, MOVED)
    if not k.patch[3]:
        to = 0
    nr_failed = 0
    retry = 1
    for pass_ in range(PASSES):
        if retry and not k.sys.bug:
            k.sys.migration_pass = pass_
            trace(k, PASS, 0, 0, pass_)
            retry, failures = migrate_pass(k, pages, to, failed, moved, pass_)
            nr_failed += failures
    if k.sys.bug:
        return 0
    finish_lists(k, pages, failed, moved)
    k.sys.migration_pass = -1
    if not swapwrite:
        task.flags &= ~PF_SWAPWRITE
    return nr_failed + retry


def migrate_pass(k, pages, to, failed, moved, pass_):
    """One pass over the list: (pages that ask for a retry, pages that failed for good)."""
    retry = 0
    failures = 0
    pfn = k.mem_map[pages].next
    while pfn != pages and not k.sys.bug:
        following = k.mem_map[pfn].next
        cond_resched(k)
        if to and list_empty(k, to):
            trace(k, LIST_EMPTY, 0, 0, 0)
            while pfn != pages:
                because(k, pfn, R_LIST_EMPTY)
                pfn = k.mem_map[pfn].next
            break
        result = unmap_and_move(k, pfn, to, moved, pass_)
        if result == -EAGAIN:
            retry += 1
        elif result < 0:
            failures += 1
            trace(k, EVENT_FAILED, pfn, 0, -result)
            conclude(k, k.mem_map[pfn].row, PATH_FAILED, -result)
            list_move_tail(k, pfn, failed)
        pfn = following
    return retry, failures


def finish_lists(k, pages, failed, moved):
    """After the last pass: give the old frames of moved pages back, return the failed pages to the caller's list."""
    give_up(k, pages, EAGAIN)
    list_splice_tail(k, failed, pages)
    putback_lru_pages(k, moved)


def give_up(k, pages, error):
    """Write down of the pages on a list that they stay: EAGAIN: their retries are exhausted; ENOMEM: no new pages."""
    pfn = k.mem_map[pages].next
    while pfn != pages:
        if error == ENOMEM:
            because(k, pfn, R_NO_MEMORY)
        conclude(k, k.mem_map[pfn].row, PATH_FAILED if error == ENOMEM else PATH_RETRIED, error)
        pfn = k.mem_map[pfn].next


def unmap_and_move(k, pfn, to, moved, pass_):
    """Try once to move one page: 0: done with it; -EAGAIN: retry; another errno: it failed for good."""
    page = k.mem_map[pfn]
    if k.patch[3] and page.count == 1:
        trace(k, FREED, pfn, 0, 0)
        because(k, pfn, R_FREED)
        conclude(k, page.row, PATH_FREED, 0)
        list_move_tail(k, pfn, moved)
        return 0
    if not lock_for_migration(k, pfn, pass_ >= PASS_LOCK, pass_ > 0):
        return -EAGAIN
    if not prepare_anonymous(k, pfn):
        if k.patch[4]:
            remove_from_swap(k, pfn)
        unlock_page(k, pfn)
        return -ENOMEM
    if not to:
        return evict(k, pfn)
    new = k.mem_map[to].next
    trace(k, NEW_PAGE, pfn, new, k.mem_map[new].node)
    lock_page(k, new)
    result, locked = move_to_new_page(k, new, pfn)
    if k.sys.bug:
        return 0
    if result == 0:
        finish_move(k, new, pfn, moved)
        return 0
    unlock_page(k, new)
    if locked and fall_back(k, pfn, pass_):
        trace(k, FALL_BACK, pfn, 0, 0)
        return evict(k, pfn)
    if result != -EAGAIN and k.patch[4] and not k.change.locked_elsewhere:
        remove_from_swap(k, pfn)
    if locked:
        unlock_page(k, pfn)
    return result


def lock_for_migration(k, pfn, wait_lock, wait_io):
    """Take the lock of a page that is not under writeback: 1; or 0 where it would have to wait, and must not."""
    page = k.mem_map[pfn]
    if not trylock_page(k, pfn):
        if not wait_lock:
            because(k, pfn, R_LOCKED)
            trace(k, LOCK_BUSY, pfn, 0, 0)
            return 0
        trace(k, LOCK_WAIT, pfn, 0, 0)
        lock_page(k, pfn)
        if k.sys.bug:
            return 0
    if page.flags & PG_writeback:
        if not wait_io:
            because(k, pfn, R_WRITEBACK)
            trace(k, WRITEBACK_BUSY, pfn, 0, 0)
            unlock_page(k, pfn)
            return 0
        trace(k, WRITEBACK_WAIT, pfn, 0, 0)
        if not wait_on_page(k, pfn, PG_writeback):
            return 0
    trace(k, LOCKED, pfn, 0, 0)
    return 1


def prepare_anonymous(k, pfn):
    """Put an anonymous page into the swap cache, so that its ptes can be swap ptes meanwhile: 1, or 0."""
    page = k.mem_map[pfn]
    if page.mapping >= 0 or page.flags & PG_swapcache:
        return 1
    if not k.sys.has_swap:  # without CONFIG_SWAP there is nothing to call; with a list of new pages BUG() follows
        return 1
    return add_to_swap(k, pfn, GFP_KERNEL)


def evict(k, pfn):
    """Swap a page out instead of moving it, and write down that this was its path."""
    row = k.mem_map[pfn].row
    result = swap_page(k, pfn)
    if result == 0:
        conclude(k, row, PATH_SWAPPED, 0)
    else:
        note_write(k, pfn)
    return result


def note_write(k, pfn):
    """If a page is being written out for this migration, remember that its path went there."""
    page = k.mem_map[pfn]
    if page.row and page.flags & PG_writeback:
        because(k, pfn, R_WRITTEN)
        k.considered[page.row].path = PATH_WRITEOUT


def fall_back(k, pfn, pass_):
    """From pass 3 on, a page whose buffers cannot be dropped is swapped out as a last resort."""
    page = k.mem_map[pfn]
    mapping = page_mapping(page)
    if k.patch[6] and migrate_page_method(k, k.mapping[mapping].fs) != NO_METHOD:
        return False
    return pass_ >= PASS_FALL_BACK and page.flags & PG_private and not page.flags & PG_dirty


def move_to_new_page(k, new, pfn):
    """Move a locked page into a locked new one, by the method of its address_space (patch 6) or the default way.

    Returns (0, -EAGAIN or an errno; 1 if the old page is still locked).
    """
    page = k.mem_map[pfn]
    mapping = page_mapping(page)
    if not mapping:
        if page.mapping < 0:
            bug(k, BUG_NO_SWAP, pfn)
        else:
            because(k, pfn, R_NO_MAPPING)
        return -EAGAIN, 1
    method = migrate_page_method(k, k.mapping[mapping].fs) if k.patch[6] else NO_METHOD
    if method == FAIL_MIGRATE_PAGE:
        because(k, pfn, R_REFUSED)
        trace(k, FS_REFUSES, pfn, 0, 0)
        return -EIO, 1
    if method == BUFFER_MIGRATE_PAGE and page.flags & PG_private:
        return buffer_migrate_page(k, new, pfn), 1
    if method == NO_METHOD:
        if page.flags & PG_dirty:
            answer = pageout(k, pfn, mapping)
            if answer == PAGE_SUCCESS:
                note_write(k, pfn)
                return -EAGAIN, 0
            if answer != PAGE_CLEAN:
                return -EAGAIN, 1
        if page.flags & PG_private and not try_to_release_page(k, pfn):
            return -EAGAIN, 1
    return migrate_page(k, new, pfn), 1


def finish_move(k, new, pfn, moved):
    """A page has moved: let the old and then the new one go."""
    release_old_page(k, new, pfn, moved)
    release_new_page(k, new, pfn)


def release_old_page(k, new, pfn, moved):
    """Unlock the zombie that is left of a moved page; it is freed when all passes are done."""
    note_moved(k, new, pfn)
    unlock_page(k, pfn)
    list_move_tail(k, pfn, moved)


def note_moved(k, new, pfn):
    """Write down that a page is in frame `new` now, by the path that was noted for it, or directly."""
    row = k.mem_map[pfn].row
    c = k.considered[row]
    c.new_pfn = new
    conclude(k, row, c.path if row and c.path else PATH_DIRECT, 0)


def release_new_page(k, new, pfn):
    """Unlock the new page, once its swap ptes are real ptes again (patch 4), and give it to the LRU."""
    if k.patch[4]:
        remove_from_swap(k, new)
    unlock_page(k, new)
    k.vmstat[VM_MIGRATED] += 1
    trace(k, EVENT_MOVED, pfn, new, 0)
    list_del(k, new)
    move_to_lru(k, new)


def migrate_page(k, new, pfn):
    """Move a page without buffers: 0, or -EAGAIN."""
    result = migrate_page_remove_references(k, new, pfn, 2)
    if result == 0:
        migrate_page_copy(k, new, pfn)
    return result


def buffer_migrate_page(k, new, pfn):
    """Move a page together with its buffers (fs/buffer.c, patch 6): 0, or -EAGAIN."""
    result = migrate_page_remove_references(k, new, pfn, 3)
    if result:
        return result
    move_buffers(k, new, pfn)
    migrate_page_copy(k, new, pfn)
    return 0


def move_buffers(k, new, pfn):
    """Hand the buffers of a page to the one that has its place now, dirty or not, with the reference they hold."""
    page = k.mem_map[pfn]
    target = k.mem_map[new]
    target.private = page.private
    target.flags |= PG_private
    get_page(k, new)
    page.private = 0
    page.flags &= ~PG_private
    put_page(k, pfn)
    trace(k, BUFFERS_MOVED, pfn, new, 0)
    if page.row:
        k.considered[page.row].path = PATH_BUFFERS


def migrate_page_remove_references(k, new, pfn, nr_refs):
    """Let the new page take the old one's place in its mapping, and unmap the old one everywhere: 0, or -EAGAIN.

    `nr_refs`: references that cache, isolation and buffers hold.  V1 tests them before it takes the
    tree lock; patch 2 exists for what happens between this test and the replacement.
    """
    if unexpected_references(k, pfn, nr_refs):
        return -EAGAIN
    if k.change.locked_elsewhere:
        return unmap_and_replace(k, new, pfn, nr_refs)
    return replace_page(k, new, pfn)


def unexpected_references(k, pfn, nr_refs):
    """How many references of a page belong neither to ptes nor to the `nr_refs` known holders."""
    page = k.mem_map[pfn]
    if not page_mapping(page):
        bug(k, BUG_NO_MAPPING, pfn)
    extra = page.count - page.mapcount - nr_refs
    if extra:
        because(k, pfn, R_PINNED)
        trace(k, REFERENCES, pfn, 0, extra)
    return extra


def replace_page(k, new, pfn):
    """Put the new page into the old one's slot of the radix tree; from there on there is no way back.

    The old page is unmapped again and again until no pte is left: a young pte costs one round
    more; while a locked vma of another process maps the page the loop goes on, for ever if that one stays.
    """
    page = k.mem_map[pfn]
    if not take_slot(k, new, pfn):
        return -EAGAIN
    young = page.mapcount  # each pte costs one round at most for being young
    while page.mapcount and try_to_unmap(k, pfn, False) != SWAP_SUCCESS:
        young -= 1
        if young < 0:
            if not schedule(k):
                bug(k, HANG_UNMAP, pfn)
                return -EAGAIN
            young = page.mapcount
    put_page(k, pfn)
    return 0


def unmap_and_replace(k, new, pfn, nr_refs):
    """replace_page() since locked-elsewhere: the ptes go first, so that there still is a way back: 0 or an errno.

    -EPERM where a vma that maps the page is locked; ptes that are gone by then stay gone.
    """
    page = k.mem_map[pfn]
    if page.mapcount and try_to_unmap(k, pfn, True) == SWAP_FAIL:
        return -EPERM
    if page.mapcount or page.count != nr_refs or not take_slot(k, new, pfn):
        return -EAGAIN
    put_page(k, pfn)
    return 0


def take_slot(k, new, pfn):
    """Put the new page into the old one's slot of the radix tree, with a reference: 1; 0 if another page is there."""
    page = k.mem_map[pfn]
    target = k.mem_map[new]
    mapping = page_mapping(page)
    if mapping == SWAPPER_SPACE:
        if k.swap_cache[page.private] != pfn:
            return 0
        k.swap_cache[page.private] = new
        target.private = page.private
        target.flags |= PG_swapcache
    else:
        slot = k.file_page[file_page(k, mapping, page.index)]
        if slot.pfn != pfn:
            return 0
        slot.pfn = new
    target.index = page.index
    target.mapping = page.mapping
    get_page(k, new)
    trace(k, REPLACED, pfn, new, page.private)
    return 1


def migrate_page_copy(k, new, pfn):
    """Copy contents and flags to the new page; what is left of the old one is a zombie that waits to be freed."""
    page = k.mem_map[pfn]
    target = k.mem_map[new]
    k.sys.clock += k.costs.copy * k.distance[page.node][target.node] // 10
    target.data = page.data
    target.flags |= page.flags & COPIED_FLAGS
    page.flags &= ~(PG_dirty | PG_swapcache | PG_active | PG_private)
    page.private = 0
    page.mapping = 0
    trace(k, COPIED, pfn, new, 0)
