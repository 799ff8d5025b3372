"""The tables of a machine as one row of words of 32 bits, in which `recording` keeps what changes."""

import sys

import numpy as np

from ..machine import interpreted, watching
from ..mm import structs, trace

TABLES = (
    "mem_map", "pte", "swap_map", "swap_cache", "vmstat", "sys", "vma", "task", "mapping", "file_page", "sp_node",
    "considered",
)  # fmt: skip
DTYPES = {
    "mem_map": structs.PAGE, "pte": structs.PTE, "vmstat": np.int64, "sys": structs.SYSTEM, "vma": structs.VMA,
    "task": structs.TASK, "mapping": structs.MAPPING, "file_page": structs.FILE_PAGE, "sp_node": structs.SP_NODE,
    "considered": structs.CONSIDERED,
}  # fmt: skip
BETWEEN = {trace.__file__, watching.__file__, interpreted.__file__}  # a kernel function that writes an event, and us


def writer():
    """(code, line) of the kernel function that is about to write an event, whose observer asks."""
    frame = sys._getframe(2)
    while frame.f_code.co_filename in BETWEEN:
        frame = frame.f_back
    return frame.f_code, frame.f_lineno


def places(tables):
    """Where the words of each column are: {column: [(place of the first, words a row, its table, its begin)]}."""
    found, begin = {}, 0
    for name in TABLES:
        table, step = tables[name], tables[name].dtype.itemsize // 4
        words = memoryview(table.view(np.int32).ravel())
        for field in table.dtype.names or ("",):
            kind, offset = table.dtype.fields[field][:2] if field else (table.dtype, 0)
            found[interpreted.column(name, field)] = [
                (begin + (offset + more) // 4, step, words, begin) for more in range(0, kind.itemsize, 4)
            ]
        begin += len(words)
    return found
