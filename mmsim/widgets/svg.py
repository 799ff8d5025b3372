"""A Scene on paper: the stage at one step, as SVG text."""

from html import escape

from .. import palette
from .scene import DIRTY, FREE, LOOKS, MARK, MARKS, PAD

STYLE = """<style>
.box{fill:none;stroke:#999}.frame,.cell,.key{stroke:#0003}.hand{fill:none;stroke:#000;stroke-width:2.5}
.way{fill:none;stroke:#000;stroke-width:1.5;marker-end:url(#mm-tip)}.b{font-weight:bold}.m{fill:#555}</style>
<defs><marker id="mm-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0L8 4L0 8z"/></marker><pattern id="mm-up" width="4" height="4" patternUnits="userSpaceOnUse">
<path d="M-1 1L1 -1M0 4L4 0M3 5L5 3" stroke="#0006"/></pattern><pattern id="mm-down" width="4" height="4"
patternUnits="userSpaceOnUse"><path d="M-1 3L1 5M0 0L4 4M3 -1L5 1" stroke="#0006"/></pattern></defs>"""


def draw(scene, step, width):
    """The stage of a scene at a step, with title and description."""
    g, (looks, letters), hand = scene.geometry(width), scene.cells(step), scene.hand(step)
    out, places = [], {}
    for group in g["groups"]:
        first, columns, w, h = (group[key] for key in ("first", "cols", "w", "h"))
        if "box" in group:
            x, y, wide, tall = group["box"]
            node, free = group["node"], int((looks[first : first + group["count"]] & 15 == FREE).sum())
            out.append(f'<rect x="{x}.5" y="{y}.5" width="{wide - 1}" height="{tall - 1}" rx="4" class="box"/>'
                       f'<path d="M{x + PAD} {y + 6}h10v10h-10z" fill="{palette.node(node).colour}"/>'
                       f'<text x="{x + 23}" y="{y + 15}"><tspan class="b">node {node}</tspan> · {free} free</text>'
                       )  # fmt: skip
        for i in range(group["count"]):
            x, y, cell = group["x"] + i % columns * w, group["y"] + i // columns * h, first + i
            places[cell] = x, y, w, h
            out.append(square("frame" if "box" in group else "cell", x, y, w, h, int(looks[cell]), chr(letters[cell])))
    for name in hand.keys() & {"old", "new"}:
        x, y, w, h = places[hand[name]]
        out.append(f'<rect x="{x - 1}" y="{y - 1}" width="{w + 1}" height="{h + 1}" class="hand"/>')
    if "new" in hand:
        (ax, ay, w, h), (bx, by, _, _) = places[hand["old"]], places[hand["new"]]
        bend = f"{(ax + bx + w) / 2} {max(ay, by) + h + 40}"
        out.append(f'<path d="M{ax + w / 2} {ay + h + 2}Q{bend} {bx + w / 2} {by + h + 2}" class="way"/>')
    for x, y, text, anchor in g["texts"]:
        out.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}" class="m">{escape(text)}</text>')
    for x, y, look, letter, text in g["legend"]:
        out.append(square("key", x, y, 15, 15, look, letter) + f'<text x="{x + 20}" y="{y + 12}">{escape(text)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width}" height="{g["height"]}" '
        f'viewBox="0 0 {width} {g["height"]}" font-family="sans-serif" font-size="11">'
        f"<title>{escape(scene.recording.text(step))}</title><desc>{escape(scene.label(step))}</desc>{STYLE}"
        f'<rect width="{width}" height="{g["height"]}" fill="#fff"/>{"".join(out)}</svg>'
    )


def square(kind, x, y, w, h, look, letter):
    """One cell: its colour, hatch, mark, dirty line and letter."""
    base, mark = LOOKS[look & 15], look >> MARK
    size, ink = f'x="{x}" y="{y}" width="{w - 1}" height="{h - 1}"', base.ink
    out = f'<rect class="{kind}" {size} fill="{base.colour}"/>'
    if base.hatch[:1] in ("/", "\\"):
        out += f'<rect {size} fill="url(#mm-{"up" if base.hatch[0] == "/" else "down"})"/>'
    if mark:
        colour, letter, _, ink = list(MARKS.values())[mark - 1]
        out += f'<rect x="{x + 2}" y="{y + 2}" width="{max(1, w - 5)}" height="{h - 5}" fill="{colour}"/>'
    if look & DIRTY and w >= 5:
        out += f'<path d="M{x} {y + h - 3}h{w - 1}v2h{1 - w}z" fill="{palette.BLUE}"/>'
    if letter.strip() and w >= 8:
        out += (f'<text x="{x + w / 2 - 0.5}" y="{y + h / 2 + 3}" text-anchor="middle" font-size="{min(11, h - 2)}" '
                f'fill="{ink}">{escape(letter)}</text>')  # fmt: skip
    return out
