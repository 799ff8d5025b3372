"""Lesson 00, pages and nodes: the machine that it begins with, and its questions."""

import re

from .. import Kernel, Policy, Topology
from .teaching import Question


def machine(patches=7):
    """Process a wrote 17 pages on node 0, a device has pinned one, and the scheduler has moved a: (kernel, a, heap)."""
    kernel = Kernel(Topology.preset("opteron-4s", 64), patches=patches)
    a = kernel.spawn("a", node=0)
    heap = a.mmap(17, name="heap")
    a.touch(heap, write=True)
    kernel.pin(a, heap[5])
    a.run_on(3)
    return kernel, a, heap


def written(nodes):
    return ", ".join(map(str, nodes))


def asked_order(rng):
    """In which order the nodes of a zonelist are asked."""
    topology = Topology.preset("opteron-4s", 64)
    node = rng.choice([3, 3, 0, 1])
    distances, order = topology.distances[node], topology.zonelist(node)
    behind = sorted(range(4), key=lambda other: (distances[other], -other))
    wrong = {
        written(behind): "Two nodes are equally far. The lower number goes first.",
        written(reversed(order)): "That begins with the farthest node.",
    }
    if order != list(range(4)):
        wrong[written(range(4))] = "That is by number. It goes by distance."

    def judge(value):  # however the four numbers are written
        numbers = [int(each) for each in re.findall(r"\d+", str(value))]
        return "" if numbers == order else wrong.get(written(numbers), "The distances decide.")

    return Question(
        f"Find node {node} in the table of distances above. In which order are the nodes asked for it? Type four "
        "numbers, as in `0, 1, 2, 3`.",
        written(order),
        f"Rule: the node itself comes first, then the others by their distance. From node {node} the distances are "
        f"{written(distances)}; among equals the lower number goes first.",
        wrong=wrong,
        hints=("Which distance is 10? That node is first.", "Among nodes equally far, the lower number goes first."),
        judge=judge,
    )


def second_call(rng):
    """What migrate_pages answers when it is called again, after the page was unpinned or not."""
    unpinned = rng.random() < 0.6
    kernel, a, heap = machine()
    a.migrate_pages(0, old=0, new=3)
    if unpinned:
        kernel.unpin(a, heap[5])
    answer = a.migrate_pages(0, old=0, new=3)
    happens = "The device finishes, and the page is unpinned." if unpinned else "The device goes on using the page."
    return Question(
        f"{happens} What does a second `migrate_pages` answer?",
        answer,
        "Rule: the answer counts the pages that could not be moved. Only one page was left on node 0. "
        + ("Nobody unknown holds it now, so it moves in the first pass." if unpinned else "It is pinned as before."),
        wrong={
            16: "These are the pages that the first call has moved. They are not asked again.",
            17: "These are all pages. The answer counts what stayed.",
            **({1: "That would be so if it were still pinned."} if unpinned else {0: "It was not unpinned."}),
        },
        hints=("How many pages are on node 0 when the second call begins?",),
    )  # fmt: skip


def nodes_in_turn(rng):
    """The words N...= of numa_maps after INTERLEAVE."""
    pages = rng.choice([10, 10, 8, 11])
    kernel = Kernel(Topology.preset("opteron-4s", frames=64))
    job = kernel.spawn("job", node=0)
    job.set_mempolicy(Policy.interleave("1-3"))
    heap = job.mmap(pages)
    job.touch(heap, write=True)
    words = " ".join(word for word in job.numa_maps().split() if word.startswith("N"))
    from_one = [sum(i % 3 == n for i in range(pages)) for n in range(3)]
    first = " ".join(f"N{n + 1}={count}" for n, count in enumerate(from_one))
    return Question(
        f"A process on node 0 writes {pages} pages under `interleave:1-3`. The first of them is page {heap.start:,}. "
        "Which words `N…=…` will its `numa_maps` line have?",
        words,
        f"Rule: a page's number decides its turn. {heap.start:,} divided by 3 leaves {heap.start % 3}, so the turn "
        "begins with node 2. Node 0 has none, although the process runs there.",
        wrong={
            f"N0={pages}": "The policy does not ask where the process runs.",
            **({first: "The turn does not begin with node 1: divide the number of the first page by 3."}
               if first != words else {}),
        },
        hints=(f"What remains of {heap.start:,} divided by 3? 0 means node 1, 1 means node 2.",
               "Write the turn down, page by page, and count."),
    )  # fmt: skip


