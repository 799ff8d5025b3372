"""What other kernels do otherwise with the same question, found by running it on a small machine."""

from itertools import pairwise

from ..machine.changes import RELEASES, order
from ..machine.errors import MMSimError

FRAMES = 2048  # of the small machine
# Between two of these that do the same, nothing else is looked for.
ANCHORS = ("V1", "2.6.16", "2.6.18", "2.6.21", "4.1", "6.1", "6.12")
AXIS = ("V1", *sorted({*RELEASES, *ANCHORS[1:]} - {"2.6.14", "2.6.16-rc1"}, key=order))


def otherwise(scenario, parameters):
    """What kernels do with a scenario: rows of `kernels` that do the same and what that `says`; none if all do.

    V1 has all seven patches here.  Of the releases, those where something changes are tried, unless those around them
    do the same.
    """
    known = {}

    def says(release):
        if release not in known:
            known[release] = outcome(scenario, parameters, release)
        return known[release]

    try:
        anchors = [AXIS.index(release) for release in ANCHORS]
        for first, last in pairwise(anchors):
            split(first, last, says)
    except ValueError:  # so small a machine cannot be
        return []
    runs = []
    for release in sorted(known, key=AXIS.index):
        if runs and runs[-1]["says"] == known[release]:
            runs[-1]["last"] = release
        else:
            runs.append({"first": release, "last": release, "says": known[release]})
    if len(runs) < 2:
        return []
    return [{"kernels": run["first"] if run["first"] == run["last"] else f"{run['first']} to {run['last']}",
             "says": run["says"]} for run in runs]  # fmt: skip


def split(first, last, says):
    """Find the borders between two places of AXIS at which a kernel does otherwise."""
    if says(AXIS[first]) != says(AXIS[last]) and last - first > 1:
        split(first, (first + last) // 2, says)
        split((first + last) // 2, last, says)


def outcome(scenario, parameters, release):
    """What one kernel does, in words."""
    given = {key: value for key, value in parameters.items() if key not in ("kernel.patches", "kernel.without")}
    given |= {"kernel.release": release}
    plan = scenario.plan(given)
    given["scale"] = plan.scale * min(1, FRAMES / sum(plan.machine.frames))
    try:
        run = scenario.run(given | {"kernel.trace": False, "kernel.compiled": False}, anyway=True)
    except (OSError, MMSimError) as error:
        return f"it ends with {type(error).__name__}"
    figures = run.figures
    wanted, stayed, evicted = (figures[name] for name in ("to_leave", "still_there", "swapped out"))
    says = share(wanted - stayed, wanted) + " of it leaves"
    if stayed:
        says += f" ({max((r for r in run.left if r['asked']), key=lambda row: row['pages'])['why']})"
    says += f", {share(evicted, wanted)} to swap" * bool(evicted)
    says += f", {share(figures['off_target'], wanted)} to another node than was asked for" * bool(figures["off_target"])
    says += "; swap is written" * bool(figures["swap_written"] > evicted)
    if figures["faults"]:
        says += f"; {share(figures['faults'], figures['in_use'])} of what is in use is faulted in again"
    if figures["error"]:
        says += "; then memory runs out" if "OutOfMemory" in figures["error"] else "; a call fails"
    return says


def share(part, whole):
    """A part in per cent, or 'all', 'none'."""
    if not whole or part <= 0:
        return "nothing"
    return "all" if part >= whole else f"{max(1, min(99, round(100 * part / whole)))} %"
