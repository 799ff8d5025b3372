"""Pictures of the lessons: who refers to a frame, what moves, what it costs, what a kernel answers."""

import matplotlib

matplotlib.use("Agg")

import pandas as pd
import pytest

from mmsim import plots
from mmsim.experiments.configs import config_matrix
from mmsim.lessons import lesson00, lesson04, lesson09
from mmsim.plots.configs import ANSWERS
from mmsim.plots.picture import Picture
from mmsim.plots.references import UNKNOWN, holders


def letters(ax):
    return [text.get_text() for text in ax.texts]


def test_each_way_reaches_more_than_the_one_before():
    rows = lesson00.reach()
    moved = [sum(node == 3 for nodes in row.values() for node in nodes) for row in rows.values()]
    assert moved == [0, 4, 7, 12]
    said = Picture(plots.placements(rows)).alt
    assert "B: migrate_pages: heap of a 4 on node 3, 4 not as in the first row" in said
    assert "next page of a 1 on node 0; C: cpuset" in said


def test_squares_say_node_and_change_without_colour():
    ax = plots.placements({"before": {"heap": [0, None]}, "after": {"heap": [1, None]}}, "Two pages")
    assert letters(ax)[:4] == ["0", "–", "1•", "–"]
    assert plots.describe(ax) == ("Two pages. before: heap 1 on node 0, then 1 page without a frame; "
                                  "after: heap 1 on node 1, then 1 page without a frame, "
                                  "1 not as in the first row.")  # fmt: skip


def test_a_frame_says_who_refers_to_it():
    kernel, a, heap = lesson00.machine()
    a.migrate_pages(0, old=0, new=3)
    pinned = 6  # where page 5 of a is, and stays
    assert [(who, number) for who, number, _ in holders(kernel, pinned)] == [
        ("pte", 1), ("swap cache", 1), ("the migration itself", 1), ("somebody unknown", 1)]  # fmt: skip
    assert Picture(plots.references(kernel, pinned)).alt.endswith("The kernel expects 3, so it must not move.")
    kernel.unpin(a, heap[5])
    assert UNKNOWN not in [look for *_, look in holders(kernel, pinned)]
    assert "so it may move" in plots.describe(plots.references(kernel, pinned))


@pytest.mark.parametrize(("patches", "most", "end"), [((1, 3), 16, 16), ((1, 3, 4), 16, 0), ((1, 3, 4, 6), 1, 0)])
def test_slots_over_time(patches, most, end):
    table = lesson04.slots_over_time(patches, pages=16)
    assert (table["slots"].max(), table["slots"].iloc[-1]) == (most, end)
    assert table["time"].is_monotonic_increasing
    assert f"at most {most}, at the end {end}" in plots.describe(plots.slots({"these": table}))


def test_the_bill_has_each_number_of_the_table():
    bills = {"1, 3": lesson04.account((1, 3), pages=8), "7": lesson04.account(7, pages=8)}
    ax = plots.bill(bills)
    assert "1, 3: minor faults 8, protection faults 8, slots kept 8, swap writes 8; 7: minor" in plots.describe(ax)
    assert "no swap writes" in letters(ax)


def test_the_grid_of_kernels_has_each_answer():
    matrix = config_matrix(patches=(1,))
    ax = plots.config_grid(matrix)
    found = pd.concat([matrix[key] for key in "ABCD"])
    shown = letters(ax)
    assert shown.count(ANSWERS["-ENOSYS"].letter) == found.eq("-ENOSYS").sum() == 36
    assert shown.count("s") == found.str.endswith("swapped out").sum()
    assert shown.count("0") == 4, "kernels without the code"


def test_five_experiments_before_in_2005_and_today():
    before, then, today = lesson09.places(), lesson09.places("V1"), lesson09.places("6.12")
    assert list(before) == list(then) == list(today) == list(lesson09.SHORT)
    assert before["only read"] == [None] * 4
    assert (then["no swap"], today["no swap"]) == ([0] * 4, [1] * 4)
    assert (then["shared"], today["shared"]) == ([1] * 4, [0] * 4)


@pytest.mark.parametrize("draw", [plots.placements, plots.slots, plots.bill, plots.config_grid,
                                  lambda it: plots.references(it, 1)])  # fmt: skip
def test_something_else_is_refused_with_what_would_be_right(draw):
    with pytest.raises(TypeError, match="give"):
        draw(5)
