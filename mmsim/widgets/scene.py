"""A recorded machine as boxes of squares: where everything goes, and how it looks at each step.

What a step changes is two bytes a cell, a look (a colour and marks) and a letter. Cells are numbered: the
frames by pfn, then the pages of the first tasks, then the swap slots. stage.js draws them on a canvas, svg.py on paper.
"""

import numpy as np

from ..plots import palette
from ..machine import results
from ..machine.names import file_labels
from ..mm import structs, trace

FREE, SWAP_CACHE, PAGE_CACHE, KERNEL, OTHER, OFFLINE, SWAPPED, SHARED = range(8)  # looks: what it is
NODE_0 = 8  # looks from here on: a present page, by node
TASK_0 = 16  # looks from here on: a page of a task, by task
LOOKS = [palette.STATES[s] for s in ("free", "swap cache", "page cache", "kernel", "other", "offline")]
LOOKS += [palette.PATHS["swapped out"], palette.SHARED, *map(palette.node, range(len(palette.NODES))), *palette.TASKS]
KIND = (1 << 5) - 1  # the bits of a look that are a place in LOOKS
DIRTY, BUFFERS, MARKED = 1 << 5, 1 << 6, 1 << 7  # a line below, a line above; the letter is a set of MARKS, bit by bit
MARKS = {name: 1 << i for i, name in enumerate(palette.MARKS)}
MARKED_SHORT = {"under writeback": "writeback", "in a locked vma": "locked vma", "in a journal": "journal",
                "no free swap slot": "no slot"}  # fmt: skip
STATE_NAMES = ("free", "mapped", "in the swap cache", "in the page cache", "of the kernel", "new or leaving",
               "offline")  # fmt: skip
S_FREE, S_MAPPED, S_SWAP_CACHE, S_PAGE_CACHE, S_KERNEL, S_OTHER, S_OFFLINE = range(len(STATE_NAMES))
MAX_TASKS, MAX_CELLS = 3, 2400  # of which the pages are shown, and how many of them
MAX_FILES = 5  # that the legend names
LABEL, TEXT, PAD, HEAD, GAP = 104, 6.3, 8, 20, 18  # px: label of a strip, a letter, and distances between things
USUAL, LARGE = (120, 20), (214, 26)  # px: height for the squares of a row of nodes, and the largest square


