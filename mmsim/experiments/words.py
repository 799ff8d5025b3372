"""What the words of the records mean: those of words.toml, policies, and sentences that say calls."""

import re
import tomllib
from pathlib import Path

from ..machine.policy import Policy
from .records import FIELDS

WORDS = tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))
KINDS, STATES, CALLERS, MIGRATE, MBIND, CPUSET_MISC, CPUSET_V2 = (
    WORDS[part] for part in ("kind", "state", "caller", "migrate_pages", "mbind", "cpuset_misc", "cpuset_v2")
)
NOT_ASKED = {why: "|".join(patterns) for why, patterns in WORDS["not_asked"].items()}
MODES = ("DEFAULT", "PREFERRED", "BIND", "INTERLEAVE", "LOCAL", "PREFERRED_MANY")
FLAGS = ("MOVE", "MOVE_ALL", "STRICT", "0", "-")
FILLED = (
    r"filled by an(?:other process \(|\s)(swappable|not mlocked|mlocked)\)?(?: filler)? until it spilled, "
    r"then (\d+) pages freed"
)
CALL = re.compile(
    r"(?:migrate_pages|back) \{(?P<old>[\d,]+)\}->\{(?P<new>[\d,]+)\}|move_pages all -> (?P<all>\d)|"
    rf"(?P<name>mbind|set_mempolicy) ?(?P<mode>{'|'.join(MODES)}|\(same\))(?:\{{(?P<nodes>[\d,]+)\}})?"
    r"(?: (?P<flags>(?:(?:MOVE_ALL|MOVE|STRICT)\|?)+)| flags 0)?"
)
OTHER_WORDS = re.compile("|".join([*WORDS["sentences"]["around"], r"\W"]))  # of a sentence, around its calls


def is_mode(text):
    """True for a policy in words: MPOL_BIND, MPOL_BIND|STATIC_NODES."""
    mode, *flags = text.split("|")
    return mode.removeprefix("MPOL_") in MODES and set(flags) <= {"STATIC_NODES", "RELATIVE_NODES"}


def policy_of(mode, nodes):
    """A Policy from the record's words: BIND, MPOL_BIND, MPOL_BIND|STATIC_NODES."""
    name, *flags = mode.removeprefix("MPOL_").lower().split("|")
    nodes = nodes or ()
    return Policy(name, nodes[:1] if name == "preferred" else nodes, "".join(flags).removesuffix("_nodes"))


def calls_in(text):
    """The calls that a text says, one after the other, each as a `call` of a record; None for words not known."""
    if text in MIGRATE:
        return [dict(zip(("pid", "from", "to"), MIGRATE[text], strict=True), name="migrate_pages")]
    if text in MBIND:
        return [dict(zip(("first", "end", "mode", "nodes", "flags"), row, strict=True), name="mbind")
                for row in MBIND[text]]  # fmt: skip
    if OTHER_WORDS.sub("", CALL.sub("", text)):
        return None
    calls, policy = [], {"mode": "DEFAULT", "nodes": []}
    for said in CALL.finditer(text):
        if said["old"]:
            calls.append({"name": "migrate_pages", "from": numbers(said["old"]), "to": numbers(said["new"])})
        elif said["all"]:
            calls.append({"name": "move_pages", "to": numbers(said["all"])})
        else:
            if said["mode"] != "(same)":
                policy = {"mode": said["mode"], "nodes": numbers(said["nodes"] or "")}
            calls.append({"name": said["name"], **policy, "flags": said["flags"] or ""})
    return calls or None


def numbers(text):
    return [int(n) for n in text.split(",") if n]


def caller_of(case):
    """Who calls, in the words of CALLERS."""
    said = re.search(r"uid1000(\+\w+)?", case.words)
    return said[0] if said else case.setup.get("caller", "uid0(all caps)")


KNOWN = WORDS["known"] | {  # what a key of setup or call may say, as values or as a function; of others see FIELDS
    "kind": KINDS, "state": STATES, "caller": CALLERS, "mode": is_mode,
    "node3": re.compile(FILLED).fullmatch, "flags": lambda flags: {*flags.split("|")} <= {*FLAGS},
    **dict.fromkeys(("vma_policy", "task_policy"), lambda mode: mode == "none" or is_mode(mode)),
}  # fmt: skip


def unknown_words(case):
    """The first thing in setup or call that is not understood, as text; None if all is."""
    for part in ("setup", "call"):
        for key, value in getattr(case, part).items():
            if key in ("variant", "text"):
                fits = is_sentence(value, case.group)
            elif (known := KNOWN.get(key)) is not None:
                fits = known(value) if callable(known) else value in known
            else:
                fits = any(re.fullmatch(pattern, key) for pattern in FIELDS[part])
            if not fits:
                return f"{key}={value!r}"
    return None if caller_of(case) in CALLERS else f"caller={caller_of(case)!r}"


def is_sentence(text, group):
    """True for a sentence that is understood: one that says calls, or one of those that some groups have."""
    own = {"move_pages": WORDS["sentences"]["move_pages"], "cpuset_v2": CPUSET_V2, "cpuset_misc": CPUSET_MISC}
    return text in own.get(group, ()) or (group not in ("move_pages", "cpuset_v2") and calls_in(text) is not None)
