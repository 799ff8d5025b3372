"""A recorded experiment of 2.6.16-rc1 and 2.6.16 on the model: what it sets up, the call, and what is seen afterwards.

These kernels have no move_pages(2): the recorder asked numa_maps and get_mempolicy(2), counted faults and slots.
`not_asked` says, from setup and call alone, which cases the model cannot be asked; `replay` runs one of the others.
"""

import re
from collections import Counter

from ..machine.errors import ERRNO_NAMES
from ..machine.results import file_frames
from ..machine.topology import Topology
from ..mm.structs import PG_swapcache
from .records import FRAMES, SCALE
from .words import CALLERS, FILLED, KINDS, MBIND, MIGRATE, is_mode, policy_of

SLOTS = 4096
SHARERS = ("none", "fork child, idle", "fork child wrote the first half", "another process maps the same file",
           "fork child which exited")  # fmt: skip
READ_ONLY_LOCK = "mprotect(PROT_READ), mlock in the sharer (no copies made)"
LOCKS = ("none", "mlock own vma", "mlock in the sharer", "mlock then munlock", READ_ONLY_LOCK)
SETS = r"migrate_pages \{([\d,]+)\}->\{([\d,]+)\}"  # migrate_pages(2) of oneself
RAW = r"pointer|maxnode (0|1000000)$|unaligned|flags 8|mode 4|wraps"  # what the model's calls cannot be given
KNOWN = {  # every key of setup and call, and what it may say; a function says whether it understands the value
    "kind": KINDS,
    "pages": int, "place_cyclic_nodes": list, "place_blocks_on_nodes": list, "sharer": SHARERS, "lock": LOCKS,
    "caller": CALLERS, "owner": ("self", "other process"), "owner_uid": int,
    "caller_cpu": int, "touch_cpu": int, "swap": ("on", "off"), "swap_slots_asked": int, "swapon": (0,),
    "setup_errs": ([0, 0, 0],), "vma_policy": is_mode, "vma_policy_nodes": list, "page_cluster": (0,),
    "node3": re.compile(FILLED).fullmatch, "node3_free_pages_before": int,
    "name": ("mbind", "migrate_pages", "attach task to other cpuset", "write cpuset.mems", "none"),
    "pid": ("self", "other"), "from": list, "to": list, "mode": is_mode, "nodes": list, "old_mems": list,
    "new_mems": list, "memory_migrate_src": (0, 1), "memory_migrate_dst": (0, 1),
    "flags": lambda flags: not {*flags.split("|")} - {"0", "STRICT", "MOVE", "MOVE_ALL"},
    "text": lambda text: text in MIGRATE or text in MBIND or re.fullmatch(SETS, text) or re.search(RAW, text),
}  # fmt: skip


def unknown_words(case):
    """The first key or value of setup or call that is not understood, as text; None if all are."""
    for key, value in (*case.setup.items(), *case.call.items()):
        known = KNOWN.get(key)
        if isinstance(known, type):
            fits = isinstance(value, known)
        else:
            fits = known(value) if callable(known) else known is not None and value in known
        if not fits:
            return f"{key}={value!r}"
    return None


def not_asked(case):
    """Why the model cannot be asked, from setup and call alone; None if it can."""
    if words := unknown_words(case):
        return f"unknown words: {words}"
    if re.search(RAW, case.call.get("text", "")):
        return "raw arguments: pointers, bytes, bits"
    if case.setup.get("lock") == READ_ONLY_LOCK and "fork" in case.setup["sharer"]:
        return "mprotect(2)"
    return None


def replay(case, kernel):
    """The facts of a case on a machine as `machine` has it, named as the record names them."""
    scene = Scene(case, kernel)
    if "node3" in case.setup:
        fill_node(scene.kernel, scene.setup["node3"])
    scene.ready()
    if "old_mems" in case.call:
        scene.cpusets()
    scene.state("before")
    scene.ask()
    scene.state("after_call")
    scene.facts["mapped"] = sum(scene.facts["state_after_call"]["mapped"])
    scene.facts["slots_used"] = scene.facts["swap_after_call"]["slots_used"]
    scene.touches()
    kernel.verify()
    return scene.facts


def machine(case):
    """What to boot for a case, for Kernel(): the recorded machine 128 times smaller, with its swap device."""
    asked = case.setup.get("swap_slots_asked", -1)
    slots = 0 if case.setup.get("swap") == "off" else SLOTS if asked < 0 else asked
    return {"topology": Topology.from_matrix(case.distances, FRAMES), "swap_slots": slots, "trace": False}


