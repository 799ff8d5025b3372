"""Tables in, DataFrames and text out: what a machine looks like to people."""

import numpy as np

from .lazy import Lazy
from ..mm import structs, trace
from ..mm.structs import PTE_DIRTY, PTE_PRESENT, PTE_RW, PTE_SWAP, PTE_YOUNG
from .names import HOLDERS, file_labels, task_labels
from .ranges import task_range

pd = Lazy("pandas")

FLAG_NAMES = {
    name[3:]: getattr(structs, name) for name in vars(structs) if name.startswith("PG_") and name != "PG_free"
}
PTE_FLAG_NAMES = {"writable": PTE_RW, "young": PTE_YOUNG, "dirty": PTE_DIRTY}
PAGE_SIZE = 4096


def flag_text(flags, names):
    """The names of the bits that are set, for each of an array of flags."""
    flags = np.asarray(flags).astype(np.uint16)  # the highest bit is no sign here
    used = np.flatnonzero(np.bincount(flags, minlength=1))
    texts = np.full(used.max(initial=0) + 1, "", object)
    texts[used] = [" ".join(name for name, bit in names.items() if f & bit) for f in used.tolist()]
    return texts[flags]


def known(values, where):
    """A column of whole numbers that is <NA> where `where` is false."""
    return pd.arrays.IntegerArray(values.astype(np.int64), ~where)


def vma_ptes(kernel):
    """(number, row, ptes) of each vma."""
    vmas, ptes = kernel.tables["vma"], kernel.tables["pte"]
    for v in np.flatnonzero(vmas["vm_mm"]):
        base = vmas["pte_base"][v]
        yield v, vmas[v], ptes[base + vmas["vm_start"][v] : base + vmas["vm_end"][v]]


def mappings(kernel, first=0, last=None):
    """Every pte in use, or those in some rows of the table: a dict of arrays mm, address, vma, value, flags, wrote."""
    vmas, ptes = kernel.tables["vma"], kernel.tables["pte"][first:last]
    used = np.flatnonzero(ptes["flags"] & (PTE_PRESENT | PTE_SWAP))
    live = np.flatnonzero(vmas["vm_mm"])
    rows = (vmas["pte_base"] + vmas["vm_start"])[live]
    by_row = np.argsort(rows)
    vma = live[by_row][np.searchsorted(rows[by_row], used + first, side="right") - 1]
    found = {"mm": vmas["vm_mm"][vma], "address": used + first - vmas["pte_base"][vma], "vma": vma}
    found |= {name: ptes[name][used] for name in ("value", "flags")}
    return found | {"wrote": kernel.tables["wrote"][first:last][used]}


def mappers(kernel):
    """For each page frame: pid and address of a pte that maps it, or 0, 0; VM_LOCKED and VM_RESERVED of its vma.

    Of several ptes one is named whose vma has such a flag, if there is one.
    """
    frames = kernel.k.sys.nr_frames
    mapper, flags = np.zeros((frames, 2), np.int64), np.zeros(frames, np.int64)
    for _, vma, ptes in vma_ptes(kernel):
        at = np.flatnonzero(ptes["flags"] & PTE_PRESENT)
        stays = vma["vm_flags"] & (structs.VM_LOCKED | structs.VM_RESERVED)
        if not stays:
            at = at[flags[ptes["value"][at]] == 0]
        pfn = ptes["value"][at]
        mapper[pfn, 0], mapper[pfn, 1], flags[pfn] = vma["vm_mm"], vma["vm_start"] + at, stays
    return mapper, flags


def owners(kernel):
    """Whose each page frame is: (a number for each frame, what to call the owner by number).

    Frames that a pte maps belong to the task, whose pid is the number, or are shared by several; the others to
    whatever holds them, numbered behind the tasks in the order of HOLDERS.
    """
    n = kernel.k.sys.nr_frames
    pages = kernel.tables["mem_map"][:n]
    flags = pages["flags"]
    tasks = task_labels(kernel).values()
    shared, cache, swap, kernel_, other, offline, free = range(len(tasks), len(tasks) + len(HOLDERS))
    owner = np.full(n, other, np.int32)
    owner[pages["mapping"] > 0] = cache
    owner[flags & structs.PG_swapcache != 0] = swap
    for _, vma, ptes in vma_ptes(kernel):
        pfn = ptes["value"][ptes["flags"] & PTE_PRESENT != 0]
        before = owner[pfn]
        nobody = before > shared
        owner[pfn] = np.where(nobody | (before == vma["vm_mm"]), vma["vm_mm"], shared)
    owner[flags & (structs.PG_slab | structs.PG_reserved) != 0] = kernel_
    owner[flags & structs.PG_free != 0] = free
    owner[out_of_use(pages)] = offline
    return owner, np.array([*tasks, *HOLDERS], object)


