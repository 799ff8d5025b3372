"""The swap pte, drawn: ptes, swap cache and frames of one page, and what leads where, at some moments."""

import re
from html import escape
from textwrap import wrap
from typing import NamedTuple

import numpy as np
from matplotlib.patches import FancyArrowPatch, Rectangle

from ..terms.arguments import like
from ..machine.explain import frames_behind
from ..mm import structs
from ..machine.names import task_labels
from ..machine.results import mappings
from ..race import Race, Schedule
from ..race.view import frames, places
from . import palette
from .palette import BLACK, WHITE, Look
from .style import bare, box, canvas, drawing

WIDTH, GAP = (92, 100, 132), 8  # of the boxes of the three columns, and what lies between two of one column
LEFT = (0, 120, 250)  # where the columns begin
PANEL = LEFT[2] + WIDTH[2]
INCH = 0.0135  # of a unit, in a figure
NOTHING = Look(WHITE, "")


class Box(NamedTuple):
    """A thing in the picture: its column, what it is called, what it holds, how it looks, what is wrong with it."""

    column: int
    title: str
    text: str
    look: Look
    wrong: str = ""


class Moment(NamedTuple):
    """What leads to a page: the boxes, and pairs of places in them, from which to which an arrow goes."""

    boxes: tuple
    arrows: tuple

    @property
    def wrong(self):
        """What is wrong, a line for each box."""
        return [f"✗ {b.wrong}: {b.title}" for b in self.boxes if b.wrong]

    def said(self):
        """The same in words."""
        boxes = [f"{b.title}: {b.text}" + f" ✗ {b.wrong}" * bool(b.wrong) for b in self.boxes]
        return "; ".join(boxes)


def of_race(race, also=()):
    """The moment at which a Race stands; `also`: frames that are shown although nothing leads to them any more."""
    around, held = places(race), frames(race, also)
    ptes, entries = [], []
    for place, holds, wrong in around.itertuples(index=False, name=None):
        if place.startswith("swap cache"):
            entries.append((int(place.rpartition(" ")[2]), leads_to(holds)[1], int(holds.rpartition(" ")[2]), wrong))
        else:
            ptes.append((place, holds, wrong))
    shown = []
    for pfn, node, contents, used, lock, references, wrong in held.itertuples(index=False, name=None):
        uses = [use for use in used.split("; ") if not use.startswith(("mapped by", "swap cache", "page cache"))]
        words = [contents] * (contents != "–") + uses  # how it is used otherwise is what the arrows say
        shown.append((pfn, node, ", ".join(words), lock, references, wrong))
    return moment(ptes, entries, shown)


def of_page(task, address, also=()):
    """The moment of a virtual page of a task, with all tasks that have it; its frames, also those of `also`."""
    kernel, own = task._kernel, task._kernel._pte(task, int(address))
    tables, tasks = kernel.tables, task_labels(kernel)
    pfn = int(frames_behind(tables, own.reshape(1))[0])
    entry = int(own["value"]) if own["flags"] & structs.PTE_SWAP else 0
    if pfn and tables["mem_map"]["flags"][pfn] & structs.PG_swapcache:
        entry = int(tables["mem_map"]["private"][pfn])
    used = mappings(kernel)
    kind = np.where(used["flags"] & structs.PTE_SWAP, "swap entry", "frame")
    same = (kind == "swap entry") & (used["value"] == entry) | (kind == "frame") & (used["value"] == pfn)
    rows = sorted(zip(*(used[name][same].tolist() for name in ("mm", "address", "value")), kind[same], strict=True))
    ptes = [(f"pte of {tasks[pid]}", f"{kind} {number}", "") for pid, _, number, kind in rows]
    entries = [(entry, int(tables["swap_cache"][entry]), int(tables["swap_map"][entry]), "")] * bool(entry)
    shown = []
    for number in sorted({pfn, *(e[1] for e in entries), *also} - {0}):
        page = tables["mem_map"][number]
        free = bool(page["flags"] & structs.PG_free)
        text = "free" if free else f"write {page['data']}" if page["data"] else "still empty"
        lock = "yes" if page["flags"] & structs.PG_locked else "–"
        shown.append((number, int(page["node"]), text, lock, 0 if free else int(page["count"]), ""))
    return moment(ptes or [(f"pte of {task.label}", "nothing", "")], entries, shown)


def leads_to(holds):
    """('frame' or 'swap entry', its number) of the words of `places`; ('', 0): nothing."""
    found = re.match(r"(frame|swap entry) (\d+)", holds)
    return (found[1], int(found[2])) if found else ("", 0)


