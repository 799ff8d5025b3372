"""One experiment on every kernel: what it gave, and which change made each difference."""

from itertools import groupby
from textwrap import fill, wrap

from matplotlib.patches import Rectangle

from ..experiments.history import said
from .palette import BLACK, DARK, LIGHT, WHITE, Look
from .style import bare, box, canvas, drawing, sentence

# What a fact is, in turn at each change: greys, as a value is none of the things that have colours.
LOOKS = (Look(WHITE, ""), Look(LIGHT, ""), Look("#b0b0b0", ""), Look("#ececec", ""))
NARROW, WIDE = 0.45, 3.0  # of a column in which nothing changes, and of one that begins with a change
LETTERS = 3.2  # that fit into a field that is 1 wide, beside a dozen columns
INCH = 0.4  # of a row


@drawing("told", "facts changed telling", "give what mmsim.history() returned")
def history(told, *, ax=None):
    """A row a fact, a column a release; where a fact changes, a new field begins, and below stands what changed it.

    Releases at which no fact changes are drawn narrow, without a name.  Facts that are 0 on all kernels are left out.

    Parameters
    ----------
    told : History
        As `mmsim.history` gives it.
    """
    facts, changed = told.facts.loc[told.telling], told.changed[told.changed["fact"].isin(told.telling)]
    borders = set(changed["release"])
    edges, names = columns(list(facts.columns), borders)
    causes = {release: list(dict.fromkeys(rows["change"])) for release, rows in changed.groupby("release", sort=False)}
    rows = len(facts)
    deepest = max((sum(len(c) for c in each) for each in causes.values()), default=0)
    height = INCH * rows + 1.5 + 0.055 * min(deepest, 45)
    ax = canvas(ax, 8.2, height, "What each kernel gives, and what made the difference")
    for y, fact in enumerate(facts.index):
        draw_row(ax, y, list(facts.loc[fact]), edges)
    for i, release in enumerate(facts.columns):
        if release in causes:
            ax.plot([edges[i]] * 2, [-0.5, rows - 0.3], color=BLACK, linewidth=2, clip_on=False)
            words = fill(" and ".join(causes[release]), 30, break_on_hyphens=False)
            ax.text(edges[i], rows - 0.2, words, rotation=35, ha="right", va="top", rotation_mode="anchor", fontsize=8)
    bare(ax)
    ax.set_yticks(range(rows), [fill(fact, 26) for fact in facts.index])
    ax.set(xlim=(0, edges[-1]), ylim=(rows - 0.3, -0.5))
    top = ax.secondary_xaxis("top")
    top.set_xticks([at for at, _ in names], [name for _, name in names], rotation=45, ha="left", fontsize=8)
    top.spines[:].set_visible(False)
    top.tick_params(length=2, pad=1)
    ax.title.set_position((0, 1))
    return ax, describe_it(facts, changed)


def columns(releases, borders):
    """The left edges of the columns, and the end of the last; [(x, name)] of those that are named."""
    edges, names = [0.0], []
    for release in releases:
        wide = release in borders or release in (releases[0], releases[-1])
        names += [(edges[-1] + 0.1, release)] * wide
        edges.append(edges[-1] + (WIDE if wide else NARROW))
    return edges, names


def draw_row(ax, y, values, edges):
    """The fields of one fact: as long as it stays what it is, one field."""
    start, looks = 0, {}
    for value, group in groupby(values, key=said):
        end = start + len(list(group))
        look = looks.setdefault(value, LOOKS[len(looks) % len(LOOKS)])
        left, right = edges[start], edges[end]
        ax.add_patch(Rectangle((left, y - 0.4), right - left, 0.8, **box(look, edgecolor=DARK)))
        words = wrap(value, max(6, round(LETTERS * (right - left))), max_lines=2, placeholder="...")
        ax.text(left + 0.3, y, "\n".join(words), va="center", fontsize=8, clip_on=True)
        start = end


def describe_it(facts, changed):
    """The figure in words."""
    first, last = facts.columns[0], facts.columns[-1]
    parts = []
    for fact in facts.index:
        steps = [f"{said(row.after)} from {row.release} on ({row.change})"
                 for row in changed[changed["fact"] == fact].itertuples()]  # fmt: skip
        parts.append(f"{fact}: {sentence([f'{said(facts.loc[fact].iloc[0])} in {first}', *steps])}")
    return f"What an experiment gives on each kernel from {first} to {last}. {'; '.join(parts)}."
