"""Processes to choose from in the MigrationLab."""

import random

from ..machine.policy import Policy

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


def file_systems(kernel):
    """Who moves dirty pages with their buffers, who writes them first, who does not let them go."""
    task = kernel.spawn("a", uid=0)
    for fs in ("ext3", "reiserfs", "nfs", "xfs-meta"):
        file = kernel.file(fs, 6, fs=fs)
        task.write(file, 0, 4)
        task.touch(task.mmap(6, file=file, shared=True, name=fs))


def little_swap(kernel):
    """Another task, once on node 3, has been swapped out; four slots are left."""
    heap(kernel)
    hog = kernel.spawn("hog", node=3)
    pages = kernel.tables["swap_map"].shape[0] - 1 - 4
    for _ in range(2):  # node 3 alone is too small for all of it at once
        hog.touch(hog.mmap(pages // 2), write=True)
        kernel.reclaim(pages // 2, node=3)


def interleaved(kernel):
    task = kernel.spawn("a", uid=0)
    task.set_mempolicy(Policy.interleave("all"))
    task.touch(task.mmap(PAGES, name="heap"), write=True)
    task.set_mempolicy(Policy.default())


def random_heap(kernel, seed):
    """Each page of a heap is left alone, read, or written from some node; a few are pinned, locked or shared."""
    rng = random.Random(seed)
    task = kernel.spawn("a", uid=0)
    pages = task.mmap(PAGES, name="heap")
    for page in rng.sample(range(pages.start, pages.start + PAGES), PAGES):
        task.run_on(rng.choice((0, 0, 1)))
        fate = rng.random()
        if fate > 0.1:
            task.touch(range(page, page + 1), write=fate > 0.2)
    task.run_on(0)
    if rng.random() < 0.5:
        task.fork("b")
    written = task.pages().query("state == 'present'").index.tolist()
    for page in rng.sample(written, 3):
        act = rng.choice((lambda p: kernel.pin(task, p), lambda p: kernel.hold_lock(task, p, kernel.clock + 10**6)))
        act(range(page, page + 1))


LAYOUTS = {
    "one heap": heap,
    "a heap, one page pinned": pinned,
    "two tasks share by fork": forked,
    "a heap, six pages mlocked": mlocked,
    "a mapped file and a heap": mapped_file,
    "files of four file systems, dirty": file_systems,
    "a heap, swap nearly full": little_swap,
    "a heap interleaved over the nodes": interleaved,
    "a heap at random (seed)": random_heap,
}
SEEDED = (random_heap,)
