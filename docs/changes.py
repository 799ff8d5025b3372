"""Write docs/changes.md, the table of what was changed in Linux since V1, from mmsim.CHANGES."""

from pathlib import Path

from mmsim import CHANGES

HEAD = """# Kernels of other years

`Kernel(release="6.1")` is V1 with every change up to that release, `Kernel(release="6.1",
without=["file-ptes"])` the same without one of them. In `mmsim/mm` each is a switch, `k.change.file_ptes`:
search for the name, and you find all that it does. `mmsim.history(experiment)` runs one experiment on every
release below and finds, by leaving changes out, which one made each difference; `mmsim.which_change(experiment,
"V1", "6.1")` does so for two kernels, `mmsim history` on the command line, and `mmsim.widgets.HistoryLab()`
with buttons.

Before V1: Linux 2.6.14 has mbind(2) without MOVE, and no migrate_pages(2); 2.6.16-rc1 has Swap Migration V5, on
which the series builds (`patches=0`). In tables of `history` these two borders are called swap-migration, and
patch-1 to patch-7.

"""
TAIL = """
Not modelled: pages of hugetlbfs (3.12), KSM (3.9), NUMA balancing (3.8 and later), transparent huge pages
(4.14), demotion (5.15), migration in batches (6.3), the unevictable list (2.6.28), one mm of several threads
(4.4), the OOM kill of BIND (before 4.13), MADV_FREE (4.5), the estimate of sharing for large folios (6.9).
"""


def page():
    """The text of docs/changes.md; made by `python docs/changes.py`."""
    rows = [["name", "release", "before", "after", "functions", "source"], ["---"] * 6]
    for change in CHANGES:
        release = change.release + f" to {change.ends}" * bool(change.ends)
        release += f"; also {', '.join(change.backported)}" * bool(change.backported)
        functions = ", ".join(f"`{name}`" for name in change.functions)
        rows.append([change.name, release, change.before, change.after, functions, change.source])
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows) + TAIL


if __name__ == "__main__":
    (Path(__file__).parent / "changes.md").write_text(page())
