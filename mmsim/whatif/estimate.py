"""What what-ifs take of this computer; one that takes too much memory, or too long, does not begin unasked."""

import contextlib
import os
import sys
from pathlib import Path
from fractions import Fraction
from math import ceil, floor

from tqdm.auto import tqdm

try:
    import resource
except ImportError:  # Windows
    resource = None

from ..mm import structs
from .schema import ScenarioError

PATIENCE = 60  # seconds after which nobody believes any more that it will end
# Seconds a page of an interpreted run in which all pages move, everything included. `mmsim run scheduler-moved-my-job
# --set scale=1/512 --set kernel.compiled=false` has 8,192 of them; the other shipped scenarios take 20 to 50 us a page.
PAGE = 50e-6
LOOK = 12  # bytes a page frame, while somebody looks whose it is
ANYWAY = "To begin all the same: --anyway (in Python: anyway=True)"


def refuse(plans, processes=1):
    """Raise ScenarioError if the largest plans, one a process, do not fit into memory, or if all take too long."""
    there, wanted = memory(), sum(sorted(map(size, plans))[-processes:])
    if wanted > there:
        raise ScenarioError(
            f"this takes about {wanted / 2**30:,.1f} GB of memory, and this computer has {there / 2**30:,.1f} to give; "
            f"processes: {processes}. What would help: {smaller(plans, wanted / there)}. {ANYWAY}"
        )
    long = [pages(plan) for plan in plans if not plan.kernel.compiled]  # one that must be compiled says so itself
    seconds = max([sum(long) / processes, *long]) * PAGE
    if seconds > PATIENCE:
        try:
            from ..machine import compiled  # noqa: F401
        except ImportError:  # it is not there, or in no version that works
            minutes = ceil(seconds / 60)
            about = f"{minutes} minutes" if minutes < 120 else f"{ceil(minutes / 60):,} hours"
            raise ScenarioError(
                f"without numba this takes about {about}: {sum(long):,} pages at {PAGE * 1e6:.0f} us, "
                f"processes: {processes}. What would help: pip install numba (some hundred times as fast), or "
                f"{smaller(plans, seconds / PATIENCE)}. {ANYWAY}"
            ) from None


def size(plan):
    """The bytes of the tables of a plan, while they grow and while everything moves."""
    page_table = structs.PTE.itemsize + 4  # and a number of k.wrote
    mapped = pages(plan) * (2 * page_table + structs.CONSIDERED.itemsize)
    return sum(plan.machine.frames) * (structs.PAGE.itemsize + LOOK) + 3 * 4 * plan.kernel.swap + mapped


def memory():
    """The bytes of memory that this computer can give to one who asks now; infinite where nobody says."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) << 10
    except (OSError, StopIteration):  # no Linux
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows, for one
        return float("inf")


def taken():
    """The bytes of memory that this process has taken, at most; None where nobody says."""
    if resource is None:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << (0 if sys.platform == "darwin" else 10)


def smaller(plans, factor):
    """What to do about plans that are too large by some factor: the largest scale that will do, and is easily typed."""
    by = Fraction(floor(100 / factor), 100) if factor < 2 else Fraction(1, ceil(factor))
    scale = Fraction(min(plan.scale for plan in plans)).limit_denominator(10**6) * by
    return f"a smaller machine, at most --set scale={scale}"


def pages(plan):
    """How many pages a run of a plan fills or maps; each child has its own page table."""
    tasks = sum((task.children + 1) * sum(area.size for area in task.memory) for task in plan.task)
    return tasks + sum(load.cache + load.memory for load in plan.background)


@contextlib.contextmanager
def bar(plan):
    """A progress bar, on a terminal, of a run that takes longer than two seconds: a function that is told of pages."""
    left = "{percentage:3.0f} % of {total:,} steps of a page |{bar}| {elapsed}, about {remaining} left"
    todo = 5 * pages(plan)  # each is filled, accessed three times, and moved
    with tqdm(total=todo, delay=2, leave=False, disable=not sys.stderr.isatty(), bar_format=left) as shown:
        yield lambda done: shown.update(min(done, todo - shown.n))
