"""A recorded experiment of 2.6.18 and later on the model: what it sets up, the call, and what is seen afterwards.

`not_asked` says, from setup and call alone, which cases the model cannot be asked; `replay` runs one of the others.
"""

import re
from contextlib import suppress

from ..machine.errors import ERRNO_NAMES
from ..machine.policy import Policy
from ..machine.topology import Topology
from .records import FRAMES, SCALE
from .replay_early import maps_state, touch

UNWRITTEN = 12345  # what the recorder puts in a status before the call
KINDS = {  # file system (None: anonymous), shared, written
    "anon_private": (None, False, True), "anon_shared(shmem)": (None, True, True),
    "tmpfs_file_shared": ("tmpfs", True, True), "tmpfs_file_private_readonly": ("tmpfs", False, False),
    "tmpfs_file_private_written": ("tmpfs", False, True),
    "ext2_file_private_readonly": ("ext2", False, False), "ext2_file_private_written": ("ext2", False, True),
    "ext2_file_shared_dirty": ("ext2", True, True), "ext2_file_shared_clean": ("ext2", True, False),
    "ext4_file_shared_dirty": ("ext3", True, True), "ext4_file_shared_clean": ("ext3", True, False),
    "ramfs_file_shared(no migrate op)": ("ramfs", True, True),
}  # fmt: skip
STATES = {  # of x_file: how the file's pages come (write(2) or read), shared, what is touched
    "file written by write() and synced, mapped shared, read-touched (clean)": ("read", True, "read"),
    "clean file pages mapped by a second process that opened the file": ("read", True, "read"),
    "file in the page cache, mapping not touched": ("read", True, None),
    "mapped shared and written through the mapping (dirty)": ("read", True, "write"),
    "written by write(), not synced (dirty page cache), mapped and read-touched": ("write(2)", True, "read"),
    "mapped private, read-touched only (maps the page cache pages)": ("read", False, "read"),
    "read-touched (clean), page 0 mlocked: the mapping is split into two VMAs": ("read", True, "read"),
}
CALLERS = {
    "uid0(all caps)": {"uid": 0}, "uid0 minus CAP_SYS_NICE": {"uid": 0, "caps": ("-CAP_SYS_NICE",)},
    "uid1000(no caps)": {"uid": 1000}, "uid1000": {"uid": 1000},  # as our own recorder calls it
    "uid0": {"uid": 0, "caps": ("-CAP_SYS_NICE",)},  # it does not run with that one
    "uid1000+CAP_SYS_NICE": {"uid": 1000, "caps": ("CAP_SYS_NICE",)},
    "uid1000+CAP_SYS_PTRACE": {"uid": 1000, "caps": ("CAP_SYS_PTRACE",)},
}  # fmt: skip
FILLED = (
    r"filled by an(?:other process \(|\s)(not mlocked|mlocked)\)?(?: filler)? until it spilled, then (\d+) pages freed"
)
ERRORS = {
    "pid=999999": (999999, [0], [1]), "pid=-1": (-1, [0], [1]), "pid=2 (kthreadd)": ("kthreadd", [0], [1]),
    "pid=2 (kthreadd), caller uid1000": ("kthreadd", [0], [1]), "empty from (zero mask)": (0, [], [1]),
    "empty to (zero mask)": (0, [0], []), "from={7} (not online)": (0, [7], [1]), "to={7} (not online)": (0, [0], [7]),
    "to={1,7} (one offline)": (0, [0], [1, 7]), "from={0,7} to={1}": (0, [0, 7], [1]),
    "from={0} to={4} possible but not online?": (0, [0], [4]), "from=NULL": (0, [], [1]), "to=NULL": (0, [0], []),
    "maxnode=2049, upper bits zero": (0, [0], [1]), "maxnode=1 (zero usable bits)": (0, [], []),
    "maxnode=3 to={1}: bit 1 is usable": (0, [0], [1]), "maxnode=2 to={1}: bit 1 is beyond maxnode-1": (0, [0], []),
    "to has bit 1500 (>=MAX_NUMNODES 1024), maxnode=2049": (0, [0], [1500]),
    "pid=999999 and to empty": (999999, [0], []),
}  # fmt: skip
MBIND = {  # first page, end, mode, nodes, flags, further words of the policy
    "BIND bit 1500 maxnode 2049": [(0, 16, "BIND", [1500], "")],
    "subrange pages 4..11 BIND{3} MOVE": [(4, 12, "BIND", [3], "MOVE")],
    "LOCAL nonempty mask": [(0, 16, "LOCAL", [1], "")], "INTERLEAVE empty mask": [(0, 16, "INTERLEAVE", [], "")],
    "BIND empty mask": [(0, 16, "BIND", [], "")], "BIND NULL mask": [(0, 16, "BIND", [], "")],
    "DEFAULT nonempty mask": [(0, 16, "DEFAULT", [1], "")], "PREFERRED empty mask": [(0, 16, "PREFERRED", [], "")],
    "BIND {7} (not online)": [(0, 16, "BIND", [7], "")], "BIND {1,7}": [(0, 16, "BIND", [1, 7], "")],
    "hole (pages 8-11 unmapped) BIND{1} MOVE": [(0, 16, "BIND", [1], "MOVE")],
    "hole BIND{1} flags 0": [(0, 16, "BIND", [1], "")], "hole DEFAULT flags 0": [(0, 16, "DEFAULT", [], "")],
    "hole DEFAULT MOVE": [(0, 16, "DEFAULT", [], "MOVE")],
    "hole at the start (range begins in the hole) BIND{1} MOVE": [(8, 16, "BIND", [1], "MOVE")],
    "hole at the end (range ends in the hole) BIND{1} MOVE": [(0, 10, "BIND", [1], "MOVE")],
    "bind{1} MOVE, then bind{2} flags 0, then bind{2} STRICT":
        [(0, 16, "BIND", [1], "MOVE"), (0, 16, "BIND", [2], ""), (0, 16, "BIND", [2], "STRICT")],
    "STRICT fails EIO: is the policy applied?": [(0, 16, "BIND", [1], "STRICT")],
    "PREFERRED {1,2} (two nodes: first used?) MOVE": [(0, 16, "PREFERRED", [1, 2], "MOVE")],
    "PREFERRED|RELATIVE_NODES {6} MOVE": [(0, 16, "PREFERRED|RELATIVE_NODES", [6], "MOVE")],
    "BIND|RELATIVE_NODES {5} with 4 nodes allowed (5 mod 4 = 1) MOVE": [(0, 16, "BIND|RELATIVE_NODES", [5], "MOVE")],
    "task policy BIND{2}, then mbind DEFAULT MOVE (moves to task policy node?)": [(0, 16, "DEFAULT", [], "MOVE")],
    "task policy BIND{2}, then mbind LOCAL MOVE": [(0, 16, "LOCAL", [], "MOVE")],
    "len=4*4096+1 (rounded up to 5 pages?)": [(0, 5, "BIND", [1], "MOVE")], "len=0": [(0, 0, "BIND", [1], "MOVE")],
    "MOVE_ALL as uid1000": [(0, 16, "BIND", [1], "MOVE_ALL")],
    "MOVE as uid1000 (allowed)": [(0, 16, "BIND", [1], "MOVE")],
    "MOVE_ALL as uid1000+CAP_SYS_NICE": [(0, 16, "BIND", [1], "MOVE_ALL")],
    "maxnode=2 mask {1} -> bit beyond maxnode-1 -> empty": [(0, 16, "BIND", [], "")],
}  # fmt: skip
MOVES = ("page i -> node (i+1)%4", "query only (nodes=NULL)", "page already on its target node", "nr_pages=0",
         "node 7 (not online) at index 3", "node 5000 at index 0", "node -1 at index 3", "MOVE as uid1000",
         "duplicate: entries 0 and 1 are the same page -> 2", "duplicate: entries 0,1 same page -> 2 then 3",
         "flags=0 with nodes", "pid=2 kthreadd", "other process, root", "other root process, caller uid1000",
         "pages 2,3 unmapped address; 4,5 not faulted; all -> 3", "zero page at entries 0,1 (read-faulted anon) -> 3",
         "other process same uid1000 (dumpable), caller uid1000", "pages 2,5 vmspliced (extra ref), all -> 3",
)  # fmt: skip
NOT_ASKED = {  # what the model has no means for: a pattern in group, setup and call
    "wall-clock times": r"^timing ",
    "raw arguments: pointers, bytes, bits":
        r"pointer|garbage|misaligned|mode=99|flags=1<<10|flags=STRICT \(invalid|maxnode=(0|327\d+)|huge|~0UL"
        r"|kernel address|BIND\|STATIC\|RELATIVE",
    "stack, text and vdso pages": "stack and text", "threads": r"thread\b", "a zombie": "zombie|reaped",
    "page protection": r"PROT_NONE|different prot", "madvise(2)": r"MADV_(FREE|DONTNEED)",
    "mlock2(2)": "MLOCK_ONFAULT", "mlockall(2)": "mlockall", "NUMA balancing": r"MF_LAZY|NUMA_BALANCING",
}  # fmt: skip


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
        "variant": not variant or variant in {**ERRORS, **MBIND} or variant in MOVES
        or case.group in ("cpuset_misc", "cpuset_v2", "swap", "x_seq", "x_spill"),
        "mode": set(call.get("mode", "MPOL_BIND").split("|")) <= MODES,
        "flags": set(call.get("flags", "-").split("|")) <= {"-", "0", "MOVE", "MOVE_ALL", "STRICT"},
        **{key: set(setup.get(key, "none").split("|")) <= MODES for key in ("vma_policy", "task_policy")},
    }  # fmt: skip
    wrong = [key for key, fit in fits.items() if not fit]
    wrong += sorted({*setup, *call} - KEYS)
    return f"unknown words: {wrong[0]}={setup.get(wrong[0], call.get(wrong[0]))!r}" if wrong else None