class Scene:
    """How a recording looks."""

    def __init__(self, recording, large=False):
        self.recording, self.large, self._states = recording, large, (-1, None)
        names = {pid: recording.name(pid) for pid in recording.pids}
        files = file_labels(recording)
        letters = [ord(letter) for letter in palette.letters([*names.values(), *files.values()])]
        self.letters = dict(zip(names, letters, strict=False))
        self.file_letters = dict(zip(files, letters[len(names) :], strict=True))
        pages = {pid: np.flatnonzero(recording.pte_pid == pid)[:MAX_CELLS] for pid in recording.pids[:MAX_TASKS]}
        self.pages = np.concatenate([*pages.values(), np.zeros(0, int)]).astype(int)  # their places in the recording
        self.slots = min(recording.slots, max(16, -(-recording.slots_used // 16) * 16), MAX_CELLS)
        self.strips = [(strip_label(names[pid]), len(own)) for pid, own in pages.items()]
        self.strips += [("swap slots", self.slots)] * (self.slots > 0)
        self.looks = {pid: TASK_0 + i % len(palette.TASKS) for i, pid in enumerate(names)}
        self.legend = self._legend(names, pages, files)

    def _legend(self, names, shown, files):
        """(look, letter, text) of what may occur in this run, looks and letters as in `cells`."""
        recording, swap = self.recording, self.recording.slots > 0
        ends = [recording.at(step).tables["mem_map"] for step in (0, recording.steps)]
        entries = [(FREE, "", "free", True)]
        entries += [(self.looks[pid], chr(self.letters[pid]), f"task {names[pid]}", True) for pid in shown]
        entries += [(SHARED, palette.SHARED.letter, "shared", len(names) > 1)]
        entries += [(PAGE_CACHE, chr(self.file_letters[m]), f"file {files[m]}", True) for m in [*files][:MAX_FILES]]
        entries += [
            (PAGE_CACHE, "", "other files", len(files) > MAX_FILES),
            (SWAP_CACHE, "", "swap cache", swap), (SWAPPED, "s", "swapped out", swap), (KERNEL, "k", "kernel", True),
            (OTHER, "o", "new or leaving", True),
            (OFFLINE, "x", "offline", any(results.out_of_use(pages).any() for pages in ends)),
            (OTHER + DIRTY, "", "dirty", True), (OTHER + BUFFERS, "", "buffers", bool(files)),
        ]  # fmt: skip
        there = {
            "pinned": recording.pinned().any(), "in a locked vma": recording.any_locked_vma,
            "in a journal": bool(files), "no free swap slot": trace.NO_SWAP_ENTRY in recording.events["code"],
        }  # fmt: skip
        entries += [(OTHER + MARKED, chr(MARKS[name]), MARKED_SHORT.get(name, name), there.get(name, True))
                    for name in MARKS]  # fmt: skip
        return [entry[:3] for entry in entries if entry[3]]

    def geometry(self, width):
        """Where everything goes on a stage of that width, in px: boxes, groups of cells, texts and the legend."""
        groups, texts = [], []
        y = place_nodes(self.recording.topology, width, groups, texts, LARGE if self.large else USUAL)
        first = len(self.recording)
        for label, count in self.strips:
            y = place_strip(label, count, first, y + 8, width, groups, texts)
            first += count
        legend, height = place_legend(self.legend, width, y + 10)
        return {
            "width": width, "height": height, "groups": groups, "texts": texts, "legend": legend, "cells": first,
            "looks": [[look.colour, look.ink, look.hatch] for look in LOOKS], "marks": "".join(palette.MARKS.values()),
        }  # fmt: skip

    def states(self, step):
        """What each frame is: an array of places in STATE_NAMES."""
        if self._states[0] == step:  # picture, marks and words of a step all ask
            return self._states[1]
        pages = self.recording.at(step).tables["mem_map"][: len(self.recording)]
        flags = pages["flags"]
        state = np.full(len(pages), S_OTHER, np.uint8)
        state[pages["mapping"] > 0] = S_PAGE_CACHE
        state[pages["mapcount"] > 0] = S_MAPPED
        state[flags & structs.PG_swapcache != 0] = S_SWAP_CACHE
        state[flags & (structs.PG_slab | structs.PG_reserved) != 0] = S_KERNEL
        state[flags & structs.PG_free != 0] = S_FREE
        state[results.out_of_use(pages)] = S_OFFLINE
        self._states = step, state
        return state

    def marks(self, step):
        """What stands in the way of each frame: an array of sets of MARKS, bit by bit."""
        recording = self.recording
        tables = recording.at(step).tables
        pages = tables["mem_map"][: len(recording)]
        flags, state = pages["flags"], self.states(step)
        in_file = (flags & structs.PG_private != 0) & (flags & structs.PG_swapcache == 0)
        rows, no_slot = recording.considered(step), np.zeros(len(pages), bool)
        no_slot[rows["old_pfn"][rows["reason"] == trace.R_NO_SLOT]] = True
        marked = {
            "pinned": recording.pinned(), "locked": flags & structs.PG_locked != 0,
            "under writeback": flags & structs.PG_writeback != 0,
            "in a locked vma": recording.in_locked_vma(recording.owners(tables)[0]),
            "in a journal": in_file & (pages["private"] & structs.BH_JBD != 0),
            "no free swap slot": no_slot & (flags & structs.PG_swapcache == 0) & (state == S_MAPPED),
        }  # fmt: skip
        return sum((marked[name].astype(np.uint8) * bit for name, bit in MARKS.items()), np.zeros(len(pages), np.uint8))

    def cells(self, step):
        """An array of looks and one of letters (codes, or sets of MARKS), one entry a cell."""
        recording = self.recording
        tables = recording.at(step).tables
        pages = tables["mem_map"][: len(recording)]
        flags, state = pages["flags"], self.states(step)
        _, first, shared = recording.owners(tables)
        by_state = np.array([FREE, OTHER, SWAP_CACHE, PAGE_CACHE, KERNEL, OTHER, OFFLINE], np.uint8)
        look = by_state[state]
        letter = np.array([ord(LOOKS[kind].letter) if kind != FREE else ord(" ") for kind in by_state], np.uint8)[state]
        owned = (state == S_MAPPED) | (state == S_SWAP_CACHE)
        for pid, own in self.letters.items():
            theirs = owned & (first == pid)
            letter[theirs] = own
            look[theirs & (state == S_MAPPED)] = self.looks[pid]
        letter[owned & shared] = ord(palette.SHARED.letter)
        look[(state == S_MAPPED) & shared] = SHARED
        files = pages["mapping"].clip(0)
        of_file = (files > 0) & ((state == S_MAPPED) | (state == S_PAGE_CACHE))  # mapped or not: it is the file's
        look[of_file] = PAGE_CACHE
        for m in np.unique(files[of_file]).tolist():
            letter[of_file & (files == m)] = self.file_letters.get(m, ord("c"))
        look[flags & structs.PG_dirty != 0] |= DIRTY
        look[of_file & (flags & structs.PG_private != 0)] |= BUFFERS
        marks = self.marks(step)
        look[marks > 0] |= MARKED
        letter[marks > 0] = marks[marks > 0]
        users = tables["swap_map"][1 : self.slots + 1]
        cached = tables["swap_cache"][1 : self.slots + 1] > 0
        slots = (np.where(cached, SWAP_CACHE, np.where(users > 0, SWAPPED, FREE)),
                 np.where(users > 0, ord("0") + np.minimum(users, 9), ord(" ")))  # fmt: skip
        ptes = page_looks(tables["pte"][recording.pte_row[self.pages]], tables["swap_cache"], pages)
        return tuple(np.concatenate(parts).astype(np.uint8) for parts in zip((look, letter), ptes, slots, strict=True))

    def hand(self, step):
        """The page in hand: its cell, the cell of the new page, other cells that concern it, and the distance."""
        recording = self.recording
        old, new = recording.hands[step].tolist()
        if not old:
            return {}
        tables = recording.at(step).tables
        concerned = np.concatenate([recording.owners(tables)[0][self.pages], tables["swap_cache"][1 : self.slots + 1]])
        also = np.flatnonzero((concerned == old) | (concerned == (new or old)))
        hand = {"old": old, "also": (len(recording) + also).tolist()}
        if new:
            a, b = tables["mem_map"]["node"][[old, new]]
            hand |= {"new": new, "distance": recording.topology.distances[a][b]}
        return hand | {"fly": bool(recording.events["code"][step - 1] == trace.COPIED)}

    def page_at(self, step, cell):
        """(pid, virtual page) of a square at a step; ValueError: why there is none."""
        recording, page = self.recording, cell - len(self.recording)
        if page >= len(self.pages):
            raise ValueError("a swap slot is no page; choose a page that a task maps")
        frames = recording.owners(recording.at(step).tables)[0]
        pfn = frames[self.pages[page]] if page >= 0 else cell
        places = self.pages[[page]] if page >= 0 and not pfn else np.flatnonzero(frames == pfn)
        what = STATE_NAMES[self.states(step)[cell]] if page < 0 else ""
        if page < 0 and (not pfn or not len(places) or what == STATE_NAMES[S_KERNEL]):
            raise ValueError(f"frame {cell} is {what}; choose a page that a task maps")
        return int(recording.pte_pid[places[0]]), int(recording.pte_address[places[0]])

    # -- in words

    def label(self, step):
        """What the stage shows."""
        states = self.states(step)
        words, first = [], 0
        for node, frames in enumerate(self.recording.topology.frames):
            counts = np.bincount(states[first : first + frames], minlength=len(STATE_NAMES))
            here = [f"{n} {name}" for n, name in zip(counts, STATE_NAMES, strict=False) if n]
            words.append(f"node {node}: {', '.join(here) or 'no memory'}")
            first += frames
        old, new = self.recording.hands[step].tolist()
        if old:
            hand = f"in hand is {self.recording.called(old, step)}"
            words.append(hand + f", on its way to frame {new}" * bool(new))
        return f"Page frames of {self.recording.topology.nodes} nodes. " + "; ".join(words) + "."

    def describe(self, step, cell):
        """What a cell is."""
        recording, tables = self.recording, self.recording.at(step).tables
        page, slot = cell - len(recording), cell - len(recording) - len(self.pages) + 1
        if slot > 0:
            users = tables["swap_map"][slot]
            return f"swap slot {slot}: " + (f"users {users}{cached_as(tables, slot)}" if users else "free")
        if page >= 0:
            pte = tables["pte"][recording.pte_row[self.pages[page]]]
            return f"{recording.virtual(self.pages[page])}: {describe_pte(tables, pte)}"
        frame, state, marks = tables["mem_map"][cell], self.states(step)[cell], self.marks(step)[cell]
        mapped = map(recording.virtual, np.flatnonzero(recording.owners(tables)[0] == cell)[:3])
        words = [f"frame {cell} on node {frame['node']}: " + (", ".join(mapped) or STATE_NAMES[state])]
        file = results.file_names(self.recording.at(step))[cell]
        words += [f"page {frame['index']} of file {file}"] * bool(file)
        words += [name for name, bit in MARKS.items() if marks & bit]
        buffers = "dirty buffers" if frame["private"] & structs.BH_Dirty else "buffers"
        words += [buffers] * bool(file and frame["flags"] & structs.PG_private)
        words += [f"references {frame['count']}, {frame['mapcount']} of them from ptes"] * bool(frame["count"])
        flags = results.flag_text([frame["flags"]], results.FLAG_NAMES)[0].replace(" ", ", ")
        return "; ".join(words + [f"flags {flags}"] * bool(flags))


def cached_as(tables, entry):
    pfn = tables["swap_cache"][entry]
    return f", in the swap cache as frame {pfn}" if pfn else ""


def describe_pte(tables, pte):
    if pte["flags"] & structs.PTE_SWAP:
        return f"swap entry {pte['value']}{cached_as(tables, pte['value'])}"
    if not pte["flags"] & structs.PTE_PRESENT:
        return "not present"
    bits = results.flag_text([pte["flags"]], results.PTE_FLAG_NAMES)[0].replace(" ", ", ")
    return f"frame {pte['value']} on node {tables['mem_map']['node'][pte['value']]}; pte {bits or 'read-only, old'}"


def page_looks(ptes, swap_cache, pages):
    """Looks and letters of virtual pages: the node of a present one, s for a swap entry, z for the zero page."""
    present, swap = ptes["flags"] & structs.PTE_PRESENT != 0, ptes["flags"] & structs.PTE_SWAP != 0
    pfn = np.where(present, ptes["value"], 0)
    node = pages["node"][pfn]
    zero = present & (pages["flags"][pfn] & structs.PG_reserved != 0)
    look = np.where(present, NODE_0 + node % len(palette.NODES), FREE)
    letter = np.where(present, ord("0") + node % 10, ord("-"))
    cached = swap_cache[ptes["value"] * swap] > 0
    look[swap], letter[swap] = np.where(cached, SWAP_CACHE, SWAPPED)[swap], ord("s")
    look[zero], letter[zero] = OTHER, ord("z")
    return look, letter


def strip_label(task):
    """What stands before the pages of a task; of a long label the end counts, which may be its pid."""
    room = int((LABEL - 6) / TEXT)
    return next((text for text in (f"pages of {task}", task) if len(text) <= room), f"…{task[1 - room :]}")


def place_nodes(topology, width, groups, texts, room):
    """The boxes of the nodes, further apart where the distance is larger; the y below them."""
    n, distance = topology.nodes, topology.distances
    rows = next(rows for rows in range(1, n + 1) if width // -(-n // rows) >= 130 or rows == n)
    across = -(-n // rows)
    far = [max(distance[i][i + 1] for i in range(column, n - 1, across)) for column in range(across - 1)]
    gaps = [int(14 + 0.6 * min(60, d)) for d in far]
    w = (width - 2 - sum(gaps)) // across
    columns, cell = fit(max(topology.frames), w - 2 * PAD, rows, *room)
    wide = TEXT * (len("  ".join(map(str, distance[0]))) + 11)
    word = "distances  " * (w > wide + 2 * PAD)
    under = 0 if w >= 120 + wide else 1 if word or w > wide - 9 * TEXT else 2  # lines below the name, or beside it
    part = -(-n // max(1, under))
    numbers = [["  ".join(map(str, row[i : i + part])) for i in range(0, n, part)] for row in distance]
    head = HEAD + 14 * under
    tall = -(-max(topology.frames) // columns) * cell + head + PAD
    first = 0
    for node, frames in enumerate(topology.frames):
        row, column = divmod(node, across)
        x, y = 1 + column * w + sum(gaps[:column]), 1 + row * (tall + GAP)
        groups.append({
            "first": first, "count": frames, "x": x + (w - columns * cell) // 2, "y": y + head, "w": cell, "h": cell,
            "cols": columns, "box": [x, y, w, tall], "node": node,
        })  # fmt: skip
        first += frames
        for line, text in enumerate(reversed(numbers[node])):
            side = [x + PAD, "start"] if under else [x + w - PAD, "end"]
            texts.append([side[0], y + head - 5 - 14 * line, word + text, side[1]])
        if column + 1 < across and node + 1 < n:
            texts.append([x + w + gaps[column] / 2, y + tall / 2 + 4, str(distance[node][node + 1]), "middle"])
        if node + across < n:
            texts.append([x + w / 2, y + tall + 13, str(distance[node][node + across]), "middle"])
    return 1 + rows * (tall + GAP) - GAP


def fit(frames, width, rows, height, most):
    """(columns, size of a square) for the frames of a node: full rows, squares for a letter, or no more height."""
    small, large = (best_fit(frames, width, budget // rows, most) for budget in (height, max(224, height)))
    return large if small[1] < 11 and large[1] > 8 else small


def best_fit(frames, width, height, most):
    best = (-99, 0, 0)
    for columns in range(8, width // 2, 4):
        cell = min(most, width // columns, height // -(-frames // columns))
        best = max(best, (cell * (0.85 if cell > 10 and frames % columns else 1), columns, max(cell, 2)))
    return best[1:]


def place_strip(label, count, first, y, width, groups, texts):
    """A row of cells with a label; as many lines as it takes; the y below it."""
    lines = next((n for n in (1, 2, 3) if (width - LABEL) // -(-count // n) >= 2), 4)
    columns = -(-count // lines)
    w, h = max(1, min(16, (width - LABEL) // columns)), 16 if lines == 1 else 12
    texts.append([2, y + 12, label, "start"])
    groups.append({"first": first, "count": count, "x": LABEL, "y": y, "w": w, "h": h, "cols": columns})
    return y + lines * h


def place_legend(legend, width, y):
    """([x, y, look, letter, text] of each entry, the y below them)."""
    items, x = [], 2
    for look, letter, text in legend:
        wide = 28 + int(TEXT * len(text))
        if x + wide > width:
            x, y = 2, y + 20
        items.append([x, y, look, letter, text])
        x += wide
    return items, y + 20
