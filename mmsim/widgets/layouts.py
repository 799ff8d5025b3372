"""Processes to choose from in the MigrationLab."""

from ..policy import Policy

PAGES = 24


def heap(kernel):
    """A task of root's with a heap on node 0, written once."""
    task = kernel.spawn("a", uid=0)
    pages = task.mmap(PAGES, name="heap")
    task.touch(pages, write=True)
    return task, pages


def pinned(kernel):
    task, pages = heap(kernel)
    kernel.pin(task, pages[5])


def forked(kernel):
    task, pages = heap(kernel)
    child = task.fork("b")
    child.touch(range(pages.start, pages.start + 8), write=True)  # it gets copies of these


def mlocked(kernel):
    task, pages = heap(kernel)
    task.mlock(pages[8:14])


def mapped_file(kernel):
    task = kernel.spawn("a", uid=0)
    file = kernel.file("data", 16, fs="ext3")
    task.write(file, 0, 8)
    task.touch(task.mmap(16, file=file, shared=True, name="data"))
    task.touch(task.mmap(8, name="heap"), write=True)


def interleaved(kernel):
    task = kernel.spawn("a", uid=0)
    task.set_mempolicy(Policy.interleave("all"))
    task.touch(task.mmap(PAGES, name="heap"), write=True)
    task.set_mempolicy(Policy.default())


LAYOUTS = {
    "one heap": heap,
    "a heap, one page pinned": pinned,
    "two tasks share by fork": forked,
    "a heap, six pages mlocked": mlocked,
    "a mapped file and a heap": mapped_file,
    "a heap interleaved over the nodes": interleaved,
}
