"""A recorded experiment on the model: what it sets up, the call, and what can be seen afterwards.

One small function a group of cases; `replay` runs a case with all seven patches and returns its facts.
"""

import re
from collections import Counter

from ..machine.errors import ERRNO_NAMES
from ..machine.kernel import Kernel
from ..machine.policy import Policy
from .records import FRAMES, KINDS, Case as Case
from ..machine.topology import Topology

SWAP_SLOTS = 4096

POLICIES = {
    "MPOL_DEFAULT": lambda nodes: Policy("default", nodes),
    "MPOL_PREFERRED": Policy.preferred,
    "MPOL_BIND": Policy.bind,
    "MPOL_INTERLEAVE": Policy.interleave,
}


def maps_facts(lines):
    """What lines of numa_maps say: the policy of each vma; and, of all together, kinds of pages and pages a node."""
    if not lines:
        return {}
    counts = Counter()
    for name, count in re.findall(r"(anon|dirty|mapped|mapmax|swapcache|N\d+)=(\d+)", "\n".join(lines)):
        counts[name] += int(count)
    return {"policies": [line.split()[1] for line in lines], "maps": dict(counts)}


def replay(case):
    """The facts of a case as the model gives them."""
    scene = Scene(case)
    case.known("group", case.group, GROUPS)(scene)
    scene.look()
    scene.kernel.verify()
    return scene.facts


