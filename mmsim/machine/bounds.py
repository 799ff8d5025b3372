"""Numbers in the tables that name something: a row, a node, one of a few words; each must be one that is there.

verify() looks at what the tables say together. It trusts these numbers, and so does compiled code.
"""

import numpy as np

from .errors import InvariantError
from .file import FS_NAMES
from ..mm import ll_rw_blk, mbind, structs, timer, trace
from .verify import demand

MANY = (1 << 31) - 1


def check_bounds(kernel):
    """InvariantError for the first number of a machine that names no row, node or word that is there."""
    for name, columns in bounds(kernel).items():
        table = kernel.tables[name]
        for column, (least, most) in columns.items():
            numbers = table[column] if column else table
            demand(
                ((numbers >= least) & (numbers <= most)).reshape(len(table), -1).all(1),
                f"its {column or 'number'} is not from {least} to {most}", f"{name}: row",
            )  # fmt: skip
    check_places(kernel)


def bounds(kernel):
    """What the numbers in the tables may be: {table: {column: (least, most)}}; of a table without columns: ""."""
    tables, book, nodes = kernel.tables, kernel._book, kernel.topology.nodes
    rows = {name: (0, len(table) - 1) for name, table in tables.items()}
    node, some_node, sets = (0, nodes - 1), (-1, nodes - 1), (0, (1 << nodes) - 1)
    pid, group, file = (0, len(book["tasks"]) - 1), (0, len(book["cpusets"]) - 1), (0, len(book["files"]) + 1)
    pfn, entry, address = (0, sum(kernel.topology.frames) - 1), rows["swap_map"], (0, mbind.END_OF_MEMORY)
    number, time, yes = (0, MANY), (0, 1 << 62), (0, 1)
    policy = {"mode": (0, structs.MPOL_WEIGHTED_INTERLEAVE), "home": some_node, "nodes": sets, "mpol_flags": (0, 2),
              "asked": (0, (1 << structs.MAX_NODES) - 1)}  # fmt: skip

    def all_of(bounds, columns):
        return dict.fromkeys(columns.split(), bounds)

    return {
        "mem_map": all_of(number, "count mapcount index private") | all_of(rows["mem_map"], "next prev")
        | {"mapping": (-rows["anon_vma"][1], file[1]), "row": rows["considered"]},
        "zone": all_of(number, "free lowest_free pages_min pages_low pages_high")
        | all_of(time, "irq_hold irq_period") | {"wake_kswapd": yes, "weight": (0, 255)},
        "pagevec": {"": pfn},
        "pagevec_count": {"": (0, structs.PAGEVEC_SIZE)},
        "pte": {"flags": (0, 2 * structs.PTE_MIGRATION - 1)},
        "vma": policy | all_of(address, "vm_start vm_end") | all_of(rows["vma"], "vm_next shared_next anon_next")
        | {"vm_mm": pid, "vm_pgoff": number, "mapping": file, "anon_vma": rows["anon_vma"]},
        "anon_vma": {"": rows["vma"]},
        "task": policy | all_of(rows["vma"], "mmap mmap_cache") | all_of(node, "node il_next")
        | {"cpuset": group, "mems_allowed": sets, "il_weight": (0, 255)},
        "cpuset": {"parent": group, "memory_migrate": yes, "mems": sets, "unified": yes, "asked": sets},
        "mapping": all_of(number, "pages base")
        | {"fs": (0, max(FS_NAMES.values())), "i_mmap": rows["vma"], "nameless": yes, "policy": rows["sp_node"]},
        "sp_node": policy | {"next": rows["sp_node"]},
        "file_page": {"pfn": pfn, "entry": entry},
        "swap_map": {"": number},
        "swap_cache": {"": pfn},
        "radix_count": {"": (0, structs.RADIX_KEYS)},
        "event": {"code": (0, max(trace.EVENTS)), "actor": pid},
        "considered": all_of(pfn, "old_pfn new_pfn")
        | {"mm": pid, "asked": some_node, "path": (0, len(trace.PATHS) - 1), "passes": (0, 127), "error": (0, 63),
           "reason": (0, len(trace.REASONS) - 1)},
        "vmstat": {"": time},
        "sys": all_of(time, "clock timers_added swap_free_at disk_free_at")
        | all_of(number, "writes passes nr_events slab_nodes swap_inuse in_flight overflow")
        | all_of(yes, "swap_on tracing kswapd_wanted")
        | {"current": pid, "bug_task": pid, "fault_address": address, "oom_allowed": sets, "oom_zonelist": (0, nodes),
           "bug": (0, structs.BROKEN_OFF), "bug_page": rows["mem_map"], "nr_considered": rows["considered"],
           "first_timer": (0, len(tables["timer"])), "nr_timers": (0, len(tables["timer"])),
           "migration_pass": (-1, 127), "swap_cursor": (1, max(1, entry[1])),
           "vma_cursor": (1, len(tables["vma"])), "anon_vma_cursor": (1, len(tables["anon_vma"]))},
    }  # fmt: skip


