"""A recorded experiment on the model: for each group of them what is done, from setup and call.

`not_asked` says, from setup and call alone, which cases the model cannot be asked; `replay` runs one of the others.
"""

import re

from ..machine.policy import Policy
from ..machine.topology import Topology
from .records import FRAMES, check
from .replay_facts import placed, recorded, with_nodes
from .replay_scene import Scene
from .words import CPUSET_MISC, CPUSET_V2, NOT_ASKED, STATES, calls_in, unknown_words

SLOTS = 4096


def not_asked(case):
    """Why the model cannot be asked, from setup and call alone; None if it can.  RecordError for what cannot be."""
    check(case)
    said = f"{case.group} {case.setup} {case.call}"
    for why, pattern in NOT_ASKED.items():
        if re.search(pattern, said):
            return why
    wrong = unknown_words(case) if case.group in GROUPS else f"group={case.group!r}"
    return wrong and f"unknown words: {wrong}"


def machine(case):
    """What to boot for a case, for Kernel(): the recorded machine 128 times smaller, with its swap device."""
    asked = case.setup.get("swap_slots_asked", -1)
    slots = 0 if case.setup.get("swap") in ("off", 0) else SLOTS if asked < 0 else asked
    frames = FRAMES if len(case.distances) == len(FRAMES) else FRAMES[0]
    return {"topology": Topology.from_matrix(case.distances, frames), "swap_slots": slots}


def replay(case, kernel):
    """The facts of a case on a machine as `machine` has it: those that the record has, and named as it names them."""
    scene = Scene(case, kernel)
    GROUPS[case.group](scene)
    for name in case.raw:
        scene.look(name)
    kernel.verify()
    seen = with_nodes(scene.facts)
    return {name: {key: seen[name].get(key) for key in fact} if isinstance(fact, dict) else seen[name]
            for name, fact in recorded(case).items() if name in seen}  # fmt: skip


def one_call(scene):
    """One call that is named, on memory of one's own or another's, with obstacles or without."""
    scene.ready()
    scene.obstacles()
    if "old_mems" not in scene.call:
        scene.policies()
    scene.make(scene.call)
    if "touch_cpu" in scene.setup:
        scene.task.run_on(scene.setup["touch_cpu"])


def in_words(scene):
    """Calls in words, one after another: sub-ranges, holes, wrong arguments."""
    words, task = scene.words, scene.task
    scene.ready()
    if "hole in the middle" in words:
        task.munmap(scene.heap[3:4])
    elif words.startswith("hole"):
        task.munmap(scene.heap[8:12])
    if cpu := re.search(r"cpu (\d)", words):
        task.run_on(int(cpu[1]))
    if words.startswith("task policy BIND{2}"):
        task.set_mempolicy(Policy.bind(2))
        make_all(scene)
        task.set_mempolicy(Policy.default())
    else:
        make_all(scene)


def make_all(scene):
    """Make the calls that are in words; note the answer of the first one, and the places before the last."""
    for call in calls_in(scene.words):
        scene.facts["after_first_call"] = placed(scene, scene.task, scene.body)
        scene.make(call)
        scene.facts = {"first_ret": scene.facts["ret"], "first_errno": scene.facts["errno"]} | scene.facts


def set_mempolicy(scene):
    """set_mempolicy(2), then faults in order."""
    scene.ready(touched=False)
    scene.policies()
    scene.make(scene.call)
    scene.task.touch(scene.heap, write=True)


def move_pages(scene):
    """move_pages(2), of which the pages are in words."""
    words, kernel = scene.words, scene.kernel
    if "other" in words:
        scene.task = kernel.spawn("target", uid=0 if "root" in words else 1000)
    scene.ready()
    pages = list(range(scene.body.start, scene.body.stop))
    said = {"pages": pages}
    if "kthreadd" in words:
        said["pid"] = "kthreadd"
    elif words.startswith("duplicate"):
        pages[1] = pages[0]
    elif "unmapped address" in words:
        scene.task.munmap(scene.heap[2:4])
    elif "vmspliced" in words:
        kernel.pin(scene.task, scene.heap[2])
        kernel.pin(scene.task, scene.heap[5])
    elif "nr_pages=0" in words:
        said = {"pages": [], "nodes": []}
    elif "nodes=NULL" in words:
        said["nodes"] = None
    scene.make(scene.call | said)


