"""Lesson 07, add_to_swap() with a GFP mask: watermarks, the reserve, and who is allowed to use it."""

import functools
from unittest.mock import patch

import pandas as pd

from .. import Kernel, Topology
from .teaching import Question
from ..mm import migrate_v1, page_alloc, structs
from ..experiments.scenes import low_memory

WITHOUT = (1, 2, 3, 4, 5, 6)
SMALL = {"file_pages": 40, "anonymous": 12, "period": 5_000, "frames": 96}
SLOTS_STAY = {"file_pages": 500, "anonymous": 4000, "period": 2_400_000}  # interrupts are rare; for patches (1, 3, 5)
AT_ONCE, RECLAIMED, NO_PAGE = "a page, at once", "a page, after direct reclaim", "no page"
MASKS = {
    "GFP_KERNEL": structs.GFP_KERNEL,
    "GFP_ATOMIC": structs.GFP_ATOMIC,
    "GFP_ATOMIC | __GFP_NOMEMALLOC": structs.GFP_ATOMIC | structs.GFP_NOMEMALLOC,
}


def small(patches=7, **settings):
    """The machine of scenes.low_memory, small enough to watch every page: (kernel, job)."""
    return low_memory(patches, **(SMALL | {"trace": True} | settings))


def move(kernel, job):
    """Trigger B: the job moves its memory from node 0 to node 1; the Migration."""
    job.migrate_pages(0, old=0, new=1)
    return kernel.last


def history(kernel, job, node=0):
    """Free pages of a node while the job moves: a row whenever they change, `time` in ns since the call."""
    rows, begin, zone, system = [], kernel.clock, kernel.k.zone[node], kernel.k.sys
    with kernel.watch(lambda: rows.append((system.clock - begin, zone.free))):
        move(kernel, job)
    table = pd.DataFrame(rows, columns=["time", "free"])
    return table[table["free"].diff() != 0].reset_index(drop=True)


def bill(patches, make=low_memory, **settings):
    """What the move of the job costs, and whom: {what: number}."""
    kernel, job = make(patches, **settings)
    last, counts = move(kernel, job), kernel.vmstat()
    return {
        "moved": last.moved, "failed for good": last.failed, "slab pages": int(counts["slab_pages"]),
        "rounds of direct reclaim": int(counts["direct_reclaim"]), "pages reclaimed": int(counts["reclaimed"]),
        "packets lost": int(counts["atomic_failures"]), "least free on node 0": int(counts["lowest_free_0"]),
    }  # fmt: skip


def nothing_to_reclaim(patches=7, trace=False):
    """As `small`, but full of locked pages; the job's file pages are dirty ones of NFS: (kernel, job)."""
    frames, files, heap = SMALL["frames"], SMALL["file_pages"], SMALL["anonymous"]
    topology = Topology.uniform(nodes=2, frames=frames)
    kernel = Kernel(topology, patches=patches, swap_slots=2 * frames, trace=trace)
    job, file = kernel.spawn("job"), kernel.file("data", files, "nfs")
    anonymous = job.mmap(heap, name="heap")  # below the file: the list of pages to move begins at the highest address
    job.write(file)
    job.touch(job.mmap(files, file=file, name="data"))
    job.touch(anonymous, write=True)
    for node, room in enumerate((1, files + heap + 1)):
        zone, locker = kernel.tables["zone"][node], kernel.spawn(f"locker {node}", node=node, uid=0)
        locker.mmap(int(zone["free"] - zone["pages_low"]) - room, locked=True)
        kernel.interrupts(node, 20_000, hold=1_000_000_000)
    return kernel, job


# -- predictions


@functools.lru_cache
def allocation(free, mask):
    """What an allocation gets from a zone of 1,024 frames with so many free: (answer, pages_min, pages_low)."""
    kernel = Kernel(Topology.uniform(nodes=1, frames=1024), trace=False)
    filler, file = kernel.spawn("filler"), kernel.file("cache", 500, "ext2")
    cache = filler.mmap(500, file=file)
    filler.touch(cache)
    filler.munmap(cache)
    zone = kernel.k.zone[0]
    while zone.free > free:
        page_alloc.rmqueue(kernel.k, 0)
    pfn = page_alloc.alloc_pages(kernel.k, MASKS[mask], 0, page_alloc.ANY_NODE)
    answer = (RECLAIMED if kernel.vmstat()["direct_reclaim"] else AT_ONCE) if pfn else NO_PAGE
    return answer, zone.pages_min, zone.pages_low


