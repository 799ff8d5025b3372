"""Booting: the tables of a machine on which nothing runs yet."""

import functools

import numpy as np

from ..mm import ll_rw_blk, structs

BLOCK = 1 << 14  # page frames that fit into a cache of the host


def boot_tables(topology, config, release, slots, costs, events):
    """The arrays of a machine that has just booted: all frames free, but for the zero page."""
    s = structs
    nodes, frames = topology.nodes, sum(topology.frames)
    tables = {
        "mem_map": np.zeros(frames + 3 * nodes + s.WORK_LISTS, s.PAGE),
        "zone": np.zeros(nodes, s.ZONE),
        "zonelist": zonelists(topology, release),
        "distance": np.array(topology.distances, np.int32),
        "pagevec": np.zeros((2 * nodes, s.PAGEVEC_SIZE), np.int32),
        "pagevec_count": np.zeros(2 * nodes, np.int32),
        "pte": np.zeros(64, s.PTE),
        "wrote": np.zeros(64, np.int32),
        "vma": np.zeros(16, s.VMA),
        "anon_vma": np.zeros(17, np.int32),
        "task": np.zeros(8, s.TASK),
        "cpuset": np.zeros(4, s.CPUSET),
        "mapping": np.zeros(4, s.MAPPING),
        "sp_node": np.zeros(16, s.SP_NODE),
        "file_page": np.zeros(64, s.FILE_PAGE),
        "swap_map": np.zeros(slots + 1, np.int32),
        "swap_cache": np.zeros(slots + 1, np.int32),
        "swap_data": np.full(slots + 1, s.POISON, np.int32),
        "radix_count": np.zeros(slots // s.RADIX_KEYS + 1, np.int32),
        "timer": np.zeros(2 * ll_rw_blk.NR_REQUESTS, s.TIMER),
        "event": np.zeros(max(events, 1), s.EVENT),
        "considered": np.zeros(2, s.CONSIDERED),
        "vmstat": np.zeros(len(s.VMSTAT), np.int64),
        "patch": np.array([release.swap_migration, *(n in release.patches for n in range(1, 8))], np.int32),
        "change": np.array([tuple(c.replace("_", "-") in release.changes for c in s.CHANGE_NAMES)], s.CHANGE),
        "costs": np.array([tuple(vars(costs).values())], s.COSTS),
        "sys": np.zeros(1, s.SYSTEM),
    }  # fmt: skip
    every = (1 << nodes) - 1
    tables["task"]["mems_allowed"][:2] = every
    tables["task"]["flags"][:2] = s.PF_KTHREAD
    tables["task"]["home"] = -1
    tables["cpuset"]["mems"][0] = every
    sys = tables["sys"][0]
    sys["nr_nodes"], sys["nr_frames"], sys["lists"] = nodes, frames, frames
    sys["work"] = frames + 3 * nodes
    sys["migration_pass"], sys["swap_slots"] = -1, slots
    sys["swap_cursor"] = sys["vma_cursor"] = sys["anon_vma_cursor"] = 1
    sys["swap_on"], sys["has_swap"], sys["numa"], sys["tracing"] = slots > 0, config.swap, config.numa, events > 0
    boot_zones(tables, topology)
    return tables


def zonelists(topology, release):
    """The zonelist of each node, and the ascending one; nodes without memory, which have none to give, stand behind.

    Of nodes that are equally far the model of V1 takes the lower number first; a release does as Linux always has.
    """
    every = range(topology.nodes)
    take_turns = "zonelists-take-turns" in release.changes
    lists = build_zonelists(topology) if take_turns else [topology.zonelist(node) for node in every]
    return np.array([[*nodes, *(n for n in every if n not in nodes)] for nodes in lists] + [[*every]], np.int32)


def build_zonelists(topology):
    """The zonelist of each node as Linux builds them (mm/page_alloc.c): the first of several equally far takes turns.

    Whoever came first in such a group for one node counts as loaded when the lists of the next ones are made.
    """
    nodes, load = topology.nodes, [0] * topology.nodes
    lists = []
    for node in range(nodes):
        order, weight = [], nodes
        rest = [n for n in ((node + i) % nodes for i in range(nodes)) if topology.frames[n]]
        while rest:
            far = topology.distances[node]
            best = min(rest, key=lambda n: (far[n], load[n]) if n != node else (0, 0))
            rest.remove(best)
            if best != node and (not order or far[best] != far[order[-1]]):
                load[best] += weight
            weight -= 1
            order.append(best)
        lists.append(order)
    return lists


def boot_zones(tables, topology):
    """Give every node its frames, free list and watermarks; frame 0 becomes the zero page."""
    pages, zones = tables["mem_map"], tables["zone"]
    frames = sum(topology.frames)
    pages["next"][frames:] = pages["prev"][frames:] = np.arange(frames, len(pages))  # every list head is alone
    min_free_kbytes = int((16 * 4 * frames) ** 0.5)
    start, steps = 0, np.arange(BLOCK, dtype=np.int32)
    for node, count in enumerate(topology.frames):
        zone, end = zones[node], start + count
        zone["start"], zone["end"], zone["weight"] = start, end, 1
        if not count:
            continue
        first = max(start, 1)  # frame 0 is the zero page
        head = frames + 3 * node + structs.FREE
        for at in range(start, end, BLOCK):
            block = pages[at : min(at + BLOCK, end)]
            block["node"], block["flags"], block["data"] = node, structs.PG_free, structs.POISON
            block["next"] = block["prev"] = steps[: len(block)]
            block["next"] += at + 1
            block["prev"] += at - 1
        pages["next"][end - 1], pages["prev"][first] = head, head
        pages["next"][head], pages["prev"][head] = first, end - 1
        low = min(min_free_kbytes // 4 * count // frames, count // 16)
        zone["free"] = zone["lowest_free"] = end - first
        zone["pages_min"], zone["pages_low"], zone["pages_high"] = low, low * 5 // 4, low * 3 // 2
        start = end
    zero = np.zeros((), structs.PAGE)
    zero["flags"], zero["count"], zero["node"] = structs.PG_reserved | structs.PG_uptodate, 1, pages["node"][0]
    pages[0] = zero


def ctypes_view(array):
    """The memory of an array as a ctypes array: the fastest way to read single fields from Python."""
    kind = ctypes_kind(array.dtype)
    for n in reversed(array.shape):
        kind = kind * n
    return kind.from_buffer(array)


ctypes_kind = functools.cache(np.ctypeslib.as_ctypes_type)  # numpy would make the same few classes for each machine
