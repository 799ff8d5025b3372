"""Goals: a placement to reach with few calls, on an old kernel, past a page that will not move; made from a seed.

A goal is a machine, a list of calls, and what is wanted.  Which calls reach it, and that fewer do not, is found by
trying: `solve` makes every sequence of them on the machine.  `mmsim.widgets.Goals` is the same with buttons.
"""

import functools
import random
from collections.abc import Callable
from typing import NamedTuple

from ..machine.errors import MMSimError
from ..machine.explain import frames_behind
from ..machine.kernel import Kernel
from ..machine.policy import Policy
from ..machine.topology import Topology
from ..mm.structs import VM_MAJOR, VM_MINOR, VM_SWAP_WRITE
from .catalogue import named

MOST = 4  # calls of a solution


class Call(NamedTuple):
    """Something that the reader may do: as one types it, and as a function of the machine."""

    text: str
    do: Callable


class Goal(NamedTuple):
    """A task for the reader.

    `build(patches)` gives the machine, whose first task `a` is the subject.  `target`: the node of each of its pages.
    `must`: pairs of what else has to be so, in words, and a function of the machine.  `kernels`: how many patches a
    kernel may have, oldest first; the oldest one counts, then the number of calls.
    """

    text: str
    build: Callable
    calls: tuple
    target: tuple
    hints: tuple
    must: tuple = ()
    kernels: tuple = (7,)

    def lacks(self, kernel):
        """What is not as it is wanted, in words; '' if all is."""
        placed = placement(kernel)
        wrong = [str(i) for i, (now, wanted) in enumerate(zip(placed, self.target, strict=True)) if now != wanted]
        many = len(wrong) > 1
        lacks = [f"page{'s' * many} {', '.join(wrong)} {'are' if many else 'is'} not on the wanted node"] * bool(wrong)
        return "; ".join(lacks + [f"not so: {words}" for words, holds in self.must if not holds(kernel)])


def placement(kernel):
    """The node of each page of the first task; None: not present."""
    return tuple(kernel.tasks[0].placement())


def make(kernel, call):
    """Make a call: what it returned, or its error, in words."""
    try:
        returned = call.do(kernel)
    except OSError as error:
        return named(error)
    except MMSimError as error:
        return f"{type(error).__name__}: {error}"
    except ValueError as error:
        return f"refused: {error}"
    return "" if returned is None else str(returned)


def state(kernel):
    """What later calls depend on: two machines that are alike in it go on alike."""
    tables, pages = kernel.tables, kernel.tables["mem_map"][: kernel.k.sys.nr_frames]
    ptes = tables["pte"][tables["pte"]["flags"] != 0]
    behind = frames_behind(tables, ptes)
    held = [pages[column][behind].tobytes() for column in ("node", "flags", "mapcount", "count")]
    rows = [tables[name].tobytes() for name in ("vma", "task", "cpuset")]
    counts = tables["vmstat"][[VM_MINOR, VM_MAJOR, VM_SWAP_WRITE]].tobytes()
    return ptes["flags"].tobytes(), *held, *rows, counts, tables["zone"]["free"].tobytes(), kernel.k.sys.bug


def sequences(goal, patches, most, merge=True):
    """Try all sequences of calls on a kernel, shorter ones first: (places in `goal.calls`, the machine after them).

    `merge`: go on from one of several machines that are alike only.
    """
    kernel = goal.build(patches)
    here, known = [((), kernel.snapshot())], {state(kernel)}
    yield (), kernel
    for _ in range(most):
        later = []
        for done, before in here:
            for number, call in enumerate(goal.calls):
                kernel.restore(before)
                make(kernel, call)
                yield (*done, number), kernel
                if not merge or state(kernel) not in known:
                    known.add(state(kernel))
                    later.append(((*done, number), kernel.snapshot()))
        here = later


def solve(goal, patches, most=MOST, merge=True):
    """The shortest sequence of calls that reaches a goal on a kernel: places in `goal.calls`; None: none so short."""
    tried = sequences(goal, patches, most, merge)
    return next((calls for calls, kernel in tried if not goal.lacks(kernel)), None)


def best(goal):
    """(the oldest kernel that can reach a goal, the fewest calls on it: places in `goal.calls`)."""
    for patches in goal.kernels:
        calls = solve(goal, patches)
        if calls is not None:
            return patches, calls
    raise ValueError(f"goal: {goal.target} cannot be reached with {MOST} calls")


