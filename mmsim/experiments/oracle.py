"""A real Linux kernel and the model compared: a case agrees, differs for a named cause, or is not modelled.

The recording is Linux 6.1, the model is November 2005.  `recorded` gives the facts of a case.  Each rule of
`CAUSES` is one thing that has changed since: for the cases that it is about, it says what today's kernel does and
what that of 2005 did.  The record must be just the one, the model just the other; where no rule has its say, both
are the same.
"""

import json
import re
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ..machine.policy import format_nodes
from .records import Record, RecordError, check, nodes_of, read
from .replay import GROUPS, maps_facts, replay

RECORDING = Path(__file__).with_name("linux-6.1.jsonl")  # in an installed package
if not RECORDING.exists():
    RECORDING = Path(__file__).parents[2] / "tests/oracle/linux-6.1.jsonl"
VERDICTS = ["agree", "differs", "not modelled", "unexplained"]
FILLED = 3  # the node that the groups fill* fill up


def recorded(case):
    """The facts of a case that the record has and the model can have."""
    raw, pages = case.raw, case.pages
    facts = Record({"ret": raw["ret"], "errno": raw["errno"]}, case.where, "what was seen")
    if "after_counts" in raw:  # how many pages fitted varies from run to run; which nodes were used does not
        used = sorted(int(node) for node, count in raw["after_counts"].items() if count and node != "other")
        facts |= {"before": case.placement, "nodes used": used}
        return facts
    names = {
        "before": "before", "after": "after", "partner_before": "partner before", "partner_after": "partner after",
        "after_touch_tail": "tail", "after_write_touch_all": "touched",
    }  # fmt: skip
    facts |= {name: nodes_of(raw[key][:pages]) for key, name in names.items() if key in raw}
    if case.of_a_file:
        facts["read again"] = facts["after"]
    names = {"get_mempolicy": "policy", "readback": "readback", "pagemap_after": "states"}
    facts |= {name: raw[key] for key, name in names.items() if key in raw}
    if "partner_numa_maps" in raw:
        facts["partner policies"] = maps_facts(raw["partner_numa_maps"])["policies"]
    facts |= maps_facts(raw.get("numa_maps", raw.get("numa_maps_after")))
    return facts


# -- what has changed since 2005: (case, recorded facts) -> (facts of today, facts of 2005); None: nothing to say


def placed(linux, nodes, **others):
    """The facts with the pages on other nodes after the call, and numa_maps to match."""
    facts = linux | {"after": nodes} | others
    if "maps" in facts:
        kinds = {name: n for name, n in linux["maps"].items() if name[0] != "N"}
        final = facts.get("touched", nodes + facts.get("tail", []))
        if sum(n for name, n in linux["maps"].items() if name[0] == "N") == len(nodes):
            final = final[: len(nodes)]  # numa_maps was read before the tail was touched
        facts["maps"] = kinds | {f"N{node}": n for node, n in Counter(final).items() if node is not None}
    return facts


def unmapped(linux, moved, target):
    """The facts with these pages of a file moved to `target`: mapped nowhere, until the next touch finds them there."""
    after = [None if gone else node for gone, node in zip(moved, linux["before"], strict=True)]
    again = [target if gone else node for gone, node in zip(moved, linux["before"], strict=True)]
    tail = linux.get("tail", [])  # written after the call, and all that is mapped now
    kinds = {"anon": len(tail) if linux["maps"].get("anon") else 0, "dirty": len(tail)}
    maps = kinds | Counter(f"N{node}" for node in tail)
    facts = {"after": after, "read again": again, "maps": {name: n for name, n in maps.items() if n}}
    if "partner after" in linux:
        facts["partner after"] = after
    return linux | facts


DONE = {"ret": 0, "errno": "OK"}
EIO, EINVAL, EPERM, ENOMEM, EFAULT = ({"ret": -1, "errno": name} for name in "EIO EINVAL EPERM ENOMEM EFAULT".split())


def target_of(case):
    """The one node that a call moves to, or None."""
    nodes = case.call.get("to", case.call.get("nodes", []))
    return nodes[0] if len(nodes) == 1 else None


def pairs(source, target, today=False):
    """The pairs of nodes in the order of migration: the i-th node goes to the (i mod n)-th.

    First one that goes where nothing waits to leave, else the last that moves.  Today, where the sets differ in size,
    not those that are in both.
    """
    to = {node: target[i % len(target)] for i, node in enumerate(source)}
    stay = target if today and len(source) != len(target) else []
    waiting = list(source)
    while moving := [node for node in waiting if to[node] != node and node not in stay]:
        node = next((node for node in moving if to[node] not in waiting), moving[-1])
        waiting.remove(node)
        yield node, to[node]


