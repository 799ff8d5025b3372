"""Settings for all tests."""

import errno
import importlib.util
import io
import os
import runpy
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings
from machines import N, writer

from mmsim.machine import writing

# quick and long find the same examples at every run: `make test` and `make test-all`. soak looks for new ones for some
# minutes: `HYPOTHESIS_PROFILE=soak pytest tests/test_state_machine.py`.
PROFILES = {
    "quick": {"derandomize": True, "max_examples": 40, "stateful_step_count": 40},
    "long": {"derandomize": True, "max_examples": 200, "stateful_step_count": 40},
    "soak": {"max_examples": 20_000, "stateful_step_count": 50, "print_blob": True},
}
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
for name, profile in PROFILES.items():
    settings.register_profile(name, deadline=None, suppress_health_check=QUIET, **profile)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


# What takes long begins first, so that no process is left alone with it in the end: these files, then what a browser or
# a fresh environment is for, then lessons. While test_student.py runs the copies of the lessons, test_site.py builds
# the site with which it compares them. What test_compiled.py has compiled, others find on disk.
ORDER = """test_student.py test_site.py test_compiled.py test_verify_records.py test_dist.py test_binder.py
    test_student_02.py test_student_08.py test_student_03.py test_student_07.py test_student_01.py test_student_04.py
    test_student_05.py test_student_06.py test_lessons.py test_history_lab.py""".split()


def pytest_collection_modifyitems(items):
    def rank(item):
        if item.path.name in ORDER:
            return ORDER.index(item.path.name)
        return len(ORDER) + (not item.get_closest_marker("full")) + (item.path.suffix != ".ipynb")

    for item in items:
        if item.path.parent.name in ("browser", "release"):
            item.add_marker("full")
    items.sort(key=rank)


@pytest.fixture(scope="session")
def needs():
    """``needs("voila")``: skip where a tool of `make test-all` is not installed; in CI that is a failure."""

    def needs(*modules):
        missing = [module for module in modules if not importlib.util.find_spec(module)]
        if missing:
            where = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            where(f"needs {', '.join(missing)}: make test-all")

    return needs


@pytest.fixture(scope="session")
def copies(tmp_path_factory):
    """The folder with the copies of the lessons for students."""
    folder = tmp_path_factory.mktemp("copies") / "student"
    runpy.run_path(Path(__file__).parents[1] / "docs/student.py")["main"](folder)
    return folder


AGAIN = "again-"  # begins the names of cells that are run once more


@pytest.fixture(scope="session")
def copy_run(copies, tmp_path_factory):
    """Return a function from a lesson to two notebooks that have been run in one kernel, one after the other.

    First its copy for students, and behind it the answers that are no claims; then all cells of the lesson, from the
    last to the first. A claim is run twice there, and belongs to both. Each lesson is run once for all tests, in
    whatever process they are.
    """
    import fcntl  # which Windows has not

    import nbformat  # which who tries the wheel in a fresh environment has not
    from cells import code_cells, is_claim, run

    base = tmp_path_factory.getbasetemp()
    folder = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base

    def copy_run(file):
        kept = folder / f"run-{file.name}"
        with open(kept.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed: another process may be running this one
            if not kept.exists():
                lesson, copy = (nbformat.read(path, as_version=4) for path in (file, copies / file.name))
                there = {cell.id for cell in copy.cells}
                copy.cells += [cell for cell in code_cells(lesson) if cell.id not in there and not is_claim(cell)]
                for cell in reversed(code_cells(lesson)):
                    copy.cells += [cell] if is_claim(cell) else []
                    copy.cells.append(nbformat.from_dict(cell | {"id": AGAIN + cell.id}))
                nbformat.write(run(copy, copies), kept)
        first, again = nbformat.read(kept, as_version=4), nbformat.read(kept, as_version=4)
        first.cells = [cell for cell in first.cells if not cell.id.startswith(AGAIN)]
        again.cells = [cell for cell in again.cells if cell.id.startswith(AGAIN)]
        for cell in again.cells:
            cell.id = cell.id.removeprefix(AGAIN)
        return first, again

    return copy_run


@pytest.fixture
def cluster(needs):
    """Sweeps run on a dask cluster of two processes."""
    needs("distributed")
    import joblib
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as workers,
        Client(workers),
        joblib.parallel_config("dask"),
    ):
        yield


@pytest.fixture
def started(monkeypatch):
    """What `mmsim lab` would become, on a machine that has JupyterLab and no display: [(program, arguments)]."""
    started = []
    monkeypatch.setitem(sys.modules, "jupyterlab", SimpleNamespace(__spec__=ModuleSpec("jupyterlab", None)))
    monkeypatch.setattr(os, "execv", lambda program, argv: started.append((program, argv)))
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    return started


class Full(io.FileIO):
    """A file on a disk that has room for some bytes only."""

    room = 1_000

    def write(self, data):
        if self.tell() + len(data) > self.room:
            super().write(bytes(data)[: self.room - self.tell()])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@pytest.fixture
def full_disk(monkeypatch):
    """Writing ends after `room` bytes of each file."""
    disk = type("Disk", (Full,), {})

    def open_there(path, mode, **options):
        return disk(path, mode) if "b" in mode else io.TextIOWrapper(disk(path, mode), **options)

    monkeypatch.setattr(writing, "open", open_there, raising=False)
    return disk


@pytest.fixture
def job(kernel):
    """A task on node 0 of the test's own `kernel` that wrote N anonymous pages: (task, mapping)."""
    return writer(kernel, N)


@pytest.fixture
def task(job):
    return job[0]


@pytest.fixture
def heap(job):
    return job[1]


def pytest_terminal_summary(terminalreporter):
    """Print what tests have measured (record_property), also where they pass."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


@pytest.fixture
def here():
    """The points of a sweep run in this process, where a test can see them run."""
    import joblib

    with joblib.parallel_config("sequential"):
        yield
