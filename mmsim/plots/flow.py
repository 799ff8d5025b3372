"""What became of the pages of a migration: their flow through the decision graph, and comparisons."""

from collections import Counter
from itertools import pairwise
from textwrap import fill, wrap

import pandas as pd
from matplotlib.ticker import MaxNLocator

from ..machine.lazy import Lazy
from ..terms.arguments import counted, like
from .palette import BLACK, DARK, GREY, WHITE
from .palette import PATHS as LOOKS
from .style import bare, box, canvas, drawing, hide_cramped, label_bars, legend, sentence, zoom

nx = Lazy("networkx")  # most sessions draw no graph

# The questions that migrate_pages() asks about each page, in order; no: the page leaves the row there.
STAGES = ("considered", "collected?", "locked?", "in swap cache?", "clean or written?", "references as expected?")
# Where a page left, by the start of the reason (mm/trace.py); any other reason: the last question.
_LEFT_AT = {
    "locked by": 2, "under writeback": 2, "no new page": 2, "no memory for the new": 2,
    "no free swap": 3, "no memory for a radix": 3,
    "its buffers": 4, "its writeout": 4, "the swap device": 4, "the file system refuses": 4,
}  # fmt: skip
# The questions at which pages may leave for a path.
_LEAVES = {
    "not collected": [1], "freed from under us": [2], "failed for good": [3, 4], "retries exhausted": [2, 4, 5],
    "direct": [5], "direct after writeout": [5], "direct with buffers": [5], "swapped out": [5],
}  # fmt: skip
MOST_LINES = 12  # of reasons in a box
STAYED = ("failed for good", "retries exhausted", "not collected")
_PLACE = {stage: (1.3 * i, 0) for i, stage in enumerate(STAGES)} | {
    "retries exhausted": (4.55, 1.4), "not collected": (1.3, -1.4), "freed from under us": (2.6, -1.4),
    "failed for good": (4.55, -1.4), "pending": (6.2, -1.4), "direct": (8.2, 1.35),
    "direct after writeout": (8.2, 0.45), "direct with buffers": (8.2, -0.45), "swapped out": (8.2, -1.35),
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
    right, graph = "give a Migration, as kernel.last is one", nx.DiGraph()
    table = like(getattr(migration, "pages", migration), "path reason", "migration", right)
    for (a, b), count in ways(zip(table["path"], table["reason"], strict=True)).items():
        graph.add_edge(a, b, pages=count)
    return graph


def ways(pages):
    """How many pages went each way through the graph, {(question, question or path): number}.

    `pages`: (path, reason) of each page, in words.
    """
    edges = dict.fromkeys(pairwise(STAGES), 0)
    edges |= {(STAGES[s], path): 0 for path, stages in _LEAVES.items() for s in stages}
    for (path, reason), count in Counter(pages).items():
        last = _LEAVES.get(path, [2])[0]  # 2: pending
        if path in ("failed for good", "retries exhausted"):
            last = next((s for start, s in _LEFT_AT.items() if reason.startswith(start)), len(STAGES) - 1)
        for edge in pairwise([*STAGES[: last + 1], path]):
            edges[edge] = edges.get(edge, 0) + count
    return edges


@drawing()
def paths(migration, *, ax=None):
    """The flow of pages through the decision graph of a migration; the wider an edge, the more pages.

    Parameters
    ----------
    migration : Migration, or list of Migration
        Several, as one call a process makes, are drawn together.
    """
    migration = Together(migration) if isinstance(migration, list) and migration else migration
    like(migration, "pages paths", "migration", "give a Migration, as kernel.last is one")
    table, graph = migration.pages, flow(migration)
    by = "in-kernel caller" if migration.trigger == "kernel" else migration.trigger
    lines = {path: max(0, len(_why(table, path)) - 4) for path in STAYED}
    above, below = 0.14 * lines["retries exhausted"], 0.14 * max(lines["failed for good"], lines["not collected"])
    ax = canvas(ax, 8.8, 4.8 + above + below, f"What became of the pages ({by})")
    size = 9 * zoom(ax, 7.4)
    arriving = {"considered": len(table)} | dict(graph.in_degree(_PLACE.keys() - {"considered"}, weight="pages"))
    shapes = {name: _draw_node(ax, name, arriving[name], table, size) for name in graph}
    for a, b, count in graph.edges(data="pages"):
        style = {"patchA": shapes[a], "patchB": shapes[b], "shrinkA": 1, "shrinkB": 1, "mutation_scale": 1}
        (x0, y0), (x1, y1) = _PLACE[a], _PLACE[b]
        if count:
            tail = 1 + 9 * count / len(table)
            style |= {"arrowstyle": f"simple,tail_width={tail},head_width={tail + 6},head_length={5 + tail / 2}"}
            style |= {"facecolor": DARK, "edgecolor": "none"}
            t, up = (0.5, 0.28) if b in STAGES else (0.42, 0)
            ax.text(
                x0 + t * (x1 - x0), y0 + t * (y1 - y0) + up, f"{count:,}", ha="center", va="center",
                fontsize=size, fontweight="bold", bbox={"facecolor": WHITE, "edgecolor": "none", "pad": 1}, zorder=4,
            )  # fmt: skip
        else:  # where pages might have gone
            style |= {"arrowstyle": "-", "color": GREY, "linewidth": 0.7, "linestyle": (0, (4, 4))}
        ax.annotate("", (x1, y1), (x0, y0), arrowprops=style, zorder=1)
    if migration.there_was():
        beside = [migration.why_not, *(f"{n:,} {what}" for what, n in migration.passed_over.items())]
        lines = ["beside them:" if len(table) else "there was:", *(line for part in beside for line in wrap(part, 22))]
        note = "\n".join(lines)
        ax.text(_PLACE["considered"][0] - 0.6, -0.5, note, va="top", fontsize=size - 1, color=DARK)
    ax.set(xlim=(-0.6, 8.9), ylim=(-2.25 - below, 2.35 + above))
    bare(ax)
    return ax, _text(migration)


class Together:
    """Several migrations as one; each call made its own passes, so `passes` is the largest number."""

    def __init__(self, migrations):
        tables = [m.pages for m in migrations]
        self.pages = pd.concat([t for t in tables if len(t)] or tables, ignore_index=True)
        self.trigger = migrations[0].trigger
        self.paths = pd.concat([m.paths for m in migrations]).groupby(level=0, sort=False).sum()
        self.elapsed, self.passes = sum(m.elapsed for m in migrations), max(m.passes for m in migrations)
        self.why_not = "; ".join(dict.fromkeys(m.why_not for m in migrations if m.why_not))
        self.passed_over = pd.concat([m.passed_over for m in migrations]).groupby(level=0, sort=False).sum()

    def there_was(self):
        """What there was beside pages to consider, in all of them."""
        return "; ".join([*filter(None, [self.why_not]), *(f"{what} {n:,}" for what, n in self.passed_over.items())])


def _draw_node(ax, name, count, table, size):
    """A question, or a path with its count and the reasons for it; the patch around it."""
    (x, y), va, edge = _PLACE[name], "center", BLACK if count else GREY
    if name in STAGES:
        text = f"{count}\nconsidered" if name == "considered" else fill(name, 10)
        colour, ground = BLACK, {"boxstyle": "round,pad=0.45", "facecolor": WHITE, "edgecolor": edge}
    else:
        look, size = LOOKS[name], size - 1
        lines = [*wrap(name, 14), f"{count:,}"]
        if count and name in STAYED:
            lines += _why(table, name)
        text, colour = "\n".join(lines), look.ink if count else DARK
        ground = {"boxstyle": "square,pad=0.4", "facecolor": look.colour if count else WHITE, "edgecolor": edge}
        if x < 8:  # above and below the row they grow away from it, so that reasons have room
            y, va = (y - 0.15, "bottom") if y > 0 else (y + 0.15, "top")
    options = {"ha": "center", "va": va, "fontsize": size, "color": colour, "bbox": ground, "zorder": 3}
    return ax.text(x, y, text, **options).get_bbox_patch()


def _why(table, path):
    """The lines that say why pages took a path; of many the first ones."""
    lines = [line for reason in _reasons(table, path) for line in wrap(reason, 20)]
    return lines if len(lines) <= MOST_LINES else [*lines[: MOST_LINES - 1], "…"]


def _reasons(table, path):
    """Why pages took a path, without what stands behind the colon; 'pinned 2' and its like where there are several."""
    reasons = table.loc[table["path"] == path, "reason"].map(lambda reason: reason.partition(":")[0]).value_counts()
    return [r + f" {n:,}" * (len(reasons) > 1) for r, n in reasons.items() if r]


def _text(migration):
    """The paths of a migration with their pages and reasons, and its effort."""
    parts = []
    for path, count in migration.paths.items():
        why = ", ".join(_reasons(migration.pages, path)) if path in STAYED else ""
        parts.append(f"{count:,} {path}" + f" ({why})" * bool(why))
    beside = migration.there_was()
    if not parts:
        return f"Nothing to move ({beside}); {_effort(migration)}."
    beside = f" Passed over: {beside}." * bool(beside)
    return f"{counted(len(migration.pages), 'page')} considered: {sentence(parts)}; {_effort(migration)}.{beside}"


def _effort(migration):
    return f"{counted(migration.passes, 'pass')}, {migration.elapsed / 1e6:.3g} ms"


@drawing("migrations", "items", "give {label: migration}")
def compare(migrations, *, ax=None):
    """Several migrations side by side: a bar each, with the paths that its pages took.

    Parameters
    ----------
    migrations : dict of str to Migration
    """
    table = pd.DataFrame({label: m.paths for label, m in migrations.items()}).fillna(0).astype(int)
    looks = {path: look for path, look in LOOKS.items() if path in table.index}
    ax = canvas(ax, 8.6, 1.5 + 0.55 * max(2, len(migrations)), "Paths that the pages took")
    y, ends, labels = range(len(migrations)), table.sum(), []
    left = ends * 0
    for path, look in looks.items():
        bars = ax.barh(y, table.loc[path], 0.72, left, label=path, **box(look))
        labels += label_bars(ax, bars, table.loc[path], look)
        left = left + table.loc[path]
    total = max(1, ends.max()) if len(table) else 1
    for i, (end, migration) in enumerate(zip(ends, migrations.values(), strict=True)):
        said = f"{_effort(migration)}{'; nothing to move' * (not end)}"
        ax.text(end + total / 80, i, said, va="center", fontsize=8)
    ax.set_yticks(y, migrations)
    ax.set(xlim=(0, total * 1.3), ylim=(len(migrations) - 0.5, -0.5), xlabel="pages")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(ax, looks)
    hide_cramped(ax, labels)
    return ax, " ".join(f"{label}: {_text(m)}" for label, m in migrations.items())
