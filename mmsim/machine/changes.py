"""The seven patches of the series, and what was changed in Linux since, as data: each a switch of the machine."""

from typing import NamedTuple


class Patch(NamedTuple):
    """One patch: its number, title, the kernel files it touches, functions it adds or changes, and what it needs."""

    number: int
    title: str
    files: tuple
    functions: tuple
    needs: tuple


PATCHES = (
    Patch(1, "CONFIG_MIGRATION", ("mm/Kconfig", "mm/vmscan.c", "include/linux/swap.h"), (), ()),
    Patch(2, "SwapCache recheck", ("mm/memory.c", "mm/shmem.c", "mm/swapfile.c"),
          ("do_swap_page", "shmem_getpage", "try_to_unuse"), ()),
    Patch(3, "Direct migration", ("mm/vmscan.c",),
          ("migrate_pages", "migrate_page", "migrate_page_remove_references", "migrate_page_copy"), (1,)),
    Patch(4, "remove_from_swap", ("mm/rmap.c", "mm/swapfile.c", "mm/vmscan.c"),
          ("remove_from_swap", "unuse_pte"), (3,)),
    Patch(5, "MPOL_MF_MOVE and migrate_pages()", ("mm/mempolicy.c",),
          ("migrate_pages_to", "migrate_to_node", "do_migrate_pages", "do_mbind"), (3,)),
    Patch(6, "migrate_page methods", ("fs/buffer.c", "mm/swap_state.c", "fs/ext2", "fs/ext3", "fs/xfs"),
          ("buffer_migrate_page", "fail_migrate_page", "migrate_page_method"), (3,)),
    Patch(7, "add_to_swap with a gfp mask", ("mm/swap_state.c", "mm/vmscan.c"), ("add_to_swap",), (1,)),
)  # fmt: skip


def parse_patches(patches):
    """The set of patch numbers that `patches` asks for: an int n (the first n) or an iterable of numbers.

    Raises
    ------
    ValueError
        For a number that is no patch, or a patch without one that it needs.
    """
    from ..terms.arguments import shown, whole  # here, as the patches as data are read where there is no numpy

    try:
        if isinstance(patches, str) or not hasattr(patches, "__iter__"):
            first = whole(patches, "patches")
            wrong, chosen = [first] * (not 0 <= first <= 7), range(1, first + 1)
        else:
            chosen = [whole(p, "patches") for p in patches]
            wrong = sorted(p for p in chosen if not 1 <= p <= 7)
    except (TypeError, ValueError) as error:
        right = "give an int from 0 to 7, or patch numbers as in (1, 3, 4)"
        raise type(error)(f"patches is {shown(patches)}; {right}") from None
    if wrong:
        raise ValueError(f"patches: there is no patch {wrong[0]}; they are numbered 1 to 7")
    chosen = frozenset(chosen)
    for patch in PATCHES:
        missing = [n for n in patch.needs if n not in chosen]
        if patch.number in chosen and missing:
            raise ValueError(
                f"patches: patch {patch.number} ({patch.title}) needs patch {missing[0]}, which is missing"
            )
    return chosen


# -- what came after the series


class Change(NamedTuple):
    """A change of Linux after V1: a switch, as a patch is.  In `mm` it is `k.change.<name>`, with _ for -."""

    name: str
    release: str  # the first that has it
    title: str
    functions: tuple  # of the kernel, that it changed
    before: str
    after: str
    source: str  # a commit of mainline, or the title of the patch
    needs: tuple = ()  # names of changes without which it makes no sense
    ends: str = ""  # the release, or the name of the change, that took it back
    backported: tuple = ()  # stable series that have it, too

    @property
    def date(self):
        """When that release came out, as in '2006-09-20'."""
        return RELEASED[self.release]


