"""Which nodes a machine has, how much memory each, and how far they are apart."""

from dataclasses import dataclass

from .lazy import Lazy
from .mm.structs import MAX_NODES

pd = Lazy("pandas")


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
        """A machine from its distance matrix; `frames`: pages of 4 KiB of each node, or one number for all."""
        matrix = tuple(tuple(int(d) for d in row) for row in distances)
        n = len(matrix)
        if not 1 <= n <= MAX_NODES:
            raise ValueError(f"distances: {n} nodes, but 1 to {MAX_NODES} are possible")
        if isinstance(frames, int):
            frames = [frames] * n
        frames = tuple(int(f) for f in frames)
        if len(frames) != n:
            raise ValueError(f"frames: {len(frames)} numbers for {n} nodes; give one a node")
        if min(frames) < 32:
            raise ValueError(f"frames: {min(frames)} on a node; a zone needs at least 32")
        for a, row in enumerate(matrix):
            if len(row) != n:
                raise ValueError(f"distances: row {a} has {len(row)} numbers; the matrix must be {n} x {n}")
            for b, d in enumerate(row):
                if (d != 10) if a == b else not 10 < d < 255:
                    raise ValueError(f"distances[{a}][{b}] is {d}; a node is 10 from itself, 11 to 254 from others")
        return cls(matrix, frames)

    @classmethod
    def uniform(cls, nodes=4, frames=1024, remote=20):
        """Every node as far from every other."""
        return cls.from_matrix([[10 if a == b else remote for b in range(nodes)] for a in range(nodes)], frames)

    @classmethod
    def ring(cls, nodes=4, frames=1024):
        """Nodes in a ring: 10 more for each hop."""
        hops = [[min((a - b) % nodes, (b - a) % nodes) for b in range(nodes)] for a in range(nodes)]
        return cls.from_matrix([[10 + 10 * h for h in row] for row in hops], frames)

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
        """The nodes that an allocation on `node` tries, nearest first, ties by number."""
        if not 0 <= node < self.nodes:
            raise ValueError(f"node {node}: this machine has the nodes 0 to {self.nodes - 1}")
        return sorted(range(self.nodes), key=lambda other: (self.distances[node][other], other))

    def graph(self):
        """A networkx.Graph: nodes carry `frames`, edges `distance`."""
        import networkx as nx

        graph = nx.Graph()
        graph.add_nodes_from((node, {"frames": frames}) for node, frames in enumerate(self.frames))
        pairs = ((b, a) for a in graph for b in range(a))
        graph.add_edges_from((b, a, {"distance": self.distances[a][b]}) for b, a in pairs)
        return graph

    def _repr_html_(self):
        nodes = [f"node {n}" for n in range(self.nodes)]
        table = pd.DataFrame(self.distances, nodes, nodes).assign(frames=[f"{f:,}" for f in self.frames])
        return table.to_html(border=0)
