"""Where memory is: frames by node and owner, and the page table of a task."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from . import palette
from ..mm import structs
from ..machine.names import HOLDERS
from .palette import LIGHT, WHITE, Look
from ..terms.arguments import counted
from .style import bare, box, canvas, drawing, hide_cramped, label_bars, legend, sentence, write

MAX_CELLS = 512  # cells of a page table; where there are more pages, a cell stands for several
MAX_ROWS = 8  # of short rows: more of them stand side by side
LABEL = 7  # cells that the label of a row may take


@drawing("kernel", "residency", "give a Kernel")
def residency(kernel, before=None, *, ax=None):
    """How many page frames of each node belong to whom: a stack of bars for each node.

    Parameters
    ----------
    kernel : Kernel
    before : DataFrame, optional
        What `Kernel.residency` gave earlier: drawn beside each bar.
    """
    after = kernel.residency()
    tables = {"now": after} if before is None else {"before": before, "after": after}
    table = pd.concat(tables).fillna(0).astype(int)
    used = table.drop(columns="free").loc[:, lambda t: t.any()]
    looks = palette.owners(sorted(used, key=lambda c: HOLDERS.index(c) if c in HOLDERS else -1))
    nodes, n = after.index, len(tables)
    what = "in use or offline" if "offline" in used else "in use"
    ax = canvas(ax, max(5, 2.2 + 0.62 * n * len(nodes)), 3.8, f"Page frames {what}, by node and owner")
    width = 0.84 / n
    x = np.concatenate([np.arange(len(nodes)) + (i - (n - 1) / 2) * (width + 0.03) for i in range(n)])
    base, top, labels = np.zeros(len(table), int), max(1, used.sum(axis=1).max()), []
    for name, look in looks.items():
        bars = ax.bar(x, used[name], width, base, label=name, **box(look))
        labels += label_bars(ax, bars, used[name], look)
        base += used[name].to_numpy()
    for at, end, free in zip(x, base, table["free"], strict=True):
        ax.text(at, end + top / 60, f"{free:,}\nfree", ha="center", va="bottom", fontsize=8)
    if n > 1:
        ax.set_xticks(x, [when for when in tables for _ in nodes], fontsize=8)
    else:
        ax.set_xticks([])
    ax.set_xticks(range(len(nodes)), ["\n" * (n > 1) + f"node {node}" for node in nodes], minor=True)
    ax.tick_params(axis="x", which="both", length=0)
    ax.set(xlim=(-0.6, len(nodes) - 0.4), ylim=(0, top * 1.18), ylabel="page frames of 4 KiB")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    legend(ax, {name if name in HOLDERS else f"task {name}": look for name, look in looks.items()})
    hide_cramped(ax, labels)
    return ax, "Page frames by node. " + " ".join(_residency_text(w, t) for w, t in tables.items())


def _residency_text(when, table):
    """One sentence with every count that is not 0."""
    nodes = [
        f"node {node}: " + ", ".join(f"{name} {count:,}" for name, count in row.items() if count or name == "free")
        for node, row in table.iterrows()
    ]
    return f"{when.capitalize()}: {'; '.join(nodes)}."


@drawing("task", "pages", "give a Task, as kernel.spawn() makes it")
def page_table(task, *, columns=32, ax=None):
    """The page table of a task: a cell for each virtual page, with the node that holds it.

    Parameters
    ----------
    task : Task
    columns : int
        Cells a row.
    """
    pages, starts, name = _pages(task), _starts(task), f"Page table of {task.label}"
    looks = {kind: look for kind, look in _looks(task._kernel).items() if kind in set(pages["kind"])}
    step = -(-len(pages) // MAX_CELLS) or 1
    rows, pitch, across = _rows(pages.index.tolist(), starts, columns, step)
    bottom = max((y for _, y, *_ in rows), default=0) + 1
    ax = canvas(ax, 1.6 + 0.26 * max(across, 14), 1.7 + 0.26 * bottom + 3.2 / columns, name)
    ax.set(xlim=(-0.1, across + 0.1), ylim=(bottom + 0.1, -0.1), aspect="equal", anchor="NW")
    bare(ax)
    ax.set_xlabel("virtual page" + f"; a cell stands for {step} pages" * (step > 1), loc="left")
    ticks = {left + i + 0.5: f"+{i * step}" for left in range(0, across, pitch) for i in range(0, pitch - LABEL, 8)}
    ax.set_xticks([*ticks], ticks.values())
    counts = {mark: pages["marks"].str.count(mark).sum() for mark in _MARKS}
    marks = {mark: f"{count:,} with a {_MARKS[mark][0]}" for mark, count in counts.items() if count}
    if rows:
        _legend_below(ax, looks, [_MARKS[mark] for mark in marks])
        ax.figure.draw_without_rendering()  # settles how large a cell is
        cell = ax.get_window_extent().height / (bottom + 0.2) / ax.figure.dpi * 72
        size = min(10, 0.55 * cell)  # of all letters
        _draw_cells(ax, rows, pages, looks, step, size)
        labels = [f"{starts.get(a, '')}  {a:#x}" for a in pages.index[[first for *_, first, _ in rows]]]
        _label_rows(ax, rows, labels, size)
    kinds = [f"{counted((pages['kind'] == kind).sum(), 'page')} {kind}" for kind in looks]
    return ax, f"{name}: {sentence([*kinds, *marks.values()])}."


def _rows(address, starts, columns, step):
    """([(x, y, first, end)], cells from one column of rows to the next, cells across); rows begin where ranges do.

    `first` and `end` are positions in the table.
    """
    cuts = [i for i, a in enumerate(address) if i == 0 or a != address[i - 1] + 1 or a in starts]
    ranges = pairwise([*cuts, len(address)])
    rows = [(i, min(end, i + columns * step)) for begin, end in ranges for i in range(begin, end, columns * step)]
    widest = max((-(-(end - first) // step) for first, end in rows), default=1)
    beside = max(1, min((columns + LABEL) // (widest + LABEL), -(-len(rows) // MAX_ROWS)))
    each = -(-len(rows) // beside)
    placed, y = [], 0
    for n, (first, end) in enumerate(rows):
        y = 0 if n % each == 0 else y + 1 + 0.45 * (first in cuts)
        placed.append((n // each * (widest + LABEL), y, first, end))
    return placed, widest + LABEL, beside * (widest + LABEL) - LABEL


def _draw_cells(ax, rows, pages, looks, step, size):
    """A cell for each page, or for each `step` pages, with letters of a size."""
    cells, corners = {kind: [] for kind in looks}, []
    for left, y, first, end in rows:
        for x, i in enumerate(range(first, end, step), left):
            inside = pages.iloc[i : min(i + step, end)]
            mark = "".join(dict.fromkeys("".join(inside["marks"])))
            for kind, count in Counter(inside["kind"]).items():  # several only where a cell stands for several pages
                width = count / len(inside)
                cells[kind].append([(x, y), (x + width, y), (x + width, y + 1), (x, y + 1)])
                text = looks[kind].letter + mark.replace("r", "") * (width == 1)
                smaller = (1 if width == 1 else 0.7) * (1 if len(text) < 3 else 0.75)
                if width > 0.4:
                    write(ax, x + 0.46 * width, y + 0.47, text, looks[kind], fontsize=smaller * size)
                x += width
            if "r" in mark:
                corners.append([(x, y + 1), (x - 0.3, y + 1), (x, y + 0.7)])
    for kind, squares in cells.items():
        ax.add_collection(PolyCollection(squares, **box(looks[kind], linewidth=0.5)))
    ax.add_collection(PolyCollection(corners, color="black", linewidth=0))


def _label_rows(ax, rows, labels, size):
    """Write before each row where it begins."""
    first = [y + 0.5 for x, y, *_ in rows if x == 0]
    ax.set_yticks(first, labels[: len(first)], fontsize=size)
    for (x, y, *_), label in zip(rows[len(first) :], labels[len(first) :], strict=True):
        ax.text(x - 0.3, y + 0.5, label, ha="right", va="center", fontsize=size)


def _legend_below(ax, looks, marks):
    """The legend, in as many columns as there is room for: a page table is wide."""
    extra = [Line2D([], [], linestyle="", marker=marker, color="black", label=label) for label, marker in marks]
    widest = 0.6 + 0.08 * max(13, *map(len, looks))
    fit = max(1, min(4, int(ax.get_window_extent().width / ax.figure.dpi / widest)))
    below = ax.transAxes + ScaledTranslation(0, -0.55, ax.figure.dpi_scale_trans)
    legend(ax, looks, extra, bbox_to_anchor=(0, 0), bbox_transform=below, ncols=fit)


_CACHED = "swap pte, in the swap cache on node "
_MARKS = {
    "r": ("read-only pte", [(0, 0), (-1, 0), (0, 1), (0, 0)]),
    "L": ("locked frame", "$\\mathrm{L}$"),
    "P": ("pinned frame", "$\\mathrm{P}$"),
}


def _looks(kernel):
    """What a page can be, in words: its Look."""
    nodes = {n: palette.node(n) for n in range(kernel.topology.nodes)}
    return {
        **{f"on node {n}": look for n, look in nodes.items()},
        **{_CACHED + str(n): palette.SWAP_CACHE._replace(letter=f"s{n}") for n in nodes},
        "swap pte, swapped out": palette.PATHS["swapped out"], "the zero page": Look(LIGHT, "z"),
        "not present": Look(WHITE, "–"),
    }  # fmt: skip


def _pages(task):
    """The kind (a key of `_looks`) and the marks (of _MARKS) of each page of a task."""
    table, kernel = task.pages(), task._kernel
    state, entry = table["state"], table["entry"].fillna(0).to_numpy(int)
    cached = kernel.tables["swap_cache"][entry] * (entry > 0)
    pfn = np.where(cached > 0, cached, table["pfn"].fillna(0).to_numpy(int))
    frame = kernel.tables["mem_map"][pfn]
    node = frame["node"].astype(str).astype(object)
    words = {"swap": "swap pte, swapped out", "zero": "the zero page", "none": "not present"}
    kind = np.where(state == "present", "on node " + node, np.where(cached > 0, _CACHED + node, state.map(words)))
    pinned = [p for pins in kernel._book["pins"].values() for p in pins]
    marks = np.where((state == "present") & ~table["flags"].str.contains("writable"), "r", "").astype(object)
    marks += np.where((frame["flags"] & structs.PG_locked != 0) & (pfn > 0), "L", "")
    marks += np.where(np.isin(pfn, pinned) & (pfn > 0), "P", "")
    return pd.DataFrame({"kind": kind, "marks": marks}, table.index)


def _starts(task):
    """The first page of each vma: its name, and whether it is locked."""
    names = task._kernel._book["ranges"]
    starts = {int(vma["vm_start"]): vma["vm_flags"] & structs.VM_LOCKED for vma in task._vmas()}
    return {a: (names.get(f"{task.pid}:{a}", "") + " (mlocked)" * bool(locked)).strip() for a, locked in starts.items()}
