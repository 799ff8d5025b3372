"""Lesson 06, migrate_page methods: who moves dirty pages unwritten, who writes them first, and who refuses."""

from unittest.mock import patch

import pandas as pd

from .. import Kernel, Topology
from ..machine.file import FS_NAMES as EVERY
from .teaching import Question
from ..mm import migrate_v1
from ..mm.aops import BUFFER_MIGRATE_PAGE, FAIL_MIGRATE_PAGE, MIGRATE_PAGE
from . import lesson03

WITHOUT = (1, 2, 3, 4, 5, 7)
STATES = {"read": "only read", "mapped write": "written through a mapping", "write(2)": "written with write(2)",
          "flushed": "written with write(2), then out by pdflush"}  # fmt: skip
PATHS = ("direct", "direct with buffers", "direct after writeout", "failed for good", "retries exhausted")
WHY = {
    "ext2": "`buffer_migrate_page()` lets the buffers go along with the page, dirty as they are.",
    "ext3-journalled": "without a method `try_to_release_page()` must drop the buffers, and the journal holds them.",
    "xfs-meta": "`fail_migrate_page()` answers -EIO, whatever the page is like.",
    "nfs": "without a method a dirty page is written out by `pageout()`, and moves in a later pass.",
    "tmpfs": "its `writepage` puts the page into the swap cache, and the swapper space has a method.",
    "clean": "as far as the kernel knows there is nothing to write, and there are no buffers: `migrate_page()`.",
    "default": "without patch 6 all take the default way: `pageout()`, `try_to_release_page()`, `migrate_page()`.",
}
WHY |= dict.fromkeys(["ext3", "xfs"], WHY["ext2"]) | {"reiserfs": WHY["nfs"]}

FS_NAMES = {name: fs for name, fs in EVERY.items() if name != "ramfs"}  # which cannot write, and so has no path here


def shelf(patches=7, state="write(2)", systems=tuple(FS_NAMES), each=2, heap=0):
    """Two nodes, and a task of root's with a file of each file system in memory, on node 0: (kernel, task)."""
    kernel = Kernel(Topology.uniform(nodes=2, frames=64), patches=patches, swap_slots=64)
    task = kernel.spawn("a", uid=0)
    for fs in systems:
        file = kernel.file(fs, each, fs)
        if state in ("write(2)", "flushed"):
            task.write(file)
        pages = task.mmap(each, file=file, shared=True, name=fs)
        task.touch(pages, write=state == "mapped write")
        for i in range(each * (state == "flushed" and fs != "tmpfs")):  # tmpfs has nowhere to write to
            lesson03.flush(kernel, task, pages[i])
    if heap:
        task.touch(task.mmap(heap, name="heap"), write=True)
    kernel.wait(10_000_000 * (state == "flushed"))  # what was begun is written by then; no journal has committed
    return kernel, task


def moved(*args, **settings):
    """`shelf`, and a migration to node 1: (kernel, task)."""
    kernel, task = shelf(*args, **settings)
    task.migrate_pages(0, 0, 1)
    return kernel, task


def account(fs, patches=7, state="write(2)"):
    """What became of the two pages of a file: {what: text or number}."""
    kernel, task = shelf(patches, state, [fs])
    before = kernel.vmstat()
    task.migrate_pages(0, 0, 1)
    counts, last = kernel.vmstat() - before, kernel.last
    return {"path": last.paths.index[0], "error": last.pages["error"].iloc[0], "passes": last.passes,
            "file writes": int(counts["file_write"]), "swap writes": int(counts["swap_write"]),
            "µs": last.elapsed / 1000}  # fmt: skip


def accounts(state="write(2)"):
    """`account` of all file systems, without patch 6 and with it: a row for each."""
    kernels = {"without patch 6": WITHOUT, "with it": 7}
    tables = {name: pd.DataFrame({fs: account(fs, p, state) for fs in FS_NAMES}).T for name, p in kernels.items()}
    return pd.concat(tables, axis="columns").rename_axis("file system")


OBSTACLES = ("none", "pinned", "locked", "writeback")


def obstacles(patches=7):
    """Four pages of an ext3 file that were written with write(2), each with another obstacle: (kernel, task)."""
    kernel, task = shelf(patches, systems=["ext3"], each=4)
    _, pinned, locked, written = (range(page, page + 1) for page in task.pages().index)
    kernel.pin(task, pinned)
    kernel.hold_lock(task, locked, kernel.clock + lesson03.HELD)
    lesson03.flush(kernel, task, written)
    return kernel, task


# -- predictions


def path_of(rng):
    """Which path a page of a file takes."""
    fs, state = rng.choice(list(FS_NAMES)), rng.choice(["read", "mapped write", "write(2)", "write(2)", "write(2)"])
    patches = rng.choice([7, 7, WITHOUT])
    path = account(fs, patches, state)["path"]
    rule = fs if patches == 7 or path in PATHS[-2:] else "default"
    if path == "direct" and state != "write(2)":
        rule = "clean"
    return Question(
        f"A page of a file on {fs} was {STATES[state]}. The kernel has "
        f"{'all seven patches' if patches == 7 else 'all patches but 6'}. Which path does the page take?",
        path, f"Rule: {WHY[rule]}", PATHS,
        {"direct with buffers": "Patch 6 brings that."} if patches != 7 else {},
        ("Which method does the file system have? The table of station 3 says it.",
         "Does the kernel know that the page is dirty? Only `write(2)` tells it at once, and attaches buffers."),
    )  # fmt: skip


