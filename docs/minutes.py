"""How long each lesson is: minutes of its plan, words and cells that a reader sees before its exercises.

python docs/minutes.py
"""

import re
from pathlib import Path

import nbformat

FOLDER = Path(__file__).parents[1] / "notebooks"
LESSONS = sorted(FOLDER.glob("[0-9][0-9]-*.ipynb"))
WORDS, CELLS = 1_600, 18  # at most
READING, CELL = 80, 1.5  # assumed of a class: words a minute; minutes to run a cell and look at what it shows


def measure(notebook):
    """{what: number} of a notebook; what is folded is not seen, nor is what stands behind the heading Exercises.

    `plan` are the minutes of the plan for teachers, `estimate` those that words and cells take.
    """
    plans = [cell.source for cell in notebook.cells if re.search(r"^\| minutes \|", cell.source, re.MULTILINE)]
    plan = sum(map(int, re.findall(r"^\| (\d+) \|", plans[0], re.MULTILINE)))
    words = cells = 0
    for cell in notebook.cells:
        if re.search(r"^#+ (\d+\. )?Exercises$", cell.source, re.MULTILINE):
            break
        if cell.cell_type == "markdown":
            seen = re.sub(r"<details>.*?</details>", "", cell.source, flags=re.DOTALL)
            words += len(re.findall(r"\S*\w\S*", seen))
        elif not {"assert", "solution", "hint"} & set(cell.metadata.get("tags", ())):
            cells += 1
    return {"plan": plan, "estimate": round(words / READING + CELL * cells), "words": words, "cells": cells}


def main():
    """A line a lesson, and the limits."""
    rows = {file.stem: measure(nbformat.read(file, as_version=4)) for file in LESSONS}
    print(f"{'':24}  plan  estimate   words  cells")
    for name, row in rows.items():
        print(f"{name:24}{row['plan']:6}{row['estimate']:10}{row['words']:8,}{row['cells']:7}")
    print(f"{'at most':24}{50:6}{50:10}{WORDS:8,}{CELLS:7}")


if __name__ == "__main__":
    main()
