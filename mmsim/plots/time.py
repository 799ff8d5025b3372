"""The passes of a migration over simulated time."""

from itertools import groupby

import numpy as np
from matplotlib.ticker import FuncFormatter, MultipleLocator

from ..mm import trace
from ..terms.arguments import counted
from .palette import BLACK, GREY, LIGHT, PATHS
from .style import canvas, drawing, sentence

# What is marked on a page's line: (label, marker, colour, events).  Tried again: nothing else happened to it in a pass.
MARKS = (
    ("tried again", "o", PATHS["retries exhausted"].colour, None),
    ("written out", "^", PATHS["direct after writeout"].colour, {trace.PAGEOUT_START}),
    ("moved", "s", PATHS["direct"].colour, {trace.MOVED}),
    ("swapped out", "D", PATHS["swapped out"].colour, {trace.EVICTED}),
    ("failed, or freed meanwhile", "X", PATHS["failed for good"].colour, {trace.FAILED, trace.FREED}),
)


@drawing("kernel", "events last", "give a Kernel")
def timeline(kernel, by="page", *, ax=None):
    """The passes of the last migration over simulated time.

    Parameters
    ----------
    kernel : Kernel
        One that keeps a trace.
    by : {"page", "function"}
        A row for each page, with what happened to it; or for each kernel function, with its events.
    """
    if by not in ("page", "function"):
        raise ValueError(f"by is {by!r}; it is 'page' or 'function'")
    events = last_events(kernel)
    start, end = events["time"].iloc[[0, -1]]
    unit, scale = ("ms", 1e6) if end - start > 1e6 else ("µs", 1e3)
    events = events.assign(time=(events["time"] - start) / scale)
    draw = _by_page if by == "page" else _by_function
    ax, text = draw(kernel.last, events, ax)
    passes = _draw_passes(ax, events)
    ax.set_xlabel(f"simulated time since {start / 1e6:.3f} ms, in {unit}")
    return ax, f"{text} over {(end - start) / scale:.3g} {unit} in {counted(passes, 'pass')}."


def last_events(kernel):
    """The events of the passes of the last migration, with their codes and arguments."""
    if kernel.last is None or not kernel.last.passes:
        last = repr(kernel.last) if kernel.last else "there was none"
        raise ValueError(f"kernel: no page has gone through a pass of migrate_pages() in the last migration: {last}")
    events = kernel.events()
    inside = events["pass"].notna()
    if not inside.any():
        raise ValueError("kernel: its trace holds no pass of a migration; make it with trace=True")
    end = events.loc[inside, "time"].iloc[-1]
    events = events[inside & (events["time"] >= end - kernel.last.elapsed)]
    ring = kernel.tables["event"]
    rows = ring[events.index.to_numpy() % len(ring)]
    events = events.assign(**{"pass": events["pass"].astype(int), "code": rows["code"], "arg": rows["arg"]})
    # The window may begin a little early, in the last pass of the migration before.
    begins = events.index[(events["code"] == trace.PASS) & (events["pass"] == 0)]
    return events.loc[begins[0] :] if len(begins) else events


def _draw_passes(ax, events):
    """Shade every other pass and number them above the axes, narrow neighbours with one text; how many there are.

    A pass lasts until the next one begins.
    """
    begins, end = events[events["code"] == trace.PASS], events["time"].iloc[-1]
    bands = list(zip(begins["pass"], begins["time"], [*begins["time"][1:], end], strict=True))
    for _, begin, until in bands[::2]:
        ax.axvspan(begin, until, color=LIGHT, alpha=0.45, zorder=0, linewidth=0)
    ax.set_title(ax.get_title("left"), loc="left", pad=20)  # room for the numbers
    options = {"va": "bottom", "fontsize": 8, "transform": ax.get_xaxis_transform()}
    for narrow, group in groupby(bands, lambda band: band[2] - band[1] < max(end, 1e-9) * 0.035):
        group = list(group)
        for part in [group] if narrow else [[band] for band in group]:
            (first, begin, _), (last, _, until) = part[0], part[-1]
            ax.text((begin + until) / 2, 1.01, f"{first}" + f"–{last}" * (last > first), ha="center", **options)
    ax.text(-0.01, 1.01, "pass", ha="right", va="bottom", fontsize=8, transform=ax.transAxes)
    return len(bands)


