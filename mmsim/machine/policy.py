"""What the kernel makes of node sets and memory policies."""

from typing import NamedTuple

from .errors import os_error
from ..mm import structs
from ..mm.mempolicy import relative_nodes
from ..mm.structs import MAX_NODES, MPOL_DEFAULT, MPOL_LOCAL, MPOL_PREFERRED
from ..terms.policy import MODE_NAMES, Policy, check_policy, format_nodes, mask_nodes, named_nodes, node_set

__all__ = [
    "Policy", "Resolved", "check_policy", "format_nodes", "mask_nodes", "node_set", "parse_nodes", "policy_of",
    "resolve",
]  # fmt: skip
MODES = {name: getattr(structs, f"MPOL_{name.upper()}") for name in MODE_NAMES}
MPOL_FLAGS = {"": 0, "static": structs.MPOL_F_STATIC_NODES, "relative": structs.MPOL_F_RELATIVE_NODES}
NEEDS = {"local": "mpol_local", "preferred_many": "preferred_many", "weighted_interleave": "weighted_interleave"}


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
    nodes = named_nodes(node_set(spec, name), every, every if allowed is None else allowed & every, name)
    for n in nodes:
        if not 0 <= n < (MAX_NODES if absent else nr_nodes):
            raise os_error("EINVAL", f"{name}: there is no node {n}; this machine has the nodes 0 to {nr_nodes - 1}")
    return sum(1 << n for n in nodes)


class Resolved(NamedTuple):
    """A policy as the kernel keeps it."""

    mode: int
    home: int  # the preferred node, or -1
    nodes: int  # where it allocates
    mpol_flags: int  # STATIC or RELATIVE
    asked: int  # the nodes that the program named, if one of these is set
    given: int  # where mbind() wants the pages: the nodes that were named


def resolve(policy, nr_nodes, allowed, change=None, clips=False):
    """What the kernel keeps, as Resolved (mpol_check_policy, mpol_set_nodemask).

    `allowed`: the nodes of the cpuset, what "all" and "+" count in; `change`: the switches of the kernel, None:
    of any; `clips`: nodes outside `allowed` are left out.  Raises OSError (EINVAL) for an empty set where nodes are
    needed, a set where none may be, and what this kernel does not have.
    """
    switch = NEEDS.get(policy.mode) or ("static_relative" if policy.flag else "")
    if switch and change is not None and not getattr(change, switch):
        what = f"the flag {policy.flag}" if policy.flag else f"MPOL_{policy.mode.upper()}"
        came = switch.replace("_", "-")
        raise os_error("EINVAL", f"policy: this kernel does not know {what}: it came with {came}")
    named, mode = parse_nodes(policy.nodes, nr_nodes, allowed, "policy", absent=clips), MODES[policy.mode]
    mask = named & allowed if clips else named
    if policy.flag == "relative":
        mask = relative_nodes(named, allowed) if allowed else 0
    if mode in (MPOL_DEFAULT, MPOL_LOCAL) and named:
        raise os_error("EINVAL", f"policy: {policy.mode} takes no nodes, but {format_nodes(named)} was given")
    if not mask and (named or policy.flag or mode not in (MPOL_DEFAULT, MPOL_LOCAL, MPOL_PREFERRED)):
        there = format_nodes(allowed)
        what = f"none of {format_nodes(named)} is" if named else "none was given, and it needs one that is"
        raise os_error("EINVAL", f"policy: {policy.mode} needs a node, but {what} allowed; allowed are {there}")
    if mode == MPOL_PREFERRED and not mask and change is not None and change.mpol_local:
        mode = MPOL_LOCAL
    home = mask_nodes(mask)[0] if mode == MPOL_PREFERRED and mask else -1
    return Resolved(mode, home, mask, MPOL_FLAGS[policy.flag], named if policy.flag else 0, named)


def policy_of(row, effective=False):
    """The Policy that a row of the task or vma table holds; `effective`: with the nodes that it allocates on now."""
    mode = next(name for name, number in MODES.items() if number == row["mode"])
    flag = next(name for name, number in MPOL_FLAGS.items() if number == row["mpol_flags"])
    if flag and not effective:
        return Policy(mode, tuple(mask_nodes(int(row["asked"]))), flag)
    if row["mode"] == MPOL_PREFERRED:
        return Policy(mode, () if row["home"] < 0 else int(row["home"]), flag)
    return Policy(mode, tuple(mask_nodes(int(row["nodes"]))), flag)