def swapped_out(scene):
    """Pages that were swapped out are moved, or come back under a policy."""
    scene.ready()
    scene.policies()
    scene.kernel.reclaim(scene.size, node=0)
    if scene.case.name.startswith("read-touch"):
        scene.task.run_on(scene.call["cpu"])
        scene.ask(lambda: scene.task.touch(scene.body) and 0)
    else:
        scene.make(scene.call)


def half_swapped_out(scene):
    """Calls on a task of which half, or later all, is swapped out."""
    words, task, kernel = scene.words, scene.task, scene.kernel
    scene.take(task.mmap(scene.size))
    if "pages 8-15 swapped out" in words:
        task.touch(scene.heap[8:], write=True)
        kernel.reclaim(8, node=0)
        task.touch(scene.heap[:8], write=True)
    else:
        task.touch(scene.heap, write=True)
    if "VMA policy BIND{1}" in words:
        task.mbind(scene.heap, Policy.bind(1))
    if "read back" in words:
        task.touch(scene.heap[8:])
    make_all(scene)
    if "MADV_PAGEOUT all" in words:
        scene.facts["after_migrate"] = placed(scene, task, scene.body)
        kernel.reclaim(scene.size, node=1)


def file_pages(scene):
    """A file of which the state is in words."""
    state, fs, kernel, task = scene.setup["state"], scene.setup["fs"], scene.kernel, scene.task
    way, shared, touched = STATES[state]
    file = kernel.file("file", scene.size, fs)
    first = kernel.spawn("first", uid=0)  # who brought the file into the page cache
    if way == "write(2)" or fs == "tmpfs":
        first.write(file)
    else:
        first.touch(first.mmap(scene.size, file, shared=True))
    first.exit()
    scene.take(task.mmap(scene.size, file, shared=shared))
    if touched:
        task.touch(scene.heap, write=touched == "write")
    if "second process" in state:
        scene.partner = kernel.spawn("partner", uid=0)
        scene.mapped[scene.partner] = scene.partner.mmap(scene.size, file, shared=True)
        scene.partner.touch(scene.mapped[scene.partner])
    if "page 0 mlocked" in state:
        task.mlock(scene.heap[:1])
    scene.make(scene.call)


def cpuset_in_words(scene):
    """Calls inside a cpuset, and values of its files."""
    words, kernel = scene.words, scene.kernel
    scene.ready()
    other = kernel.spawn("other", uid=scene.caller.uid)
    base = kernel.cpuset("base", scene.setup["base_cpuset_mems"])
    base.attach(other if "caller root in cpuset" in words else scene.task)
    if re.search(r"cpuset (mems )?\{2,3\}|same mems \(2,3\)", words):
        base.mems = [2, 3]
    if "with memory_migrate=1" in words:
        base.memory_migrate = True
    if "target" in words:
        scene.caller = other
    if words in CPUSET_MISC:
        scene.ask(setattr, base, *CPUSET_MISC[words])
    else:
        make_all(scene)


def unified(scene):
    """In the unified hierarchy a call; or, in words, a write to the cpuset of the task or to the one above it."""
    if not scene.case.words:
        one_call(scene)
        return
    own, whose, mems = CPUSET_V2[scene.words]
    scene.ready(tail=4)  # no word says so
    cpusets = {"parent": scene.kernel.cpuset("parent", "all", unified=True)}
    cpusets["child"] = scene.kernel.cpuset("child", own, parent=cpusets["parent"], unified=True)
    cpusets["child"].attach(scene.task)
    scene.ask(setattr, cpusets[whose], "mems", mems)
    scene.facts["effective"] = str(cpusets["child"].mems)


GROUPS = {
    group: play
    for play, groups in {
        one_call: "kinds shared mlock pinned sets policy small_swap full_node evict_policy perm page_cluster_0 cpuset "
        "migrate_pages_matrix migrate_self migrate_policy migrate_kind migrate_other mbind mbind_kind share_mbind "
        "share_migrate share_move_pages share_double share_cowhalf special cpuset_mems cpuset_attach "
        "cpuset_vma_policy cpuset_task_policy fill fill_swap fill_order x_kindflags x_pairs x_perm",
        in_words: "errors migrate_errors mbind_misc x_seq x_spill",
        swapped_out: "swap_out_in x_swap", half_swapped_out: "swap", file_pages: "x_file",
        set_mempolicy: "set_mempolicy", move_pages: "move_pages", cpuset_in_words: "cpuset_misc", unified: "cpuset_v2",
    }.items()
    for group in groups.split()
}  # fmt: skip
