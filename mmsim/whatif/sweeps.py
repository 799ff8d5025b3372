"""sweep: one scenario in many variants, in parallel processes, kept on disk row by row."""

import contextlib
import itertools
import json
import os
import random
import re
import signal
import tempfile
import threading
import tomllib
import warnings
from os import PathLike
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from joblib.parallel import get_active_backend
from tqdm.auto import tqdm

from ..terms.arguments import like, shown, whole
from ..machine.speed import SlowWarning
from ..machine.config import Costs
from .estimate import refuse
from .kept import Log
from .report import NOT_WHOLE
from .scenario import Scenario, ScenarioError
from .schema import toml

RELEASE = "kernel.release"
COST, FACTOR = "costs of", "times"  # the columns of a sensitivity run; no parameter can have such a name


def sweep(scenario, grid=None, jobs=-1, progress=True, *, keep=None, seed=0, sensitivity=False,
          anyway=False):
    """Run every combination of some parameters; a point that fails, or ends its process, is a row with its error.

    Processes of this machine share the work.  For a cluster of machines, use joblib's dask backend:
    ``with joblib.parallel_config("dask"): mmsim.sweep(scenario, grid)`` after ``dask.distributed.Client(address)``; on
    the command line ``mmsim sweep --cluster``.
    With ``joblib.parallel_config("sequential")`` all points run in this process, as a debugger needs; one that ends its
    process then ends all.  So do they where no process can be started (a browser), and for one job where the functions
    cannot be sent to another process.

    Parameters
    ----------
    scenario : Scenario, or name or file of one
    grid : dict, optional
        ``{parameter: values}``; default: the grid of the scenario.
    jobs : int
        Processes that run points; -1: one for each core.
    progress : bool
        Show a progress bar.
    keep : path, optional
        A file (JSON, one row a line) to which each finished row goes at once.  If a sweep was interrupted,
        another one with the same file goes on from there; points that failed are tried again.  The file belongs to one
        scenario, which it knows by its content: where the functions or the tables have changed, it is refused.
    seed : int
        Python's and numpy's random numbers start from it and from the parameters, at every point.
    sensitivity : bool
        Run each point also with each of the `Costs` halved and doubled: columns "costs of" and "times".
    anyway : bool
        Begin also where a point needs more memory than there is, or the sweep over a minute because numba is
        missing; else that is a ScenarioError.

    Returns
    -------
    DataFrame
        One row a point, in the order of the grid: its parameters, then the FIGURES.
    """
    if not isinstance(scenario, Scenario):
        if not isinstance(scenario, (str, PathLike)):
            raise TypeError(f"scenario is {shown(scenario)}; give a Scenario, or its name or file")
        scenario = Scenario.load(scenario)
    jobs, seed = whole(jobs, "jobs", least=-1), whole(seed, "seed")
    todo = points(scenario, grid, sensitivity)
    running, done = rows(scenario, todo, jobs, keep, seed, anyway), {}
    with tqdm(total=len(todo), disable=not progress, unit="point") as bar:
        for key, row in running:
            done[key] = row
            bar.update()
    return table(scenario, todo, done)


def points(scenario, grid=None, sensitivity=False):
    """The points of a grid: {what names a point: its parameters}."""
    if grid is not None:
        like(grid, "items", "grid", "give {parameter: values}")
    grid = {key: listed(values) for key, values in (grid or scenario.grid).items()}
    if not grid or not all(grid.values()):
        raise ValueError(f"grid is {grid}; give {{parameter: values}}, at least one value each")
    for name in set(grid) & set(scenario.figures):
        raise ValueError(f"grid: {name!r} is the name of a figure, so no parameter can have it")
    scenario.accept(grid)
    names, values = list(grid), itertools.product(*grid.values())
    found = [dict(zip(names, combination, strict=True)) for combination in values]
    if sensitivity:
        scaled = [("none", 1.0), *itertools.product(vars(Costs()), (0.5, 2.0))]
        found = [point | {COST: cost, FACTOR: factor} for point in found for cost, factor in scaled]
    return {json.dumps(point, sort_keys=True, default=str): point for point in found}


