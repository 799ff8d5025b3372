"""Random histories: a list of steps from a seed, played on any machine, and compared after each step.

A step is a name and numbers; what it does depends on nothing but what the steps before it did, so that the same list is
the same history on the model and on a real kernel, and still is one if steps are left out of it.  After each step the
answer and the placement of every task are written down.  numpy is not imported here.
"""

import random

from ..terms.policy import Policy
from .catalogue import named

MOST_TASKS, MOST_PAGES, FIRST = 3, 6, 0x10000
POLICIES = ("default", "preferred", "bind", "interleave", "local", "preferred_many")
FLAGGED = ("preferred", "bind", "interleave", "preferred_many")
FLAGS = ("move", "strict")


def history(seed, steps, nodes):
    """A list of steps, as JSON has them, for a machine with so many nodes."""
    rng = random.Random(seed)
    return [["mmap", 0, "anonymous", 4, True], *(step(rng, nodes) for _ in range(steps - 1))]


def step(rng, nodes):
    """One step."""
    kind = rng.choices(list(STEPS), [weight for weight, _ in STEPS.values()])[0]
    task, area = rng.randrange(MOST_TASKS), rng.randrange(8)
    first, pages = rng.randrange(MOST_PAGES), rng.randint(1, MOST_PAGES)
    here = rng.randrange(nodes)
    wanted = ["touch", task, area, first, pages, rng.random() < 0.6]
    if kind == "mmap":
        wanted = [kind, task, rng.choice(("anonymous", "shared", "tmpfs", "tmpfs private")), pages, rng.random() < 0.9]
    elif kind in ("fork", "exit"):
        wanted = [kind, task]
    elif kind == "run_on":
        wanted = [kind, task, here]
    elif kind in ("mlock", "munlock", "munmap"):
        wanted = [kind, task, area, first, pages]
    elif kind == "set_mempolicy":
        wanted = [kind, task, *policy(rng, nodes)]
    elif kind == "mbind":
        chosen = [flag for flag in FLAGS if rng.random() < 0.5]
        wanted = [kind, task, area, first, pages, *policy(rng, nodes), chosen]
    elif kind == "migrate_pages":
        wanted = [kind, task, rng.randrange(MOST_TASKS), some(rng, nodes), some(rng, nodes)]
    elif kind == "move_pages":
        wanted = [kind, task, rng.randrange(MOST_TASKS), area, first, [rng.randrange(nodes) for _ in range(pages)]]
    return wanted


def some(rng, nodes):
    """Some nodes, at least one; rarely one that is absent."""
    chosen = sorted(rng.sample(range(nodes), rng.randint(1, nodes)))
    return [*chosen, nodes] if rng.random() < 0.05 else chosen


def policy(rng, nodes):
    """(mode, nodes, flag) of a policy."""
    mode = rng.choice(POLICIES)
    chosen = [] if mode in ("default", "local") else some(rng, nodes)
    chosen = chosen[:1] if mode == "preferred" else chosen
    flag = rng.choice(("", "", "static", "relative")) if mode in FLAGGED else ""
    return mode, chosen, flag


class World:
    """A machine, the tasks of a history on it, and the areas that were mapped; what a step finds is taken in turn.

    INTERLEAVE of shared memory and of tmpfs begins at a node that depends on the number of the inode, which nobody
    knows: a history has shared memory, or tasks that interleave, and never interleaves what is shared.
    """

    def __init__(self, kernel):
        self.kernel, self.tasks, self.areas = kernel, [kernel.spawn("a", node=0)], []  # areas: (start, pages)
        self.shared, self.interleaves = set(), False  # the starts of areas; whether a task has that policy

    def task(self, number):
        return self.tasks[number % len(self.tasks)]

    def range(self, area, first, pages):
        """Pages of an area that was mapped once, by whomever; None if there is none yet."""
        if not self.areas:
            return None
        start, size = self.areas[area % len(self.areas)]
        first = start + first % size
        return range(first, min(first + pages, start + size))

    def policy(self, where, mode, nodes, flag):
        """The policy of a step for some pages; None: of a task."""
        mine = [start for start, pages in self.areas if where and start <= where.start < start + pages]
        if mode == "interleave" and (self.shared if where is None else self.shared & set(mine)):
            mode = "bind"
        self.interleaves |= mode == "interleave" and where is None
        return Policy(mode, tuple(nodes), flag)

    def do(self, step):
        """What a step answers."""
        name, number, *args = step
        return STEPS[name][1](self, self.task(number), *args)


