"""The reader's copies of the lessons: they follow their originals until the reader has written in them."""

import json
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from mmsim import cli
from mmsim.lessons.copies import renew

ROOT = Path(__file__).parents[1]


def write(file, *sources, results=False):
    """A notebook of code cells, as it is or as it was run."""
    cells = [new_code_cell(source, id=f"cell-{n}") for n, source in enumerate(sources)]
    for n, cell in enumerate(cells if results else []):
        cell.execution_count, cell.outputs = n + 1, [new_output("stream", text="1\n")]
    file.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells), file)


def sources(file):
    return [cell.source for cell in nbformat.read(file, as_version=4).cells]


@pytest.fixture
def folders(tmp_path):
    """(originals, copies), once copied."""
    originals, copies = tmp_path / "notebooks", tmp_path / "my-lessons"
    write(originals / "00.ipynb", "a = 1", "a + 1")
    write(originals / "app/lab.ipynb", "a = 1")
    (originals / "LICENSE").write_text("do what you like")
    assert renew(originals, copies) == []
    return originals, copies


def test_everything_is_copied_and_the_second_time_nothing_happens(folders):
    originals, copies = folders
    for file in ("00.ipynb", "app/lab.ipynb", "LICENSE"):
        assert (copies / file).read_bytes() == (originals / file).read_bytes()
    before = (copies / "00.ipynb").stat().st_mtime_ns
    assert renew(originals, copies) == []
    assert (copies / "00.ipynb").stat().st_mtime_ns == before


@pytest.mark.parametrize("room", [0, 100])
def test_a_full_disk_leaves_whole_copies(folders, full_disk, room):
    originals, copies = folders
    before = {file: file.read_bytes() for file in copies.rglob("*") if file.is_file()}
    write(originals / "00.ipynb", "a = 2", "a + 1")
    full_disk.room = room
    with pytest.raises(OSError, match="No space left on device"):
        renew(originals, copies)
    assert {file: file.read_bytes() for file in copies.rglob("*") if file.is_file()} == before


def test_results_are_kept_and_are_no_reason_to_keep_an_old_lesson(folders):
    originals, copies = folders
    write(copies / "00.ipynb", "a = 1", "a + 1", "", results=True)  # Jupyter adds an empty cell at the end
    ran = (copies / "00.ipynb").read_bytes()
    assert renew(originals, copies) == []
    assert (copies / "00.ipynb").read_bytes() == ran
    write(originals / "00.ipynb", "a = 2", "a + 1")
    assert renew(originals, copies) == []
    assert sources(copies / "00.ipynb") == ["a = 2", "a + 1"]


def test_a_copy_that_the_reader_has_changed_stays(folders):
    originals, copies = folders
    write(copies / "00.ipynb", "a = 1", "a + 100", results=True)
    mine = (copies / "00.ipynb").read_bytes()
    assert renew(originals, copies) == []  # nothing to say: the original is the same
    write(originals / "00.ipynb", "a = 2", "a + 1")
    for _ in range(2):  # it is said at each start
        (said,) = renew(originals, copies)
        assert said.startswith("00.ipynb has your changes, and the original has changed since")
        assert (copies / "00.ipynb").read_bytes() == mine
    (copies / "00.ipynb").rename(copies / "00-mine.ipynb")  # what it says helps
    assert renew(originals, copies) == []
    assert sources(copies / "00.ipynb") == ["a = 2", "a + 1"]
    assert (copies / "00-mine.ipynb").read_bytes() == mine


def test_a_change_that_the_original_has_now_is_nobodys(folders):
    originals, copies = folders
    write(copies / "00.ipynb", "a = 2", results=True)
    write(originals / "00.ipynb", "a = 2")
    assert renew(originals, copies) == []
    write(originals / "00.ipynb", "a = 3")
    assert renew(originals, copies) == []
    assert sources(copies / "00.ipynb") == ["a = 3"]


def test_new_metadata_of_an_original_reach_only_an_unchanged_copy(folders):
    originals, copies = folders
    write(copies / "app/lab.ipynb", "a = 100")
    for name in ("00.ipynb", "app/lab.ipynb"):
        notebook = nbformat.read(originals / name, as_version=4)
        notebook.cells[0].metadata["tags"] = ["folded"]
        nbformat.write(notebook, originals / name)
    assert renew(originals, copies) == []  # of the changed one nothing that the reader would miss
    assert nbformat.read(copies / "00.ipynb", as_version=4).cells[0].metadata["tags"] == ["folded"]
    assert sources(copies / "app/lab.ipynb") == ["a = 100"]


def test_without_the_record_nothing_is_overwritten_and_a_damaged_copy_is_the_readers(folders):
    originals, copies = folders
    write(copies / "00.ipynb", "a = 100")
    (copies / "app/lab.ipynb").write_text("{")
    (copies / ".originals.json").unlink()
    assert len(renew(originals, copies)) == 2
    assert sources(copies / "00.ipynb") == ["a = 100"]
    assert (copies / "app/lab.ipynb").read_text() == "{"


def test_a_reader_who_works_through_the_lessons_leaves_the_clone_clean(tmp_path, monkeypatch, started):
    """So that git pull has nothing to refuse. The state of this checkout stands for what was cloned."""
    clone = tmp_path / "clone"
    shutil.copytree(ROOT / "notebooks", clone / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    shutil.copy(ROOT / ".gitignore", clone)

    def git(*args):
        identity = ["-c", "user.name=reader", "-c", "user.email=reader@localhost"]
        return subprocess.run(["git", *identity, *args], cwd=clone, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "as it was cloned")
    monkeypatch.setattr("mmsim.cli.lab.__file__", str(clone / "mmsim/cli/lab.py"))
    cli.main(["lab"])
    assert "--LabApp.default_url=/lab/tree/my-lessons/index.ipynb" in started[0][1]
    lesson = clone / "my-lessons/00-pages-and-nodes.ipynb"
    notebook = nbformat.read(lesson, as_version=4)
    notebook.cells.append(new_code_cell("1 + 1", execution_count=1, outputs=[new_output("stream", text="2\n")]))
    nbformat.write(notebook, lesson)
    (clone / "my-lessons/.ipynb_checkpoints").mkdir()
    (clone / "my-lessons/.ipynb_checkpoints/00-checkpoint.ipynb").write_text("{}")
    (clone / "my-lessons/rows.jsonl").write_text("{}")
    cli.main(["lab"])
    assert git("status", "--porcelain") == ""
    assert "1 + 1" in lesson.read_text()
    links = {path.name for path in (clone / "notebooks").iterdir()}
    assert links <= {path.name for path in (clone / "my-lessons").iterdir()}  # a link between lessons holds
    assert json.loads((clone / "my-lessons/.originals.json").read_text())
