"""What if at real size: a job of 64 GB in one point, and a hundred points of a million pages on one core and on two.

python benchmarks/sweep.py [points]
"""

import resource
import sys
import time

import mmsim

POINTS = int(sys.argv[1]) if len(sys.argv) > 1 else 100
LARGE = {"machine.memory": "80 GB", "task.job.memory.heap.size": "64 GB"}
MILLION = {"machine.memory": "8 GB", "task.job.memory.heap.size": "4 GB", "kernel.swap": range(1000, 1000 + POINTS)}


def timed(what, function, *args, **options):
    """Print what a call takes, s."""
    begin = time.perf_counter()
    function(*args, **options)
    seconds = time.perf_counter() - begin
    print(f"{what:40} {seconds:6.1f} s", flush=True)
    return seconds


if __name__ == "__main__":
    job = mmsim.Scenario.load("scheduler-moved-my-job")
    timed("loading, or compiling, the kernel", job.run, {"scale": "1/64"})
    timed("64 GB, 16,777,216 pages, one point", job.run, LARGE)
    print(f"{'memory of that':40} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:6.1f} GB")
    what = f"{POINTS} points of 1,048,576 pages, jobs="
    one, two = (timed(f"{what}{jobs}", mmsim.sweep, job, MILLION, jobs, progress=False) for jobs in (1, 2))
    print(f"{'two processes are faster by':40} {one / two:6.2f}")
