"""Node sets as numactl writes them, and memory policies."""

import operator
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from .arguments import shown
from .errors import os_error
from ..mm.structs import MAX_NODES
from ..mm.mempolicy import MPOL_BIND, MPOL_DEFAULT, MPOL_INTERLEAVE, MPOL_PREFERRED

MODES = {"default": MPOL_DEFAULT, "preferred": MPOL_PREFERRED, "bind": MPOL_BIND, "interleave": MPOL_INTERLEAVE}


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


@dataclass(frozen=True)
class Policy:
    """A memory policy: where new pages come from.  Make one with `default`, `preferred`, `bind` or `interleave`.

    Attributes
    ----------
    mode : str
    nodes : tuple of int, or str
        One thing however it was written: 3, {3}, "3"; text where it depends on the machine, as in "all".
    """

    mode: str
    nodes: object = ()

    def __post_init__(self):
        if self.mode not in MODES:
            raise ValueError(f"mode is {self.mode!r}; it is one of {', '.join(MODES)}")
        object.__setattr__(self, "nodes", node_set(self.nodes, "policy"))

    @classmethod
    def default(cls):
        """The node of the CPU that the task runs on; for a vma: as the task's policy says."""
        return cls("default")

    @classmethod
    def preferred(cls, node=None):
        """One node, or without an argument the local one; others when it is full."""
        return cls("preferred", () if node is None else node)

    @classmethod
    def bind(cls, nodes):
        """These nodes only, the lowest first."""
        return cls("bind", nodes)

    @classmethod
    def interleave(cls, nodes):
        """These nodes in turn."""
        return cls("interleave", nodes)

    def resolve(self, nr_nodes, allowed):
        """What the kernel keeps: (mode, home node or -1, mask of nodes), as asked for (mpol_check_policy).

        `allowed`: what "all" and "+" count in.  Raises OSError (EINVAL) for an empty set where nodes are needed, or a
        set where none may be.
        """
        mask, mode = parse_nodes(self.nodes, nr_nodes, allowed, "policy"), MODES[self.mode]
        if mode == MPOL_DEFAULT and mask:
            raise os_error("EINVAL", f"policy: default takes no nodes, but {format_nodes(mask)} was given")
        if mode in (MPOL_BIND, MPOL_INTERLEAVE) and not mask:
            there = format_nodes(allowed)
            raise os_error("EINVAL", f"policy: {self.mode} needs a node, but none was given; allowed are {there}")
        return mode, mask_nodes(mask)[0] if mode == MPOL_PREFERRED and mask else -1, mask

    def __str__(self):
        nodes = self.nodes if isinstance(self.nodes, str) else _written(self.nodes)
        return f"{self.mode}:{nodes}" if self.nodes else self.mode


def check_policy(policy):
    """TypeError for what is no Policy."""
    if not isinstance(policy, Policy):
        raise TypeError(f"policy is {policy!r}; make one with Policy.bind() and its like")


def policy_of(row):
    """The Policy that a row of the task or vma table holds."""
    mode = next(name for name, number in MODES.items() if number == row["mode"])
    if row["mode"] == MPOL_PREFERRED:
        return Policy.preferred(None if row["home"] < 0 else int(row["home"]))
    return Policy(mode, tuple(mask_nodes(int(row["nodes"]))))
