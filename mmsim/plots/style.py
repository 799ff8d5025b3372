"""What all figures have in common: one style, a sentence for each, and labels that fit."""

import functools
import inspect
import weakref

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..terms.arguments import like
from .palette import BLACK, DARK, LIGHT, WHITE

# White paper whatever the reader's theme, so that colours and contrasts are those that were looked at.
STYLE = {
    "figure.facecolor": WHITE, "axes.facecolor": WHITE, "savefig.facecolor": "auto",
    "text.color": BLACK, "axes.labelcolor": BLACK, "axes.titlecolor": BLACK, "axes.edgecolor": DARK,
    "xtick.color": DARK, "ytick.color": DARK, "xtick.labelcolor": BLACK, "ytick.labelcolor": BLACK,
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9,
    "axes.titlesize": 11, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.titlepad": 10,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": False,
    "hatch.linewidth": 0.5, "patch.linewidth": 0.8, "patch.edgecolor": DARK,
    "legend.fontsize": 9, "legend.frameon": True, "legend.facecolor": WHITE, "legend.edgecolor": LIGHT,
    "legend.framealpha": 1, "legend.labelcolor": BLACK,
    "figure.constrained_layout.w_pad": 0.08, "figure.constrained_layout.h_pad": 0.08,
}  # fmt: skip

AX = "\nax : Axes, optional\n    Where to draw; default: on a figure of its own."  # of the parameters of every figure
_descriptions = weakref.WeakKeyDictionary()


def drawing(name="", attributes="", right=""):
    """Decorate a function that returns (Axes, description): draw in STYLE, keep the description, return the Axes.

    The argument `name` must have some attributes, as for `like`.  The last parameter, `ax`, is described here.
    """

    def decorate(function):
        signature = inspect.signature(function)

        @functools.wraps(function)
        def draw(*args, **options):
            if name:
                like(signature.bind(*args, **options).arguments[name], attributes, name, right)
            with plt.rc_context(STYLE):
                ax, text = function(*args, **options)
            _descriptions[ax] = text
            return ax

        draw.__doc__ = inspect.getdoc(function) + AX
        return draw

    return decorate


def describe(ax):
    """What a figure of this package shows, in words and numbers: its text alternative.

    Parameters
    ----------
    ax : Axes or Figure
        What a plot function returned; or a figure that holds several.
    """
    if isinstance(ax, Figure):
        return " ".join(_descriptions[a] for a in ax.axes if a in _descriptions)
    if ax not in _descriptions:
        raise ValueError("mmsim.plots did not draw on these axes; give what one of its functions returned")
    return _descriptions[ax]


def canvas(ax, width, height, title):
    """The Axes to draw on: `ax`, or those of a new figure of so many inches.

    Legends stand beside the axes, so a figure without a layout engine is given one that leaves room.
    """
    if ax is None:
        ax = plt.subplots(figsize=(width, height), layout="constrained")[1]
    elif isinstance(ax.figure, Figure) and ax.figure.get_layout_engine() is None:
        ax.figure.set_layout_engine("constrained")
    ax.set_title(title, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def zoom(ax, width):
    """How much smaller letters must be than on axes of so many inches."""
    return min(1.0, ax.get_window_extent().width / ax.figure.dpi / width)


def bare(ax):
    """No frame, no ticks: for graphs; a label that is set afterwards has no tick either."""
    ax.set(xticks=[], yticks=[])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def box(look, **options):
    """The keywords of a patch that has this look."""
    return {"facecolor": look.colour, "hatch": look.hatch, "edgecolor": DARK, "linewidth": 0.8} | options


def legend(ax, looks, extra=(), **options):
    """A legend beside the axes: {text: Look}, with the letter of each."""
    handles = [Patch(label=f"{look.letter}  {text}", **box(look)) for text, look in looks.items()]
    options = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "borderaxespad": 0, "handleheight": 1.2} | options
    return ax.legend(handles=[*handles, *extra], **options)


def write(ax, x, y, text, look, pad=0.8, **options):
    """Write upon something that has this look; a plain ground keeps its hatch away from the letters."""
    ground = {"facecolor": look.colour, "edgecolor": "none", "pad": pad} if look.hatch else None
    return ax.text(x, y, text, **{"color": look.ink, "ha": "center", "va": "center", "bbox": ground} | options)


def label_bars(ax, bars, counts, look):
    """Write letter and count upon each bar that is not empty: [(text, bar)]."""
    return [
        (write(ax, *bar.get_center(), f"{look.letter} {count:,}", look), bar)
        for bar, count in zip(bars, counts, strict=True) if count
    ]  # fmt: skip


def hide_cramped(ax, labels):
    """Hide each text that is larger than what it is written upon: [(text, patch)]."""
    ax.figure.draw_without_rendering()
    for text, patch in labels:
        inner, outer = text.get_window_extent(), patch.get_window_extent()
        text.set_visible(inner.width < outer.width and inner.height < outer.height)


def sentence(parts):
    """'a', 'a and b', 'a, b and c'."""
    *head, last = list(parts) or ["nothing"]
    return f"{', '.join(head)} and {last}" if head else last
