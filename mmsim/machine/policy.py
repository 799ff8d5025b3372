"""Node sets as numactl writes them, and memory policies."""

import operator
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np

from .arguments import shown, whole, yes_no
from .errors import os_error
from ..mm.structs import MAX_NODES
from ..mm.mempolicy import relative_nodes
from ..mm.structs import (
    MPOL_BIND, MPOL_DEFAULT, MPOL_F_RELATIVE_NODES, MPOL_F_STATIC_NODES, MPOL_INTERLEAVE, MPOL_LOCAL, MPOL_PREFERRED,
    MPOL_PREFERRED_MANY, MPOL_WEIGHTED_INTERLEAVE,
)

MODES = {
    "default": MPOL_DEFAULT, "preferred": MPOL_PREFERRED, "bind": MPOL_BIND, "interleave": MPOL_INTERLEAVE,
    "local": MPOL_LOCAL, "preferred_many": MPOL_PREFERRED_MANY, "weighted_interleave": MPOL_WEIGHTED_INTERLEAVE,
}  # fmt: skip
MPOL_FLAGS = {"": 0, "static": MPOL_F_STATIC_NODES, "relative": MPOL_F_RELATIVE_NODES}
NEEDS = {"local": "mpol_local", "preferred_many": "preferred_many", "weighted_interleave": "weighted_interleave"}


def mask_nodes(mask):
    """The nodes of a bit mask, ascending."""
    return [n for n in range(mask.bit_length()) if mask >> n & 1]


def format_nodes(mask):
    """A bit mask of nodes as text: '0-2,5'; 'none' for the empty set."""
    return _written(mask_nodes(mask))


def _written(numbers):
    """Ascending numbers of nodes as text."""
    runs = groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    ends = [(run[0][1], run[-1][1]) for run in (list(run) for _, run in runs)]
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in ends) or "none"


def node_set(spec, name="nodes"):
    """A node set in the one form that it has, however it is written.

    Ascending numbers in a tuple; or a text, where it depends on the machine or the cpuset what it names ("all", "!0-1",
    "+1").  TypeError, ValueError: it is no node set; `name`: the argument's, for the message.
    """
    if isinstance(spec, str):
        text = spec.strip()
        if text in ("", "none"):
            return ()
        if text == "all":
            return text
        if text[0] not in "!+":
            return _numbers(text, name)
        rest = node_set(text[1:], name) if text[0] == "!" else _numbers(text[1:], name)
        return text[0] + (rest if isinstance(rest, str) else _written(rest))
    try:
        return tuple(sorted({_number(n) for n in (spec if np.iterable(spec) else [spec])}))
    except TypeError:
        raise TypeError(f"{name} is {shown(spec)}; {_FORMS}") from None


def _number(node):
    """The int that a node's number is; TypeError for True, 1.0 and the like."""
    if isinstance(node, bool):
        raise TypeError
    return operator.index(node)


def _numbers(text, name):
    """The nodes that '0-2,5' names."""
    nodes = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        try:
            low = int(first)
            high = int(last) if dash else low
        except ValueError:
            raise ValueError(f"{name} is {text!r}: {part!r} is no node; {_FORMS}") from None
        if high < low:
            raise ValueError(f"{name} is {text!r}: {part!r} runs backwards")
        nodes.update(range(low, min(high, 4096) + 1))
    return tuple(sorted(nodes))


_FORMS = 'a node set is an int, an iterable of ints, or text such as "0-1,3", "all", "!0", "+1"'