# The day of each release that brought a change, or that people ask for.
RELEASED = {
    "2.6.14": "2005-10-27", "2.6.15": "2006-01-03", "2.6.16-rc1": "2006-01-17", "2.6.16": "2006-03-20",
    "2.6.17": "2006-06-17", "2.6.18": "2006-09-20", "2.6.19": "2006-11-29", "2.6.20": "2007-02-04",
    "2.6.21": "2007-04-25", "2.6.23": "2007-10-09", "2.6.24": "2008-01-24", "2.6.25": "2008-04-16",
    "2.6.26": "2008-07-13", "2.6.28": "2008-12-24", "2.6.32": "2009-12-02", "2.6.34": "2010-05-16",
    "2.6.35": "2010-08-01", "3.1": "2011-10-24", "3.4": "2012-05-20", "3.5": "2012-07-21", "3.8": "2013-02-18",
    "3.15": "2014-06-08", "4.1": "2015-06-21", "4.3": "2015-11-01", "4.13": "2017-09-03", "4.15": "2018-01-28",
    "4.16": "2018-04-01", "4.17": "2018-06-03", "5.0": "2019-03-03", "5.4": "2019-11-24", "5.5": "2020-01-26",
    "5.7": "2020-05-31", "5.14": "2021-08-29", "5.15": "2021-10-31", "6.1": "2022-12-11", "6.6": "2023-10-29",
    "6.7": "2024-01-07", "6.9": "2024-05-12", "6.12": "2024-11-17",
}  # fmt: skip

