"""The tables of the machine (include/linux/mm.h, mmzone.h, sched.h, fs.h).

The whole state of a machine is the handful of numpy arrays below; the kernel is plain functions over them.  `Tables`
holds one view of each: ctypes arrays over the same memory, as the source stands; columns, when it is interpreted
(mmsim.machine.interpreted); bare pointers, compiled (mmsim.machine.columns).

Every number that names a row keeps 0 for "none", as NULL does in C: page frame 0 is the zero page, swap entry 0 the
header of the swap device, task 0 the kernel itself.
"""

from typing import Any, NamedTuple

import numpy as np

# page.flags (include/linux/page-flags.h)
(PG_locked, PG_referenced, PG_uptodate, PG_dirty, PG_lru, PG_active, PG_reserved, PG_private, PG_writeback,
 PG_swapcache, PG_mappedtodisk, PG_error, PG_checked) = (1 << bit for bit in range(13))  # fmt: skip
PG_slab = 1 << 13  # a kernel page: radix tree nodes, or a packet buffer
PG_free = 1 << 14  # on the free list of its zone
PG_hwpoison = -1 << 15  # bad memory, the sign of page.flags: taken out of use, as soon as nobody refers to it

# page.private of a page with buffers: the state of the buffers (include/linux/buffer_head.h)
BH_Dirty = 1 << 0
BH_JBD = 1 << 2  # in a journal: must not be released

# pte.flags
PTE_PRESENT, PTE_RW, PTE_YOUNG, PTE_DIRTY = (1 << bit for bit in range(4))
PTE_SWAP = 1 << 4  # not present: value is a swap entry
PTE_MIGRATION = 1 << 5  # not present: value is a page that is moving; PTE_RW: it was writable

# vma.vm_flags
VM_WRITE, VM_SHARED, VM_LOCKED, VM_IO, VM_RESERVED, VM_DENYWRITE, VM_SHM = (1 << bit for bit in range(7))
VM_CLONED = 1 << 7  # of our own: its anon_vma came with fork() from a parent
VM_NOT_MIGRATABLE = VM_LOCKED | VM_IO | VM_RESERVED | VM_DENYWRITE | VM_SHM

# memory policies (include/linux/mempolicy.h)
MPOL_DEFAULT, MPOL_PREFERRED, MPOL_BIND, MPOL_INTERLEAVE, MPOL_LOCAL, MPOL_PREFERRED_MANY = range(6)
MPOL_WEIGHTED_INTERLEAVE = 6
MPOL_F_STATIC_NODES, MPOL_F_RELATIVE_NODES = 1, 2

# task.flags
PF_MEMALLOC = 1 << 0  # reclaiming: may use the last reserve
PF_SWAPWRITE = 1 << 1  # may write to a congested device
PF_KTHREAD = 1 << 2  # has no address space
PF_DEAD = 1 << 3
PF_MMAP_SEM = 1 << 4  # its mmap_sem is held, by a fault or a migration: its vmas stay

# GFP masks (include/linux/gfp.h)
GFP_WAIT = 1 << 0  # __GFP_WAIT: the caller may sleep
GFP_HIGH = 1 << 1  # __GFP_HIGH: may use the reserve
GFP_NOMEMALLOC = 1 << 2  # __GFP_NOMEMALLOC: never the last reserve
GFP_NO_MARK = 1 << 3  # ALLOC_NO_WATERMARKS: for those who free memory
GFP_ATOMIC = GFP_HIGH
GFP_KERNEL = GFP_HIGHUSER = GFP_WAIT
GFP_THISNODE = 0  # of the node that is asked for, without reclaim

# the address_space of a file system decides what its pages may do
FS_SWAP, FS_EXT2, FS_EXT3, FS_EXT3_JOURNALLED, FS_XFS, FS_XFS_META, FS_NFS, FS_REISERFS, FS_TMPFS = range(9)
FS_RAMFS = 9  # lives in the page cache alone, and cannot be written anywhere
SWAPPER_SPACE = 1  # row of k.mapping: the swap cache

# errno (include/asm-generic/errno-base.h, errno.h)
EPERM, ENOENT, ESRCH, EIO, EAGAIN, ENOMEM, EACCES, EFAULT, EBUSY, EEXIST = 1, 2, 3, 5, 11, 12, 13, 14, 16, 17
ENODEV, EINVAL, ENOSPC, ENOSYS = 19, 22, 28, 38

# what may go wrong inside the kernel; the machine raises it when the call returns
BUG_NONE, BUG_NO_MAPPING, BUG_NO_SWAP, HANG_UNMAP, HANG_LOCK, BUG_PAGE_STATE, BUG_COUNT, BUG_OTHER_VMA = range(8)
BROKEN_OFF = 8  # not the kernel: somebody ended a call half-way

