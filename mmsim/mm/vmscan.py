"""Reclaim (mm/vmscan.c): isolating pages, writing them out, evicting them; direct reclaim and kswapd."""

from .buffer import try_to_release_page
from .filemap import remove_from_page_cache, trylock_page, unlock_page, wait_on_page_bit
from .aops import PAGE_ACTIVATE, PAGE_CLEAN, PAGE_KEEP, PAGE_SUCCESS, writepage
from .ll_rw_blk import bdi_write_congested, blk_congestion_wait
from .mmzone import list_add_tail, list_del, list_empty, work_list, zone_list
from .rmap import SWAP_FAIL, SWAP_SUCCESS, TTU_UNMAP, page_mapping, page_referenced, try_to_unmap
from .sched import cond_resched
from .structs import (
    ACTIVE, EAGAIN, GFP_ATOMIC, INACTIVE, PF_MEMALLOC, PF_SWAPWRITE, PG_active, PG_dirty, PG_lru, PG_private,
    PG_referenced, PG_swapcache, PG_writeback, SHRINK, SWAPPER_SPACE, VM_DIRECT_RECLAIM, VM_EVICTED,
    VM_KSWAPD, VM_RECLAIMED,
)
from .swap import del_page_from_lru, get_page, lru_add_drain_all, lru_cache_add, lru_cache_add_active, put_page
from .swap_state import add_to_swap, delete_from_swap_cache
from .trace import (
    BEING_FREED, DIRECT_RECLAIM, EVICTED, ISOLATED, KSWAPD, NOT_ISOLATED, PAGEOUT_BUSY, PAGEOUT_CONGESTED,
    PAGEOUT_NO_MAPPING, PUT_BACK, REMOVE_BUSY, REMOVE_NO_MAPPING, trace,
)

SWAP_CLUSTER_MAX = 32  # pages that a round of reclaim tries to free
DEF_PRIORITY = 12  # the first round scans 1/4096 of the lists, the last one all
RECLAIM_MAPPED = 9  # from this priority down, mapped pages leave the active list too


def isolate_lru_page(k, pfn):
    """Take a page off its LRU list, with a reference: 1; 0: it is on none; -1: it is being freed."""
    page = k.mem_map[pfn]
    if not page.flags & PG_lru:
        lru_add_drain_all(k)
        if page.count and not page.flags & PG_lru:
            trace(k, NOT_ISOLATED, pfn, 0, 0)
            return 0
    if page.count == 0:
        trace(k, BEING_FREED, pfn, 0, 0)
        return -1
    get_page(k, pfn)
    del_page_from_lru(k, pfn)
    trace(k, ISOLATED, pfn, 0, 0)
    return 1


def move_to_lru(k, pfn):
    """Give a page to the LRU by its active flag, and drop the caller's reference: the last one frees it at once."""
    page = k.mem_map[pfn]
    if page.count > 1:
        if page.flags & PG_active:
            page.flags &= ~PG_active
            lru_cache_add_active(k, pfn)
        else:
            lru_cache_add(k, pfn)
    put_page(k, pfn)


def putback_lru_pages(k, head):
    """Give all pages of a list back to the LRU, but after a BUG(); one that only the isolation kept alive is freed."""
    if k.sys.bug:
        return
    pfn = k.mem_map[head].next
    while pfn != head:
        following = k.mem_map[pfn].next
        list_del(k, pfn)
        trace(k, PUT_BACK, pfn, 0, 0)
        move_to_lru(k, pfn)
        pfn = following


def pageout(k, pfn, mapping):
    """Write a locked page out if it is dirty.

    PAGE_CLEAN: nothing to write.  PAGE_SUCCESS: the write was started and the page unlocked.
    PAGE_KEEP: someone else refers to the page, or the device is congested.  PAGE_ACTIVATE: the file system declines.
    """
    page = k.mem_map[pfn]
    if not page.flags & PG_dirty:
        return PAGE_CLEAN
    expected = 2 + page.mapcount + (1 if page.flags & PG_private else 0)  # cache, caller, ptes, buffers
    if k.change.pageout_keeps_mapped:
        expected -= page.mapcount
    if not mapping:
        trace(k, PAGEOUT_NO_MAPPING, pfn, 0, 0)
        return PAGE_KEEP
    if page.count > expected:
        trace(k, PAGEOUT_BUSY, pfn, 0, 0)
        return PAGE_KEEP
    if bdi_write_congested(k) and not k.task[k.sys.current].flags & PF_SWAPWRITE:
        trace(k, PAGEOUT_CONGESTED, pfn, 0, 0)
        return PAGE_KEEP
    return writepage(k, pfn, mapping)


