"""`make site`: every link inside it leads somewhere, and the lab in the browser starts its kernel.

Pyodide itself comes from the npm registry and its pure parts from PyPI, since the network of Pyodide is not always in
reach; numpy for the browser is only there, so importing mmsim whole is what cannot be tested here.
"""

import functools
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.parse
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from cells import FILES, code_cells, is_claim, said
from playwright.sync_api import expect

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "site"
KERNEL = "@jupyterlite/pyodide-kernel-extension:kernel"
PURE_PARTS = """
import piplite, runpy, importlib.util
await piplite.install("mmsim", deps=False)
where = importlib.util.find_spec("mmsim").submodule_search_locations[0]
print(len(runpy.run_path(where + "/machine/changes.py")["PATCHES"]), "patches")
"""


@pytest.fixture(scope="module")
def site(needs):
    """The folder of the site, built as `make site` builds it."""
    needs("sphinx", "myst_nb", "jupyterlite_core")
    recipe = (ROOT / "Makefile").read_text().partition("\nsite:")[2].partition("\n\n")[0].splitlines()[1:]
    script = "set -e\n" + "\n".join(recipe).replace("$(BIN)", str(Path(sys.executable).parent))
    known = os.environ | {"GITHUB_REPOSITORY": "somebody/mmsim", "GITHUB_REF_NAME": "v1"}  # as in its workflow
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=known, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return SITE


def test_a_lesson_links_to_its_lab_and_its_formula_is_drawn(site):
    page = (site / "notebooks/08-what-if-lab.html").read_text()
    assert 'href="../lite/lab/index.html?path=08-what-if-lab.ipynb"' in page
    assert page.count('<span class="formula"><svg') == 1
    assert "/mathjax" not in page.lower()  # nothing is fetched from elsewhere


class Links(HTMLParser):
    """What a page refers to, and the names in it that others can refer to."""

    def __init__(self, text):
        super().__init__()
        self.to, self.ids, self.unnamed = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.add(attrs.get("id"))
        self.to += [attrs[name] for name in ("href", "src") if attrs.get(name)]
        if tag == "img" and not attrs.get("alt"):
            self.unnamed.append(attrs.get("src"))


def test_every_link_inside_leads_somewhere(site):
    others = {site / "lite", site / "_static"}
    pages = {page: Links(page.read_text()) for page in site.rglob("*.html") if not others & {*page.parents}}
    assert len(pages) > 40
    wrong = []
    for page, links in pages.items():
        for link in links.to:
            address = urllib.parse.urlparse(link)
            if address.scheme or link.startswith("#"):
                continue
            target = (page.parent / urllib.parse.unquote(address.path)).resolve()
            named = target not in pages or not address.fragment or address.fragment in pages[target].ids
            if not target.exists() or not named:
                wrong.append(f"{page.relative_to(site)}: {link}")
    assert wrong == []


def test_lessons_are_readable_without_a_kernel(site):
    for notebook in sorted((ROOT / "notebooks").glob("[01]*.ipynb")):
        page = Links((site / "notebooks" / f"{notebook.stem}.html").read_text())
        text = (site / "notebooks" / f"{notebook.stem}.html").read_text()
        assert page.unnamed == []
        assert text.count("cell_output") > 5, notebook.stem
        assert "Traceback" not in text
        binder = [to for to in page.to if "mybinder.org/v2/gh/somebody/mmsim/v1" in to]
        assert any(f"notebooks/{notebook.name}" in to for to in binder), "no link to the lesson on Binder"
        assert f"../_sources/notebooks/{notebook.name}" in page.to, "no link to the notebook itself"
        assert (site / "lite/files" / notebook.name).exists()


def shown(notebook):
    """The lines that each cell shows, without claims, and without empty ones, of which MyST-NB leaves some out."""
    texts = {cell.id: said(cell) for cell in code_cells(notebook) if not is_claim(cell)}
    return {cell: list(filter(str.strip, text.splitlines())) for cell, text in texts.items()}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_same_result_each_time_and_without_the_folded_cells(site, file, copy_run):
    """Whoever runs a lesson sees what the site shows, also without the cells that check its claims."""
    whole = nbformat.read(ROOT / "build/jupyter_execute/notebooks" / file.name, as_version=4)
    assert shown(whole) == shown(copy_run(file)[0])  # a student's copy has none of these cells


def test_widgets_are_bundled_in_the_versions_that_are_installed_here(site):
    from importlib.metadata import version

    wheels = {wheel.name.split("-")[0]: wheel.name.split("-")[1] for wheel in (site / "lite/pypi").glob("*.whl")}
    assert {"mmsim", "anywidget", "ipywidgets"} <= set(wheels)
    assert {name: version(name) for name in wheels} == wheels


@pytest.fixture(scope="module")
def lite(site, tmp_path_factory):
    """The address of the lab in the browser, served with a Pyodide of its own."""
    folder = tmp_path_factory.mktemp("lite") / "lite"
    shutil.copytree(site / "lite", folder)
    local_pyodide(folder / "pyodide")
    settings = json.loads((folder / "jupyter-lite.json").read_text())
    settings["jupyter-config-data"]["litePluginSettings"][KERNEL]["pyodideUrl"] = "./pyodide/pyodide.mjs"
    (folder / "jupyter-lite.json").write_text(json.dumps(settings))

    class Handler(http.server.SimpleHTTPRequestHandler):
        extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}
        log_message = lambda *_: None  # noqa: E731

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def local_pyodide(folder):
    """Pyodide from npm, in the version that the lite kernel wants, with what its Python kernel needs from PyPI."""
    from jupyterlite_pyodide_kernel.constants import PYODIDE_VERSION

    folder.mkdir()
    subprocess.run(["npm", "pack", "--silent", f"pyodide@{PYODIDE_VERSION}"], cwd=folder, check=True,
                   capture_output=True)  # fmt: skip
    shutil.unpack_archive(next(folder.glob("*.tgz")), folder)  # extractall(filter=...) is not in every Python 3.11
    for file in (folder / "package").iterdir():
        file.rename(folder / file.name)
    lock = json.loads((folder / "pyodide-lock.json").read_text())
    packages, found = lock["packages"], set()
    wanted = ["ipython", "micropip", "packaging", "prompt-toolkit", "typing-extensions"]
    while wanted:
        found.add(name := wanted.pop())
        wanted += {depends.replace("_", "-") for depends in packages[name]["depends"]} - found
    specs = [f"{name}=={packages[name]['version']}" for name in sorted(found)]
    python = re.match(r"\d+\.\d+", lock["info"]["python"])[0]
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:",
         f"--python-version={python}", "-d", folder, *specs], check=True, capture_output=True,
    )  # fmt: skip
    for name in found:  # Pyodide's own copies of these wheels have other sums
        wheel = (folder / packages[name]["file_name"]).read_bytes()
        packages[name]["sha256"] = hashlib.sha256(wheel).hexdigest()
    (folder / "pyodide-lock.json").write_text(json.dumps(lock))


def test_the_kernel_in_the_browser_starts_and_finds_the_wheel(lite, page):
    if not shutil.which("npm"):
        pytest.skip("no npm, so no Pyodide")
    page.goto(f"{lite}/repl/index.html?kernel=python&execute=1&code={urllib.parse.quote(PURE_PARTS)}")
    expect(page.locator("body")).to_contain_text("7 patches")


def test_a_notebook_opens_in_the_browser(lite, page):
    page.goto(f"{lite}/lab/index.html?path=03-migrate-pages.ipynb")
    expect(page.get_by_text("%pip install")).to_be_visible(timeout=60_000)
