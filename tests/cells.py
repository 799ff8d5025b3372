"""What the tests of notebooks share: the files, their cells, and what these show when they are run."""

import re
from pathlib import Path

from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
FILES = sorted(FOLDER.glob("*.ipynb"))


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tagged(notebook, *tags):
    return [cell for cell in notebook.cells if set(tags) & set(cell.metadata.get("tags", ()))]


def is_claim(cell):
    """True for a cell that checks what the text claims; it is folded."""
    return "assert" in cell.metadata.get("tags", ())


def run(notebook, folder=FOLDER):
    """The notebook, run in a folder by a kernel of its own."""
    return NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()


def said(cell):
    """The text that a cell shows, without widgets and without where objects lie in memory."""
    text = "".join(
        output.get("text") or output.data["text/plain"]  # printing may arrive in one piece or in several
        for output in cell.outputs
        if "application/vnd.jupyter.widget-view+json" not in output.get("data", {})
    )
    return re.sub(r"\b0x[0-9a-f]{6,}", "0x", text)
