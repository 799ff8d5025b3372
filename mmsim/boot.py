"""Booting: the tables of a machine on which nothing runs yet."""

import numpy as np

from .mm import structs, timer


def boot_tables(topology, config, patches, slots, costs, events):
    """The arrays of a machine that has just booted: all frames free, but for the zero page."""
    s = structs
    nodes, frames = topology.nodes, sum(topology.frames)
    tables = {
        "mem_map": np.zeros(frames + 3 * nodes + s.WORK_LISTS, s.PAGE),
        "zone": np.zeros(nodes, s.ZONE),
        "zonelist": np.array([topology.zonelist(n) for n in range(nodes)] + [list(range(nodes))], np.int32),
        "distance": np.array(topology.distances, np.int32),
        "pagevec": np.zeros((2 * nodes, s.PAGEVEC_SIZE), np.int32),
        "pagevec_count": np.zeros(2 * nodes, np.int32),
        "pte": np.zeros(64, s.PTE),
        "vma": np.zeros(16, s.VMA),
        "anon_vma": np.zeros(17, np.int32),
        "task": np.zeros(8, s.TASK),
        "cpuset": np.zeros(4, s.CPUSET),
        "mapping": np.zeros(4, s.MAPPING),
        "file_page": np.zeros(64, s.FILE_PAGE),
        "swap_map": np.zeros(slots + 1, np.int32),
        "swap_cache": np.zeros(slots + 1, np.int32),
        "swap_data": np.full(slots + 1, s.POISON, np.int32),
        "radix_count": np.zeros(slots // s.RADIX_KEYS + 1, np.int32),
        "timer": np.zeros(2 * timer.NR_REQUESTS, s.TIMER),
        "event": np.zeros(max(events, 1), s.EVENT),
        "considered": np.zeros(2, s.CONSIDERED),
        "vmstat": np.zeros(len(s.VMSTAT), np.int64),
        "patch": np.array([n == 0 or n in patches for n in range(8)], np.int32),
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
    sys["migration_pass"], sys["swap_cursor"], sys["swap_slots"] = -1, 1, slots
    sys["swap_on"], sys["has_swap"], sys["numa"], sys["tracing"] = slots > 0, config.swap, config.numa, events > 0
    boot_zones(tables, topology)
    return tables


def boot_zones(tables, topology):
    """Give every node its frames, free list and watermarks; frame 0 becomes the zero page."""
    pages, zones = tables["mem_map"], tables["zone"]
    frames = sum(topology.frames)
    nr = np.arange(len(pages), dtype=np.int32)
    pages["next"], pages["prev"] = nr, nr  # every list head is alone
    min_free_kbytes = int((16 * 4 * frames) ** 0.5)
    start = 0
    for node, count in enumerate(topology.frames):
        end = start + count
        first = max(start, 1)  # frame 0 is the zero page
        head = frames + 3 * node + structs.FREE
        pages["node"][start:end] = node
        pages["flags"][first:end] = structs.PG_free
        pages["data"][first:end] = structs.POISON
        pages["next"][first:end] = np.append(nr[first + 1 : end], head)
        pages["prev"][first:end] = np.append(head, nr[first : end - 1])
        pages["next"][head], pages["prev"][head] = first, end - 1
        low = min(min_free_kbytes // 4 * count // frames, count // 16)
        zone = zones[node]
        zone["start"], zone["end"], zone["free"], zone["lowest_free"] = start, end, end - first, end - first
        zone["pages_min"], zone["pages_low"], zone["pages_high"] = low, low * 5 // 4, low * 3 // 2
        start = end
    zero = pages[0]
    zero["flags"], zero["count"], zero["next"], zero["prev"] = structs.PG_reserved | structs.PG_uptodate, 1, 0, 0


def ctypes_view(array):
    """The memory of an array as a ctypes array: the fastest way to read single fields from Python."""
    kind = np.ctypeslib.as_ctypes_type(array.dtype)
    for n in reversed(array.shape):
        kind = kind * n
    return kind.from_buffer(array)
