"""Reading and writing the swap device (mm/page_io.c): one device, first come first served."""

from .ll_rw_blk import submit_bio
from .structs import PG_dirty, PG_uptodate, VM_SWAP_READ, VM_SWAP_WRITE
from .timer import wait_until
from .trace import PAGEOUT_START, trace


def swap_writepage(k, pfn):
    """Start writing a swap cache page to its slot; it is under writeback until the device has done it."""
    page = k.mem_map[pfn]
    page.flags &= ~PG_dirty
    k.swap_data[page.private] = page.data
    done = k.sys.swap_free_at = max(k.sys.clock, k.sys.swap_free_at) + k.costs.swap_write
    k.vmstat[VM_SWAP_WRITE] += 1
    submit_bio(k, pfn, done)
    trace(k, PAGEOUT_START, pfn, 0, page.private)


def swap_readpage(k, pfn):
    """Read a page from its slot, and sleep until it is there."""
    page = k.mem_map[pfn]
    done = k.sys.swap_free_at = max(k.sys.clock, k.sys.swap_free_at) + k.costs.swap_read
    k.vmstat[VM_SWAP_READ] += 1
    wait_until(k, done)
    page.data = k.swap_data[page.private]
    page.flags |= PG_uptodate
