"""What `make bench` measures, and the page that is made of it; nothing is timed here."""

import json
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
GOALS = {  # {topic: {(goal, unit)}}
    "compiled": {(8, "x the floor"), (4, "x the floor"), (1.25, "x as long a page")},
    "starts": {(5, "s"), (0.5, "s")},
    "interpreted": {(15, "us a page"), (30, "us a page")},
    "browser": {(40, "ms"), (80, "ms"), (0.4, "s")},
    "many": {(0.55, "x as long"), (1.15, "x as long"), (5, "s"), (1000, "a second")},
    "fresh": {(90, "s")},
    "quick_suite": {(180, "s")},
    "long_suite": {(600, "s")},
}


@pytest.fixture
def benchmarks(monkeypatch):
    """Makes the modules of benchmarks/ importable."""
    monkeypatch.syspath_prepend(DOCS.parent / "benchmarks")


@pytest.fixture
def rows(benchmarks):
    """What was measured last: {topic: [Row]}."""
    import bench

    return bench.table(json.loads((DOCS / "speed.json").read_text()))


def test_every_goal_has_its_row(rows):
    for topic, goals in GOALS.items():
        assert goals <= {(row.goal, row.unit) for row in rows.get(topic, [])}, topic


def test_every_row_says_what_it_is_and_in_which_unit(rows):
    every = [row for of_topic in rows.values() for row in of_topic]
    assert len({row.what for row in every}) == len(every)
    for row in every:
        assert row.unit
        assert row.figure is not None or "not measured" in row.note


def test_the_page_has_the_figures_that_were_kept(benchmarks):
    made, readme = runpy.run_path(str(DOCS / "speed.py")), (DOCS.parent / "README.md").read_text()
    assert made["page"]() == (DOCS / "speed.md").read_text(), "docs/speed.json has other figures: python docs/speed.py"
    assert made["readme"](readme) == readme, "docs/speed.json has other figures: python docs/speed.py"


@pytest.mark.parametrize(("figure", "least", "ratio", "holds"), [
    (6, False, 0.75, "yes"), (8, False, 1, "yes"), (12, False, 1.5, "no"), (16, True, 0.5, "yes"), (4, True, 2, "no"),
])  # fmt: skip
def test_a_ratio_says_how_much_of_the_goal_is_taken(benchmarks, figure, least, ratio, holds):
    from rows import Row

    row = Row("x", figure, "s", 8, least)
    assert (row.ratio, row.holds) == (ratio, holds)


@pytest.mark.parametrize("compiled", [False, True])
def test_each_case_of_the_benchmark_is_what_its_name_says(benchmarks, compiled):
    from compiled import CASES, measure

    paths = {name: measure(name, 512, 1, compiled)["path"] for name in CASES}
    assert paths == {
        "direct, anonymous": "direct", "eviction, no patch": "swapped out",
        "direct, file with buffers": "direct with buffers", "direct, shared by fork": "direct",
        "direct, half-full target": "direct",
    }  # fmt: skip


def test_a_topic_gives_its_rows_and_the_table_prints_them(benchmarks, capsys):
    import bench

    kept = bench.measure("growth", small=True)
    assert len(bench.table({"growth": kept})["growth"]) == len(kept["rows"]) == 6
    assert capsys.readouterr().out.count("≤\N{NO-BREAK SPACE}2.5 ") == 6