def expected_references(rng):
    """How many references a page may have when it moves."""
    users, kind = rng.randint(1, 4), rng.choice(["ext3", "nfs", "heap"])
    kernel, task = shelf(systems=[kind] if kind != "heap" else [], heap=int(kind == "heap"), each=1)
    for _ in range(users - 1):
        task.fork().touch(None)  # a file page is mapped by no child before it is used
    seen = lesson03.most_references(kernel, task, lambda: task.migrate_pages(0, 0, 1))
    what = "an anonymous page" if kind == "heap" else f"a page of a file on {kind} that was written with write(2)"
    nr_refs = 3 if kind == "ext3" else 2
    return Question(
        f"{users} process{'es' * (users > 1)} map{'s' * (users == 1)} {what}. How many references does "
        "`migrate_page_remove_references()` expect on it?",
        seen, f"Rule: one for each pte ({users}), and nr_refs = {nr_refs}: one of the cache, one of the isolation"
        f"{', and one for the buffers' * (nr_refs == 3)}.",
        wrong={users: "These are the ptes alone.", users + 1: "The isolation holds one, and so does the cache.",
               users + 5 - nr_refs: "NFS and anonymous memory have no buffers, ext3 has."},
        hints=("A pte for each process.", "The cache, the isolation, and perhaps the buffers."),
    )  # fmt: skip


# -- exercises


def saved(rng):  # noqa: ARG001
    """Exercise 1: the writes that the patch saves."""
    job = {"systems": ["ext3", "nfs", "ext3-journalled"], "each": 5, "heap": 15}
    counts = [moved(patches, **job)[0].vmstat() for patches in (WITHOUT, 7)]
    writes = [count["file_write"] + count["swap_write"] for count in counts]
    return Question(
        "How many page writes does patch 6 save?",
        int(writes[0] - writes[1]),
        "Rule: the pages of ext3 have `buffer_migrate_page()`, the swapper space has `migrate_page()`. NFS and the "
        "journalled file have no method: their pages are written as before.",
        wrong={5: "What about the anonymous pages?", 30: "Does everybody have a method?", 25: "NFS has no method."},
        hints=("Whose pages are written without the patch? All that are dirty.", "Which of them have a method?"),
    )


NEW = {  # name of an address space: what it is like, its method, the path that its dirty pages are to take
    "blockfs": ("reiserfs", BUFFER_MIGRATE_PAGE, "direct with buffers"),
    "netfs": ("nfs", MIGRATE_PAGE, "direct"),
    "blockfs-meta": ("xfs-meta", FAIL_MIGRATE_PAGE, "failed for good"),
}


def method_table(rng):  # noqa: ARG001
    """Exercise 2: the migrate_page methods of a new file system."""
    kernels_own = migrate_v1.migrate_page_method

    def judge(methods):
        methods = dict(methods)
        if not set(methods.values()) <= set(range(4)):
            return "Put a method where the dots are, for example `aops.NO_METHOD`."
        numbers = {FS_NAMES[NEW[name][0]]: method for name, method in methods.items()}
        with patch.object(migrate_v1, "migrate_page_method", lambda k, fs: numbers.get(fs, kernels_own(k, fs))):
            kernel, _ = moved(systems=[like for like, _, _ in NEW.values()], each=1)
        paths = zip(NEW, NEW.values(), kernel.last.pages["path"], strict=True)
        wrong = [f"`{name}`: {path}." for name, (_, _, wanted), path in paths if path != wanted]
        return " ".join([*wrong, f"{kernel.vmstat()['file_write']} pages are written."]) if wrong else ""

    return Question(
        "Which method does each of the three get?",
        "`BUFFER_MIGRATE_PAGE`, `MIGRATE_PAGE`, `FAIL_MIGRATE_PAGE`",
        "Rule: buffers take part only in `buffer_migrate_page()`. `migrate_page()` expects one reference less, and "
        "would take the buffers' for a pin.",
        wrong={tuple(dict.fromkeys(NEW, method).items()): "not for all" for method in range(4)},
        hints=("Which of the three has buffers?", "What nobody may move needs a method that says so."),
        judge=judge,
    )


def patience(rng):  # noqa: ARG001
    """Exercise 3: how a page in the journal can move."""

    def judge(prepare):
        kernel, task = shelf(systems=["ext3-journalled"], each=1)
        prepare(kernel, task)
        if not len(task.pages()["pfn"].dropna()):
            return "The page is gone."
        task.migrate_pages(0, 0, 1)
        if kernel.last.moved:
            return ""
        return f"The path is: {kernel.last.paths.index[0]}. The transaction holds the buffers for five seconds."

    return Question(
        "What has to happen before the migration?",
        "`kernel.wait(5_000_000_000)`",
        "Rule: nothing is wrong with the page but the transaction that its buffers belong to. When that is committed, "
        "`try_to_release_page()` can drop them.",
        wrong={(lambda *_: None): "stays", (lambda kernel, _: kernel.wait(1_000_000)): "too early",
               (lambda _, task: task.migrate_pages(0, 0, 1)): "stays"},
        hints=("Who holds the buffers, and until when? The table of station 2 says it.", "`kernel.wait(ns)`"),
        judge=judge,
    )  # fmt: skip
