"""How much migration code the images of different kernels hold, and what these kernels answer."""

from matplotlib.patches import Rectangle

from ..experiments.configs import OPTIONS
from .palette import DARK, LIGHT, PATHS, WHITE, Look
from .style import bare, box, canvas, drawing, legend, sentence, write

LOOKS = {"without patch 1": Look(LIGHT, "", "//"), "with patch 1": Look(DARK, "", "", WHITE)}


@drawing("sizes", "columns", "give what mmsim.experiments.configs.image_sizes() returned")
def images(sizes, *, ax=None):
    """Functions of page migration in the images of some kernels, without and with patch 1.

    Parameters
    ----------
    sizes : DataFrame
        As `mmsim.experiments.configs.image_sizes` gives it.
    """
    ax = canvas(ax, 7.2, 0.55 * len(sizes) + 1.1, "Functions of page migration in the kernel image")
    for down, (kernel, look) in zip((-0.18, 0.18), LOOKS.items(), strict=True):
        bars = ax.barh([y + down for y in range(len(sizes))], sizes[kernel], 0.34, label=kernel, **box(look))
        ax.bar_label(bars, padding=3, fontsize=9)
    ax.set_yticks(range(len(sizes)), sizes.index)
    ax.invert_yaxis()
    ax.set(xlim=(0, sizes.to_numpy().max() + 1), xlabel="functions")
    ax.legend(loc="lower right")
    words = "; ".join(f"{machine} {without} and {with_it}" for machine, without, with_it in sizes.itertuples())
    return ax, f"Functions of page migration in the kernel image, without and with patch 1: {words}."


# What a trigger answers, by the end of it: the first that fits.
ANSWERS = {
    "swapped out": PATHS["swapped out"],
    "none moved": PATHS["retries exhausted"]._replace(letter="n"),
    "moved": PATHS["direct"],
    "BUG()": PATHS["failed for good"],
    "-ENOSYS": Look(WHITE, "–"),
}
MODELS = ("NUMA", "SPARSEMEM", "DISCONTIGMEM")  # a row for each combination of these, a column for each of the others


@drawing("matrix", "columns", "give what mmsim.experiments.configs.config_matrix() returned")
def config_grid(matrix, *, ax=None):
    """All configurations as a grid: of each the functions in its image, and what the triggers A to D answer.

    Parameters
    ----------
    matrix : DataFrame
        As `mmsim.experiments.configs.config_matrix` gives it.
    """
    rest = [name for name in OPTIONS if name not in MODELS]
    found = (matrix[list(names)].to_numpy().tolist() for names in (MODELS, rest))
    rows, columns = (list(dict.fromkeys(map(tuple, each))) for each in found)
    title = f"{len(matrix)} kernels: functions in the image, and the answers of A to D"
    ax = canvas(ax, 8.2, 0.9 + 0.36 * len(rows), title)
    ax.set_title(title, loc="left", pad=24)  # room for the options
    bare(ax)
    seen = {}
    for row in matrix.to_dict("records"):
        y, x = rows.index(tuple(row[n] for n in MODELS)), columns.index(tuple(row[n] for n in rest)) * 6
        ax.text(x + 0.5, y + 0.5, row["symbols"], ha="center", va="center", fontweight="bold")
        for i, key in enumerate("ABCD", 1):
            kind = next(kind for kind in ANSWERS if row[key].endswith(kind))
            seen[kind] = seen.get(kind, 0) + 1
            ax.add_patch(Rectangle((x + i + 0.05, y + 0.1), 0.9, 0.8, **box(ANSWERS[kind], linewidth=0.6)))
            write(ax, x + i + 0.5, y + 0.5, ANSWERS[kind].letter, ANSWERS[kind], fontsize=8)
    ax.set_yticks([y + 0.5 for y in range(len(rows))], [on(MODELS, row) for row in rows], fontsize=8)
    for x, column in enumerate(columns):
        ax.text(6 * x + 0.5, -0.75, on(rest, column), fontsize=8, va="bottom")
        for i, key in enumerate("ABCD", 1):
            ax.text(6 * x + i + 0.5, -0.1, key, ha="center", va="bottom", fontsize=8)
    ax.set(xlim=(0, 6 * len(columns) - 1), ylim=(len(rows), -0.7))
    legend(ax, {kind: ANSWERS[kind] for kind in ANSWERS if kind in seen}, ncols=5, loc="upper left",
           bbox_to_anchor=(0, -0.02))  # fmt: skip
    without = int((matrix["symbols"] == 0).sum())
    counts = sentence(f"{kind} {number}" for kind, number in seen.items())
    return ax, (f"{len(matrix)} kernels, of which {without} have no function of page migration in the image. "
                f"Answers of the four triggers: {counts}.")  # fmt: skip


def on(names, switches):
    """The options that are y, in words."""
    return " ".join(name for name, switch in zip(names, switches, strict=True) if switch) or "none of them"