def moment(ptes, entries, shown):
    """Boxes and arrows: what holds an entry or a frame, the entries, the frames."""
    boxes, at = [], {}
    for place, holds, wrong in ptes:
        look = {"frame": palette.TASKS[0], "swap entry": palette.PATHS["swapped out"]}.get(leads_to(holds)[0], NOTHING)
        boxes.append(Box(0, place, holds, look, wrong))
    for entry, pfn, users, wrong in entries:
        text = (f"cache: frame {pfn}" if pfn else "not in the cache") + f"; users {users}"
        at["swap entry", entry] = len(boxes)
        boxes.append(Box(1, f"swap entry {entry}", text, palette.SWAP_CACHE if pfn else NOTHING, wrong))
    for pfn, node, text, lock, references, wrong in shown:
        at["frame", pfn] = len(boxes)
        locked = "" if lock == "–" else ", locked" if lock == "yes" else f", locked by {lock}"
        title = f"frame {pfn} (node {node})"
        boxes.append(Box(2, title, f"{text}; references {references}{locked}", palette.node(node), wrong))
    ways = [(i, leads_to(holds)) for i, (_, holds, _) in enumerate(ptes)]
    ways += [(at["swap entry", entry], ("frame", pfn)) for entry, pfn, *_ in entries]
    return Moment(tuple(boxes), tuple((i, at[target]) for i, target in ways if target in at))


def moments_of(task, address, trigger):
    """{"before", "during", "after": Moment} of a virtual page while a function runs that moves it."""
    also, seen = set(), []

    def look():
        found = of_page(task, address, also)
        also.update(int(b.title.split()[1]) for b in found.boxes if b.column == 2)
        if not seen or found != seen[-1]:
            seen.append(found)

    look()
    with task._kernel.watch(look):
        trigger()
    look()
    after = seen[-1]
    others = [each for each in seen if each != after]
    during = max(others, key=lambda each: (away(each), others.index(each)), default=after)
    return {"before": seen[0], "during": during, "after": after}


def away(moment):
    """How far a page is from where it was: its ptes that are swap entries, and its frames."""
    swapped = sum(b.column == 0 and b.text.startswith("swap entry") for b in moment.boxes)
    return swapped, sum(b.column == 2 for b in moment.boxes)


@drawing()
def entry(what, page=0, trigger=None, *, ax=None):
    """A page's ptes, its swap entry, the swap cache and the frames: what leads where.

    Parameters
    ----------
    what : Task, Race, Schedule or dict
        A task: one of its pages, now, or before, during and after what `trigger` does.  A race, where it stands.  Or
        {title: Race or Moment} for several, one below the other.
    page : int or range
        Which page of the task: counted from 0, or an address.
    trigger : callable, optional
        A function without arguments that moves the page; it is run.
    """
    what = {"": what} if isinstance(what, (Race, Schedule)) else what
    if isinstance(what, dict):
        panels = {title: each if isinstance(each, Moment) else of_race(getattr(each, "race", each))
                  for title, each in what.items()}  # fmt: skip
        title = "What leads to the page"
    else:
        like(what, "pages", "what", "give a Task, a Race, or a dict of them")
        number, address = page_of(what, page)
        title = f"What leads to page {number} of {what.label}"
        panels = moments_of(what, address, trigger) if trigger else {"": of_page(what, address)}
    tops = [0]
    for each in panels.values():
        tops.append(tops[-1] + height(each) + 11 * len(each.wrong) + 20)
    ax = canvas(ax, INCH * PANEL + 0.3, INCH * tops[-1] + 0.5, title)
    bare(ax)
    for (when, each), top in zip(panels.items(), tops, strict=False):
        paint(ax, each, top, when)
    ax.set(xlim=(-3, PANEL + 3), ylim=(tops[-1], -3))
    return ax, f"{title}. " + " ".join(f"{when.capitalize()}{': ' * bool(when)}{each.said()}."
                                       for when, each in panels.items())  # fmt: skip


def page_of(task, page):
    """(number, address) of a page: given as a number from 0, an address, or a range of one."""
    addresses = task.pages().index
    page = page.start if hasattr(page, "start") else page
    if page in addresses:
        return int(addresses.get_loc(page)), int(page)
    if not isinstance(page, int) or not 0 <= page < len(addresses):
        raise ValueError(f"page is {page!r}; {task.label} has the pages 0 to {len(addresses) - 1}")
    return page, int(addresses[page])


