"""Ready-made machines that lessons, tests and benchmarks share."""

from .machine import Kernel
from .topology import Topology


def worked_example(patches=7, pages=64, trace=True, compiled=None):
    """Two nodes, one task on node 0 that wrote `pages` anonymous pages there: (kernel, task, heap)."""
    kernel = Kernel(
        Topology.uniform(nodes=2, frames=max(1024, 2 * pages)), patches=patches, compiled=compiled, trace=trace
    )
    task = kernel.spawn("a", node=0)
    heap = task.mmap(pages, name="heap")
    task.touch(heap, write=True)
    return kernel, task, heap


def low_memory(patches=7, file_pages=3000, anonymous=1000, period=20_000, frames=8192, trace=False):
    """Two nodes full of clean page cache, under interrupt load, and a job on node 0: (kernel, job).

    What patch 7 is about: moving the job to node 1 takes swap entries, these take radix tree nodes,
    and the reserve that GFP_ATOMIC may use is the interrupts'.

    Parameters
    ----------
    patches
        As for Kernel.
    file_pages, anonymous : int
        The job maps so many clean ext3 pages, and behind them so many anonymous ones.
    period : int
        ns between two interrupts of a node; each holds its page for a second.
    frames : int
        Page frames of each node.
    """
    kernel = Kernel(Topology.uniform(nodes=2, frames=frames), patches=patches, swap_slots=2 * frames, trace=trace)
    job = kernel.spawn("job", node=0)
    data = job.mmap(file_pages, file=kernel.file("data", file_pages, "ext3"), name="data")
    heap = job.mmap(anonymous, name="heap")
    job.touch(data)
    job.touch(heap, write=True)
    filler = kernel.spawn("filler")
    zones = kernel.tables["zone"]
    for node in range(2):
        filler.run_on(node)
        pages = int(zones["free"][node] - zones["pages_low"][node])
        cache = filler.mmap(pages, file=kernel.file(f"cache {node}", pages, "ext2"))
        filler.touch(cache)
        filler.munmap(cache)
    zones["lowest_free"] = zones["free"]
    for node in range(2):
        kernel.interrupts(node, period, hold=1_000_000_000)
    return kernel, job


def move(kernel, task, to=1):
    """Trigger D, an in-kernel caller with a list of new pages: move all that the task has in memory."""
    return kernel.migrate(task.pages()["pfn"].dropna(), to)