def check_places(kernel):
    """Numbers whose meaning depends on the rest of their row; ranges that must end inside something."""
    t, slots = kernel.tables, len(kernel.tables["swap_map"])
    frames, tasks = int(kernel.k.sys.nr_frames), len(kernel._book["tasks"])

    pages, sizes = t["mem_map"], t["mapping"]["pages"]
    of_file, cached = pages["mapping"] > 0, pages["flags"] & structs.PG_swapcache != 0
    demand(~of_file | (pages["index"] < sizes[pages["mapping"] * of_file]), "its index is behind the end of its file")
    demand(~cached | (pages["private"] > 0) & (pages["private"] < slots), "it is in the swap cache, without an entry")

    files = t["mapping"][2 : len(kernel._book["files"]) + 2]
    end = files["base"].astype(np.int64) + files["pages"]
    apart = (files["base"] >= np.append(0, end)[:-1]) & (end <= len(t["file_page"]))
    demand(apart & (files["fs"] > structs.FS_SWAP), "its pages are those of another, or of none", "file")

    flags, value = t["pte"]["flags"], t["pte"]["value"]
    present, swap = flags & structs.PTE_PRESENT != 0, flags & structs.PTE_SWAP != 0
    demand(~present | ~swap & (value >= 0) & (value < frames), "it maps no page frame", "page table row")
    moving = flags & structs.PTE_MIGRATION != 0
    names_one = ~present & ~swap & (value >= 0) & (value < frames)
    demand(~moving | names_one, "it names no page that moves", "page table row")
    demand(~swap | (value > 0) & (value < slots), "it holds no swap entry", "page table row")
    demand((flags != 0) | (value == 0), "it is empty, but has a value", "page table row")

    vmas = t["vma"].astype([(name, np.int64) for name in structs.VMA.names])
    size = vmas["vm_end"] - vmas["vm_start"]
    inside = (vmas["pte_base"] + vmas["vm_start"] >= 0) & (vmas["pte_base"] + vmas["vm_end"] <= len(flags)) & (size > 0)
    inside &= (vmas["mapping"] == 0) | (vmas["vm_pgoff"] + size <= sizes[vmas["mapping"]])
    demand((vmas["vm_mm"] == 0) | inside, "it is behind the end of the page tables, or of its file", "vma")

    for name in ("vma", "task", "sp_node"):
        among = np.isin(t[name]["mode"], (structs.MPOL_BIND, structs.MPOL_INTERLEAVE, structs.MPOL_WEIGHTED_INTERLEAVE))
        demand(~among | (t[name]["nodes"] != 0), "its policy has no nodes", f"{name}: row")

    demand(np.isin(t["event"]["code"], [*trace.EVENTS]), "it is no event that there is", "event")

    waiting = kernel._timers()
    if len(waiting) != kernel.k.sys.nr_timers:
        raise InvariantError("timer: those that are pending do not end within the table")
    limits = {timer.INTERRUPT: kernel.topology.nodes, timer.MUNMAP: tasks}
    limits = np.array([limits.get(kind, frames) for kind in range(timer.MUNMAP + 1)])
    known = np.isin(waiting["kind"], np.arange(len(limits)))
    demand(known & (waiting["a"] >= 0) & (waiting["a"] < limits[waiting["kind"] * known]), "it is of nothing", "timer")
    demand(waiting["time"][1:] >= waiting["time"][:-1], "it is due before the one that comes first", "timer")
    if t["zone"]["irq_period"].any() and len(t["timer"]) < 2 * frames + ll_rw_blk.NR_REQUESTS:
        raise InvariantError("timer: there is no room for the packets of all interrupts")