def out_of_use(pages):
    """Which of some rows of mem_map are frames that were taken out of use; one that is still in use may be marked."""
    marked = pages["flags"] < 0  # PG_hwpoison is the sign
    return marked & (pages["count"] == 0) if marked.any() else marked


def file_frames(kernel, m):
    """The frame of each page of a file, in the page cache or (tmpfs) in the swap cache; 0: none."""
    base, pages = kernel.tables["mapping"][["base", "pages"]][m].item()
    cached = kernel.tables["file_page"][base : base + pages]
    return np.where(cached["pfn"] > 0, cached["pfn"], kernel.tables["swap_cache"][cached["entry"]])


def file_names(kernel):
    """What the file of each page frame is called; empty: it holds no page of a file."""
    names = np.full(kernel.k.sys.nr_frames, "", object)
    for m, name in file_labels(kernel).items():
        frames = file_frames(kernel, m)
        names[frames[frames > 0]] = name
    return names


def frames(kernel):
    """mem_map as a DataFrame, one row a page frame: node, owner, state, flags, count, mapcount, index, entry, file.

    `file`: which file it holds a page of, in the page cache or the swap cache; `index`: which page of it.
    """
    n = kernel.k.sys.nr_frames
    pages = kernel.tables["mem_map"][:n]
    flags = pages["flags"]
    owner, names = owners(kernel)
    held = [{"shared": "mapped", "other": "unmapped"}.get(holder, holder) for holder in HOLDERS]
    states = np.array(["mapped"] * (len(names) - len(HOLDERS)) + held, object)
    return pd.DataFrame(
        {
            "node": pages["node"].astype(int),
            "owner": names[owner],
            "state": states[owner],
            "flags": flag_text(flags, FLAG_NAMES),
            "count": pages["count"].astype(int),
            "mapcount": pages["mapcount"].astype(int),
            "index": pages["index"].astype(int),
            "entry": known(pages["private"], flags & structs.PG_swapcache != 0),
            "file": file_names(kernel),
        },
        index=pd.RangeIndex(n, name="pfn"),
        copy=False,
    )


def residency(kernel):
    """How many frames of each node belong to whom: a row a node, a column an owner; tasks first, by their labels."""
    nodes, (owner, names) = kernel.topology.nodes, owners(kernel)
    where = kernel.tables["mem_map"]["node"][: len(owner)] * np.int32(len(names)) + owner
    counts = np.bincount(where, minlength=nodes * len(names)).reshape(nodes, len(names))
    free = len(names) - 1
    held = [number for number in range(len(names) - len(HOLDERS), free) if counts[:, number].any()]
    columns = [*(task.pid for task in kernel.tasks), *held, free]
    return pd.DataFrame(counts[:, columns], pd.RangeIndex(nodes, name="node"), pd.Index(names[columns], name="owner"))


def vmstat(kernel):
    """Cumulative counters by name, and the lowest number of free pages that each node saw, as lowest_free_N."""
    counters = dict(zip(structs.VMSTAT, kernel.tables["vmstat"].tolist(), strict=False))
    for node, zone in enumerate(kernel.tables["zone"]):
        counters[f"lowest_free_{node}"] = int(zone["lowest_free"])
    return pd.Series(counters, name="vmstat")


