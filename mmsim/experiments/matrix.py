"""The catalogue: some hundred experiments made from parameters, each a function of a machine that gives facts.

What is mapped, who shares it, what holds it, and which call is made: the names say it in this order.  They use nothing
but the names that the model and a real Linux both have, and numpy is not imported here.
"""

from functools import partial
from itertools import product
from types import SimpleNamespace

from ..terms.policy import Policy
from .catalogue import EXPERIMENTS, answer, written

PAGES = 8

# A scene has kernel, task, mapping, and perhaps a partner: each table has functions of one.
# -- what is mapped: the mapping


def spread(s):
    """Private memory, two pages on each of the first four nodes, as far as there are so many."""
    heap = s.task.mmap(PAGES)
    for node in range(min(4, s.kernel.topology.nodes)):
        s.task.mbind(heap[2 * node : 2 * node + 2], Policy.bind(node))
    s.task.touch(heap, write=True)
    s.task.mbind(heap, Policy.default())
    return heap


def tmpfs(s):
    """A file on tmpfs."""
    return s.kernel.file("data", PAGES, fs="tmpfs")


def only_read(s, **options):
    """Memory that is read and never written."""
    mapping = s.task.mmap(PAGES, **options)
    s.task.touch(mapping)
    return mapping


def by_write(s):
    """A file on tmpfs that is filled by write(2), and mapped shared."""
    file = tmpfs(s)
    s.task.write(file)
    return only_read(s, file=file, shared=True)


MEMORY = {
    "private memory": lambda s: written(s.task, PAGES),
    "memory that was only read": only_read,
    "shared memory": lambda s: written(s.task, PAGES, shared=True),
    "a tmpfs file": lambda s: written(s.task, PAGES, file=tmpfs(s), shared=True),
    "a tmpfs file that was written": by_write,
    "a private copy of a tmpfs file": lambda s: written(s.task, PAGES, file=tmpfs(s)),
    "a file on a disk": lambda s: only_read(s, file=s.kernel.file("data", PAGES), shared=True),
}

# -- who shares it: the partner


def wrote_half(s):
    """A child that has written half of it."""
    partner = s.task.fork("child")
    partner.touch(s.mapping[0:4], write=True)
    return partner


def uses_it(s):
    """A child that has used it as well."""
    partner = s.task.fork("child")
    partner.touch(s.mapping)
    return partner


SHARED = {
    "": None, "a forked child": lambda s: s.task.fork("child"), "a forked worker that wrote half": wrote_half,
    "a child that uses it": uses_it, "a child that ended": lambda s: s.task.fork("child").exit(),
}  # fmt: skip
HELD = {  # what keeps it where it is
    "": None,
    "locked": lambda s: s.task.mlock(s.mapping),
    "locked and unlocked": lambda s: (s.task.mlock(s.mapping), s.task.munlock(s.mapping)),
    "half of it locked": lambda s: s.task.mlock(s.mapping[2:6]),
    "locked by the other": lambda s: s.partner.mlock(s.mapping),
    "half of it pinned": lambda s: s.kernel.pin(s.task, s.mapping[2:6]),
}
CALLS = {  # what is answered
    "migrate_pages 0 to 1": lambda s: s.task.migrate_pages(0, 0, 1),
    "mbind BIND 1 MOVE": lambda s: s.task.mbind(s.mapping, Policy.bind(1), move=True),
    "mbind BIND 1 MOVE STRICT": lambda s: s.task.mbind(s.mapping, Policy.bind(1), move=True, strict=True),
    "move_pages to 1": lambda s: s.task.move_pages(0, s.mapping, 1),
}
PARTNERS = {
    "the other's migrate_pages 0 to 1": lambda s: s.task.migrate_pages(s.partner.pid, 0, 1),
    "the other's mbind BIND 1 MOVE": lambda s: s.partner.mbind(s.mapping, Policy.bind(1), move=True),
}
ROOTS = {
    "root's migrate_pages 0 to 1": lambda s: root(s).migrate_pages(s.task.pid, 0, 1),
    "root's move_pages to 1, all":
        lambda s: root(s).move_pages(s.task.pid, range(s.mapping.start, s.mapping.stop), 1, all=True),
}  # fmt: skip


def root(s):
    """An administrator's task."""
    return s.kernel.spawn("root", uid=0)


def perform(memory, sharer, holder, call, kernel):
    """One experiment: {fact: value}."""
    s = SimpleNamespace(kernel=kernel, task=kernel.spawn("a", node=0), partner=None)
    s.mapping = mapping = memory(s)
    s.partner = sharer and sharer(s)
    if holder:
        holder(s)
    facts = {"before": s.task.placement(mapping)}
    if s.partner:
        facts["partner before"] = s.partner.placement(mapping)
    facts["answer"] = answer(call, s)
    facts["after"] = s.task.placement(mapping)
    if s.partner:
        facts["partner after"] = s.partner.placement(mapping)
    facts["policy"] = str(s.task.get_mempolicy(mapping))
    s.task.touch(mapping)
    facts["after a touch"] = s.task.placement(mapping)
    return facts


def put(memory, shared, held, name, call):
    """Put one into EXPERIMENTS."""
    title = ", ".join(part for part in (memory, shared, held, name) if part)
    function = partial(perform, MEMORY.get(memory, spread), SHARED[shared], HELD[held], call)
    function.__doc__ = f"{title[0].upper()}{title[1:]}."
    CATALOGUE[title] = function


