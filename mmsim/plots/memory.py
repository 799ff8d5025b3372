"""Where memory is: frames by node and owner, and the page table of a task."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.collections import PatchCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon, Rectangle
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from .. import palette
from ..mm import structs
from ..palette import LIGHT, WHITE, Look
from .style import box, canvas, drawing, hide_cramped, legend, pages, sentence, write, zoom

MAX_CELLS = 512  # cells of a page table; where there are more pages, a cell stands for several
FIXED = ("shared", "page cache", "swap cache", "kernel", "other", "free")  # owners that are no tasks
NONE, ZERO = Look(WHITE, "–"), Look(LIGHT, "z")
SWAPPED = Look(WHITE, "s", "///")


@drawing
def residency(kernel, before=None, *, ax=None):
    """How many page frames of each node belong to whom: a stack of bars for each node.

    Parameters
    ----------
    kernel : Kernel or DataFrame
        The machine, or what its `residency` gave.
    before : DataFrame, optional
        What `Kernel.residency` gave earlier: drawn beside each bar.
    ax : Axes, optional
    """
    after = kernel if isinstance(kernel, pd.DataFrame) else kernel.residency()
    tables = {"now": after} if before is None else {"before": before, "after": after}
    columns = dict.fromkeys(c for table in tables.values() for c in table.columns if c != "free")
    looks = palette.owners(sorted(columns, key=lambda c: FIXED.index(c) if c in FIXED else -1))
    looks = {name: look for name, look in looks.items() if any(t[name].any() for t in tables.values() if name in t)}
    nodes, n = list(after.index), len(tables)
    ax = canvas(ax, max(5, 2.2 + 0.62 * n * len(nodes)), 3.8, "Page frames in use, by node and owner")
    width = 0.84 / n
    positions, labels = [], []
    top = max(1, *(int(table.drop(columns="free").sum(axis=1).max()) for table in tables.values()))
    for i, table in enumerate(tables.values()):
        x = np.arange(len(nodes)) + (i - (n - 1) / 2) * (width + 0.03)
        positions.append(x)
        base = np.zeros(len(nodes), int)
        for name, look in looks.items():
            counts = table.get(name, pd.Series(0, nodes)).to_numpy()
            ax.bar(x, counts, width, base, label=name if i == 0 else f"_{name}", **box(look))
            for a, low, count in zip(x, base, counts, strict=True):
                if count:
                    text = write(ax, a, low + count / 2, f"{look.letter} {count:,}", look)
                    labels.append((text, (a - width / 2, low), (a + width / 2, low + count)))
            base += counts
        for a, used, free in zip(x, base, table["free"], strict=True):
            ax.text(a, used + top / 60, f"{free:,}\nfree", ha="center", va="bottom", fontsize=8)
    if n > 1:
        ax.set_xticks(np.concatenate(positions), [w for w in tables for _ in nodes], fontsize=8)
    else:
        ax.set_xticks([])
    ax.set_xticks(range(len(nodes)), ["\n" * (n > 1) + f"node {node}" for node in nodes], minor=True)
    ax.tick_params(axis="x", which="both", length=0)
    ax.set_xlim(-0.6, len(nodes) - 0.4)
    ax.set_ylim(0, top * 1.18)
    ax.set_ylabel("page frames of 4 KiB")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    names = {name if name in FIXED else f"task {name}": look for name, look in looks.items()}
    legend(ax, names)
    hide_cramped(ax, labels)
    return ax, "Page frames by node. " + " ".join(_residency_text(w, t) for w, t in tables.items())


def _residency_text(when, table):
    """One sentence with every count that is not 0."""
    nodes = [
        f"node {node}: " + ", ".join(f"{name} {count:,}" for name, count in row.items() if count or name == "free")
        for node, row in table.iterrows()
    ]
    return f"{when.capitalize()}: {'; '.join(nodes)}."


@drawing
def page_table(task, *, columns=32, ax=None):
    """The page table of a task: a cell for each virtual page, with the node that holds it.

    Parameters
    ----------
    task : Task or DataFrame
        The task, or what its `pages` gave; the latter knows neither vmas nor locks, pins and the swap cache.
    columns : int
        Cells a row.
    ax : Axes, optional
    """
    table, starts, name = task, {}, ""
    if not isinstance(task, pd.DataFrame):
        table, starts, name = *_with_frames(task), f" of {task.name}"
    kinds, marks = _kinds(table)
    step = -(-len(table) // MAX_CELLS) or 1
    rows, labels, y = [], [], 0.0  # rows: (y, first, end) of positions in the table
    address = table.index.to_numpy()
    cuts = [i for i in range(len(address)) if i == 0 or address[i] != address[i - 1] + 1 or int(address[i]) in starts]
    for begin, end in pairwise([*cuts, len(address)]):
        for i in range(begin, end, columns * step):
            rows.append((y, i, min(end, i + columns * step)))
            labels.append(f"{starts.get(int(address[i]), '')}  {int(address[i]):#x}")
            y += 1
        y += 0.45
    ax = canvas(ax, 1.6 + 0.26 * max(columns, 14), 1.35 + 0.3 * max(y, 2) + 3.2 / columns, f"Page table{name}")
    font = 8 * zoom(ax, 0.235 * columns)
    cells, texts, corners = {}, [], []
    for y, first, end in rows:
        for x, i in enumerate(range(first, end, step)):
            part = slice(i, min(i + step, end))
            mark = "".join(dict.fromkeys("".join(marks[part])))
            left = x
            for kind, count in Counter(kinds[part]).items():  # several only where a cell stands for several pages
                width = count / len(kinds[part])
                cells.setdefault(kind, []).append(Rectangle((left, y), width, 1))
                text = _look(kind).letter + mark.replace("r", "") * (width == 1)
                if width > 0.4:
                    texts.append((left + 0.46 * width, y + 0.47, text, kind, font if width == 1 else 0.7 * font))
                left += width
            if "r" in mark:
                corners.append(Polygon([(x + 1, y + 1), (x + 0.7, y + 1), (x + 1, y + 0.7)]))
    for kind, patches in cells.items():
        look = _look(kind)
        ax.add_collection(PatchCollection(patches, **box(look, linewidth=0.5)))
    for x, y, text, kind, size in texts:
        write(ax, x, y, text, _look(kind), fontsize=size if len(text) < 3 else 0.75 * size)
    if corners:
        ax.add_collection(PatchCollection(corners, color="black", linewidth=0))
    ax.set_yticks([y + 0.5 for y, *_ in rows], labels, fontsize=8)
    ax.set_xticks(np.arange(0, columns, 8) + 0.5, [f"+{8 * i * step}" for i in range(-(-columns // 8))])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlim(-0.1, columns + 0.1)
    ax.set_ylim(max(y for y, *_ in rows) + 1.1 if rows else 1, -0.1)
    ax.set_xlabel("virtual page" + f"; a cell stands for {step} pages" * (step > 1))
    order = sorted(cells, key=lambda kind: (["node", "cache", "swap", "zero", "none"].index(kind[0]), kind[1]))
    seen = "".join(marks)
    extra = [
        Line2D([], [], linestyle="", marker=marker, color="black", label=label)
        for mark, (label, marker) in _MARKS.items()
        if mark in seen
    ]
    if cells:  # below: a page table is wide
        below = ax.transAxes + ScaledTranslation(0, -0.55, ax.figure.dpi_scale_trans)
        widest = 0.6 + 0.08 * max(13, *(len(_meaning(kind)) for kind in order))
        across = max(1, min(4, int(ax.get_window_extent().width / ax.figure.dpi / widest)))
        place = {"bbox_to_anchor": (0, 0), "bbox_transform": below, "ncols": across}
        legend(ax, {_meaning(kind): _look(kind) for kind in order}, extra, **place)
    counts = [f"{pages(kinds.count(kind))} {_meaning(kind)}" for kind in order]
    counts += [f"{seen.count(mark):,} with a {label}" for mark, (label, _) in _MARKS.items() if mark in seen]
    return ax, f"Page table{name}: {sentence(counts)}."


_MARKS = {
    "r": ("read-only pte", [(0, 0), (-1, 0), (0, 1), (0, 0)]),
    "L": ("locked frame", "$\\mathrm{L}$"),
    "P": ("pinned frame", "$\\mathrm{P}$"),
}


def _look(kind):
    """The Look of one kind of page: (node, n), (cache, n), (swap, 0), (zero, 0) or (none, 0)."""
    what, node = kind
    if what == "node":
        return palette.node(node)
    if what == "cache":
        return palette.node(node)._replace(letter=f"s{node}", hatch="///")
    return {"swap": SWAPPED, "zero": ZERO, "none": NONE}[what]


def _meaning(kind):
    what, node = kind
    return {
        "node": f"on node {node}", "cache": f"swap pte, in the swap cache on node {node}",
        "swap": "swap pte, swapped out", "zero": "the zero page", "none": "not present",
    }[what]  # fmt: skip


def _kinds(table):
    """For each page of a table its kind, and its marks: r read-only, L locked, P pinned."""
    kinds, marks = [], []
    extra = [table.get(name, pd.Series(0, table.index)).tolist() for name in ("cached", "locked", "pinned")]
    for state, node, flags, cached, locked, pinned in zip(
        table["state"], table["node"], table["flags"], *extra, strict=True
    ):
        present = state == "present"
        in_cache = state == "swap" and cached > 0
        kinds.append(("node", int(node)) if present else ("cache", cached - 1) if in_cache else (state, 0))
        marks.append("r" * (present and "writable" not in flags) + "L" * bool(locked) + "P" * bool(pinned))
    return kinds, marks


def _with_frames(task):
    """`task.pages()` with what the frames say (cached: node + 1 of the swap cache's page), and its vmas by start."""
    table = task.pages()
    kernel = task._kernel
    entry = table["entry"].fillna(0).to_numpy(int)
    cached = kernel.tables["swap_cache"][entry] * (entry > 0)
    pfn = np.where(cached > 0, cached, table["pfn"].fillna(0).to_numpy(int))
    frame = kernel.tables["mem_map"][pfn]
    pinned = [p for pins in kernel._book["pins"].values() for p in pins]
    table = table.assign(
        cached=np.where(cached > 0, frame["node"].astype(int) + 1, 0),
        locked=(frame["flags"] & structs.PG_locked != 0) & (pfn > 0),
        pinned=np.isin(pfn, pinned) & (pfn > 0),
    )
    starts = {}
    for vma in task._vmas():
        start = int(vma["vm_start"])
        name = kernel._book["ranges"].get(f"{task.pid}:{start}", "")
        starts[start] = f"{name} (mlocked)".strip() if vma["vm_flags"] & structs.VM_LOCKED else name
    return table, starts