def remove_mapping(k, mapping, pfn):
    """Take a page out of its cache, if it is clean and only the cache and the caller refer to it: 1 if so."""
    page = k.mem_map[pfn]
    if not mapping or page.count != 2 or page.flags & PG_dirty:
        trace(k, REMOVE_BUSY if mapping else REMOVE_NO_MAPPING, pfn, 0, 0)
        return 0
    if mapping == SWAPPER_SPACE:
        delete_from_swap_cache(k, pfn)
    else:
        remove_from_page_cache(k, pfn)
    return 1


def take_out(k, pfn, mapping):
    """Write a locked page if it is dirty, drop its buffers, take it out of its cache; it is unlocked then.

    PAGE_CLEAN: it can be freed now; else where it belongs.  In the kernel: the end of shrink_list and of swap_page.
    """
    answer = pageout(k, pfn, mapping)
    if answer == PAGE_SUCCESS:
        return PAGE_KEEP
    if answer == PAGE_CLEAN and k.mem_map[pfn].flags & PG_private and not try_to_release_page(k, pfn):
        answer = PAGE_ACTIVATE
    if answer == PAGE_CLEAN and not remove_mapping(k, mapping, pfn):
        answer = PAGE_KEEP
    unlock_page(k, pfn)
    return answer


def swap_page(k, pfn):
    """Evict an isolated, locked page: 0 and its frame is free, or -EAGAIN.  It is unlocked either way (patch 0)."""
    page = k.mem_map[pfn]
    mapping = page_mapping(page)
    if page.mapcount and mapping and try_to_unmap(k, pfn, TTU_UNMAP) != SWAP_SUCCESS:
        unlock_page(k, pfn)
        return -EAGAIN
    cond_resched(k)  # unmapping from many processes takes its time: a journal may have been committed meanwhile
    if take_out(k, pfn, mapping) != PAGE_CLEAN:
        return -EAGAIN
    trace(k, EVICTED, pfn, 0, 0)
    k.vmstat[VM_EVICTED] += 1
    list_del(k, pfn)
    put_page(k, pfn)
    return 0


def shrink_list(k, head, target):
    """Try to free the isolated pages of a list, until `target` are; the others go back.  How many were."""
    freed = 0
    while not list_empty(k, head):
        pfn = k.mem_map[head].next
        list_del(k, pfn)
        freed += settle_page(k, pfn, shrink_page(k, pfn) if freed < target else PAGE_KEEP)
    return freed


def shrink_page(k, pfn):
    """One round of shrink_list(), for one isolated page: PAGE_CLEAN if it can be freed now, else where it belongs."""
    page = k.mem_map[pfn]
    if page.flags & PG_writeback or not trylock_page(k, pfn):
        return PAGE_KEEP
    if page_referenced(k, pfn) and page.mapcount:
        unlock_page(k, pfn)
        return PAGE_ACTIVATE
    if page.mapping < 0 and not page.flags & PG_swapcache:
        if not k.sys.has_swap or not add_to_swap(k, pfn, GFP_ATOMIC):
            unlock_page(k, pfn)
            return PAGE_ACTIVATE
    if page.mapcount:
        answer = try_to_unmap(k, pfn, TTU_UNMAP)
        if answer != SWAP_SUCCESS:
            unlock_page(k, pfn)
            return PAGE_ACTIVATE if answer == SWAP_FAIL else PAGE_KEEP
    return take_out(k, pfn, page_mapping(page))


def settle_page(k, pfn, answer):
    """Free an isolated page, or give it back to its LRU list, as shrink_page() has answered: 1 if it is free now."""
    if answer == PAGE_CLEAN:
        put_page(k, pfn)
        return 1
    if answer == PAGE_ACTIVATE:
        k.mem_map[pfn].flags |= PG_active
    move_to_lru(k, pfn)
    return 0


def shrink_cache(k, node, scan, target):
    """Scan up to `scan` of the oldest inactive pages of a node, until `target` are freed; how many were."""
    head = work_list(k, SHRINK)
    inactive = zone_list(k, node, INACTIVE)
    for _ in range(scan):
        if list_empty(k, inactive):
            break
        pfn = k.mem_map[inactive].prev
        get_page(k, pfn)
        del_page_from_lru(k, pfn)
        list_add_tail(k, pfn, head)
    freed = shrink_list(k, head, target)
    k.vmstat[VM_RECLAIMED] += freed
    return freed


def refill_inactive_zone(k, node, scan, priority):
    """Move up to `scan` of the oldest active pages of a node that were not used lately to the inactive list."""
    active = zone_list(k, node, ACTIVE)
    for _ in range(scan):
        if list_empty(k, active):
            break
        pfn = k.mem_map[active].prev
        page = k.mem_map[pfn]
        get_page(k, pfn)
        del_page_from_lru(k, pfn)
        if page.mapcount and (priority > RECLAIM_MAPPED or page_referenced(k, pfn)):
            page.flags |= PG_active
        else:
            page.flags &= ~(PG_active | PG_referenced)
        move_to_lru(k, pfn)
    lru_add_drain_all(k)


