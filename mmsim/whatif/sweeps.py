"""sweep: one scenario in many variants, in parallel processes, kept on disk row by row."""

import contextlib
import functools
import itertools
import json
import random
import re
import signal
import tomllib
import warnings
from os import PathLike
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool

import joblib
import numpy as np
from joblib.parallel import get_active_backend
from tqdm.auto import tqdm

from ..terms.arguments import like, shown, whole
from ..machine import compile_cache
from ..machine.speed import SlowWarning
from ..machine.lazy import Lazy
from ..machine.config import Costs
from .estimate import refuse
from .kept import Log
from .report import NOT_WHOLE
from .scenario import Scenario, ScenarioError
from .schema import toml

pd = Lazy("pandas")
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
    plans = []
    for parameters in new.values() if here and scenario.plan and not anyway else []:
        with contextlib.suppress(ScenarioError):  # of a point that cannot be
            plans.append(scenario.plan(own(parameters)))
    if plans:
        refuse(plans, min(joblib.effective_n_jobs(jobs), len(plans)))

    def each():
        yield from old.items()
        for key, row in run_points([(scenario, key, parameters, seed) for key, parameters in new.items()], jobs):
            if log:
                log.append(key, row)
            yield key, row

    return each()


def own(parameters):
    """The parameters of a point, without those that `sensitivity` adds."""
    return {name: value for name, value in parameters.items() if name not in (COST, FACTOR)}


def run_points(left, jobs):
    """Yield what `run_point` gives for each of some arguments, as it comes; one that ends its process ends no other."""
    client, start = getattr(get_active_backend()[0], "client", None), executor_for(left, jobs)
    # Where nothing is compiled yet, the first of many does that alone; the others find it on disk.
    first = int(len(left) > 4 * joblib.effective_n_jobs(jobs) > 4 and not compile_cache.filled())
    for part in (left[:first], left[first:]):
        if client:
            yield from run_on_dask(client, part)
        elif start:
            yield from run_in_processes(start, {args[1]: args for args in part}, joblib.effective_n_jobs(jobs))
        else:
            calls = (joblib.delayed(run_point)(*args) for args in part)
            yield from joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(calls)


def run_in_processes(start, left, processes):
    """`run_points` in so many processes; of `left`, {name of a point: its arguments}, what is done is taken out."""
    while left:
        lost = {}
        for key, found in outcomes(start, left.copy(), processes):
            if isinstance(found, Exception):
                lost[key] = found
            else:
                del left[key]
                yield key, found
        for key, error in lost.items():
            again = {key: left.pop(key)}
            if len(lost) > 1:  # any of those that were under way may be the cause: each runs again, alone
                yield from run_in_processes(start, again, processes)
            else:
                yield key, {"error": how_it_ended(error)}


def outcomes(start, points, processes):
    """Yield (name, figures, or the error that says how its process has ended) of points as they end.

    Not more are under way than there are processes, so that few are lost if one of these ends.
    """
    executor, running, todo = start(), {}, iter(points.items())
    try:
        while True:
            # A thread that began before `out_of_ctrl_c` takes ctrl-C, and it is heard in here.
            with out_of_ctrl_c(), contextlib.suppress(BrokenProcessPool):
                for key, args in itertools.islice(todo, processes - len(running)):
                    running[executor.submit(run_point, *args)] = key
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                key, error = running.pop(future), future.exception()
                yield (key, error) if isinstance(error, BrokenProcessPool) else future.result()
    except BaseException:
        executor.shutdown(kill_workers=True)
        raise


def executor_for(left, jobs):
    """A function that gives an executor whose processes run points; None where joblib shall see to it.

    joblib starts none for one job, so that a point which ends its process would end this one.
    """
    backend, _ = get_active_backend()
    if type(backend).__name__ != "LokyBackend" or backend.effective_n_jobs(2) < 2:
        return None
    from joblib.executor import get_memmapping_executor  # not there where no process can be started
    from joblib.externals.loky.backend.reduction import dumps

    processes = joblib.effective_n_jobs(jobs)
    if processes == 1:
        try:
            dumps(left)
        except Exception:  # whatever an object of somebody else's raises
            return None
    no_ctrl_c = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_IGN)}  # the parent ends them
    return functools.partial(get_memmapping_executor, processes, **no_ctrl_c)


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
