"""The system calls of mm/mempolicy.c and mm/migrate.c as a task makes them: who may, and with which nodes."""

import numpy as np

from ..mm import mbind, mempolicy, nodemask, structs
from ..mm.move_pages import NOT_WRITTEN, sys_move_pages
from . import results
from ..terms.arguments import shown, whole, words, yes_no
from .doors import door
from .errors import ERRNO_NAMES, os_error
from .explain import Asked
from .handles import Handle
from .policy import Policy, check_policy, format_nodes, mask_nodes, parse_nodes, policy_of, resolve
from .ranges import Range, check_owner, task_range
from .trouble import free_memory

CAPABILITIES = {name: 1 << bit for bit, name in enumerate(
    ("CAP_SYS_ADMIN", "CAP_SYS_RESOURCE", "CAP_SYS_NICE", "CAP_SYS_PTRACE")
)}  # fmt: skip


def capabilities(names, uid):
    """The bits of some capabilities; uid 0 has all.  One with a minus, as "-CAP_SYS_NICE", is taken away."""
    bits = sum(CAPABILITIES.values()) if uid == 0 else 0
    for name in words(names, "caps"):
        dropped = str(name).startswith("-")
        full = "CAP_" + str(name).upper().removeprefix("-").removeprefix("CAP_")
        if full not in CAPABILITIES:
            raise ValueError(f"caps: no capability {shown(name)} here; there are {', '.join(CAPABILITIES)}")
        bits = bits & ~CAPABILITIES[full] if dropped else bits | CAPABILITIES[full]
    return bits


