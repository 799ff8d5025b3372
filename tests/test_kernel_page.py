"""docs/kernel.md is a true table of mmsim.mm."""

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
MADE = runpy.run_path(str(DOCS / "kernel.py"))
MODULES, functions = MADE["MODULES"], MADE["functions"]


def test_the_page_is_that_of_the_source():
    assert MADE["page"]() == (DOCS / "kernel.md").read_text(), "run python docs/kernel.py"


def test_every_module_is_in_the_table():
    assert {*MODULES} == {path.stem for path in MADE["MM"].glob("*.py")} - {"__init__"}


@pytest.mark.parametrize("name", MODULES)
def test_what_has_another_name_exists(name):
    module = MODULES[name]
    assert {*module.named} <= {*functions(name)}
    assert all(ours != kernel for ours, kernel in module.named.items())
    assert module.file
    assert module.lacks
