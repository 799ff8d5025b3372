"""One picture of a whole migration: page by pass, a letter a state; and the same as a table."""

import pandas as pd
from matplotlib.patches import Rectangle

from ..machine.names import page_name, task_labels
from ..mm import trace
from ..terms.arguments import counted, like
from .palette import BLACK, LIGHT, PATHS, WHITE, Look
from .style import bare, box, canvas, drawing, legend, sentence, write
from .time import last_events

# What keeps a page in a pass: a black tag, as in the lab.
KEEPS = {
    "locked by someone": ("L", {trace.LOCK_BUSY}),
    "being written": ("W", {trace.WRITEBACK_BUSY, trace.PAGEOUT_START}),
    "unknown references": ("P", {trace.REFERENCES, trace.PAGEOUT_BUSY, trace.PAGEOUT_CONGESTED, trace.REMOVE_BUSY}),
    "used lately": ("Y", {trace.YOUNG}),
    "a locked vma": ("M", {trace.VMA_LOCKED, trace.VMA_RESERVED}),
    "busy buffers": ("B", {trace.BUFFERS_BUSY}),
    "no swap slot": ("N", {trace.NO_SWAP_ENTRY, trace.NO_RADIX_NODE}),
}
OF_CODE = {code: letter for letter, codes in KEEPS.values() for code in codes}
ENDS = {trace.MOVED, trace.EVICTED, trace.FAILED, trace.FREED}
STATES = {words: Look(BLACK, letter, "", WHITE) for words, (letter, _) in KEEPS.items()}
STATES |= PATHS | {"tried": Look(LIGHT, "?")}
OF_LETTER = {look.letter: (words, look) for words, look in STATES.items()}


def letters(events, frames, paths):
    """(number of each pass that was begun, {(row, which pass): letter}).

    `events`: (code, page, new page, arg) in order.  `frames`, `paths`: of each page considered the frame in which it
    was, and where it has ended.
    """
    row = {pfn: i for i, pfn in enumerate(frames)}
    passes, found = [], {}
    for code, page, new, arg in events:
        if code == trace.PASS:
            passes.append(int(arg))
        if not passes or page not in row or code == trace.PUT_BACK:
            continue
        key = row[page], len(passes) - 1
        if code in ENDS:
            found[key] = PATHS[paths[row[page]]].letter
        elif code in OF_CODE:
            found[key] = OF_CODE[code]
        else:
            found.setdefault(key, "?")
        if code == trace.REPLACED:  # its new frame is the page now
            row[new] = row[page]
    return passes, found


def passes_table(kernel):
    """What became of each page in each pass of the last migration.

    Parameters
    ----------
    kernel : Kernel
        One that keeps a trace.

    Returns
    -------
    DataFrame
        A row a page, a column a pass, with the letters of `plots.passes` ('' where nobody looked at the page); the
        columns path and reason are those of `Migration.pages`.
    """
    like(kernel, "events last", "kernel", "give a Kernel")
    events = last_events(kernel)
    table = kernel.last.pages.drop_duplicates("old_pfn")
    frames, paths = table["old_pfn"].tolist(), table["path"].tolist()
    rows = events[["code", "page", "new_page", "arg"]].itertuples(index=False, name=None)
    passes, found = letters(rows, frames, paths)
    pids = {label: pid for pid, label in task_labels(kernel).items()}
    names = [page_name(kernel, pids[task], page) if task else f"frame {pfn}"
             for task, page, pfn in zip(table["task"], table["page"], frames, strict=True)]  # fmt: skip
    columns = [f"pass {number}" for number in passes]
    cells = [[found.get((i, turn), "") for turn in range(len(passes))] for i in range(len(frames))]
    return pd.DataFrame(cells, pd.Index(names, name="page"), columns).assign(
        path=paths, reason=table["reason"].tolist())  # fmt: skip


@drawing()
def passes(kernel, *, ax=None):
    """What became of each page in each pass of the last migration: a square for each, with a letter.

    Parameters
    ----------
    kernel : Kernel
        One that keeps a trace.
    """
    table = passes_table(kernel)
    grid = table.drop(columns=["path", "reason"])
    rows, columns = grid.shape
    ax = canvas(ax, 2.8 + 0.3 * max(columns, 12), 1.2 + 0.21 * max(rows, 4), "What became of each page in each pass")
    bare(ax)
    seen = {}
    for y, line in enumerate(grid.to_numpy()):
        for x, letter in enumerate(line):
            if letter:
                look = OF_LETTER[letter][1]
                seen[letter] = seen.get(letter, 0) + 1
                ax.add_patch(Rectangle((x + 0.04, y + 0.06), 0.92, 0.88, **box(look, linewidth=0.5)))
                write(ax, x + 0.5, y + 0.5, letter, look, pad=0.5, fontsize=8)
    step = max(1, rows // 40)
    ax.set_yticks([y + 0.5 for y in range(0, rows, step)], grid.index[::step], fontsize=8)
    ax.set_xticks([x + 0.5 for x in range(columns)], [c.partition(" ")[2] for c in grid], fontsize=8)
    ax.set(xlim=(0, max(columns, 1)), ylim=(rows, 0), xlabel="pass")
    looks = {words: look for words, look in STATES.items() if look.letter in seen}
    legend(ax, looks)
    done = [f"{words} {seen[look.letter]:,}" for words, look in looks.items()]
    return ax, f"{counted(rows, 'page')} in {counted(columns, 'pass')}, a letter a state: {sentence(done)}."
