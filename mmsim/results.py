"""Tables in, DataFrames and text out: what a machine and its migrations look like to people."""

import errno

import numpy as np
import pandas as pd

from .mm import structs, trace
from .mm.structs import PTE_DIRTY, PTE_PRESENT, PTE_RW, PTE_SWAP, PTE_YOUNG

FLAG_NAMES = {
    name[3:]: getattr(structs, name) for name in vars(structs) if name.startswith("PG_") and name != "PG_free"
}
PTE_FLAG_NAMES = {"writable": PTE_RW, "young": PTE_YOUNG, "dirty": PTE_DIRTY}
PAGE_SIZE = 4096


def os_error(name, message):
    """An OSError with the errno of that name."""
    return OSError(getattr(errno, name), message)


def flag_text(flags, names):
    """The names of the bits that are set, for each of an array of flags."""
    values, which = np.unique(flags, return_inverse=True)
    texts = [" ".join(name for name, bit in names.items() if f & bit) for f in values.tolist()]
    return np.array([*texts, ""], object)[which]


def mappings(kernel):
    """Every pte that is in use: a dict of arrays mm, address, value, flags, wrote, vma."""
    vmas, ptes = kernel.tables["vma"], kernel.tables["pte"]
    columns = {"mm": [], "address": [], "row": [], "vma": []}
    for v in np.flatnonzero(vmas["vm_mm"]):
        vma = vmas[v]
        address = np.arange(vma["vm_start"], vma["vm_end"])
        used = ptes["flags"][vma["pte_base"] + address] & (PTE_PRESENT | PTE_SWAP) != 0
        address = address[used]
        columns["mm"].append(np.full(len(address), vma["vm_mm"]))
        columns["address"].append(address)
        columns["row"].append(vma["pte_base"] + address)
        columns["vma"].append(np.full(len(address), v))
    table = {
        name: np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, np.int64)
        for name, parts in columns.items()
    }
    row = table.pop("row")
    for name in ("value", "flags", "wrote"):
        table[name] = ptes[name][row]
    return table


def first_mapper(kernel):
    """{pfn: (pid, address)} of one pte that maps each page frame."""
    used = mappings(kernel)
    present = used["flags"] & PTE_PRESENT != 0
    rows = zip(used["value"][present], used["mm"][present], used["address"][present], strict=False)
    return {int(pfn): (int(mm), int(address)) for pfn, mm, address in rows}


def locked_frames(kernel):
    """The page frames that a locked or reserved vma maps."""
    used = mappings(kernel)
    held = kernel.tables["vma"]["vm_flags"][used["vma"]] & (structs.VM_LOCKED | structs.VM_RESERVED) != 0
    return set(used["value"][held & (used["flags"] & PTE_PRESENT != 0)].tolist())


def owners(kernel):
    """For each page frame, whose it is: a task's name, 'shared', 'page cache', 'swap cache', 'kernel', 'other', 'free'.

    Frames that a pte maps belong to the task, or are shared by several; the others to whatever holds them.
    """
    n = kernel.k.sys.nr_frames
    pages = kernel.tables["mem_map"][:n]
    flags = pages["flags"]
    owner = np.full(n, "other", object)
    owner[pages["mapping"] > 0] = "page cache"
    owner[flags & structs.PG_swapcache != 0] = "swap cache"
    owner[flags & (structs.PG_slab | structs.PG_reserved) != 0] = "kernel"
    owner[flags & structs.PG_free != 0] = "free"
    used = mappings(kernel)
    present = used["flags"] & PTE_PRESENT != 0
    pfn, mm = used["value"][present], used["mm"][present]
    first = np.zeros(n, np.int64)
    first[pfn[::-1]] = mm[::-1]
    several = np.zeros(n, bool)
    several[pfn[first[pfn] != mm]] = True
    zero = flags & structs.PG_reserved != 0
    for pid in np.unique(mm):
        owner[(first == pid) & ~several & ~zero] = kernel._book["tasks"][int(pid)]
    owner[several & ~zero] = "shared"
    return owner


