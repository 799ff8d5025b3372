"""Write docs/kernel.md: which function of the kernel is which of mmsim.mm, and what is not modelled."""

import ast
from pathlib import Path
from typing import NamedTuple

MM = Path(__file__).parents[1] / "mmsim" / "mm"
HEAD = """# The modelled kernel

One module for each kernel source file that the series touches or relies on, in an order in which they can be read. Each
function takes the tables of the machine, `k`, and carries the name of the kernel function that it models; where it is
a part of one, or has another name, the table says so. Files are those of 2.6.14 where nothing else is said.
"[source]" shows the code: it is meant to be read.

| kernel file | kernel function | ours | not modelled in this file |
| --- | --- | --- | --- |
"""
OWN = "none"  # no kernel function: the machine's own


class Module(NamedTuple):
    """Where a module has its functions from; `named`: {ours: what it is in the kernel}, for all that differ in name."""

    file: str
    named: dict
    lacks: str


def parts(of, *ours):
    """Functions that are parts of one of the kernel."""
    return dict.fromkeys(ours, f"a part of {of}")


MODULES = {  # in an order in which they can be read
    "structs": Module("include/linux/mm.h, mmzone.h, sched.h, fs.h", {}, "fields that nothing modelled reads"),
    "trace": Module("none",
                    dict.fromkeys(("event", "trace", "append", "trace_list", "trace_skipped",
                                   "consider", "note", "give_up"), OWN)
                    | {"bug": "BUG()"}, "all of it is the machine's own"),
    "nodemask": Module("include/linux/nodemask.h, lib/bitmap.c", {"nth_node": "bitmap_ord_to_pos"},
                       "sets of more nodes than an integer has bits"),
    "mmzone": Module("include/linux/list.h, mmzone.h",
                     dict.fromkeys(("zone_list", "work_list", "walk_list"), OWN)
                     | {"list_add_between": "__list_add", "list_close": "__list_del",
                        "list_splice_tail": "list_splice"},
                     "zones DMA and HIGHMEM: a node is one zone"),
    "page_alloc": Module("mm/page_alloc.c",
                         {"zone_mark": "a part of zone_watermark_ok", "rmqueue": "buffered_rmqueue",
                          "free_page": "free_hot_page", "alloc_pages": "__alloc_pages"}
                         | parts("__alloc_pages", "alloc_pages_slow"),
                         "orders above 0, per-CPU lists, the OOM killer (the caller gets OutOfMemory)"),
    "mempolicy": Module("mm/mempolicy.c",
                        {"weighted_node": "weighted_interleave_nid (6.9)", "split_shared_policy":
                         "a part of shared_policy_replace", "get_shared_policy": "shmem_get_policy (mm/shmem.c)",
                         "alloc_page_policy": "a part of alloc_page_vma", "rebind_preferred": "mpol_rebind_preferred",
                         "relative_nodes": "mpol_relative_nodemask"},
                        "a file's own policy by mount option, nodemasks that the caller gave too short"),
    "swap": Module("mm/swap.c, include/linux/mm_inline.h",
                   {"add_page_to_lru": "add_page_to_active_list, add_page_to_inactive_list",
                    "drain_pagevec": "__pagevec_lru_add"}, "mark_page_accessed"),
    "timer": Module("kernel/timer.c",
                    {"interrupt": OWN, "wait_until": "schedule_timeout"}
                    | parts("__run_timers", "run_timer"), "jiffies: time is in nanoseconds"),
    "sched": Module("kernel/sched.c", {}, "run queues: one task runs, and sleeps where the kernel may"),
    "ll_rw_blk": Module("drivers/block/ll_rw_blk.c", {}, "I/O schedulers: first come, first served"),
    "radix_tree": Module("lib/radix-tree.c", {"file_page": OWN, "cache_grow": "cache_grow (mm/slab.c)"},
                         "heights, tags"),
    "rmap": Module("mm/rmap.c",
                   parts("try_to_unmap_anon and try_to_unmap_file", "first_vma", "next_vma"),
                   "nonlinear mappings, anon_vma chains (2.6.34)"),
    "migrate_page": Module("mm/vmscan.c with V1; mm/migrate.c later",
                           parts("migrate_page_remove_references", "unexpected_references", "replace_page",
                                 "unmap_old_page", "unmap_and_replace", "take_slot"),
                           "flags that nothing modelled sets"),
    "buffer": Module("fs/buffer.c",
                     {"block_commit_write": "__block_commit_write"}, "several buffers a page"),
    "filemap": Module("mm/filemap.c",
                      {"trylock_page": "TestSetPageLocked", "hold_locks": OWN,
                       "write_file_page": "a part of generic_file_buffered_write"}, "read-ahead, O_DIRECT"),
    "page_io": Module("mm/page_io.c", {}, "errors of the device"),
    "swap_map": Module("mm/swapfile.c", {}, "several devices, clusters of slots"),
    "swap_state": Module("mm/swap_state.c",
                         {"enter_swap_cache": "__add_to_swap_cache", "read_swap_cache": "read_swap_cache_async"},
                         "swap read-ahead"),
    "swapfile": Module("mm/swapfile.c",
                       {"unuse_locked": "a part of try_to_unuse", "unuse_ptes": "unuse_mm"},
                       "swapon: the device is there from the start"),
    "shmem": Module("mm/shmem.c", parts("shmem_getpage", "shmem_take_back"),
                    "limits of size, truncation of a part"),
    "aops": Module("include/linux/fs.h",
                   {"migrate_page_method": "the field migratepage of an address_space",
                    "writepage": "the field writepage of an address_space"}, "methods of other file systems"),
    "memory": Module("mm/memory.c",
                     {"zap_pte": "a part of zap_pte_range",
                      "migration_entry_wait": "migration_entry_wait (mm/migrate.c)",
                      "map_new_anon_page": "a part of do_anonymous_page, do_no_page and do_wp_page"}
                     | parts("do_no_page", "map_file_page") | parts("do_swap_page", "do_swap_page_locked"),
                     "page directories: the ptes of a vma are one row of a table"),
    "mlock": Module("mm/mlock.c", {}, "RLIMIT_MEMLOCK, mlockall"),
    "mmap": Module("mm/mmap.c",
                   {"vma_copy": "a part of split_vma and of dup_mmap", "same_policy": "mpol_equal",
                    "anon_vma_fits": "is_mergeable_anon_vma"}
                   | parts("do_mmap_pgoff", "new_vma") | parts("can_vma_merge_before and can_vma_merge_after", "alike")
                   | parts("vma_adjust", "join"),
                   "limits of address space, merging of two mmap() calls, growing stacks"),
    "fork": Module("kernel/fork.c", {}, "threads: a task is a process with an mm of its own"),
    "fault": Module("arch/i386/mm/fault.c, mm/memory.c",
                    {"touch_range": OWN, "touch": "do_page_fault, and the access", "access": OWN, "expected_data": OWN,
                     "fault_in": "a part of do_page_fault and of get_user_pages"}, "signals: the caller gets an errno"),
    "vmscan": Module("mm/vmscan.c",
                     {"take_out": "the end of shrink_list and of swap_page",
                      "shrink_page": "a part of shrink_list", "settle_page": "a part of shrink_cache",
                      "reclaim_begin": OWN, "evict_oldest": OWN, "evict_page": OWN, "run_kswapd": "kswapd"},
                     "slab shrinkers, laptop mode, swap tokens"),
    "migrate_v1": Module("mm/vmscan.c with V1",
                         parts("migrate_pages", "migrate_one_page", "lock_for_migration", "prepare_anonymous",
                               "move_locked_page", "migrate_by_method", "release_new_page"), "nothing that it has"),
    "migrate": Module("mm/migrate.c from 2.6.18 on",
                      {"get_new_page": "new_node_page and new_page_node", "new_vma_page":
                       "new_vma_page (mm/mempolicy.c)"},
                      "huge pages, batches (6.3), asynchronous migration, compaction"),
    "check_range": Module("mm/mempolicy.c",
                          {"misfit": "a part of check_pte_range",
                           "collect": "a part of migrate_page_add",
                           "collect_for_caller": "as an in-kernel caller does",
                           "flags_that_hold": "a part of vma_migratable",
                           "mapping_writably_mapped": "mapping_writably_mapped (include/linux/fs.h)"}
                          | parts("check_range", "check_vmas", "hole_beside"),
                          "pages of hugetlbfs"),
    "mbind": Module("mm/mempolicy.c",
                    {"migrate_frames": "what a caller in the kernel does, as memory hot-plug"}
                    | parts("migrate_pages_to", "free_pages_of", "list_length", "new_list")
                    | parts("do_migrate_pages and do_mbind", "move_or_evict") | parts("do_migrate_pages", "next_pair")
                    | parts("do_mbind", "move_misfits"), "the 32-bit calls of a 64-bit kernel"),
    "move_pages": Module("mm/migrate.c from 2.6.18 on",
                         {"page_at": "follow_page and what is made of its answer",
                          "how_to_allocate": "a part of new_page_node"} | parts("do_pages_move", "check_node"),
                         "addresses of huge pages"),
    "cpuset": Module("kernel/cpuset.c", {"cpuset_attach": "attach_task"}, "CPUs of a cpuset, mem_exclusive, spreading"),
    "memory_failure": Module("mm/memory-failure.c (2.6.33)",
                             {"set_hwpoison": "SetPageHWPoison", "settle": OWN}, "machine checks, killing of tasks"),
}  # fmt: skip


def functions(module):
    """The names of the functions of a module of mmsim.mm, in the order of its source."""
    source = ast.parse((MM / f"{module}.py").read_text())
    return [node.name for node in source.body if isinstance(node, ast.FunctionDef)]


def page():
    """The text of docs/kernel.md; made by `python docs/kernel.py`."""
    rows, sections = [], []
    for name, module in MODULES.items():
        file, lacks = module.file, module.lacks
        for ours in functions(name):
            if not ours.startswith("_"):
                rows.append(f"| {file} | {module.named.get(ours, ours)} | `{name}.{ours}` | {lacks} |\n")
                file = lacks = ""
        sections.append(f"{name}\n{'-' * len(name)}\n.. automodule:: mmsim.mm.{name}\n   :members:\n\n")
    return f"{HEAD}{''.join(rows)}\n```{{eval-rst}}\n{''.join(sections).rstrip()}\n```\n"


if __name__ == "__main__":
    (Path(__file__).parent / "kernel.md").write_text(page())