class Scene:
    """A machine with the task of a case and its mapping; `facts` collects what is seen."""

    def __init__(self, case):
        self.case, self.setup, self.call = case, case.setup, case.call
        self.partner, self.facts = None, {}
        frames = [*FRAMES, *[FRAMES[0]] * len(case.distances)][: len(case.distances)]
        self.kernel = Kernel(Topology.from_matrix(case.distances, frames), swap_slots=SWAP_SLOTS, trace=False)
        user = re.search(r"uid(\d+)", self.setup.get("caller", case.variant))  # what else the caller may, 2005 ignores
        self.task = self.caller = self.kernel.spawn("task", uid=int(user[1]) if user else 0)

    def map(self):
        """Map what the case maps; the pages behind `body` stay untouched till after the call."""
        fs, shared, self.written = self.case.known("setup.kind", self.case.kind, KINDS)
        size = self.case.pages + self.setup.get("unfaulted_tail", 0)
        if self.setup.get("sharing", "").startswith("same process"):
            fs = "tmpfs"  # what shared anonymous memory is; but with a name it can be mapped twice
        self.file = self.kernel.file("file", size, fs) if fs else None
        self.heap = self.task.mmap(size, self.file, shared=shared)
        self.body = self.heap[: self.case.pages]

    def ready(self):
        """Map, fault every page in on its node, and run where the record has the task; the mapping."""
        self.map()
        for i, node in enumerate(self.case.placement):
            if node is not None:
                self.task.run_on(node)
                self.task.touch(self.heap[i], write=self.written)
        self.task.run_on(self.setup.get("cpu", 0))
        return self.heap

    def set_policy(self):
        """Give the mapping and the task the policies of the case."""
        if self.setup.get("vma_policy"):
            self.case.known("setup.vma_policy", self.setup["vma_policy"], POLICIES)
            mbind(self.task, self.heap, self.setup["vma_policy"], self.setup["vma_policy_nodes"])
        if self.setup.get("task_policy"):
            policy = self.case.known("setup.task_policy", self.setup["task_policy"], POLICIES)
            self.task.set_mempolicy(policy(self.setup["task_policy_nodes"]))

    def note(self, when):
        """Note where the pages are now, for the partner too."""
        for who, task in (("", self.task), ("partner ", self.partner)):
            if task:
                self.facts[who + when] = task.placement(range(self.body.start, self.body.stop))

    def ask(self, call, *args):
        """Make the call of the case; note its answer, and where the pages are before the first call and after it."""
        if "before" not in self.facts:
            self.note("before")
        try:
            self.facts |= {"ret": int(call(*args) or 0), "errno": "OK"}
        except OSError as error:
            self.facts |= {"ret": -1, "errno": ERRNO_NAMES[error.errno]}
        self.note("after")

    def maps(self):
        """Note what numa_maps says about the mapping; of the partner's, the policies."""
        self.facts |= maps_facts(self.lines(self.task))
        if self.partner:
            self.facts["partner policies"] = maps_facts(self.lines(self.partner))["policies"]

    def lines(self, task):
        """The lines of numa_maps about the mapping."""
        lines = task.numa_maps().splitlines()
        return [x for x in lines if self.heap.start <= int(x.split()[0], 16) // 4096 < self.heap.stop]

    def look(self):
        """Note what else the record has, in the order in which it was read there."""
        raw, task, tail = self.case.raw, self.task, self.heap[self.case.pages :]
        if "pagemap_after" in raw:
            self.facts["states"] = "".join(state[0].upper() for state in task.pages(self.body)["state"])
        early = "numa_maps_after" in raw or self.case.group == "swap"
        if early:
            self.maps()
        if "after_touch_tail" in raw:
            task.touch(tail, write=True)
            self.facts["tail"] = task.placement(tail)
        if "after_write_touch_all" in raw:
            task.touch(self.body, write=True)
            self.facts["touched"] = task.placement(self.body)
        if not early:
            self.maps()
        if self.case.of_a_file:
            task.touch(self.body)
            self.facts["read again"] = task.placement(self.body)


def mbind(task, range_, mode, nodes, flags=""):
    """A recorded mbind, in the model's words."""
    given = {name.lower(): name in flags.split("|") for name in ("MOVE", "MOVE_ALL", "STRICT")}
    task.mbind(range_, POLICIES[mode](nodes), **given)


def own_memory(scene):
    """migrate_pages(2) and mbind(2) on memory of one's own: shared or not, with obstacles or without."""
    call, task, heap = scene.call, scene.task, scene.ready()
    special, sharing = scene.setup.get("special", ""), scene.setup.get("sharing", "")
    scene.set_policy()
    if special.startswith("mlock"):
        task.mlock(scene.body)
    elif "read-faulted only" in special:
        task.touch(heap[:4])  # the zero page
    for i in scene.case.pinned:
        scene.kernel.pin(task, heap[i])
    if sharing.startswith("fork"):
        scene.partner = task.fork("partner")
        scene.partner.touch(range(heap.start, heap.stop))  # fork copies no ptes of shared mappings
        if "child wrote pages 0-3" in sharing:
            scene.partner.touch(range(heap.start, heap.start + 4), write=True)
    elif sharing.startswith("same process"):
        task.touch(task.mmap(scene.case.pages, scene.file, shared=True))
    if scene.case.name == "mbind":
        scene.ask(mbind, task, heap, call["mode"], call["nodes"], call["flags"])
    else:
        scene.ask(task.migrate_pages, 0, call["from"], call["to"])


def other_process(scene):
    """migrate_pages(2) on another process; whether that one may be traced is nothing that 2005 asks."""
    scene.task = scene.kernel.spawn("target", uid=scene.setup["target_uid"])
    scene.ready()
    scene.ask(scene.caller.migrate_pages, scene.task.pid, scene.call["from"], scene.call["to"])


def migrate_errors(scene):
    """migrate_pages(2) with wrong arguments."""
    scene.ready()
    thread = scene.kernel.spawn("kthreadd", uid=0, kernel_thread=True).pid
    arguments = {
        "pid=999999": (999999, [0], [1]),
        "pid=-1": (-1, [0], [1]),
        "pid=2 (kthreadd)": (thread, [0], [1]),
        "empty from (zero mask)": (0, [], [1]),
        "empty to (zero mask)": (0, [0], []),
        "from={7} (not online)": (0, [7], [1]),
        "to={1,7} (one offline)": (0, [0], [1, 7]),
        "to has bit 1500 (>=MAX_NUMNODES 1024), maxnode=2049": (0, [0], [1500]),
        "from={0} to={4} possible but not online?": (0, [0], [4]),
    }
    scene.ask(scene.task.migrate_pages, *scene.case.known("call.variant", scene.case.variant, arguments))


# mbind(2) in words: (first page, end, mode, nodes, flags) of each call, the last of which answers
TO_1 = (0, 16, "MPOL_BIND", [1], "MOVE")
MBIND_STEPS = {
    "subrange pages 4..11 BIND{3} MOVE": [(4, 12, "MPOL_BIND", [3], "MOVE")],
    "BIND bit 1500 maxnode 2049": [(0, 16, "MPOL_BIND", [1500])],
    "INTERLEAVE empty mask": [(0, 16, "MPOL_INTERLEAVE", [])],
    "hole (pages 8-11 unmapped) BIND{1} MOVE": [TO_1],
    "hole DEFAULT flags 0": [(0, 16, "MPOL_DEFAULT", [])],
    "hole DEFAULT MOVE": [(0, 16, "MPOL_DEFAULT", [], "MOVE")],
    "hole at the start (range begins in the hole) BIND{1} MOVE": [(8, 16, "MPOL_BIND", [1], "MOVE")],
    "hole at the end (range ends in the hole) BIND{1} MOVE": [(0, 10, "MPOL_BIND", [1], "MOVE")],
    "MOVE_ALL as uid1000": [(0, 16, "MPOL_BIND", [1], "MOVE_ALL")],
    "bind{1} MOVE, then bind{2} flags 0, then bind{2} STRICT":
        [TO_1, (0, 16, "MPOL_BIND", [2]), (0, 16, "MPOL_BIND", [2], "STRICT")],
    "STRICT fails EIO: is the policy applied?": [(0, 16, "MPOL_BIND", [1], "STRICT")],
    "PREFERRED {1,2} (two nodes: first used?) MOVE": [(0, 16, "MPOL_PREFERRED", [1, 2], "MOVE")],
    "task policy BIND{2}, then mbind DEFAULT MOVE (moves to task policy node?)": [(0, 16, "MPOL_DEFAULT", [], "MOVE")],
}  # fmt: skip


def mbind_in_words(scene):
    """mbind(2): sub-ranges, holes, wrong arguments, one call after another."""
    variant, task = scene.case.variant, scene.task
    scene.ready()
    if variant.startswith("hole"):
        task.munmap(scene.heap[8:12])
    if variant.startswith("task policy BIND{2}"):
        task.set_mempolicy(Policy.bind(2))
    for first, end, *policy in scene.case.known("call.variant", variant, MBIND_STEPS):
        scene.ask(mbind, task, scene.heap[first:end], *policy)
    task.set_mempolicy(Policy.default())


def set_mempolicy(scene):
    """set_mempolicy(2), then faults in order."""
    scene.map()
    scene.task.run_on(scene.setup["cpu"])
    scene.ask(scene.task.set_mempolicy, POLICIES[scene.call["mode"]](scene.call["nodes"]))
    scene.task.touch(scene.heap, write=True)
    scene.note("after")
    policy = scene.task.get_mempolicy()
    scene.facts["policy"] = {"mode": f"MPOL_{policy.mode.upper()}", "nodes": list(policy.nodes)}


def cpuset_change(scene):
    """A cpuset gets other nodes, or a task another cpuset."""
    call = scene.call
    scene.ready()
    here = scene.kernel.cpuset("here", call["old_mems"])
    here.attach(scene.task)
    scene.set_policy()
    here.memory_migrate = bool(call["memory_migrate_src"])
    if scene.case.name.startswith("attach"):
        scene.ask(scene.kernel.cpuset("there", call["new_mems"], bool(call["memory_migrate_dst"])).attach, scene.task)
    else:
        scene.ask(setattr, here, "mems", call["new_mems"])


def cpuset_in_words(scene):
    """Calls inside a cpuset, and values of its files."""
    variant, task = scene.case.variant, scene.task
    scene.ready()
    other = scene.kernel.spawn("other", uid=0)
    base = scene.kernel.cpuset("base", scene.setup["base_cpuset_mems"])
    base.attach(other if "caller root in cpuset" in variant else task)
    if "mems {2,3}" in variant or "same mems (2,3)" in variant:
        base.mems = [2, 3]
    if move := re.search(r"migrate_pages \{([\d,]+)\}->\{([\d,]+)\}", variant):
        caller, pid = (other, task.pid) if "target" in variant else (task, 0)
        scene.ask(caller.migrate_pages, pid, *move.groups())
    elif value := re.fullmatch(r"memory_migrate=(\d)", variant):
        scene.ask(setattr, base, "memory_migrate", value[1] != "0")
        scene.facts["readback"] = str(int(base.memory_migrate))
    elif "set_mempolicy BIND{2}" in variant:
        scene.ask(task.set_mempolicy, Policy.bind(2))
    else:
        base.memory_migrate = "memory_migrate=1" in variant
        scene.ask(setattr, base, "mems", [] if "empty" in variant else [2, 3])


def fill(scene):
    """Another process fills node 3 until it spills, and frees some again; then the task's pages want to go there."""
    kernel, task, name = scene.kernel, scene.task, scene.case.name
    filler = kernel.spawn("filler", node=3)
    stone = filler.mmap(FRAMES[3])
    last = 0
    while filler.touch(stone[last], write=True) and filler.placement(stone[last]) == [3]:
        last += 1
    filler.munmap(stone[last:])
    if "(mlocked)" in scene.setup["node3"]:
        filler.mlock(stone[:last])
    if scene.case.freed:
        filler.munmap(stone[: scene.case.freed])
    scene.ready()
    if name.startswith("mbind"):
        mode = name.removeprefix("mbind ")
        scene.case.known("call.name", mode, POLICIES)
        scene.ask(mbind, task, scene.heap, mode, scene.call["to"], scene.call["flags"])
    elif name.startswith("cpuset"):
        cpuset = kernel.cpuset("here", scene.call["from"])
        cpuset.attach(task)
        cpuset.memory_migrate = True
        scene.ask(setattr, cpuset, "mems", scene.call["to"])
    else:
        scene.ask(task.migrate_pages, 0, scene.call["from"], scene.call["to"])
    scene.facts["nodes used"] = sorted(set(scene.facts["after"]))


def swap(scene):
    """Migration of a task of which half, or later all, is swapped out."""
    variant, task = scene.case.variant, scene.task
    scene.map()
    if "pages 8-15 swapped out" in variant:
        task.touch(scene.heap[8:], write=True)
        scene.kernel.reclaim(8, node=0)
        task.touch(scene.heap[:8], write=True)
    else:
        task.touch(scene.heap, write=True)
    if variant.startswith("VMA policy BIND{1}"):
        mbind(task, scene.heap, "MPOL_BIND", [1])
    if move := re.search(r"migrate_pages \{(\d)\}->\{(\d)\}", variant):
        scene.ask(task.migrate_pages, 0, *move.groups())
    elif flags := re.search(r"mbind BIND\{1\} (\S+)$", variant):
        scene.ask(mbind, task, scene.heap, "MPOL_BIND", [1], flags[1])
    else:
        scene.case.known("call.variant", variant, ["... migrate_pages {0}->{1}", "... mbind BIND{1} MOVE"])
    if "MADV_PAGEOUT all" in variant:
        scene.kernel.reclaim(scene.case.pages, node=1)
        scene.note("after")


GROUPS = dict.fromkeys(
    ["migrate_self", "migrate_policy", "migrate_kind", "migrate_pages_matrix", "mbind", "mbind_kind", "share_mbind",
     "share_migrate", "share_double", "share_cowhalf", "special"], own_memory,
) | {
    "migrate_other": other_process, "migrate_errors": migrate_errors, "mbind_misc": mbind_in_words,
    "set_mempolicy": set_mempolicy, "cpuset_mems": cpuset_change, "cpuset_attach": cpuset_change,
    "cpuset_vma_policy": cpuset_change, "cpuset_task_policy": cpuset_change, "cpuset_misc": cpuset_in_words,
    "fill": fill, "fill_swap": fill, "fill_order": fill, "swap": swap,
}  # fmt: skip
