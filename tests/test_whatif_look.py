"""A sweep as a figure, and the widget that runs one."""

import asyncio
import base64
import io
import json
import re
from datetime import datetime

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from test_whatif import EXAMPLE

import mmsim
from mmsim import plots
from mmsim.plots.picture import Picture
from mmsim.whatif.scenario import SHIPPED
from mmsim.whatif.sweeps import text_of, values_of
from mmsim.widgets import Sweep

GRID = {"patches": [0, 5, 7], "swap": [0, 64]}


@pytest.fixture(autouse=True)
def no_figure_is_left():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def table():
    return mmsim.sweep(EXAMPLE, GRID, jobs=1, progress=False)


def line(ax, label):
    return next(one for one in ax.lines if one.get_label() == label)


def test_each_value_of_the_other_parameter_is_a_line(table):
    ax = plots.sweep(table, y="swap_written")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["patches 0", "patches 5", "patches 7"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0", "64"]
    assert line(ax, "patches 5").get_ydata().tolist() == [0, 64]
    assert line(ax, "patches 7").get_ydata().tolist() == [0, 0]


def test_what_never_pays_stands_above_the_axes(table):
    ax = plots.sweep(table)
    assert np.isnan(line(ax, "patches 7").get_ydata()[0])
    assert "never" in [text.get_text() for text in ax.texts]
    assert "patches 7: never at 0," in plots.describe(ax)


def test_where_the_move_pays_is_marked(table):
    even = table["break_even"]
    accesses = float(even[5] + 1)
    assert even[5] < even[3] < np.inf
    ax = plots.sweep(table, accesses=accesses)
    assert any(set(one.get_ydata()) == {accesses} for one in ax.lines)
    assert "pays within" in ax.get_title(loc="left")
    assert plots.describe(ax).endswith("a page: 1 of 6.")
    outlined = [patch for patch in plots.sweep(table, accesses=accesses, heat=True).patches if not patch.get_fill()]
    assert len(outlined) == 1


def test_a_map_has_every_value_in_its_cell(table):
    ax = plots.sweep(table, y="direct", x="patches", heat=True)
    assert {text.get_position(): text.get_text() for text in ax.texts} == {
        (0, 0): "0", (1, 0): "0", (2, 0): "0", (0, 1): "0", (1, 1): "0", (2, 1): "64",
    }  # fmt: skip


def test_many_lines_become_a_map():
    many = mmsim.sweep(EXAMPLE, {"pages": list(range(1, 9)), "patches": [0, 7]}, jobs=1, progress=False)
    assert len(plots.sweep(many).texts) == 16
    assert plots.sweep(many, x="pages").get_legend()


def test_one_parameter_and_one_point():
    one = mmsim.sweep(EXAMPLE, {"pages": [8, 0]}, jobs=1, progress=False)
    assert "8: " not in plots.describe(plots.sweep(one, y="direct"))
    assert "8 at 8, failed at 0" in plots.describe(plots.sweep(one, y="direct"))
    assert plots.sweep(one[:1]).lines


def test_wrong_arguments_say_what_is_right(table):
    with pytest.raises(ValueError, match="x is 'patch'; it is a parameter of the sweep: patches, swap"):
        plots.sweep(table, x="patch")
    with pytest.raises(ValueError, match="y is 'brake'; it is a figure of the table"):
        plots.sweep(table, y="brake")


# -- the widget


def test_the_fields_are_the_grid_and_run_fills_figure_and_table(table):
    widget = Sweep(EXAMPLE, GRID, jobs=1)
    assert widget.grid == GRID
    assert widget.picture.value == ""
    widget.start.click()
    assert widget.table.equals(table)
    assert f'alt="{Picture(plots.sweep(table, accesses=100)).alt}"' in widget.picture.value
    assert widget.rows.value.count("<tr>") == 6
    assert "6 points, 0 failed" in widget.line.value
    assert (widget.start.disabled, widget.stop.disabled) == (False, True)


def test_other_values_and_another_figure():
    widget = Sweep(EXAMPLE, GRID, jobs=1)
    widget.fields["patches"].value = "7, 9, [1, 3]"
    widget.fields["swap"].value = "64"
    widget.run()
    assert "3 points, 1 failed" in widget.line.value
    assert "there is no patch 9" in widget.rows.value
    widget.y.value = "swapped out"
    widget.kind.value = "map"
    assert "64 at [1, 3]" in widget.picture.value
    assert "<th>swapped out</th>" in widget.rows.value


def test_the_slider_says_how_often_a_page_is_accessed():
    widget = Sweep(EXAMPLE, GRID, jobs=1)
    widget.run()
    pays = []
    for widget.accesses.value in (0, 3, 6, 17):
        pays.append(int(widget.line.value.partition("pays in ")[2].split()[0]))
        assert f"at {widget.accesses.said} accesses" in widget.line.value
    assert pays == sorted(pays)
    assert pays[0] == 0 < pays[-1]


def test_a_wrong_value_is_said_and_nothing_runs():
    widget = Sweep(EXAMPLE, GRID, jobs=1)
    widget.fields["swap"].value = ""
    widget.run()
    assert "at least one value each" in widget.line.value
    assert widget.table is None


def test_cancel_keeps_the_rows_that_are_there():
    widget = Sweep(EXAMPLE, {"pages": list(range(1, 40))}, jobs=1)

    async def press():
        widget.start.click()
        assert (widget.start.disabled, widget.stop.disabled) == (True, False)
        while "3 of 39" not in widget.line.value:
            await asyncio.sleep(0)
        widget.stop.click()
        await widget.task

    asyncio.run(press())
    assert 3 <= len(widget.table) < 39
    assert "Cancelled: " in widget.line.value
    assert widget.start.disabled is False
    widget.run()
    assert len(widget.table) == 39


def test_it_can_be_read_as_text():
    widget = Sweep("low-swap", {"kernel.patches": [4, 7], "scale": "1/4096"}, jobs=1)
    assert "not run yet" in repr(widget)
    widget.run()
    text = widget._repr_mimebundle_()["text/plain"]
    assert "far less swap" in text
    assert "kernel.patches" in text


def test_another_scenario_can_be_chosen_and_comes_small():
    widget = Sweep(EXAMPLE, GRID, jobs=1)
    assert widget.choice.options[0] == "worked example"
    widget.choice.value = "Little swap"
    assert "far less swap" in widget.about.value
    assert widget.grid["scale"] == ["1/1024"]
    assert widget.grid["kernel.patches"] == [0, 4, 5, 6, 7]
    assert [box.description for box in widget.boxes.children] == list(widget.fields)
    widget.choice.value = "worked example"
    assert list(widget.fields) == list(EXAMPLE.grid)
    assert Sweep("low-swap", jobs=1).choice.value == "Little swap"


def test_node_lists_survive_the_fields():
    widget = Sweep("interleaved-to-fewer-nodes", {"trigger.migrate_pages.new": ["0-1", "0,3"], "scale": ["1/4096"]}, 1)
    assert widget.fields["trigger.migrate_pages.new"].value == '"0-1", "0,3"'
    widget.run()
    assert widget.table["trigger.migrate_pages.new"].tolist() == ["0-1", "0,3"]
    assert (widget.table["error"] == "").all()


@pytest.mark.parametrize("values", [["0,3", 1], ["a", "0-1"], [[1, 3], 7], ["1 GB", "2 GB"], [0.5, 1], [True], ["V1"]])
def test_what_a_field_shows_means_what_it_was_made_from(values):
    assert values_of(text_of(values)) == values


def test_a_file_can_be_uploaded():
    widget = Sweep(EXAMPLE, GRID, jobs=1)
    text = (SHIPPED / "low-swap.toml").read_text().replace("Little swap", "Mine")
    widget.upload.value = ({"name": "mine.toml", "type": "", "size": len(text), "content": memoryview(text.encode()),
                            "last_modified": datetime.now()},)  # fmt: skip
    assert "<b>Mine.</b>" in widget.about.value
    assert widget.choice.value == "Mine (mine.toml)"
    wrong = text.replace("patches = 7", "patches = 9")
    widget.upload.value = ({"name": "bad.toml", "type": "", "size": 9, "content": memoryview(wrong.encode()),
                            "last_modified": datetime.now()},)  # fmt: skip
    assert "bad.toml: kernel.patches is 9" in widget.line.value
    assert "<b>Mine.</b>" in widget.about.value


def test_an_error_of_many_points_is_said_once():
    widget = Sweep(EXAMPLE, {"patches": [7, 9], "pages": [8, 16, 24]}, jobs=1)
    widget.run()
    assert widget.rows.value.count("there is no patch 9") == 1
    assert "(3 of 6 points)" in widget.rows.value
    widget.fields["patches"].value = "9"
    widget.run()
    assert widget.picture.value == widget.files.value == ""  # nothing could be seen there
    assert widget.rows.value.count("there is no patch 9") == 1


def test_what_was_found_can_be_saved():
    widget = Sweep(EXAMPLE, GRID, jobs=1)
    assert widget.files.value == ""
    widget.run()
    found = dict(re.findall(r'download="sweep\.(\w+)" href="data:[^,]+,([^"]+)"', widget.files.value))
    data = {kind: base64.b64decode(text) for kind, text in found.items()}
    assert pd.read_csv(io.BytesIO(data["csv"]))["direct"].tolist() == widget.table["direct"].tolist()
    assert [row["direct"] for row in json.loads(data["json"])] == widget.table["direct"].tolist()
    assert data["png"].startswith(b"\x89PNG")


def test_the_answer_in_full_is_that_of_the_command():
    widget = Sweep("drain-a-node", {"kernel.release": ["6.1"], "scale": ["1/4096"]}, jobs=1)
    widget.full.click()
    assert "asked    Linux 6.1, modelled" in widget.rows.value
    assert "page cache that nobody maps" in widget.rows.value
    widget.fields["scale"].value = "2"
    widget.fields["kernel.release"].value = "6.99"
    widget.full.click()
    assert "the nearest that the model knows is 6.12" in widget.line.value
    assert widget.rows.value == ""
