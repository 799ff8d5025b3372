"""Record what the kernel of this machine does, in the form of tests/oracle.

``python -m mmsim.linux.recorder mine.jsonl``

It moves a few anonymous pages of its own, and writes down what the system calls answer and where the pages are.  It
needs Linux and two NUMA nodes, no privileges, and nothing of mmsim: this file can be copied to such a machine.  Run it
as a process of its own: migrate_pages(2) moves all that its caller has.
"""

import contextlib
import ctypes
import errno
import itertools
import json
import mmap
import os
import platform
import re
import signal
import sys
import time
from pathlib import Path

NUMBERS = {"x86_64": {"mbind": 237, "get_mempolicy": 239, "migrate_pages": 256, "move_pages": 279},
           "aarch64": {"mbind": 235, "get_mempolicy": 236, "migrate_pages": 238, "move_pages": 239}}  # fmt: skip
MODES = {"MPOL_DEFAULT": 0, "MPOL_PREFERRED": 1, "MPOL_BIND": 2, "MPOL_INTERLEAVE": 3}
FLAGS = {"STRICT": 1, "MOVE": 2}
HINTS = {errno.ENOSYS: ": a kernel without NUMA, or a container hides it", errno.EPERM: ": a container may forbid it"}
MEMS_ALLOWED, CAP_SYS_NICE, BITS = 4, 23, 1024