def frames(kernel):
    """One row a page frame, indexed by pfn: node, owner, state, flags, count, mapcount, index, entry."""
    n = kernel.k.sys.nr_frames
    pages = kernel.tables["mem_map"][:n]
    flags = pages["flags"]
    state = np.full(n, "unmapped", object)
    state[pages["mapcount"] > 0] = "mapped"
    state[(pages["mapping"] > 0) & (pages["mapcount"] == 0)] = "page cache"
    state[(flags & structs.PG_swapcache != 0) & (pages["mapcount"] == 0)] = "swap cache"
    state[flags & (structs.PG_slab | structs.PG_reserved) != 0] = "kernel"
    state[flags & structs.PG_free != 0] = "free"
    swap = flags & structs.PG_swapcache != 0
    return pd.DataFrame(
        {
            "node": pages["node"].astype(int),
            "owner": owners(kernel),
            "state": state,
            "flags": flag_text(flags, FLAG_NAMES),
            "count": pages["count"].astype(int),
            "mapcount": pages["mapcount"].astype(int),
            "index": pages["index"].astype(int),
            "entry": pd.array(np.where(swap, pages["private"], 0), "Int64").copy(),
        },
        index=pd.RangeIndex(n, name="pfn"),
    ).assign(entry=lambda t: t["entry"].where(swap))


def residency(kernel):
    """Counts of page frames: one row a node, one column an owner; tasks first."""
    n = kernel.k.sys.nr_frames
    nodes = kernel.tables["mem_map"]["node"][:n]
    table = pd.crosstab(pd.Series(nodes, name="node"), pd.Series(owners(kernel), name="owner"))
    fixed = ["shared", "page cache", "swap cache", "kernel", "other", "free"]
    tasks = [t.name for t in kernel.tasks]
    columns = list(dict.fromkeys(tasks + [c for c in fixed if c in table.columns or c == "free"]))
    return table.reindex(index=range(kernel.topology.nodes), columns=columns, fill_value=0)


def vmstat(kernel):
    """The counters of k.vmstat by name, and lowest_free_N of each node."""
    counters = dict(zip(structs.VMSTAT, kernel.tables["vmstat"].tolist(), strict=False))
    for node, zone in enumerate(kernel.tables["zone"]):
        counters[f"lowest_free_{node}"] = int(zone["lowest_free"])
    return pd.Series(counters, name="vmstat")