def _by_page(migration, events, ax):
    """A line for each page, from its first event to its last, with marks."""
    table = migration.pages.drop_duplicates("old_pfn")
    row = {pfn: i for i, pfn in enumerate(table["old_pfn"])}
    rows = []
    for code, page, new in zip(events["code"], events["page"], events["new_page"], strict=True):
        rows.append(row.get(page, -1) if code != trace.PUT_BACK else -1)
        if code == trace.REPLACED and page in row:
            row[new] = row[page]  # a page may move again, with the next pair of nodes
    events = events.assign(row=rows, turn=(events["code"] == trace.PASS).cumsum()).query("row >= 0")
    marked = events["code"].isin(set().union(*(wanted for *_, wanted in MARKS if wanted)))
    turn = ["row", "turn"]  # of a page, in one pass
    again = ~marked.groupby([events[c] for c in turn]).transform("any") & ~events.duplicated(turn, "last")
    count = len(table)
    ax = canvas(ax, 9.2, min(6.5, 2.2 + 0.055 * max(count, 24)), "Passes of the migration, page by page")
    lines = events.groupby("row")["time"].agg(["min", "max"])
    ax.hlines(lines.index, lines["min"], lines["max"], color=GREY, linewidth=0.6, zorder=1)
    size = float(np.clip(2400 / max(count, 1), 6, 30))
    done = []
    for label, marker, colour, wanted in MARKS:
        chosen = events[events["code"].isin(wanted) if wanted else again]
        if len(chosen):
            edge = {"edgecolors": BLACK, "linewidths": 0.5 if count < 300 else 0, "label": label, "zorder": 3}
            ax.scatter(chosen["time"], chosen["row"], size, colour, marker=marker, **edge)
            done.append(f"{label} {len(chosen):,}")
    names = table["task"].str.cat([f"{page:#x}" for page in table["page"]], " ").tolist()
    if (table["task"] == "").any():
        names = [f"frame {pfn}" for pfn in table["old_pfn"]]
    ax.yaxis.set_major_locator(MultipleLocator(2 ** max(0, int(np.ceil(np.log2(count / 10))))))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: names[int(y)] if 0 <= y < count and y == int(y) else ""))
    ax.set(ylim=(count - 0.2, -0.8), ylabel="page")
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, markerscale=1.6)
    return ax, f"Timeline of {counted(count, 'page')}: {sentence(done)},"


def _by_function(_migration, events, ax):
    """A row for each kernel function, with a stroke for each of its events."""
    names = list(dict.fromkeys(events["function"]))
    patch = events.groupby("function")["patch"].max()
    rows = events["function"].map(names.index).to_numpy()
    counts = np.bincount(rows)
    ax = canvas(ax, 9.2, 1.6 + 0.27 * max(4, len(names)), "Passes of the migration, function by function")
    ax.scatter(events["time"], rows, 90, BLACK, marker="|", linewidths=0.8, zorder=3)
    ax.hlines(range(len(names)), 0, events["time"].iloc[-1], color=LIGHT, linewidth=0.8, zorder=1)
    for y, count in enumerate(counts):
        ax.text(1.01, y, f"{count:,}", va="center", transform=ax.get_yaxis_transform())
    ax.text(1.01, 1.01, "events", va="bottom", fontsize=8, transform=ax.transAxes)
    ax.set_yticks(range(len(names)), [f"{n} ({patch[n]})" if patch[n] else n for n in names])
    ax.set(ylim=(len(names) - 0.4, -0.6), ylabel="kernel function (patch)")
    return ax, f"Timeline of {sentence(f'{n} {c:,}' for n, c in zip(names, counts, strict=True))} events,"
