"""What the words in the records of 2.6.18 and later mean, in setups, calls and variants."""

KINDS = {  # file system (None: anonymous), shared, written
    "anon_private": (None, False, True), "anon_shared(shmem)": (None, True, True),
    "tmpfs_file_shared": ("tmpfs", True, True), "tmpfs_file_private_readonly": ("tmpfs", False, False),
    "tmpfs_file_private_written": ("tmpfs", False, True),
    "ext2_file_private_readonly": ("ext2", False, False), "ext2_file_private_written": ("ext2", False, True),
    "ext2_file_shared_dirty": ("ext2", True, True), "ext2_file_shared_clean": ("ext2", True, False),
    "ext4_file_shared_dirty": ("ext3", True, True), "ext4_file_shared_clean": ("ext3", True, False),
    "ramfs_file_shared(no migrate op)": ("ramfs", True, True),
}  # fmt: skip
STATES = {  # of x_file: how the file's pages come (write(2) or read), shared, what is touched
    "file written by write() and synced, mapped shared, read-touched (clean)": ("read", True, "read"),
    "clean file pages mapped by a second process that opened the file": ("read", True, "read"),
    "file in the page cache, mapping not touched": ("read", True, None),
    "mapped shared and written through the mapping (dirty)": ("read", True, "write"),
    "written by write(), not synced (dirty page cache), mapped and read-touched": ("write(2)", True, "read"),
    "mapped private, read-touched only (maps the page cache pages)": ("read", False, "read"),
    "read-touched (clean), page 0 mlocked: the mapping is split into two VMAs": ("read", True, "read"),
}
CALLERS = {
    "uid0(all caps)": {"uid": 0}, "uid0 minus CAP_SYS_NICE": {"uid": 0, "caps": ("-CAP_SYS_NICE",)},
    "uid1000(no caps)": {"uid": 1000}, "uid1000": {"uid": 1000},  # as our own recorder calls it
    "uid0": {"uid": 0, "caps": ("-CAP_SYS_NICE",)},  # it does not run with that one
    "uid1000+CAP_SYS_NICE": {"uid": 1000, "caps": ("CAP_SYS_NICE",)},
    "uid1000+CAP_SYS_PTRACE": {"uid": 1000, "caps": ("CAP_SYS_PTRACE",)},
}  # fmt: skip
FILLED = (
    r"filled by an(?:other process \(|\s)(not mlocked|mlocked)\)?(?: filler)? until it spilled, then (\d+) pages freed"
)
ERRORS = {
    "pid=999999": (999999, [0], [1]), "pid=-1": (-1, [0], [1]), "pid=2 (kthreadd)": ("kthreadd", [0], [1]),
    "pid=2 (kthreadd), caller uid1000": ("kthreadd", [0], [1]), "empty from (zero mask)": (0, [], [1]),
    "empty to (zero mask)": (0, [0], []), "from={7} (not online)": (0, [7], [1]), "to={7} (not online)": (0, [0], [7]),
    "to={1,7} (one offline)": (0, [0], [1, 7]), "from={0,7} to={1}": (0, [0, 7], [1]),
    "from={0} to={4} possible but not online?": (0, [0], [4]), "from=NULL": (0, [], [1]), "to=NULL": (0, [0], []),
    "maxnode=2049, upper bits zero": (0, [0], [1]), "maxnode=1 (zero usable bits)": (0, [], []),
    "maxnode=3 to={1}: bit 1 is usable": (0, [0], [1]), "maxnode=2 to={1}: bit 1 is beyond maxnode-1": (0, [0], []),
    "to has bit 1500 (>=MAX_NUMNODES 1024), maxnode=2049": (0, [0], [1500]),
    "pid=999999 and to empty": (999999, [0], []),
}  # fmt: skip
MBIND = {  # first page, end, mode, nodes, flags, further words of the policy
    "BIND bit 1500 maxnode 2049": [(0, 16, "BIND", [1500], "")],
    "subrange pages 4..11 BIND{3} MOVE": [(4, 12, "BIND", [3], "MOVE")],
    "LOCAL nonempty mask": [(0, 16, "LOCAL", [1], "")], "INTERLEAVE empty mask": [(0, 16, "INTERLEAVE", [], "")],
    "BIND empty mask": [(0, 16, "BIND", [], "")], "BIND NULL mask": [(0, 16, "BIND", [], "")],
    "DEFAULT nonempty mask": [(0, 16, "DEFAULT", [1], "")], "PREFERRED empty mask": [(0, 16, "PREFERRED", [], "")],
    "BIND {7} (not online)": [(0, 16, "BIND", [7], "")], "BIND {1,7}": [(0, 16, "BIND", [1, 7], "")],
    "hole (pages 8-11 unmapped) BIND{1} MOVE": [(0, 16, "BIND", [1], "MOVE")],
    "hole BIND{1} flags 0": [(0, 16, "BIND", [1], "")], "hole DEFAULT flags 0": [(0, 16, "DEFAULT", [], "")],
    "hole DEFAULT MOVE": [(0, 16, "DEFAULT", [], "MOVE")],
    "hole at the start (range begins in the hole) BIND{1} MOVE": [(8, 16, "BIND", [1], "MOVE")],
    "hole at the end (range ends in the hole) BIND{1} MOVE": [(0, 10, "BIND", [1], "MOVE")],
    "bind{1} MOVE, then bind{2} flags 0, then bind{2} STRICT":
        [(0, 16, "BIND", [1], "MOVE"), (0, 16, "BIND", [2], ""), (0, 16, "BIND", [2], "STRICT")],
    "STRICT fails EIO: is the policy applied?": [(0, 16, "BIND", [1], "STRICT")],
    "PREFERRED {1,2} (two nodes: first used?) MOVE": [(0, 16, "PREFERRED", [1, 2], "MOVE")],
    "PREFERRED|RELATIVE_NODES {6} MOVE": [(0, 16, "PREFERRED|RELATIVE_NODES", [6], "MOVE")],
    "BIND|RELATIVE_NODES {5} with 4 nodes allowed (5 mod 4 = 1) MOVE": [(0, 16, "BIND|RELATIVE_NODES", [5], "MOVE")],
    "task policy BIND{2}, then mbind DEFAULT MOVE (moves to task policy node?)": [(0, 16, "DEFAULT", [], "MOVE")],
    "task policy BIND{2}, then mbind LOCAL MOVE": [(0, 16, "LOCAL", [], "MOVE")],
    "len=4*4096+1 (rounded up to 5 pages?)": [(0, 5, "BIND", [1], "MOVE")], "len=0": [(0, 0, "BIND", [1], "MOVE")],
    "MOVE_ALL as uid1000": [(0, 16, "BIND", [1], "MOVE_ALL")],
    "MOVE as uid1000 (allowed)": [(0, 16, "BIND", [1], "MOVE")],
    "MOVE_ALL as uid1000+CAP_SYS_NICE": [(0, 16, "BIND", [1], "MOVE_ALL")],
    "maxnode=2 mask {1} -> bit beyond maxnode-1 -> empty": [(0, 16, "BIND", [], "")],
}  # fmt: skip
MOVES = ("page i -> node (i+1)%4", "query only (nodes=NULL)", "page already on its target node", "nr_pages=0",
         "node 7 (not online) at index 3", "node 5000 at index 0", "node -1 at index 3", "MOVE as uid1000",
         "duplicate: entries 0 and 1 are the same page -> 2", "duplicate: entries 0,1 same page -> 2 then 3",
         "flags=0 with nodes", "pid=2 kthreadd", "other process, root", "other root process, caller uid1000",
         "pages 2,3 unmapped address; 4,5 not faulted; all -> 3", "zero page at entries 0,1 (read-faulted anon) -> 3",
         "other process same uid1000 (dumpable), caller uid1000", "pages 2,5 vmspliced (extra ref), all -> 3",
)  # fmt: skip
NOT_ASKED = {  # what the model has no means for: a pattern in group, setup and call
    "wall-clock times": r"^timing ",
    "raw arguments: pointers, bytes, bits":
        r"pointer|garbage|misaligned|mode=99|flags=1<<10|flags=STRICT \(invalid|maxnode=(0|327\d+)|huge|~0UL"
        r"|kernel address|BIND\|STATIC\|RELATIVE",
    "stack, text and vdso pages": "stack and text", "threads": r"thread\b", "a zombie": "zombie|reaped",
    "page protection": r"PROT_NONE|different prot", "madvise(2)": r"MADV_(FREE|DONTNEED)",
    "mlock2(2)": "MLOCK_ONFAULT", "mlockall(2)": "mlockall", "NUMA balancing": r"MF_LAZY|NUMA_BALANCING",
}  # fmt: skip

MODES = {
    "none", "MPOL_DEFAULT", "MPOL_PREFERRED", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_LOCAL", "MPOL_PREFERRED_MANY",
    "STATIC_NODES", "RELATIVE_NODES",
}  # fmt: skip
KEYS = set(
    """kind pages unfaulted_tail mappers caller cpu place_cyclic_nodes place vma_policy vma_policy_nodes owner then
    target_uid target_dumpable vma_pgoff_mod_12 sharing special task_cpu cgroup task_policy task_policy_nodes state fs
    base_cpuset_mems place_blocks_mask node3 swap swapon node3_free_pages_before node3_free_before setup_errs name pid
    pages_not_swapped_out from to default_from default_to variant mode nodes flags old_mems new_mems memory_migrate_src
    memory_migrate_dst""".split()
)
