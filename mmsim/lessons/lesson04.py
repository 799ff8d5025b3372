"""Lesson 04, remove_from_swap(): swap ptes, what they cost later, and the slots that they keep."""

from unittest.mock import patch

import pandas as pd

from .. import Kernel, MMSimError, Topology
from .teaching import Question
from ..mm import migrate_v1, rmap, structs, swap_map, swap_state, swapfile
from ..experiments.scenes import move

PAGES = 64
NO_FAULT, MINOR, PROTECTION = "no fault", "a minor fault a page", "a protection fault a page"


def job(patches=(1, 3, 4), pages=PAGES, children=0, slots=128, frames=256):
    """Two nodes, a task on node 0 that wrote `pages` anonymous pages there, and its children: (kernel, tasks, heap)."""
    kernel = Kernel(Topology.uniform(nodes=2, frames=frames), patches=patches, swap_slots=slots)
    task = kernel.spawn("a", uid=0)
    heap = task.mmap(pages, name="heap")
    task.touch(heap, write=True)
    return kernel, [task, *(task.fork("bcd"[i]) for i in range(children))], heap


def moved(patches, pages=PAGES, children=0):
    """`job`, and its pages moved to node 1."""
    kernel, tasks, heap = job(patches, pages, children)
    move(kernel, tasks[0])
    return kernel, tasks, heap


def slots(kernel):
    """How many swap slots are in use."""
    return int((kernel.tables["swap_map"][1:] > 0).sum())


def slots_over_time(patches, pages=PAGES):
    """The swap slots in use while the pages move: a row whenever they change, `time` in ns since the call."""
    kernel, (task,), _ = job(patches, pages)
    rows, begin, system = [(0, 0)], kernel.clock, kernel.k.sys
    with kernel.watch(lambda: rows.append((system.clock - begin, system.swap_inuse))):
        move(kernel, task)
    rows.append((kernel.clock - begin, system.swap_inuse))
    table = pd.DataFrame(rows, columns=["time", "slots"])
    return table[(table["slots"].diff() != 0) | (table.index == len(table) - 1)].reset_index(drop=True)


def account(patches, accesses=("read", "write"), pages=PAGES):
    """What a migration leaves behind, and what the accesses after it cost: {what: number}."""
    kernel, (task,), heap = moved(patches, pages)
    state = task.pages(heap)["state"]
    bill = {"written to swap": int(kernel.vmstat()["swap_write"]), "swap ptes": int((state == "swap").sum()),
            "real ptes": int((state == "present").sum()), "slots in use": slots(kernel)}  # fmt: skip
    begin, total = kernel.clock, 0
    for access in accesses:
        faults = task.touch(heap, write=access == "write")
        total += sum(faults)
        bill |= {f"{access}: minor faults": faults.minor, f"{access}: protection faults": faults.protection}
    return bill | {"faults in all": total, "time of the accesses, ns": kernel.clock - begin,
                   "slots in use then": slots(kernel)}  # fmt: skip


def said(patches):
    """Patch sets in words."""
    return "the patches 1, 3 and 4" if 4 in patches else "the patches 1 and 3"


def kind_of_fault(rng):
    """What the first access after a migration costs."""
    patches, access = rng.choice([(1, 3), (1, 3, 4)]), rng.choice(["reads", "writes"])
    bill = account(patches, (access[:-1],), 8)
    right = MINOR if bill[f"{access[:-1]}: minor faults"] else PROTECTION if bill["faults in all"] else NO_FAULT
    why = {
        MINOR: "the pte is a swap pte. `do_swap_page()` finds the page in the swap cache and maps it, writable at once "
        "for a write.",
        PROTECTION: "`remove_from_swap()` makes the pte write-protected; the first write is stopped once, and "
        "`do_wp_page()` sees that nobody shares the page.",
        NO_FAULT: "`remove_from_swap()` has made a real pte, and reading needs no more.",
    }
    return Question(
        f"A kernel has {said(patches)}. It has moved the anonymous pages of a process to node 1. Now the process "
        f"{access} all of them. What does that cost?",
        right, f"Rule: {why[right]}", (NO_FAULT, MINOR, PROTECTION),
        hints=("What is in the pte after the migration: a swap entry, or a frame?",
               "A real pte made by `remove_from_swap()` is old and write-protected."),
    )  # fmt: skip


def minor_faults(rng):
    """How many minor faults a family takes."""
    patches, pages, children = rng.choice([(1, 3), (1, 3), (1, 3, 4)]), rng.randint(3, 9), rng.randint(1, 2)
    _, tasks, heap = moved(patches, pages, children)
    right = sum(task.touch(range(heap.start, heap.stop)).minor for task in tasks)
    rule = (f"Rule: each of the {children + 1} processes has a pte of its own for each page: {pages} × {children + 1}. "
            + ("Each is a swap pte, and costs its process one minor fault." if right else
               "`remove_from_swap()` finds them all by the reverse map, so no fault is left."))  # fmt: skip
    return Question(
        f"A process wrote {pages} anonymous pages and forked {'once' if children == 1 else 'twice'}. A kernel with "
        f"{said(patches)} moves the pages to node 1. Then each process reads all {pages} pages. How many minor faults "
        "are there?",
        right, rule,
        wrong={pages: "Does a fault of one process repair the page table of another?"} if right else
        {pages * (children + 1): "That is without patch 4."},
        hints=("How many ptes lead to one page?", "Which patch decides whether they are swap ptes?"),
    )  # fmt: skip


