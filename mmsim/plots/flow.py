"""What became of the pages of a migration: their flow through the decision graph, and comparisons."""

from textwrap import fill, wrap

import networkx as nx
import pandas as pd
from matplotlib.ticker import MaxNLocator

from ..mm.trace import PATHS
from ..palette import BLACK, DARK, GREY, WHITE
from ..palette import PATHS as LOOKS
from .style import bare, box, canvas, drawing, hide_cramped, legend, pages, sentence, write, zoom

# The questions that migrate_pages() asks about each page, in order; no: the page leaves the row there.
STAGES = ("considered", "collected?", "locked?", "in swap cache?", "clean or written?", "references as expected?")
# Where a page left, by the start of the reason (mm/trace.py); any other reason: the last question.
_LEFT_AT = {
    "locked by": 2, "under writeback": 2, "no new page": 2, "no memory for the new": 2,
    "no free swap": 3, "no memory for a radix": 3,
    "its buffers": 4, "its writeout": 4, "the swap device": 4, "the file system": 4,
}  # fmt: skip
STAYED = ("failed for good", "retries exhausted", "not collected")
_LEAVES = {"not collected": 1, "freed from under us": 2, "pending": 2}
_PLACE = {stage: (1.3 * i, 0) for i, stage in enumerate(STAGES)} | {
    "retries exhausted": (4.55, 1.4), "not collected": (1.3, -1.4), "freed from under us": (2.6, -1.4),
    "failed for good": (4.55, -1.4), "pending": (6.2, -1.4), "direct": (8.5, 1.35),
    "direct after writeout": (8.5, 0.45), "direct with buffers": (8.5, -0.45), "swapped out": (8.5, -1.35),
}  # fmt: skip


def flow(migration):
    """The decision graph, with the pages that went along each edge.

    Parameters
    ----------
    migration : Migration or DataFrame
        The result, or its `pages`.

    Returns
    -------
    networkx.DiGraph
        Nodes: the questions (STAGES), then the paths; each edge has `pages`.
    """
    table = migration if isinstance(migration, pd.DataFrame) else migration.pages
    graph = nx.DiGraph()
    nx.add_path(graph, STAGES, pages=0)
    for path, stages in {
        "not collected": [1], "freed from under us": [2], "failed for good": [3, 4], "retries exhausted": [2, 4, 5],
        "direct": [5], "direct after writeout": [5], "direct with buffers": [5], "swapped out": [5],
    }.items():  # fmt: skip
        graph.add_edges_from(((STAGES[s], path) for s in stages), pages=0)
    for (path, reason), count in table.groupby(["path", "reason"]).size().items():
        last = _LEAVES.get(path, len(STAGES) - 1)
        if path in ("failed for good", "retries exhausted"):
            last = next((s for start, s in _LEFT_AT.items() if reason.startswith(start)), last)
        for a, b in zip(STAGES[: last + 1], [*STAGES[1 : last + 1], path], strict=True):
            if not graph.has_edge(a, b):
                graph.add_edge(a, b, pages=0)
            graph.edges[a, b]["pages"] += int(count)
    return graph


@drawing
def paths(migration, *, ax=None):
    """The flow of pages through the decision graph of a migration; the wider an edge, the more pages.

    Parameters
    ----------
    migration : Migration or DataFrame
        The result, or its `pages`.
    ax : Axes, optional
    """
    table = migration if isinstance(migration, pd.DataFrame) else migration.pages
    graph = flow(table)
    total = max(1, len(table))
    trigger = getattr(migration, "trigger", "")
    ax = canvas(ax, 10.4, 4.8, "What became of the pages" + f" ({trigger})" * bool(trigger))
    size = 9 * zoom(ax, 8)
    shapes = {}
    for name in graph:
        count = sum(n for *_, n in graph.in_edges(name, data="pages")) if name != "considered" else len(table)
        shapes[name] = _draw_node(ax, name, count, table, size).get_bbox_patch()
    for a, b, count in graph.edges(data="pages"):
        along = a in STAGES and b in STAGES
        (x0, y0), (x1, y1) = _PLACE[a], _PLACE[b]
        style = {"patchA": shapes[a], "patchB": shapes[b], "shrinkA": 1, "shrinkB": 1, "mutation_scale": 1}
        if count:
            tail = 1 + 9 * count / total
            style |= {"arrowstyle": f"simple,tail_width={tail},head_width={tail + 6},head_length={5 + tail / 2}"}
            style |= {"facecolor": DARK, "edgecolor": "none"}
        else:  # where pages might have gone
            style |= {"arrowstyle": "-", "color": GREY, "linewidth": 0.7, "linestyle": (0, (4, 4))}
        ax.annotate("", (x1, y1), (x0, y0), arrowprops=style, zorder=1)
        if count:
            t = 0.5 if along else 0.42
            ax.text(
                x0 + t * (x1 - x0), y0 + t * (y1 - y0) + 0.28 * along, f"{count:,}", ha="center", va="center",
                fontsize=size, fontweight="bold", bbox={"facecolor": WHITE, "edgecolor": "none", "pad": 1}, zorder=4,
            )  # fmt: skip
    ax.set_xlim(-0.7, 9.6)
    ax.set_ylim(-2.25, 2.35)
    bare(ax)
    return ax, _text(migration, table)


