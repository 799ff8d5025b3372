"""Sets of nodes as integers, a bit a node (include/linux/nodemask.h)."""

from .structs import MAX_NODES


def nth_node(nodes, n):
    """The n-th node of a set, counted from 0; the set has more than n (bitmap_ord_to_pos)."""
    node = -1
    while n >= 0:
        node += 1
        n -= nodes >> node & 1
    return node


def nodes_weight(nodes):
    """How many nodes a set has."""
    n = 0
    while nodes:
        nodes &= nodes - 1
        n += 1
    return n


def node_remap(node, source, target):
    """The node of `target` that has the place which `node` has in `source`; modulo the size of `target`."""
    if not source >> node & 1 or not target:
        return node
    place = nodes_weight(source & ((1 << node) - 1))
    return nth_node(target, place % nodes_weight(target))


def nodes_remap(nodes, source, target):
    """Every node of a set, remapped."""
    result = 0
    for node in range(MAX_NODES):
        if nodes >> node & 1:
            result |= 1 << node_remap(node, source, target)
    return result
