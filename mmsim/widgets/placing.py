"""Obstacles that a reader puts on pages before the call: locked, pinned, dirty, shared."""

from contextlib import suppress
from itertools import pairwise

from ..machine.file import File
from ..mm import structs
from ..machine.task import Task

TOOLS = {
    "look": "a click only says what a square is",
    "lock": "another user holds the lock of the page for 5 ms",
    "pin": "somebody takes a reference, as get_user_pages() does",
    "dirty": "the page is written: write(2) for a page of a file, else a store",
    "share": "a second task, twin, maps the page too, after fork()",
}
DONE = {"lock": "locked", "pin": "pinned", "dirty": "dirty", "share": "shared"}
HELD = 5_000_000  # ns: longer than the passes that do not wait for a lock


def check_obstacles(obstacles):
    """Obstacles as MigrationLab takes them; ValueError: they are none."""
    obstacles = {} if obstacles is None else obstacles
    right = f"give a dict of {', '.join(DONE)}, each with pages, as in {{'pin': [5]}}"
    if not (isinstance(obstacles, dict) and all(isinstance(each, (list, tuple)) for each in obstacles.values())):
        raise ValueError(f"obstacles is {obstacles!r}; {right}")
    if wrong := obstacles.keys() - DONE.keys():
        raise ValueError(f"obstacles has {', '.join(sorted(map(repr, wrong)))}; {right}")
    return obstacles


def place(kernel, obstacles):
    """Put obstacles, each (tool, pid, virtual page), in the way of a machine by what a program would call."""
    at = {tool: [(Task(kernel, pid), range(page, page + 1)) for t, pid, page in sorted(obstacles) if t == tool]
          for tool in DONE}  # fmt: skip
    for task, page in at["dirty"]:
        file, index = file_page(kernel, task, page.start)
        if file:
            task.write(file, index, 1)
        else:
            task.touch(page, write=True)
    for pid in {task.pid for task, _ in at["share"]}:
        share(Task(kernel, pid), [page.start for task, page in at["share"] if task.pid == pid])
    for task, page in at["pin"]:
        kernel.pin(task, page)
    for task, page in at["lock"]:
        kernel.hold_lock(task, page, kernel.clock + HELD)


def file_page(kernel, task, address):
    """(file, page of it) behind a virtual page; (None, 0) for anonymous memory."""
    vma, pte = kernel._vma(task, address), kernel._pte(task, address)
    copied = pte["flags"] & structs.PTE_PRESENT and kernel.tables["mem_map"]["mapping"][pte["value"]] < 0
    if not vma["mapping"] or copied:
        return None, 0
    return File(kernel, int(vma["mapping"])), int(address - vma["vm_start"] + vma["vm_pgoff"])


def share(task, pages):
    """Fork a task whose child keeps nothing but some pages."""
    twin = task.fork("twin")
    for vma in task._vmas():
        start, end = int(vma["vm_start"]), int(vma["vm_end"])
        edges = [start - 1, *(page for page in sorted(pages) if start <= page < end), end]
        for before, after in pairwise(edges):
            if before + 1 < after:
                twin.munmap(range(before + 1, after))


def refusal(machine, tool, pte):
    """Why an obstacle cannot be put on a page with this pte; '' if it can."""
    page = machine.tables["mem_map"][pte["value"]] if pte["flags"] & structs.PTE_PRESENT else None
    if page is None:
        return "" if tool in ("pin", "dirty") else f"it is not in memory, so there is nothing to {tool}"
    if page["flags"] & structs.PG_reserved and tool != "dirty":
        return "it is the zero page, which is the kernel's"
    if tool == "lock" and page["flags"] & structs.PG_locked:
        return "its lock is held already"
    if tool == "dirty" and (page["flags"] & structs.PG_dirty or pte["flags"] & structs.PTE_DIRTY):
        return "it has been written, so it is dirty already"
    return "several tasks map it already" if tool == "share" and page["mapcount"] > 1 else ""


class Placing:
    """The part of a MigrationLab that puts obstacles in the way of the call: what a click does."""

    def place(self, tool, page):
        """Put an obstacle on a page of the first task, counted from 0, or take it away again; the call runs anew.

        `tool`: lock, pin, dirty or share. ValueError: why that cannot be.
        """
        own = self.recording.pte_address[self.recording.pte_pid == self.kernel.tasks[0].pid]
        if tool not in DONE or not 0 <= page < len(own):
            raise ValueError(f"tool is {tool!r}, page {page!r}; give one of {', '.join(DONE)}, and 0 to {len(own) - 1}")
        self._toggle(tool, self.kernel.tasks[0].pid, int(own[page]))

    def _page(self, page):
        """(pid, virtual page) of a page: its number in the first task, or '5 of b'; ValueError: there is none."""
        recording, (number, _, task) = self.recording, str(page).partition(" of ")
        pids = [pid for pid in recording.pids if recording.name(pid) == task] if task else recording.pids[:1]
        own = recording.pte_address[recording.pte_pid == pids[0]] if pids else ()
        if not (number.isdecimal() and int(number) < len(own)):
            raise ValueError(f"There is no page {page}")
        return pids[0], int(own[int(number)])

    def _pick(self, stage, cell):
        """A square was clicked."""
        tool = self.controls["tool"].value
        if tool in DONE:
            try:
                self._toggle(tool, *stage.scene.page_at(stage.at, cell))
            except ValueError as error:
                self._say(f"Not {DONE[tool]}: {error}.")
        elif not self.simple:  # a second click lets go of it
            with suppress(ValueError):
                page = stage.scene.page_at(stage.at, cell)
                self._follow(None if page == self.followed else page)

    def _toggle(self, tool, pid, page):
        recording, before = self.recording, self.placed
        where = recording.find(pid, page)
        if (tool, pid, page) not in before:
            machine = recording.at(0)
            why = "that task is an obstacle itself" if pid not in self._own else ""
            why = why or refusal(machine, tool, machine.tables["pte"][recording.pte_row[where]])
            if why:
                raise ValueError(f"{recording.virtual(where)}: {why}")
        self.placed = before ^ {(tool, pid, page)}
        if not self.run():
            self.placed = before

    def _obstacles(self):
        """Which obstacles there are, in words."""
        names = [f"{self.recording.virtual(self.recording.find(pid, page))} {DONE[tool]}"
                 for tool, pid, page in sorted(self.placed, key=lambda each: each[1:])]  # fmt: skip
        return f"Placed before the call: {', '.join(names)}." * bool(names)
