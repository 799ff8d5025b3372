"""A run, recorded event by event, so that one can look at any moment of it, forwards and backwards.

All that the kernel writes is noted meanwhile. The machine at step s is what it was before, with what was written in s
steps on top.
"""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from ..machine import results
from ..machine.errors import ERRNO_NAMES, MMSimError
from ..machine.explain import frames_behind, reasons, sharers
from ..mm import structs, trace
from ..machine.names import file_labels, listed, task_labels
from ..machine.noting import TABLES
from ..machine.task import Task
from ..machine.watching import Notes
from .parts import error_text
from .words import Words

MAX_FRAMES = 1 << 14  # of a machine that can be shown
MAX_EVENTS = 1 << 16  # of one recording; what comes after is one big step
COUNTERS = {
    "migrated": "pages migrated", "evicted": "pages swapped out", "unmapped": "ptes unmapped",
    "restored": "ptes restored", "swap_write": "swap writes", "file_write": "file writes",
    "alloc": "frames allocated", "alloc_fallback": "on a fallback node", "atomic_failures": "packets lost",
}  # fmt: skip


class Recording:
    """What happened on a machine while a function ran.

    Step 0 is the machine before, step i the machine at event i, step `steps` the machine afterwards.

    Attributes
    ----------
    events : ndarray
        The rows of the trace; event i is ``events[i - 1]``.
    hands : ndarray
        For each step two numbers: the page in hand, and the new page that is to take its place; 0: none.
    code : list of (code, int)
        The function of mmsim that wrote each event, and its line: of event i, ``code[i - 1]``.
    migration : Migration or None
        What the run left in `kernel.last`.
    error : Exception or None
        What ended the run: an OSError, a KernelBug, a KernelHang.
    """

    _owners = None, None  # of some tables

    def __init__(self, kernel, run):
        self.topology, self._book, self._release = kernel.topology, kernel._book, kernel.release
        if len(self) > MAX_FRAMES:
            raise ValueError(f"this machine has {len(self):,} page frames; the widget shows {MAX_FRAMES:,} at most")
        self._find_ptes(kernel.tables["vma"])
        begin = {name: kernel.tables[name].copy() for name in TABLES}
        begin["considered"] = begin["considered"][:0]  # of an earlier call
        notes, self.error, last = Notes(begin), None, kernel.last
        try:
            with kernel._watched_by(notes):
                run()
        except (OSError, MMSimError) as error:
            self.error = error
        notes.compare(kernel.tables)
        self.migration = kernel.last if kernel.last is not last else None
        self._words = Words(begin, notes, MAX_EVENTS)
        self.events, self.code, self.steps = self._words.events, self._words.code, len(self._words.events) + 1
        self._find_hands()
        self._at = 0, self._words.base, None
        self._before = self.at(0).tables

    def _find_ptes(self, vmas):
        """Which ptes there are: their rows, whose they are, and whether a locked vma holds them."""
        vmas = vmas[vmas["vm_mm"] != 0]
        vmas = vmas[np.lexsort((vmas["vm_start"], vmas["vm_mm"]))]
        sizes = vmas["vm_end"] - vmas["vm_start"]
        self.pte_address = np.concatenate([np.arange(v["vm_start"], v["vm_end"]) for v in vmas] or [np.zeros(0, int)])
        self.pte_row = self.pte_address + np.repeat(vmas["pte_base"], sizes)
        self.pte_pid = np.repeat(vmas["vm_mm"], sizes)
        self._pte_locked = np.repeat(vmas["vm_flags"] & structs.VM_LOCKED, sizes) != 0
        self.pids = np.unique(self.pte_pid).tolist()

    def _find_hands(self):
        """An event that names two pages has both in hand, until one names another page."""
        pages, at = np.stack([self.events["page"], self.events["new_page"]]), np.arange(len(self.events))
        named = np.array([[which in NAMED[code] for code in CODES] for which in (0, 1)])[:, self.events["code"] & 255]
        both, none = named[0] & named[1], ~(named[0] | named[1])
        one = np.where(named[0], *pages)  # what an event names that names one page
        last = np.maximum.accumulate(np.where(both, at, -1))  # that named two; -1: none has yet
        pair = np.where(last < 0, 0, pages[:, last])
        other = (named[0] ^ named[1]) & (one != pair[0]) & (one != pair[1])
        gone = np.maximum.accumulate(np.where(other, at, -1)) > last
        pair = np.where(none, 0, np.where(gone, [one, np.zeros_like(one)], pair))
        self.hands = np.pad(pair, [(0, 0), (1, 1)]).T

    # -- the machine at a step

    def at(self, step):
        """The machine at a step."""
        if self._at[0] != step or not self._at[2]:
            before, words, _ = self._at if self._at[0] < step else (0, self._words.base, None)
            words = self._words.after(words, before, step)
            self._at = step, words, moment(self._words.moment(words), self._book, self._release)
        return self._at[2]

    def frames(self, step):
        """What `kernel.frames()` would have said at a step."""
        return results.frames(self.at(step))

    def pages(self, step):
        """The pages of all tasks at a step, one row each, and what became of those that were considered."""
        tasks = [Task(self.at(step), pid) for pid in self.pids]
        table = pd.concat([task.pages().reset_index().assign(task=task.label) for task in tasks])
        if self.migration is None:
            return table.set_index(["task", "page"])
        outcome = self.migration.pages[["task", "page", "path", "error", "reason"]]
        return table.merge(outcome, "left", ["task", "page"]).set_index(["task", "page"])

    def event_table(self):
        """The events as `kernel.events()` has them, numbered by step."""
        counts = SimpleNamespace(nr_events=self.steps - 1, tracing=1)
        machine = SimpleNamespace(tables={"event": self.events}, k=SimpleNamespace(sys=counts), _book=self._book)
        table = results.events(machine).rename(lambda event: event + 1).rename_axis("step")
        return table.assign(text=[self.what(step) for step in table.index])

    def numa_maps(self, step):
        """What /proc/PID/numa_maps would have said of the first task at a step."""
        return Task(self.at(step), self.pids[0]).numa_maps() + "\n"

    def __len__(self):
        """How many frames the machine has."""
        return sum(self.topology.frames)

    @property
    def slots(self):
        """How many swap slots there are."""
        return len(self._before["swap_map"]) - 1

    @property
    def slots_used(self):
        """The highest swap entry that was in use at any step."""
        return self._words.highest("swap_map")

    # -- whose the frames are

    def owners(self, tables):
        """(frame of each pte, the swap cache's where it is swapped; first pid of each frame or 0; has it several)."""
        if self._owners[0] is tables:  # picture, marks and words of a step all ask
            return self._owners[1]
        pfn = frames_behind(tables, tables["pte"][self.pte_row])
        used = pfn > 0
        first, several = np.zeros(len(self), np.int32), np.zeros(len(self), bool)
        first[pfn[used][::-1]] = self.pte_pid[used][::-1]
        several[pfn[used][first[pfn[used]] != self.pte_pid[used]]] = True
        self._owners = tables, (pfn, first, several)
        return self._owners[1]

    def in_locked_vma(self, pfn):
        """Which frames a locked vma maps; `pfn`: the frame of each pte."""
        return np.isin(np.arange(len(self)), pfn[self._pte_locked & (pfn > 0)])

    @property
    def any_locked_vma(self):
        """Whether any page lies in a locked vma."""
        return bool(self._pte_locked.any())

    def pinned(self):
        """Which frames someone has pinned."""
        return np.isin(np.arange(len(self)), [pfn for pfns in self._book["pins"].values() for pfn in pfns])

    def name(self, pid):
        """What to call a task."""
        return task_labels(self)[int(pid)]

    def virtual(self, place):
        """A virtual page as people count: 'page 3 of a'."""
        pid = self.pte_pid[place]
        return f"page {place - np.argmax(self.pte_pid == pid)} of {self.name(pid)}"

    def find(self, pid, address):
        """The place of a virtual page among the ptes."""
        return int(np.flatnonzero((self.pte_pid == pid) & (self.pte_address == address))[0])

    # -- words

    def called(self, pfn, step):
        """What to call a page at a step by the frame that it is in: 'page 5 of a (frame 15)', or the frame."""
        code, rows = int(self.events["code"][step - 1]) if 0 < step < self.steps else 0, self.considered(step)
        left = code == trace.PUT_BACK and pfn in rows["old_pfn"][rows["new_pfn"] > 0]
        if left or code in ALLOCATIONS:
            return f"frame {pfn}"
        place = self._place_of(pfn, step)
        if place is None and step < self.steps:  # a new page has no pte before the next event
            place = self._place_of(pfn, step + 1)
        if place is not None:
            return f"{self.virtual(place)} (frame {pfn})"
        page = self.at(step).tables["mem_map"][pfn]
        file = file_labels(self).get(int(page["mapping"]))
        return f"page {page['index']} of file {file} (frame {pfn})" if file else f"frame {pfn}"

    def _place_of(self, pfn, step):
        """Where among the ptes the page in a frame is at a step, or was until it was unmapped; None: nowhere."""
        tables = self.at(step).tables
        places = np.flatnonzero(frames_behind(tables, tables["pte"][self.pte_row]) == pfn)
        rows = self.considered(step)
        rows = rows[(rows["old_pfn"] == pfn) | (rows["new_pfn"] == pfn)][-1:]
        noted = [np.flatnonzero((self.pte_pid == mm) & (self.pte_address == address))
                 for mm, address in rows[["mm", "address"]].tolist()]  # fmt: skip
        noted = np.concatenate([*noted, np.zeros(0, int)]).astype(int)
        both = [*noted[np.isin(noted, places)], *places, *noted]
        return int(both[0]) if both else None

    def what(self, step):
        """What happens in the event of a step, in words."""
        event = self.events[step - 1]
        page = self.called(int(event["page"]), step) if pages_of_event(event["code"], event["page"], 0) else ""
        return results.event_text(event, task_labels(self), page)

    def sentence(self, step):
        """The same, with the function of the kernel that does it."""
        return f"{trace.EVENTS[self.events['code'][step - 1]][0]}(): {self.what(step)}"

    def text(self, step):
        """What happened at a step, in words."""
        if step == 0:
            return f"Before the call. {len(self.events) or 'No'} events follow."
        if step == self.steps:
            return f"After the call: {self._outcome()}."
        event = self.events[step - 1]
        pass_ = f"pass {event['pass_']} · " if event["pass_"] >= 0 else ""
        return f"event {step} of {len(self.events)} · {pass_}{self.sentence(step)}"

    def _outcome(self):
        words = [error_text(self.error)] if self.error else []
        if self.migration is not None:
            words += [] if words else [f"{self.migration.trigger} returned {self.migration.returned}"]
            paths = ", ".join(f"{path} {n}" for path, n in self.migration.paths.items())
            beside = self.migration.there_was()
            words.append(f"pages: {paths}" if paths else f"nothing to move ({beside})")
            words += [f"passed over: {beside}"] * bool(paths and beside)
        return "; ".join(words) or "nothing was migrated"

    def story(self, page):
        """The sentences about one page, in order; it is followed to its new frame.

        `page`: a frame number, as the sentences have it, or a virtual page of the first task that has it.
        """
        place = np.flatnonzero(self.pte_address == page)
        if page >= len(self) and not len(place):
            raise ValueError(f"page is {page:#x}: neither a page frame nor a virtual page of a task")
        followed = {int(self.owners(self.at(0).tables)[0][place[0]]) if page >= len(self) else page}
        story = []
        for step, event in enumerate(self.events, 1):
            pages = pages_of_event(event["code"], event["page"], event["new_page"])
            if followed & set(pages):
                story.append(self.sentence(step))
                followed |= {pages[1]} if event["code"] == trace.COPIED else set()
        return story

    def steps_of(self, place):
        """The steps at which something happens to the page at a place among the ptes, also in its new frame."""
        followed, steps = {int(self.owners(self.at(0).tables)[0][place])} - {0}, []
        for step, event in enumerate(self.events[["code", "page", "new_page"]].tolist(), 1):
            pages = pages_of_event(*event)
            if followed & set(pages):
                steps.append(step)
                followed |= set(pages[1:]) if event[0] == trace.COPIED else set()
        return steps

    def steps_where(self, *codes):
        """The steps at which one of some events is written."""
        return (np.flatnonzero(np.isin(self.events["code"], codes)) + 1).tolist()

    # -- numbers

    def counters(self, step):
        """What was counted since the run began: {what: number}; at the end the simulated time."""
        now, before = self.at(step).tables, self._before
        counts = dict(zip(structs.VMSTAT, (now["vmstat"] - before["vmstat"]).tolist(), strict=True))
        table = {words: counts[name] for name, words in COUNTERS.items()}
        table["swap slots in use"] = int((now["swap_map"][1:] > 0).sum())
        table["simulated time"] = f"{(now['sys']['clock'][0] - before['sys']['clock'][0]) / 1e6:.3f} ms"
        return table

    def considered(self, step):
        """The rows of the record of the pages considered by then; before the call it is that of an earlier one."""
        tables = self.at(step).tables
        return tables["considered"][1 : int(tables["sys"]["nr_considered"][0]) * (step > 0) + 1]

    def fates(self, step):
        """The pages considered by then: (rows of the record; the path of each as text).

        Until the call has ended, what is still in the list is "pending", or "retries exhausted" where it has asked
        for a retry.
        """
        rows = self.considered(step)
        path = rows["path"].copy()
        if step < self.steps:
            waits = (rows["new_pfn"] == 0) & ~ENDED[path]
            passing = (rows["old_pfn"] == self.hands[step][0]) & (rows["reason"] == trace.R_YOUNG)
            path[waits] = np.where((rows["reason"] > 0) & ~passing, trace.PATH_RETRIED, trace.PATH_PENDING)[waits]
        return rows, np.array(trace.PATHS, object)[path]

    def stayed(self, step):
        """The pages that have not moved by then, with the reason: task, mappers, page, frame, what, error, reason."""
        return pd.DataFrame(self.stayed_columns(step)).astype({"page": "Int64"})

    def stayed_columns(self, step):
        """The same as {column: its values}: a picture of each step has no time for a DataFrame."""
        rows, what = self.fates(step)
        kept = (rows["new_pfn"] == 0) & ~np.isin(what, ("swapped out", "freed from under us"))
        if step < self.steps:
            kept &= what != "pending"
            what = np.where(ENDED[rows["path"]], what, "not yet")
        rows, what = rows[kept], what[kept]
        place = {(pid, a): i for i, (pid, a) in enumerate(zip(self.pte_pid.tolist(), self.pte_address.tolist(),
                                                              strict=True))} if len(rows) else {}  # fmt: skip
        places = [place.get(key) for key in rows[["mm", "address"]].tolist()]
        tasks, shared = task_labels(self), sharers(self.at(step))
        number, sets = shared() if shared else (np.zeros(len(self), int), [()])
        number = number[rows["old_pfn"]]
        own = ["" if i is None else tasks[int(self.pte_pid[i])] for i in places]
        begins = {pid: int(np.argmax(self.pte_pid == pid)) for pid in self.pids}
        return {
            "task": own,
            "mappers": [listed(sets[n], tasks) if n else task for n, task in zip(number, own, strict=True)],
            "page": [None if i is None else int(i - begins[self.pte_pid[i]]) for i in places],
            "frame": rows["old_pfn"].astype(int),
            "what": what,
            "error": [f"-{ERRNO_NAMES[e]}" if e else "" for e in rows["error"].tolist()],
            "reason": reasons(self.at(step), rows),
        }


ENDS = (trace.PATH_SWAPPED, trace.PATH_FREED, trace.PATH_FAILED, trace.PATH_RETRIED, trace.PATH_SKIPPED)  # unmoved
ENDED = np.isin(np.arange(len(trace.PATHS)), ENDS)
ALLOCATIONS = (trace.ALLOC_FALLBACK, trace.SLAB_PAGE)  # of frames that hold no page of anybody yet


def moment(tables, book, release):
    """A machine that stands still, as far as `mmsim.machine.results` looks at a Kernel."""
    sys = SimpleNamespace(**dict(zip(tables["sys"].dtype.names, tables["sys"][0].item(), strict=True)))
    return SimpleNamespace(tables=tables, k=SimpleNamespace(sys=sys), _book=book, release=release)


# For each event which of its two frames its sentence names.
NAMED = {code: [i for i, word in enumerate(("page {page}", "page {new}")) if word in text]
         for code, (_, _, text) in trace.EVENTS.items()}  # fmt: skip
CODES = sorted(NAMED, key=lambda code: code & 255)  # the low byte says which event it is


def pages_of_event(code, page, new_page):
    """The frames that the sentence of an event names: none, one or two."""
    return [int((page, new_page)[i]) for i in NAMED[code]]
