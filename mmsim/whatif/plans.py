"""Plans, as schema.py reads them from a scenario file: the machine that they describe, and their trigger."""

from ..machine.cpuset import CpuSet
from ..machine.kernel import Kernel


def build(plan):
    """The machine of a plan, with everything on it."""
    kernel = Kernel(plan.machine, plan.kernel.config, plan.kernel.patches, plan.kernel.swap, plan.kernel.costs,
                    compiled=plan.kernel.compiled, trace=plan.kernel.trace, release=plan.kernel.release)  # fmt: skip
    sets = {}
    for one in plan.cpuset:
        sets[one.name] = kernel.cpuset(one.name, one.mems, one.memory_migrate, sets.get(one.parent))
    for load in plan.background:
        start_load(kernel, load)
    for one in plan.task:
        start_task(kernel, one, sets)
    for load in plan.background:
        if load.interrupts:
            kernel.interrupts(load.node, load.interrupts, load.hold)
    return kernel


def start_load(kernel, load):
    """What others have taken before the tasks start: page cache, and memory of their own."""
    if load.cache:
        reader = kernel.spawn(f"{load.name}/reader", load.node)
        reader.touch(reader.mmap(load.cache, kernel.file(load.name, load.cache)))
        reader.exit()  # its pages stay in the page cache
    if load.memory:
        other = kernel.spawn(load.name, load.node)
        other.touch(other.mmap(load.memory), write=True)


def start_task(kernel, plan, sets):
    """A task that has filled its memory, and its children."""
    task = kernel.spawn(plan.name, plan.node)
    if plan.cpuset:
        sets[plan.cpuset].attach(task)
    if plan.policy:
        task.set_mempolicy(plan.policy)
    for area in plan.memory:
        file = kernel.file(f"{plan.name}.{area.name}", area.size, area.file) if area.file else None
        mapping = task.mmap(area.size, file, shared=area.shared, name=area.name)
        if area.policy:
            task.mbind(mapping, area.policy)
        if file and area.dirty:
            task.write(file, 0, round(area.dirty * area.size))
        task.touch(mapping, write=not file)
        if area.locked:
            task.mlock(mapping)
        if area.pinned:
            kernel.pin(task, mapping[: round(area.pinned * area.size)])
    for number in range(plan.children):
        child = task.fork(f"{plan.name}/{number + 1}")
        for start, area in zip(task._vmas()["vm_start"].tolist(), plan.memory, strict=True):
            if area.file or area.shared:  # fork copies no ptes of these
                child.touch(range(start, start + area.size))
            if not area.shared:
                child.touch(range(start, start + round(plan.copied * area.size)), write=True)
    for one in kernel.tasks:
        if plan.runs_on is not None and family(one) == plan.name:
            one.run_on(plan.runs_on)


def family(task):
    """The name that the plan gives to a task or to its parent."""
    return task.name.split("/")[0]


def reported(plan, kernel):
    """The tasks whose accesses count."""
    names = [task.name for task in plan.task] if plan.report.tasks == "all" else plan.report.tasks
    return [task for task in kernel.tasks if family(task) in names]


def pull(kernel, plan):
    """Pull the trigger of a plan: the migrations that it makes."""
    kind, how = plan.trigger
    wanted = getattr(how, "task", "all")
    names = [wanted] if isinstance(wanted, str) else wanted
    tasks = [t for t in kernel.tasks if wanted == "all" or t.name in names]  # a name: without the task's children
    return list(TRIGGERS[kind](kernel, plan, how, tasks))


def migrate_pages(kernel, _, how, tasks):
    """An administrator runs migratepages(8) for each task."""
    admin = kernel.spawn("migratepages", uid=0)
    for task in tasks:
        admin.migrate_pages(task.pid, how.old, how.new)
        yield kernel.last


def mbind(kernel, plan, how, tasks):
    """A task binds its memory, or one part of it, anew."""
    areas = next(one for one in plan.task if one.name == how.task).memory
    for vma, area in zip(tasks[0]._vmas(), areas, strict=False):
        if how.memory in (None, area.name):
            tasks[0].mbind(range(int(vma["vm_start"]), int(vma["vm_end"])), how.policy, move=True)
            yield kernel.last


def attach(kernel, _, how, tasks):
    """Tasks are attached to another cpuset."""
    for task in tasks:
        cpuset(kernel, how.cpuset).attach(task)
        yield kernel.last


def mems(kernel, _, how, tasks):  # noqa: ARG001
    """A cpuset gets other nodes."""
    cpuset(kernel, how.cpuset).mems = how.mems
    yield kernel.last


def in_kernel(kernel, _, how, tasks):
    """A caller in the kernel moves all that the tasks have in memory."""
    for task in tasks:
        yield kernel.migrate(task.pages()["pfn"].dropna(), how.to)


def offline(kernel, _, how, tasks):  # noqa: ARG001
    """The kernel takes a part of the memory of a node out of use."""
    first = int(kernel.tables["zone"]["start"][how.node]) + how.start
    yield kernel.offline(range(first, first + how.memory))


TRIGGERS = {"migrate_pages": migrate_pages, "mbind": mbind, "attach": attach, "mems": mems, "kernel": in_kernel,
            "offline": offline}  # fmt: skip


def cpuset(kernel, name):
    """The cpuset of that name."""
    return CpuSet(kernel, next(number for number, known in kernel._book["cpusets"].items() if known == name))
