"""Many runs: sweeps on two processes and on a cluster, histories over all releases, schedules of a race."""

import joblib
from joblib.externals.loky import get_reusable_executor
from rows import Row, cpu, said, wall

import mmsim
from mmsim.race import SCENES, explore

POINTS = 64


def swept(points, jobs):
    """Seconds that a sweep of so many points takes, on so many processes."""
    scenario = mmsim.Scenario.load("scheduler-moved-my-job")
    return wall(mmsim.sweep, scenario, points, jobs, progress=False)[0]


def least(measure, points):
    """The lesser of two times that are measured: a neighbour of this machine makes them longer only."""
    return min(measure(points) for _ in range(2))


def on_two(points):
    """Seconds of a sweep on two processes, which are started for it."""
    get_reusable_executor().shutdown()
    return swept(points, 2)


def on_cluster(points):
    """Seconds of the same on a dask cluster of two processes that has been started and is warm."""
    from dask.distributed import Client, LocalCluster

    size = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with LocalCluster(**size) as cluster, Client(cluster), joblib.parallel_config("dask"):
        swept({**points, "kernel.swap": [1, 2]}, 2)
        return swept(points, 2)


def thousand_pages(kernel):
    """A job of 1,000 pages moves."""
    job = kernel.spawn("job")
    heap = job.mmap(1000)
    job.touch(heap, write=True)
    return {"left": job.migrate_pages(0, 0, 1), "there": job.placement(heap).count(1)}


def rows(small=False):
    """The rows of many runs; sweeps are of a million pages a point, so that starting processes is not what counts."""
    number, pages = (4, "64 MB") if small else (POINTS, "4 GB")
    points = {"machine.memory": ["8 GB"], "task.job.memory.heap.size": [pages],
              "kernel.swap": range(1000, 1000 + number)}  # fmt: skip
    swept({**points, "kernel.swap": [1]}, 1)  # compiles
    one, two = swept(points, 1), least(on_two, points)
    what, seconds = f"sweep of {number} points of {pages}", f"{said(two)} s, on one {said(one)}"
    yield Row(f"{what}: two processes, over one", two / one, "x as long", 0.55, note=seconds)
    try:
        cluster = least(on_cluster, points)
        yield Row(f"{what}: cluster of two, over two processes", cluster / two, "x as long", 1.15,
                  note=f"{said(cluster)} s")  # fmt: skip
    except ImportError:
        yield Row(f"{what}: cluster of two, over two processes", None, "x as long", 1.15, note="dask is not there")
    took, told = wall(mmsim.history, thousand_pages)
    yield Row("history of 1,000 pages, all releases", took, "s", 5, note=f"{len(told.facts.columns)} kernels")
    speeds = {}
    for name, (build, actors) in SCENES.items():
        explore(build, actors)  # makes the generators of this race
        runs = [cpu(explore, build, actors) for _ in range(3)]
        speeds[name] = max(found.schedules / took for took, found in runs)
    slowest, fastest = min(speeds, key=speeds.get), max(speeds, key=speeds.get)
    note = f"{slowest}, the slowest of {len(SCENES)} races; {fastest}: {said(speeds[fastest])}; CPU time"
    yield Row("schedules of a race", speeds[slowest], "a second", 1000, least=True, note=note)
