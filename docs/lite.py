"""Build build/site/lite: JupyterLab in the browser, without a server, with mmsim's wheel; the last step of `make site`.

numpy, pandas, matplotlib and networkx come from Pyodide's own distribution when a notebook is opened; whatever is
pure Python and belongs to the widgets is in the build, in the versions that are installed here.
"""

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "lite"
OUTPUT = ROOT / "build" / "site" / "lite"
BUNDLED = "anywidget", "comm", "ipywidgets", "jupyterlab_widgets", "psygnal"
FIRST = "# Installs mmsim in this browser tab, once: about half a minute.\n%pip install -q mmsim"


def python(*args, cwd=BUILD):
    """Run a module of this Python, quietly unless it fails."""
    subprocess.run([sys.executable, "-m", *map(str, args)], check=True, cwd=cwd, stdout=subprocess.DEVNULL)


def main():
    """Wheels, notebooks that begin by installing them, and the site around both."""
    shutil.rmtree(BUILD, ignore_errors=True)
    shutil.rmtree(OUTPUT, ignore_errors=True)
    wheels, notebooks = BUILD / "wheels", BUILD / "notebooks"
    wheels.mkdir(parents=True)
    notebooks.mkdir()
    python("hatchling", "build", "-t", "wheel", "-d", wheels, cwd=ROOT)
    pins = [f"{name}=={version(name)}" for name in BUNDLED]
    universal = ["--only-binary=:all:", "--platform=any", "--implementation=py", "--abi=none"]
    python("pip", "--disable-pip-version-check", "download", "-q", "--no-deps", *universal, "-d", wheels, *pins)
    for file in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(file, as_version=4)
        notebook.cells.insert(0, nbformat.v4.new_code_cell(FIRST, id="install-mmsim"))
        nbformat.write(notebook, notebooks / file.name)
    bundled = [f"--piplite-wheels={wheel}" for wheel in sorted(wheels.glob("*.whl"))]
    python("jupyter", "lite", "build", "--contents", notebooks, "--output-dir", OUTPUT, "--apps=lab", "--apps=repl",
           "--no-sourcemaps", "--no-unused-shared-packages", *bundled)  # fmt: skip


if __name__ == "__main__":
    main()
