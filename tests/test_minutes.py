"""A lesson takes a class hour: no more words and cells before its exercises than docs/minutes.py says."""

import runpy
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

MINUTES = runpy.run_path(Path(__file__).parents[1] / "docs/minutes.py")
measure = MINUTES["measure"]


@pytest.mark.parametrize("file", MINUTES["LESSONS"], ids=lambda file: file.stem)
def test_a_lesson_fits_into_a_class_hour(file):
    long = measure(nbformat.read(file, as_version=4))
    assert long["plan"] == (20 if file.stem == "10-your-kernel" else 50)
    assert long["words"] <= MINUTES["WORDS"]
    assert long["cells"] <= MINUTES["CELLS"]
    assert long["estimate"] <= 50


def test_what_is_folded_or_comes_later_is_not_counted():
    plan = "<details>\n\n| minutes | station |\n| --: | --- |\n| 20 | one |\n| 30 | two |\n</details>"
    cells = [new_markdown_cell(f"# Title of four words\n{plan}"), new_code_cell("1"), new_markdown_cell("two `words`"),
             new_code_cell("assert 1", metadata={"tags": ["assert"]}), new_markdown_cell("## 8. Exercises\nmany words"),
             new_code_cell("2")]  # fmt: skip
    assert measure(new_notebook(cells=cells)) == {"plan": 50, "estimate": 2, "words": 6, "cells": 1}


def test_the_command_prints_a_line_a_lesson(capsys):
    MINUTES["main"]()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(MINUTES["LESSONS"]) + 2
    assert lines[-1].split() == ["at", "most", "50", "50", "1,600", "18"]
