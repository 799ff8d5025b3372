"""The recorded experiments of 2.6.18 and later whose calls are in words, or whose machine is short of memory."""

import re

from ..machine.policy import Policy
from .replay_early import fill_node, touch
from .replay_later import GROUPS, cpuset_change
from .words import STATES

SETS = r"\{([\d,]+)\}"


def numbers(text):
    return [int(n) for n in text.split(",")]


def step(scene, text):
    """Make one call in words; ValueError for words that are not known."""
    size, task = scene.size, scene.task
    flags = "|".join(re.findall(r"MOVE_ALL|MOVE|STRICT", text))
    if move := re.fullmatch(rf".*migrate_pages {SETS}->{SETS}.*|(?:then )?back {SETS}->{SETS}", text):
        old, new = (numbers(nodes) for nodes in move.groups() if nodes)
        scene.ask(scene.caller.migrate_pages, 0 if scene.caller is task else task.pid, old, new)
    elif move := re.search(r"move_pages all -> (\d)", text):
        scene.ask(scene.move, [int(move[1])] * size)
    elif move := re.search(rf"mbind (?:RELATIVE_NODES )?([A-Z]+){SETS}", text):
        scene.ask(scene.mbind, 0, size, f"MPOL_{move[1]}", numbers(move[2]), flags)
    elif "mbind(same)" in text:
        scene.ask(scene.mbind, 0, size, "MPOL_BIND", [1], flags)
    elif "mbind DEFAULT" in text:
        scene.ask(scene.mbind, 0, size, "MPOL_DEFAULT", [], flags)
    else:
        raise ValueError(f"unknown words: {text!r}")


def known(case):
    """True if every call in the words of a case is understood."""
    calls = rf"migrate_pages {SETS}->{SETS}|back {SETS}->{SETS}|move_pages all -> \d|mbind [A-Z]+{SETS}"
    return all(re.search(calls + r"|mbind\(same\)|mbind DEFAULT", text) for text in steps(case))


def steps(case):
    """The calls of a variant, one after another."""
    placed = r"\(pages[^)]*\)|, (?:caller )?(?:on )?cpu \d|, pages on \d"
    return re.split(r"; then |, then ", re.sub(placed, "", case.variant))


def sequence(scene):
    """Several calls; `first` notes the answer of the first."""
    scene.ready()
    if cpu := re.search(r"cpu (\d)", scene.case.variant):
        scene.task.run_on(int(cpu[1]))
    calls = steps(scene.case)
    for number, text in enumerate(calls):
        scene.note("after_first_call")  # that is, before the last
        step(scene, text)
        if number == 0:
            scene.facts |= {"first_ret": scene.facts["ret"], "first_errno": scene.facts["errno"]}


def nodes_used(scene):
    scene.facts["nodes_used"] = sorted({node for node in scene.facts["after"] if node is not None})


def by_name(scene, old=None):
    """Have all pages go to the nodes `to` by the call that is named; `old`: from where, if that is not said."""
    name, call = scene.call["name"], scene.call
    if name.startswith("mbind"):
        scene.ask(scene.mbind, 0, scene.size, name.removeprefix("mbind "), call["to"], call["flags"])
    elif name == "move_pages":
        scene.ask(scene.move, call["to"] * scene.size)
    else:
        scene.ask(scene.task.migrate_pages, 0, old or call["from"], call["to"])


def fill(scene):
    """The task's pages want to go to a full node."""
    fill_node(scene.kernel, scene.setup["node3"])
    scene.ready()
    call = scene.call
    if call["name"].startswith("cpuset"):
        cpuset = scene.kernel.cpuset("here", call["from"])
        cpuset.attach(scene.task)
        cpuset.memory_migrate = True
        scene.ask(setattr, cpuset, "mems", call["to"])
    else:
        by_name(scene)
    nodes_used(scene)


def spill(scene):
    """As `fill`, few pages, the call in words."""
    fill_node(scene.kernel, scene.setup["node3"])
    scene.ready()
    step(scene, scene.case.variant)
    nodes_used(scene)


def swap(scene):
    """Calls on a task of which half, or later all, is swapped out."""
    variant, task, kernel = scene.case.variant, scene.task, scene.kernel
    scene.heap = scene.body = task.mmap(scene.size)
    if "pages 8-15 swapped out" in variant:
        task.touch(scene.heap[8:], write=True)
        kernel.reclaim(8, node=0)
        task.touch(scene.heap[:8], write=True)
    else:
        task.touch(scene.heap, write=True)
    if "VMA policy BIND{1}" in variant:
        task.mbind(scene.heap, Policy.bind(1))
    if "read back" in variant:
        task.touch(scene.heap[8:])
    text = next(part for part in re.split(r"; |, ", variant) if re.search(r"migrate_pages|mbind|move_pages", part))
    step(scene, text)
    scene.facts["after_migrate"] = scene.facts["after"]
    scene.facts["pagemap_after"] = "".join(state[0].upper() for state in task.pages(scene.body)["state"])
    if "MADV_PAGEOUT all" in variant:
        kernel.reclaim(scene.size, node=1)
        scene.note("after")


def swapped_in(scene):
    """Pages that were swapped out come back under a policy."""
    scene.ready()
    task = scene.task
    scene.policies()
    scene.kernel.reclaim(scene.size, node=0)
    scene.note("before")
    task.run_on(scene.call["cpu"])
    scene.facts |= {"ret": 0, "errno": "OK", "touch": touch(task, scene.body, False)}
    scene.note("after")