# vmstat counters, in the order of k.vmstat
VMSTAT = (
    "alloc", "free", "alloc_fallback", "minor", "major", "protection", "copied", "migrated", "evicted", "swap_write",
    "swap_read", "file_write", "file_read", "unmapped", "restored", "reclaimed", "direct_reclaim", "kswapd", "oom",
    "interrupts", "atomic_failures", "stale_reads", "swap_peak", "slab_pages",
)  # fmt: skip
(VM_ALLOC, VM_FREE, VM_FALLBACK, VM_MINOR, VM_MAJOR, VM_PROTECTION, VM_COPIED, VM_MIGRATED, VM_EVICTED, VM_SWAP_WRITE,
 VM_SWAP_READ, VM_FILE_WRITE, VM_FILE_READ, VM_UNMAPPED, VM_RESTORED, VM_RECLAIMED, VM_DIRECT_RECLAIM, VM_KSWAPD,
 VM_OOM, VM_INTERRUPTS, VM_ATOMIC_FAILURES, VM_STALE_READS, VM_SWAP_PEAK,
 VM_SLAB_PAGES) = range(len(VMSTAT))  # fmt: skip

PAGEVEC_SIZE = 14
RADIX_KEYS = 64  # keys of one radix tree node
RADIX_NODES = 7  # nodes of one slab page
MAX_UID = (1 << 31) - 1
PID_MAX = 1 << 15  # pids are below it (include/linux/threads.h: PID_MAX_DEFAULT)
MAX_NODES = 62  # a node set is one 64-bit integer
POISON = -1  # data of a frame or slot that nobody owns


def _dtype(**columns):
    return np.dtype(list(columns.items()), align=True)


PAGE = _dtype(
    flags="i2", node="i2",
    count="i4",  # page_count(): references
    mapcount="i4",  # page_mapcount(): ptes that map it
    mapping="i4",  # > 0 address_space, < 0 minus the anon_vma, 0 none
    index="i4",  # offset in the object, in pages
    private="i4",  # swap entry, or state of the buffers
    next="i4", prev="i4",  # page->lru: the one list that the page is on
    data="i4",  # its contents: number of the write that made them
    row="i4",  # the running migration's record of it (k.considered), or 0
)  # fmt: skip
PTE = _dtype(value="i4", flags="i4")  # pfn or entry; bits
ZONE = _dtype(
    start="i4", end="i4", free="i4", lowest_free="i4", pages_min="i4", pages_low="i4", pages_high="i4",
    active="i4", inactive="i4", wake_kswapd="i4", weight="i4",  # weight: for weighted interleave
    irq_hold="i8", irq_period="i8",
)  # fmt: skip
VMA = _dtype(
    vm_mm="i4",  # pid of its task: one task an mm; 0: a free row
    vm_start="i4", vm_end="i4", vm_pgoff="i4", vm_flags="i4",
    vm_next="i4",  # next in the mm, by address
    mapping="i4", shared_next="i4",  # file, and next vma of the same file
    anon_vma="i4", anon_next="i4",  # anon_vma, and next vma of the same anon_vma
    pte_base="i4",  # the pte of address a is k.pte[pte_base + a]
    mode="i4", home="i4",  # memory policy; home: PREFERRED's node or -1
    mpol_flags="i4",  # MPOL_F_STATIC_NODES or MPOL_F_RELATIVE_NODES: then `asked` has what the program named
    nodes="i8", asked="i8",
)  # fmt: skip
TASK = _dtype(
    uid="i4", euid="i4", suid="i4", caps="i4", node="i4", flags="i4", cpuset="i4",
    mmap="i4", mmap_cache="i4",  # its first vma; the one that was made or faulted in last, where searches begin; or 0
    mode="i4", home="i4", mpol_flags="i4", il_next="i4", il_weight="i4",
    nodes="i8", asked="i8", mems_allowed="i8",
)  # fmt: skip
MAPPING = _dtype(  # address_space, host inode included
    fs="i4", pages="i4", base="i4", i_mmap="i4", nameless="i4", policy="i4",  # policy: its first row in k.sp_node, or 0
)  # fmt: skip
SP_NODE = _dtype(
    start="i4", end="i4", next="i4",  # pages of the object; next range of the same object, by offset
    mode="i4", home="i4", mpol_flags="i4",  # as in VMA; mode MPOL_DEFAULT: a free row
    nodes="i8", asked="i8",
)  # fmt: skip
FILE_PAGE = _dtype(pfn="i4", entry="i4", disk="i4", wrote="i4")  # page cache; tmpfs's noted swap entry; contents
CPUSET = _dtype(
    parent="i4", memory_migrate="i4", mems="i8",
    unified="i4", asked="i8",  # of the unified hierarchy: the nodes that were written, of which mems is what is left
)  # fmt: skip
TIMER = _dtype(time="i8", added="i8", kind="i4", a="i4", b="i4", c="i4")  # added: how many were before it
EVENT = _dtype(time="i8", code="i4", actor="i4", page="i4", new_page="i4", arg="i4", pass_="i4")
CONSIDERED = _dtype(  # a row of each page that is looked at: small numbers are kept small
    address="i4", old_pfn="i4", new_pfn="i4", mm="i2", asked="i1", path="i1", error="i1", reason="i1", passes="i1",
)  # fmt: skip
COSTS = _dtype(
    alloc="i8", unmap="i8", copy="i8", swap_write="i8", swap_read="i8", file_write="i8", file_read="i8",
    minor="i8", access="i8",
)  # fmt: skip
# What was changed since V1, each a switch by its name (docs/changes.md); all 0 in V1.
CHANGE_NAMES = (
    "mapcount_rule", "root_moves_all", "cap_sys_nice", "locked_elsewhere", "chunks", "no_swap_no_migration",
    "vma_policies_follow", "cpuset_moves_at_once", "absent_mems_dropped", "empty_mems_refused",
    "zonelists_take_turns", "pageout_keeps_mapped", "strict_collects", "target_cpuset", "shmem_method",
    "migration_entries", "file_ptes", "one_by_one", "ten_passes", "move_pages", "move_pages_node_only", "mbind_clips",
    "locked_vmas_move", "absent_target", "no_zero_page", "address_of_the_page", "set_mempolicy_clips", "bind_nearest",
    "static_relative", "cpuset_files_strict", "move_pages_zero", "hole_at_head", "mbind_merges", "static_takes_all",
    "clones_stay", "permission_first", "node_in_both_stays", "hole_moves_nothing", "mpol_local", "fault_around",
    "move_pages_reclaims", "this_node_only", "move_pages_efault", "ptrace_access", "ptrace_migrates",
    "targets_clipped", "move_pages_in_order", "cgroup_v2", "strict_says_so", "hole_at_tail", "present_has_status",
    "never_tried_counted", "preferred_stays", "preferred_many", "cgroup_v2_moves", "young_remembered",
    "strict_walks_on", "failures_counted", "weighted_interleave", "empty_pte_enoent",
)  # fmt: skip
CHANGE = _dtype(**dict.fromkeys(CHANGE_NAMES, "i4"))
SYSTEM = _dtype(
    clock="i8", swap_free_at="i8", disk_free_at="i8", timers_added="i8",  # ns; when the device has done what is queued
    nr_nodes="i4", nr_frames="i4", lists="i4", work="i4",  # first of the list heads behind mem_map, and of work_list()
    current="i4", migration_pass="i4", writes="i4",  # pid; -1 outside migrate_pages(); number of the last write
    passes="i4",  # how many there were since a page was collected
    first_timer="i4", nr_timers="i4", nr_events="i4", nr_considered="i4", overflow="i4",
    swap_slots="i4", swap_inuse="i4", swap_cursor="i4", swap_on="i4", in_flight="i4",
    slab_nodes="i4",  # free radix tree nodes
    vma_cursor="i4", anon_vma_cursor="i4",  # no row of k.vma, or k.anon_vma, before it is free
    bug="i4", bug_page="i4", bug_task="i4",
    fault_address="i4", oom_zonelist="i4", oom_allowed="i8",  # of the last fault and the last allocation that failed
    numa="i4", has_swap="i4", tracing="i4", kswapd_wanted="i4",
)  # fmt: skip

