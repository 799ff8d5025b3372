"""A real kernel and the model as that release compared, case by case: equal, differ, not asked or unexplained.

What cannot be asked is decided before a case is run, from its setup and call.  No rule excuses a difference: a case
that differs is named in `LACKS`, by what the model does not have, or it is unexplained.
"""

import re
from typing import NamedTuple

from ..machine.changes import known_release, order
from ..machine.policy import Policy
from ..machine.task import Task
from . import replay_early, replay_later, replay_words
from .records import RecordError, read

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
    """Pages come back from swap, and the kernel reads eight slots at a time."""
    elsewhere = case.setup.get("touch_cpu") or case.call.get("mode") == "MPOL_INTERLEAVE" or "vma_policy" in case.setup
    brought_back = case.group in ("swap_out_in", "evict_policy") or (case.release == "2.6.16-rc1" and elsewhere)
    return "page_cluster" not in case.setup and brought_back


def killed(case):
    """mbind(BIND) of pages to a node that another process fills with locked pages."""
    return "(mlocked)" in case.setup.get("node3", "") and case.call.get("mode") == "MPOL_BIND"


def missing_call(case):
    """A call or a policy that the model is still to get."""
    said = f"{case.setup} {case.call}"
    return (
        ("move_pages" in said and not hasattr(Task, "move_pages"))
        or ("LOCAL" in said and not hasattr(Policy, "local"))
        or (re.search("STATIC|RELATIVE|PREFERRED_MANY", said) and not hasattr(Policy, "preferred_many"))
    )


# What the model truly lacks: first and last release, which cases, and what it is
LACKS = (
    ("2.6.16-rc1", "2.6.16", read_ahead, "read-ahead from swap: eight slots at a time"),
    ("2.6.16", "2.6.18", killed, "the OOM killer ends who fills the node of a BIND"),
    ("2.6.14", "99.0", missing_call, "a call or policy that is not yet in the model"),
)


def judge(case):
    """Compare one case: run it on the model as the recorded release.  The Verdict."""
    release = known_release(case.release)
    early = release in EARLY
    replay = replay_early if early else replay_later
    why = replay.not_asked(case) or (None if early else replay_words.not_understood(case))
    if why:
        return Verdict(case, "not asked", why, {}, {})
    linux = early_facts(case) if early else later_facts(case)
    try:
        model = replay.replay(case, replay.machine(case, release=release))
    except RecordError:
        raise
    except Exception as error:  # whatever goes wrong in the model is a finding, not the end of the table
        model = {"error": f"{type(error).__name__}: {error}"}
    if "nodes_used" in linux:
        after = model.get("after", [])
        model["nodes_used"] = sorted({node for node in after if node is not None})
        if early and "state_after_call" in model:
            model["nodes_used"] = [node for node, n in enumerate(model["state_after_call"]["mapped"]) if n]
    if not differing(linux, model):
        return Verdict(case, "equal", "", linux, model)
    for first, last, applies, what in LACKS:
        if order(first) <= order(release) <= order(last) and applies(case):
            return Verdict(case, "differ", what, linux, model)
    return Verdict(case, "unexplained", "", linux, model)


def differing(linux, model):
    """The names of the facts of Linux that the model has not, or not so; of a group of facts, those recorded."""
    return [name for name, fact in linux.items() if not same(fact, model.get(name))]


def same(fact, other):
    if isinstance(fact, dict):
        return isinstance(other, dict) and fact.items() <= other.items()
    return fact == other


def judge_all(path):
    """The Verdicts of all cases of a record; RecordError names the line of one that says what cannot be."""
    return [judge(case) for case in read(path)]


def report(verdicts):
    """The lines that `mmsim verify` prints: how many of each verdict, and why."""
    lines = []
    for verdict in VERDICTS:
        here = [it for it in verdicts if it.verdict == verdict]
        lines.append(f"{len(here):4} {verdict}")
        reasons = {}
        for it in here:
            reasons.setdefault(it.why.split(":")[0] if verdict == "not asked" else it.why, []).append(it)
        lines += [f"     {len(some):4} {why}" for why, some in sorted(reasons.items()) if why]
    for it in verdicts:
        if it.verdict == "unexplained":
            lines += ["", *shown(it)]
    return lines


def shown(it, every=False):
    """A case in words: the facts that differ, or all, of Linux and the model."""
    names = list(it.linux) if every else differing(it.linux, it.model)
    lines = [f"{it.case.id} ({it.case.group}): {it.verdict}" + f", {it.why}" * bool(it.why)]
    if "error" in it.model:
        return [*lines, f"    model: {it.model['error']}"]
    for name in names:
        lines += [f"    {name}", f"        Linux: {it.linux[name]}", f"        model: {it.model.get(name)}"]
    return lines


PLACES = ("before", "after", "partner_before", "partner_after", "after_touch_tail", "after_write_touch_all",
          "after_second_touch", "after_first_call", "after_migrate")  # fmt: skip


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
    for name in ("status", "get_mempolicy", "first_ret", "first_errno", "pagemap_after"):
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
