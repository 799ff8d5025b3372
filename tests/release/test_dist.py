"""The wheel and the sdist: well formed, and of use outside the repository."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import mmsim

ROOT = Path(__file__).parents[2]
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


def test_the_wheel_is_of_use_in_a_fresh_environment(dist, tmp_path):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip = [venv / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, next(dist.glob("*.whl"))], check=True, capture_output=True)
    done = subprocess.run(
        [venv / "bin/python", "-c", USE.format(root=str(ROOT))], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == "{1} True True\n", done.stderr
    done = subprocess.run([venv / "bin/mmsim", "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    assert "verify" in done.stdout
