"""Lesson 05, policies and system calls: which node goes to which, which pages stay, and what is answered."""

import pandas as pd

from .. import Kernel, Policy, Topology
from ..machine.policy import parse_nodes
from ..machine.errors import ERRNO_NAMES
from .teaching import Question
from ..mm import nodemask

WITHOUT = (1, 2, 3, 4, 6, 7)
PLACES = {"library": {"writable": False}, "database": {"shared": True}, "program": {"flags": "denywrite"}}  # files
FATES = {
    "forked": "`migrate_page_add()` asks who maps the file. An anonymous page has none, and goes with MOVE.",
    "library": "MOVE leaves the pages of a file alone that others map as well.",
    "database": "a file that is mapped shared and writable goes with MOVE, whoever else maps it.",
    "mlocked": "a vma with VM_LOCKED is not migratable.",
    "program": "a vma with VM_DENYWRITE is not migratable.",
    "pinned": "it is collected, but each pass finds a reference too many.",
}
CALLS = {  # what process `a`, without capabilities, may try: {what: (arguments, rule)}
    "migrate_pages for another process of its user": ({"pid": "mine"}, "the two have the same uid."),
    "migrate_pages for a process of another user": ({"pid": "theirs"}, "the uids differ; that takes CAP_SYS_ADMIN."),
    "migrate_pages for a pid that nobody has": ({"pid": "nobody"}, "there is no such process."),
    "migrate_pages for a kernel thread": ({"pid": "thread"}, "a kernel thread has no mm."),
    "migrate_pages to a node outside the cpuset of the other": ({"pid": "mine", "new": 2}, "it takes CAP_SYS_ADMIN."),
    "migrate_pages for itself": ({"pid": "a"}, "it counts the collected pages that stayed."),
    "mbind with MOVE_ALL": ({"move_all": True}, "it may move what others share. That takes CAP_SYS_RESOURCE."),
    "mbind with MOVE": ({"move": True}, "without STRICT a page that stays is no error."),
    "mbind with MOVE and STRICT": ({"move": True, "strict": True}, "STRICT reports the page that stayed."),
    "mbind with STRICT alone": ({"strict": True}, "the pages are elsewhere. It reports that, and moves nothing."),
}  # fmt: skip


def spread(patches=7, on=(0, 1, 2), each=6, nodes=4):
    """Equally distant nodes, and a task of root's that wrote `each` pages on some of them: (kernel, task, heap)."""
    kernel = Kernel(Topology.uniform(nodes=nodes, frames=64), patches=patches)
    task = kernel.spawn("a", uid=0)
    heap = task.mmap(each * len(on), name="heap")
    for i, node in enumerate(on):
        task.run_on(node)
        task.touch(heap[i * each : (i + 1) * each], write=True)
    task.run_on(on[0])
    return kernel, task, heap


def pairs(kernel):
    """The pairs of nodes that do_migrate_pages() took, in its order: ["2 to 3", "1 to 2"]."""
    said = kernel.events().query("function == 'do_migrate_pages'")["text"]
    return [text.removeprefix("next pair: node ").replace("node ", "") for text in said]


def household(patches=7):
    """Two nodes, and a task of root's with a page of each of FATES on node 0: (kernel, task)."""
    kernel = Kernel(Topology.uniform(nodes=2, frames=64), patches=patches)
    task, other = kernel.spawn("a", uid=0), kernel.spawn("b")
    for name in FATES:
        file = kernel.file(name, 1) if name in PLACES else None
        page = task.mmap(1, file=file, locked=name == "mlocked", name=name, **PLACES.get(name, {}))
        task.touch(page, write=not file)
        if name == "forked":
            task.fork("child")
        elif name == "pinned":
            kernel.pin(task, page)
        elif name != "program" and file:
            other.touch(other.mmap(1, file=file, **PLACES[name]))
    return kernel, task


def fates(kernel):
    """What became of the pages of the household: a row for each."""
    return kernel.last.pages.set_index(pd.Index(FATES, name="page"))[["path", "error", "reason"]]