def restored(rng):  # noqa: ARG001
    """Exercise 1: how many ptes remove_from_swap() replaces."""
    kernel, (task,), heap = job(pages=10)
    task.touch(task.mmap(6, file=kernel.file("data", 6, "ext3")))
    task.fork()
    move(kernel, task)
    return Question(
        "How many ptes does `remove_from_swap()` replace?",
        int(kernel.vmstat()["restored"]),
        f"Rule: it works on anonymous pages only: {heap.pages} pages, and two processes have a pte for each. The pte "
        "of a file page is cleared, and the next access finds the page in the page cache.",
        wrong={10: "There are two page tables.", 16: "Are the pages of a file in the swap cache?",
               32: "Are the pages of a file in the swap cache?"},
        hints=("Which pages have a swap entry while they move?", "The child has a page table of its own.",
               "`kernel.vmstat()['restored']` counts them, if you want to build the machine."),
    )  # fmt: skip


def slots_needed(rng):  # noqa: ARG001
    """Exercise 2: how many swap slots the migration of 64 pages takes."""
    jobs = ((n, *job((1, 3, 4), slots=n)) for n in range(1, PAGES + 1))
    right = next(n for n, kernel, (task,), _ in jobs if move(kernel, task).moved == PAGES)
    return Question(
        "How many swap slots must there be?",
        right,
        "Rule: pass 0 gives every page a slot, since each is to be written out; pass 1 moves the pages, and only then "
        "`remove_from_swap()` frees the slots.",
        wrong={1: "That is so with patch 6. Without it, what comes between `add_to_swap()` and `remove_from_swap()`?",
               0: "A page needs a swap entry while it moves.", 128: "Fewer are enough."},
        hints=("`lesson04.job((1, 3, 4), slots=8)` makes such a machine, `lesson04.move(kernel, task)` moves.",
               "In which pass does a page get its slot, and in which does it lose it?"),
    )  # fmt: skip


def restore_with(is_ours):
    """remove_from_swap() with a reader's test: ``is_ours(k, pte, entry)`` says whether a pte is to be replaced."""

    def remove_from_swap(k, pfn):
        page = k.mem_map[pfn]
        if page.mapping >= 0 or not page.flags & structs.PG_swapcache:
            return
        entry, v = page.private, rmap.first_vma(k, page)
        while v:
            vma = k.vma[v]
            address = rmap.vma_address(page, vma)
            if address >= 0:
                pte = k.pte[vma.pte_base + address]
                if is_ours(k, pte, entry):
                    swapfile.unuse_pte(k, vma, address, pte, pfn)
            v = rmap.next_vma(page, vma)
        if swap_map.exclusive_swap_page(k, pfn):
            swap_state.delete_from_swap_cache(k, pfn)

    return remove_from_swap


def own_test(rng):  # noqa: ARG001
    """Exercise 3: write the heart of patch 4."""

    def judge(is_ours):
        empty, framed = [], []

        def asked(k, pte, entry):
            answer = is_ours(k, pte, entry)
            empty.extend([answer] * (answer is ...))
            framed.extend([answer] * bool(answer is not ... and answer and not pte.flags & structs.PTE_SWAP))
            return answer is not ... and answer

        kernel, (a, b, _c), heap = job(pages=4, children=2, slots=512)
        b.run_on(1)
        b.touch(range(heap.start, heap.start + 2), write=True)  # b has copies of its own of pages 0 and 1
        kernel.reclaim(1, node=1)  # the copy of page 0 is swapped out: a swap pte with an entry of its own
        frame = int(b.pages(heap)["pfn"].iloc[1])
        kernel.k.sys.swap_cursor = frame - 1  # a's page 1 gets the entry whose number is that of b's frame there
        try:
            with patch.object(migrate_v1, "remove_from_swap", restore_with(asked)):
                move(kernel, a)
            kernel.verify()
        except (IndexError, MMSimError) as error:
            if framed:
                return "A pte that holds a frame was taken for a swap pte: `pte.value` is a frame's number then."
            return f"A pte leads to a page that is not its own: {error}."
        if empty:
            return "The function still returns the three dots."
        left = sum(int((task.pages()["state"] == "swap").sum()) for task in kernel.tasks)
        return "" if left == 1 else f"{left} swap ptes are left; only that of the page that was swapped out may be."

    return Question(
        "Write a function `is_ours(k, pte, entry)`: True if this pte is to lead to the page again.",
        "`pte.flags & structs.PTE_SWAP and pte.value == entry`",
        "Rule: the reverse map says where a pte of the page may be. Another process may have a page of its own there, "
        "in memory or swapped out.",
        wrong={(lambda *_: False): "nothing is restored", (lambda *_: True): "present ptes too",
               (lambda _k, pte, _entry: pte.flags & structs.PTE_SWAP): "swap ptes of other pages too",
               (lambda _k, pte, entry: pte.value == entry): "a frame whose number is that of the entry"},
        hints=("`pte.flags` has `structs.PTE_PRESENT` or `structs.PTE_SWAP`, or neither.",
               "`pte.value` is a frame if the pte is present, and a swap entry if it is a swap pte."),
        judge=judge,
    )  # fmt: skip
