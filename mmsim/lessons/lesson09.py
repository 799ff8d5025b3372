"""Lesson 09, real kernels: recorded cases in words, what the model makes of them, and the rules of today."""

import functools

import pandas as pd

from ..experiments import oracle
from .teaching import Question
from ..mm import mbind, nodemask

SAME, OTHER = "the same", "something else"
NODE_REMAP = nodemask.node_remap  # the model's own
MATRIX = "migrate_pages_matrix"
KINDS = {"anon_private": "anonymous memory", "anon_shared(shmem)": "shared anonymous memory"}
WORDED = ("migrate_self", MATRIX, "mbind", "share_mbind", "special")  # groups that `words` tells without loss


@functools.lru_cache
def cases():
    """The recorded cases by their ids."""
    return {case.id: case for case in oracle.read(oracle.RECORDING)}


@functools.lru_cache
def verdicts():
    """The comparison of the whole record, a row a case (oracle.table), indexed by case."""
    return oracle.table(oracle.RECORDING).set_index("case")


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
    what = f"{case.pages} pages of {KINDS.get(case.kind, case.kind)} on nodes {placement(case.placement)}"
    return ", ".join([what, *extra])


def placement(some):
    """Nodes of pages, one after the other; many in short."""
    return oracle.fact_text(some) if len(some) > 16 else " ".join("-" if n is None else str(n) for n in some)


def example_of_each_cause():
    """One case for each thing that has changed since 2005, those with the most cases first."""
    table = verdicts().query("verdict == 'differs'")
    first = table[~table["cause"].duplicated()].copy()
    first["cases"] = first["cause"].map(table["cause"].value_counts())
    first["setup"] = [words(cases()[case]) for case in first.index]
    first["call"] = [call_of(cases()[case]) for case in first.index]
    order = first.sort_values("cases", ascending=False, kind="stable")
    return order.reset_index().set_index("cause")[["cases", "case", "setup", "call", "linux", "model"]]


def in_the_model_of(function, group=MATRIX):
    """The verdicts on a group of cases when the model pairs nodes by another function than its own node_remap()."""
    mbind.node_remap = function
    try:
        found = [oracle.judge(case).verdict for case in cases().values() if case.group == group]
    finally:
        mbind.node_remap = NODE_REMAP
    return pd.Series(found).value_counts()


def todays_remap(node, source, target):
    """node_remap() with the rule of today: where the sets differ in size, a node of both stays."""
    differ = nodemask.nodes_weight(source) != nodemask.nodes_weight(target)
    return node if differ and target >> node & 1 else NODE_REMAP(node, source, target)


# -- predictions


def chosen(rng, verdict=None):
    """A case that can be told in words, with a verdict; seldom one in which nothing moves."""
    table = verdicts()
    table = table[table["group"].isin(WORDED) & (table["verdict"] == (verdict or rng.choice(["agree", "differs"])))]
    some = [case for case in map(cases().get, table.index) if case.raw["after"] != case.raw["before"]]
    return rng.choice(some)


def rule_of(case):
    """Why the two kernels agree on a case, or do not."""
    row = verdicts().loc[case.id]
    if row["verdict"] == "agree":
        return "nothing that has changed since 2005 is about this case. Both kernels: " + row["linux"]
    return f"{oracle.CAUSES[row['cause']].__doc__} Linux 6.1: {row['linux']}. The model: {row['model']}"


def agrees(rng):
    """Whether the kernel of 2005 does what a kernel of today was seen to do."""
    case = chosen(rng)
    return Question(
        f"{words(case)}.\nThe call: `{call_of(case)}`.\nLinux 6.1 has moved pages. Does the kernel of 2005, with all "
        "seven patches, do the same?",
        SAME if verdicts().loc[case.id, "verdict"] == "agree" else OTHER, f"Rule: {rule_of(case)}.", (SAME, OTHER),
        hints=("Go through the table of station 4: is one of its lines about this case?",
               "Node sets of different size, shared pages, locked pages, INTERLEAVE with MOVE: these are the frequent "
               "ones."),
    )  # fmt: skip


def which_is_older(rng):
    """Of two placements, which one the kernel of 2005 gives."""
    case = chosen(rng, "differs")
    while case.group not in (MATRIX, "migrate_self"):
        case = chosen(rng, "differs")
    now, then = placement(oracle.recorded(case)["after"]), placement(oracle.judge(case).model["after"])
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
        hints=("`oracle.pairs(source, target)` gives the pairs of 2005 in their order. Move the pages of one pair "
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
    return moved_by(before, oracle.pairs(source, target))


def _all_stay(before, source, target):
    return moved_by(before, [pair for pair in oracle.pairs(source, target) if pair[0] not in target])


def refused_today(rng):  # noqa: ARG001
    """Exercise 2: a case in which today's kernel refuses what 2005 did."""
    table = verdicts().query("verdict == 'differs'")
    right = [case for case in table.index if oracle.judge(cases()[case]).model.get("errno") == "OK"
             and cases()[case].raw["errno"] != "OK"]  # fmt: skip

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
        wrong={verdicts().query("verdict == 'agree'").index[0]: "agree", "spc0_mp": "both answer 0"},
        hints=("Filter the table: verdict `differs`, and an errno in the column `linux`.",
               '`lesson09.verdicts().query("verdict == \'differs\'")`, then `linux.str.contains("errno E")`.'),
        judge=judge,
    )  # fmt: skip


def different_sizes(rng):  # noqa: ARG001
    """Exercise 3: how often the rule about node sets matters."""
    table = verdicts()
    table = table[table["group"] == MATRIX]
    unequal = sum(len(cases()[case].call["from"]) != len(cases()[case].call["to"]) for case in table.index)
    return Question(
        "How many of them differ?",
        int((table["verdict"] == "differs").sum()),
        f"Rule: {unequal} of the {len(table)} cases have sets of different size, but in most of them no page is on a "
        "node of both that would have to leave it.",
        wrong={unequal: "So many have sets of different size. Do all of them come out differently?"},
        hints=('`lesson09.verdicts().query("group == \'migrate_pages_matrix\'")` has them.',
               'Count the rows whose `verdict` is "differs".'),
    )  # fmt: skip