def by_cpuset(kernel, _a, _heap):
    """C: a and b are in one cpuset, which gets another node."""
    department = kernel.cpuset("department", mems=0, memory_migrate=True)
    for task in kernel.tasks:
        department.attach(task)
    department.mems = 3


WAYS = {
    "before": lambda *_: None,
    "A: mbind": lambda _, a, heap: a.mbind(heap, Policy.bind(3), move=True),
    "B: migrate_pages": lambda _, a, heap: a.migrate_pages(0, old=0, new=3),  # noqa: ARG005
    "C: cpuset": by_cpuset,
}


def reach():
    """What each of the three ways reaches, of a's heap and its other memory, of b, and of a's next page."""
    rows = {}
    for way, call in WAYS.items():
        kernel = Kernel(Topology.preset("opteron-4s", 64))
        a, b = kernel.spawn("a", node=0), kernel.spawn("b", node=0)
        heap, rest, other = a.mmap(4, name="heap"), a.mmap(3, name="table"), b.mmap(4)
        for task, pages in ((a, heap), (a, rest), (b, other)):
            task.touch(pages, write=True)
        call(kernel, a, heap)
        new = a.mmap(1, name="new")
        a.touch(new, write=True)
        rows[way] = {"heap of a": a.placement(heap), "table of a": a.placement(rest), "process b": b.placement(other),
                     "next page of a": a.placement(new)}  # fmt: skip
    return rows


def moves_a_part(rng):  # noqa: ARG001
    """Exercise 2: move the pages 8 to 15 of a heap to node 1."""
    wanted = [0] * 8 + [1] * 8 + [0]

    def judge(move):
        _, a, heap = machine()
        move(a, heap)
        got = a.placement(heap)
        on_1 = [i for i, node in enumerate(got) if node == 1]
        if got == wanted:
            return ""
        if not on_1 and set(got) == {0}:
            return "No page has moved. A policy alone moves nothing: `mbind` needs `move=True`."
        if len(on_1) >= 15:
            return "The whole heap has moved. Only one of the three ways takes a range of addresses."
        if on_1 and on_1 == list(range(on_1[0], on_1[-1] + 1)):
            return (f"The pages {on_1[0]} to {on_1[-1]} are on node 1. Python counts from 0, and `heap[i:j]` "
                    "ends before j.")  # fmt: skip
        return f"The pages are on {got}."

    return Question(
        "Write a function that moves the pages 8 to 15 of a heap to node 1, and no other.",
        "`a.mbind(heap[8:16], Policy.bind(1), move=True)`",
        "Rule: only A works on a range. `a.numa_maps()` has three lines afterwards: a range has one policy, so the "
        "kernel split it in `split_vma()`.",
        wrong={(lambda a, _: a.migrate_pages(0, old=0, new=1)): "the whole heap",
               (lambda a, heap: a.mbind(heap[8:16], Policy.bind(1))): "nothing moves",
               (lambda a, heap: a.mbind(heap[8:15], Policy.bind(1), move=True)): "one too few"},
        hints=("Only one of the ways takes a range of addresses.", "`heap[8:16]` is that part of the heap."),
        judge=judge, function="Give a function of a task and its heap.",
    )  # fmt: skip


def which_way(rng):  # noqa: ARG001
    """Exercise 3: which of the three ways suits whom."""
    right = ("B", "A", "C")
    said = (
        ("batch system", {"A": "it cannot set a policy for memory of somebody else",
                          "C": "a cpuset would confine the job from then on; it was to be moved once"}),
        ("program", {"B": "that would move the whole process; it knows which of its addresses matter",
                     "C": "a cpuset is for groups of processes, and the administrator's"}),
        ("department", {"A": "each process would have to do it for each range",
                        "B": "new frames would come from anywhere, and new processes would not be moved"}),
    )  # fmt: skip

    def judge(value):
        given = re.findall(r"[ABC]", str(value).upper())
        if len(given) != 3:
            return "Give three letters, as in `A, B, C`."
        for letter, good, (who, why) in zip(given, right, said, strict=True):
            if letter != good:
                return f"{letter} for the {who}: {why[letter]}."
        return ""

    return Question(
        "Which way suits whom: the batch system, the program, the department?",
        ", ".join(right),
        "Rule: B moves another user's process once (`do_migrate_pages()`), and its policies stay; A is for those who "
        "know their addresses; C holds for whole processes, new frames as well as old ones.",
        wrong={"A, B, C": "each of them is wrong", "B, C, A": "two are wrong", "C, A, B": "two are wrong"},
        hints=("Who acts: the process itself, or somebody else?", "Is it to hold for what comes later, too?"),
        judge=judge,
    )
