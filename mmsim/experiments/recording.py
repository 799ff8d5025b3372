"""Run the catalogue on a machine, and write down what is seen: `mmsim record`.

On a machine that has Python and nothing else: ``python -m mmsim record mine.jsonl``.  numpy is not imported here.
"""

import json
import warnings
from pathlib import Path

from .catalogue import named
from .matrix import CATALOGUE

FORMAT = "mmsim experiments 1"


def facts_of(experiment, kernel):
    """The facts that an experiment gives on a machine, as JSON has them; "ends with" is one if an error ends it.

    NotImplementedError: the machine cannot do this.
    """
    try:
        facts = experiment(kernel)
    except NotImplementedError:
        raise
    except Exception as error:  # also one that the model has instead of an errno, or a wrong argument on both
        facts = {"ends with": named(error)}
    return json.loads(json.dumps(facts, default=int))


def describe(kernel):
    """The first line of a record: the machine."""
    topology, swap = kernel.topology, Path("/proc/swaps").read_text().splitlines()[1:]
    return {"id": "env", "format": FORMAT, "kernel": kernel.release, "distances": topology.distances,
            "frames": topology.frames, "swap": bool(swap), "notes": kernel.notes}  # fmt: skip


def record(kernel, progress=iter, experiments=None):
    """Run experiments on a real machine, one after the other: the lines of the record, as they come.

    `progress` shows that of an iterable, as tqdm does.  `experiments`: default the whole catalogue.
    """
    yield json.dumps(describe(kernel))
    for name, experiment in progress((CATALOGUE if experiments is None else experiments).items()):
        line = {"id": name}
        try:
            line["facts"] = facts_of(experiment, kernel)
        except NotImplementedError as error:
            line["not possible"] = str(error)
        except PermissionError as error:
            line["not possible"] = error.strerror
        kernel.clear()
        yield json.dumps(line)


def record_into(path, progress=iter, kernel=None):
    """Record this machine into a file, line by line, so that what is there stays if it is interrupted.

    Returns how many experiments were recorded, and how many were not possible.  FileExistsError: there is such a file;
    any other OSError: this machine cannot be recorded, the message says why.
    """
    from ..linux import Linux

    counts = [0, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the notes are in the record
        kernel = kernel or Linux()
    with kernel, open(path, "x", encoding="utf-8") as file:
        for line in record(kernel, progress):
            file.write(line + "\n")
            file.flush()
            counts["not possible" in line] += 1
    return counts[0] - 1, counts[1]
