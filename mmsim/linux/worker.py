"""A task of a real Linux: a process that does what it is told over a socket, a line of JSON for each call.

The socket comes as a descriptor whose number is the first argument.  At its end, and when the process that has started
it ends, the task ends as well.
"""

import contextlib
import ctypes
import errno
import json
import mmap
import os
import resource
import signal
import socket
import sys

from . import calls
from .calls import PAGE, ends_with_parent, libc, syscall

BATCH = 1024  # pages that are touched by one call: as many as preadv(2) takes
CLONE_PARENT = 0x8000
_CAPABILITIES = {"CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21, "CAP_SYS_NICE": 23, "CAP_SYS_RESOURCE": 24}
PIPE_PAGES = 16  # that a pipe takes


class Worker:
    """What a task is told, each a method; memory is named by addresses, nodes by lists of numbers."""

    def __init__(self, sock):
        self.sock, self.fds, self.pins = sock, [], {}
        self.source = os.memfd_create("mmsim touch")  # touching is reading from here, and writing to here
        os.pwrite(self.source, b"m" * PAGE, 0)
        self.buffer = ctypes.create_string_buffer(1)
        ends_with_parent()

    def become(self, uid, lost, kept, unlimited):
        """Be another user, without the capabilities `lost`, with those `kept`; `unlimited`: may lock any memory."""
        if unlimited:
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        with open("/proc/self/status") as file:
            bits = next(int(line.split()[1], 16) for line in file if line.startswith("CapPrm:"))
        if uid is not None and uid != os.getuid():
            libc("prctl", calls.PR_SET_KEEPCAPS, 1, 0, 0, 0)
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            bits = 0 if uid else bits
        bits &= ~sum(1 << _CAPABILITIES[name] for name in lost)
        bits |= sum(1 << _CAPABILITIES[name] for name in kept)
        low, high = bits & 0xFFFFFFFF, bits >> 32
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        syscall("capset", header, (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0))
        libc("prctl", calls.PR_SET_DUMPABLE, 1, 0, 0, 0)  # so that its own user may ask for its pages
        ends_with_parent()  # forgotten when the user changes

    def mmap(self, address, pages, shared, writable, offset):
        """Map pages at an address; with a descriptor beside the call, a file."""
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        flags = (mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE) | calls.MAP_FIXED_NOREPLACE
        fd = self.fds.pop() if self.fds else -1
        flags |= mmap.MAP_ANONYMOUS if fd < 0 else 0
        try:
            got = libc("mmap", address, pages * PAGE, protection, flags, ctypes.c_int(fd), offset * PAGE)
        finally:
            if fd >= 0:
                os.close(fd)
        if got & (1 << 64) - 1 != address:  # before 4.17 the address was a wish
            libc("munmap", got, pages * PAGE)
            raise OSError(errno.EEXIST, "something is mapped there")
        with contextlib.suppress(OSError):  # a kernel without huge pages
            libc("madvise", address, pages * PAGE, calls.MADV_NOHUGEPAGE)

    def munmap(self, address, pages):
        libc("munmap", address, pages * PAGE)

    def mlock(self, address, pages):
        libc("mlock", address, pages * PAGE)

    def munlock(self, address, pages):
        libc("munlock", address, pages * PAGE)

    def touch(self, address, pages, write):
        """Read or write a byte of each page: [errno or 0, minor faults, major faults]."""
        call = "preadv" if write else "pwritev"  # the kernel uses the page for us: -EFAULT instead of a signal
        vectors = []
        for first in range(0, pages, BATCH):
            count = min(BATCH, pages - first)
            vector = (ctypes.c_size_t * (2 * count))()
            vector[0::2] = [address + (first + page) * PAGE for page in range(count)]
            vector[1::2] = [1] * count
            vectors.append((vector, count))
        own = (ctypes.c_size_t * 2)(ctypes.addressof(self.buffer), 1)
        for _ in range(3):  # the first ones take memory of Python itself
            usage()
            libc(call, self.source, own, 1, 0)
            before = usage()
        wrong = 0
        for vector, count in vectors:
            try:
                if libc(call, self.source, vector, count, 0) < count:
                    wrong = errno.EFAULT
            except OSError as error:
                wrong = error.errno
            if wrong:
                break
        after = usage()
        return [wrong, after[0] - before[0], after[1] - before[1]]

    def write(self, first, pages):
        """write(2) to whole pages of a file, whose descriptor comes beside the call."""
        fd = self.fds.pop()
        try:
            for page in range(first, first + pages):
                os.pwrite(fd, b"m" * PAGE, page * PAGE)
        finally:
            os.close(fd)

    def fork(self):
        """Make a child that has all that this task has, and talks over the descriptor beside the call: its pid."""
        fd = self.fds.pop()
        zeros = (ctypes.c_void_p(0),) * 4
        pid = syscall("clone", CLONE_PARENT | signal.SIGCHLD, *zeros)  # a child of whoever has started this task
        if pid:
            os.close(fd)
            return pid
        self.sock.close()
        self.sock, self.pins = socket.socket(fileno=fd), {}
        ends_with_parent()
        return None

    def run_on(self, cpus):
        os.sched_setaffinity(0, cpus)

    def set_mempolicy(self, mode, nodes):
        syscall("set_mempolicy", mode, calls.mask_of(nodes), calls.BITS + 1 if nodes else 0)

    def get_mempolicy(self, address):
        return calls.get_mempolicy(address)

    def mbind(self, address, pages, mode, nodes, flags):
        mask = calls.mask_of(nodes)
        syscall("mbind", address, pages * PAGE, mode, mask, calls.BITS + 1 if nodes else 0, flags)

    def migrate_pages(self, pid, old, new):
        masks = (calls.mask_of(nodes) or ctypes.create_string_buffer(calls.BITS // 8) for nodes in (old, new))
        return syscall("migrate_pages", pid, calls.BITS + 1, *masks)

    def move_pages(self, pid, addresses, nodes, flags):
        return calls.move_pages(pid, addresses, nodes, flags)

    def pin(self, address, pages, times):
        """Let pipes refer to pages: nobody knows for how long."""
        for _ in range(times):
            made = []
            for first in range(0, pages, PIPE_PAGES):
                count = min(PIPE_PAGES, pages - first)
                made.append(os.pipe())
                vector = (ctypes.c_size_t * 2)(address + first * PAGE, count * PAGE)
                syscall("vmsplice", made[-1][1], vector, 1, 0)
            self.pins.setdefault((address, pages), []).append(made)

    def unpin(self, address, pages, times):
        """Empty the pipes again: how many of the pins there were."""
        there = self.pins.get((address, pages), [])
        done = 0
        while there and done < times:
            for ends in there.pop():
                for end in ends:
                    os.close(end)
            done += 1
        return done


def usage():
    """(minor faults, major faults) of this process until now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_minflt, used.ru_majflt


def serve(worker):
    """Do what the lines say until there are no more."""
    rest = b""
    while True:
        while b"\n" not in rest:
            more, fds, _, _ = socket.recv_fds(worker.sock, 1 << 20, 1)
            worker.fds += fds
            if not more:
                os._exit(0)  # whoever has spoken to us is gone
            rest += more
        line, rest = rest.split(b"\n", 1)
        number, name, args = json.loads(line)
        if name == "exit":
            os._exit(0)
        try:
            answer = [number, 0, getattr(worker, name)(*args)]
        except OSError as error:
            answer = [number, error.errno or errno.EIO, str(error)]
        worker.sock.sendall(json.dumps(answer).encode() + b"\n")


def main(fd):
    """Be a task."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is for whoever has started us
    with contextlib.suppress(OSError):  # before 3.15
        libc("prctl", calls.PR_SET_THP_DISABLE, 1, 0, 0, 0)
    with contextlib.suppress(ConnectionError):  # whoever has spoken to us was killed in the middle of a call
        serve(Worker(socket.socket(fileno=int(fd))))
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
