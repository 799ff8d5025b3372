"""Lesson 09, real kernels: recorded cases in words, what V1 makes of them, and which change is to blame."""

import functools
from itertools import groupby

import pandas as pd

from ..experiments import verify
from .teaching import Question
from ..mm import mempolicy, page_alloc

SAME, OTHER = "the same", "something else"
NODE_REMAP = mempolicy.node_remap  # the model's own
MATRIX = "migrate_pages_matrix"
KINDS = {"anon_private": "anonymous memory", "anon_shared(shmem)": "shared anonymous memory"}
WORDED = ("migrate_self", MATRIX, "mbind", "share_mbind", "special")  # groups that `words` tells without loss


@functools.lru_cache
def cases():
    """The recorded cases of Linux 6.1 by their ids."""
    return {case.id: case for case in verify.read(verify.RECORDS["6.1"])}


@functools.lru_cache
def verdicts():
    """The kernel of 2005 beside each recorded case: a row a case, with a verdict and the facts in short."""
    return pd.DataFrame([compared(case) for case in cases().values()]).set_index("case")


def compared(case):
    """A row of `verdicts`: V1 is equal to Linux 6.1, or differs, or cannot be asked."""
    it = verify.judge(case)
    row = {"case": case.id, "group": case.group, "verdict": it.verdict, "linux": "", "model": ""}
    if it.verdict == "not asked":
        return row
    v1 = verify.facts_on(case, None)
    differ = verify.differing(it.linux, v1)
    row["verdict"] = "differ" if differ else "equal"
    names = [name for name in differ if name != "ret" and "maps" not in name] or differ or ["errno"]
    row["linux"], row["model"] = (
        ". ".join(f"{name} {in_short(verify.alike(facts.get(name), it.linux[name]))}" for name in names)
        for facts in (it.linux, v1)
    )
    return row


def in_short(fact):
    """One fact in short; runs of equal nodes are counted."""
    if not isinstance(fact, list):
        return " ".join(f"{name}={n}" for name, n in fact.items()) if isinstance(fact, dict) else str(fact)
    runs = [(item, len(list(run))) for item, run in groupby(fact)]
    return " ".join(("-" if item is None else str(item)) + f" x{n}" * (n > 1) for item, n in runs)


def pairs(source, target):
    """The pairs of nodes in the order of migration: the i-th node goes to the (i mod n)-th.

    First one that goes where nothing waits to leave, else the last that moves.
    """
    to = {node: target[i % len(target)] for i, node in enumerate(source)}
    waiting = list(source)
    while moving := [node for node in waiting if to[node] != node]:
        node = next((node for node in moving if to[node] not in waiting), moving[-1])
        waiting.remove(node)
        yield node, to[node]


def nodes(some):
    """A set of nodes in braces."""
    return f"{{{','.join(map(str, some))}}}"


def call_of(case):
    """The call of a case in short."""
    call = case.call
    if "variant" in call:
        return call["variant"]
    if "from" in call:
        return f"{call['name']}({nodes(call['from'])} to {nodes(call['to'])})"
    if "new_mems" in call:
        return f"cpuset {nodes(call['old_mems'])} to {nodes(call['new_mems'])}"
    return f"{call['name']}({call['mode']} {nodes(call['nodes'])}, {call.get('flags', '')})"


def words(case):
    """What a case sets up, in words."""
    setup = case.setup
    extra = [setup[key] for key in ("special", "sharing", "node3") if key in setup]
    extra += [f"{whose} policy {setup[f'{whose}_policy']} {nodes(setup[f'{whose}_policy_nodes'])}"
              for whose in ("vma", "task") if setup.get(f"{whose}_policy")]  # fmt: skip
    if setup.get("cpu"):
        extra.append(f"the task runs on node {setup['cpu']}")
    if "owner" in setup:
        extra.append(f"of user {setup['target_uid']}; the caller is {setup['caller']}")
    what = f"{setup['pages']} pages of {KINDS.get(case.kind, case.kind)} on nodes {placement(case.raw['before'])}"
    return ", ".join([what, *extra])


def placement(some):
    """Nodes of pages, one after the other; many in short."""
    return in_short(some) if len(some) > 16 else " ".join("-" if n is None else str(n) for n in some)


def in_the_model_of(function, group=MATRIX):
    """How many of a group of cases V1 answers as Linux 6.1 did, when it pairs nodes by another function."""
    mempolicy.node_remap = function
    try:
        asked = [case for case in cases().values() if case.group == group]
        return pd.Series([compared(case)["verdict"] for case in asked]).value_counts()
    finally:
        mempolicy.node_remap = NODE_REMAP


def todays_remap(node, source, target):
    """node_remap() with the rule of today: where the sets differ in size, a node of both stays."""
    differ = page_alloc.count_nodes(source) != page_alloc.count_nodes(target)
    return node if differ and target >> node & 1 else NODE_REMAP(node, source, target)


# -- predictions


def chosen(rng, verdict=None):
    """A case that can be told in words, with a verdict; seldom one in which nothing moves."""
    table = verdicts()
    table = table[table["group"].isin(WORDED) & (table["verdict"] == (verdict or rng.choice(["equal", "differ"])))]
    some = [case for case in map(cases().get, table.index)
            if case.raw["after"] != case.raw["before"] and case.name != "move_pages"]  # fmt: skip
    return rng.choice(some)


