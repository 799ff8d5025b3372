"""A machine with the task of a recorded experiment: what is set up, the calls, and what is seen afterwards."""

import re
from contextlib import suppress

from ..machine.errors import ERRNO_NAMES
from .records import FRAMES, SCALE
from .replay_facts import EARLY, fact, nodes
from .words import CALLERS, FILLED, KINDS, caller_of, policy_of

UNWRITTEN = 12345  # what the recorder puts in a status before the call
FIRST = 0x10000 - 0x10000 % 12 + 12  # a page whose number fits every INTERLEAVE


class Scene:
    """A machine with the task of a case and its mapping; `facts` collects what is seen.

    `caller` makes the calls, on the memory of `task`, which is somebody else where the record says so.  A `partner` may
    share it; `mapped` has the mappings of both.  Behind the `body` of the `heap` may be a tail that nobody has touched.
    """

    def __init__(self, case, kernel):
        self.case, self.setup, self.call, self.kernel, self.facts = case, case.setup, case.call, kernel, {}
        self.caller = self.task = kernel.spawn("caller", **CALLERS[caller_of(case)])
        if self.setup.get("owner") == "other process":
            uid = "target_uid" if "target_uid" in self.setup else "owner_uid"
            self.task = kernel.spawn("owner", uid=self.setup[uid])
        self.partner, self.mapped = None, {}
        self.size = self.setup["pages"] // (SCALE if "node3" in self.setup else 1)

    @property
    def words(self):
        """The call in words; RecordError if there are none."""
        return self.call["text" if "text" in self.call else "variant"]

    # -- what is set up

    def ready(self, touched=True, tail=0):
        """Map the memory, fault every page in on its node, and run where the record has the task."""
        setup, task = self.setup, self.task
        if "node3" in setup:
            self.fill_node()
        fs, shared, way = KINDS[setup.get("kind", "anon_private")]
        if setup.get("sharing", "").startswith("same process"):
            fs = "tmpfs"  # what shared anonymous memory is; but with a name it can be mapped twice
        pages = self.size + setup.get("unfaulted_tail", tail)
        self.file = self.kernel.file("file", pages, fs) if fs else None
        at = None if fs or shared else FIRST + setup.get("vma_pgoff_mod_12", 0)
        self.take(task.mmap(pages, self.file, shared=shared, at=at))
        task.mmap(1, at=self.heap.stop + 64)  # the stack: there is always something above
        for page, node in enumerate(self.places() if touched else ()):
            if node is not None:
                task.run_on(node)
                if way == "write(2)":
                    task.write(self.file, page, 1)
                task.touch(self.heap[page], write=way == "write")
        task.run_on(next((setup[name] for name in ("cpu", "task_cpu", "caller_cpu") if name in setup), 0))
        if self.case.kernel in EARLY:
            self.look("before")  # faults in what is not there: it has to be early

    def take(self, mapping):
        """Have the experiment be about this mapping of the task."""
        self.heap, self.body = mapping, mapping[: self.size]
        self.mapped[self.task] = mapping

    def places(self):
        """The node on which each page starts; None: nowhere."""
        setup = self.setup
        if {"place_blocks_mask", "place_blocks_on_nodes"} & {*setup}:
            mask = setup.get("place_blocks_mask", 0)
            blocks = setup.get("place_blocks_on_nodes") or [n for n in range(len(FRAMES)) if mask >> n & 1]
            return [blocks[i * len(blocks) // self.size] for i in range(self.size)]
        given = {"place", "place_cyclic_nodes"} & {*setup}
        if not given and self.case.group in ("cpuset_misc", "cpuset_v2", "migrate_pages_matrix"):
            return nodes(self.case.raw["before"], self.case)  # no word says where the pages begin
        cycle = setup.get("place_cyclic_nodes", setup.get("place", 0))
        cycle = cycle if isinstance(cycle, list) else [cycle]
        untouched = 4 * bool(re.search("0-3 (never touched|read-faulted)", setup.get("special", "")))
        return [None if i < untouched else cycle[i % len(cycle)] for i in range(self.size)]

    def policies(self):
        """Give vma and task the policies of the setup; the recorder went on without one that the kernel refused."""
        calls = {"vma": lambda policy: self.task.mbind(self.heap, policy), "task": self.task.set_mempolicy}
        for owner, give in calls.items():
            mode = self.setup.get(f"{owner}_policy", "none")
            if mode != "none":
                with suppress(OSError):
                    give(policy_of(mode, self.setup[f"{owner}_policy_nodes"]))

    def obstacles(self):
        """What keeps pages where they are: who shares them, locks, references."""
        setup, task, body = self.setup, self.task, self.body
        special, lock = setup.get("special", ""), setup.get("lock", "none")
        if "read-faulted only" in special:
            task.touch(body[:4])
        self.share(setup.get("sharer", setup.get("sharing", "none")), lock)
        if lock in ("mlock own vma", "mlock then munlock") or special.startswith("mlock"):
            task.mlock(body)
        if lock == "mlock then munlock":
            task.munlock(body)
        if "aio_ring" in self.case.kind or special == "vmsplice all 8 pages":
            self.kernel.pin(task, body)
        elif special.startswith("vmsplice"):
            self.kernel.pin(task, body[2])
            self.kernel.pin(task, body[5])

    def share(self, how, lock):
        """Have somebody else map the memory, too."""
        shared = KINDS[self.setup.get("kind", "anon_private")][1]
        if how.startswith("same process"):
            self.task.touch(self.task.mmap(self.size, self.file, shared=True))
        elif how.startswith("another process"):
            self.partner = self.kernel.spawn("partner", uid=self.task.uid)
            self.mapped[self.partner] = self.partner.mmap(self.size, self.file, shared=shared,
                                                          writable="PROT_READ" not in lock)  # fmt: skip
        elif how.startswith("fork"):
            self.partner = self.task.fork("partner")
            self.mapped[self.partner] = range(self.heap.start, self.heap.stop)
        if how.endswith("exited"):
            self.partner.exit()
            self.partner = None
        elif self.partner:
            theirs = range(self.mapped[self.partner].start, self.mapped[self.partner].stop)
            if self.case.kernel in EARLY:
                self.look("sharer_before")  # as in `ready`
            if "both processes" in how:
                self.partner.touch(theirs)
            if "wrote" in how:
                self.partner.touch(theirs[: self.size // 2], write=True)
            if "in the sharer" in lock:
                self.partner.mlock(theirs)

    def fill_node(self):
        """Another process fills node 3 until it spills, and frees some again."""
        how, freed = re.fullmatch(FILLED, self.setup["node3"]).groups()
        filler, zone = self.kernel.spawn("filler", node=3), self.kernel.tables["zone"][3]
        stone, last = filler.mmap(FRAMES[3]), max(int(zone["free"] - zone["pages_low"]) - 1, 0)  # so many surely fit
        filler.touch(stone[:last], write=True)
        while filler.touch(stone[last], write=True) and filler.placement(stone[last]) == [3]:
            last += 1
        filler.munmap(stone[last:])
        if how == "mlocked":
            filler.mlock(stone[:last])
        if int(freed):
            filler.munmap(stone[: min(int(freed) // SCALE, last)])

    # -- the calls

    def make(self, call):
        """Make a call of the record, as `call` has it or `calls_in` has read it."""
        name = call["name"]
        if name == "none":
            return self.ask(bool)
        if "cpuset" in name:
            return self.change_cpuset(call)
        nodes = call["nodes" if "nodes" in call else "to"]
        if name.startswith("migrate_pages"):
            return self.ask(self.caller.migrate_pages, self.pid(call), call.get("from", [0]), nodes)
        if name.startswith("move_pages"):
            pages = call.get("pages", range(self.body.start, self.body.stop))
            nodes = 1 if nodes == "all 1" else nodes[0] if nodes and len(nodes) == 1 else nodes
            everyones = "MOVE_ALL" in name + call.get("flags", "")
            return self.ask(self.caller.move_pages, self.pid(call), pages, nodes, all=everyones)
        policy = policy_of(name.split()[1] if " " in name else call["mode"], nodes)
        if name == "set_mempolicy":
            return self.ask(self.task.set_mempolicy, policy)
        start, end = self.heap.start + call.get("first", 0), self.heap.start + call.get("end", self.heap.pages)
        flags = {flag.lower(): True for flag in call["flags"].split("|") if flag not in ("", "0", "-")}
        return self.ask(self.caller.mbind, range(start, end), policy, **flags)

    def pid(self, call):
        """The process that a call is about, by its number; "kthreadd" and "init" get a process of that name."""
        pid = call.get("pid", "self")
        if pid in ("self", "other", 0):
            return 0 if self.caller is self.task else self.task.pid
        if isinstance(pid, str):
            return self.kernel.spawn(pid, uid=0, kernel_thread=pid == "kthreadd").pid
        return pid

    def change_cpuset(self, call):
        """The cpuset of the task gets other nodes, or the task another cpuset."""
        unified = self.setup.get("cgroup") == "v2"
        old, new = ("old_mems", "new_mems") if "old_mems" in call else ("from", "to")
        here = self.kernel.cpuset("here", call[old], unified=unified)
        here.attach(self.task)
        self.policies()
        if not unified:
            here.memory_migrate = bool(call.get("memory_migrate_src", 1))
        if call["name"].startswith("attach"):
            migrate = bool(call.get("memory_migrate_dst", 0))
            self.ask(self.kernel.cpuset("there", call[new], migrate, unified=unified).attach, self.task)
        else:
            self.ask(setattr, here, "mems", call[new])

    def ask(self, call, *args, **more):
        """Make a call; note its answer, and ahead of the first one what is seen before."""
        if "ret" not in self.facts:
            for name in self.case.raw:
                if "before" in name:
                    self.look(name)
        try:
            answer = call(*args, **more)
            self.facts |= {"ret": answer if isinstance(answer, int) else 0, "errno": "OK"}
        except OSError as error:
            self.facts |= {"ret": -1, "errno": ERRNO_NAMES[error.errno]}
            answer = getattr(error, "status", [])
        if isinstance(answer, list):  # of move_pages(2)
            status = [UNWRITTEN if each is None else each for each in answer]
            self.facts["status"] = status + [UNWRITTEN] * (self.size - len(status))

    # -- what is seen

    def look(self, name):
        """Note what the record calls `name`, if that can be seen on the model and has not been noted yet."""
        task = self.partner if name.startswith(("sharer", "partner")) else self.task
        seen = fact(name)
        if seen and seen.look and task and name not in self.facts:
            self.facts[name] = seen.look(self, task, self.body if task is self.task else self.mapped[task])
