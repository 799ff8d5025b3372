"""A Scene on paper: the stage at one step, as SVG text or as a PNG."""

from html import escape
from io import BytesIO
from math import atan2, cos, sin

from PIL import Image, ImageDraw, ImageFont

from ..plots import palette
from .scene import BUFFERS, DIRTY, FREE, KIND, LOOKS, MARKED, PAD

STYLE = """<style>
.box{fill:none;stroke:#999}.frame,.cell,.key{stroke:#0003}.hand{fill:none;stroke:#000;stroke-width:2.5}
.way{fill:none;stroke:#000;stroke-width:1.5}.b{font-weight:bold}</style>
<defs><pattern id="mm-up" width="4" height="4" patternUnits="userSpaceOnUse">
<path d="M-1 1L1 -1M0 4L4 0M3 5L5 3" stroke="#0006"/></pattern><pattern id="mm-down" width="4" height="4"
patternUnits="userSpaceOnUse"><path d="M-1 3L1 5M0 0L4 4M3 -1L5 1" stroke="#0006"/></pattern></defs>"""
EDGES = {"box": ("#999", 1), "hand": ("#000", 2.5), "frame": ("#ccc", 1), "cell": ("#ccc", 1), "key": ("#ccc", 1)}


class Svg:
    """A pen that writes SVG."""

    def __init__(self):
        self.out = []

    def box(self, x, y, w, h, fill="", kind="", hatch=""):
        size = f'x="{x}" y="{y}" width="{w}" height="{h}"'
        looks = f' class="{kind}"' * bool(kind) + f' fill="{fill}"' * bool(fill)
        self.out.append(f"<rect{looks} {size}/>")
        if hatch:
            self.out.append(f'<rect {size} fill="url(#mm-{"up" if hatch == "/" else "down"})"/>')

    def line(self, points, tip=False):
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        self.out.append(f'<path d="M{path}z"/>' if tip else f'<path d="M{path}" class="way"/>')

    def text(self, x, y, text, anchor="start", ink="#000", size=11, bold=False):
        style = f' text-anchor="{anchor}" fill="{ink}" font-size="{size}"' + ' class="b"' * bold
        self.out.append(f'<text x="{x}" y="{y}"{style}>{escape(text)}</text>')


class Pixels:
    """A pen that paints an image, twice as large, so that it is sharp in print."""

    def __init__(self, width, height):
        self.scale, self.image = 2, Image.new("RGB", (2 * width, 2 * height), "#fff")
        self.draw = ImageDraw.Draw(self.image)

    def box(self, x, y, w, h, fill="", kind="", hatch=""):
        k, (edge, wide) = self.scale, EDGES.get(kind, ("", 0))
        corners = [x * k, y * k, (x + w) * k, (y + h) * k]
        self.draw.rectangle(corners, fill or None, edge or None, int(wide * k * 0.75))
        if hatch:
            w, h = int(w * k), int(h * k)
            lines = Image.new("L", (w, h))
            for at in range(-h, w + h, 4 * k):
                ends = [(at, h), (at + h, 0)] if hatch == "/" else [(at, 0), (at + h, h)]
                ImageDraw.Draw(lines).line(ends, 100, k)
            self.image.paste("#000", (int(x * k), int(y * k)), lines)

    def line(self, points, tip=False):
        points = [(x * self.scale, y * self.scale) for x, y in points]
        if tip:
            self.draw.polygon(points, "#000")
        else:
            self.draw.line(points, "#000", 3)

    def text(self, x, y, text, anchor="start", ink="#000", size=11, bold=False):
        font = ImageFont.load_default(size * self.scale)
        place, anchor = (x * self.scale, y * self.scale), {"start": "ls", "middle": "ms", "end": "rs"}[anchor]
        self.draw.text(place, text, ink, font, anchor, stroke_width=0.5 * bold)


def draw(scene, step, width):
    """The stage of a scene at a step as SVG, with title and description."""
    pen, height = Svg(), scene.geometry(width)["height"]
    paint(scene, step, width, pen)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif">'
        f"<title>{escape(scene.recording.text(step))}</title><desc>{escape(scene.label(step))}</desc>{STYLE}"
        f'<rect width="{width}" height="{height}" fill="#fff"/>{"".join(pen.out)}</svg>'
    )


