"""Lesson 02, the swap cache recheck: who waits, how a schedule ends, and what the recheck must ask."""

from functools import cache
from itertools import groupby
from unittest.mock import patch

from .teaching import Question
from ..mm import filemap, memory, structs, swap
from ..race import SCENES, WITHOUT_PATCH_2, Fault, Migrate, Race, Schedule, explore

GOOD, BAD = "good", "bad"


def _order(names):
    """A schedule in words: '3 times migration, then a'."""
    runs = [(name, len(list(run))) for name, run in groupby(names)]
    return ", ".join(f"`{name}`" + f" {n} times" * (n > 1) for name, n in runs)


def who_waits(rng):
    """Whether the faulting task can go on after some steps."""
    running = Race(*SCENES["do_swap_page"], WITHOUT_PATCH_2)
    wanted = rng.random() < 0.5
    while True:
        running.restart()
        for _ in range(rng.randint(3, 8)):
            if running.choices:
                running.step(rng.choice(running.choices))
        fault, migration = running.points["a"], running.points["migration"]
        if fault and migration and fault.page and running.blocked("a") == wanted:
            break
    page = fault.page
    names = [name for name, _ in running.history]
    rule = f"Rule: `lock_page()` sleeps while somebody else holds the lock. Frame {page} is "
    if wanted:
        rule += "locked by the migration, from the moment it tried to lock the page until the page is copied."
    else:
        rule += "not locked at this moment."
    if migration.what.startswith("pass") and not migration.what.startswith("pass 0"):
        rule += " The test found the reference of `a`, so the migration dropped the lock until its next pass."
    return Question(
        f"Task `a` faults on its page, which is in the swap cache; a migration moves that page. "
        f"The steps so far: {_order(names)}. Task `a` now wants the lock of frame {page}. Can it take a step?",
        "no, it waits" if wanted else "yes", rule, ("yes", "no, it waits"),
        hints=("Count the steps of the migration: isolate and allocate, try to lock, test the references, "
               "replace and unmap, copy and unlock, remove_from_swap, give back.",
               "It holds the lock of the old page from its second step on, and drops it with its fifth; or with its "
               "third, if the test finds a reference too many."),
    )  # fmt: skip


def how_it_ends(rng):
    """How one whole schedule ends, with or without the patch."""
    patched = rng.random() < 0.4
    bad = explore(*SCENES["do_swap_page"], WITHOUT_PATCH_2).counterexample
    names = list(bad.names)
    if rng.random() < 0.5:  # one step elsewhere
        names.insert(rng.randrange(len(names)), names.pop(names.index("a")))
    schedule = Schedule(bad.race, names).under(7 if patched else WITHOUT_PATCH_2)
    is_bad = schedule.race.outcome()[1]
    saved = patched and schedule.under(WITHOUT_PATCH_2).race.outcome()[1]
    before = names.index("a")  # steps of the migration before the look-up
    node = schedule.race.kernel.tasks[0].placement()[0]
    if is_bad:
        why = "`do_swap_page()` looked up after the test and before the slot was replaced, and used what it held."
    elif saved:
        why = "the recheck after `lock_page()` sent the fault back to look the entry up again."
    elif before < 3:
        why = "the look-up came before the test of the references, which saw that `a` holds one: -EAGAIN"
        why += ", and a later pass moves the page." if node == 1 else "."
    elif before > 3:
        why = "the look-up came after the slot was replaced, and found the new page."
    else:
        why = "when `a` had the lock at last, `remove_from_swap()` had made its pte a real one: it backed out."
    return Question(
        f"A kernel {'with' if patched else 'without'} patch 2. The first steps, in this order as far as each can run: "
        f"{_order(names)}. Then whoever can runs to the end. Is the end good or bad?",
        BAD if is_bad else GOOD, f"The page of `a` is on node {node}. Rule: {why}", (GOOD, BAD),
        hints=("The test of the references is the third step of the migration, the replacement its fourth.",
               "Where does the first step of `a`, the look-up, fall?"),
    )  # fmt: skip


