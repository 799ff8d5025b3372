"""Both ends of the range of numba that pyproject.toml names compile the kernel, and rightly so."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RANGE = next(str(r.specifier) for r in map(Requirement, PROJECT["dependencies"]) if r.name == "numba")


def test_the_newest_is_what_is_installed_here():
    """So that the other tests try it."""
    newest = int(re.search(r"<0\.(\d+)", RANGE)[1]) - 1
    assert version("numba").startswith(f"0.{newest}.")


def test_the_oldest_computes_the_same(tmp_path):
    oldest = re.search(r">=([\d.]+)", RANGE)[1]
    python = tmp_path / "venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    pip = [python, "-m", "pip", "install", "-q", "--no-compile", "--disable-pip-version-check"]
    subprocess.run([*pip, "-e", ROOT, f"numba=={oldest}.*", "pytest", "hypothesis"], check=True)
    found = subprocess.run([python, "-c", "import numba; print(numba.__version__)"], capture_output=True, text=True)
    assert found.stdout.startswith(f"{oldest}.")
    pytest = [python, "-m", "pytest", "-o", "addopts=", "tests/test_compiled.py"]
    quick = os.environ | {"HYPOTHESIS_PROFILE": "quick"}
    done = subprocess.run(pytest, cwd=ROOT, env=quick, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