class NumaCalls(Handle):
    """What a Task can ask about policies and migration.

    Changes that act here: root-moves-all, cap-sys-nice, mbind-clips, set-mempolicy-clips, absent-target,
    targets-clipped, permission-first, ptrace-access, ptrace-migrates, move-pages.
    """

    __slots__ = ()

    def _policy_call(self, name, numbered=True):
        """What every system call of mm/mempolicy.c asks first; `numbered`: this kernel has such a call."""
        if not self._kernel.config.numa:
            raise os_error("ENOSYS", f"{name}: this kernel is built without CONFIG_NUMA")
        if not numbered:
            raise os_error("ENOSYS", f"{name}: {self._kernel.spoken} has no such call")
        self._check_alive()

    def _has(self, old):
        """True if the task has a capability: `old`, or CAP_SYS_NICE, which took its place in 2.6.16."""
        return bool(self._row["caps"] & CAPABILITIES[self._wanted(old)])

    def _wanted(self, old):
        """The capability that it takes on this kernel."""
        return "CAP_SYS_NICE" if self._kernel.k.change.cap_sys_nice else old

    @door
    def set_mempolicy(self, policy):
        """Set the policy of the task, for pages that it will allocate.

        Raises
        ------
        OSError
            EINVAL: this kernel has no such policy, nodes are missing, or the cpuset does not allow them.
        """
        self._policy_call("set_mempolicy")
        row = self._row
        new = self._resolve(policy, self._kernel.k.change.set_mempolicy_clips)
        if outside := new.nodes & ~int(row["mems_allowed"]):
            allowed = format_nodes(int(row["mems_allowed"]))
            raise os_error("EINVAL", f"policy: the cpuset of {self.label} allows nodes {allowed} only, "
                                     f"not {format_nodes(outside)}")  # fmt: skip
        row["mode"], row["home"], row["nodes"], row["mpol_flags"], row["asked"] = new[:5]
        row["il_next"] = (new.nodes & -new.nodes).bit_length() - 1 if new.nodes else 0
        self._kernel._set_weights(policy)

    def _resolve(self, policy, clips):
        """A policy as the kernel keeps it; `clips`: the nodes that the cpuset does not allow are left out."""
        check_policy(policy)
        kernel = self._kernel
        return resolve(policy, kernel.topology.nodes, int(self._row["mems_allowed"]), kernel.k.change, clips)

    def get_mempolicy(self, page=None):
        """The task's policy; or that of a virtual page, which is the default where mbind() has set none."""
        self._policy_call("get_mempolicy")
        if page is None:
            return policy_of(self._row)
        if isinstance(page, Range):
            check_owner(self, page, "page")
            start = page.start
        else:
            start = whole(page, "page", what="a virtual page, or a part of a mapping")
        vma = self._kernel._vma(self, start)
        if vma is None:
            raise os_error("EFAULT", f"page: {start:#x} of {self.label} is not mapped")
        row = results.policy_row(self._kernel, vma, start)
        return Policy.default() if row is None else policy_of(row)

    @door
    def mbind(self, range, policy, move=False, move_all=False, strict=False):
        """Set the policy of a range; trigger A: `move` (MPOL_MF_MOVE) or `move_all` migrates misplaced pages.

        Raises
        ------
        OSError
            EINVAL, EPERM (`move_all` needs CAP_SYS_RESOURCE, since 2.6.16 CAP_SYS_NICE), EFAULT (a hole), EIO
            (`strict`: a page is misplaced, or could not be moved), ENODEV (2.6.16 and 2.6.17 without swap).
        """
        self._policy_call("mbind")
        kernel = self._kernel
        start, end = task_range(self, range, mapped=False, beyond="EINVAL")
        check_policy(policy)
        move, move_all, strict = yes_no(move, "move"), yes_no(move_all, "move_all"), yes_no(strict, "strict")
        if (move or move_all) and not kernel.k.patch[0]:
            raise os_error("EINVAL", f"move: {kernel.spoken} cannot move memory: mbind has no such flag")
        if move_all and not self._has("CAP_SYS_RESOURCE"):
            raise os_error("EPERM", f"move_all: {self.label} lacks {self._wanted('CAP_SYS_RESOURCE')}")
        if start == end:
            return
        new = self._resolve(policy, kernel.k.change.mbind_clips)
        flags = mempolicy.MPOL_MF_MOVE * bool(move) | mempolicy.MPOL_MF_MOVE_ALL * bool(move_all)
        if policy.mode == "default":
            flags |= mempolicy.MPOL_MF_DISCONTIG_OK
        elif strict:
            flags |= mempolicy.MPOL_MF_STRICT
        kernel._reserve_vmas(4)
        kernel._reserve_policies(self)
        kernel._set_weights(policy)
        call = (mbind.do_mbind, self.pid, start, end, *new, flags)
        elsewhere = ((1 << kernel.topology.nodes) - 1) & ~new.given
        why_not = "" if move or move_all else "neither MPOL_MF_MOVE nor MPOL_MF_MOVE_ALL was given"
        asked = Asked((self.pid,), 0 if why_not else elsewhere, new.given, start, end, why_not)
        result = kernel._migration("mbind", asked, *call, pid=self.pid)
        if result == -structs.EFAULT:
            raise os_error("EFAULT", f"range: there are holes in {start:#x} to {end:#x} of {self.label}")
        if result == -structs.EACCES:
            raise os_error("EACCES", "range: its first vma is reserved")
        if result == -structs.ENODEV:
            raise os_error("ENODEV", f"move: {kernel.spoken} moves memory through swap, and there is no free slot")
        if result:
            raise os_error("EIO", f"strict: pages of the range are not on nodes {format_nodes(new.given)}")

    @door
    def migrate_pages(self, pid, old, new):
        """Trigger B, sys_migrate_pages(): move what a task has on nodes `old` to nodes `new`, position by position.

        Parameters
        ----------
        pid : int
            The task to move; 0: this one.
        old, new : node sets

        Returns
        -------
        int
            Pages that could not be moved.
        """
        kernel = self._kernel
        change, nodes = kernel.k.change, kernel.topology.nodes
        self._policy_call("migrate_pages", kernel.k.patch[0])
        allowed = int(self._row["mems_allowed"])
        source = parse_nodes(old, nodes, allowed, "old", absent=True)
        target = parse_nodes(new, nodes, allowed, "new", absent=True)
        other = self._permitted(pid, target)
        if change.targets_clipped:
            target &= allowed
            if not target:
                raise os_error("EINVAL", f"new: {self.label} may use {format_nodes(allowed)}, and none of these")
        elif change.absent_target and target >> nodes:
            raise os_error("EINVAL", f"new is {format_nodes(target)}; this machine has the nodes 0 to {nodes - 1}")
        elif not change.absent_target:
            self._check_pairs(source, target)
        if change.permission_first:
            self._check_has_memory(other)
        all_pages = change.root_moves_all and self._has("CAP_SYS_ADMIN")
        flags = mempolicy.MPOL_MF_MOVE_ALL if all_pages else mempolicy.MPOL_MF_MOVE
        call = (mbind.do_migrate_pages, other.pid, source, target, flags)
        asked = Asked((other.pid,), source, target, in_turn=True)
        result = kernel._migration("migrate_pages", asked, *call, pid=self.pid)
        if result < 0:
            behind = "" if change.this_node_only else ", nor behind them in the zonelist"
            where = f"no memory on nodes {format_nodes(target)}{behind}"
            raise os_error("ENOMEM", f"{where}, for the new pages; {free_memory(kernel, mask_nodes(target))}")
        return result

    @door
    def move_pages(self, pid, pages, nodes=None, all=False):
        """move_pages(2), since 2.6.18: move single pages, each to a node of its own; or ask where they are.

        Parameters
        ----------
        pid : int
            The task that has the pages; 0: this one.
        pages : a mapping, a part of one, or an iterable of virtual page numbers
        nodes : int or iterable of int, optional
            The node for each page, or one for all.  None: only ask.
        all : bool
            MPOL_MF_MOVE_ALL: also pages that others map; it takes CAP_SYS_NICE.

        Returns
        -------
        list
            For each page its node, or the name of an errno, as "-EBUSY"; None where the call writes none.  What the
            call itself returns, the number of pages that were not moved, is in `kernel.last.returned`.

        Raises
        ------
        OSError
            With what was written till then as `status`.  ENODEV, EACCES (a node that is absent, or outside the
            cpuset), EPERM, ESRCH, EINVAL, ENOMEM; ENOENT where nothing had to move (until 2.6.27).
        """
        kernel = self._kernel
        addresses = page_numbers(self, pages)
        wanted, move_all = asked_nodes(nodes, len(addresses)), yes_no(all, "all")
        self._check_pid(pid)
        self._policy_call("move_pages", kernel.k.change.move_pages)
        if move_all and not self._has("CAP_SYS_NICE"):
            raise os_error("EPERM", f"all: {self.label} lacks CAP_SYS_NICE")
        other = self._permitted(pid, 0, "ptrace_access")
        self._check_has_memory(other)
        status = np.full(len(addresses), NOT_WRITTEN, np.int64)
        mask = sum(1 << n for n in {*wanted.tolist()} if 0 <= n < kernel.topology.nodes)
        why_not = "" if len(wanted) else "no nodes were given"
        everywhere = (1 << kernel.topology.nodes) - 1
        asked = Asked((other.pid,), 0 if why_not else everywhere, mask, why_not=why_not, listed=len(addresses))
        call = (sys_move_pages, other.pid, addresses, wanted, int(other._row["mems_allowed"]), status, move_all)
        result = kernel._migration("move_pages", asked, *call, nodes is None, pid=self.pid)
        said = [None if s == NOT_WRITTEN else int(s) if s >= 0 else f"-{ERRNO_NAMES[-s]}" for s in status.tolist()]
        if result < 0:
            error = os_error(ERRNO_NAMES[-result], MOVE_PAGES_SAYS.get(ERRNO_NAMES[-result], "pages").format(
                nodes=wanted.tolist(), allowed=format_nodes(int(other._row["mems_allowed"])), task=other.label))
            error.status = said
            raise error
        return said

    def _check_pid(self, pid):
        """A pid as an int; TypeError, ValueError for what is none."""
        if isinstance(pid, NumaCalls):
            raise TypeError(f"pid is {pid!r}; give its number, {pid.pid}, or 0 for the caller")
        return whole(pid, "pid", what="a task, or 0 for the caller")

    def _permitted(self, pid, target, by_trace="ptrace_migrates"):
        """The task whose pages a call may move to the nodes `target`, or the error that says why not."""
        kernel, change = self._kernel, self._kernel.k.change
        pid = self._check_pid(pid)
        if (pid or self.pid) not in kernel._book["tasks"] or not type(self)(kernel, pid or self.pid).alive:
            raise os_error("ESRCH", f"pid: no task has pid {pid}")
        other = type(self)(kernel, pid or self.pid)
        if not change.permission_first:
            self._check_has_memory(other)
        me, it = self._row, other._row
        if getattr(change, by_trace) and pid:
            alike = int(me["uid"]) == int(it["uid"]) == int(it["euid"]) == int(it["suid"])
            able, lacks = me["caps"] & CAPABILITIES["CAP_SYS_PTRACE"], "CAP_SYS_PTRACE"
        else:
            alike = {int(me["uid"]), int(me["euid"])} & {int(it["uid"]), int(it["suid"])}
            able, lacks = self._has("CAP_SYS_ADMIN"), self._wanted("CAP_SYS_ADMIN")
        if not able and (not alike or it["flags"] & structs.PF_KTHREAD):
            raise os_error("EPERM", f"pid: {other.label} belongs to uid {other.uid}, and {self.label} lacks {lacks}")
        asks_cpuset = 5 in kernel.patches  # before, a macro stood in for the cpuset of the target
        allowed = int(it["mems_allowed"]) if asks_cpuset else (1 << kernel.topology.nodes) - 1
        if target & ~allowed and not self._has("CAP_SYS_ADMIN"):
            who = f"the cpuset of {other.label} allows" if asks_cpuset else "this machine has"
            only = f"{who} nodes {format_nodes(allowed)} only"
            raise os_error("EPERM", f"new: {only}, and {self.label} lacks {self._wanted('CAP_SYS_ADMIN')}")
        return other

    def _check_has_memory(self, other):
        """EINVAL for a kernel thread."""
        if other._row["flags"] & structs.PF_KTHREAD:
            raise os_error("EINVAL", f"pid: {other.label} is a kernel thread and has no memory of its own")

    def _check_pairs(self, source, target):
        """EINVAL if memory would go to a node that the machine does not have; Linux crashed there until 2.6.23."""
        every = (1 << self._kernel.topology.nodes) - 1
        if 5 in self._kernel.patches:
            for node in mask_nodes(source & every):
                to = nodemask.node_remap(node, source, target)
                if not every >> to & 1:
                    raise os_error("EINVAL", f"new: memory of node {node} would go to node {to}; "
                                             f"this machine has the nodes {format_nodes(every)}")  # fmt: skip


