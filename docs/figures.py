"""Draw docs/img/, the figures of the README and of the site: one migration, and another one moving; `make figures`.

The same machine gives the same bytes: no date, and ids that depend on the figure alone.
"""

import io
import re
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from PIL import Image, ImageDraw, ImageFont

from mmsim import Kernel, Topology, plots
from mmsim.mm import trace
from mmsim.widgets import MigrationLab

IMG = Path(__file__).parent / "img"


def example():
    """A process whose memory is moved from node 0 to node 3, where it can be: (kernel, task, residency before)."""
    kernel = Kernel(Topology.preset("opteron-4s", frames=256))
    web, db = kernel.spawn("web"), kernel.spawn("db", node=1)
    heap, cache = web.mmap(48, name="heap"), db.mmap(64, name="cache")
    web.touch(heap, write=True)
    db.touch(cache, write=True)
    web.mmap(8, locked=True, name="keys")
    log = kernel.file("log", pages=20, fs="nfs")
    web.write(log)
    web.touch(web.mmap(20, file=log, shared=True, name="log"))
    kernel.pin(web, heap[4:7])
    before = kernel.residency()
    web.migrate_pages(0, old=0, new=3)
    return kernel, web, before


def save(ax, name):
    """Write docs/img/NAME.svg, with one decimal, and without comments and white space."""
    text = plots.describe(ax)
    about = {"Date": None, "Creator": None, "Title": ax.get_title("left"), "Description": text}
    svg = io.StringIO()
    ax.figure.savefig(svg, format="svg", metadata=about)
    plt.close(ax.figure)
    small = re.sub(r"<!--.*?-->", "", svg.getvalue())
    small = re.sub(r"\b[1-9]\d*\.\d{2,}", lambda number: f"{float(number[0]):.1f}", small)
    small = re.sub(r"[ \n]*\n[ \n]*(?=[A-Za-z\"])", " ", small)
    (IMG / f"{name}.svg").write_text(re.sub(r"\s*\n\s*", "\n", small).strip() + "\n", encoding="utf-8")
    print(f"docs/img/{name}.svg: {text}")


def machine():
    """Sixteen pages on node 0, one of which somebody has pinned."""
    kernel = Kernel(Topology.ring(nodes=4, frames=32), swap_slots=16)
    task = kernel.spawn("a", node=0)
    heap = task.mmap(16, name="heap")
    task.touch(heap, write=True)
    kernel.pin(task, heap[9:10])
    return kernel


def moving(name, width=800):
    """Write docs/img/NAME.gif: the pages as they move, with what the kernel does below; its last sentence."""
    lab = MigrationLab(machine, trigger="B", old=0, new=2)
    lab.stage.width = width
    copied = [step for step in range(1, lab.steps) if lab.recording.events["code"][step - 1] == trace.COPIED]
    frames = []
    for step in (0, *copied, lab.steps):
        stage = Image.open(io.BytesIO(lab.export("png", step)))
        frame = Image.new("RGB", (stage.width + 40, stage.height + 100), "white")
        frame.paste(stage, (20, 20))
        said = lab.recording.text(step).partition(" · ")
        ImageDraw.Draw(frame).text((20, stage.height + 45), said[2] or said[0], "black", ImageFont.load_default(26))
        frames.append(frame.quantize(64))
    times = [1500, *[250] * len(copied), 4000]  # ms
    text = f"16 pages on node 0, of which 1 is pinned, move to node 2. {lab.recording.text(lab.steps)}"
    about = {"save_all": True, "append_images": frames[1:], "duration": times, "loop": 0, "comment": text}
    frames[0].save(IMG / f"{name}.gif", **about)
    print(f"docs/img/{name}.gif: {text}")


def main():
    matplotlib.rcParams["svg.hashsalt"] = "mmsim"
    IMG.mkdir(exist_ok=True)
    kernel, web, before = example()
    figures = {
        "topology": plots.topology(kernel),
        "residency": plots.residency(kernel, before),
        "page_table": plots.page_table(web),
        "paths": plots.paths(kernel.last),
    }
    for name, ax in figures.items():
        save(ax, name)
    moving("migration")


if __name__ == "__main__":
    main()
