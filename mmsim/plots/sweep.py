"""What a sweep found: as lines, or as a map of two parameters; where a move pays is marked."""

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from matplotlib.ticker import EngFormatter

from .palette import BLACK, DARK, GREY, LIGHT, WHITE
from ..whatif.report import FIGURES
from .style import bare, canvas, drawing

LINES = tuple(zip((BLACK, DARK, GREY) * 2, "osD^vP", ("-", "--", "-.", ":", "-", "--"), strict=True))


@drawing("table", "columns", "give the table that mmsim.sweep() returned")
def sweep(table, x=None, y="break_even", accesses=None, heat=None, *, ax=None):
    """One figure of a sweep against a parameter; the other parameters that vary make the lines, or the rows of a map.

    Parameters
    ----------
    table : DataFrame
        As `mmsim.sweep` gives it.
    x : str, optional
        A parameter; default: the last one that varies.
    y : str
        One of `mmsim.whatif.FIGURES`.
    accesses : float, optional
        How often the job will access each page after the move: what has paid for itself by then is marked.
    heat : bool, optional
        A map with the value in each cell, in place of lines; default: where there would be more than six lines.
    """
    x, others = parameters(table, x)
    if y not in FIGURES or y == "kernel" or y not in table:
        raise ValueError(f"y is {y!r}; it is a figure of the table, as 'break_even', 'migration_ns' or 'direct'")
    values, say = crossed(table, x, others, y), sayer(y)
    heat = len(values) > len(LINES) if heat is None else heat
    pays = crossed(table, x, others, "break_even") <= (np.inf if accesses is None else accesses)
    marked = "" if accesses is None else f"{'outlined' if heat else 'filled'}: pays within {accesses:g} accesses a page"
    title = FIGURES[y].partition(";")[0].capitalize()
    ax = canvas(ax, 7.2, 1.5 + 0.42 * len(values) if heat else 3.6, f"{title}\n{marked}".strip())
    if heat:
        draw_map(ax, values, pays & bool(marked), say)
    else:
        draw_lines(ax, values, pays & bool(marked), accesses if y == "break_even" else None)
        ax.yaxis.set_major_formatter(lambda value, _: say(value))
    ax.set_xticks(range(values.shape[1]), values.columns)
    ax.set_xlabel(x)
    cells = [f"{name}: {', '.join(f'{say(v)} at {c}' for c, v in row.items())}" for name, row in values.iterrows()]
    good = f"; {marked}: {int(pays.to_numpy().sum())} of {pays.size}" if marked else ""
    return ax, f"{title}, by {' and '.join([x, *others])}. {'; '.join(cells).removeprefix(': ')}{good}."


def parameters(table, x):
    """The parameter to draw against, and the others that vary."""
    known = list(table.columns[: next(i for i, name in enumerate(table.columns) if name in FIGURES)])
    varying = [name for name in known if table[name].astype(str).nunique() > 1] or known[:1]
    if x is not None and x not in known:
        raise ValueError(f"x is {x!r}; it is a parameter of the sweep: {', '.join(known)}")
    x = x or varying[-1]
    return x, [name for name in varying if name != x]


def crossed(table, x, others, figure):
    """A figure as a table in the order of the sweep: a row for each set of other values, a column for each of `x`."""
    table = table.astype(dict.fromkeys([x, *others], str))
    rows = [", ".join(f"{name.split('.')[-1]} {row[name]}" for name in others) for row in table.to_dict("records")]
    wide = table.assign(_row=rows).pivot(index="_row", columns=x, values=figure).astype(float)
    return wide.reindex(index=dict.fromkeys(rows), columns=table[x].unique())


def sayer(figure):
    """How a value of a figure is written: with its unit if it is a time; never; failed."""
    seconds = EngFormatter("s")

    def say(value):
        if not np.isfinite(value):
            return "failed" if np.isnan(value) else "never"
        if figure.endswith("_ns"):
            return seconds(float(f"{value * 1e-9:.3g}"))
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"

    return say


def draw_lines(ax, values, pays, accesses):
    """A line for each row; what is infinite stands above the axes."""
    finite = values.to_numpy()[np.isfinite(values)]
    if len(finite) and 0 < finite.min() < finite.max() / 50:
        ax.set_yscale("log")
    elif not len(finite) or finite.min() >= 0:
        ax.set_ylim(0, 1.1 * max(finite, default=0) or 1)
    for i, (name, row) in enumerate(values.iterrows()):
        colour, marker, line = LINES[i % len(LINES)]
        at = np.arange(values.shape[1]) + 0.04 * (i - (len(values) - 1) / 2)  # side by side, not one upon the other
        look = {"color": colour, "marker": marker, "markerfacecolor": WHITE}
        good, never = pays.loc[name].to_numpy(), np.isinf(row.to_numpy())
        ax.plot(at, row.where(np.isfinite(row)), **look, linestyle=line, label=name)
        ax.plot(at[good], row[good], **look | {"markerfacecolor": colour, "linestyle": "none"})
        ax.plot(at[never], np.full(never.sum(), 1.05), **look, linestyle="none", clip_on=False,
                transform=ax.get_xaxis_transform())  # fmt: skip
    if accesses is not None:
        ax.axhline(accesses, color=BLACK, linestyle=(0, (4, 3)), linewidth=1)
    if np.isinf(values.to_numpy()).any():
        ax.annotate("never", (-0.02, 1.05), xycoords="axes fraction", ha="right", va="center", fontsize=9)
        ax.set_title(ax.get_title(loc="left"), loc="left", pad=22)
    if len(values) > 1:
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)


def draw_map(ax, values, pays, say):
    """A cell for each value, the darker the larger; those that pay are outlined."""
    numbers = values.to_numpy()
    finite = numbers[np.isfinite(numbers)]
    low, span = min(finite, default=0), np.ptp(finite) if len(finite) else 0
    for (r, c), value in np.ndenumerate(numbers):
        depth = (value - low) / span * 0.6 if np.isfinite(value) and span else 0.0
        ground = {"facecolor": to_rgba(DARK, depth)} if np.isfinite(value) else {"facecolor": LIGHT, "hatch": ".."}
        ax.add_patch(Rectangle((c - 0.5, r - 0.5), 1, 1, edgecolor=WHITE, linewidth=2, **ground))
        plate = {"facecolor": LIGHT, "edgecolor": "none", "pad": 1.5} if not np.isfinite(value) else None
        ax.text(c, r, say(value), ha="center", va="center", bbox=plate, zorder=3)
        if pays.iloc[r, c]:
            ax.add_patch(Rectangle((c - 0.44, r - 0.4), 0.88, 0.8, fill=False, edgecolor=BLACK, linewidth=1.8))
    ax.set(xlim=(-0.5, numbers.shape[1] - 0.5), ylim=(numbers.shape[0] - 0.5, -0.5))
    bare(ax)
    ax.set_yticks(range(len(values)), values.index)
