"""The wheel and the sdist: well formed, and of use outside the repository, also with the oldest numba in range."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import mmsim

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RANGE = next(str(r.specifier) for r in map(Requirement, PROJECT["dependencies"]) if r.name == "numba")
OLDEST = re.search(r">=([\d.]+)", RANGE)[1]
USE = """
from pathlib import Path
import mmsim
assert {root!r} not in mmsim.__file__
kernel, task, heap = mmsim.scenes.worked_example()
task.migrate_pages(0, 0, 1)
kernel.verify()
print(set(task.placement(heap)), len(mmsim.oracle.__doc__) > 0, mmsim.widgets.MigrationLab(kernel).steps > 0)
"""


@pytest.fixture(scope="module")
def dist(needs, tmp_path_factory):
    """A folder with the wheel and the sdist."""
    needs("build", "twine")
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--quiet", "--outdir", folder, ROOT], check=True)
    return folder


def test_both_are_well_formed(dist):
    files = sorted(map(str, dist.iterdir()))
    done = subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert [Path(file).name for file in files] == [
        f"mmsim-{mmsim.__version__}-py3-none-any.whl",
        f"mmsim-{mmsim.__version__}.tar.gz",
    ]


def test_the_wheel_has_no_tests_and_no_notebooks(dist):
    names = zipfile.ZipFile(next(dist.glob("*.whl"))).namelist()
    assert {name.partition("/")[0] for name in names} == {"mmsim", f"mmsim-{mmsim.__version__}.dist-info"}


@pytest.fixture(scope="module")
def python(dist, tmp_path_factory):
    """The Python of a fresh environment that has the wheel, with the oldest numba that it takes."""
    venv = tmp_path_factory.mktemp("fresh") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", venv / "bin/python"]
    wanted = [next(dist.glob("*.whl")), f"numba=={OLDEST}.*", "pytest", "hypothesis"]
    subprocess.run([*pip, "install", "-q", "--no-compile", *wanted], check=True, capture_output=True)
    return venv / "bin/python"


def test_the_wheel_is_of_use_in_a_fresh_environment(python, tmp_path):
    done = subprocess.run([python, "-c", USE.format(root=str(ROOT))], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "{1} True True\n", done.stderr
    done = subprocess.run([python.with_name("mmsim"), "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    assert "verify" in done.stdout


def test_the_newest_numba_is_what_is_installed_here():
    """So that the other tests try it."""
    newest = int(re.search(r"<0\.(\d+)", RANGE)[1]) - 1
    assert version("numba").startswith(f"0.{newest}.")


def test_the_oldest_numba_computes_the_same(python):
    found = subprocess.run([python, "-c", "import numba; print(numba.__version__)"], capture_output=True, text=True)
    assert found.stdout.startswith(f"{OLDEST}.")
    pytest = [python, "-m", "pytest", "-o", "addopts=", "tests/test_compiled.py"]
    quick = os.environ | {"HYPOTHESIS_PROFILE": "quick"}
    done = subprocess.run(pytest, cwd=ROOT, env=quick, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
