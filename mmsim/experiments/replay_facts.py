"""What is seen in a recorded experiment: how the model is asked for it, and how it stands in the record.

A record names what was looked at in the order in which it was, and the model is asked in this order.
"""

import re
from collections import Counter
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from ..machine.results import file_frames, page_states, ptes_of
from ..mm.structs import PG_swapcache, PTE_PRESENT, PTE_RW
from .records import FRAMES

RC1 = "2.6.16-rc1"  # what migrates there is swapped out
EARLY = (RC1, "2.6.16")  # without move_pages(2): the recorder asked numa_maps and get_mempolicy(2), and counted faults


class Fact(NamedTuple):
    """Something that is seen: `look(scene, task, span)` gives it on the model, `read(value, case)` from a record.

    `look` is None where the function of the group notes it.
    """

    look: Any
    read: Any


# -- on the model


def touch(_, task, span, write=False):
    """Touch pages one by one: what became of each (`.` no fault, `m` minor, `M` major), and the sums."""
    said, page, wanted = "", span.start, PTE_PRESENT | PTE_RW * write
    while page < span.stop:
        _, ptes = ptes_of(task, page, span.stop)
        faulting = np.flatnonzero(ptes["flags"] & wanted != wanted)
        ready = int(faulting[0]) if len(faulting) else len(ptes)
        after = page + max(ready, 1)  # pages that are touched without a fault are, all at once
        faults = task.touch(range(page, after), write=write)
        said += "." * ready or ("M" if faults.major else "m" if sum(faults) else ".")
        page = after
    return {"minflt": said.count("m"), "majflt": said.count("M"), "pages": said}


def placed(scene, task, span):
    """The node of each page, as move_pages(2) says it; or as get_mempolicy(2), which faults in what has a place.

    It says 0 of the zero page, also where anonymous memory has no pte.
    """
    span = range(span.start, span.stop)
    if scene.case.kernel not in EARLY:
        return task.placement(span)
    address, ptes = ptes_of(task, span.start, span.stop)
    state = page_states(task._kernel.tables, ptes)
    anon = any(not vma["mapping"] and vma["vm_start"] <= span.start < vma["vm_end"] for vma in task._vmas())
    zero = set(address[(state == "zero") | (anon & (state == "none"))].tolist())
    for page in set(address[state != "present"].tolist()) - zero:
        task.touch(range(page, page + 1))
    return [0 if page in zero else node for page, node in zip(span, task.placement(span), strict=True)]


def written(scene, task, span):
    """The node of each page, once all are written."""
    task.touch(span, write=True)
    return placed(scene, task, span)


