"""A real kernel and the model as that release compared, case by case: equal, differ, not asked or unexplained.

What cannot be asked is decided before a case is run, from its setup and call.  No rule excuses a difference: a case
that differs is named in `LACKS`, by what the model does not have, and in no other fact than that is about; or it is
unexplained.
"""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ..machine.changes import NEWEST, order
from ..machine.releases import nearest_release
from ..machine.kernel import Kernel
from . import records, replay_early, replay_later, replay_own, replay_words
from .history import which_change
from .records import RecordError, check, lines

ROOM = Path(__file__).with_name("recorded")  # in an installed package
if not ROOM.exists():
    ROOM = Path(__file__).parents[2] / "tests/oracle"
RECORDS = {
    release: ROOM / f"linux-{release}.jsonl{'' if release == '6.1' else '.gz'}"
    for release in ("2.6.16-rc1", "2.6.16", "2.6.18", "6.1", "6.12")
}
EARLY = ("2.6.16-rc1", "2.6.16")
VERDICTS = ("equal", "differ", "not asked", "unexplained")


class Verdict(NamedTuple):
    """What became of a case: the verdict, why, and the facts of Linux and of the model."""

    case: object
    verdict: str
    why: str
    linux: dict
    model: dict


def read_ahead(case):
    """Pages come back from swap, and where they come back, or how often it is read, depends on who asks for which."""
    if case.group == "swap_out_in" or case.release != "2.6.16-rc1":
        return case.group == "swap_out_in"
    elsewhere = case.setup.get("touch_cpu", 0) != case.setup.get("caller_cpu", 0) or "vma_policy" in case.setup
    spread = case.call.get("mode") == "MPOL_INTERLEAVE" and "MOVE" in case.call["flags"]
    return "page_cluster" not in case.setup and (elsewhere or spread)


def killed(case):
    """Locked pages were free after the call: the OOM killer had ended the process that filled the node with them."""
    setup, raw = case.setup, case.raw
    before = setup.get("node3_free_pages_before", setup.get("node3_free_before", 0))
    after = raw.get("node3_free_pages_after", raw.get("node3_free_after", 0))
    return bool(re.search(r"(?<!not )mlocked", setup.get("node3", ""))) and after > 2 * before


def node_stays_full(case):
    """migrate_pages(2) to the full node 3 of locked pages, which took not one page more."""
    used = {run[0] if isinstance(run, list) else run for run in case.raw["after"]}
    return "(mlocked)" in case.setup.get("node3", "") and case.call.get("to", [])[-1:] == [3] and 3 not in used


def policy_in_cpuset(whose):
    """True for a policy, of the `task` or of its `vma`, where the cpuset gets other nodes."""
    return lambda case: f"{whose}_policy" in case.setup and "new_mems" in case.call


class Lack(NamedTuple):
    """Something that the model truly lacks: in which releases and cases it matters, and for which facts alone."""

    first: str
    last: str
    applies: object
    facts: frozenset
    what: str


TOUCHED = frozenset(
    "read_touch after after_write_touch state_after_read_touch state_after_write_touch swap_after_read_touch "
    "swap_after_write_touch".split()
)
LACKS = (
    Lack("2.6.16-rc1", "2.6.16", read_ahead, TOUCHED, "read-ahead from swap: eight slots at a time"),
    Lack("2.6.16", "2.6.18", killed, frozenset({"ret", "errno", "nodes_used"}),
         "the OOM killer: it ends who fills the only node that is allowed"),
    Lack("6.1", NEWEST, node_stays_full, frozenset({"nodes_used"}),
         "the watermarks of the recorded machine: how many pages of a full node may still be taken"),
    Lack("4.15", NEWEST, lambda case: case.setup.get("target_dumpable") == 0, frozenset({"ret", "errno", "after"}),
         "processes that are not dumpable"),
    Lack("2.6.14", "2.6.30", policy_in_cpuset("task"), frozenset({"numa_maps_after"}),
         "a task's own policy follows its cpuset when it allocates next, not at once"),
    Lack("2.6.16-rc1", "2.6.16-rc1", policy_in_cpuset("vma"), frozenset({"state_after_write_touch"}),
         "a vma's policy follows its cpuset when the task allocates next"),
)  # fmt: skip