def reached(goal, depth):
    """The placements that take this many calls and no fewer on the newest kernel, in the order in which they come."""
    fewest = {}
    for calls, kernel in sequences(goal, goal.kernels[-1], depth):
        fewest.setdefault(placement(kernel), len(calls))
    return [each for each, calls in fewest.items() if calls == depth and None not in each]


# -- the five


def machine(patches, nodes, pages, cpuset=None):
    """A task of root's, `a`, with its pages on the nodes that are listed; `cpuset`: the memory of the one it is in."""
    kernel = Kernel(Topology.uniform(nodes=nodes, frames=64), patches=patches, swap_slots=32, trace=4096)
    if cpuset:
        job = kernel.cpuset("job", cpuset)
    a = kernel.spawn("a", uid=0)
    if cpuset:
        job.attach(a)
    mapped = a.mmap(len(pages), name="heap")
    for i, node in enumerate(pages):
        a.run_on(node)
        a.touch(mapped[i], write=True)
    a.run_on(0)
    return kernel


def heap(kernel, first=0, last=None):
    """Pages of the heap of `a`, from `first` to before `last`."""
    pages = kernel.tasks[0].pages().index
    return range(int(pages[first]), int(pages[(len(pages) if last is None else last) - 1]) + 1)


def migrate_call(old, new):
    return Call(f'a.migrate_pages(0, "{old}", "{new}")', lambda k: k.tasks[0].migrate_pages(0, old, new))


def bind_call(first, last, policy, text, **how):
    """An mbind() of pages of the heap that moves them."""
    how = how or {"move": True}
    flags = ", ".join(f"{name}=True" for name in how)
    return Call(f"a.mbind(heap[{first}:{last}], {text}, {flags})",
                lambda k: k.tasks[0].mbind(heap(k, first, last), policy, **how))  # fmt: skip


def fewest_calls(rng):
    """Groups of pages change places, and two that have met cannot be told apart any more."""
    groups = [0, 0, 1, 1, 2, 2] if rng.random() < 0.5 else [0, 0, 0, 1, 1, 1]
    pairs = [("0", "1"), ("0", "2"), ("1", "0"), ("1", "2"), ("2", "0"), ("2", "1"), ("0-1", "1-2"), ("1-2", "0-1")]
    made = Goal(
        "Bring the pages where they are wanted, with as few calls of migrate_pages() as you can.",
        lambda patches: machine(patches, 3, groups), tuple(migrate_call(*pair) for pair in pairs), (),
        ("Pages that have met on one node move together from then on: whom must you not bring together?",
         'migrate_pages(0, "0-1", "1-2") moves node 1 to 2 first, and then 0 to 1: nobody meets.'),
    )  # fmt: skip
    found = reached(made, 3) or reached(made, 2)
    apart = [target for target in found if len(set(target)) == len(set(groups))]
    return made._replace(target=rng.choice(apart or found))


def policies(rng):
    """mbind() moves only what is not where the policy lets it be."""
    half, start = 4, rng.choice((0, 1, 2))
    calls = [bind_call(0, half, Policy.bind(n), f"Policy.bind({n})") for n in range(3)]
    calls += [bind_call(half, 2 * half, Policy.bind(n), f"Policy.bind({n})") for n in range(3)]
    calls += [bind_call(0, 2 * half, Policy.interleave(nodes), f'Policy.interleave("{nodes}")')
              for nodes in ("0-1", "1-2", "0,2")]  # fmt: skip
    made = Goal(
        "Use mbind() alone. What is already on a node of the policy stays there.",
        lambda patches: machine(patches, 3, [start] * 2 * half), tuple(calls), (),
        ("Which pages does the last call leave alone? Those that are on a node of its policy already.",
         "Look for the call that makes the pattern, and for one before or after it that puts a half aside."),
    )  # fmt: skip
    return made._replace(target=rng.choice(reached(made, 2)))