# -- where things go, alike in figure and widget


def spots(moment):
    """(x, y, width, height) of each box."""
    counts, found = [0, 0, 0], []
    row = 10 + 11 * max((len(lines(each)) for each in moment.boxes), default=1)
    for each in moment.boxes:
        found.append((LEFT[each.column], 18 + counts[each.column] * (row + GAP), WIDTH[each.column], row))
        counts[each.column] += 1
    return found


def height(moment):
    return max((y + h for _, y, _, h in spots(moment)), default=0)


def lines(each):
    """The lines of a box: title and text; what is wrong stands below the picture."""
    letters = int(WIDTH[each.column] / 5.4)
    texts = [line for text in each.text.split("; ") for line in wrap(text, letters)]
    return [each.title + " ✗" * bool(each.wrong), *texts]


def ends(spots, a, b, boxes):
    """Where an arrow begins and ends; one over the middle column goes below its boxes."""
    (ax, ay, aw, ah), (bx, by, _, bh) = spots[a], spots[b]
    over = boxes[a].column == 0 and boxes[b].column == 2
    return (ax + aw, ay + ah * (0.75 if over else 0.5)), (bx, by + bh * (0.75 if over else 0.35)), over


def paint(ax, moment, top, when):
    """Draw a moment on axes."""
    where = [(x, y + top, w, h) for x, y, w, h in spots(moment)]
    if when:
        ax.text(0, top + 8, when, fontsize=10, weight="bold", va="center")
    for each, (x, y, w, h) in zip(moment.boxes, where, strict=True):
        look = box(each.look) | ({"linewidth": 2.5, "edgecolor": BLACK} if each.wrong else {})
        ax.add_patch(Rectangle((x, y), w, h, **look | {"hatch": ""}))
        for i, line in enumerate(lines(each)):
            ax.text(x + 4, y + 10 + 11 * i, line, fontsize=9, va="center", color=each.look.ink,
                    weight="bold" if i == 0 else "normal")  # fmt: skip
    for i, line in enumerate(moment.wrong):
        ax.text(0, top + height(moment) + 12 + 11 * i, line, fontsize=9, va="center", weight="bold")
    for a, b in moment.arrows:
        start, end, over = ends(where, a, b, moment.boxes)
        ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11, shrinkA=0, shrinkB=0, color=BLACK,
                                     connectionstyle=f"arc3,rad={0.25 * over}", zorder=5))  # fmt: skip


def html(moment):
    """A moment as HTML: the picture, in the colours of the page's theme around the boxes, and what is wrong."""
    where, out = spots(moment), []
    for each, (x, y, w, h) in zip(moment.boxes, where, strict=True):
        edge = 3 if each.wrong else 1
        out.append(f'<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="{each.look.colour}" stroke="#666" '
                   f'stroke-width="{edge}"/>')  # fmt: skip
        for i, line in enumerate(lines(each)):
            bold = ' font-weight="bold"' * (i == 0)
            out.append(f'<text x="{x + 4}" y="{y + 13 + 11 * i}" fill="{each.look.ink}"{bold}>{escape(line)}</text>')
    for a, b in moment.arrows:
        (x, y), (u, v), over = ends(where, a, b, moment.boxes)
        bend = f"Q{(x + u) / 2:.0f} {max(y, v) + 24:.0f} {u - 4:.0f} {v:.0f}" if over else f"L{u - 4:.0f} {v:.0f}"
        out.append(f'<path d="M{x} {y:.0f}{bend}" fill="none" stroke="currentColor" stroke-width="2" '
                   'marker-end="url(#mm-tip)"/>')  # fmt: skip
    tall = height(moment) + 14
    head = "".join(f'<text x="{x}" y="11" fill="currentColor" font-weight="bold">{name}</text>'
                   for x, name in zip(LEFT, ("who has it", "swap cache", "frames"), strict=True))  # fmt: skip
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="560" class="mm-entry" viewBox="-2 0 {PANEL + 4} {tall}" '
            f'role="img" aria-label="{escape(moment.said())}" font-size="9.5" font-family="sans-serif" '
            'style="width: 100%; display: block; max-width: 560px"><defs>'
            '<marker id="mm-tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="5" markerHeight="5" orient="auto">'
            f'<path d="M0 0L8 4L0 8z" fill="currentColor"/></marker></defs>{head}{"".join(out)}</svg>'
            + "".join(f"<b>{escape(line)}</b><br>" for line in moment.wrong))  # fmt: skip
