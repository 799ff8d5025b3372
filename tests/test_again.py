"""Lessons are run again: all cells, then each of them once more from the last to the first, in the same kernel.

So goes a reader who returns to a cell after all others have run: it shows what it showed, and nothing fails.
"""

import copy

import nbformat
import pytest
from cells import FILES, code_cells, run, said


def twice(notebook):
    """A notebook whose code cells come again, in reverse."""
    again = copy.deepcopy(notebook)
    back = [copy.deepcopy(cell) for cell in reversed(code_cells(notebook))]
    for cell in back:
        cell.id = f"again-{cell.id}"
    again.cells = code_cells(again) + back
    return again


@pytest.mark.full
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_cell_shows_the_same_when_it_is_run_again(file):
    cells = run(twice(nbformat.read(file, as_version=4))).cells
    first, back = cells[: len(cells) // 2], cells[len(cells) // 2 :]
    differ = {cell.id: (said(cell), said(again)) for cell, again in zip(first, reversed(back), strict=True)
              if said(cell) != said(again)}  # fmt: skip
    assert differ == {}
