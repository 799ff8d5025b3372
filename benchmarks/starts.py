"""What a session waits for until it runs: the compiler the first time, the imports and the kept code later."""

import tempfile

from rows import Row, fresh, said

IMPORTS = "from mmsim import Kernel, Topology"
START = f"""
{IMPORTS}
task = Kernel(Topology.uniform(2, 100_000), compiled=True).spawn("job")
task.touch(task.mmap(1000), write=True)
task.migrate_pages(0, 0, 1)
"""


def rows(small=False):
    """The rows of starts; the figure is CPU time, which other work on the machine alters least."""
    runs = 1 if small else 5
    numpy, mmsim, imports = (fresh(code, runs) for code in ("import numpy", "import mmsim", IMPORTS))
    taken = []
    for _ in range(min(runs, 3)):  # each compiles
        with tempfile.TemporaryDirectory() as folder:
            taken.append((*fresh(START, 1, XDG_CACHE_HOME=folder), *fresh(START, runs, XDG_CACHE_HOME=folder)))
    *first, later_clock, later_cpu = map(min, zip(*taken, strict=True))
    yield Row("import mmsim", mmsim[1], "s", note=f"import numpy: {said(numpy[1])}")
    yield Row("first compiled run", first[1], "s", 5, note=f"{said(first[0])} s by the clock")
    over, clock = later_cpu - imports[1], later_clock - imports[0]
    yield Row("later compiled run, over its imports", over, "s", 0.5,
              note=f"{said(clock)} s by the clock; imports {said(imports[1])}")  # fmt: skip