def node_sets(case, linux):
    """Sets of different size: V1 pairs them too, i mod n; today a page that is on a target node already stays."""
    if case.name == "migrate_pages" and "from" in case.call:
        source, target = case.call["from"], case.call["to"]
    elif case.call.get("memory_migrate_dst", case.call.get("memory_migrate_src")):
        source, target = case.call["old_mems"], case.call["new_mems"]
    else:
        return None
    if len(source) == len(target):
        return None
    places = []
    for today in (True, False):
        nodes = linux["before"]
        for old, new in pairs(source, target, today):
            nodes = [new if node == old else node for node in nodes]
        places.append(placed(linux, nodes) | DONE)
    return places


def sharing(case, linux):
    """With MOVE, V1 moves any anonymous page and decides for a file as a whole; today a page that others map stays."""
    if "sharing" not in case.setup:
        return None
    asked = "MOVE" in case.flags if case.name == "mbind" else not case.setup["caller"].startswith("uid0")
    if not asked:
        return None  # MOVE_ALL; which is what migrate_pages(2) means today if root calls it
    target, before = target_of(case), linux["before"]
    own = 4 if "child wrote pages 0-3" in case.setup["sharing"] else 0  # these are shared no more
    now = placed(linux, [target] * own + before[own:]) | DONE
    if "partner after" in linux:
        now["partner after"] = before
    if case.of_a_file:  # each kind that was recorded is mapped writably
        return now, unmapped(linux, [node != target for node in before], target)
    return now, placed(linux, [target] * case.pages) | {"partner after": before[:own] + [target] * (case.pages - own)}


def file_ptes(case, linux):
    """V1 puts back the ptes of anonymous pages only: a file's page is mapped again by the next touch."""
    target = target_of(case)
    if not case.of_a_file or linux["after"] == linux["before"] or target is None:
        return None
    now = placed(linux, [target] * case.pages) | DONE
    if "partner after" in linux:
        now["partner after"] = now["after"]
    return now, unmapped(linux, [node != target for node in linux["before"]], target)


def locked_vmas(case, linux):
    """V1 leaves locked vmas out, and with STRICT says so."""
    if not case.setup.get("special", "").startswith("mlock"):
        return None
    answer = EIO if "STRICT" in case.flags else DONE
    return placed(linux, [target_of(case)] * case.pages) | DONE, placed(linux, linux["before"]) | answer


def pinned_pages(case, linux):
    """A page whose retries are exhausted keeps the swap slot that V1 gave it before it tried."""
    if not case.pinned:
        return None
    now = placed(linux, [old if i in case.pinned else target_of(case) for i, old in enumerate(linux["before"])])
    return now, now | {"maps": now["maps"] | {"swapcache": len(case.pinned)}}


def bind_order(case, linux):
    """BIND takes the lowest node first; today the one nearest to the CPU."""
    nodes = case.call.get("nodes", [])
    if case.call.get("mode") != "MPOL_BIND" or len(nodes) < 2:
        return None
    away = case.distances[case.setup["cpu"]]
    nearest = [node for node in nodes if away[node] == min(away[n] for n in nodes)]
    stay = nodes if "MOVE" in case.flags or "MOVE_ALL" in case.flags else range(len(away))
    before = linux.get("before", [None] * case.pages)  # None: set_mempolicy(2), the pages come after it
    if "STRICT" in case.flags and stay != nodes and set(before) - set(nodes):
        return None  # nothing moves
    moved = [new for old, new in zip(before, linux["after"], strict=True) if old not in stay]
    used = next((node for node in [*moved, *linux.get("tail", [])][::-1] if node in nearest), nearest[0])
    places = []
    for node in (used, min(nodes)):  # of several that are equally near today's kernel has its own favourite
        tail = {"tail": [node] * len(linux["tail"])} if "tail" in linux else {}
        places.append(placed(linux, [old if old in stay else node for old in before], **tail) | DONE)
    return places


def interleave_turns(case, linux):
    """With MOVE, V1 gives INTERLEAVE's nodes to the pages that move, last one first; today by the place of each."""
    if case.call.get("mode") != "MPOL_INTERLEAVE" or not {"MOVE", "MOVE_ALL"} & set(case.flags):
        return None
    nodes, first = case.call["nodes"], case.setup.get("vma_pgoff_mod_12", 4)
    misfits = [i for i, node in enumerate(linux["before"]) if node not in nodes]
    places = []
    for turns in (misfits, range(len(misfits))[::-1]):
        new = {i: nodes[(first + turn) % len(nodes)] for i, turn in zip(misfits, turns, strict=True)}
        places.append(placed(linux, [new.get(i, node) for i, node in enumerate(linux["before"])]) | DONE)
    return places


