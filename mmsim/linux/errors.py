"""What the errors of the system calls mean: a sentence for each that can be expected."""

import errno

ANY = {
    "ENOSYS": "this kernel has no such call: it is built without NUMA, or a container hides it",
    "EPERM": "the kernel does not let this task do that",
    "ESRCH": "no task has this pid",
    "ENOMEM": "no memory",
}
SAYS = {
    ("mlock", "ENOMEM"): "range: more than this task may lock (see `ulimit -l`), or not all of it is mapped",
    ("mlock", "EAGAIN"): "range: more than this task may lock (see `ulimit -l`)",
    ("mlock", "EPERM"): "range: this task may lock nothing (see `ulimit -l`)",
    ("munlock", "ENOMEM"): "range: not all of it is mapped",
    ("mmap", "EEXIST"): "at: something is mapped there already",
    ("mmap", "EPERM"): "at: the kernel lets nothing be mapped there (vm.mmap_min_addr)",
    ("mmap", "ENOMEM"): "pages: the kernel has no room for so many",
    ("munmap", "EINVAL"): "range: these are no pages that could be unmapped",
    ("set_mempolicy", "EINVAL"): "policy: this kernel does not know it, or none of its nodes may be used",
    ("get_mempolicy", "EFAULT"): "page: it is not mapped",
    ("mbind", "EINVAL"): "policy: this kernel does not know it, or none of its nodes may be used",
    ("mbind", "EFAULT"): "range: there are holes in it",
    ("mbind", "EIO"): "strict: pages of the range are not on the nodes of the policy",
    ("mbind", "EPERM"): "move_all: this task lacks CAP_SYS_NICE",
    ("migrate_pages", "EINVAL"): "new: the caller may use none of these nodes",
    ("migrate_pages", "ENOMEM"): "new: no memory there for the new pages",
    ("migrate_pages", "EPERM"): "pid: the task belongs to another user, or new: its cpuset does not allow these nodes",
    ("move_pages", "ENODEV"): "nodes: the machine does not have all of these",
    ("move_pages", "EACCES"): "nodes: the cpuset of the task does not allow all of these",
    ("move_pages", "EPERM"): "pid: the task belongs to another user, or all: this task lacks CAP_SYS_NICE",
    ("move_pages", "ENOENT"): "pages: none of them had to move",
    ("pin", "EFAULT"): "range: not all of it is mapped",
    ("cpuset", "EACCES"): "mems: the parent cpuset does not have all of these nodes",
    ("cpuset", "EBUSY"): "mems: a child cpuset has nodes that would go",
    ("cpuset", "EINVAL"): "mems: there is no node of this machine in it",
    ("cpuset", "ERANGE"): "mems: the kernel cannot read that",
    ("cpuset", "ENOTSUP"): "task: in the unified hierarchy a cpuset below one that has tasks itself takes none",
    ("cpuset", "ENOSPC"): "the cpuset has no nodes, or would have none for its tasks",
}
INSTEAD = {  # names of the model that a user's program on a real machine cannot have
    "reclaim": "fill the memory with a task of your own instead, or limit its cgroup",
    "hold_lock": "no program can hold the lock of a page; kernel.pin() keeps one where it is",
    "interrupts": "the machine has those it has; load it with a network test instead",
    "swapoff": "`swapoff -a` does it for the whole machine, as root",
    "frames": "task.placement() and task.numa_maps() say where pages are; /proc/kpageflags, as root, more",
    "residency": "`numastat -p PID` says it, and task.numa_maps()",
    "vmstat": "/proc/vmstat has the counters of the whole machine",
    "events": "`perf trace` and the tracepoints migrate:* show it, as root",
    "watch": "`perf trace` and the tracepoints migrate:* show it, as root",
    "clock": "time.monotonic_ns() is the clock",
    "wait": "time.sleep() waits",
    "snapshot": "a real machine cannot go back; run the same on the model: mmsim.Kernel(release=...)",
    "restore": "a real machine cannot go back; run the same on the model: mmsim.Kernel(release=...)",
    "save": "`mmsim record FILE` writes down what happened; the model can be saved",
    "load": "`mmsim verify FILE` reads what was recorded",
    "verify": "the kernel's own tables cannot be read; a record can be compared: `mmsim verify FILE`",
    "migrate": "only the kernel has page frames; task.move_pages() moves single pages",
    "offline": "/sys/devices/system/memory/memoryN/online takes memory away, as root",
    "symbols": "/proc/kallsyms has the symbols of the kernel",
    "config": "`zcat /proc/config.gz` or /boot/config-* has the configuration of the kernel",
    "patches": "kernel.release says what this is; the model has patches: mmsim.Kernel(patches=...)",
    "changes": "mmsim.CHANGES has the changes up to a release",
    "costs": "measure them: time.perf_counter_ns() around a call",
    "tables": "the kernel's own tables cannot be read",
    "pages": "task.placement() says where they are; /proc/PID/pagemap, as root, in which frames",
    "access_cost": "measure it: time.perf_counter_ns() around task.touch()",
}


def error_of(call, number):
    """The OSError of a call that failed, with a sentence that says what was wrong."""
    name = errno.errorcode.get(number, str(number))
    return OSError(number, SAYS.get((call, name)) or f"{call}: {ANY.get(name, name)}")


def not_here(name):
    """The error for a name of the model that a real machine does not have."""
    instead = INSTEAD[name.rpartition(".")[2]]
    return NotImplementedError(f"{name} is not for a user's program on a real machine: {instead}")