def listed(values):
    """The values of one parameter as a list; one value alone is a list of one."""
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        return [values]
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def value_of(text, key=""):
    """A value as TOML has it; what is none is a text, and so is a release, of which 5.10 is not 5.1."""
    if key == RELEASE:
        return text.strip().strip("\"'")
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text.strip()


def values_of(text, key=""):
    """The values of 'a,b,c'; a list among them stands in brackets, as in TOML."""
    values = text if key == RELEASE else value_of(f"[{text}]")
    return values if isinstance(values, list) else [value_of(part, key) for part in text.split(",")]


def text_of(values, key=""):
    """Values as `values_of` takes them; in quotes where a text like "0,3" would be torn."""
    plain = ", ".join(map(str, values))
    quoted = ", ".join(toml(value) for value in values)
    return plain if values_of(plain, key) == values else quoted


def rows(scenario, todo, jobs=-1, keep=None, seed=0, anyway=False):
    """An iterator over (name of the point, row) as points finish: first those that a file has kept, then new ones.

    ScenarioError, before anything runs, if the new ones take too much (see `refuse`); `anyway`: not then.
    """
    log = Log(keep, scenario, seed) if keep else None
    kept = log.read() if log else {}
    old = {key: row for key, row in kept.items() if key in todo and set(row) != {"error"}}  # without figures: once more
    new = {key: parameters for key, parameters in todo.items() if key not in old}
    here = not hasattr(get_active_backend()[0], "client")  # what the computers of a cluster have, nobody says
    if here and scenario.plan and not anyway and (plans := list(plans_of(scenario, new))):
        refuse(plans, min(joblib.effective_n_jobs(jobs), len(plans)))

    def each():
        yield from old.items()
        for key, row in run_points([(scenario, key, parameters, seed) for key, parameters in new.items()], jobs):
            if log:
                log.append(key, row)
            yield key, row

    return each()


def plans_of(scenario, todo):
    """The plans of those points that can be."""
    for parameters in todo.values():
        with contextlib.suppress(ScenarioError):
            yield scenario.plan(own(parameters))


def own(parameters):
    """The parameters of a point, without those that `sensitivity` adds."""
    return {name: value for name, value in parameters.items() if name not in (COST, FACTOR)}


def run_points(left, jobs):
    """Yield what `run_point` gives for each of some arguments, as it comes."""
    many = len(left) > 4 * joblib.effective_n_jobs(jobs) > 4
    first = 1 if many else 0  # compiles what is to be compiled; the others find it on disk
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as begun:
        for part in (left[:first], left[first:]):
            if client := getattr(get_active_backend()[0], "client", None):
                yield from run_on_dask(client, part)
            else:
                yield from run_in_processes(dict(enumerate(part)), jobs, Path(begun))


def run_in_processes(left, jobs, begun):
    """`run_points` in parallel; a point that ends its process ends no other.

    `left`: {number: arguments of a point}, of which what is done is taken out.  `begun`: a folder in which each point
    has a file as long as it runs.
    """
    one = one_process(left, jobs)

    def parallel(some):
        marked = ((begun / str(n), n, args, os.getpid()) for n, args in some)
        if one:
            return (one(run_marked, *args) for args in marked)
        calls = (joblib.delayed(run_marked)(*args) for args in marked)
        with out_of_ctrl_c():
            return joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(calls)

    while left:
        try:
            for n, found in parallel([*left.items()]):
                del left[n]
                yield found
        except BrokenProcessPool as error:  # all that was under way is lost; it runs again, one point at a time
            under_way = [n for n in left if (begun / str(n)).exists()] or [*left]
            for n in under_way:
                args = left.pop(n)
                found = args[1], {"error": how_it_ended(error)}
                if not one or len(under_way) > 1:  # else nothing but this point can be the cause
                    try:
                        ((_, found),) = parallel([(n, args)])
                    except BrokenProcessPool as again:
                        found = args[1], {"error": how_it_ended(again)}
                (begun / str(n)).unlink(missing_ok=True)
                yield found