def vma_policies(case, linux):
    """A cpuset that changes takes the task's own policy along; today those of its vmas, too."""
    if "vma_policy" not in case.setup or "new_mems" not in case.call:
        return None
    mode, asked, mems = case.setup["vma_policy"], case.setup["vma_policy_nodes"], case.call["new_mems"]
    from_ = asked[0] if mode == "MPOL_PREFERRED" else case.setup["task_cpu"]
    near = min(mems, key=lambda n: (case.distances[from_][n], n))  # of the nodes that the policy names none is allowed
    along = asked if mode == "MPOL_PREFERRED" else [mems[case.call["old_mems"].index(n) % len(mems)] for n in asked]
    names = {"MPOL_PREFERRED": "prefer", "MPOL_BIND": "bind", "MPOL_INTERLEAVE": "interleave"}
    shown = [f"{names[mode]}:{format_nodes(sum(1 << n for n in nodes))}" for nodes in (along, asked)]
    tail = [near] * len(linux["tail"])
    turns = [along[(case.pages + i) % len(along)] for i in range(len(tail))] if mode == "MPOL_INTERLEAVE" else tail
    tails = turns, tail
    return [linux | {"policies": [text], "tail": tail} for text, tail in zip(shown, tails, strict=True)]


def permission(case, linux):
    """V1 compares uids, or asks for CAP_SYS_ADMIN; today the caller must be allowed to trace the process."""
    if case.setup.get("owner") != "other process":
        return None
    caller, target = case.setup["caller"], case.setup["target_uid"]
    same = caller.startswith(("uid0", f"uid{target}"))
    moved = placed(linux, [target_of(case) if node in case.call["from"] else node for node in linux["before"]]) | DONE
    refused = placed(linux, linux["before"]) | EPERM
    trace = caller.startswith("uid0") or "PTRACE" in caller or (same and case.setup["target_dumpable"])
    return (moved if trace else refused), (moved if same else refused)


def no_target(case, linux):
    """No target node, or none that the caller's cpuset allows: V1 answers 0, and allocates where the caller may."""
    nodes = linux.get("before")
    if confined := re.search(r"caller root in cpuset .*migrate_pages \{\d\}->\{(\d)\}", case.variant):
        away = case.distances[int(confined[1])]
        nodes = [min(case.setup["base_cpuset_mems"], key=lambda n: (away[n], n))] * case.pages
    elif not case.variant.startswith("empty to "):
        return None
    return placed(linux, linux["before"]) | EINVAL, placed(linux, nodes) | DONE


def hole_at_head(case, linux):
    """A hole at the head of the range goes unnoticed in 2005: the rest of the range is done."""
    if "range begins in the hole" not in case.variant:
        return None
    behind = [1 if i >= 12 else node for i, node in enumerate(linux["before"])]
    then = placed(linux, behind) | DONE | {"policies": ["default", "bind:1"]}
    return placed(linux, linux["before"]) | EFAULT, then


def hole_at_tail(case, linux):
    """A hole at the tail of the range with another mapping behind it goes unnoticed in 2005."""
    if "range ends in the hole" not in case.variant:
        return None
    moved = [1 if i < 8 else node for i, node in enumerate(linux["before"])]
    then = placed(linux, moved) | DONE | {"policies": ["bind:1", "default"]}
    return placed(linux, linux["before"]) | EFAULT, then


def spilling(case, linux):
    """V1 asks the zonelist of the target: what does not fit lands on the next node, and the answer is 0."""
    if not case.group.startswith("fill") or case.name != "migrate_pages self":
        return None
    nodes, room = case.placement, case.freed  # the filler went on till node 3 gave no more while others had some
    beyond = min((d, n) for n, d in enumerate(case.distances[FILLED]) if n != FILLED)[1]
    short = False
    for old, new in pairs(case.call["from"], case.call["to"]):
        for i in [i for i, node in enumerate(nodes) if node == old][::-1]:  # the highest address comes first
            full = new == FILLED and room <= 0
            nodes[i] = beyond if full else new
            room -= new == FILLED
            short |= full
    now = ENOMEM if short and "(mlocked)" in case.setup["node3"] else DONE  # else reclaim makes room
    return linux | now, linux | DONE | {"after": nodes, "nodes used": sorted(set(nodes))}


def all_or_nothing(case, linux):
    """V1 allocates every new page before it moves the first: with too little memory nothing moves, not a part."""
    confined = case.name == "mbind MPOL_BIND" or case.name.startswith("cpuset")
    if not case.group.startswith("fill") or not confined or case.call["to"] != [FILLED]:
        return None
    if "(mlocked)" not in case.setup["node3"] or case.freed >= case.pages:
        return None  # reclaim makes room, or there is enough
    answer, start = EIO if "STRICT" in case.flags else DONE, sorted(set(case.placement))
    now = linux | answer | {"nodes used": [*start, FILLED]}
    return now, linux | answer | {"after": case.placement, "nodes used": start}


