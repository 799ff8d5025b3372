"""Plans, as schema.py reads them from a scenario file: the machine that they describe, and their trigger."""

from functools import partial

from ..machine.cpuset import CpuSet
from ..machine.kernel import Kernel
from ..machine.policy import Policy, format_nodes, parse_nodes, resolve
from .places import Leaving, family
from .report import Answer


def build(plan):
    """The machine of a plan, with everything on it; `plan.progress`, if it has any, is told how many pages are done."""
    progress = getattr(plan, "progress", None) or (lambda _: None)
    kernel = Kernel(plan.machine, plan.kernel.config, plan.kernel.patches, plan.kernel.swap, plan.kernel.costs,
                    compiled=plan.kernel.compiled, trace=plan.kernel.trace, release=plan.kernel.release)  # fmt: skip
    sets = {}
    for one in plan.cpuset:
        sets[one.name] = kernel.cpuset(one.name, one.mems, one.memory_migrate, sets.get(one.parent))
    for load in plan.background:
        if load.cache:
            reader = kernel.spawn(f"{load.name}/reader", load.node)
            reader.touch(reader.mmap(load.cache, kernel.file(load.name, load.cache)))
            reader.exit()  # its pages stay in the page cache
        if load.memory:
            other = kernel.spawn(load.name, load.node)
            other.touch(other.mmap(load.memory), write=True)
        progress(load.cache + load.memory)
    for one in plan.task:
        start_task(kernel, one, sets, progress)
    for load in plan.background:
        if load.interrupts:
            kernel.interrupts(load.node, load.interrupts, load.hold)
    return kernel


def start_task(kernel, plan, sets, progress):
    """A task that has filled its memory, and its children."""
    task = kernel.spawn(plan.name, plan.node)
    if plan.cpuset:
        sets[plan.cpuset].attach(task)
    if plan.policy:
        task.set_mempolicy(plan.policy)
    for area in plan.memory:
        file = kernel.file(f"{plan.name}.{area.name}", area.size, area.file) if area.file else None
        mapping = task.mmap(area.size, file, shared=area.shared, name=area.name)
        if area.on is not None:
            task.run_on(area.on)
            task.set_mempolicy(Policy.default())
        elif area.policy:
            task.mbind(mapping, area.policy)
        if file and area.dirty:
            task.write(file, 0, round(area.dirty * area.size))
        task.touch(mapping, write=not file)
        if area.on is not None:
            task.run_on(plan.node)
            task.set_mempolicy(plan.policy or Policy.default())
            if area.policy:
                task.mbind(mapping, area.policy)
        progress(area.size)
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
        if plan.runs_on and family(one.name) == plan.name:
            one.run_on(max(plan.runs_on, key=plan.runs_on.get))


def reported(plan, kernel):
    """The tasks whose accesses count."""
    names = [task.name for task in plan.task] if plan.report.tasks == "all" else plan.report.tasks
    return [task for task in kernel.tasks if family(task.name) in names]


def shares(plan, kernel):
    """{pid: {node: share of its accesses}} of the tasks that run on several nodes."""
    several = {one.name: one.runs_on for one in plan.task if one.runs_on and len(one.runs_on) > 1}
    return {task.pid: several[family(task.name)] for task in kernel.tasks if family(task.name) in several}


def pull(kernel, plan):
    """Pull the trigger of a plan, call by call: an Answer for each; one that is refused stops no other."""
    answers = []
    for call, task, act in calls(kernel, plan):
        kernel.last, error = None, None
        try:
            act()
        except OSError as refused:
            error = refused
        answers.append(Answer(call, task, kernel.last, error and f"OSError: {error}", error and -error.errno))
        if getattr(plan, "progress", None) and kernel.last is not None:
            plan.progress(sum(kernel.last._counts))
    if error and not any(answer.migration for answer in answers):
        raise error  # none has begun
    return answers