def one_process(left, jobs):
    """A function that calls another one in a single process beside this one; None where joblib shall see to it.

    joblib starts none for one job, so that a point which ends its process would end this one.
    """
    backend, _ = get_active_backend()
    can = type(backend).__name__ == "LokyBackend" and backend.effective_n_jobs(2) > 1
    if not can or joblib.effective_n_jobs(jobs) > 1:
        return None
    from joblib.executor import get_memmapping_executor  # not there where no process can be started
    from joblib.externals.loky.backend.reduction import dumps

    try:
        dumps([*left.values()])
    except Exception:  # whatever an object of somebody else's raises
        return None

    def call(function, *args):
        executor = get_memmapping_executor(1)
        try:
            with out_of_ctrl_c():  # a thread that began before takes it, and it is heard in here
                future = executor.submit(function, *args)
            return future.result()
        except KeyboardInterrupt:
            executor.terminate(kill_workers=True)
            raise

    return call


@contextlib.contextmanager
def out_of_ctrl_c():
    """Threads and processes that begin meanwhile get no ctrl-C: it is for this thread, who ends them.

    One that is still importing would print a traceback.
    """
    try:
        from joblib.externals.loky.backend import resource_tracker
        from multiprocessing import resource_tracker as pythons

        for each in (resource_tracker, pythons):  # joblib would start them in between, and they let ctrl-C in again
            each.ensure_running()
        signal.pthread_sigmask  # noqa: B018
    except (ImportError, OSError, AttributeError):  # a browser; Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_on_dask(client, points):
    """`run_points` on a cluster; dask tries a point whose worker has ended on some others, then gives it up.

    joblib's backend would wait for such a point for ever.  What ran beside it may be given up with it, and runs again.
    """
    from distributed import KilledWorker, as_completed

    running = {client.submit(run_point, *args, pure=False): args for args in points}
    given_up = []
    for future in as_completed(running):
        args = running.pop(future)
        try:
            yield future.result()
        except KilledWorker:
            given_up.append(args)
    for args in given_up:
        found = args[1], {"error": "the process of this point has ended: so did each worker of dask that tried it"}
        if len(given_up) > 1:
            with contextlib.suppress(KilledWorker):
                found = client.submit(run_point, *args, pure=False).result()
        yield found


def run_marked(mark, n, args, parent):
    """(n, what `run_point` gives); while it runs, a file says so.  `parent`: the process that has asked for it."""
    if os.getpid() != parent and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is for the parent, who ends us
    with contextlib.suppress(OSError):  # another computer of a cluster has no such folder
        mark.touch()
    found = run_point(*args)
    with contextlib.suppress(OSError):
        mark.unlink()
    return n, found


def how_it_ended(error):
    """What joblib says of a process that has ended, as the error of its point."""
    codes = re.search(r"workers are \{(.*)\}", str(error))
    memory = ", as where memory runs out" * ("SIGKILL" in str(error))
    return f"the process of this point has ended: {codes[1] if codes else 'nothing says why'}{memory}"


def run_point(scenario, key, parameters, seed):
    """Run one point: (its name, its figures)."""
    random.seed(f"{seed} {key}")
    np.random.seed(random.getrandbits(32))  # noqa: NPY002 -- a scenario may use either
    times = {} if parameters.get(COST, "none") == "none" else {parameters[COST]: parameters[FACTOR]}
    try:
        with warnings.catch_warnings():
            if scenario.plan:  # `refuse` has said before how slow the sweep will be, or it is not
                warnings.simplefilter("ignore", SlowWarning)
            return key, scenario.run(own(parameters), times, anyway=True, details=False).figures
    except (Exception, SystemExit) as error:  # whatever a point does, the others go on
        return key, {"error": f"{type(error).__name__}: {error.args[-1] if error.args else ''}"}


def table(scenario, todo, done):
    """The rows that are there, in the order of the points."""
    found = [
        {name: value if np.isscalar(value) else str(value) for name, value in todo[key].items()} | done[key]
        for key in todo if key in done
    ]  # fmt: skip
    parameters = list(next(iter(todo.values())))
    figures = [figure for figure in scenario.figures if figure not in ("kernel", "error")]
    columns = [*parameters, "kernel", *figures, "error"]  # whose answer it is, whatever figures are asked for
    made = pd.DataFrame(found).reindex(columns=columns)
    return made.astype({name: "Int64" for name in figures if name not in NOT_WHOLE})  # also beside a row that failed
