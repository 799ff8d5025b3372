"""Lesson 03, migrate_pages(): pages with obstacles, the path that each takes, and the pass in which it is done."""

import functools
from typing import NamedTuple

from .. import Kernel, Topology
from .teaching import Question
from ..mm import aops, structs, trace
from ..experiments.scenes import move

HELD = 400_000  # ns that somebody holds the lock of the page "locked": until the passes wait for it
SWAP_SLOTS = 2  # for three anonymous pages
PATHS = tuple(trace.PATHS[p] for p in (trace.PATH_DIRECT, trace.PATH_WRITEOUT, trace.PATH_SWAPPED, trace.PATH_FAILED,
                                       trace.PATH_RETRIED))  # fmt: skip


class Obstacle(NamedTuple):
    """What is the matter with a page, and the rule for it."""

    what: str
    rule: str
    fs: str = ""  # none: the page is anonymous
    written: bool = True


GIVE = "Give a function `obstacle(kernel, a, page)`."
OBSTACLES = {
    "none": Obstacle("is anonymous and was written; nobody else uses it",
        "`add_to_swap()` makes it a dirty swap cache page, and `pageout()` writes it before it moves."),
    "pinned": Obstacle("is anonymous and was written; a device has pinned it",
        "`pageout()` and `migrate_page_remove_references()` leave a page alone that has a reference too many, and "
        "answer -EAGAIN."),
    "no swap slot": Obstacle("is anonymous and was written; every swap slot is in use",
        "`add_to_swap()` needs a free slot. Without one the failure is permanent: -ENOMEM."),
    "clean file": Obstacle("belongs to an ext3 file and was only read",
        "`migrate_page()` moves a clean page without buffers at once.", "ext3", written=False),
    "locked": Obstacle("belongs to an ext3 file and was only read; somebody holds its lock for a long time",
        "the passes 0 to 2 skip a locked page, pass 3 waits for the lock.", "ext3", written=False),
    "writeback": Obstacle("belongs to an NFS file; it was written, and is being written out at this moment",
        "pass 0 skips a page under writeback, pass 1 waits for the I/O. Then the page is clean.", "nfs"),
    "dirty file": Obstacle("belongs to an NFS file and was written; NFS pages have no buffers",
        "`pageout()` starts the write, which is PAGE_SUCCESS: try again. The next pass finds it clean.", "nfs"),
    "buffers": Obstacle("belongs to an ext2 file and was written; it has buffers",
        "`pageout()` writes it; then `try_to_release_page()` can drop its buffers, and it moves.", "ext2"),
    "journal": Obstacle("belongs to an ext3 file whose data goes through the journal; it was written a moment ago",
        "`try_to_release_page()` cannot drop buffers that the journal holds. Nor can `swap_page()`, the last resort "
        "from pass 3 on.", "ext3-journalled"),
}  # fmt: skip


def machine(patches=(1, 3), slots=64):
    """Two nodes, and a task on node 0: (kernel, task)."""
    kernel = Kernel(Topology.uniform(nodes=2, frames=64), patches=patches, swap_slots=slots)
    return kernel, kernel.spawn("a", uid=0)


def add_page(kernel, task, name):
    """Give the task one page, with an obstacle that does not begin by itself; its Range."""
    fs, written = OBSTACLES[name][2:]
    file = kernel.file(name, 1, fs) if fs else None
    if file and written:
        task.write(file)
    page = task.mmap(1, file=file, shared=bool(file), name=name)
    task.touch(page, write=not file)
    return page


def flush(kernel, task, page):
    """pdflush, the kernel thread that writes dirty file pages out, comes across one: the write begins."""
    pfn = int(task.pages(page)["pfn"].iloc[0])
    kernel.k.mem_map[pfn].flags |= structs.PG_locked
    kernel.call(aops.writepage, pfn, kernel.k.mem_map[pfn].mapping)


def obstacle_course(patches=(1, 3)):
    """A machine whose task has nine pages on node 0, one for each of OBSTACLES: (kernel, task)."""
    kernel, task = machine(patches, SWAP_SLOTS)
    pages = {name: add_page(kernel, task, name) for name in OBSTACLES}
    kernel.pin(task, pages["pinned"])
    flush(kernel, task, pages["writeback"])
    kernel.hold_lock(task, pages["locked"], kernel.clock + HELD)
    return kernel, task