def bad_schedule(rng):  # noqa: ARG001
    """Exercise 1: a schedule that goes wrong, found by hand."""
    shortest = explore(*SCENES["do_swap_page"], WITHOUT_PATCH_2).counterexample

    def judge(names):
        running = Race(*SCENES["do_swap_page"], WITHOUT_PATCH_2)
        for n, name in enumerate(names, 1):
            if name not in running.choices:
                why = running.waits_for(name) if name in running.points else "there is no such actor"
                return f"Step {n}: {name} cannot run; {why or 'it has finished'}."
            running.step(name)
        if not running.done:
            return f"Nothing is wrong so far. Not finished: {', '.join(running.choices)}." * (not running.harm)
        end, bad = running.outcome()
        return "" if bad else f"This ends well: {end.removeprefix('good: ')}. When does `a` look the entry up?"

    return Question(
        "Write a schedule that ends badly, as a list of the names 'a' and 'migration'.",
        list(shortest.names),
        "Rule: the look-up falls between the test of the references and the replacement; the lock comes free before "
        "`remove_from_swap()`.",
        wrong={("migration",) * 7 + ("a",): "too late"},
        hints=("Let the migration run until it has tested the references.",
               "Then let `a` look the entry up. It waits now. Who must unlock the page?",
               "`['migration'] * 3 + ['a'] + ['migration'] * 2 + ['a']`, and then the rest of the migration."),
        judge=judge,
    )  # fmt: skip


@cache  # who asks for the question, its hints and its answer waits for them once
def _sharers():
    """(bad schedules where the child writes, schedules, bad ones where it reads, bad ones where patch 2 is there)."""
    build, reading = SCENES["sharers part"]
    actors = [Fault("a"), Migrate("a"), Fault("b", write=True)]
    found = explore(build, actors, WITHOUT_PATCH_2)
    return found.bad, found.schedules, explore(build, reading, WITHOUT_PATCH_2).bad, explore(build, actors, 7).bad


def count_writer(rng):  # noqa: ARG001
    """Exercise 2: bad schedules where the parent reads and the child writes."""
    bad, schedules, reading, patched = _sharers()
    return Question(
        "The parent `a` reads, the child `b` writes, a migration moves their page. How many schedules end badly?",
        bad,
        f"That is of {schedules:,}. Rule: whoever looks up between test and replacement maps the stale page, "
        "if it gets the lock before `remove_from_swap()`; the writer then copies from it.",
        wrong={reading: "That is the count for two readers.",
               schedules: "That is how many there are in all.",
               patched: "That is the count with patch 2."},
        hints=("Machine and actors of `sharers part` are `race.SCENES['sharers part']`. Keep the machine.",
               "The actors are `race.Fault('a')`, `race.Migrate('a')` and `race.Fault('b', write=True)`.",
               "`race.explore(machine, actors, race.WITHOUT_PATCH_2).bad` is the number."),
    )  # fmt: skip


def own_recheck(rng):  # noqa: ARG001
    """Exercise 3: write patch 2."""
    kernels_own = memory.do_swap_page_locked

    def judge(recheck):
        if recheck(Race(*SCENES["do_swap_page"]).kernel.k, 1, 1) is ...:
            return "Put something in place of the three dots."

        def with_recheck(k, v, address, write, pfn, entry):
            if recheck(k, pfn, entry):
                filemap.unlock_page(k, pfn)
                swap.put_page(k, pfn)
                return -structs.EAGAIN
            return kernels_own(k, v, address, write, pfn, entry)

        with patch.object(memory, "do_swap_page_locked", with_recheck):
            found = explore(*SCENES["do_swap_page"], WITHOUT_PATCH_2)
        worst = found.outcomes.query("bad")["outcome"]
        return f"{found.bad} of {found.schedules} schedules end badly: {worst.iloc[0]}." if found.bad else ""

    return Question(
        "Write a function `recheck(k, pfn, entry)`: True if page `pfn`, whose lock we hold, must be looked up again.",
        "`not k.mem_map[pfn].flags & structs.PG_swapcache`, as in patch 2; `k.swap_cache[entry] != pfn` does it, too",
        "Rule: what was looked up before sleeping must be verified after. No schedule ends badly now.",
        wrong={(lambda *_: False): "1 schedule", (lambda *_: True): "livelock"},
        hints=("What is different about the old page once the new one has taken its slot?",
               "`k.mem_map[pfn].flags & structs.PG_swapcache` is 0 for a page that left the swap cache.",
               "`k.swap_cache[entry]` is the page that the slot holds now."),
        judge=judge,
    )  # fmt: skip