MODES = {
    "none", "MPOL_DEFAULT", "MPOL_PREFERRED", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_LOCAL", "MPOL_PREFERRED_MANY",
    "STATIC_NODES", "RELATIVE_NODES",
}  # fmt: skip
KEYS = set(
    """kind pages unfaulted_tail mappers caller cpu place_cyclic_nodes place vma_policy vma_policy_nodes owner then
    target_uid target_dumpable vma_pgoff_mod_12 sharing special task_cpu cgroup task_policy task_policy_nodes state fs
    base_cpuset_mems place_blocks_mask node3 swap swapon node3_free_pages_before node3_free_before setup_errs name pid
    pages_not_swapped_out from to default_from default_to variant mode nodes flags old_mems new_mems memory_migrate_src
    memory_migrate_dst""".split()
)


def policy_of(mode, nodes):
    """A Policy from the record's words: MPOL_BIND|STATIC_NODES."""
    name, *more = mode.removeprefix("MPOL_").lower().split("|")
    if name in ("default", "local"):
        return Policy(name, nodes or ())
    words = {word.removesuffix("_nodes"): True for word in more}
    return getattr(Policy, name)(nodes[0] if name == "preferred" and nodes else nodes or (), **words)


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


class Scene:
    """A machine with the task of a case and its mapping; `facts` collects what is seen."""

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
        fs, shared, written = KINDS[self.setup.get("kind", "anon_private")]
        if self.setup.get("sharing", "").startswith("same process"):
            fs = "tmpfs"  # what shared anonymous memory is; but with a name it can be mapped twice
        tail, offset = self.setup.get("unfaulted_tail", 0), self.setup.get("vma_pgoff_mod_12", 0)
        self.file = self.kernel.file("file", self.size + tail, fs) if fs else None
        at = 0x10000 - 0x10000 % 12 + 12 + offset if not (fs or shared) else None
        self.heap = self.task.mmap(self.size + tail, self.file, shared=shared, at=at)
        self.body, self.task_heap = self.heap[: self.size], self.heap
        for page, node in enumerate(self.places()):
            if node is not None:
                self.task.run_on(node)
                self.task.touch(self.heap[page], write=written)
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

    def mbind(self, first, end, mode, nodes, flags):
        flags = flags.split("|")
        given = {name.lower(): name in flags for name in ("MOVE", "MOVE_ALL", "STRICT")}
        pages = self.heap.start + first, self.heap.start + end
        self.caller.mbind(range(*pages), policy_of(mode, nodes), **given)

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
                span = range(self.heap.start, self.heap.stop)
                lines = [x for x in task.numa_maps().splitlines() if int(x.split()[0], 16) // 4096 in span]
                self.facts[who + name] = maps_state(lines)


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
    pid, old, new = ERRORS[scene.case.variant]
    pid = scene.kernel.spawn(pid, uid=0, kernel_thread=True).pid if pid == "kthreadd" else pid
    scene.ask(scene.caller.migrate_pages, pid, old, new)


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
    scene.ready = Scene.ready
    scene.setup = scene.setup | {"unfaulted_tail": scene.size}
    scene.size = 0
    Scene.ready(scene)
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
        pid = scene.kernel.spawn("kthreadd", uid=0, kernel_thread=True).pid
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
