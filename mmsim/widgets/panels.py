"""What stands below the stage, as HTML: the flow of the pages, those that stay and why, the counters."""

from collections import defaultdict
from html import escape
from textwrap import wrap

from ..plots import palette
from ..mm import trace
from ..plots.flow import STAGES, ways
from ..plots.passes import OF_LETTER, letters
from ..machine.policy import format_nodes

# The question of STAGES that an event is about: by kernel function, those of migrate_pages() itself by event.
ASKS = {
    "check_range": 1, "migrate_page_add": 1, "isolate_lru_page": 1, "add_to_swap": 3, "kmem_cache_grow": 3,
    "pageout": 4, "shmem_writepage": 4, "writeout": 4, "try_to_release_page": 4, "migrate_page_remove_references": 5,
    "remove_mapping": 5, trace.LEFT_OUT: 1, trace.NO_MAPPING: 5,
    trace.LOCK_BUSY: 2, trace.LOCK_WAIT: 2, trace.LOCKED: 2, trace.WRITEBACK_BUSY: 2, trace.WRITEBACK_WAIT: 2,
}  # fmt: skip
ASKED = {code: STAGES[ASKS[key]] for code, (function, *_) in trace.EVENTS.items()
         for key in (function, code) if key in ASKS}  # fmt: skip
ROW, TALL = 76, 46  # y of the questions, and their height
BOXES = {stage: (37 + 80 * i, ROW, 72, TALL) for i, stage in enumerate(STAGES)} | {  # middle, width, height
    "references as expected?": (439, ROW, 78, TALL),
    "retries exhausted": (302, 13, 150, 20), "not collected": (66, 139, 110, 20), "pending": (169, 139, 82, 20),
    "freed from under us": (284, 139, 134, 20), "failed for good": (412, 139, 108, 20),
    "direct": (549, 19, 122, 20), "direct after writeout": (549, 57, 122, 20),
    "direct with buffers": (549, 95, 122, 20), "swapped out": (549, 139, 122, 20),
}  # fmt: skip
WORDS = {"direct after writeout": "after writeout", "direct with buffers": "with buffers",
         "freed from under us": "freed meanwhile", "pending": "in the list"}  # fmt: skip


def flow_svg(recordings, steps):
    """The decision graph with the pages that went each way until now; of two machines both counts."""
    graphs = []
    for recording, step in zip(recordings, steps, strict=True):
        rows, path = recording.fates(step)
        graphs.append(ways((path, trace.REASONS[reason])
                           for path, reason in zip(path.tolist(), rows["reason"].tolist(), strict=True)))  # fmt: skip
    running, counts = steps[0] < recordings[0].steps, {}
    for name in BOXES:
        end = 0 if name == STAGES[0] else 1  # what came to the first question is what goes on from it
        counts[name] = " | ".join(str(sum(n for edge, n in graph.items() if edge[end] == name)) for graph in graphs)
    total = max(1, sum(n for (a, _), n in graphs[0].items() if a == STAGES[0]))
    edges = "".join(edge(a, b, n, total) for (a, b), n in graphs[0].items())
    now = recordings[0].events["code"][max(0, steps[0] - 1) : steps[0]]  # none before and after the call
    asked = [ASKED.get(code) for code in now.tolist()]
    boxes = "".join(box(name, counts[name], name in asked, running) for name in BOXES)
    said = ", ".join(f"{name} {n}" for name, n in counts.items() if name not in STAGES[1:] and set(n) - set("0 |"))
    return (f'<svg class="mm-flow" viewBox="0 0 612 152" role="img" aria-label="Paths: {said or "no page yet"}.">'
            f"{edges}{boxes}</svg>")  # fmt: skip