def rule_of(case):
    """Why the two kernels agree on a case, or do not."""
    row = verdicts().loc[case.id]
    if row["verdict"] == "equal":
        return "nothing that has changed since 2005 is about this case. Both kernels: " + row["linux"]
    since = ", ".join(f"{it.title} ({it.release})" for it in verify.changes_of(case))
    return f"since then: {since}. Linux 6.1: {row['linux']}. The model: {row['model']}"


def agrees(rng):
    """Whether the kernel of 2005 does what a kernel of today was seen to do."""
    case = chosen(rng)
    return Question(
        f"{words(case)}.\nThe call: `{call_of(case)}`.\nLinux 6.1 has moved pages. Does the kernel of 2005, with all "
        "seven patches, do the same?",
        SAME if verdicts().loc[case.id, "verdict"] == "equal" else OTHER, f"Rule: {rule_of(case)}.", (SAME, OTHER),
        hints=("Go through the examples of station 4: is one of them like this case?",
               "Node sets of different size, shared pages, locked pages, INTERLEAVE with MOVE: these are the frequent "
               "ones."),
    )  # fmt: skip


def which_is_older(rng):
    """Of two placements, which one the kernel of 2005 gives."""
    case = chosen(rng, "differ")
    while case.group not in (MATRIX, "migrate_self") or verdicts().loc[case.id, "linux"][:5] != "after":
        case = chosen(rng, "differ")
    now, then = placement(case.raw["after"]), placement(verify.facts_on(case, None)["after"])
    first, second = rng.sample([now, then], 2)
    return Question(
        f"{words(case)}.\nThe call: `{call_of(case)}`.\nTwo results were noted, one of Linux 6.1 and one of the kernel "
        "of 2005. Which one is that of 2005?",
        then, f"Rule: {rule_of(case)}.", (first, second),
        hints=("The kernel of 2005 pairs the i-th node of one set with the (i mod n)-th of the other, always.",
               "Today a page stays whose node is in the target set, if the sets differ in size."),
    )  # fmt: skip


# -- exercises


def todays_rule(rng):  # noqa: ARG001
    """Exercise 1: the rule of Linux 6.1 for node sets, judged by what was recorded."""
    asked = [case for case in cases().values() if case.group == MATRIX and case.raw["errno"] == "OK"]

    def judge(after):
        if not callable(after):
            return "Give a function `after(before, source, target)`."
        wrong = [case for case in asked
                 if list(after(list(case.raw["before"]), case.call["from"], case.call["to"])) != case.raw["after"]]
        if not wrong:
            return ""
        return (f"{len(asked) - len(wrong)} of {len(asked)} cases are right. The first that is not: `{wrong[0].id}`, "
                f"`{call_of(wrong[0])}`.")  # fmt: skip

    return Question(
        "Write a function `after(before, source, target)`: the nodes of the pages on Linux 6.1 after the call.",
        "the pairs of 2005, without those that start on a node of the target set, if the sets differ in size",
        "Rule: since Linux 3.5 a page stays that is on a node of the target set already, unless the sets have the same "
        "size. Then the relative position counts, as in 2005.",
        wrong={_of_2005: "35 differ", _all_stay: "also where the sets have the same size"},
        hints=("`lesson09.pairs(source, target)` gives the pairs of 2005 in their order. Move the pages of one pair "
               "after the other.",
               "Leave out a pair if its first node is in `target`. But look at sets of the same size."),
        judge=judge,
    )  # fmt: skip


def moved_by(before, pairs):
    """Where pages are after one pair of nodes after the other."""
    for old, new in pairs:
        before = [new if node == old else node for node in before]
    return before


def _of_2005(before, source, target):
    return moved_by(before, pairs(source, target))


def _all_stay(before, source, target):
    return moved_by(before, [pair for pair in pairs(source, target) if pair[0] not in target])


def refused_today(rng):  # noqa: ARG001
    """Exercise 2: a case in which today's kernel refuses what 2005 did."""
    table = verdicts().query("verdict == 'differ'")
    right = [case for case in table.index if table.loc[case, "model"].startswith("errno OK")]

    def judge(case):
        if case not in cases():
            return "Give the id of a case, as the index of `lesson09.verdicts()` has it."
        if case in right:
            return ""
        return f"It differs in another way: {rule_of(cases()[case])}." if case in table.index else "Both do the same."

    return Question(
        "Give the id of a case in which Linux 6.1 answers with an error, and the kernel of 2005 with success.",
        " or ".join(f"`{case}`" for case in right),
        "Rule: permission, empty target sets, holes and full nodes are what today's kernel is stricter about.",
        wrong={verdicts().query("verdict == 'equal'").index[0]: "equal", "spc0_mp": "both answer 0"},
        hints=("Filter the table: verdict `differ`, and an errno in the column `linux`.",
               '`lesson09.verdicts().query("verdict == \'differ\'")`, then `linux.str.contains("errno E")`.'),
        judge=judge,
    )  # fmt: skip


def different_sizes(rng):  # noqa: ARG001
    """Exercise 3: how often the rule about node sets matters."""
    table = verdicts()
    table = table[table["group"] == MATRIX]
    unequal = sum(len(cases()[case].call["from"]) != len(cases()[case].call["to"]) for case in table.index)
    return Question(
        "How many of them differ?",
        int((table["verdict"] == "differ").sum()),
        f"Rule: {unequal} of the {len(table)} cases have sets of different size, but in most of them no page is on a "
        "node of both that would have to leave it.",
        wrong={unequal: "So many have sets of different size. Do all of them come out differently?"},
        hints=('`lesson09.verdicts().query("group == \'migrate_pages_matrix\'")` has them.',
               'Count the rows whose `verdict` is "differ".'),
    )  # fmt: skip
