"""One picture of a whole migration, page by pass, as a figure, as a table and in the lab."""

import re

import pytest

from mmsim import Kernel, Topology, plots
from mmsim.widgets import MigrationLab


@pytest.fixture
def lab():
    lab = MigrationLab()
    lab.controls["layout"].value = "files of four file systems, dirty"
    for tool, page in (("pin", 2), ("lock", 20)):
        lab.place(tool, page)
    return lab


def test_each_page_in_each_pass(lab):
    table = plots.passes_table(lab.kernel)
    assert list(table)[:-2] == [f"pass {n}" for n in range(lab.migration.passes)]
    assert table.loc["page 2 of a"].tolist()[:11] == ["P"] * 11
    assert table.loc["page 20 of a"].tolist()[:5] == ["L", "L", "L", "x", ""]
    assert table.loc["page 6 of a"].tolist()[:3] == ["W", "w", ""]
    assert table["path"].value_counts().to_dict() == {k: v for k, v in lab.migration.paths.items() if v}
    assert table.loc["page 2 of a", "reason"].startswith("pinned")


def test_the_figure_says_the_same(lab):
    said = plots.describe(plots.passes(lab.kernel))
    assert said.startswith("24 pages in 11 passes, a letter a state: locked by someone 3, being written 8")
    assert "unknown references 11" in said


def test_the_lab_shows_the_same(lab):
    assert lab._passes.layout.display == "none"
    lab.controls["Passes"].click()
    assert lab._passes.layout.display is None
    table, html = plots.passes_table(lab.kernel), lab._passes.value
    for page, row in table.iterrows():
        cells = re.search(f"<tr><th>{page}</th>(.*?)</tr>", html)[1]
        assert re.findall(r"<td[^>]*>(.?)</td>", cells) == row.tolist()[:-2]


def test_without_a_migration_there_is_nothing_to_draw():
    with pytest.raises(ValueError, match="no page has gone through a pass"):
        plots.passes(Kernel(Topology.uniform(2, 64)))