def _draw_node(ax, name, count, table, size):
    """A question, or a path with its count and the reasons for it."""
    x, y = _PLACE[name]
    if name in STAGES:
        text = f"{count}\nconsidered" if name == "considered" else fill(name, 13)
        ground = {"boxstyle": "round,pad=0.45", "facecolor": WHITE, "edgecolor": BLACK if count else GREY}
        return ax.text(x, y, text, ha="center", va="center", fontsize=size, bbox=ground, zorder=3)
    look = LOOKS[name]
    lines = [*wrap(name, 14), f"{count:,}"]
    if count and name in STAYED:
        why = [line for reason in _reasons(table, name) for line in wrap(reason, 18)]
        lines += why if len(why) < 6 else [*why[:4], "…"]
    ground = {"boxstyle": "square,pad=0.4", "edgecolor": BLACK if count else GREY}
    ground |= {"facecolor": look.colour if count else WHITE}
    colour = look.ink if count else DARK
    # Those above and below the row grow away from it, so that reasons have room.
    va = "center" if x > 8 else "bottom" if y > 0 else "top"
    y += {"center": 0, "bottom": -0.15, "top": 0.15}[va]
    options = {"ha": "center", "va": va, "fontsize": size - 1, "color": colour, "bbox": ground, "zorder": 3}
    return ax.text(x, y, "\n".join(lines), **options)


def _reasons(table, path):
    """Why pages took a path, without what stands behind the colon; 'pinned 2' and its like where there are several."""
    reasons = table.loc[table["path"] == path, "reason"].value_counts()
    return [r.split(":")[0] + f" {n:,}" * (len(reasons) > 1) for r, n in reasons.items() if r]


def _text(migration, table):
    counts = table["path"].value_counts()
    parts = []
    for path in PATHS:
        why = _reasons(table, path) if path in STAYED else ()
        if path in counts.index:
            parts.append(f"{counts[path]:,} {path}" + (f" ({', '.join(why)})" if why else ""))
    text = f"{pages(len(table))} considered: {sentence(parts)}"
    if table is not migration:
        text += f"; {_effort(migration)}"
    return f"{text}."


def _effort(migration):
    passes = migration.passes
    return f"{passes} pass{'es' * (passes != 1)}, {migration.elapsed / 1e6:.3g} ms"


@drawing
def compare(migrations, *, ax=None):
    """Several migrations side by side: a bar each, with the paths that its pages took.

    Parameters
    ----------
    migrations : dict of str to Migration
    ax : Axes, optional
    """
    table = pd.DataFrame({label: m.paths for label, m in migrations.items()}).fillna(0).astype(int)
    looks = {path: look for path, look in LOOKS.items() if path in table.index}
    ax = canvas(ax, 8.6, 1.5 + 0.55 * max(2, len(migrations)), "Paths that the pages took")
    texts = []
    total = max(1, int(table.sum().max()) if len(table) else 1)
    left = pd.Series(0, table.columns)
    for path, look in looks.items():
        counts = table.loc[path]
        ax.barh(range(len(counts)), counts, 0.72, left, label=path, **box(look))
        for y, (start, count) in enumerate(zip(left, counts, strict=True)):
            if count:
                text = write(ax, start + count / 2, y, f"{look.letter} {count:,}", look)
                texts.append((text, (start, y - 0.36), (start + count, y + 0.36)))
        left = left + counts
    for y, (end, migration) in enumerate(zip(left, migrations.values(), strict=True)):
        ax.text(end + total / 80, y, _effort(migration), va="center", fontsize=8)
    ax.set_yticks(range(len(migrations)), migrations)
    ax.set_ylim(len(migrations) - 0.5, -0.5)
    ax.set_xlim(0, total * 1.3)
    ax.set_xlabel("pages")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(ax, looks)
    hide_cramped(ax, texts)
    return ax, " ".join(f"{label}: {_text(m, m.pages)}" for label, m in migrations.items())