def edge(a, b, count, total):
    """The way from one box to the next, as wide as many pages went there."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = BOXES[a], BOXES[b]
    if by == ay or bx > 470:
        ends = ax + aw / 2, ay, bx - bw / 2, by
    else:
        side = 1 if by > ay else -1
        ends = ax, ay + side * ah / 2, min(max(ax, bx - bw / 2 + 8), bx + bw / 2 - 8), by - side * bh / 2
    look = f'stroke-width="{1.5 + 7 * count / total:.1f}"' if count else 'class="none"'
    return '<path d="M{:.0f} {:.0f}L{:.0f} {:.0f}" {}/>'.format(*ends, look)


def box(name, count, asked, running):
    """A question with how many pages came to it, or an end with how many went there."""
    x, y, w, h = BOXES[name]
    at = f'x="{x - w / 2}" y="{y - h / 2}" width="{w}" height="{h}" rx="3"'
    if name in STAGES:
        lines = [*wrap(name, 12), count]
        texts = "".join(f'<tspan x="{x}" y="{y + 4 + 13 * (i - (len(lines) - 1) / 2):.0f}">{line}</tspan>'
                        for i, line in enumerate(lines))  # fmt: skip
        return f'<rect {at} class="{"asked" if asked else "ask"}"/><text>{texts}</text>'
    look = palette.PATHS[name]
    word = "to be tried again" if running and name == "retries exhausted" else WORDS.get(name, name)
    filled = set(count) - set("0 |")
    ground, ink = (f'style="fill:{c}"' if filled else "" for c in (look.colour, look.ink))
    fits = f'textLength="{w - 6}" lengthAdjust="spacingAndGlyphs"' * (6 * len(word) + 6.8 * len(count) > w)
    return f'<rect {at} {ground}/><text x="{x}" y="{y + 4}" {fits} {ink}>{word} <tspan>{count}</tspan></text>'


def passes_html(recording):
    """What became of each page in each pass, a letter a state: the whole run at one look."""
    rows = recording.considered(recording.steps)
    events = recording.events[["code", "page", "new_page", "arg"]].tolist()
    passes, found = letters(events, rows["old_pfn"].tolist(), [trace.PATHS[path] for path in rows["path"].tolist()])
    known = dict(zip(zip(recording.pte_pid.tolist(), recording.pte_address.tolist(), strict=True),
                     range(len(recording.pte_pid)), strict=True))  # fmt: skip
    body, used = [], {}
    for i, (pid, address, pfn) in enumerate(rows[["mm", "address", "old_pfn"]].tolist()):
        name = recording.virtual(known[pid, address]) if (pid, address) in known else f"frame {pfn}"
        cells = ""
        for turn in range(len(passes)):
            letter, style = found.get((i, turn), ""), ""
            if letter:
                used[letter], look = OF_LETTER[letter]
                style = f' style="background:{look.colour};color:{look.ink}"'
            cells += f"<td{style}>{letter}</td>"
        body.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    head = "".join(f"<th>{number}</th>" for number in passes)
    said = "; ".join(f"{letter} {words}" for letter, words in used.items())
    return (f"<table tabindex=0><caption>Each page in each pass: {escape(said) or 'no pass was run'}</caption>"
            f"<tr><th>pass</th>{head}</tr>{''.join(body)}</table>")  # fmt: skip


def stayed_html(table, caption):
    """The pages that stayed, one row for all that stayed alike; `table`: the columns of `Recording.stayed`."""
    groups, rows = defaultdict(list), []
    alike = zip(*(table[name] for name in ("task", "mappers", "what", "error", "reason")), strict=True)
    for key, page, frame in zip(alike, table["page"], table["frame"], strict=True):
        groups[key].append(page if key[0] else frame)
    for (task, mappers, what, error, reason), pages in groups.items():
        names = format_nodes(sum(1 << int(n) for n in set(pages))).replace(",", ", ")
        whose = f"of {escape(mappers)}" if task else "(frames)"
        rows.append(f'<tr><td class="n">{len(pages)}</td><td>{names} {whose}</td>'
                    f'<td>{what} <span class="one">{error}</span></td><td>{escape(reason)}</td></tr>')  # fmt: skip
    rows = rows or ["<tr><td>none</td></tr>"]
    head = "<tr><th>pages</th><th>which</th><th>outcome</th><th>because</th></tr>" * (len(groups) > 0)
    return f"<table{' tabindex=0' * (len(rows) > 2)}><caption>{caption}</caption>{head}{''.join(rows)}</table>"


def counters_html(names, counters):
    """The running counters, a column a machine, in three tables side by side."""
    head = f"<tr><td></td>{''.join(f'<th>{name}</th>' for name in names)}</tr>" * (len(names) > 1)
    rows = [f"<tr><td>{what}</td>{''.join(f'<td class=n>{each[what]}</td>' for each in counters)}</tr>"
            for what in counters[0]]  # fmt: skip
    third = -(-len(rows) // 3)
    tables = [f"<table>{head}{''.join(rows[i : i + third])}</table>" for i in range(0, len(rows), third)]
    return f'<div class="mm-caption">Since the call began</div><div class="mm-counters">{"".join(tables)}</div>'
