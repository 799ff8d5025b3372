"""`mmsim sweep --cluster`: a dask cluster that somebody has; one whose workers are not fit is refused."""

import io
import json
import os
import signal
import threading
import time
from types import SimpleNamespace

import pandas as pd
import pytest
from test_cli import outcome

from mmsim import __version__
from mmsim.machine.speed import SlowWarning
from mmsim.whatif import ScenarioError
from mmsim.whatif.cluster import check, connected, warm


@pytest.fixture
def scheduler(needs):
    """The address of a cluster of two processes, and a client of it."""
    needs("distributed")
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield cluster.scheduler_address, client


POINTS = [8192 - n for n in range(40)]


@pytest.mark.full
def test_a_worker_that_is_killed_in_the_middle_loses_no_row(scheduler, capsys, tmp_path):
    address, client = scheduler
    file, killed = tmp_path / "rows.jsonl", []

    def kill():
        while not file.exists() or len(file.read_text().splitlines()) < 5:
            time.sleep(0.01)
        victim = next(iter(client.run(os.getpid).values()))
        killed.append(len(file.read_text().splitlines()) - 1)
        os.kill(victim, signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    grid = ["--grid", "kernel.swap=" + ",".join(map(str, POINTS)), "--set", "scale=1/1024"]
    there = ["--cluster", address, "--keep", file, "--csv"]
    code, out, _ = outcome(capsys, "sweep", "scheduler-moved-my-job", *grid, *there)
    killer.join(60)
    assert code == 0
    assert killed
    assert killed[0] < len(POINTS)  # in the middle
    table = pd.read_csv(io.StringIO(out))
    assert table["kernel.swap"].tolist() == POINTS
    assert table["direct"].tolist() == [4096] * len(POINTS)
    names = [json.loads(line)["point"] for line in file.read_text().splitlines()[1:]]
    assert len(names) == len(set(names)) == len(POINTS)


@pytest.mark.full
def test_a_scheduler_file_names_the_cluster_as_well(scheduler, capsys, tmp_path):
    _, client = scheduler
    client.write_scheduler_file(str(tmp_path / "scheduler.json"))
    grid = ["--grid", "kernel.release=V1,6.1", "--set", "scale=1/4096", "--csv"]
    code, out, _ = outcome(capsys, "sweep", "low-swap", "--cluster", tmp_path / "scheduler.json", *grid)
    assert code == 0
    assert pd.read_csv(io.StringIO(out))["direct"].tolist() == [512, 512]


def workers(**found):
    return SimpleNamespace(run=lambda _: found)


@pytest.mark.parametrize(
    ("found", "said"),
    [({}, "has no workers"), ({"a": (None, False)}, "worker a has no mmsim; install mmsim 0"),
     ({"a": ("0.0.1", True)}, r"worker a has mmsim 0\.0\.1; .* pip install 'mmsim\[cluster\]==")],
)  # fmt: skip
def test_workers_that_would_not_give_the_same_are_refused(found, said):
    with pytest.raises(ScenarioError, match=said):
        check(workers(**found), "tcp://x:1")


def test_workers_without_numba_are_named():
    with pytest.warns(SlowWarning, match="workers without numba are slow: b$"):
        check(workers(a=(__version__, True), b=(__version__, False)), "tcp://x:1")


def cluster_of(**there):
    """A client of workers, {worker: (computer, where its compiled code is, why it has none)}; what it was asked."""
    asked = []

    def run(function, workers=None):
        asked.append((function.__name__, workers))
        if workers is None:
            return {worker: said[:2] for worker, said in there.items()}
        return {worker: there[worker][2] for worker in workers}

    return SimpleNamespace(run=run), asked


def test_each_computer_compiles_once_before_a_sweep():
    client, asked = cluster_of(a=("one", "/c", ""), b=("one", "/c", ""), c=("two", "/c", ""), d=("two", "/own", ""))
    warm(client)
    assert asked == [("computer", None), ("compile_ahead", ["a", "c", "d"])]


def test_a_computer_that_cannot_compile_is_named():
    client, _ = cluster_of(a=("one", "", "OSError: read-only"), b=("two", "/c", ""))
    with pytest.warns(SlowWarning, match="one has no compiled kernel, .*: OSError: read-only"):
        warm(client)


@pytest.mark.full
def test_what_is_no_cluster_is_refused(needs):
    needs("distributed")
    with pytest.raises(ScenarioError, match="an address, as in tcp://host:8786"), connected("host"):
        pass