def png(scene, step, width):
    """The same as the bytes of a PNG."""
    pen, data = Pixels(width, scene.geometry(width)["height"]), BytesIO()
    paint(scene, step, width, pen)
    pen.image.save(data, "PNG")
    return data.getvalue()


def paint(scene, step, width, pen):
    """Draw the stage of a scene at a step with a pen."""
    g, (looks, letters), hand = scene.geometry(width), scene.cells(step), scene.hand(step)
    places = {}
    for group in g["groups"]:
        first, columns, w, h = (group[key] for key in ("first", "cols", "w", "h"))
        if "box" in group:
            x, y, wide, tall = group["box"]
            free = int((looks[first : first + group["count"]] & KIND == FREE).sum())
            pen.box(x + 0.5, y + 0.5, wide - 1, tall - 1, kind="box")
            pen.box(x + PAD, y + 6, 10, 10, palette.node(group["node"]).colour)
            pen.text(x + 23, y + 15, f"{'node ' * (wide >= 124)}{group['node']}", bold=True)
            memory = f"{free} free" if group["count"] else "no memory"
            pen.text(x + (72 if wide >= 124 else 38), y + 15, memory)
        for i in range(group["count"]):
            x, y, cell = group["x"] + i % columns * w, group["y"] + i // columns * h, first + i
            places[cell] = x, y, w, h
            square(pen, "frame" if "box" in group else "cell", x, y, w, h, int(looks[cell]), chr(letters[cell]))
    for name in hand.keys() & {"old", "new"}:
        x, y, w, h = places[hand[name]]
        pen.box(x - 1, y - 1, w + 1, h + 1, kind="hand")
    if "new" in hand:
        arrow(pen, places[hand["old"]], places[hand["new"]])
    for x, y, text, anchor in g["texts"]:
        pen.text(x, y, text, anchor, "#555")
    for x, y, look, letter, text in g["legend"]:
        square(pen, "key", x, y, 15, 15, look, letter)
        pen.text(x + 20, y + 12, text)


def arrow(pen, old, new):
    """The way from one square to another: a curve below them."""
    (ax, ay, w, h), (bx, by, _, _) = old, new
    a, b, bend = (ax + w / 2, ay + h + 2), (bx + w / 2, by + h + 2), ((ax + bx + w) / 2, max(ay, by) + h + 40)
    curve = [[(1 - t) ** 2 * a[i] + 2 * t * (1 - t) * bend[i] + t * t * b[i] for i in (0, 1)]
             for t in (n / 16 for n in range(17))]  # fmt: skip
    turn = atan2(bend[1] - b[1], bend[0] - b[0])
    pen.line(curve)
    pen.line([b, *((b[0] + 9 * cos(turn + d), b[1] + 9 * sin(turn + d)) for d in (0.4, -0.4))], tip=True)


def square(pen, kind, x, y, w, h, look, letter):
    """One cell: its colour, hatch, lines for dirty and buffers, and its letter, or a tag with one or two."""
    base = LOOKS[look & KIND]
    pen.box(x, y, w - 1, h - 1, base.colour, kind, base.hatch[:1] if base.hatch[:1] in ("/", "\\") else "")
    ink = base.ink
    if look & MARKED:
        marks = [tag for i, tag in enumerate(palette.MARKS.values()) if ord(letter) >> i & 1]
        letter, ink = "".join(marks[: 1 + (w >= 16)]), palette.WHITE
        pen.box(x + 1, y + min(2, h - 2), max(1, w - 3), max(1, h - 5), palette.BLACK)
    for line, at in ((DIRTY, y + h - 4), (BUFFERS, y + 1)):
        if look & line and w >= 5:
            pen.box(x + 1, at, w - 3, 2, palette.BLACK)
    if letter.strip() and w >= 8:
        size, tag = min(14, h - 2), (min(12, h - 5) - (len(letter) > 1)) * bool(look & MARKED)
        pen.text(x + w / 2 - 0.5, y + h / 2 + 0.36 * size - 1, letter, "middle", ink, tag or size)
