"""What other kernels do otherwise with the same question, found by running it on a small machine."""

from itertools import groupby, pairwise

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
    tried = sorted(known, key=AXIS.index)
    rows = alike(tried, [known[release] for release in tried])
    return rows if len(rows) > 1 else []


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
    asked = [row for row in run.left if row["asked"]]
    return words(run.figures, max(asked, key=lambda row: row["pages"], default=None))


def words(figures, most=None):
    """Figures of one run in words; `most`: the row of `Run.left` that has the most pages, if it is known."""
    wanted, stayed, evicted = (figures[name] for name in ("to_leave", "still_there", "swapped out"))
    says = share(wanted - stayed, wanted) + " of it leaves"
    says += f" ({most['why']})" if stayed and most else ""
    says += f", {share(evicted, wanted)} to swap" * bool(evicted)
    says += f", {share(figures['off_target'], wanted)} to another node than was asked for" * bool(figures["off_target"])
    says += "; swap is written" * bool(figures["swap_written"] > evicted)
    if figures["faults"]:
        says += f"; {share(figures['faults'], figures['in_use'])} of what is in use is faulted in again"
    if figures["error"]:
        says += "; then memory runs out" if "OutOfMemory" in figures["error"] else "; a call fails"
    return says


def which_kernel(facts, causes):
    """Which kernel one needs: (rows of `kernels` that do the same and what that `says`, the sentence that answers it).

    `facts`: figures of one scenario, a row a figure, a column a release (`mmsim.history`).  `causes`: by release, which
    change has made the number of pages that stay another one there.
    """
    releases, said = list(facts.columns), []
    for release in releases:
        figures = facts[release].to_dict()
        failed = figures.get("ends with") or ""
        refused = figures.get("to_leave") is None
        said.append(f"it is refused: {failed}" if refused else words(figures | {"error": failed}))
    return alike(releases, said), first(releases, facts, said, causes)


def first(releases, facts, said, causes):
    """The sentence that names the first kernel which does what was asked, and those later that do not."""
    left = [facts[release].get("still_there") for release in releases]
    done = [stays == 0 and "fails" not in says for stays, says in zip(left, said, strict=True)]
    by = [f" (by {causes[release]})" if release in causes else "" for release in releases]
    name = [f"V1{change}, which was no release," if release == "V1" else f"Linux {release}{change}"
            for release, change in zip(releases, by, strict=True)]  # fmt: skip
    if not any(done):
        fewest = min((stays for stays in left if stays is not None), default=None)
        if fewest is None:
            return "None of these kernels can be asked."
        at = left.index(fewest)
        of = f"{fewest:,} of {facts[releases[at]]['to_leave']:,} pages stay"
        return f"No kernel moves all of it. {name[at]} is the first that leaves the least: {of}."
    at = done.index(True)
    later = [release for release, reached in zip(releases[at:], done[at:], strict=True) if not reached]
    found = f"{name[at]} is the first that does all that was asked"
    found += f"; {', '.join(later)} does not" if later else ", and all after it do"
    direct = [reached and "swap" not in says for reached, says in zip(done, said, strict=True)]
    if any(direct) and not direct[at]:
        found += f". The first that writes nothing to swap for it: {name[direct.index(True)].rstrip(',')}"
    return f"{found}."


def alike(releases, said):
    """Rows of `kernels`, one or 'A to B', of whom the same is said, and what that `says`."""
    runs = [(says, [release for release, _ in run])
            for says, run in groupby(zip(releases, said, strict=True), key=lambda pair: pair[1])]  # fmt: skip
    return [{"kernels": " to ".join(dict.fromkeys((run[0], run[-1]))), "says": says} for says, run in runs]


def share(part, whole):
    """A part in per cent, or 'all', 'none'."""
    if not whole or part <= 0:
        return "nothing"
    return "all" if part >= whole else f"{max(1, min(99, round(100 * part / whole)))} %"
