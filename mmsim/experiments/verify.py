"""A real kernel and the model as that release compared, case by case: equal, differ, not asked or unexplained.

What cannot be asked is decided before a case is run, from its setup and call.  No rule excuses a difference: a case
that differs is named in `LACKS`, by what the model does not have, and in no other fact than that is about; or, of what
mmsim itself has recorded, by the change that makes the difference, found by running; or it is unexplained.
"""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ..machine.changes import CHANGES, NEWEST, RELEASES, order
from ..machine.kernel import Kernel
from . import records, replay, replay_own
from .history import which_change
from .records import RecordError, lines

ROOM = Path(__file__).with_name("recorded")  # in an installed package
if not ROOM.exists():
    ROOM = Path(__file__).parents[2] / "tests/oracle"
RECORDS = {
    release: ROOM / f"linux-{release}.jsonl{'' if release == '6.1' else '.gz'}"
    for release in ("2.6.16-rc1", "2.6.16", "2.6.18", "6.1", "6.12")
}
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

    def matters(self, case):
        """Whether it does in a case."""
        return order(self.first) <= order(case.kernel) <= order(self.last) and self.applies(case)


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
OWN_LACKS = (  # of what mmsim itself has recorded
    Lack("3.15", NEWEST, lambda case: case.id == "the next touch of a mapped file",
         frozenset({"faults at the next read"}),
         "a fault on a file reads and maps its neighbours as well (since 3.15), and counts once for all"),
)  # fmt: skip


def judge(case):
    """Compare one case: run it on the model as the recorded release.  The Verdict."""
    how = replay_of(case)
    if why := how.not_asked(case):
        return Verdict(case, "not asked", why, {}, {})
    linux, model = how.recorded(case), facts_on(case, case.kernel)
    wrong = differing(linux, model)
    if not wrong:
        return Verdict(case, "equal", "", linux, model)
    own = how is replay_own
    named = [it for it in (OWN_LACKS if own else LACKS) if it.facts.intersection(wrong) and it.matters(case)]
    why = "; ".join(it.what for it in named)
    if set(wrong).difference(*(it.facts for it in named)):
        why = explained(case) if own else ""
    if own and case.in_order:
        linux, model = ({wrong[0]: facts.get(wrong[0])} for facts in (linux, model))
    return Verdict(case, "differ" if why else "unexplained", why, linux, model)


def replay_of(case):
    """The module that knows how a record was made."""
    return replay_own if isinstance(case, replay_own.Recorded) else replay


def facts_on(case, release, **given):
    """The facts of a case on the model of any release; None: V1.  An "error" is among them if it ends with one.

    `given`: more for the Kernel.
    """
    how = replay_of(case)
    try:
        return how.replay(case, Kernel(release=release, trace=False, **how.machine(case), **given))
    except RecordError:
        raise
    except Exception as error:  # whatever goes wrong in the model is a finding, not the end of the table
        return {"error": f"{type(error).__name__}: {error}"}


def explained(case):
    """The change that explains a difference, found by running: the kernel is as if it had it, or had it not; or ''."""
    for later in (each for each in RELEASES if order(each) > order(case.kernel)):
        if facts_on(case, later) == case.facts:
            return f"as Linux {later}: a vendor brought a change back, or it came between two releases"
    for change in (each for each in reversed(CHANGES) if order(each.release) <= order(case.kernel)):
        if facts_on(case, case.kernel, without=[change.name]) == case.facts:  # an error where others need it
            return f"as without the change {change.name}"
    return ""


def changes_of(case):
    """The changes between V1 and the record's release that make the recorded facts of a case, found by running."""
    how = replay_of(case)
    return which_change(lambda kernel: how.replay(case, kernel), None, case.kernel, **how.machine(case))


def differing(linux, model):
    """The names of the facts that Linux and the model do not both have, or not alike."""
    return [name for name in {**linux, **model} if linux.get(name) != model.get(name)]


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
        lines += [f"    {name}", f"        Linux: {it.linux.get(name)}", f"        model: {it.model.get(name)}"]
        if v1 is not None:
            lines += [f"        V1:    {v1.get(name, v1.get('error'))}"]
    return lines
