"""The frame: what importing costs, and that the files which repeat one another agree."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import mmsim

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = [
    Requirement(line)
    for line in (ROOT / "binder/requirements.txt").read_text().splitlines()
    if line != "." and not line.startswith("#")
]


HEAVY = {"pandas", "networkx", "joblib", "tqdm", "matplotlib", "ipywidgets", "anywidget", "numba"}


def loaded_by(code):
    """Which of HEAVY some lines have loaded at their end, in an interpreter of their own."""
    code += f"\nimport sys; print(*sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_import_is_light():
    assert loaded_by("import mmsim") == set()


def test_a_small_machine_is_built_migrated_and_checked_without_waiting_for_pandas():
    assert (
        loaded_by("""
from mmsim import Kernel, Topology
kernel = Kernel(Topology.uniform(nodes=2, frames=256))
task = kernel.spawn("a")
heap = task.mmap(4)
task.touch(heap, write=True)
task.migrate_pages(0, old=0, new=1)
assert task.placement(heap) == [1] * 4
assert "direct 4" in repr(kernel.last)
kernel.verify()
""")
        == set()
    )
    assert loaded_by("import mmsim; mmsim.Kernel(mmsim.Topology.ring()).residency()") == {"pandas"}


def test_readme_names_targets_that_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    # commands only: in a code block at the start of a line, or between backticks
    named = set(re.findall(r"(?:^\s*\$?\s*|`)make ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert {"lab", "test"} <= named <= targets


@pytest.fixture(scope="module")
def wheel(needs, tmp_path_factory):
    needs("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (file,) = folder.glob("*.whl")
    return file


@pytest.mark.full
def test_wheel_has_the_version_of_the_package(wheel):
    assert wheel.name == f"mmsim-{mmsim.__version__}-py3-none-any.whl"


@pytest.mark.full
def test_wheel_has_every_module_and_the_code_of_the_widgets(wheel):
    ours = [file for kind in ("py", "js", "css", "toml") for file in ROOT.glob(f"mmsim/**/*.{kind}")]
    assert {file.relative_to(ROOT).as_posix() for file in ours} <= set(zipfile.ZipFile(wheel).namelist())


def test_binder_installs_the_checkout_and_pins_exactly():
    assert "." in (ROOT / "binder/requirements.txt").read_text().splitlines()
    assert PINS
    assert all(re.fullmatch(r"==[\d.]+", str(pin.specifier)) for pin in PINS)


def test_binder_pins_everything_that_a_lesson_needs_within_our_ranges():
    needed = [Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["lab"]]
    pinned = {pin.name: str(pin.specifier).removeprefix("==") for pin in PINS}
    assert {need.name for need in needed} == set(pinned)
    outside = [need for need in needed if pinned[need.name] not in need.specifier]
    assert outside == []


def test_binder_python_is_one_that_we_support():
    python = (ROOT / "binder/runtime.txt").read_text().strip().removeprefix("python-")
    assert python in Requirement(f"python{PROJECT['requires-python']}").specifier


def test_the_rooms_above_the_machine_are_loaded_when_asked_for():
    code = "import mmsim, sys; assert 'mmsim.race' not in sys.modules; "
    code += "mmsim.race.explore; mmsim.plots.paths; mmsim.widgets.MigrationLab"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
