"""A figure as notebooks should show it: as an image that has a text alternative, which JupyterLab gives to no other."""

from base64 import b64encode
from html import escape
from io import BytesIO

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from .style import describe

SHOWN, STORED = 96, 192  # pixels an inch: an inch of CSS; twice that, to be sharp on a projector and in print


class Picture:
    """A figure of `mmsim.plots`, finished; let it be the last line of a cell.

    Parameters
    ----------
    ax : Axes or Figure
        What a plot function returned, or the figure that holds several. It is closed.

    Attributes
    ----------
    alt : str
        What the figure says, in words and numbers.
    """

    def __init__(self, ax):
        figure = ax if isinstance(ax, Figure) else ax.figure
        self.alt = describe(figure)
        data = BytesIO()
        figure.savefig(data, format="png", dpi=STORED, bbox_inches="tight")
        self._png = data.getvalue()
        self._width = int.from_bytes(self._png[16:20]) * SHOWN // STORED  # the header of a PNG holds its width
        plt.close(figure)

    def __repr__(self):
        return self.alt

    def _repr_png_(self):
        return self._png

    def _repr_html_(self):
        source = f"data:image/png;base64,{b64encode(self._png).decode()}"
        return f'<img src="{source}" width="{self._width}" style="height: auto" alt="{escape(self.alt)}">'