def vm_flag_names(flags):
    """Those of the flags of a vma that make it not migratable: 'VM_LOCKED, VM_IO'."""
    return trace.VM_FLAGS[(int(flags) & structs.VM_NOT_MIGRATABLE) // structs.VM_LOCKED]


def event_text(row, tasks=None, page=""):
    """What happened, in words, for a row of the event table.

    `tasks`: what to call them, by pid; `page`: what to call the page (default: its frame, which is all that is known).
    """
    arg = int(row["arg"])
    text = trace.EVENTS[row["code"]][2].replace("page {page}", page or "frame {page}")
    words = {"s": "s" * (arg != 1), "are": "is" if arg == 1 else "are", "task": (tasks or {}).get(arg, f"pid {arg}"),
             "source": arg // 256, "target": arg % 256, "flags": vm_flag_names(arg)}  # fmt: skip
    return text.replace("page {new}", "frame {new}").format(page=row["page"], new=row["new_page"], arg=arg, **words)


def events(kernel):
    """The trace as a DataFrame, one row an event: those that the ring still holds, oldest first."""
    total = int(kernel.k.sys.nr_events)
    ring = kernel.tables["event"]
    kept = min(total, len(ring)) if kernel.k.sys.tracing else 0
    rows = ring[np.arange(total - kept, total) % len(ring)]
    told = [trace.EVENTS[code] for code in rows["code"]]
    tasks = task_labels(kernel)
    return pd.DataFrame(
        {
            "time": rows["time"],
            "actor": [tasks[int(a)] for a in rows["actor"]],
            "function": [e[0] for e in told],
            "patch": [e[1] for e in told],
            "page": rows["page"],
            "new_page": rows["new_page"],
            "pass": known(rows["pass_"], rows["pass_"] >= 0),
            "text": [event_text(row, tasks) for row in rows],
        },
        index=pd.RangeIndex(total - kept, total, name="event"),
    )


def ptes_of(task, start, end):
    """The mapped virtual pages of [start, end): (their numbers, their ptes)."""
    addresses, ptes = [], []
    for vma in task._vmas():
        first, last = max(start, int(vma["vm_start"])), min(end, int(vma["vm_end"]))
        if first < last:
            addresses.append(np.arange(first, last))
            ptes.append(task._kernel.tables["pte"][vma["pte_base"] + first : vma["pte_base"] + last])
    if len(ptes) == 1:  # as mostly: there is nothing to copy
        return addresses[0], ptes[0]
    return np.concatenate([np.zeros(0, int), *addresses]), np.concatenate([np.zeros(0, structs.PTE), *ptes])


def page_states(tables, ptes):
    """What each of some ptes is, in a word: none, present, zero (the zero page), swap."""
    present, swap = ptes["flags"] & PTE_PRESENT != 0, ptes["flags"] & PTE_SWAP != 0
    zero = present & (tables["mem_map"]["flags"][ptes["value"] * present] & structs.PG_reserved != 0)
    return np.array(["none", "present", "zero", "swap"], object)[present + 1 * zero + 3 * swap]


def pages(task, range=None):
    """One row a mapped virtual page of a range: state, pfn, node, entry, flags, mapcount."""
    address, ptes = ptes_of(task, *task_range(task, range, mapped=False))
    frame = task._kernel.tables["mem_map"]
    present, swap = ptes["flags"] & PTE_PRESENT != 0, ptes["flags"] & PTE_SWAP != 0
    pfn = np.where(present, ptes["value"], 0)

    return pd.DataFrame(
        {
            "state": page_states(task._kernel.tables, ptes),
            "pfn": known(pfn, present),
            "node": known(frame["node"][pfn], present),
            "entry": known(ptes["value"], swap),
            "flags": flag_text(ptes["flags"], PTE_FLAG_NAMES),
            "mapcount": known(frame["mapcount"][pfn], present),
        },
        index=pd.Index(address, name="page"),
        copy=False,
    )


def placement(task, range=None):
    """The node of each page of a range; None where none of the task's own is present (the zero page is nobody's)."""
    start, end = task_range(task, range, mapped=False)
    address, ptes = ptes_of(task, start, end)
    frame = task._kernel.tables["mem_map"]
    present = ptes["flags"] & PTE_PRESENT != 0
    address, pfn = address[present], ptes["value"][present]
    own = frame["flags"][pfn] & structs.PG_reserved == 0
    nodes = np.full(end - start, None, object)
    nodes[address[own] - start] = frame["node"][pfn[own]]
    return nodes.tolist()


def access_cost(task, range=None):
    """Mean ns that an access to the pages of a range would take from where the task runs; nan if nothing is mapped.

    A page that is swapped out counts as its major fault, one in the swap cache as a minor fault.
    """
    kernel, (_, ptes) = task._kernel, ptes_of(task, *task_range(task, range, mapped=False))
    costs, node = kernel.costs, kernel.tables["mem_map"]["node"]
    distance = np.array(kernel.topology.distances[task.node]) / 10
    present = node[ptes["value"][ptes["flags"] & PTE_PRESENT != 0]]
    entry = ptes["value"][ptes["flags"] & PTE_SWAP != 0]
    cached = kernel.tables["swap_cache"][entry]
    total = costs.access * distance[present].sum() + len(entry) * costs.minor
    total += costs.access * distance[np.where(cached, node[cached], task.node)].sum()
    total += costs.swap_read * np.count_nonzero(cached == 0)
    count = len(present) + len(entry)
    return float(total / count) if count else float("nan")


def governing(kernel, task, vma, address):
    """The row that holds the policy of an address: of its shared object, of its vma, or of the task."""
    row = policy_row(kernel, vma, address)
    return task._row if row is None else row


def policy_row(kernel, vma, address):
    """The row that holds the policy that mbind() has set for an address: of its shared object, or of its vma; or None.

    get_mempolicy(2) asks for this one, and does not fall back to the policy of the task.
    """
    file, ranges = kernel.tables["mapping"][vma["mapping"]], kernel.tables["sp_node"]
    if file["fs"] != structs.FS_TMPFS:
        return vma if vma["mode"] else None
    index, n = vma["vm_pgoff"] + address - vma["vm_start"], file["policy"]
    while n and not ranges["start"][n] <= index < ranges["end"][n]:
        n = ranges["next"][n]
    return ranges[n] if n else None
