"""Draw docs/img/*.svg, the figures of the README, from one migration; `make figures`.

The same machine gives the same bytes: no date, and ids that depend on the figure alone.
"""

import io
import re
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from mmsim import Kernel, Topology, plots

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


def main():
    matplotlib.rcParams["svg.hashsalt"] = "mmsim"
    IMG.mkdir(exist_ok=True)
    kernel, web, before = example()
    figures = {
        "topology": plots.topology(kernel.topology),
        "residency": plots.residency(kernel, before),
        "page_table": plots.page_table(web),
        "paths": plots.paths(kernel.last),
    }
    for name, ax in figures.items():
        save(ax, name)


if __name__ == "__main__":
    main()