def parse_nodes(spec, nr_nodes, allowed=None, name="nodes", absent=False):
    """The bit mask that a node set names.

    Parameters
    ----------
    spec : int, iterable of int, or str
        ``2``, ``[0, 1]``, ``"0-1,3"``, ``"all"``, ``"!0"``, ``"+1"``.
    nr_nodes : int
        Nodes of the machine; "!" complements over these.
    allowed : int, optional
        Bit mask of the nodes that the caller's cpuset allows: "all", and what "+" counts in.
    name : str
        The argument's name, for the message.
    absent : bool
        Take nodes that the machine does not have, too, as long as a node set has room for them.

    Raises
    ------
    OSError
        EINVAL for a node that the machine does not have.
    TypeError, ValueError
        For something that is no node set.
    """
    every = (1 << nr_nodes) - 1
    nodes = _named(node_set(spec, name), every, every if allowed is None else allowed & every, name)
    for n in nodes:
        if not 0 <= n < (MAX_NODES if absent else nr_nodes):
            raise os_error("EINVAL", f"{name}: there is no node {n}; this machine has the nodes 0 to {nr_nodes - 1}")
    return sum(1 << n for n in nodes)


def _named(nodes, every, allowed, name):
    """The numbers of the nodes that a node_set() names, where all (mask) and those that the cpuset allows are known."""
    if not isinstance(nodes, str):
        return nodes
    if nodes == "all":
        return mask_nodes(allowed)
    rest = node_set(nodes[1:])
    if nodes[0] == "!":
        return mask_nodes(every & ~sum(1 << n for n in _named(rest, every, allowed, name) if n < MAX_NODES))
    here = mask_nodes(allowed)
    if rest[-1] >= len(here):
        raise os_error("EINVAL", f"{name} is {nodes!r}, but only {len(here)} nodes are allowed")
    return [here[n] for n in rest]


class Resolved(NamedTuple):
    """A policy as the kernel keeps it."""

    mode: int
    home: int  # the preferred node, or -1
    nodes: int  # where it allocates
    mpol_flags: int  # STATIC or RELATIVE
    asked: int  # the nodes that the program named, if one of these is set
    given: int  # where mbind() wants the pages: the nodes that were named


