"""Lesson 01, CONFIG_MIGRATION: what is in an image, and what it answers."""

from itertools import product

from ..machine.config import Config
from ..experiments.configs import MACHINES, OPTIONS, TRIGGERS, answer, answers, configuration, symbols
from .teaching import Question

IN, OUT = "in the image", "left out"
ANSWERS = ("0, 4 moved", "0, 4 swapped out", "0, none moved", "4, none moved", "-ENOSYS", "BUG()")


def compiled_in(rng):
    """Whether a function is in the image of a random configuration."""
    on = [name for name in OPTIONS if rng.random() < (0.35 if name.endswith("MEM") or name == "NUMA" else 0.7)]
    config, said = configuration(*on), " ".join(f"{name}={'y' if name in on else 'n'}" for name in OPTIONS)
    name = rng.choice(["migrate_pages", "isolate_lru_page", "lru_add_drain_per_cpu"])
    here = not symbols(config, (1,))[name]
    rule = "Rule (mm/Kconfig): `MIGRATION` is y if `NUMA`, `SPARSEMEM` or `DISCONTIGMEM` is; here it is "
    rule += f"{'y' if config.migration else 'n'}."
    if name == "lru_add_drain_per_cpu":
        rule += f" This function also needs `SMP`, here {'y' if config.smp else 'n'}: one CPU has no other to ask."
    return Question(
        f"A kernel with patch 1 has `{said}`. Is `{name}()` in its image?",
        IN if here else OUT, rule, (IN, OUT),
        hints=("Derive `MIGRATION` first. Three of the five options decide it.",
               "One of the functions runs on other CPUs. Does this kernel know other CPUs?"),
    )  # fmt: skip


def trigger_answer(rng):
    """What a trigger answers on one of the five machines."""
    machine, key, swap = rng.choice(list(MACHINES)), rng.choice("ABD"), rng.random() < 0.7
    on = [name for name in MACHINES[machine] if swap or name != "SWAP"]
    config = configuration(*on)
    right = answer(config, (1,), key)
    if right == "-ENOSYS":
        rule = "the code is not there. " + (
            "`CONFIG_NUMA` is off, and mm/mempolicy.c with its system calls is compiled only with NUMA."
            if key != "D" else "`CONFIG_MIGRATION` is n, so there is no `migrate_pages()` to call."
        )  # fmt: skip
    elif not swap:
        rule = "the code is there, but a page gets no swap entry without `SWAP`: `swap_page()` leaves it alone. " + (
            "`mbind()` does not count the pages that stay." if key == "A" else "The answer counts the pages that stay."
        )  # fmt: skip
    else:
        rule = "`migrate_pages()` is in the image, and before patch 3 all it can do is `swap_page()`."
    return Question(
        f"A {machine} ({', '.join(f'`{name}`' for name in on) or 'no option'}), patch 1 and no other. "
        f"Trigger {key}, {TRIGGERS[key]}, is to move four anonymous pages. What does it answer?",
        right, f"Rule: {rule}", ANSWERS,
        {"0, 4 moved": "To move pages directly takes patch 3.",
         "BUG()": "That takes a list of new pages, and so patch 3."},
        ("Is the code that the trigger calls in this image at all?", "If it is: can it do anything but swap out?"),
    )  # fmt: skip


def without_the_code(rng):  # noqa: ARG001
    """Exercise 1: in how many configurations the code is left out."""
    every = (Config(*switches) for switches in product((True, False), repeat=len(OPTIONS)))
    return Question(
        "In how many of the 32 configurations does patch 1 leave the migration code out?",
        sum(not config.migration for config in every),
        "Rule: `MIGRATION` is n only if `NUMA`, `SPARSEMEM` and `DISCONTIGMEM` are all n. `SMP` and `SWAP` are free.",
        wrong={16: "Half of the kernels have no NUMA, but `SPARSEMEM` or `DISCONTIGMEM` is enough.",
               28: "That is how many have it."},
        hints=("`config_matrix()` has a row for each configuration and a column `MIGRATION`.",
               "`(~table['MIGRATION']).sum()` counts the rows in which it is False."),
    )  # fmt: skip


def drain_gone(rng):  # noqa: ARG001
    """Exercise 2: a Config with migration but without the drain."""

    def judge(config):
        if not isinstance(config, Config):
            return "Give a `Config`, for example `configuration('NUMA', 'SMP', 'SWAP')`."
        here = config.symbols({1})
        if "migrate_pages" not in here:
            return "In this image `migrate_pages()` is missing, too."
        here = "lru_add_drain_per_cpu" in here
        return "`lru_add_drain_per_cpu()` is still there: with `SMP` there are other CPUs to drain." * here

    return Question(
        "Which kernel has `migrate_pages()`, but not `lru_add_drain_per_cpu()`?",
        "a kernel with `MIGRATION` but without `SMP`",
        "Rule: the drain of the other CPUs' pagevecs is compiled only with `SMP`; a single CPU drains its own.",
        wrong={configuration("NUMA", "SMP", "SWAP"): "with SMP the drain is there"},
        hints=("What is a per-CPU drain for, if there is one CPU?",),
        judge=judge,
    )  # fmt: skip


def only_in_kernel(rng):  # noqa: ARG001
    """Exercise 3: a Config on which only an in-kernel caller can move pages."""

    def judge(config):
        if not isinstance(config, Config):
            return "Give a `Config`."
        said = answers(config)
        if said["B"] != "-ENOSYS":
            return f"Here `sys_migrate_pages()` answers {said['B']}: mm/mempolicy.c is compiled in, since `NUMA` is y."
        if said["D"] == "BUG()":
            return "Here the in-kernel caller runs into the BUG of station 7: without `SWAP` there are no swap entries."
        return "" if said["D"] == "0, 4 moved" else f"Here the in-kernel caller gets {said['D']}."

    return Question(
        "All seven patches. On which kernel do A and B answer -ENOSYS, while D moves all four pages?",
        "a kernel with `SPARSEMEM` or `DISCONTIGMEM`, with `SWAP`, without `NUMA`",
        "Rule: mm/mempolicy.c needs `NUMA`; mm/vmscan.c needs only `MIGRATION`. Memory hotplug is such a caller.",
        wrong={configuration("SPARSEMEM"): "no swap", configuration("NUMA", "SMP", "SWAP"): "has the calls"},
        hints=("A and B live in mm/mempolicy.c, D needs mm/vmscan.c alone.",
               "Anonymous pages need a swap entry while they move, so one more option must be on."),
        judge=judge,
    )  # fmt: skip
