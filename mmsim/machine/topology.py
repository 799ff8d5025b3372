"""Which nodes a machine has, how much memory each, and how far they are apart."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..terms.arguments import whole
from .lazy import Lazy
from ..mm.structs import MAX_NODES

pd, nx = Lazy("pandas"), Lazy("networkx")
MIN_FRAMES = 32  # of a zone that has any
MOST_FRAMES = 1 << 30  # numbers of frames have 32 bits


def _levels(nodes, *levels):
    """A matrix in which the first (size, distance) whose group of `size` nodes holds both gives the distance."""
    return [
        [10 if a == b else next(d for size, d in levels if a // size == b // size) for b in range(nodes)]
        for a in range(nodes)
    ]


# Distance matrices as the firmware of such machines reports them (ACPI SLIT); frames are set by the caller.
_PRESETS = {
    "two-socket": [[10, 21], [21, 10]],
    "opteron-4s": [[10, 16, 16, 22], [16, 10, 22, 16], [16, 22, 10, 16], [22, 16, 16, 10]],
    "altix-8n": _levels(8, (2, 22), (4, 30), (8, 38)),
    "epyc-2s-nps4": _levels(8, (4, 12), (8, 32)),
    "qemu-4n": [[10, 20, 30, 30], [20, 10, 30, 30], [30, 30, 10, 20], [30, 30, 20, 10]],
}


def _count(nodes):
    """How many nodes there are to be."""
    n = whole(nodes, "nodes", no_number=ValueError)
    if not 1 <= n <= MAX_NODES:
        raise ValueError(f"nodes is {n}; 1 to {MAX_NODES} are possible")
    return n


def _matrix(distances):
    """A distance matrix as tuples, checked."""
    try:
        rows = [list(row) for row in distances]
    except TypeError:
        raise ValueError(f"distances is {distances!r}; give a row of numbers for each node") from None
    n = len(rows)
    if not 1 <= n <= MAX_NODES:
        raise ValueError(f"distances: {n} nodes, but 1 to {MAX_NODES} are possible")
    for a, row in enumerate(rows):
        if len(row) != n:
            raise ValueError(f"distances: row {a} has {len(row)} numbers; the matrix must be {n} x {n}")
        for b, distance in enumerate(row):
            row[b] = d = whole(distance, f"distances[{a}][{b}]", no_number=ValueError)
            if (d != 10) if a == b else not 10 < d < 255:
                raise ValueError(f"distances[{a}][{b}] is {d}; a node is 10 from itself, 11 to 254 from others")
    return tuple(map(tuple, rows))


def _frames(frames, nodes):
    """The frames of each of so many nodes, checked."""
    if isinstance(frames, Mapping):
        if set(frames) != set(range(nodes)):
            there = f"nodes 0 to {nodes - 1}" if nodes > 1 else "node 0"
            raise ValueError(f"frames is {dict(frames)!r}, but the machine has {there}, and numbers have no gaps; "
                             "give each node its frames, 0 to one without memory")  # fmt: skip
        counts = [frames[node] for node in range(nodes)]
    elif isinstance(frames, str) or not hasattr(frames, "__iter__"):
        counts = [frames] * nodes
    else:
        counts = list(frames)
    if len(counts) != nodes:
        raise ValueError(f"frames: {len(counts)} numbers for {nodes} nodes; give one a node")
    counts = tuple(whole(count, "frames", no_number=ValueError) for count in counts)
    for node, count in enumerate(counts):
        if count < 0 or 0 < count < MIN_FRAMES:
            raise ValueError(f"frames: {count} on node {node}; a zone has at least {MIN_FRAMES}, or none at all")
    if sum(counts) > MOST_FRAMES:
        raise ValueError(f"frames: {sum(counts):,} pages in all; a machine has at most {MOST_FRAMES:,} (4 TB)")
    if not any(counts):
        raise ValueError(f"frames is {frames!r}; some node must have memory")
    return counts


@dataclass(frozen=True)
class Topology:
    """A NUMA machine: page frames a node, and the distance between each two nodes (10 = local).

    Examples
    --------
    >>> Topology.from_matrix([[10, 21], [21, 10]], frames=[512, 2048]).zonelist(1)
    [1, 0]
    """

    distances: tuple
    frames: tuple

    @classmethod
    def from_matrix(cls, distances, frames):
        """A machine from its distance matrix.

        Parameters
        ----------
        distances : sequence of sequences of int
            A row a node.
        frames : int, sequence of int, or dict
            Pages of 4 KiB: of every node alike, of each, or ``{node: pages}``.  A node with a CPU and no memory has 0.
        """
        matrix = _matrix(distances)
        return cls(matrix, _frames(frames, len(matrix)))

    @classmethod
    def uniform(cls, nodes=4, frames=1024, remote=20):
        """Every node as far from every other."""
        every = range(_count(nodes))
        return cls.from_matrix([[10 if a == b else remote for b in every] for a in every], frames)

    @classmethod
    def ring(cls, nodes=4, frames=1024):
        """Nodes in a ring: 10 more for each hop."""
        every, n = range(_count(nodes)), int(nodes)
        return cls.from_matrix([[10 + 10 * min((a - b) % n, (b - a) % n) for b in every] for a in every], frames)

    @classmethod
    def preset(cls, name, frames=1024):
        """The distances of a real machine; see `presets`."""
        if name not in _PRESETS:
            raise ValueError(f"preset: no machine {name!r}; there are {', '.join(_PRESETS)}")
        return cls.from_matrix(_PRESETS[name], frames)

    @staticmethod
    def presets():
        """Names of the real machines."""
        return list(_PRESETS)

    @property
    def nodes(self):
        """How many nodes there are."""
        return len(self.frames)

    def zonelist(self, node):
        """The nodes that an allocation on `node` tries: those with memory, nearest first, ties by number."""
        if not 0 <= node < self.nodes:
            raise ValueError(f"node {node}: this machine has the nodes 0 to {self.nodes - 1}")
        with_memory = [other for other, frames in enumerate(self.frames) if frames]
        return sorted(with_memory, key=lambda other: (self.distances[node][other], other))

    def graph(self):
        """A networkx.Graph: nodes carry `frames`, edges `distance`."""
        graph = nx.Graph()
        graph.add_nodes_from((node, {"frames": frames}) for node, frames in enumerate(self.frames))
        pairs = ((b, a) for a in graph for b in range(a))
        graph.add_edges_from((b, a, {"distance": self.distances[a][b]}) for b, a in pairs)
        return graph

    def _repr_html_(self):
        nodes = [f"node {n}" for n in range(self.nodes)]
        table = pd.DataFrame(self.distances, nodes, nodes).assign(frames=[f"{f:,}" for f in self.frames])
        return table.to_html(border=0)
