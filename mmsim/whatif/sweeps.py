"""sweep: one scenario in many variants, in parallel processes, kept on disk row by row."""

import contextlib
import hashlib
import itertools
import json
import random
import tomllib
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from ..config import Costs
from .estimate import refuse_long
from .scenario import Scenario, ScenarioError

COST, FACTOR = "costs of", "times"  # the columns of a sensitivity run; no parameter can have such a name


def sweep(scenario, grid=None, jobs=-1, progress=True, *, keep=None, seed=0, sensitivity=False,
          anyway=False):
    """Run every combination of some parameters; a point that fails is a row with its error.

    Processes of this machine share the work.  For a cluster of machines, use joblib's dask backend:
    ``with joblib.parallel_config("dask"): mmsim.sweep(scenario, grid)`` after ``dask.distributed.Client(address)``.

    Parameters
    ----------
    scenario : Scenario, or name or file of one
    grid : dict, optional
        ``{parameter: values}``; default: the grid of the scenario.
    jobs : int
        Processes; -1: one for each core, 1: none but this one.
    progress : bool
        Show a progress bar.
    keep : path, optional
        A file (JSON, one row a line) to which each finished row goes at once.  If a sweep was interrupted,
        another one with the same file goes on from there.
    seed : int
        Python's and numpy's random numbers start from it and from the parameters, at every point.
    sensitivity : bool
        Run each point also with each of the `Costs` halved and doubled: columns "costs of" and "times".
    anyway : bool
        Begin also where numba is not installed and the sweep takes over a minute; else that is a ScenarioError.

    Returns
    -------
    DataFrame
        One row a point, in the order of the grid: its parameters, then the FIGURES.
    """
    scenario = scenario if isinstance(scenario, Scenario) else Scenario.load(scenario)
    todo = points(scenario, grid, sensitivity)
    running, done = rows(scenario, todo, jobs, keep, seed, anyway), {}
    with tqdm(total=len(todo), disable=not progress, unit="point") as bar:
        for key, row in running:
            done[key] = row
            bar.update()
    return table(scenario, todo, done)


def points(scenario, grid=None, sensitivity=False):
    """The points of a grid: {what names a point: its parameters}."""
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


def value_of(text):
    """A value as TOML has it; what is none is a text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        return text.strip()


def values_of(text):
    """The values of 'a,b,c'; a list among them stands in brackets, as in TOML."""
    values = value_of(f"[{text}]")
    return values if isinstance(values, list) else [value_of(part) for part in text.split(",")]


def rows(scenario, todo, jobs=-1, keep=None, seed=0, anyway=False):
    """An iterator over (name of the point, row) as points finish: first those that a file has kept, then new ones.

    ScenarioError, before anything runs, if the new ones take too long; `anyway`: not then.
    """
    log = Log(keep, scenario, seed) if keep else None
    old = {key: row for key, row in (log.read() if log else {}).items() if key in todo}
    new = {key: parameters for key, parameters in todo.items() if key not in old}
    if scenario.plan and not anyway and (plans := list(plans_of(scenario, new))):
        refuse_long(plans, min(joblib.effective_n_jobs(jobs), len(plans)))

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
    if len(left) > 4 * joblib.effective_n_jobs(jobs) > 4:
        yield run_point(*left.pop(0))  # compiles what is to be compiled; the processes find it on disk
    yield from joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(
        joblib.delayed(run_point)(*args) for args in left
    )


def run_point(scenario, key, parameters, seed):
    """Run one point: (its name, its figures)."""
    random.seed(f"{seed} {key}")
    np.random.seed(random.getrandbits(32))  # noqa: NPY002 -- a scenario may use either
    times = {} if parameters.get(COST, "none") == "none" else {parameters[COST]: parameters[FACTOR]}
    try:
        return key, scenario.run(own(parameters), times, anyway=True).figures
    except Exception as error:  # whatever a point does, the others go on
        return key, {"error": f"{type(error).__name__}: {error.args[-1] if error.args else ''}"}


def table(scenario, todo, done):
    """The rows that are there, in the order of the points."""
    found = [
        {name: value if np.isscalar(value) else str(value) for name, value in todo[key].items()} | done[key]
        for key in todo if key in done
    ]  # fmt: skip
    parameters = list(next(iter(todo.values())))
    columns = [*parameters, *(figure for figure in scenario.figures if figure != "error"), "error"]
    return pd.DataFrame(found).reindex(columns=columns)


class Log:
    """The file in which a sweep keeps its rows; its first line says of which scenario they are."""

    def __init__(self, path, scenario, seed):
        self.path = Path(path)
        text = json.dumps([scenario.name, scenario.source, seed], sort_keys=True, default=str)
        self.head = {"scenario": scenario.name, "digest": hashlib.sha256(text.encode()).hexdigest()[:16]}

    def read(self):
        """{name of the point: row} of what the file holds; it is begun if it is not there."""
        text = self.path.read_text() if self.path.exists() else ""
        head, *lines = text.splitlines(keepends=True) or [json.dumps(self.head) + "\n"]
        if head.rstrip() != json.dumps(self.head):
            raise ValueError(f"keep: {self.path} has rows of another scenario or seed; name another file, or delete it")
        whole = [line for line in lines if line.endswith("\n")]  # the last one may have been cut off
        if text != head + "".join(whole):
            self.path.write_text(head + "".join(whole))
        return {kept["point"]: kept["row"] for kept in map(json.loads, whole)}

    def append(self, key, row):
        """Write one row; it is on disk when this returns."""
        with self.path.open("a") as file:
            file.write(json.dumps({"point": key, "row": row}) + "\n")