def shrink_zone(k, node, priority, target):
    """One round over a node's lists, 2**priority-th of each; how many pages were freed."""
    zone = k.zone[node]
    lru_add_drain_all(k)
    refill_inactive_zone(k, node, (zone.active >> priority) + 1 if zone.active else 0, priority)
    scan = (zone.inactive >> priority) + SWAP_CLUSTER_MAX
    freed = 0
    while scan > 0 and freed < target and zone.inactive:
        batch = min(scan, SWAP_CLUSTER_MAX)
        freed += shrink_cache(k, node, batch, target - freed)
        scan -= batch
    lru_add_drain_all(k)
    return freed


def reclaim_begin(k):
    """Enter reclaim: the current task may use the last reserve and write to a busy device; its flags before."""
    task = k.task[k.sys.current]
    before = task.flags
    task.flags |= PF_MEMALLOC | PF_SWAPWRITE
    return before


def try_to_free_pages(k, zonelist, allowed):
    """Direct reclaim: free about 32 pages of the nodes that an allocation may use; how many were freed."""
    before = reclaim_begin(k)
    k.vmstat[VM_DIRECT_RECLAIM] += 1
    freed = 0
    for round_ in range(DEF_PRIORITY + 1):
        for i in range(k.sys.nr_nodes):
            node = k.zonelist[zonelist][i]
            if allowed >> node & 1 and freed < SWAP_CLUSTER_MAX:
                freed += shrink_zone(k, node, DEF_PRIORITY - round_, SWAP_CLUSTER_MAX - freed)
        if freed >= SWAP_CLUSTER_MAX:
            break
        if round_ > 2:
            blk_congestion_wait(k)
    k.task[k.sys.current].flags = before
    trace(k, DIRECT_RECLAIM, 0, 0, freed)
    return freed


def evict_oldest(k, node, target):
    """Free exactly `target` pages of a node, oldest first, if so many can be freed; how many were (kernel.reclaim)."""
    before = reclaim_begin(k)
    inactive = zone_list(k, node, INACTIVE)
    lru_add_drain_all(k)
    freed = 0
    idle = 0
    while freed < target and idle < 3:  # young ptes are cleared in one round and found old in the next
        idle += 1
        for _ in range(k.zone[node].inactive):
            if freed < target and not list_empty(k, inactive) and evict_page(k, k.mem_map[inactive].prev):
                freed += 1
                idle = 0
        if freed < target:
            refill_inactive_zone(k, node, k.zone[node].active, 0)
    lru_add_drain_all(k)
    k.task[k.sys.current].flags = before
    k.vmstat[VM_RECLAIMED] += freed
    return freed


def evict_page(k, pfn):
    """Free a page of the inactive list, and wait for what that takes: 1, or 0 if it cannot be (for kernel.reclaim)."""
    get_page(k, pfn)
    del_page_from_lru(k, pfn)
    answer = PAGE_KEEP
    for _ in range(4):  # an older write ends; tmpfs to the swap cache; written out; freed
        if answer == PAGE_KEEP:
            wait_on_page_bit(k, pfn, PG_writeback)
            answer = shrink_page(k, pfn)
    return settle_page(k, pfn, answer)


def balance_pgdat(k, node):
    """kswapd: free pages of a node, oldest first, until pages_high are; it waits for the writes that this takes."""
    zone = k.zone[node]
    zone.wake_kswapd = 0
    target = zone.pages_high - zone.free
    if target <= 0:
        return
    before = reclaim_begin(k)
    freed = 0
    idle = 0
    priority = DEF_PRIORITY
    while freed < target and idle < 3:
        got = shrink_zone(k, node, priority, target - freed)
        freed += got
        priority = max(0, priority - 1)
        waited = blk_congestion_wait(k) if not got else 1
        idle = 0 if got or (waited and priority) else idle + (priority == 0)
    k.task[k.sys.current].flags = before
    k.vmstat[VM_KSWAPD] += freed
    trace(k, KSWAPD, 0, 0, freed)


def run_kswapd(k, pid):
    """Let the kswapd of every node that was woken run, as task `pid` (kswapd, of all nodes)."""
    k.sys.kswapd_wanted = 0
    current = k.sys.current
    k.sys.current = pid
    for node in range(k.sys.nr_nodes):
        if k.zone[node].wake_kswapd:
            k.task[pid].node = node
            balance_pgdat(k, node)
    k.sys.current = current


def wakeup_kswapd(k, zonelist, allowed):
    """Ask for background reclaim on every node of the list; it runs when the current call has returned."""
    for i in range(k.sys.nr_nodes):
        node = k.zonelist[zonelist][i]
        if allowed >> node & 1:
            k.zone[node].wake_kswapd = 1
    k.sys.kswapd_wanted = 1