def answer(call):
    """What one of CALLS answers: (a number, or the name of an errno; how many of the 8 pages of `a` have moved)."""
    kernel = Kernel(Topology.uniform(nodes=3, frames=64))
    a, mine = kernel.spawn("a"), kernel.spawn("mine")
    theirs, thread = kernel.spawn("theirs", uid=1001), kernel.spawn("thread", kernel_thread=True)
    pids = {task.name: task.pid for task in (a, mine, theirs, thread)} | {"nobody": 99}
    kernel.cpuset("two", "0-1").attach(mine)
    a.touch(heap := a.mmap(8), write=True)
    kernel.pin(a, heap[0])
    flags = dict(CALLS[call][0])
    whose, new = flags.pop("pid", ""), flags.pop("new", 1)
    try:
        said = a.migrate_pages(pids[whose], 0, new) if whose else a.mbind(heap, Policy.bind(new), **flags)
    except OSError as error:
        said = ERRNO_NAMES[error.errno]
    return said or 0, a.placement(heap).count(1)


def answers():
    """What all of CALLS answer: a row for each."""
    return pd.DataFrame({call: answer(call) for call in CALLS}, ["answer", "pages moved"]).T.rename_axis("call")


def pairing(rng):
    """Which nodes are paired, and in which order the pairs are taken."""
    right = []
    while len(right) < 2:
        old, new = (sorted(rng.sample(range(5), rng.choice(size))) for size in ((3,), (2, 3)))
        kernel, task, _ = spread(on=old, each=1, nodes=5)
        task.migrate_pages(0, old, new)
        right = pairs(kernel)
    leave = [f"{s} to {d}" for s, d in zip([n for n in old if n not in new], new, strict=False)]
    wrong = {", ".join(leave): "That a node is in both sets does not matter, only its place in each does.",
             ", ".join(sorted(right)): "Then pages would arrive on a node among others that have still to leave it.",
             ", ".join(sorted(right)[::-1]): "That is right only if all of them go up."}  # fmt: skip
    right = ", ".join(right)
    wrong.pop(right, None)
    return Question(
        f"`migrate_pages` from the nodes {old} to the nodes {new}: which pairs does the kernel take, in which order?",
        right, f"Rule: `node_remap()` looks up the place of a node in the old set, modulo {len(new)}, in the new one. "
        "`next_pair()` takes the first node whose target does not wait to be emptied; else the last one that moves.",
        tuple(sorted({right, *wrong})), wrong,
        ("Count places from 0.", "Which pages can arrive without mixing with others? Strike that pair out, and go on."),
    )


def new_page(rng):
    """Where the next new page of a process comes from, after its memory has moved."""
    by_cpuset, policy = rng.random() < 0.6, rng.choice([Policy.default(), Policy.preferred(1), Policy.bind(0)])
    kernel, task, _ = spread(on=(0, 1), each=2)
    task.set_mempolicy(policy)
    if by_cpuset:
        kernel.cpuset("job", "0-1", memory_migrate=True).attach(task)
        task.cpuset.mems = "2-3"
        call = "It is in a cpuset with the nodes 0 and 1, whose `mems` become 2 and 3, with `memory_migrate`."
        why = "its policy is rebound: 0 becomes 2, 1 becomes 3. Default: the allowed node nearest to the process."
    else:
        task.migrate_pages(0, "0-1", "2-3")
        call, why = "It calls `migrate_pages` for itself, from 0 and 1 to 2 and 3.", "the call changes no policy."
    task.touch(page := task.mmap(1), write=True)
    return Question(
        f"A process runs on node 0, with the policy {policy}. {call} On which node is the next new page that it gets?",
        task.placement(page)[0], f"Rule: {why}", (0, 1, 2, 3),
        hints=("Does this way of moving change a policy?", "Where does the process run? What does its policy say now?"),
    )  # fmt: skip