CAUSES = {
    "node sets of different size": node_sets,
    "sharing": sharing,
    "file ptes": file_ptes,
    "locked vmas": locked_vmas,
    "pinned pages": pinned_pages,
    "BIND order": bind_order,
    "INTERLEAVE turns": interleave_turns,
    "policies of vmas in a cpuset": vma_policies,
    "permission": permission,
    "no target": no_target,
    "hole at the head": hole_at_head,
    "hole at the tail": hole_at_tail,
    "spilling": spilling,
    "all or nothing": all_or_nothing,
}

# What the model has no means for: a pattern in the words of setup and call
NOT_MODELLED = {
    "move_pages(2), of 2.6.18": r'"name": "move_pages"',
    "cgroup v2": r'"cgroup": "v2"',
    "wall-clock time": r'"group": "timing"',
    "policies of later kernels": r"LOCAL|PREFERRED_MANY|STATIC|RELATIVE|MF_LAZY",
    "ramfs": r"ramfs",
    "page protection": r"PROT_NONE",
    "MADV_FREE": r"MADV_FREE",
    "zombies": r"zombie",
    "raw arguments: pointers, bytes, maxnode, bits": r'"variant": "[^"]*(bad pointer|=NULL|garbage|misaligned)'
                                                     r'|"variant": "(maxnode|mode|flags)=',
}  # fmt: skip


def not_modelled(case):
    """Why the model cannot run a case, or None."""
    words = json.dumps({"group": case.group, "setup": case.setup, "call": case.call})
    return next((why for why, pattern in NOT_MODELLED.items() if re.search(pattern, words)), None)


class Judgement(NamedTuple):
    """What became of a case: verdict and cause; the facts of Linux, those that 2005 must give, those of the model."""

    verdict: str
    cause: str
    linux: dict
    expected: dict
    model: dict


def judge(case):
    """Compare one case."""
    if why := not_modelled(case):
        return Judgement("not modelled", why, {"ret": case.raw["ret"], "errno": case.raw["errno"]}, {}, {})
    linux = recorded(case)
    rules = {name: facts for name, rule in CAUSES.items() if (facts := rule(case, linux))}
    said = {name: then for name, (_, then) in rules.items() if differ(linux, then)}
    cause = " or ".join(said)
    expected = next(iter(said.values()), linux)
    try:
        model = replay(case)
    except RecordError:
        raise
    except Exception as error:  # whatever goes wrong in the model is a finding, not the end of the table
        return Judgement("unexplained", cause, linux, expected, {"error": f"{type(error).__name__}: {error}"})
    verdict = "differs" if said else "agree"
    if len(said) > 1 or differ(expected, model) or any(differ(linux, now) for now, _ in rules.values()):
        verdict = "unexplained"
    return Judgement(verdict, cause, linux, expected, model)


def differ(facts, others):
    """The names of the facts that are not the same, or absent, among others."""
    return [name for name, fact in facts.items() if others.get(name) != fact]


def table(path):
    """One row a case of a recording: case, group, verdict, cause, and what Linux and the model gave, in short.

    Of a case that differs only the facts that do; `expected` is what an unexplained one should have given.
    RecordError names the line of a record that says what cannot be, or lacks something.
    """
    rows = []
    for case in read(path):
        if not not_modelled(case):
            case.known("group", case.group, GROUPS)
            check(case)
        it = judge(case)
        names = differ(it.linux, it.model) if it.model else []
        names = ["error", *(names or ["ret", "errno", "after" if "after" in it.linux else "nodes used"])]
        shown = [it.linux, it.model, it.expected if it.verdict == "unexplained" else {}]
        texts = [", ".join(f"{n} {fact_text(facts[n])}" for n in names if n in facts) for facts in shown]
        rows.append([case.id, case.group, it.verdict, it.cause, *texts])
    return pd.DataFrame(rows, columns=["case", "group", "verdict", "cause", "linux", "model", "expected"])


def summary(cases):
    """How many cases of a table have each verdict and cause; and why, for a cause."""
    counts = cases.groupby(["verdict", "cause"]).size().rename("cases").reset_index()
    counts["why"] = [CAUSES[cause].__doc__ if cause in CAUSES else "" for cause in counts["cause"]]
    counts["verdict"] = pd.Categorical(counts["verdict"], VERDICTS)
    return counts.sort_values(["verdict", "cases"], ascending=[True, False])


def fact_text(fact):
    """One fact in short; runs of equal nodes are counted."""
    if not isinstance(fact, list):
        return " ".join(f"{name}={n}" for name, n in fact.items()) if isinstance(fact, dict) else str(fact)
    runs = [(item, len(list(run))) for item, run in groupby(fact)]
    return " ".join(("-" if item is None else str(item)) + f" x{n}" * (n > 1) for item, n in runs)