def asked(kernel, how):
    """The tasks that a trigger names; a name stands for the task without its children."""
    wanted = getattr(how, "task", "all")
    names = [wanted] if isinstance(wanted, str) else wanted
    return [t for t in kernel.tasks if wanted == "all" or t.name in names]


def calls(kernel, plan):
    """The calls of a trigger: what an administrator would type, or the program calls; whose pages; what does it."""
    (kind, how), nodes = plan.trigger, kernel.topology.nodes
    tasks = asked(kernel, how)
    if kind == "migrate_pages":
        old, new = (format_nodes(parse_nodes(given, nodes)) for given in (how.old, how.new))
        admin = kernel.spawn("migratepages", uid=0)
        for task in tasks:
            yield f"migratepages PID {old} {new}", task.name, partial(admin.migrate_pages, task.pid, how.old, how.new)
    elif kind == "mbind":
        for name, part in parts(plan, how, tasks[0]):
            yield (f"mbind({name}, {how.policy}, MPOL_MF_MOVE)", how.task,
                   partial(tasks[0].mbind, part, how.policy, move=True))  # fmt: skip
    elif kind == "attach":
        for task in tasks:
            yield f"echo PID > {how.cpuset}/tasks", task.name, partial(cpuset(kernel, how.cpuset).attach, task)
    elif kind == "mems":
        call = f"echo {format_nodes(parse_nodes(how.mems, nodes))} > {how.cpuset}/cpuset.mems"
        yield call, "", partial(setattr, cpuset(kernel, how.cpuset), "mems", how.mems)
    elif kind == "kernel":
        for task in tasks:
            yield (f"migrate_pages() in the kernel, to node {how.to}", task.name,
                   lambda task=task: kernel.migrate(task.pages()["pfn"].dropna(), how.to))  # fmt: skip
    else:
        yield f"soft offline of memory of node {how.node}", "", partial(kernel.offline, module(kernel, how))


def leaving(kernel, plan):
    """What the trigger of a plan is to move away; to be asked before it is pulled."""
    (kind, how), tasks = plan.trigger, asked(kernel, plan.trigger[1])
    pids, nodes = tuple(task.pid for task in tasks), kernel.topology.nodes
    every = (1 << nodes) - 1

    def others(kept, old=every):
        return tuple(n for n in range(nodes) if old >> n & 1 and not kept >> n & 1)

    if kind == "migrate_pages":
        old, new = parse_nodes(how.old, nodes), parse_nodes(how.new, nodes)
        return Leaving(pids, others(new, old), emptied=how.task == "all")
    if kind == "offline":
        return Leaving(frames=module(kernel, how), nodes=(how.node,))
    if kind == "kernel":
        return Leaving(pids, others(1 << how.to))
    if kind == "mbind":
        bounds = [edge for _, part in parts(plan, how, tasks[0]) for edge in (part.start, part.stop)]
        kept = resolve(how.policy, nodes, every).given or 1 << tasks[0].node
        return Leaving(pids, others(kept), min(bounds), max(bounds))
    one = cpuset(kernel, how.cpuset)
    if kind == "mems":
        pids, old = tuple(task.pid for task in one.tasks), parse_nodes(one.mems, nodes)
        return Leaving(pids, others(parse_nodes(how.mems, nodes), old), emptied=True)
    return Leaving(pids, others(parse_nodes(one.mems, nodes)))


def parts(plan, how, task):
    """The parts of its memory that a task binds: (name, pages)."""
    areas = next(one for one in plan.task if one.name == how.task).memory
    for vma, area in zip(task._vmas(), areas, strict=False):
        if how.memory in (None, area.name):
            yield area.name, range(int(vma["vm_start"]), int(vma["vm_end"]))


def module(kernel, how):
    """The page frames of the memory that is to be taken out of use."""
    first = int(kernel.tables["zone"]["start"][how.node]) + how.start
    return range(first, first + how.memory)


def cpuset(kernel, name):
    """The cpuset of that name."""
    return CpuSet(kernel, next(number for number, known in kernel._book["cpusets"].items() if known == name))
