"""How long what-ifs take that cannot be compiled; one that takes too long does not begin unasked."""

from fractions import Fraction
from math import ceil, log2

from .schema import ScenarioError

PATIENCE = 60  # seconds after which nobody believes any more that it will end
# Seconds a page of an interpreted run in which all pages move, everything included. `mmsim run scheduler-moved-my-job
# --set scale=1/512 --set kernel.compiled=false` has 8,192 of them; the other shipped scenarios take 20 to 50 us a page.
PAGE = 50e-6


def refuse_long(plans, processes=1):
    """Raise ScenarioError if numba is not there and plans take long, on so many processes."""
    sizes = [pages(plan) for plan in plans if not plan.kernel.compiled]  # one that must be compiled says so itself
    seconds = max([sum(sizes) / processes, *sizes]) * PAGE
    if seconds <= PATIENCE or have_numba():
        return
    scale = Fraction(min(plan.scale for plan in plans) / 2 ** ceil(log2(seconds / PATIENCE))).limit_denominator(10**6)
    raise ScenarioError(
        f"without numba this takes about {said(seconds)}: {sum(sizes):,} pages at {PAGE * 1e6:.0f} us, "
        f"processes: {processes}. What would help: pip install numba (some hundred times as fast), or a smaller "
        f"machine, as with --set scale={scale}. To begin all the same: --anyway (in Python: anyway=True)"
    )


def pages(plan):
    """How many pages a run of a plan fills or maps; each child has its own page table."""
    tasks = sum((task.children + 1) * sum(area.size for area in task.memory) for task in plan.task)
    return tasks + sum(load.cache + load.memory for load in plan.background)


def have_numba():
    """True if numba is there, and in a version that works."""
    try:
        from .. import compiled  # noqa: F401
    except ImportError:
        return False
    return True


def said(seconds):
    """A time as people say it."""
    minutes = ceil(seconds / 60)
    return f"{minutes} minutes" if minutes < 120 else f"{ceil(minutes / 60):,} hours"
