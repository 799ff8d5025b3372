"""What a benchmark gives: rows, each with one figure and what was wanted of it."""

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Row(NamedTuple):
    """One figure.

    Attributes
    ----------
    what : str
    figure : float or None
        None: it was not measured; `note` says why.
    unit : str
    goal : float, optional
        At most this much is wanted, or with `least` at least; None: it is there to compare with.
    note : str
        What else was seen, or how it was measured.
    raw : dict, optional
        Numbers behind the figure, for docs/speed.py.
    """

    what: str
    figure: float | None
    unit: str
    goal: float | None = None
    least: bool = False
    note: str = ""
    raw: dict | None = None

    @property
    def ratio(self):
        """How much of the goal the figure takes: up to 1 it holds.  None without a goal or figure."""
        if self.goal is None or self.figure is None:
            return None
        return self.goal / self.figure if self.least else self.figure / self.goal

    @property
    def holds(self):
        """Yes, no, or nothing where there is no goal or figure."""
        return "" if self.ratio is None else "yes" if self.ratio <= 1 else "no"


def said(number):
    """A number with about three digits, or all of them where it has more before the point."""
    if number is None:
        return "-"
    return f"{number:,.{0 if abs(number) >= 100 else 1 if abs(number) >= 10 else 2}f}"


def cpu(function, *args, **named):
    """(CPU seconds of this process that a call takes, its result)."""
    begin = time.process_time()
    result = function(*args, **named)
    return time.process_time() - begin, result


def wall(function, *args, **named):
    """(seconds that a call takes, its result)."""
    begin = time.perf_counter()
    result = function(*args, **named)
    return time.perf_counter() - begin, result


def fresh(code, runs=1, **environment):
    """(wall, CPU) seconds that a fresh interpreter takes for some lines, each the least of several runs."""
    taken = []
    for _ in range(runs):
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, "-c", code], env=os.environ | environment, check=True, capture_output=True)
        clock, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append((clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    return tuple(map(min, zip(*taken, strict=True)))


@contextlib.contextmanager
def clone():
    """(A fresh clone of what is committed, an environment with an empty HOME and the package cache of this user)."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "-q", ROOT, f"{folder}/mmsim"], check=True)
        os.mkdir(f"{folder}/home")
        cache = os.path.expanduser("~/.cache/pip")
        kept = {name: os.environ[name] for name in os.environ if name.startswith(("PIP_", "SSL_", "LANG", "LC_"))}
        paths = os.pathsep.join(p for p in os.get_exec_path() if p != os.path.dirname(sys.executable))
        yield f"{folder}/mmsim", {"HOME": f"{folder}/home", "PIP_CACHE_DIR": cache, "PATH": paths} | kept
