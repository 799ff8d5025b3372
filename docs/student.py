"""Copy the lessons to build/student, without their solutions; `make student`."""

import shutil
import sys
from pathlib import Path

import nbformat
from nbconvert.preprocessors import TagRemovePreprocessor

ROOT = Path(__file__).parents[1]
HIDDEN = {"solution", "assert"}  # cells that check the claims of a lesson tell answers, too
NOTE = """*A copy for students: the solutions of the exercises are left out, and so are the cells that check what the
text claims. Where it speaks of folded cells, there are none here.*"""


def without_solutions(notebook):
    """A notebook as students get it, from the one source."""
    copy, _ = TagRemovePreprocessor(remove_cell_tags=HIDDEN).preprocess(notebook, {})
    copy.cells.insert(1, nbformat.v4.new_markdown_cell(NOTE, id="for-students"))
    return copy


def main(target=ROOT / "build" / "student"):
    """Write the copies, and what lies beside them."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(ROOT / "notebooks", target, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    for file in sorted(Path(target).glob("*.ipynb")):
        nbformat.write(without_solutions(nbformat.read(file, as_version=4)), file)


if __name__ == "__main__":
    sys.exit(main())