class Scene:
    """A machine with the task of a case and its mapping; `facts` collects what is seen."""

    def __init__(self, case, kernel):
        self.case, self.setup, self.call, self.kernel, self.facts = case, case.setup, case.call, kernel, {}
        caller = CALLERS[self.setup.get("caller", "uid0(all caps)")]
        if "as uid1000" in self.call.get("text", ""):
            caller = CALLERS["uid1000(no caps)"]
        self.caller = self.task = kernel.spawn("caller", node=self.setup.get("caller_cpu", 0), **caller)
        if self.setup.get("owner") == "other process":
            self.task = kernel.spawn("owner", uid=self.setup["owner_uid"])
        self.sharer = None
        self.pages = self.setup["pages"] // (SCALE if "node3" in self.setup else 1)

    def ready(self):
        """Map, fault every page in on its node, share and lock as the case has it, and give the vma its policy."""
        fs, shared, way = KINDS[self.case.kind]
        text, setup, task = self.call.get("text", ""), self.setup, self.task
        self.file = self.kernel.file("file", self.pages, fs) if fs else None
        self.heap = task.mmap(self.pages, self.file, shared=shared)
        task.mmap(1, at=self.heap.stop + 64)  # the stack: there is always something above
        for page, node in enumerate(self.placement()):
            task.run_on(node)
            if way == "write(2)":
                task.write(self.file, page, 1)
            task.touch(self.heap[page], write=way == "write")
        task.run_on(setup.get("caller_cpu", 0))
        self.facts["before"] = placed(task, self.heap)
        if "hole in the middle" in text:
            task.munmap(self.heap[3:4])
        if "aio_ring" in self.case.kind:
            self.kernel.pin(task, self.heap)
        self.share()
        if setup.get("lock") in ("mlock own vma", "mlock then munlock"):
            task.mlock(self.heap)
        if setup.get("lock") == "mlock then munlock":
            task.munlock(self.heap)
        if self.case.group == "swap_out_in":
            self.kernel.reclaim(self.pages, node=0)
        if "vma_policy" in setup and "old_mems" not in self.call:
            task.mbind(self.heap, policy_of(setup["vma_policy"], setup["vma_policy_nodes"]))

    def placement(self):
        """The node on which each page starts."""
        if blocks := self.setup.get("place_blocks_on_nodes"):
            return [blocks[i * len(blocks) // self.pages] for i in range(self.pages)]
        cycle = self.setup.get("place_cyclic_nodes", [0])
        return [cycle[i % len(cycle)] for i in range(self.pages)]

    def share(self):
        """The process that maps the pages, too."""
        how, lock = self.setup.get("sharer", "none"), self.setup.get("lock")
        if how == "none":
            return
        if how.startswith("fork"):
            self.sharer, self.mapped = self.task.fork("sharer"), self.heap
        else:
            shared = KINDS[self.case.kind][1]
            self.sharer = self.kernel.spawn("sharer", uid=self.task.uid)
            writable = lock != READ_ONLY_LOCK
            self.mapped = self.sharer.mmap(self.pages, self.file, shared=shared, writable=writable)
        if how == "fork child which exited":
            self.sharer.exit()
            self.sharer = None
            return
        span = range(self.mapped.start, self.mapped.stop)
        if any(vma["mapping"] for vma in self.sharer._vmas() if vma["vm_start"] == span.start):
            self.sharer.touch(span)  # asking for its places faults in what it has no ptes of, but for anonymous holes
        if "first half" in how:
            self.sharer.touch(range(span.start, span.start + self.pages // 2), write=True)
        if lock in ("mlock in the sharer", READ_ONLY_LOCK):
            self.sharer.mlock(span)
        self.facts["sharer_before"] = placed(self.sharer, span)

    def cpusets(self):
        """The cpuset that the task is in."""
        call, setup = self.call, self.setup
        self.here = self.kernel.cpuset("here", call["old_mems"])
        self.here.attach(self.task)
        self.here.memory_migrate = bool(call["memory_migrate_src"])
        if "vma_policy" in setup:
            self.task.mbind(self.heap, policy_of(setup["vma_policy"], setup["vma_policy_nodes"]))
        if "memory_migrate_dst" in call:
            self.there = self.kernel.cpuset("there", call["new_mems"], bool(call["memory_migrate_dst"]))

    def ask(self):
        """Make the call of the case; note its answer."""
        try:
            self.facts |= {"ret": int(self.make() or 0), "errno": "OK"}
        except OSError as error:
            self.facts |= {"ret": -1, "errno": ERRNO_NAMES[error.errno]}

    def make(self):
        call, caller = self.call, self.caller
        name, text = call.get("name"), call.get("text", "")
        if name == "attach task to other cpuset":
            return self.there.attach(self.task)
        if name == "write cpuset.mems":
            return setattr(self.here, "mems", call["new_mems"])
        if name == "migrate_pages":
            return caller.migrate_pages(self.task.pid, call["from"], call["to"])
        if name == "mbind":
            return self.mbind(0, self.pages, call["mode"], call["nodes"], call["flags"])
        if sets := re.fullmatch(SETS, text):
            return caller.migrate_pages(0, *([int(node) for node in nodes.split(",")] for nodes in sets.groups()))
        if text in MIGRATE:
            pid, old, new = MIGRATE[text]
            return caller.migrate_pages(pid_of(self.kernel, pid), old, new)
        return self.mbind(*MBIND[text][0]) if text else None  # "none": nothing is called

    def mbind(self, first, end, mode, nodes, flags):
        """mbind(2) of the pages from `first` to before `end`."""
        given = {flag.lower(): True for flag in flags.split("|") if flag not in ("", "0")}
        self.caller.mbind(range(self.heap.start + first, self.heap.start + end), policy_of(mode, nodes), **given)

    def state(self, when):
        """Note what numa_maps says of the range, and swap; `no_pte`: pages that no pte maps."""
        self.facts[f"state_{when}"] = maps_state(
            self.lines(self.task, self.heap), self.task.pages(self.heap)["state"], self.pages
        )
        if self.sharer and when == "after_call":
            self.facts[f"sharer_state_{when}"] = maps_state(self.lines(self.sharer, self.mapped))
        tables = self.kernel.tables
        self.facts[f"swap_{when}"] = {
            "slots_used": int((tables["swap_map"][1:] > 0).sum()),
            "swap_cached_pages": int((tables["mem_map"]["flags"] & PG_swapcache != 0).sum()),
        }
        if mapping := next((int(vma["mapping"]) for vma in self.task._vmas() if vma["vm_start"] == self.heap.start), 0):
            frames = file_frames(self.kernel, mapping)
            self.facts[f"mincore_{when}"] = "".join("01"[int(frame > 0)] for frame in frames)

    def lines(self, task, heap):
        """The lines of numa_maps about a mapping."""
        lines = task.numa_maps().splitlines()
        return [x for x in lines if heap.start <= int(x.split()[0], 16) // 4096 < heap.stop]

    def touches(self):
        """Touch every page once for reading, the sharer too, then for writing; note faults and places."""
        self.task.run_on(self.setup.get("touch_cpu", self.setup.get("caller_cpu", 0)))
        hole = "hole in the middle" in self.call.get("text", "")
        for write in (False, True):
            when = "_write_touch" if write else ""
            if write and "text" in self.call:
                return
            if hole:
                self.task.touch(self.heap[:3])
                self.task.touch(self.heap[4:])
            else:
                self.facts["write_touch" if write else "read_touch"] = touch(self.task, self.heap, write)
            self.facts[f"after{when}"] = placed(self.task, self.heap)
            if self.sharer:
                span = range(self.mapped.start, self.mapped.stop)
                if not write:
                    self.facts["sharer_read_touch"] = touch(self.sharer, span, False)
                self.facts[f"sharer_after{when}"] = placed(self.sharer, span)
            self.state("after_write_touch" if write else "after_read_touch")


def pid_of(kernel, pid):
    """A number as it is; "kthreadd" and "init" get a process of that name."""
    return kernel.spawn(pid, uid=0, kernel_thread=pid == "kthreadd").pid if isinstance(pid, str) else pid


def fill_node(kernel, node3):
    """Another process fills node 3 until it spills, and frees some again; `node3`: how, in the words of FILLED."""
    how, freed = re.fullmatch(FILLED, node3).groups()
    filler, last = kernel.spawn("filler", node=3), 0
    stone = filler.mmap(FRAMES[3])
    while filler.touch(stone[last], write=True) and filler.placement(stone[last]) == [3]:
        last += 1
    filler.munmap(stone[last:])
    if how == "mlocked":
        filler.mlock(stone[:last])
    if int(freed):
        filler.munmap(stone[: min(int(freed) // SCALE, last)])


def touch(task, span, write):
    """Touch pages one by one: what became of each (`.` no fault, `m` minor, `M` major), and the sums."""
    said = ""
    for page in range(span.start, span.stop):
        faults = task.touch(range(page, page + 1), write=write)
        said += "M" if faults.major else "m" if sum(faults) else "."
    return {"minflt": said.count("m"), "majflt": said.count("M"), "pages": said}


def placed(task, span):
    """The node of each page, as get_mempolicy(2) says: of the zero page 0, also where anonymous memory has no pte."""
    pages = task.pages(span)
    anon = any(not vma["mapping"] and vma["vm_start"] <= span.start < vma["vm_end"] for vma in task._vmas())
    zero = set(pages.index[(pages["state"] == "zero") | (anon & (pages["state"] == "none"))])
    nodes = enumerate(task.placement(span), span.start)
    return [0 if page in zero else node for page, node in nodes]


def maps_state(lines, states=(), size=0):
    """What lines of numa_maps say of `size` pages: policies, pages by node, kinds, those without a pte."""
    counts = Counter()
    for name, count in re.findall(r"\b(anon|dirty|mapped|swapcache|N\d+)=(\d+)", "\n".join(lines)):
        counts[name] += int(count)
    return {
        "policies": [line.split()[1].replace("=", ":") for line in lines],
        "shown": [line.split()[1].replace("=", ":") for line in lines if re.search(r" N\d+=", line)],
        "mapped": [counts[f"N{node}"] for node in range(len(FRAMES))],
        "no_pte": size - sum(state == "present" for state in states),
        "kinds": {name: n for name, n in counts.items() if name[0] != "N"},
    }
