"""A figure in a notebook has a text alternative."""

from html import unescape

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest

from mmsim import Kernel, Topology, plots
from mmsim.plots.picture import Picture

TOPOLOGY = Topology.uniform(nodes=2, frames=64)


def alt_of(picture):
    return unescape(picture._repr_html_().partition('alt="')[2].partition('"')[0])


def test_picture_says_what_the_figure_shows():
    ax = plots.residency(Kernel(TOPOLOGY))
    said = plots.describe(ax)
    picture = Picture(ax)
    assert repr(picture) == picture.alt == alt_of(picture) == said
    assert picture._repr_png_().startswith(b"\x89PNG")
    assert not plt.fignum_exists(ax.figure.number)  # else matplotlib would show it a second time


def test_alt_is_quoted():
    kernel = Kernel(TOPOLOGY)
    task = kernel.spawn('"><b>')
    task.touch(task.mmap(1), write=True)
    picture = Picture(plots.residency(kernel))
    assert '"><b>' in picture.alt
    assert alt_of(picture) == picture.alt
    assert "<b>" not in picture._repr_html_()


def test_a_figure_of_several():
    figure, (left, right) = plt.subplots(1, 2)
    plots.topology(Kernel(TOPOLOGY), ax=left)
    plots.zonelist(Kernel(TOPOLOGY), 1, ax=right)
    assert Picture(figure).alt == f"{plots.describe(left)} {plots.describe(right)}"


def test_a_figure_of_somebody_else_has_no_words():
    figure, ax = plt.subplots()
    with pytest.raises(ValueError, match="did not draw"):
        plots.describe(ax)
    plt.close(figure)