def file_pages(scene):
    """A file of which the state is in words."""
    way, shared, touched = STATES[scene.setup["state"]]
    kernel, task, state, size = scene.kernel, scene.task, scene.setup["state"], scene.size
    scene.file = kernel.file("file", size, scene.setup["fs"])
    first = kernel.spawn("first", uid=0)  # who brought the file into the page cache
    if way == "write(2)" or scene.setup["fs"] == "tmpfs":
        first.write(scene.file)
    else:
        first.touch(first.mmap(size, scene.file, shared=True))
    first.exit()
    scene.heap = scene.body = task.mmap(size, scene.file, shared=shared)
    if touched:
        task.touch(scene.heap, write=touched == "write")
    if "second process" in state:
        scene.partner = kernel.spawn("partner", uid=0)
        scene.partner_heap = scene.partner.mmap(size, scene.file, shared=True)
        scene.partner.touch(scene.partner_heap)
    if "page 0 mlocked" in state:
        task.mlock(scene.heap[:1])
    partner, scene.partner = scene.partner, None  # its addresses are its own
    by_name(scene, [0])
    if partner:
        scene.facts["partner_after"] = partner.placement(scene.partner_heap)


def cpuset_in_words(scene):
    """Calls inside a cpuset, and values of its files."""
    variant, kernel = scene.case.variant, scene.kernel
    scene.ready()
    task, other = scene.task, kernel.spawn("other", uid=scene.caller.uid)
    base = kernel.cpuset("base", scene.setup["base_cpuset_mems"])
    base.attach(other if "caller root in cpuset" in variant else task)
    if re.search(r"cpuset (mems )?\{2,3\}|same mems \(2,3\)", variant):
        base.mems = [2, 3]
    if "target" in variant:
        scene.caller = other
    if value := re.fullmatch(r"memory_migrate=(\d)", variant):
        scene.ask(setattr, base, "memory_migrate", value[1] != "0")
    elif nodes := re.fullmatch(r"mems=([\d,]+)( \(node not online\))?", variant):
        scene.ask(setattr, base, "mems", numbers(nodes[1]))
    elif "empty cpuset.mems" in variant:
        scene.ask(setattr, base, "mems", [])
    elif "same mems" in variant:
        base.memory_migrate = True
        scene.ask(setattr, base, "mems", [2, 3])
    elif "set_mempolicy BIND{2}" in variant:
        scene.ask(task.set_mempolicy, Policy.bind(2))
    elif "RELATIVE_NODES BIND{0}" in variant:
        scene.ask(scene.mbind, 0, scene.size, "MPOL_BIND|RELATIVE_NODES", [0], "MOVE")
    else:
        step(scene, variant.split(": ", 1)[-1])


def unified(scene):
    """A write to cpuset.mems in the unified hierarchy: of the task's cpuset, or of the one above it."""
    own, above, mems = UNIFIED[scene.case.variant]
    scene.setup = scene.setup | {"unfaulted_tail": 4}  # no word says so
    scene.ready()
    parent = scene.kernel.cpuset("parent", "all", unified=True)
    child = scene.kernel.cpuset("child", own, parent=parent, unified=True)
    child.attach(scene.task)
    scene.ask(setattr, parent if above else child, "mems", mems)
    scene.facts |= {"effective": str(child.mems), "after_settled": scene.facts["after"]}


GROUPS |= dict.fromkeys(["fill", "fill_swap", "fill_order"], fill) | {
    "x_spill": spill, "x_seq": sequence, "x_swap": swapped_in, "x_file": file_pages, "swap": swap,
    "cpuset_misc": cpuset_in_words,
    "cpuset_v2": lambda scene: unified(scene) if scene.case.variant else cpuset_change(scene),
}  # fmt: skip
UNIFIED = {  # nodes of the task's cpuset, which has a parent with all: does the parent, too, get others, and which
    "parent cpuset.mems 0-3 -> 0-1 while the child cgroup (mems 2-3) holds the task": ("2-3", True, "0-1"),
    "write empty cpuset.mems (inherit parent 0-3) to the task's cgroup (was 0-1)": ("0-1", False, ""),
    "cpuset.mems 0-1 -> 7 (not online)": ("0-1", False, "7"),
    "cpuset.mems 0-1 -> 1,7": ("0-1", False, "1,7"),
}
IN_WORDS = (
    r"memory_migrate=\d$|mems=[\d,]+|write empty cpuset.mems while|rewrite the same mems|set_mempolicy BIND\{2\}"
    rf"|RELATIVE_NODES BIND|migrate_pages {SETS}->{SETS}|mbind BIND{SETS} MOVE$|move_pages all -> \d"
)


def not_understood(case):
    """The words of a variant that are not understood; None if all are."""
    variant = case.variant
    if case.group == "cpuset_misc" and ("COW-shared" in variant or not re.search(IN_WORDS, variant)):
        return f"unknown words: variant={variant!r}"
    if case.group == "cpuset_v2" and variant and variant not in UNIFIED:
        return f"unknown words: variant={variant!r}"
    if case.group in ("x_seq", "x_spill") and not known(case):
        return f"unknown words: variant={variant!r}"
    return None
