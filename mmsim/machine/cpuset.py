"""CpuSet: a group of tasks that is confined to some nodes (trigger C)."""

from ..terms.arguments import counted, shown, text, yes_no
from .doors import door
from .handles import Handle, own
from ..mm.cpuset import cpuset_attach, update_nodemask
from .errors import os_error
from .explain import Asked
from .policy import format_nodes, parse_nodes
from .task import Task


class CpuSet(Handle):
    """A cpuset; make one with `Kernel.cpuset`.  `mems` and `memory_migrate` are assignable."""

    __slots__ = ()
    kind, made_by, _table = "cpusets", "kernel.cpuset()", "cpuset"
    settable = ("mems", "memory_migrate")

    @property
    def mems(self):
        """The nodes that its tasks may allocate on, as text: '0-1'; '' for none."""
        return format_nodes(int(self._row["mems"])).replace("none", "")

    @mems.setter
    @door
    def mems(self, mems):
        kernel = self._kernel
        dropped = bool(kernel.k.change.absent_mems_dropped)
        mask = parse_nodes(mems, kernel.topology.nodes, name="mems", absent=dropped)
        mask &= (1 << kernel.topology.nodes) - 1
        if self._number == 0:
            raise os_error("EACCES", "mems: the root cpuset has all nodes, always")
        check_subset(kernel, mask, int(self._row["parent"]))
        if not mask and kernel.k.change.empty_mems_refused:
            raise os_error("EINVAL", f"mems is {shown(mems)}, in which there is no node of this machine")
        if not mask and self.tasks:
            raise os_error("ENOSPC", f"mems is empty, but {self.name} has {counted(len(self.tasks), 'task')}")
        children = [child for child in cpusets_of(kernel) if child._row["parent"] == self._number]
        for child in children:
            if not self._row["unified"] and int(child._row["mems"]) & ~mask:
                raise os_error("EBUSY", f"mems: the child cpuset {child.name} has {child.mems}")
        self._row["asked"] = mask
        self._take(mask)
        for child in children:  # in the unified hierarchy they have what is left of their own, or their parent's
            child._take(int(child._row["asked"]) & mask or mask)

    def _take(self, mask):
        """Give the tasks of this cpuset other nodes."""
        if mask != int(self._row["mems"]) or not self._row["unified"]:
            asked = self._asked(self.tasks, int(self._row["mems"]), mask)
            self._kernel._migration("cpuset", asked, update_nodemask, self._number, mask)

    @property
    def memory_migrate(self):
        """Whether memory follows its tasks when their nodes change."""
        return bool(self._row["memory_migrate"])

    @memory_migrate.setter
    @door
    def memory_migrate(self, value):
        value = yes_no(value, "memory_migrate")
        check_file(self._kernel, self._row["unified"], "EACCES")
        self._row["memory_migrate"] = value

    @property
    def tasks(self):
        """The tasks attached to it."""
        self._check_exists()
        return [t for t in self._kernel.tasks if t._row["cpuset"] == self._number]

    @door
    def attach(self, task):
        """Move a task here; if `memory_migrate` is set, its memory comes along."""
        if not own(self._kernel, task, Task, "task").alive:
            raise os_error("ESRCH", f"task: {task!r} does not live")
        if not int(self._row["mems"]):
            raise os_error("ENOSPC", f"cpuset {self.name} has no nodes; give it mems first")
        asked = self._asked([task], int(task.cpuset._row["mems"]), int(self._row["mems"]))
        self._kernel._migration("cpuset", asked, cpuset_attach, task.pid, self._number)

    def _asked(self, tasks, old, new):
        """What is asked of a migration of tasks whose allowed nodes change."""
        why_not = "" if self._kernel.config.numa else "this kernel is built without CONFIG_NUMA"
        why_not = why_not or "memory_migrate is not set" * (not self.memory_migrate)
        why_not = why_not or f"the nodes are {format_nodes(new)}, as before" * (old == new)
        return Asked(tuple(task.pid for task in tasks), 0 if why_not else old, new, why_not=why_not, in_turn=True)

    def __repr__(self):
        if not self.exists:
            return f"<CpuSet {self.name}, which is no more>"
        migrate = ", memory_migrate" if self.memory_migrate else ""
        return f"<CpuSet {self.name}: mems {self.mems or 'none'}{migrate}, {counted(len(self.tasks), 'task')}>"


@door
def new_cpuset(kernel, name, mems, memory_migrate=False, parent=None, unified=False):
    """Make a cpuset; its nodes must be among its parent's (default: the root, all nodes).

    `unified`: in the unified hierarchy (since 5.0), where memory follows always since 5.15, and never before.
    """
    unified, memory_migrate = yes_no(unified, "unified"), yes_no(memory_migrate, "memory_migrate")
    name = text(name, "name")
    if unified and not kernel.k.change.cgroup_v2:
        raise os_error("EINVAL", f"unified: {kernel.spoken} has no cpusets in the unified hierarchy; 5.0 has")
    if memory_migrate:
        check_file(kernel, unified, "EINVAL")
    above = 0 if parent is None else own(kernel, parent, CpuSet, "parent")._number
    mask = parse_nodes(mems, kernel.topology.nodes, name="mems")
    check_subset(kernel, mask, above)
    for other in cpusets_of(kernel):
        if other.name == name and other._row["parent"] == above:
            raise os_error("EEXIST", f"name: there is a cpuset {name} there already, with mems {other.mems}")
    number = len(kernel._book["cpusets"])
    kernel._grow("cpuset", number + 1)
    memory_migrate |= unified and bool(kernel.k.change.cgroup_v2_moves)
    kernel.tables["cpuset"][number] = (above, memory_migrate, mask, unified, mask)
    return kernel._register(CpuSet, number, name)


def cpusets_of(kernel):
    """The cpusets of a machine, but for the root."""
    return [CpuSet(kernel, number) for number in kernel._book["cpusets"] if number]


def check_file(kernel, unified, errno):
    """An error where a cpuset has no file memory_migrate: before Swap Migration, and in the unified hierarchy."""
    if unified or not kernel.k.patch[0]:
        where = "the unified hierarchy" if unified else kernel.spoken
        raise os_error(errno, f"memory_migrate: there is no such file in {where}")


def check_subset(kernel, mask, parent):
    """A cpuset's nodes must be among its parent's: EACCES."""
    allowed = int(kernel.tables["cpuset"]["mems"][parent])
    if mask & ~allowed:
        raise os_error("EACCES", f"mems is {format_nodes(mask)}; the parent cpuset has {format_nodes(allowed)}")
