"""Experiments for the time axis: functions of a machine, model or real, that give facts.

They use nothing but the public names of a machine, so that one function runs on the model as any kernel, and on a real
Linux.  What needs a machine of its own says so in its attribute `machine` (arguments of the Kernel); numpy is not
imported here.
"""

import errno

from ..terms.policy import Policy


def experiment(name, **machine):
    """Put a function into EXPERIMENTS, by name; `machine`: arguments of the Kernel that it needs."""

    def add(function):
        function.machine = machine
        EXPERIMENTS[name] = function
        return function

    return add


EXPERIMENTS = {}  # name: function of a kernel that gives {fact: value}
# The numbers are Linux's, whatever system the model runs on; a real one may answer with others as well.
ERRNO_NAMES = errno.errorcode | {
    1: "EPERM", 2: "ENOENT", 3: "ESRCH", 5: "EIO", 11: "EAGAIN", 12: "ENOMEM", 13: "EACCES", 14: "EFAULT", 16: "EBUSY",
    17: "EEXIST", 19: "ENODEV", 22: "EINVAL", 28: "ENOSPC", 38: "ENOSYS",
}  # fmt: skip


def answer(call, *args, **options):
    """What a call returns; of one that fails, the errno, as '-EINVAL'."""
    try:
        returned = call(*args, **options)
    except OSError as error:
        return named(error)
    return 0 if returned is None else returned


def named(error):
    """What an error is called: by its errno, as '-EINVAL'; of one that has none, its class, as 'KernelHang'."""
    if isinstance(error, OSError):
        return f"-{ERRNO_NAMES.get(error.errno, error.errno)}"
    return type(error).__name__


def written(task, pages, **options):
    """A mapping, each page written once."""
    mapping = task.mmap(pages, **options)
    task.touch(mapping, write=True)
    return mapping


def on(task, mapping, node):
    """How many pages of a mapping are on a node."""
    return task.placement(mapping).count(node)


@experiment("absent node beside a present one")
def absent_node(kernel):
    """Root calls migrate_pages(2) with a target of two nodes, one of which is not there."""
    task, admin = kernel.spawn("a", node=0), kernel.spawn("root", node=0, uid=0)
    heap = written(task, 4)
    return {"answer": answer(admin.migrate_pages, task.pid, 0, [1, 9]), "pages on node 1": on(task, heap, 1)}


@experiment("a heap that was only read")
def only_read(kernel):
    """A heap that was read and never written, moved."""
    task = kernel.spawn("a", node=0)
    heap = task.mmap(4)
    task.touch(heap)
    before = task.placement(heap)
    said = answer(task.migrate_pages, 0, 0, 1)
    return {"answer": said, "pages in memory before": 4 - before.count(None), "pages on node 1": on(task, heap, 1)}


@experiment("a machine without swap", swap_slots=0)
def without_swap(kernel):
    """Anonymous memory on a machine that has no swap space."""
    task = kernel.spawn("a", node=0)
    heap = written(task, 4)
    return {"answer": answer(task.migrate_pages, 0, 0, 1), "pages on node 1": on(task, heap, 1)}


@experiment("root's call on shared pages")
def shared_by_root(kernel):
    """Root moves a process whose heap is shared with a child."""
    task = kernel.spawn("a", node=0)
    heap = written(task, 4)
    task.fork("child")
    admin = kernel.spawn("root", node=0, uid=0)
    return {"answer": answer(admin.migrate_pages, task.pid, 0, 1), "pages on node 1": on(task, heap, 1)}


@experiment("the owner's call on shared pages")
def shared_by_owner(kernel):
    """A process moves its own heap, which it shares with a child."""
    task = kernel.spawn("a", node=0)
    heap = written(task, 4)
    task.fork("child")
    return {"answer": answer(task.migrate_pages, 0, 0, 1), "pages on node 1": on(task, heap, 1)}


@experiment("a locked vma elsewhere")
def locked_elsewhere(kernel):
    """Root moves a page that another process has mapped and locked."""
    task = kernel.spawn("a", node=0)
    heap = written(task, 4, shared=True)
    other = task.fork("locker")
    other.touch(heap)
    other.mlock(heap)
    admin = kernel.spawn("root", node=0, uid=0)
    return {"answer": answer(admin.migrate_pages, task.pid, 0, 1), "pages on node 1": on(task, heap, 1)}


@experiment("locked memory of one's own")
def locked_memory(kernel):
    """A process moves memory that it has locked."""
    task = kernel.spawn("a", node=0)
    heap = written(task, 4)
    task.mlock(heap)
    return {"answer": answer(task.migrate_pages, 0, 0, 1), "pages on node 1": on(task, heap, 1)}


@experiment("the next touch of a mapped file")
def file_faults(kernel):
    """Pages of a mapped file, moved and then read again; the least faults of three files.

    What reclaims memory on a real machine meanwhile (DAMON, kswapd) can take a pte away, never bring one.
    """
    task, faults = kernel.spawn("a", node=0), []
    for name in ("first", "second", "third"):
        data = task.mmap(4, kernel.file(name, 4))
        task.touch(data)
        said = answer(task.migrate_pages, 0, 0, 1)
        moved, again = on(task, data, 1), task.touch(data)
        faults.append(again.minor + again.major)
    return {"answer": said, "pages on node 1": moved, "faults at the next read": min(faults)}


@experiment("more than the target holds")
def target_full(kernel):
    """A heap that is larger than what is free on the target."""
    task, other = kernel.spawn("a", node=0), kernel.spawn("b", node=1)
    written(other, 1900)
    heap = written(task, 400)
    said = answer(task.migrate_pages, 0, 0, 1)
    where = task.placement(heap)
    return {"answer": said, "stayed on node 0": where.count(0) > 0, "spilled to other nodes":
            where.count(2) + where.count(3) > 0, "swapped out": None in where}  # fmt: skip


@experiment("BIND under a changed cpuset")
def bind_and_cpuset(kernel):
    """A vma bound to node 1, whose task's cpuset changes from nodes 0-1 to 2-3; then more of it is touched."""
    task = kernel.spawn("a", node=0)
    job = kernel.cpuset("job", "0-1")
    job.attach(task)
    heap = task.mmap(4)
    task.mbind(heap, Policy.bind(1))
    job.mems = "2-3"
    task.touch(heap, write=True)
    return {"nodes of the new pages": task.placement(heap)}


@experiment("PREFERRED under a changed cpuset")
def preferred_and_cpuset(kernel):
    """A task that prefers node 1, whose cpuset changes from nodes 0-1 to 2-3, and then to all."""
    task = kernel.spawn("a", node=0)
    job = kernel.cpuset("job", "0-1")
    job.attach(task)
    task.set_mempolicy(Policy.preferred(1))
    job.mems = "2-3"
    there = written(task, 1)
    job.mems = "0-3"
    again = written(task, 1)
    return {"node while 2-3 are allowed": task.placement(there)[0], "node when all are": task.placement(again)[0]}


@experiment("a hole in the range of mbind")
def hole(kernel):
    """mbind(2) over a range that begins with a hole."""
    task = kernel.spawn("a", node=0)
    heap = written(task, 8)
    task.munmap(heap[0:4])
    said = answer(task.mbind, range(heap.start, heap.start + 8), Policy.bind(1), move=True)
    return {"answer": said, "pages on node 1": on(task, heap[4:8], 1)}
