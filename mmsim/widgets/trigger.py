"""The four triggers, made from what stands in the fields of the MigrationLab."""

from ..machine.policy import Policy, format_nodes, mask_nodes, parse_nodes

TRIGGERS = {"A mbind": "A", "B migrate_pages": "B", "C cpuset": "C", "D in-kernel": "D"}


def prepare(kernel, trigger, old, new, move_all=False, strict=False):
    """The call as a function, everything before it done; ValueError or OSError for settings that make no sense."""
    tasks, nodes = kernel.tasks, kernel.topology.nodes
    if not tasks:
        raise ValueError("no task lives on this machine; spawn() one first")
    task = tasks[0]
    source, target = parse_nodes(old, nodes, name="from"), parse_nodes(new, nodes, name="to")
    if trigger == "A":
        return lambda: task.mbind(None, Policy.bind(new), move=True, move_all=move_all, strict=strict)
    if trigger == "B":
        return lambda: task.migrate_pages(0, old, new)
    if trigger == "C":
        cpuset = kernel.cpuset("lab", old)
        cpuset.attach(task)
        cpuset.memory_migrate = True
        return lambda: setattr(cpuset, "mems", new)
    if len(mask_nodes(target)) != 1:
        raise ValueError(f"to is {format_nodes(target)}; the in-kernel caller moves pages to one node")
    pages = task.pages()
    pfns = pages.loc[pages["node"].isin(mask_nodes(source)) & (pages["state"] == "present"), "pfn"]
    return lambda: kernel.migrate(pfns.tolist(), mask_nodes(target)[0])