# list heads: three a node, then the lists of one migration and of one reclaim
FREE, ACTIVE, INACTIVE = 0, 1, 2
PAGELIST, NEWLIST, FAILED, MOVED, SHRINK = 0, 1, 2, 3, 4
WORK_LISTS = 5


class Tables(NamedTuple):
    """All of a machine's state; the parameter `k` of every kernel function."""

    mem_map: Any  # PAGE: page frames by pfn, then the list heads
    zone: Any  # ZONE by node
    zonelist: Any  # int [node][i], nearest first; row nr_nodes: ascending
    distance: Any  # int [node][node], 10 = local
    pagevec: Any  # int [2 * cpu + active][14]: pages on their way to the LRU lists
    pagevec_count: Any  # int [2 * cpu + active]
    pte: Any  # PTE
    wrote: Any  # int by row of k.pte: what its owner last wrote there privately, to tell whether it is still there
    vma: Any  # VMA
    anon_vma: Any  # int: the first vma of each anon_vma, 0 = none
    task: Any  # TASK by pid
    cpuset: Any  # CPUSET
    mapping: Any  # MAPPING
    sp_node: Any  # SP_NODE: the memory policies of tmpfs files and shared memory, by range
    file_page: Any  # FILE_PAGE, from mapping.base on
    swap_map: Any  # int by entry: users
    swap_cache: Any  # int by entry: page in the swap cache, 0 = none
    swap_data: Any  # int by entry: contents
    radix_count: Any  # int by entry // 64: keys in use of that radix tree node
    timer: Any  # TIMER, in the order of time, from row sys.first_timer on
    event: Any  # EVENT, the trace
    considered: Any  # CONSIDERED: what became of each page of the running migration
    vmstat: Any  # int, VMSTAT
    patch: Any  # int [8]: patch n is applied; 0: Swap Migration, on which they build
    change: Any  # CHANGE, one row
    costs: Any  # COSTS, one row
    sys: Any  # SYSTEM, one row