def event_text(row):
    """What happened, in words, for a row of the event table."""
    arg = int(row["arg"])
    text = trace.EVENTS[row["code"]][2]
    return text.format(page=row["page"], new=row["new_page"], arg=arg, source=arg // 256, target=arg % 256)


def events(kernel):
    """The events that the ring still holds, oldest first."""
    total = int(kernel.k.sys.nr_events)
    ring = kernel.tables["event"]
    kept = min(total, len(ring)) if kernel.k.sys.tracing else 0
    rows = ring[np.arange(total - kept, total) % len(ring)]
    known = [trace.EVENTS[code] for code in rows["code"]]
    names = kernel._book["tasks"]
    return pd.DataFrame(
        {
            "time": rows["time"],
            "actor": [names[int(a)] for a in rows["actor"]],
            "function": [e[0] for e in known],
            "patch": [e[1] for e in known],
            "page": rows["page"],
            "new_page": rows["new_page"],
            "pass": pd.array(np.where(rows["pass_"] < 0, 0, rows["pass_"]), "Int64"),
            "text": [event_text(row) for row in rows],
        },
        index=pd.RangeIndex(total - kept, total, name="event"),
    ).assign(**{"pass": lambda t: t["pass"].where(rows["pass_"] >= 0)})


def pages(kernel, task, start, end):
    """One row a mapped virtual page of [start, end), indexed by page number."""
    parts = []
    for vma in task._vmas():
        address = np.arange(max(start, vma["vm_start"]), min(end, vma["vm_end"]))
        if len(address):
            parts.append((address, kernel.tables["pte"][vma["pte_base"] + address]))
    address = np.concatenate([p[0] for p in parts]) if parts else np.zeros(0, int)
    ptes = np.concatenate([p[1] for p in parts]) if parts else np.zeros(0, structs.PTE)
    frame = kernel.tables["mem_map"]
    present, swap = ptes["flags"] & PTE_PRESENT != 0, ptes["flags"] & PTE_SWAP != 0
    pfn = np.where(present, ptes["value"], 0)
    state = np.where(
        swap, "swap", np.where(~present, "none", np.where(frame["flags"][pfn] & structs.PG_reserved, "zero", "present"))
    )

    def known(values, where):
        column = pd.Series(pd.array(np.asarray(values, np.int64), "Int64"))
        return column.where(where).array

    return pd.DataFrame(
        {
            "state": state,
            "pfn": known(pfn, present),
            "node": known(frame["node"][pfn], present),
            "entry": known(ptes["value"], swap),
            "flags": flag_text(ptes["flags"], PTE_FLAG_NAMES),
            "mapcount": known(frame["mapcount"][pfn], present),
        },
        index=pd.Index(address, name="page"),
    )


def placement(kernel, task, start, end):
    """The node of each page of [start, end); None where no page of the task's own is present."""
    table = pages(kernel, task, start, end)
    nodes = {a: n for a, s, n in zip(table.index, table["state"], table["node"], strict=False) if s == "present"}
    return [int(nodes[a]) if a in nodes else None for a in range(start, end)]


def access_cost(kernel, task, start, end):
    """Mean ns that an access to [start, end) would take from the node of the task."""
    table = pages(kernel, task, start, end)
    costs = kernel.costs
    distance = np.array(kernel.topology.distances[task.node]) / 10
    present = table["node"].dropna().astype(int).to_numpy()
    total = costs.access * distance[present].sum()
    for entry in table["entry"].dropna().astype(int):
        pfn = kernel.tables["swap_cache"][entry]
        node = kernel.tables["mem_map"]["node"][pfn] if pfn else task.node
        total += costs.minor + costs.access * distance[node] + (0 if pfn else costs.swap_read)
    count = len(present) + int(table["entry"].notna().sum())
    return float(total / count) if count else float("nan")


def numa_maps(kernel, task):
    """One line a vma: address, policy, then how many of its pages are what, and on which node."""
    from .policy import policy_of

    frame = kernel.tables["mem_map"]
    lines = []
    for vma in task._vmas():
        ptes = kernel.tables["pte"][vma["pte_base"] + np.arange(vma["vm_start"], vma["vm_end"])]
        pfn = ptes["value"][ptes["flags"] & PTE_PRESENT != 0]
        dirty = ptes["flags"][ptes["flags"] & PTE_PRESENT != 0] & PTE_DIRTY != 0
        own = frame["flags"][pfn] & structs.PG_reserved == 0
        pfn, dirty = pfn[own], dirty[own]
        rows = frame[pfn]
        anon = int((rows["mapping"] < 0).sum())
        dirty = int((dirty | (rows["flags"] & structs.PG_dirty != 0)).sum())
        counts = {
            "anon": anon,
            "dirty": dirty,
            "mapped": len(rows) if len(rows) not in (anon, dirty) else 0,
            "mapmax": int(rows["mapcount"].max(initial=0)) if rows["mapcount"].max(initial=0) > 1 else 0,
            "swapcache": int((rows["flags"] & structs.PG_swapcache != 0).sum()),
            "writeback": int((rows["flags"] & structs.PG_writeback != 0).sum()),
        }
        active = int((rows["flags"] & structs.PG_active != 0).sum())
        policy = str(policy_of(vma if vma["mode"] else task._row)).replace("preferred", "prefer")
        words = [f"{int(vma['vm_start']) * PAGE_SIZE:x}", policy]
        if vma["mapping"]:
            words.append(f"file={kernel._book['files'][int(vma['mapping'])]}")
        words += [f"{name}={count}" for name, count in counts.items() if count]
        words += [f"active={active}"] if active != len(rows) else []
        nodes, count = np.unique(rows["node"], return_counts=True)
        words += [f"N{node}={c}" for node, c in zip(nodes, count, strict=False)]
        lines.append(" ".join([*words, "kernelpagesize_kB=4"]))
    return "\n".join(lines)


class Migration:
    """What became of the pages that a trigger considered; see `pages` for each of them.

    Attributes
    ----------
    trigger : str
        "mbind", "migrate_pages", "cpuset" or "kernel".
    returned : int or None
        What the system call returned, or a negative errno; None after a BUG.
    pages : DataFrame
        One row a page: task, page, old_pfn, old_node, new_pfn, new_node, asked, path, passes, error, reason.
    elapsed : int
        Simulated ns.
    """

    def __init__(self, trigger, returned, pages, elapsed):
        self.trigger = trigger
        self.returned = returned
        self.pages = pages
        self.elapsed = elapsed

    @classmethod
    def read(cls, kernel, trigger, returned, elapsed):
        """The Migration that the record of the last trigger holds."""
        rows = kernel.tables["considered"][1 : int(kernel.k.sys.nr_considered) + 1]
        node = kernel.tables["mem_map"]["node"]
        names = np.array(["", *list(kernel._book["tasks"].values())[1:]], object)  # 0, the kernel, stands for nobody
        errors = np.array([f"-{errno.errorcode.get(e, '')}" if e else "" for e in range(64)], object)
        new = pd.Series(rows["new_pfn"]).astype("Int64")
        moved = rows["new_pfn"] > 0
        table = pd.DataFrame(
            {
                "task": names[rows["mm"]],
                "page": rows["address"].astype(int),
                "old_pfn": rows["old_pfn"].astype(int),
                "old_node": node[rows["old_pfn"]].astype(int),
                "new_pfn": new.where(moved),
                "new_node": pd.Series(node[rows["new_pfn"]]).astype("Int64").where(moved),
                "asked": pd.Series(rows["asked"]).astype("Int64").where(rows["asked"] >= 0),
                "path": np.array(trace.PATHS, object)[rows["path"]],
                "passes": rows["passes"].astype(int),
                "error": errors[rows["error"]],
                "reason": np.array(trace.REASONS, object)[rows["reason"]],
            }
        )
        table = last_of_each(table, rows["mm"])
        return cls(trigger, None if returned is None else int(returned), table, int(elapsed))

    def _count(self, *paths):
        return int(self.pages["path"].isin(paths).sum())

    moved = property(lambda self: int(self.pages["new_pfn"].notna().sum()), doc="Pages that are in a new frame now.")
    evicted = property(lambda self: self._count("swapped out"), doc="Pages that were swapped out.")
    failed = property(lambda self: self._count("failed for good"), doc="Pages that failed for good.")
    retried = property(lambda self: self._count("retries exhausted"), doc="Pages whose retries were exhausted.")
    skipped = property(lambda self: self._count("not collected"), doc="Pages that were not collected.")
    passes = property(
        lambda self: int(self.pages["passes"].max() if len(self.pages) else 0), doc="Passes that were run."
    )

    @property
    def paths(self):
        """Pages per path, for the paths that any page took."""
        counts = self.pages["path"].value_counts()
        return counts.reindex([p for p in trace.PATHS if p in counts.index]).rename("pages")

    @property
    def stayed(self):
        """The pages that are where they were, with the reason."""
        return self.pages[
            self.pages["new_pfn"].isna() & ~self.pages["path"].isin(["swapped out", "freed from under us"])
        ]

    def __repr__(self):
        paths = ", ".join(f"{path} {n}" for path, n in self.paths.items()) or "no page considered"
        return f"<Migration by {self.trigger}: {paths}; {self.passes} passes, {self.elapsed / 1e6:.3f} ms>"

    def _repr_html_(self):
        return (
            f"<p>{self!r}</p>".replace("<Migration", "&lt;Migration").replace("ms>", "ms&gt;")
            + self.paths.to_frame().to_html()
        )


def last_of_each(table, pids):
    """One row a page: one that was considered twice starts where it was first and ends where it was last."""
    key = ["pid", "page"]
    table = table.assign(pid=pids)
    if not table.duplicated(key).any() or not np.all(pids):
        return table.drop(columns="pid")
    first = table.drop_duplicates(key).set_index(key)
    last = table.drop_duplicates(key, keep="last").set_index(key).loc[first.index]
    # moved once, and then not again: it is in the frame that the first move gave it
    stayed = last["new_pfn"].isna() & (last["old_pfn"] != first["old_pfn"])
    stayed &= ~last["path"].isin(["swapped out", "freed from under us"])
    last.loc[stayed, ["new_pfn", "new_node"]] = last.loc[stayed, ["old_pfn", "old_node"]].to_numpy()
    last[["old_pfn", "old_node"]] = first[["old_pfn", "old_node"]]
    return last.reset_index()[table.columns.drop("pid")]
