"""How a recorded kernel and the model compare."""

from .palette import BLACK, LIGHT, MIDDLE, WHITE, Look
from .style import box, canvas, drawing, sentence

LOOKS = {"equal": Look(MIDDLE, "e"), "differ": Look(LIGHT, "d", "//"), "not asked": Look(WHITE, "n", ".."),
         "unexplained": Look(BLACK, "u", "", WHITE)}  # fmt: skip


@drawing("summary", "columns", "give what mmsim.experiments.verify.summary() returned")
def verdicts(summary, *, ax=None):
    """How many cases of a recording are equal on the model, differ, or are not asked, and why.

    Parameters
    ----------
    summary : DataFrame
        As `mmsim.experiments.verify.summary` gives it.
    """
    ax = canvas(ax, 8.4, 0.27 * len(summary) + 0.9, "Recorded cases")
    names = [row.why or row.verdict for row in summary.itertuples()]
    bars = {}
    for y, row in enumerate(summary.itertuples()):
        bars.setdefault(row.verdict, ax.barh(y, row.cases, 0.72, **box(LOOKS[row.verdict])))
        ax.text(row.cases + 1.5, y, row.cases, va="center", color=BLACK)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlim=(0, 1.1 * summary["cases"].max()), ylim=(len(names) - 0.4, -0.6), xlabel="cases")
    ax.legend(list(bars.values()), list(bars), loc="lower right")
    totals = summary.groupby("verdict", observed=True)["cases"].sum()
    said = sentence(f"{row.cases} {name}" + f" ({row.verdict})" * (name != row.verdict)
                    for name, row in zip(names, summary.itertuples(), strict=True))  # fmt: skip
    total = sentence(f"{n} {name}" for name, n in totals.items())
    return ax, f"{totals.sum()} recorded cases: {total}. In detail: {said}."
