"""A compiled machine is the same machine: one migration, the same tables as interpreted."""

import numpy as np
import pytest
from machines import Checked

from mmsim import Topology
from mmsim.mm.structs import Tables

pytestmark = pytest.mark.fast


def migrated(compiled):
    """Anonymous and file pages, an obstacle or two, and a move from node 0 to 1."""
    kernel = Checked(Topology.uniform(nodes=2, frames=256), compiled=compiled)
    task = kernel.spawn("a")
    heap = task.mmap(40)
    task.touch(heap, write=True)
    file = kernel.file("f", 8)
    task.write(file)
    task.touch(task.mmap(8, file))
    child = task.fork()
    child.touch(range(heap.start, heap.start + 10), write=True)
    kernel.pin(task, heap[20])
    assert task.migrate_pages(0, 0, 1) == 1
    task.touch(heap, write=True)
    return kernel


def test_compiled_and_interpreted_machines_are_equal():
    pytest.importorskip("numba", reason="a compiled machine needs numba: pip install 'mmsim[fast]'")
    interpreted, compiled = migrated(False), migrated(True)
    assert compiled.compiled
    assert not interpreted.compiled
    for name in Tables._fields:
        assert np.array_equal(interpreted.tables[name], compiled.tables[name]), name
    assert interpreted.last.pages.equals(compiled.last.pages)