def gets_a_page(rng):
    """Whether an allocation gets a page, from a zone with few of them."""
    free, mask = rng.choice([90, 72, 50, 30, 20]), rng.choice(list(MASKS))
    answer, least, low = allocation(free, mask)
    why = {
        AT_ONCE: "on one of its two walks, `get_page_from_freelist()` finds more pages free than the mark of that walk",
        RECLAIMED: "not more than `pages_min` are free. This mask has __GFP_WAIT, so `try_to_free_pages()` runs, and "
        "then the walk is repeated",
        NO_PAGE: "`zone_mark()` lets GFP_ATOMIC go down to 3/8 of `pages_min`, not lower; and it may not wait",
    }
    return Question(
        f"A zone has pages_min = {least} and pages_low = {low}. {free} of its pages are free, and 500 hold clean page "
        f"cache. Somebody allocates a page with {mask}. What comes of it?",
        answer, f"Rule: {why[answer]}.", (AT_ONCE, RECLAIMED, NO_PAGE),
        hints=("How many pages must be more than free, for this mask? The figure of station 2 says it.",
               f"3/8 of {least} is {3 * least // 8}. Only __GFP_WAIT may wait."),
    )  # fmt: skip


def what_stays(rng):
    """How many anonymous pages fail, with patch 7 or without, under load or not."""
    patches, load, first = rng.choice([WITHOUT, 7]), rng.random() < 0.75, rng.choice([40, 40, 4])
    kernel, job = small(patches, file_pages=first, trace=False)
    for node in range(2 * (not load)):
        kernel.interrupts(node, None, hold=0)
    failed = move(kernel, job).failed
    if not load:
        why = "nobody eats the reserve, so that even GFP_ATOMIC finds a page"
    elif patches == 7:
        why = "GFP_KERNEL waits, and `try_to_free_pages()` makes room"
    elif failed:
        why = "the interrupts have had time to take the reserve, and `add_to_swap()` with GFP_ATOMIC does not wait"
    else:
        why = "the migration needs its slab page before the interrupts have taken the reserve"
    return Question(
        f"Two full nodes, {'under interrupt load' if load else 'without any interrupts'}. A job moves to node 1, first "
        f"{first} clean file pages, which have the higher addresses, then {SMALL['anonymous']} anonymous ones. The "
        f"kernel has {'all seven patches' if patches == 7 else 'the patches 1 to 6'}. How many pages fail for good?",
        failed, f"Rule: {why}.", (0, SMALL["anonymous"], SMALL["anonymous"] + first),
        {SMALL["anonymous"] + first: "File pages need no swap entry."},
        ("Which pages need a swap entry, and so a radix tree node?",
         "Moving a file page takes 4 µs, and an interrupt comes to each node every 5 µs. Is the reserve gone when the "
         "first swap entry is needed?"),
    )  # fmt: skip


# -- exercises


def slab_pages(rng):  # noqa: ARG001
    """Exercise 1: kernel memory for swap entries that stay in use."""
    kernel = Kernel(Topology.uniform(nodes=2, frames=2048), patches=(1, 3, 5), swap_slots=2048, trace=False)
    job = kernel.spawn("job")
    job.touch(job.mmap(1000), write=True)
    move(kernel, job)
    return Question(
        "How many slab pages does the migration allocate?",
        int(kernel.vmstat()["slab_pages"]),
        "Rule: 1,000 slots that stay in use take 16 nodes of 64 slots each, and a slab page has room for 7 nodes.",
        wrong={16: "That is the number of radix tree nodes.", 1: "That is so with the patches 4 and 6.",
               2: "The third page is begun, too."},
        hints=("A node covers 64 slots. How many nodes do 1,000 slots need?", "A slab page holds 7 nodes."),
    )  # fmt: skip