CHANGES = (
    Change(
        "mapcount-rule", "2.6.16", "MOVE takes only pages that nobody else maps", ("migrate_page_add",),
        "MOVE takes every anonymous page, and decides for a file as a whole",
        "MOVE takes the pages that one pte maps; MOVE_ALL takes all", "fc301289633", ("root-moves-all",),
    ),
    Change(
        "root-moves-all", "2.6.16", "migrate_pages(2) by root moves shared pages", ("sys_migrate_pages",),
        "migrate_pages(2) means MOVE", "it means MOVE_ALL where the caller has CAP_SYS_ADMIN, later CAP_SYS_NICE",
        "511030bcd24",
    ),
    Change(
        "cap-sys-nice", "2.6.16", "CAP_SYS_NICE is what it takes", ("do_mbind", "sys_migrate_pages"),
        "CAP_SYS_RESOURCE for MOVE_ALL, CAP_SYS_ADMIN for processes of others and nodes outside the cpuset",
        "CAP_SYS_NICE for all of them", "74c00241054",
    ),
    Change(
        "locked-elsewhere", "2.6.16", "A locked vma elsewhere fails the page", ("migrate_page_remove_references",),
        "a page that the locked vma of another process maps is unmapped again and again, without end",
        "its ptes go before its slot is replaced; it fails at once, -EPERM, and is counted", "4983da07f1e",
    ),
    Change(
        "chunks", "2.6.16", "New pages in chunks", ("migrate_pages_to",),
        "all new pages are allocated before the first page moves", "in chunks of 257", "7e2ab150d1b",
        ends="one-by-one",
    ),
    Change(
        "no-swap-no-migration", "2.6.16", "Without swap the answer says so", ("do_mbind", "do_migrate_pages"),
        "where there is no swap, anonymous pages stay, without a word",
        "mbind answers -ENODEV; migrate_pages(2) 0, and nothing moves", "90036ee5938", ends="migration-entries",
    ),
    Change(
        "vma-policies-follow", "2.6.16", "The policies of vmas follow the cpuset", ("mpol_rebind_mm",),
        "a cpuset that changes rebinds the policy of the task alone", "those of its vmas as well", "4225399a66b",
    ),
    Change(
        "cpuset-moves-at-once", "2.6.16", "A cpuset moves memory at once", ("update_nodemask", "cpuset_attach"),
        "a task moves its memory itself, when it allocates next", "whoever writes to the cpuset moves it",
        "cpuset: migrate all tasks in cpuset at once",
    ),
    Change(
        "absent-mems-dropped", "2.6.16", "Absent nodes in cpuset.mems are dropped", ("update_nodemask",),
        "-EINVAL (so the model of V1 has it)", "they are left out", "37340746a66, what it says of the time before",
        ends="cpuset-files-strict",
    ),
    Change(
        "empty-mems-refused", "2.6.16", "An empty cpuset.mems is not understood", ("update_nodemask",),
        "-ENOSPC where the cpuset has tasks (so the model of V1 has it)", "-EINVAL",
        "nodelist_parse() fails on an empty mask", ends="2.6.24",
    ),
    Change(
        "zonelists-take-turns", "2.6.16", "Nodes that are equally far take turns", ("build_zonelists",),
        "they stand by number in each zonelist (so the model of V1 has it; Linux of that day took turns, too)",
        "the first of them is another one for the next node", "find_next_best_node() of mm/page_alloc.c",
    ),
    Change(
        "pageout-keeps-mapped", "2.6.16", "A dirty page that is mapped is not written", ("pageout",),
        "V1 had this slip, and the model corrects it: ptes are allowed for",
        "a page without a method that is dirty and still mapped is kept, and tried again in vain",
        "is_page_cache_freeable() in pageout() of 2.6.16", ends="migration-entries",
    ),
    Change(
        "strict-collects", "2.6.16", "STRICT collects from every vma", ("check_range",),
        "pages of vmas that are not migratable are counted, and stay",
        "with STRICT they are collected like all others", "check_range() of 2.6.16", ends="strict-says-so",
    ),
    Change(
        "target-cpuset", "2.6.17", "A cpuset migrates into the cpuset of the task", ("cpuset_migrate_mm",),
        "new pages come from where the one who writes to the cpuset may allocate",
        "from where the task that is migrated may", "e4e364e865b",
    ),
    Change(
        "shmem-method", "2.6.17", "tmpfs has a method", ("shmem_aops",),
        "pages of tmpfs and of shared memory have no migratepage method", "migrate_page()", "304dbdb7a4f",
    ),
    Change(
        "migration-entries", "2.6.18", "Migration entries in place of swap", ("try_to_unmap", "remove_migration_ptes"),
        "an anonymous page goes through the swap cache, its ptes become swap ptes",
        "a pte becomes a migration entry, which knows the frame, and comes back as it was: no slot, no eviction",
        "0697212a411",
    ),
    Change(
        "file-ptes", "2.6.18", "The ptes of files come back", ("remove_migration_ptes",),
        "ptes of file pages are dropped, the next access faults", "they are restored", "04e62a29bf1",
        ("migration-entries",),
    ),
    Change(
        "one-by-one", "2.6.18", "Each page gets its frame when its turn comes", ("migrate_pages", "unmap_and_move"),
        "new pages come as a list", "each is allocated for its own address; -ENOMEM ends the call, what has moved has",
        "95a402c3847", ("migration-entries",),
    ),
    Change(
        "ten-passes", "2.6.18", "Ten passes", ("migrate_pages",), "eleven passes", "ten", "e24f0b8f76c",
    ),
    Change(
        "move-pages", "2.6.18", "move_pages(2)", ("sys_move_pages",), "there is no such call",
        "single pages, each with a status: its node, -EACCES, -EBUSY, -ENOENT, -EFAULT", "742755a1d8c",
        ("migration-entries",),
    ),
    Change(
        "move-pages-node-only", "2.6.19", "move_pages(2) takes this node or none", ("new_page_node",),
        "new pages spill to other nodes", "-ENOMEM", "3d99cfb5f46", ("move-pages",),
    ),
    Change(
        "mbind-clips", "2.6.20", "mbind(2) cuts its nodes down to the cpuset", ("sys_mbind", "do_mbind"),
        "nodes outside the cpuset are accepted, absent ones -EINVAL",
        "nodes outside the cpuset are left out; none left: -EINVAL", "30150f8d7b7",
    ),
    Change(
        "locked-vmas-move", "2.6.21", "Locked memory moves", ("vma_migratable",),
        "locked vmas are passed over", "they are migrated; they are locked in memory, not in place", "0dc952dc3e6",
        ("migration-entries",),
    ),
    Change(
        "absent-target", "2.6.23", "Absent targets are refused", ("sys_migrate_pages",),
        "nobody asks whether the nodes of the target exist", "-EINVAL, also if it is one of several", "3b42d28b2a0",
        ends="targets-clipped",
    ),
    Change(
        "no-zero-page", "2.6.24", "No zero page", ("do_anonymous_page",),
        "a read fault maps the zero page", "it gets a frame of its own", "557ed1fa262", ends="2.6.32",
    ),
    Change(
        "address-of-the-page", "2.6.24", "mbind(2) finds the vma of each page", ("new_vma_page",),
        "the first vma of the range is taken for all pages; BUG() where it maps another part of the same file",
        "the vma that maps the page is looked for", "Migration: find correct vma in new_vma_page()",
        ("one-by-one",),
    ),
    Change(
        "set-mempolicy-clips", "2.6.25", "set_mempolicy(2) cuts its nodes down to the cpuset", ("do_set_mempolicy",),
        "nodes outside the cpuset: -EINVAL", "they are left out, without a word", "31f1de46b90",
    ),
    Change(
        "bind-nearest", "2.6.26", "BIND takes the nearest node first", ("policy_zonelist",),
        "its lowest node", "that which is nearest to the CPU", "19770b32609",
    ),
    Change(
        "static-relative", "2.6.26", "STATIC_NODES and RELATIVE_NODES", ("mpol_rebind_policy",),
        "a policy always follows the cpuset",
        "STATIC keeps the nodes that were asked for, RELATIVE counts within the cpuset", "f5b087b52f1",
    ),
    Change(
        "cpuset-files-strict", "2.6.26", "Absent nodes in cpuset.mems are refused", ("update_nodemask",),
        "they are left out", "-EINVAL", "37340746a66",
    ),
    Change(
        "move-pages-zero", "2.6.28", "move_pages(2) with nothing to do succeeds", ("do_move_pages",),
        "-ENOENT", "0", "e78bbfa8262", ("move-pages",),
    ),
    Change(
        "hole-at-head", "2.6.34", "A hole at the head is an error", ("mbind_range",),
        "it goes unnoticed", "-EFAULT, though what was collected moves", "9d8cebd4bcd",
    ),
    Change(
        "mbind-merges", "2.6.34", "mbind(2) leaves no cuts behind", ("mbind_range",),
        "the vmas at its ends are cut in two, for good",
        "a vma that has the policy stays whole, and neighbours that are alike become one",
        "mm: fix mbind vma merge problem",
    ),
    Change(
        "static-takes-all", "2.6.35", "STATIC without a node left takes the whole cpuset", ("mpol_rebind_policy",),
        "it keeps nodes that it may not use", "it allocates on any node of the cpuset", "708c1bbc9d0",
        ("static-relative",),
    ),
    Change(
        "clones-stay", "3.1", "What came with fork() is merged no more", ("is_mergeable_anon_vma",),
        "neighbours become one vma where one of them has no anonymous memory",
        "only where the one that is changed has none, and the other has its own",
        "mmap: avoid merging cloned VMAs",
    ),
    Change(
        "permission-first", "3.4", "Permission comes before existence", ("sys_migrate_pages",),
        "a kernel thread has no memory: -EINVAL, whoever asks", "who may not ask gets -EPERM", "3268c63eded4",
    ),
    Change(
        "node-in-both-stays", "3.5", "What is on a node of both sets stays", ("do_migrate_pages",),
        "the i-th node goes to the i-th, always",
        "where the sets differ in size, a node that is in both is left alone",
        "do_migrate_pages() calls migrate_to_node() even if task is already on a correct node",
    ),
    Change(
        "hole-moves-nothing", "3.8", "A hole at the head moves nothing", ("do_mbind",),
        "what was collected moves before the error is reported", "nothing moves", "mm: mempolicy: 3.8",
        ("hole-at-head",),
    ),
    Change(
        "mpol-local", "3.8", "LOCAL is a policy", ("mpol_new",),
        "PREFERRED without a node is shown as such", "it is LOCAL", "479e2802d09f",
    ),
    Change(
        "fault-around", "3.15", "A read fault on a file maps its neighbours", ("do_fault_around",),
        "one page a fault", "what the page cache has of the 16 pages around it as well",
        "mm: introduce vm_ops->map_pages()",
    ),
    Change(
        "move-pages-reclaims", "3.15", "move_pages(2) reclaims", ("new_page_node",),
        "a full node fails at once", "reclaim is tried first", "e97ca8e5b864", ("move-pages-node-only",),
    ),
    Change(
        "this-node-only", "4.1", "migrate_pages(2) takes this node or none", ("new_node_page",),
        "the target is preferred, the rest spills", "-ENOMEM", "b360edb43f8e", ("one-by-one",),
    ),
    Change(
        "move-pages-efault", "4.3", "move_pages(2) has -EFAULT where no page is", ("do_move_page_to_node_array",),
        "the zero page and an empty pte are -ENOENT", "-EFAULT", "d899844e9c98", ("move-pages",),
    ),
    Change(
        "ptrace-access", "4.13", "move_pages(2) wants leave to trace", ("find_mm_struct",),
        "the same user, or CAP_SYS_NICE", "leave to trace the process", "197e7e521384", ("move-pages",),
    ),
    Change(
        "ptrace-migrates", "4.15", "migrate_pages(2) wants leave to trace", ("kernel_migrate_pages",),
        "the same user, or CAP_SYS_NICE", "leave to trace the process", "313674661925",
    ),
    Change(
        "targets-clipped", "4.16", "migrate_pages(2) cuts its target down", ("kernel_migrate_pages",),
        "one absent node of the target: -EINVAL; an empty set: 0",
        "what the caller may use is left; nothing left: -EINVAL", "add nodes_empty check in SYSC_migrate_pages",
        ("absent-target",),
    ),
    Change(
        "move-pages-in-order", "4.17", "move_pages(2) goes page by page", ("do_pages_move",),
        "a chunk is read first; the answer is 0 whatever failed",
        "an error in the middle leaves the first part moved; the answer is the number of pages not moved",
        "a49bd4d71637", ("move-pages",),
    ),
    Change(
        "cgroup-v2", "5.0", "cpusets in the unified hierarchy", ("cpuset_css_alloc",),
        "cpusets have a hierarchy of their own", "they may be in the unified one, which has no memory_migrate",
        "4ec22e9c5a90",
    ),
    Change(
        "strict-says-so", "5.4", "STRICT reports what could not be isolated", ("queue_pages_pte_range",),
        "STRICT with MOVE: 0 for pages that were not isolated", "-EIO", "a7f40cfe3b7a",
    ),
    Change(
        "hole-at-tail", "5.5", "A hole at the tail is an error", ("queue_pages_test_walk",),
        "with another mapping behind it, it goes unnoticed",
        "-EFAULT; DEFAULT over a hole at the head is no error any more", "fix checking unmapped holes for mbind",
        ("hole-at-head",),
    ),
    Change(
        "present-has-status", "5.5", "A page that is there already has a status", ("add_page_for_migration",),
        "move_pages(2) writes none", "its node", "5984fabb6e82", ("move-pages-in-order",),
    ),
    Change(
        "never-tried-counted", "5.7", "Pages never tried are counted", ("do_pages_move",),
        "move_pages(2) counts those that it tried", "also those that it never came to", "5984fabb6e82",
        ("move-pages-in-order",),
    ),
    Change(
        "preferred-stays", "5.14", "PREFERRED keeps its node", ("mpol_rebind_preferred",),
        "it is remapped when the cpuset changes", "it stays the node that was asked for", "269fbe72cded",
    ),
    Change(
        "preferred-many", "5.15", "MPOL_PREFERRED_MANY", ("policy_node",), "there is no such policy",
        "several preferred nodes, the others when these are full", "b27abaccf8e8",
    ),
    Change(
        "cgroup-v2-moves", "5.15", "The unified hierarchy takes memory along", ("cpuset_attach",),
        "never", "always", "ee9707e8593d", ("cgroup-v2",),
    ),
    Change(
        "young-remembered", "6.1", "A migration entry remembers that the pte was young", ("remove_migration_pte",),
        "the pte of a page that has moved is old: reclaim finds it first", "it is as young as it was", "2e3468778dbe",
        ("migration-entries",),
    ),
    Change(
        "strict-walks-on", "6.6", "STRICT does not end the walk", ("queue_pages_pte_range",),
        "the first misfit that cannot be moved ends the walk", "the others are moved", "d883544515aa",
        ("strict-says-so",), backported=("6.1",),
    ),
    Change(
        "failures-counted", "6.7", "migrate_pages(2) counts what it could not isolate", ("migrate_to_node",),
        "it is not in the answer", "it is", "1cb5d11a370f",
    ),
    Change(
        "weighted-interleave", "6.9", "MPOL_WEIGHTED_INTERLEAVE", ("weighted_interleave_nodes",),
        "there is no such policy", "nodes take turns by their weights", "fa3bea4e1f82",
    ),
    Change(
        "empty-pte-enoent", "6.12", "move_pages(2) has -ENOENT for an empty pte", ("add_folio_for_migration",),
        "-EFAULT", "-ENOENT; the zero page stays -EFAULT", "7dff875c9436", ("move-pages-efault",),
    ),
)  # fmt: skip

SWAP_MIGRATION = "2.6.16-rc1"  # the release of Swap Migration, on which the series builds
NEWEST = "6.12"


def order(release):
    """A release as numbers that can be compared: 2.6.16-rc1 comes before 2.6.16."""
    number, _, rc = release.partition("-rc")
    return (*map(int, number.split(".")), int(rc or 99))


RELEASES = tuple(sorted(
    {"2.6.14", SWAP_MIGRATION, *(c.release for c in CHANGES), *(c.ends for c in CHANGES if c.ends in RELEASED)},
    key=order,
))  # fmt: skip
