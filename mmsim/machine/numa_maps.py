"""/proc/PID/numa_maps, in the form that it had in each release; V1 has that of today, said of each vma."""

import numpy as np

from ..mm import structs
from ..mm.structs import PTE_DIRTY, PTE_PRESENT
from .changes import order
from .policy import policy_of
from .results import PAGE_SIZE, governing

# Since when each form is there, and which change brought it. The first one, of 2.6.14, is in fs/proc/task_mmu.c.
LOWER_CASE = order("2.6.16-rc1")  # "Fold numa_maps into mempolicies.c": a vma without pages is not shown
COMPACT = order("2.6.16")  # "numa_maps update": each vma is shown, of its numbers those that say something
COLONS = order("2.6.26")  # "mempolicy: rework shmem mpol parsing and display" (095f1fc4ebf3)
PAGE_SIZES = order("4.1")  # "fs: proc: task_mmu: show page size in /proc/<pid>/numa_maps"
WORDS = {"preferred_many": "prefer (many)", "preferred": "prefer", "weighted_interleave": "weighted interleave"}


def numa_maps(task):
    """As /proc/PID/numa_maps: one line a vma: address, policy, how many of its pages are what, and on which node."""
    kernel = task._kernel
    release = order(kernel.release) if kernel.release else PAGE_SIZES
    lines = (line(kernel, task, vma, release) for vma in task._vmas())
    return "\n".join(filter(None, lines))


def line(kernel, task, vma, release):
    """The line of a vma; empty where the release shows none."""
    frame = kernel.tables["mem_map"]
    ptes = kernel.tables["pte"][vma["pte_base"] + vma["vm_start"] : vma["pte_base"] + vma["vm_end"]]
    own = ptes["flags"] & PTE_PRESENT != 0
    own &= frame["flags"][ptes["value"] * own] & structs.PG_reserved == 0
    pfn, pages = ptes["value"][own], int(np.count_nonzero(own))
    flags, most = frame["flags"][pfn], int(frame["mapcount"][pfn].max(initial=0))
    anon = int(np.count_nonzero(frame["mapping"][pfn] < 0))
    policy = policy_text(governing(kernel, task, vma, int(vma["vm_start"])), release)
    words = [f"{int(vma['vm_start']) * PAGE_SIZE:0{8 if kernel.release else 1}x}", policy]
    nodes = [f"N{node}={count}" for node, count in enumerate(np.bincount(frame["node"][pfn])) if count]
    if release < LOWER_CASE:
        return " ".join([*words, f"MaxRef={most} Pages={pages} Mapped={pages}", *[f"Anon={anon}"] * bool(anon), *nodes])
    if release < COMPACT:
        words += [f"pages={pages} mapped={pages} maxref={most}", *[f"anon={anon}"] * bool(anon)]
        return " ".join([*words, *nodes]) if pages else ""
    dirty = int(np.count_nonzero((ptes["flags"][own] & PTE_DIRTY != 0) | (flags & structs.PG_dirty != 0)))
    active = np.count_nonzero(flags & structs.PG_active)
    counts = {
        "anon": anon,
        "dirty": dirty,
        "mapped": pages if pages not in (anon, dirty) else 0,
        "mapmax": most if most > 1 else 0,
        "swapcache": np.count_nonzero(flags & structs.PG_swapcache),
        "active": str(active) if active < pages else "",  # none of several is worth saying
        "writeback": np.count_nonzero(flags & structs.PG_writeback),
    }
    if vma["mapping"]:
        words.append(f"file={kernel._book['files'][int(vma['mapping'])]}")
    words += [f"{name}={count}" for name, count in counts.items() if count]
    size = ["kernelpagesize_kB=4"] * bool(release >= PAGE_SIZES and (pages or not kernel.release))
    return " ".join([*words, *nodes, *size])


def policy_text(row, release=PAGE_SIZES):
    """A policy as numa_maps writes it: bind:0-1, before 2.6.26 bind=0-1, before 2.6.16-rc1 bind={0/Normal,1/Normal}."""
    policy = policy_of(row, effective=True)
    text = str(policy).replace(policy.mode, WORDS.get(policy.mode, policy.mode), 1)
    if release >= COLONS:
        return text
    mode, _, nodes = text.partition(":")
    if nodes and release < LOWER_CASE and policy.mode != "preferred":
        zone = "/Normal" * (policy.mode == "bind")
        nodes = f"{{{','.join(f'{node}{zone}' for node in policy.nodes)}}}"
    return f"{mode}={nodes}" if nodes else text
