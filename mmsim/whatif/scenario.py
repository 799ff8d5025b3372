"""Scenario: a machine, the jobs on it, and the move to be judged; in Python, or as a TOML file."""

import copy
import functools
import inspect
import json
import tomllib
from os import PathLike
from dataclasses import replace
from importlib import resources
from pathlib import Path

from ..terms.arguments import function, like, shown, text
from . import plans, report
from .estimate import refuse
from .schema import SCENARIO, ScenarioError, Table, Tables, check_tables, near, read

WORDS = {"name", "question", "grid", "report"}  # keys of a file on which no figure depends, or only in part
# What a file says of its kernel does not hold where a parameter names another one.
INSTEAD = {
    "kernel.release": {"kernel.patches", "kernel.without"},
    "kernel.patches": {"kernel.release", "kernel.without"},
}
SHIPPED = resources.files("mmsim.whatif") / "scenarios"


class Scenario:
    """A question: what would this move do.

    Parameters
    ----------
    name : str
    build : callable
        A function of the parameters that gives the Kernel with its jobs.  It takes them by name, or all as a dict
        in an argument called `parameters`.
    trigger : callable
        A function of the Kernel (and of parameters, if it names any) that migrates, and returns the Migration.
    grid : dict, optional
        Values to try of some parameters, for `sweep` and the Sweep widget.

    Examples
    --------
    >>> def build(pages, patches=7):
    ...     kernel = Kernel(Topology.uniform(nodes=2, frames=4 * pages), patches=patches, trace=False)
    ...     job = kernel.spawn("job")
    ...     job.touch(job.mmap(pages), write=True)
    ...     job.run_on(1)
    ...     return kernel
    >>> scenario = Scenario("follow", build, lambda kernel: kernel.tasks[0].migrate_pages(0, 0, 1))
    >>> scenario.run({"pages": 100}).figures["direct"]
    100
    """

    def __init__(self, name, build, trigger, grid=None):
        for what, given in (("build", build), ("trigger", trigger)):
            function(given, what, "it is a function")
        if grid is not None:
            like(grid, "items", "grid", "give {parameter: values}")
        self.name, self.build, self.trigger, self.grid = text(name, "name"), build, trigger, grid or {}
        self.question, self.source, self.figures = "", None, list(report.FIGURES)
        self.progress = None  # while it runs: a function that is told how many pages are done
        self.plan = None  # of a file: a function of parameters. Of functions nobody knows what they will do.
        self.tasks, self.rate = (lambda kernel: kernel.tasks), report.RATE

    @classmethod
    def load(cls, file):
        """The scenario of a TOML file, or the shipped one of that name (see `scenarios`).

        Raises
        ------
        ScenarioError
            Names the file, the key, the value and what would be right.
        """
        if not isinstance(file, (str, PathLike)):
            raise TypeError(f"file is {shown(file)}; give the name of a shipped scenario, or the path of a file")
        path = Path(file)
        if path.suffix != ".toml" and not path.is_file():
            if file not in scenarios():
                raise ScenarioError(f"no scenario is called {str(file)!r}; {near(file, scenarios())}")
            path = SHIPPED / f"{file}.toml"
        try:
            text = path.read_text(encoding="utf-8-sig")  # Windows' Notepad marks the order of bytes
        except OSError as error:
            raise ScenarioError(f"{file}: {error.strerror}") from None
        except ValueError as error:
            raise ScenarioError(f"{file}: {error}; save it as UTF-8") from None
        return cls.loads(text, str(file))

    @classmethod
    def loads(cls, text, file="the text"):
        """The scenario of a TOML text; `file`: its name in errors."""
        try:
            document = tomllib.loads(text)
        except ValueError as error:  # says line and column
            raise ScenarioError(f"{file}: this is not TOML: {error}") from None
        except RecursionError:
            raise ScenarioError(f"{file}: {TOO_DEEP}") from None
        source = file, document
        plan = check(source)
        for key, value in ((key, value) for key, values in plan.grid.items() for value in values):
            check(source, {key: value})

        def planned(parameters):
            plan = check(source, parameters)
            plan.progress = made.progress
            return plan

        made = cls(plan.name, lambda parameters: plans.build(planned(parameters)),
                   lambda kernel, parameters: plans.pull(kernel, planned(parameters)), plan.grid)  # fmt: skip
        made.plan = planned
        made.question, made.source, made.figures = plan.question, document, plan.report.figures or made.figures
        made.tasks = functools.partial(plans.reported, plan)
        made.rate = plan.report.rate
        return made

    def run(self, parameters=None, times=None, *, anyway=False, details=True, progress=None):
        """Build the machine, let its tasks run, move, let them run again.

        Parameters
        ----------
        parameters : dict, optional
            For a file: dotted keys, as in ``{"kernel.patches": 3, "task.job.memory.heap.size": "8 GB"}``.
        times : dict, optional
            Multiply some costs once the machine is built, as in ``{"copy": 2}``.
        anyway : bool
            Begin also where the run needs more memory than there is, or over a minute because numba is missing.
        details : bool
            Look also at what the nodes hold before and after, and at what is left.
        progress : callable, optional
            Told, as the run goes on, how many pages are done; see `estimate.bar`.

        Returns
        -------
        Run
            `.figures`, `.kernel`, `.migrations`, `.answers`, `.before`, `.after`, `.left`.

        Raises
        ------
        ScenarioError
            For a key that is no parameter, a value that cannot be, and a run that takes too much (see `anyway`).
        """
        parameters = parameters or {}
        self.accept(parameters)
        self.progress = progress
        plan = self.plan(parameters) if self.plan else None
        if plan and not anyway:
            refuse([plan])
        kernel = call(self.build, parameters)
        scaled = {cost: round(getattr(kernel.costs, cost) * by) for cost, by in (times or {}).items()}
        kernel.costs = replace(kernel.costs, **scaled)
        kernel.tables["costs"][0] = tuple(vars(kernel.costs).values())
        leaving = plan and plans.leaving(kernel, plan)._replace(scale=plan.scale)
        return report.measure(kernel, lambda k: call(self.trigger, parameters, k), self.tasks(kernel), leaving,
                              self.rate, plan and plans.shares(plan, kernel), details, progress)  # fmt: skip

    def accept(self, keys):
        """Raise ScenarioError for a key that is no parameter of this scenario."""
        for key in keys:
            if self.source is not None:
                put(copy.deepcopy(self.source), key, None)
            elif not any(takes(function, key) for function in (self.build, self.trigger)):
                known = [p for f in (self.build, self.trigger) for p in inspect.signature(f).parameters]
                raise ScenarioError(f"{self.name} has no parameter {key!r}; {near(key, known)}")

    def content(self):
        """What it is known by: all that its figures depend on, but not its name, nor which figures are shown."""
        if self.source is None:
            return self.build, self.trigger
        report = {key: value for key, value in self.source.get("report", {}).items() if key != "figures"}
        said = {key: value for key, value in self.source.items() if key not in WORDS} | {"report": report}
        return json.dumps(said, sort_keys=True, default=str)

    def __repr__(self):
        return f"<Scenario {self.name}>"


