"""What a migration leaves to pay: swap slots over time, and faults and slots afterwards."""

from .palette import DARK, LIGHT, PATHS, SWAP_CACHE, WHITE, Look
from .style import box, canvas, drawing, hide_cramped, label_bars, legend, sentence

LINES = (("-", 2.6), ("--", 1.8), (":", 2.2), ("-.", 1.4))  # of what is compared over time: told apart without colour
FAULTS = {"minor faults": Look(LIGHT, "m"), "protection faults": Look(WHITE, "p", "//")}


@drawing("histories", "items", "give {label: DataFrame with the columns time and slots}")
def slots(histories, *, ax=None):
    """How many swap slots are in use while pages move, over simulated time.

    Parameters
    ----------
    histories : dict of str to DataFrame
        Of each label the columns `time`, in ns since the start, and `slots`.
    """
    ax = canvas(ax, 8, 3, "Swap slots in use while the pages move")
    end, said = max(table["time"].iloc[-1] for table in histories.values()) / 1e6, []
    for i, (label, table) in enumerate(histories.items()):
        style, width = LINES[i % len(LINES)]
        time, number = [*(table["time"] / 1e6), end], [*table["slots"], table["slots"].iloc[-1]]
        ax.plot(time, number, drawstyle="steps-post", color=DARK, linestyle=style, linewidth=width, label=label)
        said.append(f"{label} at most {max(number):,}, at the end {number[-1]:,}")
    ax.set(xlim=(0, 1.02 * end), xlabel="simulated time since the migration began, in ms", ylabel="slots in use")
    ax.set_ylim(0, 1.15 * max(1, ax.dataLim.y1))
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, handlelength=4)
    return ax, f"Swap slots in use over {end:.3g} ms: {sentence(said)}."


@drawing("bills", "items", "give {kernel: what mmsim.lessons.lesson04.account() returned}")
def bill(bills, *, ax=None):
    """What accesses cost after a migration: faults by kind, and the slots and swap writes of each kernel.

    Parameters
    ----------
    bills : dict of str to dict
        Of each kernel what `mmsim.lessons.lesson04.account` gave.
    """
    looks = FAULTS | {"slots kept": SWAP_CACHE, "swap writes": PATHS["swapped out"]._replace(letter="w")}
    ax = canvas(ax, 8, 0.9 + 0.72 * len(bills), "The bill: faults, slots, writes")
    labels, said = [], []
    for y, (name, each) in enumerate(bills.items()):
        lines = {kind: sum(n for key, n in each.items() if key.endswith(kind)) for kind in FAULTS}
        lines |= {"slots kept": each["slots in use then"], "swap writes": each["written to swap"]}
        at = [(y - 0.25, 0), (y - 0.25, lines["minor faults"]), (y, 0), (y + 0.25, 0)]  # faults share a bar
        for (kind, number), (place, left) in zip(lines.items(), at, strict=True):
            bars = ax.barh(place, number, 0.23, left, **box(looks[kind]))
            labels += label_bars(ax, bars, [number], looks[kind])
            if not number and kind not in FAULTS:
                ax.text(0.6, place, f"no {kind}", va="center", fontsize=8)
        said.append(f"{name}: " + ", ".join(f"{kind} {number:,}" for kind, number in lines.items()))
    ax.set_yticks(range(len(bills)), bills)
    ax.set(ylim=(len(bills) - 0.5, -0.5), xlabel="how many", ylabel="patches")
    ax.tick_params(axis="y", length=0)
    legend(ax, looks)
    hide_cramped(ax, labels)
    return ax, f"What accesses cost after a migration. {'; '.join(said)}."