def syscall(name, *args):
    """A system call by its name, int arguments as longs; OSError if it fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    args = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    answer = libc.syscall(ctypes.c_long(NUMBERS[platform.machine()][name]), *args)
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}() answers {errno.errorcode.get(code, code)}{HINTS.get(code, '')}")
    return answer


def mask_of(nodes):
    """A node mask as the system calls take it."""
    return ctypes.create_string_buffer(sum(1 << node for node in nodes).to_bytes(BITS // 8, "little"), BITS // 8)


def usable_nodes():
    """The nodes whose memory this process may use; OSError says why this machine cannot be recorded."""
    if sys.platform != "linux" or platform.machine() not in NUMBERS:
        raise OSError(f"this is {sys.platform} on {platform.machine()}, not Linux on {' or '.join(NUMBERS)}")
    mode, mask = ctypes.c_int(), mask_of([])
    syscall("get_mempolicy", ctypes.byref(mode), None, 0, 0, 0)
    syscall("get_mempolicy", None, mask, BITS + 1, 0, MEMS_ALLOWED)
    bits, status = int.from_bytes(mask.raw, "little"), Path("/proc/self/status").read_text()
    nodes = [node for node in range(BITS) if bits >> node & 1]
    if len(nodes) < 2:
        raise OSError("this process may use the memory of one NUMA node only, and it takes two to move a page")
    if nodes != list(range(len(nodes))) or mode.value:
        raise OSError(f"it may use nodes {nodes}, by policy {mode.value}; start it with all nodes, without numactl")
    if int(re.search(r"CapEff:\s*(\w+)", status)[1], 16) >> CAP_SYS_NICE & 1:
        raise OSError("with CAP_SYS_NICE pages of other processes would move too; be an ordinary user")
    return nodes


class Memory:
    """Anonymous pages of our own, each written to; the number of the first is 4 modulo 12, as in tests/oracle."""

    def __init__(self, pages):
        self.map = mmap.mmap(-1, (pages + 12) * mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(OSError):  # a kernel without huge pages
            self.map.madvise(mmap.MADV_NOHUGEPAGE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        first = (4 - base // mmap.PAGESIZE) % 12
        self.places = [base + (first + i) * mmap.PAGESIZE for i in range(pages)]
        self.start, self.size = ctypes.c_void_p(self.places[0]), pages * mmap.PAGESIZE
        for place in self.places:
            self.map[place - base] = 1

    def move_pages(self, to=None):
        """Let move_pages(2) say where the pages are, or move them: a node or the name of an errno for each."""
        count = len(self.places)
        places, status = (ctypes.c_void_p * count)(*self.places), (ctypes.c_int * count)()
        syscall("move_pages", 0, count, places, to and (ctypes.c_int * count)(*to), status, FLAGS["MOVE"])
        return [s if s >= 0 else f"-{errno.errorcode.get(-s, -s)}" for s in status]

    def ask(self, call):
        """Make the call of an experiment: what it answers."""
        if call["name"] == "migrate_pages":
            return syscall("migrate_pages", 0, BITS + 1, mask_of(call["from"]), mask_of(call["to"]))
        flags = sum(FLAGS[flag] for flag in call["flags"].split("|"))
        return syscall("mbind", self.start, self.size, MODES[call["mode"]], mask_of(call["nodes"]), BITS + 1, flags)


def experiments(nodes):
    """(group, setup, call) of each experiment; the sets are those of one and two of the first four nodes."""
    nodes = nodes[:4]
    sets = [list(some) for size in (1, 2) for some in itertools.combinations(nodes, size)]
    for old, new in itertools.product(sets, sets):
        yield "migrate_pages_matrix", {"pages": 12, "place": nodes}, {"name": "migrate_pages", "from": old, "to": new}
    modes = [("MPOL_DEFAULT", []), *itertools.product(["MPOL_BIND", "MPOL_INTERLEAVE"], sets)]
    modes += [("MPOL_PREFERRED", [node]) for node in nodes]
    for (mode, some), flags in itertools.product(modes, ("STRICT", "MOVE", "STRICT|MOVE")):
        yield "mbind", {"pages": 16, "place": nodes}, {"name": "mbind", "mode": mode, "nodes": some, "flags": flags}
    for flags in ("MOVE", "STRICT|MOVE"):
        call = {"name": "mbind", "mode": "MPOL_BIND", "nodes": [1], "flags": flags}
        yield "special", {"pages": 8, "place": [0], "special": "mlock() all 8 pages"}, call
        yield "share_mbind", {"pages": 8, "place": [0], "sharing": "fork: both processes map all 8 pages"}, call


def perform(group, setup, call):
    """Do one experiment: its record, without an id; a child that shares the pages sleeps meanwhile."""
    memory, libc = Memory(setup["pages"]), ctypes.CDLL(None, use_errno=True)
    memory.move_pages(list(itertools.islice(itertools.cycle(setup["place"]), setup["pages"])))
    if "special" in setup and libc.mlock(memory.start, ctypes.c_size_t(memory.size)):
        raise OSError(ctypes.get_errno(), "mlock: see ulimit -l")
    child = os.fork() if "sharing" in setup else None
    if child == 0:
        os._exit(time.sleep(60) or 0)
    record = {"group": group, "setup": {"kind": "anon_private", "caller": f"uid{os.getuid()}"} | setup, "call": call}
    record["before"] = memory.move_pages()
    try:
        record |= {"ret": memory.ask(call), "errno": "OK"}
    except OSError as error:
        record |= {"ret": -1, "errno": errno.errorcode.get(error.errno, str(error.errno))}
    record["after"] = memory.move_pages()
    if child:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return record


def write(path, text):
    """Write a file; one that exists is replaced by a complete one only."""
    beside = path.with_name(f".{path.name}.part") if path.is_file() or not path.exists() else path
    try:
        beside.write_text(text)
        beside.replace(path)
    except OSError:
        if beside != path:
            beside.unlink(missing_ok=True)
        raise


def main(path="mine.jsonl"):
    """Record this machine into a file: 0, or why that cannot be."""
    try:
        nodes, cpu = usable_nodes(), min(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cpu})  # BIND today takes the node that is nearest to the CPU
        (home,) = Path(f"/sys/devices/system/cpu/cpu{cpu}").glob("node[0-9]*")
        distances = {f"distance{n}": Path(f"/sys/devices/system/node/node{n}/distance").read_text() for n in nodes}
        records = [{"id": "env", "group": "env", "kernel": platform.release()} | distances]
        for number, (group, setup, call) in enumerate(experiments(nodes)):
            records.append({"id": f"own_{number}"} | perform(group, setup | {"cpu": int(home.name[4:])}, call))
        write(Path(path), "".join(json.dumps(record) + "\n" for record in records))
    except OSError as error:
        return f"Not recorded: {error.strerror or error}."
    sys.stdout.write(f"{len(records) - 1} experiments recorded; compare them with: mmsim verify {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