def before_the_heap(rng):  # noqa: ARG001
    """Exercise 2: how much time there is, in pages."""

    def failed(file_pages):
        return bill(WITHOUT, small, file_pages=file_pages, trace=False)["failed for good"]

    right = next(n for n in range(SMALL["file_pages"]) if failed(n + 1))
    return Question(
        "What is the largest number of file pages with which nothing fails?",
        right,
        "Rule: the first swap entry must come before the interrupts have taken what is free above the mark of "
        "GFP_ATOMIC. Each file page moved before it costs 4 µs.",
        wrong={0: "A few file pages do no harm.", SMALL["file_pages"]: "With so many all anonymous pages fail.",
               right + 1: "With one more the pages fail."},
        hints=("`lesson07.bill(lesson07.WITHOUT, lesson07.small, file_pages=20)` counts what fails with 20.",
               "Try them in a loop, from 0 on."),
    )  # fmt: skip


def without_the_patch(rng):  # noqa: ARG001
    """Exercise 3: what one can do on a kernel without the patch."""
    size = SMALL["anonymous"]

    def judge(move_job):
        kernel, job = small(WITHOUT)
        start = job.pages().index[0]
        heap = range(start, start + size)
        move_job(kernel, job, heap)
        if 0 in kernel.tables["zone"]["irq_period"]:
            return "The interrupts must go on."
        there = job.placement(heap).count(1)
        if there == 0:
            return f"0 of the {size} pages of the heap are on node 1. When their turn comes, no memory is left."
        if there < size:
            return f"{there} of the {size} pages of the heap are on node 1. The others got new pages on node 0."
        return ""

    return Question(
        "Write a function `move_job(kernel, job, heap)` that brings all pages of the heap to node 1.",
        "`job.mbind(heap, Policy.bind(1), move=True)`, and then the rest",
        "Rule: what needs kernel memory goes first, while there is some. To repeat the call does not do: a second "
        "try finds entries, but fewer free frames on node 1, and some new pages come from node 0.",
        wrong={(lambda kernel, job, _: move(kernel, job)): "the heap stays",
               (lambda kernel, job, _: (move(kernel, job), move(kernel, job))): "some come from node 0"},
        hints=("Which pages need a radix tree node, and when is there still memory for it?",
               "`job.mbind(range, Policy.bind(1), move=True)` moves a part of the memory."),
        judge=judge, function="Give a function `move_job(kernel, job, heap)`.",
    )  # fmt: skip


def own_mask(rng):  # noqa: ARG001
    """Exercise 4: a mask that suits both machines of this lesson."""

    def judge(mask):
        if not isinstance(mask, int) or not 0 <= mask < 8:
            return "Put it together from `structs.GFP_WAIT`, `structs.GFP_HIGH` and `structs.GFP_NOMEMALLOC`, with `|`."
        with patch.object(migrate_v1, "GFP_KERNEL", mask):  # what migration passes to add_to_swap()
            first, second = (move(*make()).failed for make in (small, nothing_to_reclaim))
        why = "It may not wait." if first else "It stops where GFP_KERNEL does, and nothing can be reclaimed."
        return f"{first} pages fail in station 1, {second} in station 7. {why}" if first or second else ""

    return Question(
        "Which GFP mask moves all pages on both machines?",
        "`structs.GFP_WAIT | structs.GFP_HIGH`",
        "Rule: __GFP_HIGH may use half of the reserve, and __GFP_WAIT may wait where that is gone. The price: such a "
        "migration takes from the reserve of the interrupts before it waits. Patch 7 leaves the reserve to them.",
        wrong={structs.GFP_WAIT: "fails in station 7", structs.GFP_HIGH: "fails in station 1", 0: "fails in both"},
        hints=("On the one machine reclaim makes room. On the other it has nothing, but the reserve is not empty yet.",
               "`zone_mark()` asks for two flags, and each lowers the mark or allows to wait."),
        judge=judge,
    )  # fmt: skip