def judge(case):
    """Compare one case: run it on the model as the recorded release.  The Verdict."""
    if isinstance(case, replay_own.Recorded):
        return replay_own.judge(case, Verdict)
    check(case)
    release = nearest_release(case.release)
    early = release in EARLY
    why = replay_of(case).not_asked(case) or (None if early else replay_words.not_understood(case))
    if why:
        return Verdict(case, "not asked", why, {}, {})
    linux = early_facts(case) if early else later_facts(case)
    model = facts_on(case, release)
    wrong = set(differing(linux, model))
    lacks = [it for it in LACKS if order(it.first) <= order(release) <= order(it.last) and it.applies(case)]
    named = [it for it in lacks if wrong & it.facts]
    verdict = "unexplained" if wrong.difference(*(it.facts for it in named)) else "differ" if wrong else "equal"
    why = "; ".join(it.what for it in named) if verdict == "differ" else ""
    return Verdict(case, verdict, why, linux, model)


def replay_of(case):
    """The module that knows the words of a record."""
    return replay_early if nearest_release(case.release) in EARLY else replay_later


def facts_on(case, release):
    """The facts of a case on the model of any release; None: V1.  An "error" is among them if it ends with one."""
    if isinstance(case, replay_own.Recorded):
        return replay_own.facts_on(case, release)
    replay = replay_of(case)
    try:
        model = replay.replay(case, Kernel(release=release, **replay.machine(case)))
    except RecordError:
        raise
    except Exception as error:  # whatever goes wrong in the model is a finding, not the end of the table
        return {"error": f"{type(error).__name__}: {error}"}
    if "state_after_call" in model:
        model["nodes_used"] = [node for node, n in enumerate(model["state_after_call"]["mapped"]) if n]
    else:
        model["nodes_used"] = sorted({node for node in model["after"] if node is not None})
    return model


def changes_of(case):
    """The changes between V1 and the record's release that make the recorded facts of a case, found by running."""
    if isinstance(case, replay_own.Recorded):
        return which_change(case.experiment, None, nearest_release(case.release), **case.machine)
    replay, recorded = replay_of(case), judge(case).linux

    def experiment(kernel):
        facts = replay.replay(case, kernel)
        return {name: {key: facts[name][key] for key in fact} if isinstance(fact, dict) else facts[name]
                for name, fact in recorded.items() if name in facts}  # fmt: skip

    return which_change(experiment, None, nearest_release(case.release), **replay.machine(case))


def differing(linux, model):
    """The names of the facts of Linux that the model has not, or not so; of a group of facts, those recorded."""
    return [name for name, fact in linux.items() if not same(fact, model.get(name))]


def same(fact, other):
    if isinstance(fact, dict):
        return isinstance(other, dict) and fact.items() <= other.items()
    return fact == other


def recording(name):
    """The file of a record that ships with mmsim, by its release; any other name is a path."""
    return RECORDS.get(name, name)


def read(path):
    """The cases of a record, whoever has made it; RecordError if one says what cannot be."""
    objects = lines(path)
    return (replay_own if replay_own.knows(objects[0]) else records).cases_of(objects)


def judge_all(path, name=None):
    """The Verdicts of all cases of a record, or of those called `name`; RecordError if one says what cannot be."""
    return [judge(case) for case in read(path) if name in (None, case.id)]


def summary(verdicts):
    """How many cases have each verdict, and why: a table with verdict, why and cases."""
    counts = Counter((it.verdict, it.why.split(": variant")[0]) for it in verdicts)
    order_of = sorted(counts, key=lambda each: (VERDICTS.index(each[0]), -counts[each], each[1]))
    return pd.DataFrame([(*each, counts[each]) for each in order_of], columns=["verdict", "why", "cases"])


def report(verdicts):
    """The lines that `mmsim verify` prints: how many of each verdict, and why."""
    lines, table = [], summary(verdicts)
    for verdict in VERDICTS:
        here = table[table["verdict"] == verdict]
        lines.append(f"{here['cases'].sum():4} {verdict}")
        lines += [f"     {row.cases:4} {row.why}" for row in here.itertuples() if row.why]
    for it in verdicts:
        if it.verdict == "unexplained":
            lines += ["", *shown(it)]
    return lines


def shown(it, v1=None):
    """A case in words: the facts that differ; with those of V1, every one, and V1's beside."""
    lines = [f"{it.case.id} ({it.case.group}): {it.verdict}" + f", {it.why}" * bool(it.why)]
    if "error" in it.model:
        return [*lines, f"    model: {it.model['error']}"]
    for name in differing(it.linux, it.model) if v1 is None else it.linux:
        model = it.model.get(name)
        lines += [f"    {name}", f"        Linux: {it.linux[name]}", f"        model: {alike(model, it.linux[name])}"]
        if v1 is not None:
            lines += [f"        V1:    {alike(v1.get(name, v1.get('error')), it.linux[name])}"]
    return lines


