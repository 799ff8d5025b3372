"""What tables and figures call tasks and files: by their names, with a number where a name alone would not do."""

# Owners of page frames that are no tasks, in the order of the columns of `Kernel.residency`.
HOLDERS = ("shared", "page cache", "swap cache", "kernel", "other", "offline", "free")
MOST = 4  # of a list of names in a sentence


def labels(names, noun, reserved=()):
    """What to call each of some things: {number: its name}, or 'name (noun number)' if another has that already.

    A name goes to the first who has it, and no label ever changes when others come or go.  `names`: {number: name} in
    the order in which they came; `reserved`: names that nobody can have.
    """
    found, taken = {}, {"", *reserved}
    for number, name in names.items():
        label = name
        while label in taken:
            label = f"{label} ({noun} {number})".strip()
        taken.add(label)
        found[number] = label
    return found


def task_labels(kernel):
    """What to call the tasks of a machine: {pid: label}.  Not as what else may own memory; pid 0 is the kernel."""
    names = dict(kernel._book["tasks"])
    return {0: names.pop(0)} | labels(names, "pid", HOLDERS)


def file_labels(kernel):
    """What to call the files of a machine: {number: label}."""
    return labels(kernel._book["files"], "file")


def page_name(kernel, pid, address):
    """What to call a virtual page: 'page 3 of a', counted from 0 over all that the task has mapped."""
    vmas = kernel.tables["vma"]
    vmas = vmas[vmas["vm_mm"] == pid]
    before = (vmas["vm_end"].clip(None, address) - vmas["vm_start"]).clip(0).sum()
    return f"page {before} of {task_labels(kernel)[int(pid)]}"


def listed(numbers, labels):
    """Some tasks or files in a sentence: 'a, b and c'; of many the first few, and how many others."""
    names = [labels[number] for number in numbers]
    if len(names) > MOST:
        names = [*names[: MOST - 1], f"{len(names) - MOST + 1} others"]
    *head, last = names
    return f"{', '.join(head)} and {last}" if head else last