def maps(scene, task, _):
    """What numa_maps says of a mapping."""
    heap = scene.mapped[task]
    return maps_state([line for line in task.numa_maps().splitlines()
                       if heap.start <= int(line.split()[0], 16) // 4096 < heap.stop])  # fmt: skip


def maps_and_ptes(scene, task, span):
    """What numa_maps says of a mapping; `no_pte`: how many pages no pte maps."""
    return maps(scene, task, span) | {"no_pte": task.placement(span).count(None)}


def maps_state(lines):
    """What lines of numa_maps say: policies, those of vmas that have pages, pages by node, and kinds of pages."""
    counts = Counter()
    for name, count in re.findall(r"\b(anon|dirty|mapped|swapcache|N\d+)=(\d+)", "\n".join(lines)):
        counts[name] += int(count)
    return {
        "policies": [line.split()[1].replace("=", ":") for line in lines],
        "shown": [line.split()[1].replace("=", ":") for line in lines if re.search(r" N\d+=", line)],
        "mapped": [counts[f"N{node}"] for node in range(len(FRAMES))],
        "kinds": {name: n for name, n in counts.items() if name[0] != "N"},
    }


def swap(scene, *_):
    """How many slots are in use, and how many pages are in the swap cache."""
    tables = scene.kernel.tables
    return {
        "slots_used": int((tables["swap_map"][1:] > 0).sum()),
        "swap_cached_pages": int((tables["mem_map"]["flags"] & PG_swapcache != 0).sum()),
    }


def mincore(scene, task, span):
    """What of a file is in the page cache, a digit a page."""
    (mapping,) = (int(vma["mapping"]) for vma in task._vmas() if vma["vm_start"] == span.start)
    return "".join("01"[int(frame > 0)] for frame in file_frames(scene.kernel, mapping))


def own_policy(_, task, __):
    """The policy of the task."""
    policy = task.get_mempolicy()
    return {"mode": f"MPOL_{policy.mode.upper()}", "nodes": list(policy.nodes)}


# -- in a record


def as_it_is(value, _):
    return value


def nodes(value, case):
    """The node of each page, None where there is none; a record may have [node, of how many pages]."""
    runs = (each if isinstance(each, list) else [each, 1] for each in value)
    each = [node if isinstance(node, int) else None for node, pages in runs for _ in range(pages)]
    return each[: case.setup["pages"]]


def since_before(value, case):
    """Slots and pages in the swap cache, beyond those that there were before the call."""
    before = case.raw.get("swap_before", {"slots_used": 0, "swap_cached_pages": 0})
    return {name: value[name] - n for name, n in before.items() if name in ("slots_used", "swap_cached_pages")}


def state(value, case):
    """What an early kernel said of a mapping; 2.6.16-rc1 shows no dirty pages, and no vma without pages."""
    said = maps_state(value["numa_maps"]) | {"no_pte": value["no_pte"]}
    return {name: said[name] for name in ("shown", "mapped", "no_pte")} if case.kernel == RC1 else said


def maps_of_later(value, _):
    """What a later kernel said of a mapping."""
    return {name: fact for name, fact in maps_state(value).items() if name in ("policies", "mapped")}


def faults(value, _):
    return {name: n for name, n in value.items() if name != "wrong_content"}


FACTS = {  # by patterns of their names
    "ret|errno|status|effective|first_ret|first_errno": Fact(None, as_it_is),
    "after_migrate|after_first_call": Fact(None, nodes),
    "after_touch_tail": Fact(lambda scene, task, _: written(scene, task, scene.heap[scene.size :]), nodes),
    "after_write_touch_all": Fact(written, nodes),
    "((partner|sharer)_)?(before|after)(_(write_touch|second_touch|settled))?": Fact(placed, nodes),
    "((sharer|second)_)?read_touch": Fact(touch, faults), "write_touch": Fact(partial(touch, write=True), faults),
    "(partner_)?numa_maps(_after)?": Fact(maps, maps_of_later),
    "(sharer_)?state_(before|after_(call|read_touch|write_touch))": Fact(maps_and_ptes, state),
    r"swap_after_\w+": Fact(swap, since_before), r"mincore_\w+": Fact(mincore, as_it_is),
    "get_mempolicy": Fact(own_policy, as_it_is),
    "mapped_after_call": Fact(lambda *where: sum(maps(*where)["mapped"]), as_it_is),
    "swap_slots_used_after_call": Fact(lambda *where: swap(*where)["slots_used"], as_it_is),
}  # fmt: skip


@cache
def fact(name):
    """The Fact of this name; None if nobody compares it."""
    return next((fact for pattern, fact in FACTS.items() if re.fullmatch(pattern, name)), None)


# -- what can be compared


def varies(case):
    """A pattern of the facts that come out otherwise each time, or are not the task's alone."""
    if "node3" in case.setup:  # how many pages fit on a node that was filled up
        return "(?!(ret|errno|nodes_used)$).*"
    names = ["nodes_used"]
    if case.group == "swap_out_in":  # what was pushed out
        names.append(r"swap_\w+")
    if case.kernel == RC1:
        limited = case.setup.get("swap") == "off" or case.group == "small_swap"
        of_file = "file" in case.kind or "shmem" in case.kind
        shared = of_file and case.setup.get("sharer", "none") != "none"
        if (limited and case.name == "migrate_pages") or (shared and "MOVE_ALL" not in case.flags):
            # where swap runs out, or MOVE asks a counter of writable mappings that fork leaves stale
            return "(?!before$).*" if "STRICT" in case.flags else "(?!(errno|before)$).*"
        names += [r"swap_\w+", "(sharer_)?(read|write)_touch"] + ["ret"] * (limited and case.raw["ret"] > 0)
    return "|".join(names)


def recorded(case):
    """The facts of a record that can be compared, as the model gives them: {name: fact}."""
    facts = with_nodes({name: it.read(value, case) for name, value in case.raw.items() if (it := fact(name))})
    vary = varies(case)
    return {name: value for name, value in facts.items() if not re.fullmatch(vary, name)}


def with_nodes(facts):
    """Facts, and among them which nodes were used."""
    if "state_after_call" in facts:
        return facts | {"nodes_used": [node for node, n in enumerate(facts["state_after_call"]["mapped"]) if n]}
    return facts | {"nodes_used": sorted({*facts.get("after", ())} - {None})}