@dataclass(frozen=True)
class Policy:
    """A memory policy: where new pages come from.  Make one with `default`, `preferred`, `bind` or `interleave`.

    Attributes
    ----------
    mode : str
    nodes : tuple of int, or str
        One thing however it was written: 3, {3}, "3"; text where it depends on the machine, as in "all".
    flag : str
        "static" or "relative" (since 2.6.26), or "".
    weights : tuple of int
        Of weighted interleave (since 6.9): a weight for each node, ascending.
    """

    mode: str
    nodes: object = ()
    flag: str = ""
    weights: tuple = ()

    def __post_init__(self):
        if self.mode not in MODES:
            raise ValueError(f"mode is {self.mode!r}; it is one of {', '.join(MODES)}")
        if self.flag not in MPOL_FLAGS:
            raise ValueError(f"flag is {self.flag!r}; it is 'static', 'relative' or ''")
        object.__setattr__(self, "nodes", node_set(self.nodes, "policy"))

    @classmethod
    def default(cls):
        """The node of the CPU that the task runs on; for a vma: as the task's policy says."""
        return cls("default")

    @classmethod
    def preferred(cls, node=None, static=False, relative=False):
        """One node, or without an argument the local one; others when it is full."""
        return cls("preferred", () if node is None else node, _flag(static, relative))

    @classmethod
    def bind(cls, nodes, static=False, relative=False):
        """These nodes only: the lowest first, since 2.6.26 the nearest.

        `static`, `relative` (since 2.6.26): what becomes of them when the cpuset changes. Static: those of them that
        the cpuset allows; relative: they count within the cpuset.
        """
        return cls("bind", nodes, _flag(static, relative))

    @classmethod
    def interleave(cls, nodes, static=False, relative=False):
        """These nodes in turn."""
        return cls("interleave", nodes, _flag(static, relative))

    @classmethod
    def local(cls):
        """The node of the CPU that the task runs on, whatever the policy of the task is (since 3.8)."""
        return cls("local")

    @classmethod
    def preferred_many(cls, nodes, static=False, relative=False):
        """These nodes, the nearest first; others when all of them are full (since 5.15)."""
        return cls("preferred_many", nodes, _flag(static, relative))

    @classmethod
    def weighted_interleave(cls, nodes, weights=None, static=False, relative=False):
        """These nodes in turn, each as many pages as its weight says (since 6.9).

        `weights`: one for each node, in ascending order of the nodes, 1 to 255; None: as they are.  They are the
        machine's, as those below /sys/kernel/mm/mempolicy: who sets them sets them for all.
        """
        weights = () if weights is None else tuple(whole(w, "weights", 1, 255) for w in weights)
        policy = cls("weighted_interleave", nodes, _flag(static, relative), weights)
        if weights and (isinstance(policy.nodes, str) or len(weights) != len(policy.nodes)):
            raise ValueError(f"weights has {len(weights)} entries; nodes is {shown(nodes)}: give one for each node")
        return policy

    def resolve(self, nr_nodes, allowed, change=None, clips=False):
        """What the kernel keeps, as Resolved (mpol_check_policy, mpol_set_nodemask).

        `allowed`: the nodes of the cpuset, what "all" and "+" count in; `change`: the switches of the kernel, None:
        of any; `clips`: nodes outside `allowed` are left out.  Raises OSError (EINVAL) for an empty set where nodes are
        needed, a set where none may be, and what this kernel does not have.
        """
        switch = NEEDS.get(self.mode) or ("static_relative" if self.flag else "")
        if switch and change is not None and not getattr(change, switch):
            what = f"the flag {self.flag}" if self.flag else f"MPOL_{self.mode.upper()}"
            came = switch.replace("_", "-")
            raise os_error("EINVAL", f"policy: this kernel does not know {what}: it came with {came}")
        named, mode = parse_nodes(self.nodes, nr_nodes, allowed, "policy", absent=clips), MODES[self.mode]
        mask = named & allowed if clips else named
        if self.flag == "relative":
            mask = relative_nodes(named, allowed) if allowed else 0
        if mode in (MPOL_DEFAULT, MPOL_LOCAL) and named:
            raise os_error("EINVAL", f"policy: {self.mode} takes no nodes, but {format_nodes(named)} was given")
        if not mask and (named or self.flag or mode not in (MPOL_DEFAULT, MPOL_LOCAL, MPOL_PREFERRED)):
            there = format_nodes(allowed)
            what = f"none of {format_nodes(named)} is" if named else "none was given, and it needs one that is"
            raise os_error("EINVAL", f"policy: {self.mode} needs a node, but {what} allowed; allowed are {there}")
        if mode == MPOL_PREFERRED and not mask and change is not None and change.mpol_local:
            mode = MPOL_LOCAL
        home = mask_nodes(mask)[0] if mode == MPOL_PREFERRED and mask else -1
        return Resolved(mode, home, mask, MPOL_FLAGS[self.flag], named if self.flag else 0, named)

    def __str__(self):
        nodes = self.nodes if isinstance(self.nodes, str) else _written(self.nodes)
        mode = f"{self.mode}={self.flag}" if self.flag else self.mode
        return f"{mode}:{nodes}" if self.nodes else mode


def _flag(static, relative):
    """The flag of a policy; ValueError for both."""
    if yes_no(static, "static") and yes_no(relative, "relative"):
        raise ValueError("static and relative are both True; a policy is one of them, or neither")
    return "static" if static else "relative" if yes_no(relative, "relative") else ""


def check_policy(policy):
    """TypeError for what is no Policy."""
    if not isinstance(policy, Policy):
        raise TypeError(f"policy is {policy!r}; make one with Policy.bind() and its like")


def policy_of(row, effective=False):
    """The Policy that a row of the task or vma table holds; `effective`: with the nodes that it allocates on now."""
    mode = next(name for name, number in MODES.items() if number == row["mode"])
    flag = next(name for name, number in MPOL_FLAGS.items() if number == row["mpol_flags"])
    if flag and not effective:
        return Policy(mode, tuple(mask_nodes(int(row["asked"]))), flag)
    if row["mode"] == MPOL_PREFERRED:
        return Policy(mode, () if row["home"] < 0 else int(row["home"]), flag)
    return Policy(mode, tuple(mask_nodes(int(row["nodes"]))), flag)
