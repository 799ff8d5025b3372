"""Where pages are, on machines that one compares: a row a machine, a square a page."""

from itertools import groupby

from matplotlib.patches import Rectangle

from ..terms.arguments import counted, like
from . import palette
from .palette import BLACK, LIGHT, WHITE, Look
from .style import bare, box, canvas, drawing, sentence, write

GAP = 0.7  # between two groups, in squares
NOWHERE = Look(WHITE, "–")
GIVE = "give {row: {group: [node of each page]}}"


@drawing("rows", "values items", GIVE)
def placements(rows, title="Where the pages are", *, ax=None):
    """Rows of squares, one below the other: a square is a page, its number and colour the node that holds it.

    A page that is elsewhere than in the first row has a thick edge and a dot.

    Parameters
    ----------
    rows : dict of str to dict of str to list
        Of each row, as 'before', the groups of pages, and of each group where its pages are, as `Task.placement`
        gives it: a node, or None of a page without a frame.
    title : str
    """
    for row in rows.values():
        like(row, "items", "rows", GIVE)
    first = next(iter(rows.values()), {})
    left, x = {}, 0.0
    for group in dict.fromkeys(group for row in rows.values() for group in row):
        left[group] = x
        x += max(0.23 * len(group), *(len(row.get(group, ())) for row in rows.values())) + GAP
    x -= GAP
    ax = canvas(ax, 1.6 + 0.27 * max(x, 12), 0.75 + 0.4 * len(rows), title)
    bare(ax)
    told = []
    for y, (name, row) in enumerate(rows.items()):
        for group, nodes in row.items():
            for i, node in enumerate(nodes):
                look = NOWHERE if node is None else palette.node(node)
                moved = i < len(first.get(group, ())) and node != first[group][i]
                edge = {"edgecolor": BLACK if moved else LIGHT, "linewidth": 2 if moved else 0.8, "zorder": 2 + moved}
                at = left[group] + i
                ax.add_patch(Rectangle((at + 0.06, y + 0.16), 0.88, 0.68, **box(look, **edge)))
                write(ax, at + 0.5, y + 0.5, look.letter + "•" * moved, look, fontsize=9, zorder=4)
        told.append(f"{name}: {sentence(in_words(group, nodes, first.get(group, ())) for group, nodes in row.items())}")
    for group, at in left.items():
        ax.text(at + 0.06, -0.1, group, va="bottom", fontsize=9)
    ax.set_yticks([y + 0.5 for y in range(len(rows))], list(rows))
    ax.set(xlim=(0, x), ylim=(len(rows), -0.45))
    ax.set_xlabel("a square: a page, with its node; •: not as in the first row; –: no frame", loc="left", fontsize=8)
    return ax, f"{title}. {'; '.join(told)}."


def in_words(group, nodes, before):
    """What a group of squares says."""
    runs = [(node, len([*run])) for node, run in groupby(nodes)]
    places = [f"{counted(n, 'page')} without a frame" if node is None else f"{n} on node {node}" for node, n in runs]
    others = sum(a != b for a, b in zip(before, nodes, strict=False))
    return f"{group} {', then '.join(places)}" + f", {others} not as in the first row" * bool(others)