def set_mempolicy(world, task, mode, nodes, flag):
    task.set_mempolicy(world.policy(None, mode, nodes, flag))


def mmap(world, task, kind, pages, writable):
    kind = "anonymous" if world.interleaves else kind
    options = {"writable": writable, "shared": kind in ("shared", "tmpfs")}
    if kind.startswith("tmpfs"):
        options["file"] = world.kernel.file("f", pages, fs="tmpfs")
    at = sum(world.areas[-1]) + 1 if world.areas else FIRST  # with a gap: the model does not merge two mappings
    task.mmap(pages, at=at, **options)
    world.areas.append((at, pages))
    world.shared |= {at} if kind != "anonymous" else set()


def fork(world, task):
    if len(world.tasks) < MOST_TASKS:
        world.tasks.append(task.fork())


def leave(world, task):
    if len(world.tasks) > 1:
        world.tasks.remove(task)
        task.exit()


def on_range(call):
    """A step that calls a method of a task with a range."""

    def act(world, task, area, first, pages, *args):
        where = world.range(area, first, pages)
        return None if where is None else call(task, where, *args)

    return act


def mbind(world, task, area, first, pages, mode, nodes, flag, flags):
    where = world.range(area, first, pages)
    if where is not None:
        task.mbind(where, world.policy(where, mode, nodes, flag), **dict.fromkeys(flags, True))


def move_pages(world, task, other, area, first, nodes):
    where = world.range(area, first, len(nodes))
    if where is None:
        return None
    return [str(each) for each in task.move_pages(world.task(other).pid, where, nodes[: len(where)])]


STEPS = {  # name: (how often, what it does)
    "touch": (8, on_range(lambda task, where, write: task.touch(where, write=write) and None)),
    "mmap": (3, mmap), "fork": (1, fork), "exit": (0.5, leave),
    "run_on": (2, lambda _, task, node: task.run_on(node)),
    "mlock": (1, on_range(lambda task, where: task.mlock(where))),
    "munlock": (1, on_range(lambda task, where: task.munlock(where))),
    "munmap": (0.7, on_range(lambda task, where: task.munmap(where))),
    "set_mempolicy": (2, set_mempolicy),
    "mbind": (4, mbind),
    "migrate_pages": (3, lambda world, task, other, old, new: task.migrate_pages(world.task(other).pid, old, new)),
    "move_pages": (3, move_pages),
}  # fmt: skip


def play(kernel, steps):
    """What is seen after each step: [answer, the placement of each task]."""
    world, seen = World(kernel), []
    for each in steps:
        try:
            answer = world.do(each)
        except Exception as error:  # also of the model alone, or a wrong argument on both
            answer = named(error)
        seen.append([answer, [look(world, task) for task in world.tasks]])
    return seen


def look(world, task):
    """Where all is that was ever mapped, in the address space of a task: a digit a page, a dot for none."""
    nodes = task.placement(range(FIRST, sum(world.areas[-1]))) if world.areas else ()
    return "".join("." if node is None else str(node) for node in nodes)


def first_difference(one, other):
    """The number of the first step after which two plays differ; None: they do not."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), None)


def shrink(steps, differs):
    """The fewest steps of a history that still differ: steps are left out as long as the rest does.

    `differs` gives of a history the number of its first step after which the machines differ, or None.
    """
    steps = steps[: differs(steps) + 1]
    size = max(1, len(steps) // 2)
    while size:
        at = 0
        while at < len(steps):
            fewer = steps[:at] + steps[at + size :]
            if fewer and (where := differs(fewer)) is not None:
                steps = fewer[: where + 1]
            else:
                at += size
        size //= 2
    return steps
