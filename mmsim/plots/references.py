"""Who holds references on a frame, as a migration counts them."""

from matplotlib.patches import FancyArrowPatch, Rectangle

from ..mm import structs
from ..terms.arguments import counted
from . import palette
from .palette import BLACK, DARK, WHITE, Look
from .style import bare, box, canvas, drawing, sentence, write

MIGRATION = Look(WHITE, "", "..")
UNKNOWN = palette.STATES["pinned"]


def holders(kernel, pfn):
    """[(who, how many references, Look)] of a frame, as if a migration had just taken it off its LRU list.

    What the kernel cannot account for comes last, with the Look UNKNOWN.
    """
    page = kernel.tables["mem_map"][pfn]
    flags, cached = int(page["flags"]), page["mapping"] >= 0 or page["flags"] & structs.PG_swapcache
    found = [("pte" if page["mapcount"] == 1 else f"{page['mapcount']} ptes", int(page["mapcount"]), palette.TASKS[0])]
    if cached:
        name = "swap cache" if flags & structs.PG_swapcache else "page cache"
        found.append((name, 1, palette.STATES[name]))
    if flags & structs.PG_private:
        found.append(("buffers", 1, palette.STATES["page cache"]))
    found.append(("the migration itself", 1, MIGRATION))
    known = sum(number for _, number, _ in found)
    unknown = int(page["count"]) + bool(flags & structs.PG_lru) - known
    return [each for each in found if each[1]] + [("somebody unknown", unknown, UNKNOWN)] * (unknown > 0)


@drawing("kernel", "tables", "give a Kernel")
def references(kernel, pfn, *, ax=None):
    """Who refers to a frame: the holders that a migration knows, and those that it does not.

    Parameters
    ----------
    kernel : Kernel
    pfn : int
        A frame that is in use and on an LRU list.  The reference that a migration takes to isolate it is counted.
    """
    found = holders(kernel, pfn)
    expected = sum(number for _, number, look in found if look is not UNKNOWN)
    total = sum(number for _, number, _ in found)
    ax = canvas(ax, 6.4, 0.75 + 0.42 * len(found), f"Who refers to frame {pfn}")
    bare(ax)
    middle = len(found) / 2
    for y, (who, number, look) in enumerate(found):
        known = look is not UNKNOWN
        ax.add_patch(Rectangle((0, y + 0.12), 2.6, 0.76, **box(look, edgecolor=BLACK)))
        write(ax, 1.3, y + 0.5, who, look, pad=1.5)
        ax.add_patch(FancyArrowPatch((2.6, y + 0.5), (5, middle + (y + 0.5 - middle) * 0.4), arrowstyle="-|>",
                                     mutation_scale=11, color=DARK if known else BLACK,
                                     linestyle="-" if known else "--", linewidth=1.2 if known else 2))  # fmt: skip
        ax.text(3.1, y + 0.5 - (y + 0.5 - middle) * 0.13, f"{number}" + " ?" * (not known), fontweight="bold",
                ha="center", va="center", bbox={"facecolor": WHITE, "edgecolor": "none", "pad": 2})  # fmt: skip
    half = max(0.75, 0.3 * len(found))
    node = int(kernel.tables["mem_map"]["node"][pfn])
    ax.add_patch(Rectangle((5, middle - half), 2.6, 2 * half, **box(palette.node(node), edgecolor=BLACK)))
    text = f"frame {pfn}\non node {node}\nexpected {expected}\ncounted {total}"
    write(ax, 6.3, middle, text, palette.node(node))
    ax.set(xlim=(-0.1, 7.7), ylim=(len(found) + 0.1, -0.1))
    said = sentence(f"{who} {number}" for who, number, _ in found)
    end = "so it may move" if total == expected else "so it must not move"
    return ax, (f"Frame {pfn} on node {node}, {counted(total, 'reference')}: {said}. The kernel expects {expected}, "
                f"{end}.")  # fmt: skip