def outcome(kernel):
    """What became of the pages of the course: a row for each obstacle."""
    table = kernel.last.pages
    done = (table["passes"] - 1).astype(object).where(table["path"] != PATHS[-1], "–")
    table = table.assign(**{"pass": done, "obstacle": list(OBSTACLES)})
    return table.set_index("obstacle")[["path", "pass", "error", "reason"]]


def story(kernel, obstacle, last=10):
    """What the kernel did with one page of the course, up to a pass: a row for each event."""
    events = kernel.events()
    row = kernel.last.pages.iloc[list(OBSTACLES).index(obstacle)]
    mine = events[(events["page"] == row["old_pfn"]) & (events["pass"] <= last)]
    mine = mine[mine["function"] != "putback_lru_pages"]  # comes when all passes are done
    passes = mine["pass"].astype(str).where(~mine["pass"].duplicated(), "")
    return mine.assign(**{"pass": passes}).set_index("pass")[["function", "text"]].rename(columns={"text": "what"})


@functools.lru_cache
def course_table(patches):
    """The outcome of the course on a kernel."""
    kernel, task = obstacle_course(patches)
    move(kernel, task)
    return outcome(kernel)


def path_of(rng):
    """Which path a page with an obstacle takes, with patch 3 or without."""
    name, patches = rng.choice(list(OBSTACLES)), rng.choice([(1, 3), (1, 3), (1,)])
    path = course_table(patches).loc[name, "path"]
    rule = f"Rule: {OBSTACLES[name].rule}"
    if path == "swapped out":
        rule = "Rule: without patch 3 `migrate_pages()` ignores the list of new pages; all it can do is `swap_page()`."
    return Question(
        f"An in-kernel caller wants a page on node 1. The page {OBSTACLES[name].what}. The kernel has patch 1 "
        f"{'and patch 3' if 3 in patches else 'and no other'}. Which path does the page take?",
        path, rule, PATHS,
        {"direct": "That is the path of a page that is clean, or becomes clean without the help of the migration.",
         "swapped out": "With patch 3 and a list of new pages this is the last resort only."} if 3 in patches else {},
        ("Is the kernel able to move a page directly at all?",
         "Go through the questions of `migrate_one_page()`: locked? under writeback? swap entry? dirty? buffers? "
         "references?"),
    )  # fmt: skip


def pass_of(rng):
    """In which pass a file page has moved, that may be dirty, locked and under writeback at once."""
    state, locked = rng.choice(["clean", "dirty", "under writeback"]), rng.random() < 0.5
    kernel, task = machine()
    page = add_page(kernel, task, "clean file" if state == "clean" else "dirty file")
    if state == "under writeback":
        flush(kernel, task, page)
    if locked:
        kernel.hold_lock(task, page, kernel.clock + 10 * HELD)
    move(kernel, task)
    parts = []
    if locked:
        parts.append("the passes 0, 1 and 2 skip a locked page; pass 3 waits for the lock")
    if state == "under writeback":
        parts.append("pass 0 skips a page under writeback, pass 1 waits for the I/O" if not locked
                     else "by then the write has ended, too")  # fmt: skip
    if state == "dirty":
        parts.append("a dirty page is written in one pass and moves in the next")
    return Question(
        f"A page of a file is {state}{', and somebody holds its lock for a long time' * locked}. Nothing else is in "
        "the way. The kernel has the patches 1 and 3. In which pass does the page move? The first is pass 0.",
        f"pass {kernel.last.passes - 1}", f"Rule: {'; '.join(parts) or 'nothing is in the way'}.",
        tuple(f"pass {n}" for n in (0, 1, 3, 4)),
        hints=("`lock_for_migration()` says what early passes do not wait for.",
               "A write is started in one pass. When does anybody look at the page again?"),
    )  # fmt: skip


def five_obstacles(rng):  # noqa: ARG001
    """The paths of five obstacles, all at once."""
    right = course_table((1, 3))["path"][["locked", "pinned", "dirty file", "buffers", "writeback"]].to_dict()

    def judge(guess):
        guess = dict(guess)
        if all(path is ... for path in guess.values()):
            return 'Put a path where the dots are, for example `"direct"`.'
        wrong = [name for name, path in right.items() if guess.get(name) != path]
        said = [f"`{name}`: {OBSTACLES[name].rule}" for name in wrong]
        return f"{len(right) - len(wrong)} of {len(right)} are right. Look again. {' '.join(said)}" if wrong else ""

    return Question(
        f"Which path does each of the five take? The paths: {', '.join(PATHS)}.",
        right,
        "Rule: what is locked or under writeback is waited for, what is dirty is written first, and what somebody "
        "unknown refers to stays.",
        wrong={tuple((name, path) for name in right): "not all are alike" for path in PATHS},
        hints=("`locked` is a clean page of a file. It needs nothing but the lock.",
               "A page under writeback is clean as soon as the write has ended. The migration did not write it."),
        judge=judge,
    )  # fmt: skip


