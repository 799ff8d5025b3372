"""Where the pages of some tasks are, on several machines."""

from itertools import groupby

from matplotlib.patches import Rectangle

from ..terms.arguments import counted
from . import palette
from .palette import WHITE, Look
from .style import bare, box, canvas, drawing, legend, sentence, write

GAP = 0.7  # between two machines, in rows
CELL = 0.3  # inches
NOWHERE = Look(WHITE, "–")


@drawing
def placements(machines, *, ax=None):
    """Where the pages of some tasks are: a block a machine, a row a task, a cell a page with the number of its node.

    Parameters
    ----------
    machines : dict
        {name of a machine: {name of a task: what its `placement` gave}}.
    ax : Axes, optional
    """
    if not isinstance(machines, dict) or not all(isinstance(tasks, dict) for tasks in machines.values()):
        raise TypeError("machines: give {name of a machine: {name of a task: what its placement() gave}}")
    rows = sum(map(len, machines.values()))
    pages = max((len(places) for tasks in machines.values() for places in tasks.values()), default=0)
    bottom = rows + GAP * (len(machines) - 1)
    widest = max((len(task) for tasks in machines.values() for task in tasks), default=0)
    letters = widest + max(map(len, machines), default=0)
    ax = canvas(ax, 1.6 + 0.085 * letters + CELL * pages, 0.5 + CELL * bottom, "Where the pages are")
    y, labels, seen = 0, {}, set()
    for machine, tasks in machines.items():
        middle = y + len(tasks) / 2
        ax.annotate(machine, (0, middle), (-12 - 5.5 * widest, 0), textcoords="offset points", ha="right", va="center",
                    fontweight="bold", annotation_clip=False)  # fmt: skip
        for task, places in tasks.items():
            labels[y + 0.5] = task
            for page, node in enumerate(places):
                look = NOWHERE if node is None else palette.node(node)
                seen.add(node)
                ax.add_patch(Rectangle((page, y), 1, 1, **box(look)))
                write(ax, page + 0.5, y + 0.5, look.letter, look)
            y += 1
        y += GAP
    bare(ax)
    ax.set(xlim=(-0.03, pages + 0.03), ylim=(bottom + 0.05, -0.05), aspect="equal", anchor="W")
    ax.set_yticks(list(labels), list(labels.values()))
    ax.tick_params(length=0)
    nodes = {f"on node {node}": palette.node(node) for node in sorted(seen - {None})}
    legend(ax, nodes | ({"nowhere": NOWHERE} if None in seen else {}))
    said = [f"{machine}: {sentence(in_words(*each) for each in tasks.items())}" for machine, tasks in machines.items()]
    return ax, f"Where the pages are. {'; '.join(said)}."


def in_words(task, places):
    """'a has 4 pages on node 1, then 4 nowhere'."""
    runs = [(node, len(list(run))) for node, run in groupby(places)]
    parts = [f"{counted(n, 'page')} {'nowhere' if node is None else f'on node {node}'}" for node, n in runs]
    return f"{task} has {', then '.join(parts) or 'no pages'}"
