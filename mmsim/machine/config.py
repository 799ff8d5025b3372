"""How the kernel was configured, and what its operations cost."""

from dataclasses import dataclass, fields

from ..terms.arguments import shown, whole, yes_no

MOST_COST = 10**10  # ns, ten seconds for a page: sums of costs stay far below 63 bits
_PRESETS = {"altix-2005": (), "two-socket": (100, 300, 400, 2_000, 12_000, 2_000, 12_000, 250, 90)}  # (): the defaults


@dataclass(frozen=True)
class Config:
    """The CONFIG options of the kernel image."""

    numa: bool = True
    sparsemem: bool = False
    discontigmem: bool = False
    smp: bool = True
    swap: bool = True

    def __post_init__(self):
        for field in fields(self):
            object.__setattr__(self, field.name, yes_no(getattr(self, field.name), field.name))

    @property
    def migration(self):
        """CONFIG_MIGRATION as patch 1 derives it (mm/Kconfig)."""
        return self.numa or self.sparsemem or self.discontigmem

    def symbols(self, patches):
        """The functions of page migration that the image holds, under a set of patches."""
        migration = self.migration or 1 not in patches
        held = {
            "isolate_lru_page putback_lru_pages migrate_pages swap_page": migration,
            "lru_add_drain_per_cpu": migration and (self.smp or 1 not in patches),
            "migrate_page migrate_page_copy migrate_page_remove_references": migration and 3 in patches,
            "remove_from_swap": migration and 4 in patches and self.swap,
            "buffer_migrate_page fail_migrate_page": migration and 6 in patches,
            "check_range do_migrate_pages sys_mbind sys_migrate_pages": self.numa,
            "migrate_pages_to migrate_to_node": self.numa and 5 in patches,
        }
        return [name for names, there in held.items() if there for name in names.split()]


@dataclass(frozen=True)
class Costs:
    """What things take, in simulated ns.

    `copy` (a page) and `access` (a cache line) are at distance 10 and grow with distance.  The
    defaults are an Altix-like machine of 2005; see `preset` for where they come from.
    """

    alloc: int = 400
    unmap: int = 800
    copy: int = 2_000
    swap_write: int = 80_000
    swap_read: int = 80_000
    file_write: int = 80_000
    file_read: int = 80_000
    minor: int = 1_000
    access: int = 150

    def __post_init__(self):
        for field in fields(self):
            value = whole(getattr(self, field.name), f"costs: {field.name}", 0, MOST_COST, "ns", no_number=ValueError)
            object.__setattr__(self, field.name, value)

    @classmethod
    def preset(cls, name):
        """The costs of a kind of machine: an 'altix-2005', or a 'two-socket' server of today.

        What has no source here is assumed; `sweep` with ``sensitivity=True`` shows how much depends on it.

        =============  ==========  ==========  ================================================================
        ns             altix-2005  two-socket  from
        =============  ==========  ==========  ================================================================
        access                150          90  assumed; Intel Memory Latency Checker on an idle Xeon Silver
                                               4110: 82 to 90 (Intel community, 2018)
        copy                2,000         400  4 KiB at 2 GB/s (a link of NUMAlink 4 has 3.2: SGI, 2004); 10 GB/s
        writes             80,000       2,000  4 KiB at 50 MB/s, a disk of 2005; at 2 GB/s, an NVMe drive
        reads              80,000      12,000  the same disk, in sequence; one read of many from NVMe, assumed
        minor               1,000         250  entry, page table and return; assumed
        alloc, unmap     400, 800    100, 300  free list; reverse map and TLB flush; assumed
        =============  ==========  ==========  ================================================================
        """
        if not isinstance(name, str) or name not in cls.presets():
            raise ValueError(f"preset: no costs {shown(name)}; there are {', '.join(cls.presets())}")
        return cls(*_PRESETS[name])

    @staticmethod
    def presets():
        """Names that `preset` takes."""
        return list(_PRESETS)