MOVE_PAGES_SAYS = {
    "ENOENT": "pages: none of them had to move",
    "ENODEV": "nodes is {nodes}: the machine does not have all of these",
    "EACCES": "nodes is {nodes}; the cpuset of {task} allows {allowed}",
    "ENOMEM": "nodes: no memory there for a new page",
}


def page_numbers(task, pages):
    """Virtual page numbers, as an array, of a mapping, a part of one, or an iterable of numbers."""
    if isinstance(pages, Range):
        check_owner(task, pages, "pages")
    if isinstance(pages, (Range, range)) or pages is None:
        return np.arange(*task_range(task, pages, mapped=False), dtype=np.int64)
    if not np.iterable(pages) or isinstance(pages, str):
        raise TypeError(f"pages is {shown(pages)}; give a mapping, a part of one, or numbers of virtual pages")
    return np.array([whole(page, "pages", 0, what="a virtual page") for page in pages], np.int64)


def asked_nodes(nodes, count):
    """The node for each of `count` pages as an array; none at all for None."""
    if nodes is None:
        return np.zeros(0, np.int64)
    what = "a node for each page"
    if not np.iterable(nodes) or isinstance(nodes, str):
        return np.full(count, whole(nodes, "nodes", what=what), np.int64)
    wanted = np.array([whole(node, "nodes", what=what) for node in nodes], np.int64)
    if len(wanted) != count:
        raise ValueError(f"nodes has {len(wanted)} entries, pages {count}: one for each page, or one for all")
    return wanted
