"""Ranges of a task's address space: a mapping, a part of one, or page numbers."""

from ..terms.arguments import shown
from .errors import os_error
from ..mm.mbind import END_OF_MEMORY
from ..terms.ranges import Range


def task_range(task, range_, mapped=True, beyond="EFAULT"):
    """(start, end) of a Mapping, a part of one, or a Python range of page numbers; None: all that is mapped.

    `mapped`: OSError (EFAULT) unless every page lies in a vma.  `beyond`: the errno for what no address space has.
    """
    if range_ is None:
        vmas = task._vmas()
        return (int(vmas["vm_start"].min()), int(vmas["vm_end"].max())) if len(vmas) else (0, 0)
    if isinstance(range_, Range):
        check_owner(task, range_)
        start, end = range_.start, range_.stop
    elif isinstance(range_, range) and range_.step == 1:
        start, end = range_.start, range_.stop
    else:
        right = "give a mapping, a part of one as in heap[8:16], or range(first, last)"
        raise TypeError(f"range is {shown(range_)}; {right}")
    if end < start:
        raise os_error("EINVAL", f"range: it ends ({end:#x}) before it starts ({start:#x})")
    if start < 0 or end > END_OF_MEMORY:
        raise os_error(beyond, f"range: {start:#x} to {end:#x}; an address space goes from 0 to {END_OF_MEMORY:#x}")
    if mapped:
        at = start
        for vma in task._vmas():
            if vma["vm_start"] <= at < vma["vm_end"]:
                at = int(vma["vm_end"])
        if at < end:
            raise os_error("EFAULT", f"range: page {at:#x} of {task.label} is not mapped")
    return start, end


def areas(vmas):
    """The areas [start, end) that some vmas, by address, cover together."""
    found = []
    for start, end in vmas[["vm_start", "vm_end"]].tolist():
        if found and found[-1][1] == start:
            found[-1][1] = end
        else:
            found.append([start, end])
    return found


def check_owner(task, range_, name="range"):
    """ValueError unless a Range is a task's own, or one that it got from its parent with fork()."""
    if range_.task._kernel is not task._kernel:
        raise ValueError(f"{name}: {range_!r} belongs to a task of another machine")
    range_.task._check_exists(f"{name}: ")
    pid, forked = task.pid, task._kernel._book["forked"]
    while pid != range_.task.pid:
        pid, areas = forked.get(pid, (None, ()))
        if not any(start <= range_.start and range_.stop <= end for start, end in areas):
            raise ValueError(f"{name}: {range_!r} does not belong to {task.label}")
