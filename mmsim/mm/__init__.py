"""The modelled kernel: one module for each kernel source file that the series touches, named after it.

Everything here is plain functions over `structs.Tables`, in the part of Python that `mmsim.machine.translate` knows:
ints, arrays, named tuples; no exceptions, no strings.  Start reading at `migrate_v1.migrate_pages`.

Modules rest on each other without circles but for two that the kernel has itself: allocation reclaims, and reclaim
allocates; who sleeps lets others run, and what they do may sleep.  Either is tied by the last lines of a module,
page_alloc and timer.  A kernel file that would make more of them is in two modules: mempolicy, on which allocation
rests, and mbind (with check_range, for its length); swap_map and swapfile; migrate_page, on which the methods of file
systems rest, and migrate_v1.
"""

from . import timer  # noqa: F401  first: with this order both circles can be tied