def judge_obstacle(obstacle, wanted):
    """What is wrong with a reader's ``obstacle(kernel, a, page)``; `wanted`: Migration -> what is wrong."""
    kernel, task = machine()
    page = add_page(kernel, task, "none")
    obstacle(kernel, task, page)
    return wanted(move(kernel, task))


def moves_in_pass_4(rng):  # noqa: ARG001
    """Exercise 1: an obstacle that costs an anonymous page just so many passes."""

    def wanted(last):
        if not last.moved:
            return f"The page did not move: {last.pages['path'].iloc[0]}. The obstacle must end by itself, in time."
        if last.passes == 2:
            return "The page moved in pass 1, as it does with no obstacle at all. Which one do the passes 0 to 2 skip?"
        return f"The page moved in pass {last.passes - 1}." if last.passes != 5 else ""

    return Question(
        "Put an obstacle in the way of an anonymous page, so that it moves in pass 4.",
        "an obstacle that ends only when pass 3 waits for it",
        "Rule: pass 3 is the first that waits for a lock. There the page enters swap and is written; pass 4 moves it. "
        "In one line: `kernel.hold_lock(a, page, kernel.clock + 1_000_000)`.",
        wrong={(lambda *_: None): "moves in pass 1", (lambda kernel, a, page: kernel.pin(a, page)): "never moves"},
        hints=("Without any obstacle it moves in pass 1. Three passes more are needed.",
               "Which obstacle do exactly the passes 0, 1 and 2 skip?",
               "`kernel.hold_lock(task, range, until)`: `until` is a time; `kernel.clock` is now, in ns."),
        judge=functools.partial(judge_obstacle, wanted=wanted), function=GIVE,
    )  # fmt: skip


def freed_meanwhile(rng):  # noqa: ARG001
    """Exercise 2: a page that vanishes while it is being migrated."""

    def wanted(last):
        if not len(last.pages):
            return "The page was gone before the migration began."
        path = last.pages["path"].iloc[0]
        return "" if path == "freed from under us" else f"The path is: {path}."

    return Question(
        "Let the page be `freed from under us`: its owner unmaps it while the migration is under way.",
        "an munmap after the page was isolated, and before pass 0 comes to it",
        "Rule: isolated and unmapped, the page has one reference left, that of the migration, and `page_count` 1 means "
        "done. In one line: `a.munmap(page, at=kernel.clock + 1)`. From pass 0 on the swap cache holds a reference, "
        "too: the page outlives its owner, and is moved for nobody. (With A, B and C the munmap waits for the call.)",
        wrong={(lambda *_: None): "moves",
               (lambda kernel, a, page: a.munmap(page, at=kernel.clock + 40_000)): "moves for nobody"},
        hints=("`a.munmap(page, at=time)` unmaps not now but at that time, as another thread of `a` would.",
               "The page is isolated at `kernel.clock`. Then a new page is allocated, which takes `Costs().alloc` ns. "
               "Then pass 0 begins."),
        judge=functools.partial(judge_obstacle, wanted=wanted), function=GIVE,
    )  # fmt: skip


def most_references(kernel, task, call):
    """How many references there are, at most, to the first page of a task while `call` moves it."""
    seen, pfn = [], int(task.pages()["pfn"].iloc[0])
    with kernel.watch(lambda: seen.append(kernel.k.mem_map[pfn].count)):
        call()
    return max(seen)


def references(rng):  # noqa: ARG001
    """Exercise 3: how many references a shared page may have when it moves."""
    kernel, task = machine()
    add_page(kernel, task, "none")
    children = [task.fork(), task.fork()]
    return Question(
        "How many references does `migrate_page_remove_references()` expect on the page?",
        most_references(kernel, task, lambda: move(kernel, task)),
        f"Rule: one for each pte ({len(children) + 1}), and nr_refs = 2: one of the swap cache, one of the isolation.",
        wrong={3: "These are the ptes alone.", 4: "The cache holds one, and the migration itself one, too."},
        hints=("`unexpected_references()` above says it: mapcount plus nr_refs.",
               "Each process that shares the page has a pte for it."),
    )  # fmt: skip
