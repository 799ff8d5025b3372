"""What kernels of different configurations hold and answer: each is booted, and each trigger really tried."""

from dataclasses import replace
from itertools import product

import pandas as pd

from ..machine.config import Config
from ..machine.errors import KernelBug
from ..machine.kernel import Kernel
from ..machine.changes import parse_patches
from ..machine.policy import Policy
from ..machine.topology import Topology
from .catalogue import named

OPTIONS = ("NUMA", "SPARSEMEM", "DISCONTIGMEM", "SMP", "SWAP")
TRIGGERS = {
    "A": "mbind() with MPOL_MF_MOVE",
    "B": "sys_migrate_pages()",
    "C": "attaching to a cpuset with memory_migrate",
    "D": "an in-kernel caller",
}  # fmt: skip
MACHINES = {
    "NUMA server": ("NUMA", "DISCONTIGMEM", "SMP", "SWAP"),
    "server with memory hotplug": ("SPARSEMEM", "SMP", "SWAP"),
    "dual-processor PC": ("SMP", "SWAP"),
    "old PC": ("SWAP",),
    "router without swap": (),
}  # fmt: skip
PAGES = 4  # of the task that is to be moved


def configuration(*options):
    """The Config with these CONFIG_ options on, all others off: ``configuration("SPARSEMEM", "SMP")``."""
    wrong = set(options) - set(OPTIONS)
    if wrong:
        raise ValueError(f"options: no option {min(wrong)!r} here; there are {', '.join(OPTIONS)}")
    return Config(**{name.lower(): name in options for name in OPTIONS})


def small_machine(config, patches):
    """One task with four anonymous pages: (kernel, task, heap).  Without NUMA the machine has one node."""
    kernel = Kernel(Topology.uniform(nodes=1 + config.numa, frames=64), config, patches, swap_slots=16, trace=False)
    task = kernel.spawn("a")
    heap = task.mmap(PAGES)
    task.touch(heap, write=True)
    return kernel, task, heap


def pull(kernel, task, heap, trigger):
    """Use one trigger to move the task's pages to the last node."""
    to = kernel.topology.nodes - 1
    if trigger == "A":
        task.mbind(heap, Policy.bind(to), move=True)
    elif trigger == "B":
        task.migrate_pages(0, old=0, new=to)
    elif trigger == "C":
        kernel.cpuset("target", to, memory_migrate=True).attach(task)
    else:
        kernel.migrate(task.pages()["pfn"].dropna(), to)


def answer(config, patches, trigger):
    """What a trigger returns on such a kernel, and what became of the four pages: '0, 4 moved', '-ENOSYS', 'BUG()'.

    B and D return how many pages they could not move: '4, none moved'; A and C return 0.
    """
    kernel, task, heap = small_machine(config, patches)
    try:
        pull(kernel, task, heap, trigger)
    except OSError as error:
        return named(error)
    except KernelBug:
        return "BUG()"
    done = {"moved": kernel.last.moved, "swapped out": kernel.last.evicted}
    became = ", ".join(f"{n} {what}" for what, n in done.items() if n) or "none moved"
    return f"{kernel.last.returned}, {became}"


def answers(config, patches=7):
    """What each trigger answers: {'A': '0, 4 moved', ...}."""
    return {trigger: answer(config, patches, trigger) for trigger in TRIGGERS}


def symbols(config, patches=7):
    """Every function of page migration that some kernel holds under these patches: {name: why not this one, or ''}."""
    patches = parse_patches(patches)

    def why(name):
        if name in config.symbols(patches):
            return ""
        if name in config.symbols(patches - {1}):
            return "left out by patch 1"
        needed = [o for o in OPTIONS if name in replace(config, **{o.lower(): True}).symbols(patches)]
        return f"needs {needed[0]}" if needed else "not compiled"

    return {name: why(name) for name in configuration(*OPTIONS).symbols(patches)}


def image_sizes():
    """How many functions of page migration the images of MACHINES hold, without and with patch 1."""
    rows = {name: [len(configuration(*on).symbols(p)) for p in ((), (1,))] for name, on in MACHINES.items()}
    return pd.DataFrame(rows, index=["without patch 1", "with patch 1"]).T.rename_axis("machine")


def as_sent(config, patches=7):
    """Whether the patches of V1, as they were sent, give a kernel: 'builds', 'does not link', 'does not compile'.

    With patch 4 mm/rmap.c needs unuse_vma(), which is compiled only with SWAP; with patch 6 the file systems need
    names that are declared only with MIGRATION.  Both were repaired in December 2005, and the model has it so.
    """
    patches = parse_patches(patches)
    if 6 in patches and not config.migration:
        return "does not compile"
    return "does not link" if 4 in patches and not config.swap else "builds"


def config_matrix(patches=7):
    """All 32 configurations, one a row: options, MIGRATION, symbols in the image, what the triggers A to D answer.

    "V1 as sent" says which of these kernels could not be built in November 2005: see `as_sent`.
    """
    rows = []
    for switches in product((True, False), repeat=len(OPTIONS)):
        config = Config(*switches)
        rows.append({
            **dict(zip(OPTIONS, switches, strict=True)), "MIGRATION": config.migration,
            "symbols": len(config.symbols(parse_patches(patches))), **answers(config, patches),
            "V1 as sent": as_sent(config, patches),
        })  # fmt: skip
    return pd.DataFrame(rows)