def scenarios():
    """{name: question} of the scenarios that come with mmsim."""
    files = sorted((f for f in SHIPPED.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return {f.name.removesuffix(".toml"): tomllib.loads(f.read_text(encoding="utf-8"))["question"] for f in files}


TOO_DEEP = "brackets or tables are nested too deeply; no value needs more than two brackets"
ALL = {"parameters", "params", "p"}  # an argument of such a name gets all parameters, as a dict


def takes(function, key):
    """True if a function has an argument of that name, or takes any."""
    parameters = inspect.signature(function).parameters
    return bool(parameters.keys() & {key, *ALL}) or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def call(function, parameters, *args):
    """Call a function with those parameters that it takes."""
    for name in ALL & set(inspect.signature(function).parameters) - set(parameters):
        return function(*args, **{name: parameters})
    return function(*args, **{key: value for key, value in parameters.items() if takes(function, key)})


def check(source, parameters=None):
    """The plan that a document makes, with some of its values replaced: see schema.py."""
    file, document = source
    try:
        document = copy.deepcopy(document)
        for key, value in sorted((parameters or {}).items(), key=lambda item: item[0].count(".")):
            place = put(document, key, value)  # a table before the keys in it
            for other in INSTEAD.get(key, {}) - (parameters or {}).keys():
                place.pop(other.rpartition(".")[2], None)
        plan = read(SCENARIO, document, {}, "")
        memory = sum(area.size for task in plan.task for area in task.memory)
        if memory > sum(plan.machine.frames) + plan.kernel.swap:
            raise ScenarioError(f"task: the tasks take {memory:,} pages; there are {sum(plan.machine.frames):,} in "
                                "machine.memory; make one of them smaller, or the other larger")  # fmt: skip
    except ScenarioError as error:
        raise ScenarioError(f"{file}: {error}") from None
    except RecursionError:
        raise ScenarioError(f"{file}: {TOO_DEEP}") from None
    return plan


def put(document, dotted, value):
    """Set a dotted key, as in task.job.memory.heap.size, in a document; ScenarioError if no such key can be there."""
    what, place, path = SCENARIO, document, []
    *tables, last = dotted.split(".")
    for part in tables:
        if isinstance(what, Table):
            what = what.keys[known(part, what.keys, path)].read
            if isinstance(what, Table) and not isinstance(place.get(part, {}), dict):
                place[part] = {what.short: place[part]}
            place = place.setdefault(part, [] if isinstance(what, Tables) else {})
        elif isinstance(what, Tables):
            check_tables(place, ".".join(path))
            names = [entry.get("name") for entry in place]
            what, place = what.table, place[names.index(known(part, names, path))]
        path.append(part)
    if not isinstance(what, Table):
        keys = ", ".join(what.table.keys) if isinstance(what, Tables) else "none"
        raise ScenarioError(f"{dotted} is not one value; keys below it: {keys}")
    known(last, what.keys, path)
    place[last] = value
    return place


def known(part, names, path):
    """A part of a dotted key, if it is among the names there."""
    if part not in names:
        raise ScenarioError(f"{'.'.join([*path, part])}: there is no {part!r}; {near(part, names)}")
    return part
