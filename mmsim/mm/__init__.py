"""The modelled kernel: one module for each kernel source file that the series touches, named after it.

Everything here is plain functions over `structs.Tables`, in the part of Python that numba compiles:
ints, arrays, named tuples; no exceptions, no strings.  Start reading at `migrate_v1.migrate_pages`.
"""

from . import page_alloc  # noqa: F401  first: allocation and reclaim need each other, and this order unties them
