"""A recorded experiment of 2.6.18 and later on the model: what it sets up, the call, and what is seen afterwards.

`not_asked` says, from setup and call alone, which cases the model cannot be asked; `replay` runs one of the others.
"""

import re
from contextlib import suppress

from ..machine.errors import ERRNO_NAMES
from ..machine.policy import Policy
from ..machine.topology import Topology
from .records import FRAMES, SCALE
from .replay_early import Scene as Early
from .replay_early import maps_state, pid_of, touch
from .words import CALLERS, FILLED, KINDS, MBIND, MIGRATE, NOT_ASKED, STATES, WORDS, is_mode, policy_of

UNWRITTEN = 12345  # what the recorder puts in a status before the call


def not_asked(case):
    """Why the model cannot be asked, from setup and call alone; None if it can."""
    said = f"{case.group} {case.setup} {case.call}"
    for why, pattern in NOT_ASKED.items():
        if re.search(pattern, said):
            return why
    if case.group not in GROUPS:
        return f"unknown words: group={case.group!r}"
    return unknown_words(case)


def unknown_words(case):
    """The first thing in setup or call that is not understood; None if all is."""
    setup, call, variant = case.setup, case.call, case.variant
    fits = {
        "kind": setup.get("kind", "anon_private") in KINDS, "caller": setup.get("caller", "uid0(all caps)") in CALLERS,
        "state": setup.get("state", next(iter(STATES))) in STATES,
        "node3": "node3" not in setup or re.fullmatch(FILLED, setup["node3"]),
        "variant": not variant or variant in {**MIGRATE, **MBIND} or variant in WORDS["move_pages"]
        or case.group in ("cpuset_misc", "cpuset_v2", "swap", "x_seq", "x_spill"),
        "mode": is_mode(call.get("mode", "MPOL_BIND")),
        "flags": set(call.get("flags", "-").split("|")) <= {"-", "0", "MOVE", "MOVE_ALL", "STRICT"},
        **{key: setup.get(key, "none") == "none" or is_mode(setup[key]) for key in ("vma_policy", "task_policy")},
    }  # fmt: skip
    wrong = [key for key, fit in fits.items() if not fit]
    wrong += sorted({*setup, *call} - set(WORDS["keys"]))
    return f"unknown words: {wrong[0]}={setup.get(wrong[0], call.get(wrong[0]))!r}" if wrong else None


def machine(case):
    """What to boot for a case, for Kernel(): the recorded machine 128 times smaller."""
    slots = 0 if case.setup.get("swap") == 0 else 4096
    frames = FRAMES if len(case.distances) == len(FRAMES) else FRAMES[0]
    return {"topology": Topology.from_matrix(case.distances, frames), "swap_slots": slots, "trace": False}


def replay(case, kernel):
    """The facts of a case, named as the record names them."""
    scene = Scene(case, kernel)
    GROUPS[case.group](scene)
    scene.look()
    kernel.verify()
    return scene.facts


