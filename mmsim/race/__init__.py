"""Races: a migration, faults and swapoff, interleaved wherever the kernel may sleep or be preempted (patch 2).

An actor runs the very functions of mmsim.mm, as generators (`interruptible`) that yield a `Point` before each step
(`points`: where that is, and what it is called).  `Race` lets them take one step at a time, in an order of one's
choice; `explore` tries every order.  Begin with `SCENES`, below.
"""

from functools import partial

from ..machine.kernel import Kernel
from ..machine.topology import Topology
from .actors import Actor, Fault, Migrate, Pin, Swapoff, WriteAndUnmap, page_behind, unmap_into_swap_cache, walk
from .explore import Exploration, Race, Schedule, explore
from .points import Point

__all__ = [
    "PINNED", "SCENES", "WITHOUT_PATCH_2", "Actor", "Exploration", "Fault", "Migrate", "Pin", "Point", "Race",
    "Schedule", "Swapoff", "WriteAndUnmap", "explore", "one_page", "page_behind", "walk",
]  # fmt: skip

WITHOUT_PATCH_2 = (1, 3, 4, 5, 6, 7)


def one_page(patches, shared=False, fork=False, slots=4, mapped=False):
    """Task a, with one page in the swap cache: anonymous, or `shared` (tmpfs); `fork`: a child b has it, too.

    `mapped`: the page is in the page table as usual, not swapped out.
    """
    kernel = Kernel(Topology.uniform(nodes=2, frames=64), patches=patches, swap_slots=slots)
    task = kernel.spawn("a")
    task.touch(task.mmap(1, shared=shared), write=True)
    if fork:
        task.fork("b")
    if not mapped:
        kernel.call(unmap_into_swap_cache, page_behind(kernel.k, *Fault("a").locate(kernel)))
    return kernel


# Where patch 2 decides, as (build, actors) for `Race` and `explore`: its three sites, and what follows from them.
SCENES = {
    "do_swap_page": (one_page, [Fault("a"), Migrate("a")]),
    "shmem_getpage": (partial(one_page, shared=True), [Fault("a"), Migrate("a")]),
    "try_to_unuse": (one_page, [Swapoff(), Migrate("a")]),
    "try_to_unuse of tmpfs": (partial(one_page, shared=True), [Swapoff(), Migrate("a")]),
    "sharers part": (partial(one_page, fork=True), [Fault("a"), Migrate("a"), Fault("b")]),
    "lost write": (partial(one_page, slots=1), [Fault("a"), Migrate("a"), WriteAndUnmap("a")]),
}  # fmt: skip
# What patch 2 does not help against: a reference taken through the page table, after the test.
PINNED = (partial(one_page, mapped=True), [Pin("a"), Migrate("a")])
