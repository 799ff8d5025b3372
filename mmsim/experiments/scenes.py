"""Ready-made machines that lessons, tests and benchmarks share."""

from ..machine.kernel import Kernel
from ..mm import aops, structs, timer
from ..machine.topology import Topology


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

    The job maps `file_pages` clean ext3 pages, and below them `anonymous` ones.  The list of pages to move begins at
    the highest address: the file pages are moved first, and time passes before the first slot is needed.  `period`: ns
    between two interrupts of a node; each holds its page for a second.  `frames`: of each node.
    """
    kernel = Kernel(Topology.uniform(nodes=2, frames=frames), patches=patches, swap_slots=2 * frames, trace=trace)
    job = kernel.spawn("job", node=0)
    heap = job.mmap(anonymous, name="heap")
    data = job.mmap(file_pages, file=kernel.file("data", file_pages, "ext3"), name="data")
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


def journal_commit(patches=(1, 3)):
    """One page in a journal, mapped by four tasks, whose commit comes while migration unmaps it: (kernel, frames).

    `kernel.migrate(frames, 1)` finds its buffers held in each pass.  From pass 3 on it falls back to swapping the page
    out, and the first time that this gets as far as unmapping, the journal lets go: the page leaves memory.
    """
    kernel = Kernel(Topology.uniform(nodes=2, frames=256), patches=patches)
    file, tasks = kernel.file("log", 1, "ext3-journalled"), [kernel.spawn(name) for name in "abcd"]
    tasks[0].write(file)
    for task in tasks:
        task.touch(task.mmap(1, file, writable=False))
    frames = tasks[0].pages()["pfn"].astype(int).tolist()
    kernel.k.mem_map[frames[0]].flags |= structs.PG_locked
    kernel.call(aops.writepage, frames[0], kernel.k.mem_map[frames[0]].mapping)  # pdflush has written it
    (commit,) = (row["time"] for row in kernel._timers() if row["kind"] == timer.COMMIT)
    kernel.wait(commit - len(tasks) * kernel.costs.unmap - kernel.clock)
    return kernel, frames


def move(kernel, task, to=1):
    """Trigger D, an in-kernel caller with a list of new pages: move all that the task has in memory.

    Such a caller makes its own list; this one begins at the lowest address.  The lists of the other triggers begin at
    the highest.
    """
    return kernel.migrate(task.pages()["pfn"].dropna(), to)
