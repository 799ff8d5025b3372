"""Node sets as numactl writes them, and memory policies."""

import errno
import operator
from dataclasses import dataclass
from itertools import groupby

from .arguments import shown, whole, yes_no

MODE_NAMES = ("default", "preferred", "bind", "interleave", "local", "preferred_many", "weighted_interleave")
FLAG_NAMES = ("", "static", "relative")


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
        numbers = iter(spec)
    except TypeError:
        numbers = [spec]
    try:
        return tuple(sorted({_number(n) for n in numbers}))
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


def named_nodes(nodes, every, allowed, name):
    """The numbers of the nodes that a node_set() names, where all (mask) and those that the cpuset allows are known."""
    if not isinstance(nodes, str):
        return nodes
    if nodes == "all":
        return mask_nodes(allowed)
    rest = node_set(nodes[1:])
    if nodes[0] == "!":
        left_out = set(named_nodes(rest, every, allowed, name))
        return [n for n in mask_nodes(every) if n not in left_out]
    here = mask_nodes(allowed)
    if rest[-1] >= len(here):
        raise OSError(errno.EINVAL, f"{name} is {nodes!r}, but only {len(here)} nodes are allowed")
    return [here[n] for n in rest]


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
        if self.mode not in MODE_NAMES:
            raise ValueError(f"mode is {self.mode!r}; it is one of {', '.join(MODE_NAMES)}")
        if self.flag not in FLAG_NAMES:
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
