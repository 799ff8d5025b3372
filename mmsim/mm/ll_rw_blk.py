"""The queue of a block device (drivers/block/ll_rw_blk.c): writes under way, and waiting for some of them to end."""

from .structs import PG_writeback
from .timer import IO_DONE, add_timer, run_timer

NR_REQUESTS = 128  # writes that a device queues before the writer must wait


def submit_bio(k, pfn, done):
    """Queue the write of a page that ends at `done` (set_page_writeback, too); a full queue makes the writer wait."""
    while k.sys.in_flight >= NR_REQUESTS:
        run_timer(k)
    k.mem_map[pfn].flags |= PG_writeback
    k.sys.in_flight += 1
    add_timer(k, done, IO_DONE, pfn, 0, 0)


def bdi_write_congested(k):
    """True where the device has so much to do that only PF_SWAPWRITE may add to it (of backing-dev.h)."""
    return k.sys.in_flight >= NR_REQUESTS * 7 // 8


def blk_congestion_wait(k):
    """blk_congestion_wait(): sleep until some write has ended; 0 if none is under way."""
    if not k.sys.in_flight:
        return 0
    before = k.sys.in_flight
    while k.sys.in_flight >= before:
        run_timer(k)
    return 1
