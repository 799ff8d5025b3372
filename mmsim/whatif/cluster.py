"""A dask cluster that somebody has: connect to it, and see that its workers are fit for a sweep."""

import contextlib
import platform
import subprocess
import sys
import warnings
from pathlib import Path

import joblib

from .. import __version__
from ..machine import compile_cache
from ..machine.speed import SlowWarning
from .schema import ScenarioError

PATIENCE = 20  # seconds for the scheduler to answer


@contextlib.contextmanager
def connected(cluster):
    """Sweeps run on a cluster, known by the address of its scheduler (tcp://host:8786) or by a scheduler file.

    ScenarioError: dask is missing here; nobody answers; there are no workers; one has no mmsim, or another version.
    """
    try:
        from dask.distributed import Client
    except ImportError:
        raise ScenarioError("--cluster needs dask: pip install 'mmsim[cluster]'") from None
    file = cluster if Path(cluster).is_file() else None
    if not file and "://" not in cluster:
        raise ScenarioError(f"--cluster is {cluster!r}: it is an address, as in tcp://host:8786, or a scheduler file")
    try:
        client = Client(scheduler_file=file, timeout=PATIENCE) if file else Client(cluster, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise ScenarioError(f"--cluster {cluster}: no scheduler answers there: {error}") from None
    with client:
        check(client, cluster)
        warm(client)
        with joblib.parallel_config("dask"):
            yield client


def check(client, cluster):
    """Refuse a cluster whose workers could not give the same answers; say which would be slow."""

    def about():  # is in here to be sent as code: a worker without mmsim could not import a function of it
        import importlib.util

        try:
            import mmsim
        except ImportError:
            return None, False
        return mmsim.__version__, bool(importlib.util.find_spec("numba"))

    found = client.run(about)
    if not found:
        raise ScenarioError(f"--cluster {cluster}: the scheduler has no workers; start some (dask worker ADDRESS)")
    for worker, (version, _) in found.items():
        if version != __version__:
            has = f"mmsim {version}" if version else "no mmsim"
            raise ScenarioError(f"--cluster {cluster}: worker {worker} has {has}; install mmsim {__version__} there: "
                                f"pip install 'mmsim[cluster]=={__version__}'")  # fmt: skip
    slow = [worker for worker, (_, numba) in found.items() if not numba]
    if slow:
        warnings.warn(f"workers without numba are slow: {', '.join(slow)}", SlowWarning, stacklevel=2)


def warm(client):
    """Have each computer of a cluster compile the kernel ahead, as far as it has not; name those where that fails."""

    def computer():
        return platform.node(), str(compile_cache.folder() or "")

    def compile_ahead():
        done = subprocess.run([sys.executable, "-m", "mmsim.machine.compiled"], capture_output=True, text=True)
        return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it ended"])[-1]

    one = {}
    for worker, (name, folder) in client.run(computer).items():
        one.setdefault((name, folder), worker)
    computers = {worker: name for (name, _), worker in one.items()}
    for worker, failed in client.run(compile_ahead, workers=list(computers)).items():
        if failed:
            text = f"{computers[worker]} has no compiled kernel, each of its workers compiles for itself: {failed}"
            warnings.warn(text, SlowWarning, stacklevel=2)
