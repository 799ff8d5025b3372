"""A race as a sequence diagram: one lane an actor, time runs downwards."""

from textwrap import wrap

from matplotlib.patches import FancyBboxPatch

from ..terms.arguments import like
from .palette import DARK, TASKS
from ..race.view import WAITS, lanes
from .style import bare, canvas, drawing

LINE = 0.52  # height of a line of text
LETTERS = 36  # of a line in a lane


@drawing()
def race(schedule, title=None, *, ax=None):
    """Who does what when, who waits meanwhile, and what comes of it.

    Parameters
    ----------
    schedule : Schedule or Race
        A Schedule is replayed to its end; a Race is drawn as far as it went.
    title : str, optional
    """
    right = "give a Race, or what explore() found"
    running, table = like(getattr(schedule, "race", schedule), "history", "schedule", right), lanes(schedule)
    outcome, bad = running.outcome()
    patch = "with" if running.kernel.k.patch[2] else "without"
    title = title or f"{' against '.join(table.columns)}, {patch} patch 2"
    rows = [[wrap(cell, LETTERS) for cell in row] for row in table.itertuples(index=False, name=None)]
    heights = [LINE * max(len(lines) for lines in row) + 0.55 for row in rows]
    said = f"{'✗ bad' if bad else '✓ good'}: {outcome.removeprefix('good: ')}" if outcome else "the race is on"
    end = wrap(said, int(LETTERS * 0.9) * len(table.columns))
    total = sum(heights) + LINE * len(end) + 2
    ax = canvas(ax, 2.75 * len(table.columns) + 0.4, 0.27 * total + 0.4, title)
    bare(ax)
    for x, name in enumerate(table.columns):
        ax.text(x, 0.2, name, weight="bold", ha="center", va="bottom", fontsize=10)
        ax.plot([x, x], [-0.1, -sum(heights) - 0.2], color=DARK, linewidth=0.8, zorder=0)
    y, story = -0.25, []
    for step, (row, height) in enumerate(zip(rows, heights, strict=True), 1):
        ax.text(-0.53, y - height / 2, step, ha="right", va="center", fontsize=8)
        for x, lines in enumerate(row):
            if lines == [WAITS]:
                ax.plot([x, x], [y, y - height], color=DARK, linewidth=5, linestyle=(0, (0.4, 0.5)))
                ax.text(x + 0.04, y - height / 2, WAITS, style="italic", fontsize=8, va="center")
            elif lines:
                look = TASKS[x % len(TASKS)]
                ax.add_patch(FancyBboxPatch(
                    (x - 0.47, y - height + 0.1), 0.94, height - 0.2, boxstyle="round,pad=0,rounding_size=0.05",
                    facecolor="white", edgecolor=look.colour, linewidth=2,
                ))  # fmt: skip
                ax.text(x, y - height / 2, "\n".join(lines), ha="center", va="center", fontsize=7.5)
                story.append(f"{step}. {table.columns[x]}: {' '.join(lines)}.")
        y -= height
    ax.text((len(table.columns) - 1) / 2, y - 0.5, "\n".join(end), ha="center", va="top", fontsize=9, weight="bold",
            bbox={"facecolor": "white", "edgecolor": DARK, "linewidth": 2.5 if bad else 1, "pad": 4})  # fmt: skip
    ax.set(xlim=(-0.6, len(table.columns) - 0.48), ylim=(y - 1.0 - LINE * len(end), 1.1))
    return ax, f"{title}. {' '.join(story)} {' '.join(end)}."
