"""Trouble in words: why there was no memory, and why the kernel stands still."""

import numpy as np

from .errors import BrokenOff, KernelBug, KernelHang, OutOfMemory
from ..mm import structs
from ..mm.structs import PTE_PRESENT, PTE_SWAP
from .names import page_name
from .policy import format_nodes, policy_of
from .results import governing, vm_flag_names, vma_ptes

MOST = 8  # nodes or ptes of a message
BUGS = {
    structs.BUG_NO_MAPPING: "BUG: migrate_page_remove_references() was given {page}, which has no mapping",
    structs.BUG_NO_SWAP: "BUG: anonymous {page} is to be moved, but without CONFIG_SWAP it has no swap entry",
    structs.BUG_PAGE_STATE: "BUG: bad page state of {page}",
    structs.BUG_OTHER_VMA: "BUG: {page} belongs to another part of the file than the vma that was taken for it",
    structs.BUG_COUNT: "BUG: {page} or its swap entry lost a reference too many",
    structs.HANG_UNMAP: "the unmap loop for {page} never ends: {who} is in it until no pte maps the page, and there is "
                        "no way back; {holders}, and nobody is left who would unlock or unmap it",
    structs.HANG_LOCK: "sleeping on {page}, but nobody will ever wake {who}: {holders}",
}  # fmt: skip


# -- no memory


def out_of_memory(kernel, task):
    """The OutOfMemory of a task whose fault has just found none: for which page, who was asked, what is free where."""
    address = int(kernel.k.sys.fault_address)
    vma = kernel._vma(task, address)
    policy = policy_of(governing(kernel, task, vma, address))
    return OutOfMemory(f"no memory for a page of {task.label} ({address:#x}): {shortage(kernel, task, policy)}; "
                       "the OOM killer would end a task now")  # fmt: skip


def shortage(kernel, task, policy=None):
    """Who was asked for the page that there was not: by policy (default: the task's), cpuset, node; what is free."""
    sys = kernel.k.sys
    order = kernel.tables["zonelist"][sys.oom_zonelist].tolist()
    asked = [node for node in order if sys.oom_allowed >> node & 1]
    cpuset = kernel._book["cpusets"][int(task._row["cpuset"])]
    mems = format_nodes(int(task._row["mems_allowed"]))
    few = f"node{'s' * (len(asked) > 1)} {', '.join(map(str, asked[:MOST]))}{', ...' * (len(asked) > MOST)}"
    return (f"policy {policy or policy_of(task._row)}, cpuset {cpuset} (mems {mems}): asked {few}; "
            f"{free_memory(kernel, asked)}")  # fmt: skip


def free_memory(kernel, first=()):
    """What is free on each node, those of `first` before the others: 'free: node 0: 5 (reserve 5), node 1: ...'."""
    zones = kernel.tables["zone"]
    nodes = [n for n in first if n < len(zones)]
    nodes += [n for n in range(len(zones)) if n not in nodes]
    said = []
    for node in nodes[:MOST]:
        zone = zones[node]
        memory = f"{zone['free']} (reserve {zone['pages_min']})" if zone["end"] > zone["start"] else "no memory"
        said.append(f"node {node}: {memory}")
    if rest := nodes[MOST:]:
        said.append(f"{len(rest)} other nodes: {zones['free'][rest].sum()}")
    return f"free: {', '.join(said)}"


# -- a kernel that stands still


def stopped(kernel, since=""):
    """The KernelBug, KernelHang or BrokenOff of a machine that stands still: who, at which page, and who has it."""
    sys = kernel.k.sys
    code, pfn = int(sys.bug), int(sys.bug_page)
    if code == structs.BROKEN_OFF:
        return BrokenOff(f"{since}a call was broken off half-way")
    there = list(places(kernel, pfn))
    who, page = actor(kernel, sys.bug_task), f"frame {pfn}"
    if there:
        page += f" ({at(kernel, there)})"
    if code == structs.HANG_UNMAP:
        holders = "; ".join(f"{actor(kernel, vma['vm_mm'])} maps it at {address:#x} in a vma with "
                            f"{vm_flag_names(vma['vm_flags'])}" for address, present, vma in there
                            if present and vma["vm_flags"] & (structs.VM_LOCKED | structs.VM_RESERVED))  # fmt: skip
        return KernelHang(since + BUGS[code].format(page=page, who=who, holders=holders or "a locked vma maps it"))
    if code == structs.HANG_LOCK:
        flags = kernel.tables["mem_map"]["flags"][pfn]
        what = "it is under writeback" if flags & structs.PG_writeback else "its lock is held"
        holders = f"{what}, and nobody is left who would end that"
        return KernelHang(since + BUGS[code].format(page=page, who=who, holders=holders))
    return KernelBug(f"{since}{BUGS[code].format(page=page)} (in {who})")


def places(kernel, pfn):
    """Where a frame is mapped, or was until it got its swap entry: address, whether it still is, and the vma."""
    page = kernel.tables["mem_map"][pfn]
    entry = page["private"] if page["flags"] & structs.PG_swapcache else -1
    for _, vma, ptes in vma_ptes(kernel):
        present = (ptes["flags"] & PTE_PRESENT != 0) & (ptes["value"] == pfn)
        for i in np.flatnonzero(present | (ptes["flags"] & PTE_SWAP != 0) & (ptes["value"] == entry)).tolist():
            yield int(vma["vm_start"]) + i, bool(present[i]), vma


def at(kernel, there):
    """Places as text: 'page 0 of a, page 3 of b'."""
    named = [page_name(kernel, vma["vm_mm"], address) for address, _, vma in there]
    return ", ".join(named[:MOST]) + ", ..." * (len(named) > MOST)


def actor(kernel, pid):
    """A task as 'a (pid 2)'; the kernel itself."""
    return f"{kernel._book['tasks'][int(pid)]} (pid {pid})" if pid else "the kernel"