class Scene(Early):
    """As of an early kernel; a `partner` may share the memory, and there may be a tail that nobody has touched."""

    def __init__(self, case, kernel):
        self.case, self.setup, self.call, self.kernel = case, case.setup, case.call, kernel
        self.facts, self.partner, self.file = {}, None, None
        self.size = self.setup["pages"] // (SCALE if "node3" in self.setup else 1)
        words = re.search(r"uid1000(?:\+(?:CAP_SYS_)?\w+)?", case.variant)
        caller = self.setup.get("caller", "uid0(all caps)")
        given = {"uid": 1000} if words else CALLERS[caller]
        if words and "+" in words[0]:
            given["caps"] = ("CAP_SYS_" + words[0].split("+")[1].removeprefix("CAP_SYS_"),)
        self.caller = self.task = kernel.spawn("task", **given)
        if self.setup.get("owner") == "other process":
            self.task = kernel.spawn("target", uid=self.setup["target_uid"])

    def policies(self):
        """Give vma and task the policies of the setup; the recorder went on without one that the kernel refused."""
        calls = {"vma": lambda policy: self.task.mbind(self.heap, policy), "task": self.task.set_mempolicy}
        for owner, give in calls.items():
            mode = self.setup.get(f"{owner}_policy", "none")
            if mode != "none":
                with suppress(OSError):
                    give(policy_of(mode, self.setup[f"{owner}_policy_nodes"]))

    def ready(self):
        """Map, fault every page in on its node, and run where the record has the task."""
        fs, shared, way = KINDS[self.setup.get("kind", "anon_private")]
        if self.setup.get("sharing", "").startswith("same process"):
            fs = "tmpfs"  # what shared anonymous memory is; but with a name it can be mapped twice
        tail, offset = self.setup.get("unfaulted_tail", 0), self.setup.get("vma_pgoff_mod_12", 0)
        self.file = self.kernel.file("file", self.size + tail, fs) if fs else None
        at = 0x10000 - 0x10000 % 12 + 12 + offset if not (fs or shared) else None
        self.heap = self.task.mmap(self.size + tail, self.file, shared=shared, at=at)
        self.body = self.heap[: self.size]
        for page, node in enumerate(self.places()):
            if node is not None:
                self.task.run_on(node)
                self.task.touch(self.heap[page], write=way == "write")
        self.task.run_on(self.setup.get("cpu", self.setup.get("task_cpu", 0)))

    def places(self):
        """The node on which each page starts."""
        if "place_blocks_mask" in self.setup:
            mask = self.setup["place_blocks_mask"]
            blocks = [n for n in range(len(FRAMES)) if mask >> n & 1]
            return [blocks[i * len(blocks) // self.size] for i in range(self.size)]
        unsaid = self.case.group in ("cpuset_misc", "cpuset_v2") and self.case.variant
        matrix = self.case.group == "migrate_pages_matrix" and not {"place", "place_cyclic_nodes"} & {*self.setup}
        if unsaid or matrix:
            return self.case.raw["before"]  # no word says where the pages begin
        special = self.setup.get("special", "")
        untouched = 4 if "0-3 never touched" in special or "0-3 read-faulted" in special else 0
        cycle = self.setup.get("place_cyclic_nodes", self.setup.get("place", 0))
        cycle = cycle if isinstance(cycle, list) else [cycle]
        return [None if i < untouched else cycle[i % len(cycle)] for i in range(self.size)]

    def note(self, when):
        for who, task in (("", self.task), ("partner_", self.partner)):
            if task:
                self.facts[who + when] = task.placement(range(self.body.start, self.body.stop))

    def ask(self, call, *args, **more):
        """Make the call; note its answer, and where the pages are before the first call and after it."""
        if "before" not in self.facts:
            self.note("before")
        try:
            answer = call(*args, **more)
            if isinstance(answer, list):
                self.facts |= {"status": answer, "ret": getattr(answer, "returned", 0), "errno": "OK"}
            else:
                self.facts |= {"ret": int(answer or 0), "errno": "OK"}
        except OSError as error:
            self.facts |= {"ret": -1, "errno": ERRNO_NAMES[error.errno]}
            self.facts["status"] = getattr(error, "status", [])
        if "status" in self.facts:
            written = {i: status for i, status in enumerate(self.facts["status"]) if status is not None}
            self.facts["status"] = [written.get(i, UNWRITTEN) for i in range(self.size)]
        self.note("after")

    def move(self, nodes, pages=None, pid=0, all=False):
        pages = list(range(self.body.start, self.body.stop)) if pages is None else pages
        return self.caller.move_pages(pid, pages, nodes, all=all)

    def look(self):
        """Note what else the record has, in the order in which it was read there."""
        raw, task, tail = self.case.raw, self.task, self.heap[self.size :]
        if "numa_maps_after" in raw or self.case.group in ("swap", "x_file"):
            self.maps("numa_maps_after" if "numa_maps_after" in raw else "numa_maps")
        if "second_read_touch" in raw:
            self.facts["second_read_touch"] = touch(task, self.body, False)
            self.facts["after_second_touch"] = task.placement(self.body)
        if "after_touch_tail" in raw:
            task.touch(tail, write=True)
            self.facts["after_touch_tail"] = task.placement(tail)
        if "after_write_touch_all" in raw:
            task.touch(self.body, write=True)
            self.facts["after_write_touch_all"] = task.placement(self.body)
        if "numa_maps" in raw and "numa_maps" not in self.facts:
            self.maps("numa_maps")

    def maps(self, name):
        for who, task in (("", self.task), ("partner_", self.partner)):
            if task:
                self.facts[who + name] = maps_state(self.lines(task, self.heap))


def own_memory(scene):
    """One call on memory of one's own: shared or not, with obstacles or without."""
    call, task, kernel = scene.call, scene.task, scene.kernel
    special, sharing = scene.setup.get("special", ""), scene.setup.get("sharing", "")
    scene.ready()
    heap = scene.heap
    scene.policies()
    if special.startswith("mlock"):
        task.mlock(scene.body)
    elif "read-faulted only" in special:
        task.touch(heap[:4])
    for page in [2, 5] if "pages 2 and 5" in special else range(scene.size * special.startswith("vmsplice")):
        kernel.pin(task, heap[page])
    if sharing.startswith("fork"):
        scene.partner = task.fork("partner")
        scene.partner.touch(range(heap.start, heap.stop))
        if "child wrote pages 0-3" in sharing:
            scene.partner.touch(range(heap.start, heap.start + 4), write=True)
    elif sharing.startswith("same process"):
        task.touch(task.mmap(scene.size, scene.file, shared=True))
    if call["name"] == "mbind":
        scene.ask(scene.mbind, 0, heap.pages, call["mode"], call["nodes"], call["flags"])
    elif call["name"] == "move_pages":
        scene.ask(scene.move, [1] * scene.size, all="MOVE_ALL" in call["flags"])
    else:
        scene.ask(task.migrate_pages, 0, call["from"], call["to"])


def other_process(scene):
    """migrate_pages(2) and move_pages(2) on another process."""
    scene.ready()
    name, pid, call = scene.call["name"], scene.task.pid, scene.call
    if name == "migrate_pages":
        scene.ask(scene.caller.migrate_pages, pid, call["from"], call["to"])
    else:
        scene.ask(scene.move, call["to"] * scene.size, pid=pid, all="MOVE_ALL" in name)


def migrate_errors(scene):
    """migrate_pages(2) with wrong arguments."""
    scene.ready()
    pid, old, new = MIGRATE[scene.case.variant]
    scene.ask(scene.caller.migrate_pages, pid_of(scene.kernel, pid), old, new)


def mbind_in_words(scene):
    """mbind(2): sub-ranges, holes, wrong arguments, one call after another."""
    scene.ready()
    variant, task = scene.case.variant, scene.task
    if variant.startswith("hole"):
        task.munmap(scene.heap[8:12])
    if variant.startswith("task policy BIND{2}"):
        task.set_mempolicy(Policy.bind(2))
    for step in MBIND[variant]:
        scene.ask(scene.mbind, *step)
    task.set_mempolicy(Policy.default())


def set_mempolicy(scene):
    """set_mempolicy(2), then faults in order."""
    scene.setup = scene.setup | {"unfaulted_tail": scene.size}
    scene.size = 0
    scene.ready()
    scene.size = scene.setup["pages"]
    scene.body = scene.heap
    scene.policies()
    scene.ask(lambda: scene.task.set_mempolicy(policy_of(scene.call["mode"], scene.call["nodes"])))
    scene.task.touch(scene.heap, write=True)
    scene.note("after")
    policy = scene.task.get_mempolicy()
    scene.facts["get_mempolicy"] = {"mode": f"MPOL_{policy.mode.upper()}", "nodes": list(policy.nodes)}


def move_pages(scene):
    """move_pages(2) in words."""
    variant, pid, nodes = scene.case.variant, 0, list(scene.call.get("nodes", []))
    if "other" in variant:
        scene.task = scene.kernel.spawn("target", uid=0 if "root" in variant else 1000)
        pid = scene.task.pid
    scene.ready()
    task = scene.task
    pages = list(range(scene.body.start, scene.body.stop))
    if "kthreadd" in variant:
        pid = pid_of(scene.kernel, "kthreadd")
    if variant.startswith("duplicate"):
        pages[1] = pages[0]
    elif "unmapped address" in variant:
        task.munmap(scene.heap[2:4])
    elif "vmspliced" in variant:
        scene.kernel.pin(task, scene.heap[2])
        scene.kernel.pin(task, scene.heap[5])
    elif "nr_pages=0" in variant:
        pages, nodes = [], []
    scene.ask(scene.move, None if "nodes=NULL" in variant else nodes, pages, pid)


def cpuset_change(scene):
    """A cpuset gets other nodes, or a task another cpuset."""
    call, setup = scene.call, scene.setup
    scene.ready()
    unified = setup["cgroup"] == "v2"
    here = scene.kernel.cpuset("here", call["old_mems"], unified=unified)
    here.attach(scene.task)
    scene.policies()
    if not unified:
        here.memory_migrate = bool(call["memory_migrate_src"])
    if call["name"].startswith("attach"):
        migrate = bool(call.get("memory_migrate_dst", 0))
        there = scene.kernel.cpuset("there", call["new_mems"], migrate, unified=unified)
        scene.ask(there.attach, scene.task)
    else:
        scene.ask(setattr, here, "mems", call["new_mems"])


GROUPS = dict.fromkeys(
    ["migrate_self", "migrate_policy", "migrate_kind", "migrate_pages_matrix", "mbind", "mbind_kind", "share_mbind",
     "share_migrate", "share_move_pages", "share_double", "share_cowhalf", "special", "x_kindflags", "x_pairs"],
    own_memory,
) | {
    "migrate_other": other_process, "x_perm": other_process, "migrate_errors": migrate_errors,
    "mbind_misc": mbind_in_words, "set_mempolicy": set_mempolicy, "move_pages": move_pages,
    "cpuset_mems": cpuset_change, "cpuset_attach": cpuset_change, "cpuset_vma_policy": cpuset_change,
    "cpuset_task_policy": cpuset_change,
}  # fmt: skip
