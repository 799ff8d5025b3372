"""How far nodes are apart, and the way an allocation takes."""

from itertools import permutations, pairwise
from math import cos, hypot, pi, sin

import networkx as nx
from matplotlib.lines import Line2D

from .. import palette
from ..palette import BLACK, DARK, GREY, WHITE
from .style import bare, canvas, drawing, sentence, zoom

LEVELS = [("solid", 2.6, BLACK), ("dashed", 1.8, DARK), ("dotted", 1.5, DARK), ("dashdot", 0.9, GREY)]


@drawing
def topology(kernel, *, ax=None):
    """The nodes of a machine, their memory, and the distances between them.

    Parameters
    ----------
    kernel : Kernel or Topology
        A Kernel also shows the frames that are free, and which tasks run where.
    ax : Axes, optional
    """
    machine, free, tasks = _machine(kernel)
    graph = machine.graph()
    n = machine.nodes
    ring = _ring(machine.distances)
    start = pi if n == 2 else pi / 2 + pi / n
    place = {node: (cos(start - 2 * pi * i / n), sin(start - 2 * pi * i / n)) for i, node in enumerate(ring)}
    size = (5.2, 2.6 if n == 2 else 4.2) if n <= 4 else (max(7.4, 0.9 * n), max(6, 0.75 * n))
    ax = canvas(ax, *size, "Nodes and their distances")
    font = 9 * zoom(ax, 4 if n <= 4 else 5.7)
    levels = sorted({d for _, _, d in graph.edges(data="distance")})
    styles = {d: LEVELS[min(i, len(LEVELS) - 1)] for i, d in enumerate(levels)}
    for distance, (line, width, colour) in styles.items():
        edges = [(a, b) for a, b, d in graph.edges(data="distance") if d == distance]
        nx.draw_networkx_edges(graph, place, edges, width=width, edge_color=colour, style=line, ax=ax)
    if n <= 4:  # few enough to write each distance on its edge; where diagonals cross, off the middle
        for a, b, distance in graph.edges(data="distance"):
            (x0, y0), (x1, y1) = place[a], place[b]
            t = 0.34 if hypot(x0 + x1, y0 + y1) < 0.1 and n == 4 else 0.5
            ground = {"facecolor": WHITE, "edgecolor": "none", "pad": 1.5}
            options = {"ha": "center", "va": "center", "fontsize": font + 1, "fontweight": "bold", "bbox": ground}
            ax.text(x0 + t * (x1 - x0), y0 + t * (y1 - y0), distance, **options)
    elif levels:
        handles = [Line2D([], [], linestyle=s, linewidth=w, color=c, label=d) for d, (s, w, c) in styles.items()]
        ax.legend(handles=handles, title="distance", loc="upper left", bbox_to_anchor=(1.01, 1), handlelength=3.5)
    for node, (x, y) in place.items():
        text = f"node {node}\n{machine.frames[node]:,} frames"
        text += f"\n{free[node]:,} free" if free else ""
        text += f"\nruns {', '.join(tasks[node])}" if tasks.get(node) else ""
        look = palette.node(node)
        ground = {"boxstyle": "round,pad=0.5", "facecolor": look.colour, "edgecolor": BLACK}
        ax.text(x, y, text, color=look.ink, ha="center", va="center", fontsize=font, bbox=ground, zorder=5)
    ax.set_xlim(-1.5, 1.5)
    ax.set_ylim(*((-0.6, 0.6) if n == 2 else (-1.2, 1.2)))
    bare(ax)
    frames = sentence(f"{count:,}" for count in machine.frames) if len(set(machine.frames)) > 1 else machine.frames[0]
    pairs = [
        f"{distance} between " + ", ".join(f"{a} and {b}" for a, b, d in graph.edges(data="distance") if d == distance)
        for distance in levels
    ]
    text = f"A machine of {n} nodes with {frames} frames{' each' if isinstance(frames, int) else ''}."
    return ax, f"{text} Distance {'; '.join(pairs)}."


def _machine(kernel):
    """(Topology, free frames by node or [], {node: names of the tasks that run there})."""
    if not hasattr(kernel, "topology"):
        return kernel, [], {}
    tasks = {}
    for task in kernel.tasks:
        tasks.setdefault(task.node, []).append(task.name)
    return kernel.topology, kernel.tables["zone"]["free"].tolist(), tasks


def _ring(distances):
    """The nodes in an order around a circle that puts near ones side by side."""
    n = len(distances)
    if n > 8:
        return list(range(n))
    rings = ((0, *rest) for rest in permutations(range(1, n)))
    return min(rings, key=lambda ring: sum(distances[a][b] for a, b in pairwise((*ring, ring[0]))))


@drawing
def zonelist(kernel, node, *, ax=None):
    """The nodes that an allocation on `node` tries, in order.

    Parameters
    ----------
    kernel : Kernel or Topology
        A Kernel also shows what each node has free, and which one would give a page now.
    node : int
    ax : Axes, optional
    """
    machine, free, _ = _machine(kernel)
    order = machine.zonelist(node)
    low = kernel.tables["zone"]["pages_low"].tolist() if free else []
    gives = next((n for n in order if free[n] > low[n]), None) if free else None
    graph = nx.DiGraph(pairwise(order))
    graph.add_nodes_from(order)
    place = {n: (i, 0) for i, n in enumerate(order)}
    ax = canvas(ax, max(4.4, 1.15 * len(order) + 0.4), 2.5, f"Zonelist of node {node}: who is asked, in this order")
    nx.draw_networkx_edges(graph, place, node_size=1300, width=1.6, arrowsize=14, edge_color=DARK, ax=ax)
    for i, n in enumerate(order):
        look, chosen = palette.node(n), n == gives
        nx.draw_networkx_nodes(
            graph, place, [n], node_size=1300, node_color=look.colour, edgecolors=BLACK,
            linewidths=3.5 if chosen else 0.8, ax=ax,
        )  # fmt: skip
        ax.text(i, 0, n, color=look.ink, ha="center", va="center", fontsize=12, fontweight="bold")
        ax.text(i, 0.75, f"distance\n{machine.distances[node][n]}", ha="center", va="center")
        if free:
            note = f"{free[n]:,} free\nlow {low[n]:,}" + "\ngives a page" * chosen
            ax.text(i, -0.6, note, ha="center", va="top", color=BLACK, fontweight="bold" if chosen else "normal")
    ax.set_xlim(-0.6, len(order) - 0.4)
    ax.set_ylim(-1.7 if free else -0.8, 1.15)
    bare(ax)
    steps = [f"node {n} (distance {machine.distances[node][n]}{f', {free[n]:,} free' if free else ''})" for n in order]
    text = f"An allocation on node {node} asks {', then '.join(steps)}."
    if free:
        text += f" Node {gives} gives the page." if gives is not None else " None has more than its low mark free."
    return ax, text
