"""The free pages of a zone: how deep each kind of allocation may go, and how many there were over time."""

from ..mm.page_alloc import zone_mark
from ..mm.structs import GFP_ATOMIC, GFP_KERNEL
from .palette import BLACK, DARK, GREY, LIGHT, MIDDLE, WHITE, Look
from .style import box, canvas, drawing, sentence

LINES = ((BLACK, "-"), (DARK, "--"), (GREY, "-."), (GREY, ":"))  # of what is compared over time


def _marks(kernel, node):
    """{name: pages} of the watermarks of a zone, highest first."""
    zone = kernel.k.zone[node]
    return {"high": zone.pages_high, "low": zone.pages_low, "min": zone.pages_min,
            "atomic": zone_mark(zone, GFP_ATOMIC)}  # fmt: skip


@drawing("kernel", "tables", "give a Kernel")
def watermarks(kernel, node=0, *, ax=None):
    """How deep into the free pages of a zone each kind of allocation may go.

    Parameters
    ----------
    kernel : Kernel
    node : int
    """
    marks, zone = _marks(kernel, node), kernel.k.zone[node]
    rows = {
        "anybody, first walk": (marks["low"], Look(LIGHT, "")),
        "GFP_KERNEL (may wait)": (zone_mark(zone, GFP_KERNEL), Look(MIDDLE, "")),
        "GFP_ATOMIC (interrupts)": (marks["atomic"], Look(LIGHT, "", "//")),
        "the same | __GFP_NOMEMALLOC": (marks["atomic"], Look(LIGHT, "", "xx")),
        "inside reclaim (PF_MEMALLOC)": (0, Look(GREY, "", "..")),
    }
    right = round(1.25 * marks["high"]) + 1
    ax = canvas(ax, 8.4, 3.2, f"Node {node}: how far down each may go")
    for y, (mark, look) in enumerate(rows.values()):
        ax.barh(y, right - mark, 0.62, mark, **box(look))
        ground = {"facecolor": WHITE, "edgecolor": "none", "pad": 1.2}
        ax.text(right * 0.99, y, f"while more than {mark:,} are free", ha="right", va="center", bbox=ground)
    for name, mark in marks.items():
        ax.axvline(mark, color=DARK, linewidth=1, linestyle="--", zorder=0)
        ax.annotate(f"{name}\n{mark:,}", (mark, 1), (0, 3), ha="center", va="bottom", fontsize=8,
                    xycoords=ax.get_xaxis_transform(), textcoords="offset points")  # fmt: skip
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(xlim=(0, right), ylim=(len(rows) - 0.5, -0.5), xlabel="free pages of the zone")
    ax.set_title(ax.get_title("left"), loc="left", pad=30)  # room for the names of the marks
    said = sentence(f"{name} while more than {mark:,}" for name, (mark, _) in rows.items())
    return ax, (f"Watermarks of node {node}: {sentence(f'{name} {mark:,}' for name, mark in marks.items())}. "
                f"Of its free pages, a page is given to {said} are free.")  # fmt: skip


@drawing("kernel", "tables", "give a Kernel")
def free_pages(histories, kernel, node=0, *, ax=None):
    """The free pages of a node over simulated time, with the watermarks of its zone.

    Parameters
    ----------
    histories : dict of str to DataFrame
        Of each label the columns `time`, in ns since the start, and `free`.
    kernel : Kernel
        Whose watermarks are drawn.
    node : int
    """
    marks = _marks(kernel, node)
    ax = canvas(ax, 8.4, 3.4, f"Free pages of node {node}")
    end = max(history["time"].iloc[-1] for history in histories.values()) / 1e6
    said = []
    for (label, history), (colour, line) in zip(histories.items(), LINES, strict=False):
        time = history["time"] / 1e6
        ax.plot(time, history["free"], drawstyle="steps-post", color=colour, linestyle=line, linewidth=1.6, label=label)
        least = history["free"].idxmin()
        said.append(f"{label} from {history['free'].iloc[0]:,} to its least, {history['free'][least]:,}, "
                    f"after {time[least]:.3g} ms")  # fmt: skip
    for name, mark in marks.items():
        ax.axhline(mark, color=DARK, linewidth=0.8, linestyle=(0, (1, 3)), zorder=0)
        ax.annotate(f"{name} {mark:,}", (1, mark), (4, 0), va="center", fontsize=8,
                    xycoords=ax.get_yaxis_transform(), textcoords="offset points")  # fmt: skip
    ax.set(xlim=(0, end), ylim=(0, 1.35 * marks["high"]), xlabel="simulated time since the call, in ms", ylabel="pages")
    ax.legend(loc="upper center")
    return ax, f"Free pages of node {node}: {sentence(said)}."
