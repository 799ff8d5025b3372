"""Binder without Docker: repo2docker understands binder/, and what it says is then really installed and run.

The environment is fresh and outside the checkout's own; its size, and the memory of the lessons, are printed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEMORY = 2 << 30  # bytes that Binder may give
MOST = 800  # MB of the environment
LESSONS = "00-pages-and-nodes", "03-migrate-pages"
# Runs a command with that much memory and prints its peak (kB).  Measured from here, it would not be below our own.
LIMITED = """if True:
    import resource, subprocess, sys
    resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[1]),) * 2)
    code = subprocess.call(sys.argv[2:], stdout=sys.stderr)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    sys.exit(code)
"""


def test_repo2docker_takes_the_folder(needs):
    needs("repo2docker")
    user = ["--user-id=1000", "--user-name=jovyan"]  # repo2docker refuses to build for root
    command = [sys.executable, "-m", "repo2docker", "--debug", "--no-build", *user, ROOT]
    done = subprocess.run(command, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    python = (ROOT / "binder/runtime.txt").read_text().strip().removeprefix("python-")
    assert f"Building conda environment for python={python}" in said
    assert "-r \"binder/requirements.txt\"" in said
    assert "./binder/postBuild" in said
    assert "binder/start" in said


@pytest.fixture(scope="module")
def environment(needs, tmp_path_factory):
    """A copy of the checkout, built as Binder builds it: (folder, environment variables)."""
    needs("repo2docker")
    folder = tmp_path_factory.mktemp("binder")
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, files.split("\0")):
        if (ROOT / name).exists():
            (folder / "repo" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / "repo" / name)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    keep = {key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "VIRTUAL", "NUMBA"))}
    variables = keep | {"PATH": f"{folder / 'venv/bin'}:{os.environ['PATH']}", "HOME": str(folder)}
    pip = ["pip", "install", "-q", "--disable-pip-version-check", "-r", "binder/requirements.txt"]
    for command in (pip, ["binder/postBuild"]):
        done = subprocess.run(command, cwd=folder / "repo", env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return folder, variables


def test_the_environment_is_small(environment, record_property):
    folder, _ = environment
    size = sum(file.lstat().st_size for file in (folder / "venv").rglob("*")) >> 20
    record_property("size of the Binder environment, MB", size)
    assert size < MOST


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_runs_in_the_memory_of_binder(environment, lesson, record_property):
    folder, variables = environment
    command = ["jupyter", "nbconvert", "--to=notebook", "--execute", "--output-dir", folder / "out", f"{lesson}.ipynb"]
    run = [folder / "repo/binder/start", sys.executable, "-c", LIMITED, str(MEMORY), *command]
    done = subprocess.run(run, cwd=folder / "repo/notebooks", env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    record_property(f"{lesson} on Binder, peak memory of a process, MB", int(done.stdout) >> 10)


def test_the_kernel_was_compiled_ahead(environment):
    """A large machine starts at once: it finds in the home of Binder's user what postBuild has compiled."""
    folder, variables = environment
    code = "from mmsim import *; k = Kernel(Topology.uniform(2, 1024), compiled=True); k.spawn('a').mmap(4); k.verify()"
    done = subprocess.run(
        ["binder/start", "python", "-c", code],
        cwd=folder / "repo", env=variables, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "compiling" not in done.stderr.lower()