def stays(rng):
    """Whether a page moves, and if not, where it was stopped."""
    name, everyone = rng.choice(list(FATES)), rng.random() < 0.4
    kernel, task = household()
    task.mbind(None, Policy.bind(1), move=True, move_all=everyone)
    rule = FATES[name] if name != "library" or not everyone else "MOVE_ALL takes what others share."
    return Question(
        f"`mbind` with {'MOVE_ALL' if everyone else 'MOVE'} is to bring the six pages of station 2 to node 1. "
        f"Which path does the page `{name}` take?",
        fates(kernel)["path"][name], f"Rule: {rule}", ("direct", "not collected", "retries exhausted"),
        hints=("`flags_that_hold()`, `mapping_writably_mapped()` and `single_mm_mapping()` decide who is collected.",),
    )  # fmt: skip


def answered(rng):
    """What a system call answers."""
    call = rng.choice(list(CALLS))
    name, how = call.split(" ", 1)
    return Question(
        f"A process without capabilities has 8 pages on node 0; one is pinned. To bring pages to another node it calls "
        f"`{name}` {how}. What is the answer?", answer(call)[0], f"Rule: {CALLS[call][1]}",
        (0, 1, "EPERM", "ESRCH", "EINVAL", "EIO"), hints=("Is it forbidden, impossible, or only incomplete?",),
    )  # fmt: skip


def twice(rng):  # noqa: ARG001
    """Exercise 1: how many pages are copied in a cycle of pairs."""
    kernel, task, heap = spread()
    task.migrate_pages(0, "0-2", "1-2")
    return Question(
        "How many pages does the kernel copy?",
        int(kernel.vmstat()["migrated"]),
        f"Rule: the pairs are {', '.join(pairs(kernel))}. What came from node 2 to node 1 is there when node 1 is "
        "emptied, and goes back to node 2.",
        wrong={heap.pages: "So many pages there are. Can one be copied twice?", 12: "Do the pages of node 2 stay?"},
        hints=("Write the pairs down. Does any of them not wait for another?", "Then the last pair runs first."),
    )


def for_good(rng):  # noqa: ARG001
    """Exercise 2: memory that does not come back."""

    def judge(move):
        kernel, task, heap = spread(on=(0,), nodes=2)
        task.set_mempolicy(Policy.bind(0))
        move(task, heap)
        if (now := task.placement(heap)) != [1] * heap.pages:
            why = " A policy alone moves nothing that is there already." * (set(now) == {0})
            return f"The pages are on the nodes {now}.{why}"
        kernel.reclaim(heap.pages)
        task.touch(heap)
        back = task.placement(heap).count(0)
        why = " The policy is still bind:0." * (str(task.policy) == "bind:0")
        return f"{back} pages came back to node 0, when memory had been short.{why}" if back else ""

    return Question(
        "Write a function `move(task, heap)`.", "`task.mbind(heap, Policy.bind(1), move=True)`",
        "Rule: a page is read back to where the policy says. `mbind` moves the pages and sets it.",
        wrong={(lambda a, _: a.migrate_pages(0, 0, 1)): "", (lambda a, _: a.set_mempolicy(Policy.bind(1))): ""},
        hints=("Where does a swapped page come back to?", "Which call takes a policy *and* moves?"), judge=judge,
    )  # fmt: skip


def own_remap(rng):
    """Exercise 3: write node_remap()."""
    cases = [tuple(sorted(rng.sample(range(8), rng.randint(1, 6))) for _ in "ab") for _ in range(30)]

    def judge(goes_to):
        for old, new, node in [(*case, node) for case in cases for node in case[0]]:
            right = nodemask.node_remap(node, parse_nodes(old, 8), parse_nodes(new, 8))
            if (said := goes_to(node, list(old), list(new))) != right:
                return f"From {old} to {new}, node {node} goes to node {right}. Your function says {said}."
        return ""

    return Question(
        "Write a function `goes_to(node, old, new)`.", "`new[old.index(node) % len(new)]`",
        "Rule: not the number of a node counts but its place in the old set, modulo the size of the new one.",
        wrong={(lambda node, _, new: new[node % len(new)]): "", (lambda node, old, new: new[old.index(node)]): ""},
        hints=("`old.index(node)` is the place of a node.", "What if the new set is shorter?"), judge=judge,
    )  # fmt: skip