def alike(fact, recorded):
    """Of a group of facts those that are recorded."""
    both = isinstance(fact, dict) and isinstance(recorded, dict)
    return {key: fact.get(key) for key in recorded} if both else fact


PLACES = ("before", "after", "partner_before", "partner_after", "after_touch_tail", "after_write_touch_all",
          "after_second_touch", "after_first_call", "after_migrate", "after_settled")  # fmt: skip


def later_facts(case):
    """What the record of a later kernel has, in the shape that the model's facts have."""
    raw, facts = case.raw, {"ret": case.raw["ret"], "errno": case.raw["errno"]}
    if case.group.startswith("fill") or case.group == "x_spill":  # how many pages fitted varies
        after = [int(node) for node, n in raw.get("after_counts", {}).items() if n and node != "other"]
        after = after or [node for node in raw["after"] if isinstance(node, int)]
        return facts | {"nodes_used": sorted(set(after))}
    for name in PLACES:
        if name in raw:
            facts[name] = [node if isinstance(node, int) else None for node in raw[name][: case.setup["pages"]]]
    varies = case.group in ("swap", "x_swap")  # whether a page was still in the swap cache
    for name in ("numa_maps", "numa_maps_after", "partner_numa_maps"):
        if name in raw:
            state = replay_early.maps_state(raw[name])
            facts[name] = {key: state[key] for key in ("policies", "mapped")}
    for name in ("status", "effective", "get_mempolicy", "first_ret", "first_errno", "pagemap_after"):
        if name in raw and not (varies and name == "pagemap_after"):
            facts[name] = raw[name]
    if "second_read_touch" in raw:
        facts["second_read_touch"] = {name: raw["second_read_touch"][name] for name in ("minflt", "majflt")}
    return facts


def early_facts(case):
    """What the record of an early kernel has, in the shape that the model's facts have."""
    raw, facts = case.raw, {}
    before = raw.get("swap_before", {"slots_used": 0, "swap_cached_pages": 0})
    evicts = case.release == "2.6.16-rc1"
    pushed = case.group == "swap_out_in"  # what was pushed out was not the task's alone
    full = case.group == "full_node"
    for key, value in raw.items():
        if key == "mapped_after_call":
            facts["mapped"] = value
        elif key == "swap_slots_used_after_call":
            facts |= {} if evicts else {"slots_used": value}
        elif key in ("ret", "errno"):
            facts[key] = value
        elif key.startswith(("before", "after", "sharer_before", "sharer_after", "mincore")):
            if isinstance(value, list) and value and isinstance(value[0], list):  # runs of pages
                value = [node for node, n in value for _ in range(n)]
            is_text = isinstance(value, str)  # of mincore(2)
            facts[key] = value if is_text else [node if isinstance(node, int) else None for node in value]
        elif "state_" in key and key != "state_after_100ms":
            facts[key] = early_state(value, "sharer" in key, evicts)
        elif key.startswith("swap_") and key != "swap_before" and not evicts and not pushed:
            names = ("slots_used", "swap_cached_pages")
            facts[key] = {name: value[name] - before[name] for name in names}
        elif key.endswith("_touch") and not evicts:
            facts[key] = {name: n for name, n in value.items() if name != "wrong_content"}
    limited = case.setup.get("swap") == "off" or case.group == "small_swap"
    if evicts and limited and raw["ret"] > 0:
        facts.pop("ret")  # counts the recorder's own pages, too, where swap runs out
    if evicts and ((limited and case.name == "migrate_pages") or stale_counter(case)):
        kept = ("before",) if "STRICT" in case.flags else ("errno", "before")
        facts = {key: facts[key] for key in kept if key in facts}
    if full:
        used = [node for node, n in enumerate(raw["state_after_call"]["mapped"]) if n]
        facts = {"ret": raw["ret"], "errno": raw["errno"], "nodes_used": used}
    return facts


def stale_counter(case):
    """True for MOVE on a file that others map: 2.6.16-rc1 asks a counter that fork leaves stale."""
    alone = case.setup.get("sharer", "none") == "none"
    return not alone and ("file" in case.kind or "shmem" in case.kind) and "MOVE_ALL" not in case.call.get("flags", "")


def early_state(value, sharers, evicts):
    """A state of the record in the model's shape; 2.6.16-rc1 shows no dirty pages, and no vma without pages."""
    state = replay_early.maps_state(value["numa_maps"])
    state["no_pte"] = 0 if sharers else value["no_pte"]
    if evicts:
        state = {"mapped": state["mapped"], "no_pte": state["no_pte"], "shown": state["policies"]}
    return state
