"""What the words of the records mean, in setups, calls and variants: those of words.toml, and policies."""

import tomllib
from pathlib import Path

from ..machine.policy import Policy

WORDS = tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))
KINDS, STATES, CALLERS, MIGRATE, MBIND = (WORDS[k] for k in ("kind", "state", "caller", "migrate_pages", "mbind"))
NOT_ASKED = {why: "|".join(patterns) for why, patterns in WORDS["not_asked"].items()}
MODES = ("DEFAULT", "PREFERRED", "BIND", "INTERLEAVE", "LOCAL", "PREFERRED_MANY")
FILLED = (
    r"filled by an(?:other process \(|\s)(swappable|not mlocked|mlocked)\)?(?: filler)? until it spilled, "
    r"then (\d+) pages freed"
)


def is_mode(text):
    """True for a policy in words: MPOL_BIND, MPOL_BIND|STATIC_NODES."""
    mode, *flags = text.split("|")
    return mode.removeprefix("MPOL_") in MODES and set(flags) <= {"STATIC_NODES", "RELATIVE_NODES"}


def policy_of(mode, nodes):
    """A Policy from the record's words: BIND, MPOL_BIND, MPOL_BIND|STATIC_NODES."""
    name, *flags = mode.removeprefix("MPOL_").lower().split("|")
    nodes = nodes or ()
    return Policy(name, nodes[:1] if name == "preferred" else nodes, "".join(flags).removesuffix("_nodes"))
