r"""A simulator of page migration from the literature, on pages that it moves: Ramulator with migration on the fly.

doi.org/10.1145/3364179; MIT.  No package registry has it: it is fetched and built by hand, and its folder is named.

git clone https://github.com/shashankshashank44/HMA_onfly_adaptive
cd HMA_onfly_adaptive
sed -i 's/(\(q->dom == 1\) && \(.*reverse_migration == 1\))$/(\2 \&\& \1)/' src/Processor.cpp
make CXX=g++
RAMULATOR=HMA_onfly_adaptive python benchmarks/bench.py simulator

The third line turns two tests round: built by g++ 12, it reads through a null pointer at its first migration.
"""

import os
import re
import subprocess
import tempfile
from pathlib import Path

from rows import Row, wall

PAGES, LINES, ROUNDS = 1 << 13, 64, 4  # they do not fit into its caches, and are hot from the second round on
UNIT = "pages a second"


def rows(small=False):
    """The row of the simulator: a stream over pages, half of them in the slow memory, from where they all move."""
    what, folder = "Ramulator, migration on the fly", os.environ.get("RAMULATOR")
    if not folder:
        yield Row(what, None, UNIT, note="not measured: name its folder, as benchmarks/simulator.py says")
        return
    configs = [Path(folder, "configs", f"{name}-config.cfg").resolve() for name in ("HBM", "PCM", "HMA")]
    with tempfile.TemporaryDirectory() as scratch:
        one = "".join(f"1 {address} 4198400 1\n" for address in range(0, PAGES * 4096, 4096 // LINES))
        Path(scratch, "stream").write_text(one * (1 if small else ROUNDS))
        line = [Path(folder, "ramulator").resolve(), "hybrid", *configs, "--mode=hma_onfly", "--stats", "out", "stream"]
        took, done = wall(subprocess.run, line, cwd=scratch, check=True, capture_output=True, text=True)
    moved = int(re.search(r"Total migration count (\d+)", done.stdout)[1])
    note = f"{moved:,} pages, and {PAGES * LINES * ROUNDS:,} accesses, cycle by cycle; by the clock"
    yield Row(what, moved / took, UNIT, note=note)
