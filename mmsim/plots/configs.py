"""How much migration code the images of different kernels hold."""

from ..palette import BLACK, BLUE, LIGHT, WHITE, Look
from .style import box, canvas, drawing

LOOKS = {"without patch 1": Look(LIGHT, "", "//"), "with patch 1": Look(BLUE, "", "", WHITE)}


@drawing
def images(sizes, *, ax=None):
    """Functions of page migration in the images of some kernels, without and with patch 1.

    Parameters
    ----------
    sizes : DataFrame
        As `mmsim.configs.image_sizes` gives it.
    ax : Axes, optional
    """
    ax = canvas(ax, 7.2, 0.55 * len(sizes) + 1.1, "Functions of page migration in the kernel image")
    words = []
    for i, (machine, row) in enumerate(sizes.iterrows()):
        for j, (kernel, look) in enumerate(LOOKS.items()):
            y = i + (j - 0.5) * 0.36
            ax.barh(y, row[kernel], 0.34, label=kernel if i == 0 else f"_{kernel}", **box(look))
            ax.text(row[kernel] + 0.1, y, row[kernel], va="center", fontsize=9, color=BLACK)
        words.append(f"{machine} {row['without patch 1']} and {row['with patch 1']}")
    ax.set_yticks(range(len(sizes)), sizes.index)
    ax.invert_yaxis()
    ax.set_xlim(0, sizes.to_numpy().max() + 1)
    ax.set_xlabel("functions")
    ax.legend(loc="lower right")
    return ax, f"Functions of page migration in the kernel image, without and with patch 1: {'; '.join(words)}."
