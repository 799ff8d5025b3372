"""make student: the copies run, tell no solution, and wait for answers; each exercise has a solution that is tried.

And whoever returns to a cell after all others have run sees what it showed.
"""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from cells import FILES, code_cells, said, tagged

from mmsim.lessons import ask, teaching

ROOT = Path(__file__).parents[1]
QUESTION = re.compile(r"\bcheck\((\w+\.\w+),")


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def file(request):
    return request.param


@pytest.fixture
def pair(file, copies):
    """A notebook and its copy."""
    return nbformat.read(file, as_version=4), nbformat.read(copies / file.name, as_version=4)


def test_nothing_is_lost_but_solutions_and_checks(pair):
    source, copy = pair
    hidden = {cell.id for cell in tagged(source, "solution", "assert")}
    kept = [(cell.id, cell.source) for cell in source.cells if cell.id not in hidden]
    assert [(cell.id, cell.source) for cell in copy.cells if cell.id != "for-students"] == kept
    assert "solutions" in copy.cells[1].source
    nbformat.validate(copy)


def test_no_copy_tells_an_answer(pair):
    source, copy = pair
    text = "\n".join(cell.source for cell in copy.cells)
    assert not re.search(r"\breveal\((?!, )", re.sub(r"^from mmsim\.lessons import .*", "", text, flags=re.MULTILINE))
    assert "<b>Answer</b>" not in text
    lines = {line for cell in tagged(source, "solution") for line in cell.source.splitlines() if "assert " in line}
    assert [line for line in lines if line in text] == []


def test_each_exercise_has_a_solution_that_is_tried(pair):
    """The solutions assert that the check accepts them, and nbmake runs them."""
    source, _ = pair
    asked = {name for cell in tagged(source, "exercise") for name in QUESTION.findall(cell.source)}
    solved = {name for cell in tagged(source, "solution") for name in re.findall(r"assert check\((\S+?),", cell.source)}
    assert asked == solved


@pytest.mark.full
def test_the_copies_run_and_wait_for_answers(file, copy_run):
    for cell in tagged(copy_run(file)[0], "exercise"):
        waits = re.search(r"^(\w+ = |    |    return )\.\.\.$", cell.source, re.MULTILINE)  # others: what to repair
        assert ("No answer yet" if waits else "not yet") in said(cell).replace("Not yet", "not yet"), cell.id


@pytest.mark.full
def test_each_cell_shows_the_same_when_it_is_run_again(file, copy_run):
    """From the last to the first; claims hold then, too, as often as they are run."""
    first, again = ({cell.id: said(cell) for cell in code_cells(one)} for one in copy_run(file))
    assert set(again) == set(first)
    assert {name: (text, again[name]) for name, text in first.items() if again[name] != text} == {}


def test_links_between_the_copies_hold(copies):
    for file in copies.glob("*.ipynb"):
        text = "\n".join(cell.source for cell in nbformat.read(file, as_version=4).cells)
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
        assert [link for link in links if not (copies / link).exists()] == []


def test_three_dots_are_no_answer_wherever_they_stand():
    def untouched(kernel, job): ...

    def returned(kernel, job):
        return ...

    def tried(kernel, job):
        return kernel

    assert [teaching.unanswered(value) for value in (..., " ", untouched, returned)] == [True] * 4
    assert not any(teaching.unanswered(value) for value in (0, tried, lambda: None, len))


# -- the page for teachers

TEACHING = (ROOT / "docs/teaching.md").read_text()
PAGES = {part[:2]: part for part in re.split(r"^## ", TEACHING, flags=re.MULTILINE)[1:]}
ASKED = re.compile(r"\b(?:predict|check)\((lesson\d\d\.\w+)(?:,[^)]*?seed=(\d+))?")
ROW = re.compile(r"^\| [^|]+ \| `(lesson\d\d)\.(\w+)`(?:, (\d+))? \| (.+) \|$", re.MULTILINE)


@pytest.mark.parametrize("number", sorted(PAGES))
def test_the_plan_of_a_lesson_is_that_of_its_notebook(number):
    assert re.search(r"^\*\*Goal\*\*: ", PAGES[number], re.MULTILINE)
    assert "**Assessment**" in PAGES[number]
    assert "**What students get wrong**" in PAGES[number]
    minutes = [int(n) for n in re.findall(r" (\d+)[,.]", re.search(r"\*\*Plan\*\*: (.+)", PAGES[number])[1])]
    (file,) = (file for file in FILES if file.stem.startswith(number))
    plan = next(c.source for c in nbformat.read(file, as_version=4).cells if "For teachers" in c.source)
    assert minutes == [int(n) for n in re.findall(r"^\| (\d+) \|", plan, re.MULTILINE)]
    assert sum(minutes) == (20 if number == "10" else 50)


@pytest.mark.parametrize("file", [file for file in FILES if file.stem[0].isdigit()], ids=lambda file: file.stem)
def test_the_page_for_teachers_has_each_question_of_a_notebook(file):
    cells = [c for c in nbformat.read(file, as_version=4).cells if "solution" not in c.metadata.get("tags", ())]
    asked = {match for cell in cells if cell.cell_type == "code" for match in ASKED.findall(cell.source)}
    listed = {(f"{lesson}.{name}", seed) for lesson, name, seed, _ in ROW.findall(PAGES[file.stem[:2]])}
    assert listed == asked


@pytest.mark.parametrize(("lesson", "name", "seed", "said"), ROW.findall(TEACHING))
def test_the_answers_for_teachers_are_those_of_the_model(lesson, name, seed, said):
    make = getattr(importlib.import_module(f"mmsim.lessons.{lesson}"), name)
    assert said.replace("\\|", "|").startswith(str(ask(make, int(seed or 1)).answer))


def test_the_command_for_teachers_prints_an_answer():
    (code,) = re.findall(r'^  python -c "(.+)"$', TEACHING, re.MULTILINE)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("The model answers direct. Rule: ")
