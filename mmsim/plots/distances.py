"""How far nodes are apart, and the way an allocation takes."""

from collections import defaultdict
from itertools import pairwise, permutations
from math import cos, pi, sin

import numpy as np
from matplotlib.lines import Line2D

from ..machine.lazy import Lazy
from ..terms.arguments import counted
from . import palette
from .palette import BLACK, DARK, GREY, WHITE
from .style import bare, canvas, drawing, sentence, zoom

nx = Lazy("networkx")  # most sessions draw no graph
STROKES = [("solid", 2.6, BLACK), ("dashed", 1.8, DARK), ("dotted", 1.5, DARK), ("dashdot", 0.9, GREY)]


@drawing("kernel", "topology", "give a Kernel")
def topology(kernel, *, ax=None):
    """The nodes of a machine, their memory, and the distances between them.

    Parameters
    ----------
    kernel : Kernel
        What is free, and which tasks run where, is shown as well.
    """
    machine, free = kernel.topology, kernel.tables["zone"]["free"]
    n = machine.nodes
    few = n <= 4
    wide, tall = (5.2, {1: 1.2, 2: 1.4}.get(n, 3.3)) if few else (max(7, 0.8 * n), max(4.6, 0.6 * n))
    ax = canvas(ax, wide, tall, "Nodes and their distances")
    font = 9 * zoom(ax, 4 if few else 5.7)
    start = pi if n == 2 else pi / 2 + pi / n
    angles = {node: start - 2 * pi * i / n for i, node in enumerate(_ring(machine.distances))}
    place = {node: (cos(angle), sin(angle)) for node, angle in angles.items()}
    pairs = defaultdict(list)
    for a, b, distance in machine.graph().edges(data="distance"):
        pairs[distance].append((a, b))
    handles = []
    for i, (distance, edges) in enumerate(sorted(pairs.items())):
        line, width, colour = STROKES[min(i, len(STROKES) - 1)]
        graph = nx.Graph(edges)
        nx.draw_networkx_edges(graph, place, width=width, edge_color=colour, style=line, ax=ax)
        handles.append(Line2D([], [], linestyle=line, linewidth=width, color=colour, label=distance))
        for a, b in edges if few else ():  # few enough to write each distance on its edge
            crosses = n == 4 and np.allclose(np.add(place[a], place[b]), 0)  # another diagonal, in the middle
            x, y = np.average([place[a], place[b]], axis=0, weights=(2, 1) if crosses else None)
            ground = {"facecolor": WHITE, "edgecolor": "none", "pad": 1.5}
            ax.text(x, y, distance, ha="center", va="center", fontsize=font + 1, fontweight="bold", bbox=ground)
    if not few:
        ax.legend(handles=handles, title="distance", loc="upper left", bbox_to_anchor=(1.01, 1), handlelength=3.5)
    for node, (x, y) in place.items():
        memory = [f"{machine.frames[node]:,} frames", f"{free[node]:,} free"]
        lines = [f"node {node}", *(memory if machine.frames[node] else ["no memory"])]
        tasks = [task.label for task in kernel.tasks if task.node == node]
        lines += [f"runs {', '.join(tasks)}"] if tasks else []
        look = palette.node(node)
        ground = {"boxstyle": "round,pad=0.5", "facecolor": look.colour, "edgecolor": BLACK}
        ax.text(x, y, "\n".join(lines), color=look.ink, ha="center", va="center", fontsize=font, bbox=ground, zorder=5)
    _leave_room(ax, place, 0.6, 0.4)
    bare(ax)
    alike = len(set(machine.frames)) == 1
    frames = f"{machine.frames[0]} frames each" if alike else sentence(f"{f:,}" for f in machine.frames) + " frames"
    said = [f"{d} between " + ", ".join(f"{a} and {b}" for a, b in edges) for d, edges in sorted(pairs.items())]
    return ax, f"A machine of {counted(n, 'node')} with {frames}." + f" Distance {'; '.join(said)}." * bool(said)


def _ring(distances):
    """The nodes in an order around a circle that puts near ones side by side."""
    n = len(distances)
    if n > 8:
        return list(range(n))
    rings = ((0, *rest) for rest in permutations(range(1, n)))
    return min(rings, key=lambda ring: sum(distances[a][b] for a, b in pairwise((*ring, ring[0]))))


def _leave_room(ax, place, *inches):
    """Set limits that leave so many inches (x, y) beyond the places, for what is drawn there."""
    points = np.array(list(place.values()))
    low, high = points.min(0), points.max(0)
    within = ax.get_window_extent().size / ax.figure.dpi - 2 * np.array(inches)
    room = np.maximum(high - low, 0.1) * inches / np.maximum(within, 0.3)
    (left, bottom), (right, top) = low - room, high + room
    ax.set(xlim=(left, right), ylim=(bottom, top))


@drawing("kernel", "topology", "give a Kernel")
def zonelist(kernel, node, *, ax=None):
    """The nodes that an allocation on `node` tries, in order.

    Parameters
    ----------
    kernel : Kernel
        What each node has free, and which one would give a page now, is shown as well.
    node : int
    """
    zones, order = kernel.tables["zone"], kernel.topology.zonelist(node)
    gives = next((n for n in order if zones["free"][n] > zones["pages_low"][n]), None)
    ax = canvas(ax, max(4.4, 1.15 * len(order) + 0.4), 2, f"Zonelist of node {node}: who is asked, in this order")
    graph, place = nx.path_graph(order, nx.DiGraph), {n: (i, 0) for i, n in enumerate(order)}
    nx.draw_networkx_edges(graph, place, node_size=1300, width=1.6, arrowsize=14, edge_color=DARK, ax=ax)
    nx.draw_networkx_nodes(
        graph, place, order, node_size=1300, node_color=[palette.node(n).colour for n in order], edgecolors=BLACK,
        linewidths=[3.5 if n == gives else 0.8 for n in order], ax=ax,
    )  # fmt: skip
    steps = []
    for i, n in enumerate(order):
        distance, free = f"distance {kernel.topology.distances[node][n]}", f"{zones['free'][n]:,} free"
        note = f"{free}\nlow {zones['pages_low'][n]:,}" + "\ngives a page" * (n == gives)
        beside = {"ha": "center", "textcoords": "offset points"}
        ax.text(i, 0, n, color=palette.node(n).ink, ha="center", va="center", fontsize=12, fontweight="bold")
        ax.annotate(distance, (i, 0), xytext=(0, 23), va="bottom", **beside)
        ax.annotate(note, (i, 0), xytext=(0, -23), va="top", fontweight="bold" if n == gives else "normal", **beside)
        steps.append(f"node {n} ({distance}, {free})")
    _leave_room(ax, place, 0.6, 0.6)
    bare(ax)
    end = "None has more than its low mark free." if gives is None else f"Node {gives} gives the page."
    none = "" if kernel.topology.frames[node] else ", which has no memory,"
    return ax, f"An allocation on node {node}{none} asks {', then '.join(steps)}. {end}"