def stubborn(rng):
    """Pages that will not move, and what holds each of them."""
    pinned, mlocked = rng.sample(range(6), 2)
    obstacles = rng.choice((("pinned",), ("mlocked",), ("pinned", "mlocked")))

    def build(patches):
        kernel = machine(patches, 2, [0] * 6)
        a = kernel.tasks[0]
        if "pinned" in obstacles:
            kernel.pin(a, heap(kernel, pinned, pinned + 1))
        if "mlocked" in obstacles:
            a.mlock(heap(kernel, mlocked, mlocked + 1))
        return kernel

    calls = [migrate_call("0", "1"), bind_call(0, 6, Policy.bind(1), "Policy.bind(1)"),
             bind_call(0, 6, Policy.bind(1), "Policy.bind(1)", move_all=True)]  # fmt: skip
    for i in sorted({pinned, mlocked}):
        calls.append(Call(f"kernel.unpin(a, heap[{i}])", lambda k, i=i: k.unpin(k.tasks[0], heap(k, i, i + 1))))
        calls.append(Call(f"a.munlock(heap[{i}])", lambda k, i=i: k.tasks[0].munlock(heap(k, i, i + 1))))
    return Goal(
        "All pages are wanted on node 1. Something holds some of them.",
        build, tuple(calls), (1,) * 6,
        ("Move first, and read why a page stays: the reason names what holds it.",
         "A pinned page has a reference that nobody accounts for; VM_LOCKED makes a vma not migratable."),
    )  # fmt: skip


# What is asked of the oldest kernel: in words, and what must hold.
NO_SWAP_IO = "nothing was written to swap", lambda k: k.vmstat()["swap_write"] == 0
NO_FAULT = "no page had to be faulted back in", lambda k: k.vmstat()[["minor", "major"]].sum() == len(placement(k))
ANYHOW = {
    "Anything goes: pages may be swapped out, and come back with a fault.": (),
    "No page may be written to swap.": (NO_SWAP_IO,),
    "No page may be faulted back in.": (NO_FAULT,),
}


def oldest_kernel(rng):
    """Which patch brought what: eviction and faults, direct migration, ptes put back, the system calls."""
    text = rng.choice(list(ANYHOW))
    by_itself = rng.random() < 0.5
    calls = [migrate_call("0", "1"), bind_call(0, 4, Policy.bind(1), "Policy.bind(1)"),
             Call("a.touch(heap)", lambda k: k.tasks[0].touch(heap(k)) and None),
             Call("a.run_on(1)", lambda k: k.tasks[0].run_on(1))]  # fmt: skip
    if not by_itself:
        calls.insert(0, Call("kernel.migrate(a.pages().pfn, to=1)", in_kernel))
    who = "The task must do it itself: there is no in-kernel caller." if by_itself else "An in-kernel caller may help."
    return Goal(
        f"All pages are wanted on node 1, on a kernel as old as possible. {text} {who}",
        lambda patches: machine(patches, 2, [0] * 4), tuple(calls), (1,) * 4,
        ("Before patch 3 whoever migrates a page swaps it out; policy and node say where a fault brings it back.",
         "Patch 3 moves pages directly, but writes them to swap first; 4 puts the ptes back; 5 lets the "
         "system calls move directly, too; 6 moves what is dirty without writing it."),
        ANYHOW[text], tuple(range(8)),
    )  # fmt: skip


def in_kernel(kernel):
    """Have an in-kernel caller move all pages that are present to node 1: what it returns."""
    frames = kernel.tasks[0].pages()["pfn"].dropna().tolist()
    return kernel.migrate(frames, to=1).returned if frames else "no page is present"


def cpusets(rng):
    """memory_migrate moves relative to the old nodes, and only when it is on."""
    start = rng.choice(([0, 1] * 3, [0, 0, 1, 1, 0, 1], [0, 0, 0, 1, 1, 1]))

    def mems(nodes):
        return Call(f'job.mems = "{nodes}"', lambda k: setattr(job(k), "mems", nodes))

    def migrates(on):
        return Call(f"job.memory_migrate = {on}", lambda k: setattr(job(k), "memory_migrate", on))

    made = Goal(
        'The task is in the cpuset "job", whose memory is that of the nodes 0-1. Only change its files.',
        lambda patches: machine(patches, 4, start, cpuset="0-1"),
        (migrates(True), migrates(False), *map(mems, ("0", "1", "2", "3", "0-1", "1-2", "2-3", "0,3"))), (),
        ("A cpuset moves no memory until it is told to: memory_migrate.",
         "The first of the old nodes goes to the first of the new ones, the second to the second."),
    )  # fmt: skip
    return made._replace(target=rng.choice(reached(made, rng.choice((2, 3)))))


def job(kernel):
    """The cpuset that the first task is in."""
    return kernel.tasks[0].cpuset


KINDS = {"Fewest calls": fewest_calls, "By policy": policies, "A page that will not move": stubborn,
         "The oldest kernel that can": oldest_kernel, "By cpuset": cpusets}  # fmt: skip


@functools.lru_cache(maxsize=64)
def goal(kind, seed=1):
    """The Goal of one of KINDS that a seed gives."""
    return KINDS[kind](random.Random(f"{kind} {seed}"))
