"""A race under way as tables: the steps by actor, what leads to the page, and the frames that hold it."""

from collections import defaultdict

import pandas as pd

from ..mm import fault, structs
from ..machine.names import task_labels
from . import Fault, Schedule, page_behind, walk
from ..machine.results import mappings

WAITS = "waits"


def lanes(race):
    """The steps done: a column an actor, a row a step; "waits" where an actor sleeps on a lock meanwhile.

    `race`: a Race, or a Schedule, which is replayed to its end.
    """
    if isinstance(race, Schedule):
        list(race)
        race = race.race
    rows = [
        [what if name == actor else WAITS if name in waited else "" for name in race.actors]
        for (actor, what), waited in zip(race.history, race.waited, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(race.actors), index=pd.RangeIndex(1, len(rows) + 1, name="step"))


def places(race):
    """What leads to the page now: place, holds, and wrong: what must not be, '' where all is well."""
    kernel, k, rows = race.kernel, race.kernel.k, []
    for task in kernel.tasks:
        pid, start = Fault(task.label).locate(kernel)
        v, pte = walk(k, pid, start)
        vma, page = k.vma[v], k.mem_map[page_behind(k, pid, start)]
        present = pte.flags & structs.PTE_PRESENT
        settled = present or not page.flags & structs.PG_locked
        lost = settled and page.data > 0 and page.data != fault.expected_data(k, vma, start, page)
        holds = f"swap entry {pte.value}" if pte.flags & structs.PTE_SWAP else "nothing"
        if present:
            holds = f"frame {pte.value}, {'writable' if pte.flags & structs.PTE_RW else 'write-protected'}"
        rows.append((f"pte of {task.label}", holds, f"the last write of {task.label} is lost" * bool(lost)))
    if vma.mapping:
        note = k.file_page[k.mapping[vma.mapping].base]
        holds = f"frame {note.pfn}" if note.pfn else f"swap entry {note.entry}" if note.entry else "nothing"
        rows.append(("page cache", holds, ""))
    for entry in range(1, k.sys.swap_slots + 1):
        page, users = k.swap_cache[entry], k.swap_map[entry]
        if users or entry == 1:
            holds = f"frame {page}" if page else "nothing"
            rows.append((f"swap cache, entry {entry}", f"{holds}; users of the entry: {users}", ""))
    return pd.DataFrame(rows, columns=["place", "holds", "wrong"])


def frames(race, also=()):
    """The page frames in play, and those of `also`: page, node, contents, used as, lock, references, wrong."""
    kernel, k, used = race.kernel, race.kernel.k, mappings(race.kernel)
    owners, tasks = defaultdict(list), task_labels(kernel)
    present = used["flags"] & structs.PTE_PRESENT != 0
    for pfn, mm in zip(used["value"][present].tolist(), used["mm"][present].tolist(), strict=True):
        owners[pfn].append(tasks[mm])
    cached = set(kernel.tables["file_page"]["pfn"].tolist())
    rows, holders = [], defaultdict(list)
    for pfn in range(1, k.sys.nr_frames):
        page = k.mem_map[pfn]
        free = bool(page.flags & structs.PG_free)
        if page.flags & structs.PG_slab or (free and pfn not in also):
            continue
        uses = [f"mapped by {' and '.join(owners[pfn])}"] if pfn in owners else []
        uses += ["page cache"] if pfn in cached else []
        slot = k.swap_cache[page.private] if page.flags & structs.PG_swapcache else None
        if slot == 0:
            uses.append("orphan: flagged swapcache, but its slot is empty")
        elif slot:
            uses.append(f"swap cache, entry {page.private}" if slot == pfn else f"its slot has gone to frame {slot}")
        if uses and page.data > 0:
            identity = (page.mapping, page.index) if page.mapping < 0 and len(kernel.tasks) == 1 else page.data
            known = pfn in owners or pfn in cached or (slot == pfn and k.swap_map[page.private] > 1)
            holders[identity].append((len(rows), page.data, known))
        state = "free" if free else "old page, out of every cache" if page.data > 0 else "new page, still empty"
        rows.append({
            "page": pfn, "node": page.node, "contents": f"write {page.data}" if page.data > 0 else "–",
            "used as": "; ".join(uses) or state, "lock": race.holders.get(pfn, "–"),
            "references": 0 if free else page.count, "wrong": "an orphan" * (slot == 0),
        })  # fmt: skip
    for same in holders.values():
        newest = max(data for _, data, _ in same)  # what a copy-on-write has left behind is no harm
        live = [i for i, data, known in same if known or data == newest]
        for i in live if len(live) > 1 else ():
            rows[i]["wrong"] = "two frames hold the one page"
    return pd.DataFrame(rows)
