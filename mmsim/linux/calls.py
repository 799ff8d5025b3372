"""The system calls, by ctypes: those for which Python has no function.  Numbers of x86_64 and aarch64."""

import ctypes
import mmap
import os
import platform
import signal
import sys

NUMBERS = {
    "x86_64": {"clone": 56, "capset": 126, "mbind": 237, "set_mempolicy": 238, "get_mempolicy": 239,
               "migrate_pages": 256, "vmsplice": 278, "move_pages": 279},
    "aarch64": {"clone": 220, "capset": 91, "mbind": 235, "get_mempolicy": 236, "set_mempolicy": 237,
                "migrate_pages": 238, "move_pages": 239, "vmsplice": 75},
}  # fmt: skip
BITS = 1024  # of a node mask
MPOL_F_ADDR, MPOL_F_MEMS_ALLOWED = 2, 4
MPOL_MF_STRICT, MPOL_MF_MOVE, MPOL_MF_MOVE_ALL = 1, 2, 4
MAP_FIXED_NOREPLACE, MADV_NOHUGEPAGE = 0x100000, 15
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_THP_DISABLE = 1, 4, 8, 41
NOT_WRITTEN = 12345  # what a status of move_pages(2) says before the call
PAGE = mmap.PAGESIZE

# Without letting go of the GIL: clone() finds it held on both sides.  Elsewhere this module can be imported, no more.
_libc = ctypes.PyDLL(None, use_errno=True) if sys.platform == "linux" else None


def _checked(answer):
    if answer == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


def syscall(name, *args):
    """A system call by its name, int arguments as longs; OSError if it fails."""
    numbers = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    _libc.syscall.restype = ctypes.c_long
    return _checked(_libc.syscall(ctypes.c_long(NUMBERS[platform.machine()][name]), *numbers))


def libc(name, *args):
    """A function of the C library, int arguments as longs, which answers -1 if it fails: OSError."""
    function = getattr(_libc, name)
    function.restype = ctypes.c_long
    return _checked(function(*(ctypes.c_ulong(arg) if isinstance(arg, int) else arg for arg in args)))


def ends_with_parent():
    """Ask for the end of this process when the one that has started it ends."""
    libc("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def mask_of(nodes):
    """A node mask as the system calls take it; None for the empty set."""
    bits = sum(1 << node for node in nodes)
    return ctypes.create_string_buffer(bits.to_bytes(BITS // 8, "little"), BITS // 8) if nodes else None


def get_mempolicy(address=None):
    """(mode with its flags, nodes) of the caller, or of one of its addresses."""
    mode, mask = ctypes.c_int(), ctypes.create_string_buffer(BITS // 8)
    flags = 0 if address is None else MPOL_F_ADDR
    syscall("get_mempolicy", ctypes.byref(mode), mask, BITS + 1, address or 0, flags)
    bits = int.from_bytes(mask.raw, "little")
    return mode.value & 0xFFFF, [node for node in range(BITS) if bits >> node & 1]


def move_pages(pid, addresses, nodes, flags):
    """(what the call returns or minus its errno, the status of each page); `nodes` None: only ask."""
    count = len(addresses)
    places, status = (ctypes.c_void_p * count)(*addresses), (ctypes.c_int * count)(*[NOT_WRITTEN] * count)
    wanted = None if nodes is None else (ctypes.c_int * count)(*nodes)
    try:
        returned = syscall("move_pages", pid, count, places, wanted, status, flags)
    except OSError as error:
        returned = -error.errno
    return returned, list(status)
