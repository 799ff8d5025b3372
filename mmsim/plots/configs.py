"""How much migration code the images of different kernels hold."""

import numpy as np

from ..machine.arguments import like
from .palette import DARK, LIGHT, WHITE, Look
from .style import box, canvas, drawing

LOOKS = {"without patch 1": Look(LIGHT, "", "//"), "with patch 1": Look(DARK, "", "", WHITE)}


@drawing
def images(sizes, *, ax=None):
    """Functions of page migration in the images of some kernels, without and with patch 1.

    Parameters
    ----------
    sizes : DataFrame
        As `mmsim.experiments.configs.image_sizes` gives it.
    ax : Axes, optional
    """
    like(sizes, "columns", "sizes", "give what mmsim.experiments.configs.image_sizes() returned")
    ax = canvas(ax, 7.2, 0.55 * len(sizes) + 1.1, "Functions of page migration in the kernel image")
    for down, (kernel, look) in zip((-0.18, 0.18), LOOKS.items(), strict=True):
        bars = ax.barh(np.arange(len(sizes)) + down, sizes[kernel], 0.34, label=kernel, **box(look))
        ax.bar_label(bars, padding=3, fontsize=9)
    ax.set_yticks(range(len(sizes)), sizes.index)
    ax.invert_yaxis()
    ax.set_xlim(0, sizes.to_numpy().max() + 1)
    ax.set_xlabel("functions")
    ax.legend(loc="lower right")
    words = "; ".join(f"{machine} {without} and {with_it}" for machine, without, with_it in sizes.itertuples())
    return ax, f"Functions of page migration in the kernel image, without and with patch 1: {words}."