CATALOGUE = {}
PRIVATE, SHARED_ONES = ("private memory",), ("shared memory", "a tmpfs file")
for combinations in (  # memory, who shares it, what holds it, calls
    (MEMORY, ("",), ("",), CALLS),
    (PRIVATE + SHARED_ONES, ("a forked child", "a child that uses it"), ("",), CALLS),
    (PRIVATE, ("a forked worker that wrote half",), ("",), CALLS | PARTNERS | ROOTS),
    (SHARED_ONES, ("a child that uses it",), ("",), PARTNERS | ROOTS),
    (PRIVATE, ("",), ("locked", "half of it locked", "half of it pinned", "locked and unlocked"), CALLS),
    (("shared memory",), ("a child that uses it",), ("locked by the other",), CALLS | ROOTS),
    (PRIVATE, ("a child that ended",), ("",), ("migrate_pages 0 to 1",)),
):
    for memory, shared, held, name in product(*combinations):
        put(memory, shared, held, name, (CALLS | PARTNERS | ROOTS)[name])

# node sets of different size, over memory that is on four nodes
for old, new in (("0", "1"), ("0-1", "2-3"), ("0-1", "1-2"), ("0-1", "1"), ("0", "1-2"), ("0-2", "3"), ("2", "0-1"),
                 ("0-3", "1"), ("1,3", "0,2"), ("0-3", "0-1"), ("0", "0"), ("1", "9"), ("1", "0,9"), ("none", "1"),
                 ("0", "none"), ("9", "1")):  # fmt: skip
    put("memory on four nodes", "", "", f"migrate_pages {old} to {new}",
        lambda s, old=old, new=new: s.task.migrate_pages(0, old, new))  # fmt: skip
for name, policy in (("DEFAULT", Policy.default()), ("PREFERRED 1", Policy.preferred(1)), ("LOCAL", Policy.local()),
                     ("BIND 0-1", Policy.bind("0-1")), ("INTERLEAVE 1-2", Policy.interleave("1-2")),
                     ("PREFERRED_MANY 2-3", Policy.preferred_many("2-3"))):  # fmt: skip
    for flags in ((), ("move",), ("strict",), ("move", "strict")):
        put("memory on four nodes", "", "", f"mbind {name} {' '.join(flags).upper()}".rstrip(),
            lambda s, policy=policy, flags=flags:
                s.task.mbind(s.mapping, policy, **dict.fromkeys(flags, True)))  # fmt: skip
for name, nodes in (("to 3 2 1 0 3 2 1 0", [3, 2, 1, 0] * 2), ("to where they are", [0, 0, 1, 1, 2, 2, 3, 3]),
                    ("with an absent node in the middle", [1, 1, 1, 9, 1, 1, 1, 1])):  # fmt: skip
    put("memory on four nodes", "", "", f"move_pages {name}",
        lambda s, nodes=nodes: s.task.move_pages(0, s.mapping, nodes))  # fmt: skip


def with_hole(first, last, kernel):
    """mbind(2) over a range with a hole, and where the rest of it is then."""
    task = kernel.spawn("a", node=0)
    mapping = written(task, PAGES)
    task.munmap(mapping[first:last])
    everything = range(mapping.start, mapping.stop)
    facts = {"answer": answer(task.mbind, everything, Policy.bind(1), move=True)}
    return facts | {"after": task.placement(everything)}


for name, first, last in (("at its head", 0, 2), ("in the middle", 3, 5), ("at its tail", 6, 8)):
    CATALOGUE[f"mbind BIND 1 MOVE over a hole {name}"] = partial(with_hole, first, last)

# policies of a task, and what its cpuset makes of them
TASK_POLICIES = {
    "DEFAULT": Policy.default(), "PREFERRED 1": Policy.preferred(1), "BIND 0-1": Policy.bind("0-1"),
    "INTERLEAVE 0-1": Policy.interleave("0-1"), "BIND 0-1 STATIC": Policy.bind("0-1", static=True),
    "INTERLEAVE 0-1 RELATIVE": Policy.interleave("0-1", relative=True),
}  # fmt: skip


def task_policy(policy, kernel):
    """A policy of a task, and of its child: where new memory goes."""
    task = kernel.spawn("a", node=min(1, kernel.topology.nodes - 1))
    facts = {"answer": answer(task.set_mempolicy, policy)}
    facts |= {"policy": str(task.get_mempolicy()), "new pages": task.placement(written(task, PAGES))}
    partner = task.fork("child")
    return facts | {"policy of the child": str(partner.policy), "its pages": partner.placement(written(partner, 4))}


def job(policy, migrate, whole, kernel):
    """A job with a policy, of the task or of its memory, whose cpuset changes from nodes 0-1 to 2-3."""
    task = kernel.spawn("a", node=0)
    cpuset = kernel.cpuset("job", "0-1", memory_migrate=migrate)
    cpuset.attach(task)
    mapping = task.mmap(PAGES)
    if whole:
        task.set_mempolicy(policy)
    else:
        task.mbind(mapping, policy)
    task.touch(mapping[0:4], write=True)
    facts = {"before": task.placement(mapping)}
    cpuset.mems = "2-3"
    facts |= {"after": task.placement(mapping), "policy": str(task.policy if whole else task.get_mempolicy(mapping))}
    task.touch(mapping, write=True)
    return facts | {"with new pages": task.placement(mapping), "outside": answer(task.migrate_pages, 0, "2-3", "0")}


for name, policy in TASK_POLICIES.items():
    CATALOGUE[f"a task's policy {name}"] = partial(task_policy, policy)
    for whole, what in ((True, "task"), (False, "memory")):
        CATALOGUE[f"a job's cpuset changes, memory follows, {name} of the {what}"] = partial(job, policy, True, whole)
    CATALOGUE[f"a job's cpuset changes, {name} of the task"] = partial(job, policy, False, True)
CATALOGUE = EXPERIMENTS | CATALOGUE
