"""The form of the notebooks. nbmake runs them whole, tests/browser/test_site.py without what can be passed over."""

import re

import nbformat
import pytest
from cells import FILES, FOLDER, code_cells, is_claim

MAX_LINES, MAX_WIDTH = 15, 80  # so wide is a cell in a window of 800 pixels


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def text_of(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def test_there_are_notebooks():
    assert {"index", "00-pages-and-nodes"} <= {file.stem for file in FILES}


def test_metadata(notebook):
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.kernelspec.language == "python"
    assert "version" not in notebook.metadata.get("language_info", {})  # it would change with every user's Python
    assert "widgets" not in notebook.metadata


def test_cells_have_names_that_stay(notebook):
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert [name for name in ids if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name)] == []
    assert [name for name in ids if re.fullmatch(r"[0-9a-f]{8}", name)] == []  # what Jupyter makes up


def test_cells_are_short(notebook):
    assert [cell.id for cell in code_cells(notebook) if len(cell.source.splitlines()) > MAX_LINES] == []
    wide = [
        (cell.id, line)
        for cell in code_cells(notebook)
        for line in cell.source.splitlines()
        if len(line) > MAX_WIDTH and not is_claim(cell)
    ]
    assert wide == []


def test_outputs_are_stripped(notebook):
    assert [cell.id for cell in code_cells(notebook) if cell.outputs or cell.execution_count is not None] == []


def test_claims_are_folded(notebook):
    for cell in code_cells(notebook):
        folded = cell.metadata.get("jupyter", {}).get("source_hidden", False)
        assert is_claim(cell) == bool(re.search(r"^ *assert ", cell.source, re.MULTILINE)), cell.id
        assert folded == bool({"assert", "folded"} & set(cell.metadata.get("tags", ()))), cell.id
        assert not folded or cell.source.startswith("# "), cell.id  # the line that remains says what it is


def test_pictures_have_a_text_alternative(notebook):
    text = text_of(notebook)
    assert not re.search(r"!\[\s*\]\(", text)
    assert all(re.search(r'\balt="[^"]{10,}"', image) for image in re.findall(r"<img\b[^>]*>", text))
    drawn = [cell for cell in code_cells(notebook) if re.search(r"\bplots\.\w+\(", cell.source)]
    assert [cell.id for cell in drawn if "Picture(" not in cell.source] == []


def test_links_lead_somewhere(notebook):
    links = re.findall(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)", text_of(notebook))
    assert [file for file, _ in links if file and not (FOLDER / file).exists()] == []
    headings = {"#" + title.replace(" ", "-") for title in re.findall(r"^#+ (.+)$", text_of(notebook), re.MULTILINE)}
    assert [place for file, place in links if not file and place not in headings] == []


def test_every_fold_is_closed(notebook):
    for cell in notebook.cells:
        assert cell.source.count("<details>") == cell.source.count("</details>") == cell.source.count("<summary>")
