"""The answer to a question: all of it as data, and as the text that a person reads."""

import math
import textwrap
from fractions import Fraction

from ..machine.config import Costs
from ..machine.lazy import Lazy
from ..machine.results import PAGE_SIZE
from ..machine.topology import Topology
from .estimate import taken
from .otherwise import otherwise, which_kernel
from .report import FIGURES, NOT_WHOLE
from .schema import ABOUT, TIMES, UNITS, reference, toml

pd = Lazy("pandas")
WIDTH = 100  # columns of a terminal
FIXED = (NOT_WHOLE - {"break_even_s"}) | {"returned", "packets_lost"}  # all other figures grow with the machine


def answer(scenario, parameters, run, others=True):
    """What a run of a scenario answers, as what JSON knows.

    The figures come first, as `mmsim.sweep` has them: those of the machine that ran.  Of one that is made smaller by
    `scale`, "full_size" has what follows for the real one.  `parameters`: with which it was run.  `others`: ask other
    kernels, too, on a small machine.
    """
    figures = {name: run.figures[name] for name in dict.fromkeys(["kernel", *scenario.figures])}
    plan = scenario.plan(parameters) if scenario.plan else None
    preset = next((name for name in Costs.presets() if Costs.preset(name) == run.kernel.costs), None)
    scale = plan.scale if plan else 1
    full = {name: value / scale if name in NOT_WHOLE or not math.isfinite(value) else round(value / scale)
            for name, value in run.figures.items() if name not in FIXED}  # fmt: skip
    places = [
        {"node": key[0], "whose": key[1], "before": run.before.get(key, 0), "after": run.after.get(key, 0)}
        for key in sorted({**run.before, **run.after})
    ]
    return {
        **parameters, **figures, "name": scenario.name, "question": scenario.question, "scale": scale,
        "machine": machine(run.kernel), "costs": {"preset": preset} | vars(run.kernel.costs), "rate": scenario.rate,
        "full_size": full, "memory_taken": taken(), "calls": [call(one) for one in run.answers], "nodes": places,
        "left": run.left,
        "otherwise": otherwise(scenario, parameters) if others and plan else [],
    }  # fmt: skip


def machine(kernel):
    """The machine that ran: nodes, their pages, swap slots, and the preset if it is one."""
    topology, slots = kernel.topology, int(kernel.tables["sys"]["swap_slots"][0])
    presets = (name for name in Topology.presets() if Topology.preset(name).distances == topology.distances)
    return {"nodes": topology.nodes, "pages": list(topology.frames), "swap": slots, "preset": next(presets, None)}


def call(one):
    """A system call and its answer."""
    done = one.migration
    counts = {what: getattr(done, what) if done else 0 for what in ("moved", "evicted", "failed", "retried", "skipped")}
    elapsed = done.elapsed if done else 0
    return {"call": one.call, "task": one.task, "returned": one.returned} | counts | {"ns": elapsed, "error": one.error}


# -- as text


def text(said):
    """The answer for people: at full size, with units, in at most WIDTH columns."""
    return "\n".join(
        line for part in (asked(said), holds(said), stays(said), calls(said), costs_of(said), differs(said))
        for line in [*part, ""] if part
    ).rstrip()  # fmt: skip


def asked(said):
    """What was asked: the header."""
    plan, pages, scale = said["machine"], said["machine"]["pages"], said["scale"]
    sizes = {size(p / scale) for p in pages}
    each = f"of {sizes.pop()}" if len(sizes) == 1 else "of " + ", ".join(size(p / scale) for p in pages)
    about = f"{plan['preset'] or 'own'}: {plan['nodes']} nodes {each}, swap {size(plan['swap'] / scale)}"
    counted = f"{said['costs']['preset'] or 'own'}: access {duration(said['costs']['access'])}, copy of a page "
    counted += duration(said["costs"]["copy"])
    yield from wrap(said["name"])
    yield from wrap(said["question"])
    yield ""
    old = "" if "modelled" in said["kernel"] else ": the kernel of November 2005; for one of today: kernel.release=6.1"
    yield from wrap(said["kernel"] + old, "asked    ")
    yield from wrap(about, "machine  ")
    yield from wrap(counted + " (assumed; mmsim sweep --sensitivity shows what depends on them)", "costs    ")
    if scale != 1:
        ratio = f"{1 / scale:,.4g} times smaller" if scale < 1 else f"{scale:,.4g} times larger"
        by = Fraction(scale).limit_denominator(10**6)
        yield from wrap(f"{by}: a machine {ratio} was run; sizes and times below are computed from it", "scale    ")
    if said["memory_taken"] is not None:
        yield f"took     {size(said['memory_taken'] / PAGE_SIZE)} of the memory of this computer"


def holds(said):
    """What each node holds, before and after; a node of which nothing has changed is one of a list."""
    rows, same = {}, []
    for row in said["nodes"]:
        rows.setdefault(row["node"], []).append(row)
    yield f"{'node':>4}  {'what it holds':40} {'before':>10} {'after':>10}"
    for node, held in rows.items():
        if all(row["before"] == row["after"] for row in held):
            same.append(str(node))
            continue
        for n, row in enumerate(sorted(held, key=lambda row: row["whose"] == "free")):
            amounts = (size(row[when] / said["scale"]) if row[when] else "-" for when in ("before", "after"))
            yield "{:>4}  {:40} {:>10} {:>10}".format("" if n else node, row["whose"][:40], *amounts)
    if same:
        yield from wrap(f"nothing has changed on node{'s' * (len(same) > 1)} {', '.join(same)}", "      ")


def stays(said):
    """What is left where nothing was to be, why, and what would help."""
    full, rows = said["full_size"], said["left"]
    wanted, left = full["to_leave"], full["still_there"]
    done = wanted - left
    if said["nodes"] and wanted:
        swapped = f", {size(full['swapped out'])} of it to swap" * bool(full["swapped out"])
        yield from wrap(f"of {size(wanted)} that were to leave, {size(done)} did{swapped}" +
                        (f"; {size(left)} stayed" if left else ": all"), "left     ")  # fmt: skip
    for row in rows:
        amount = size(row["pages"] / said["scale"])
        why = f": {row['why']}" * bool(row["why"])
        yield from wrap(f"node {row['node']}: {amount} of {row['whose']}{why}", "  - ", "    ")
        if row["help"]:
            yield from wrap(f"what would help: {row['help']}", "    ")


def calls(said):
    """The answer of each system call."""
    yield f"{'call':44} {'of':14} {'returned':>10} {'moved':>10} {'stayed':>8} {'time':>8}"
    for one in said["calls"]:
        stayed = sum(one[what] for what in ("failed", "retried", "skipped"))
        returned = "-" if one["returned"] is None else f"{one['returned']:,}"
        yield (f"{one['call'][:44]:44} {one['task'][:14]:14} {returned:>10} {size(one['moved'] / said['scale']):>10} "
               f"{size(stayed / said['scale']):>8} {duration(one['ns'] / said['scale']):>8}").rstrip()  # fmt: skip
        if one["error"]:
            yield from wrap(one["error"], "    ")
    if said["scale"] != 1:
        yield "returned: of the machine that was run; the rest at full size"


def costs_of(said):
    """What it costs, and when it has paid for itself."""
    full = said["full_size"]
    yield from wrap(f"{duration(full['migration_ns'])} for the move, {duration(full['faults_ns'])} for "
                    f"{full['faults']:,} faults after it", "bill     ")  # fmt: skip
    paths = [f"{size(full[path])} {path}" for path in PATHS if full[path]]
    yield from wrap(", ".join(paths) or "nothing was considered", "paths    ")
    for name, what in (("off_target", "went to another node than was asked for"), ("swap_written", "written to swap"),
                       ("offline", "out of use now")):  # fmt: skip
        if full[name]:
            yield from wrap(f"{size(full[name])} {what}", "         ")
    by_reclaim = full["swap_written"] - full["swapped out"] - full["direct after writeout"]
    if by_reclaim > 0 and said["kernel"].startswith("Linux"):
        remark = "reclaim wrote that; it is modelled as in 2005, and a real kernel may choose otherwise"
        yield from wrap(remark, "         ")
    if said.get("packets_lost"):
        yield from wrap(f"{said['packets_lost']:,} packets were lost (GFP_ATOMIC allocations)", "         ")
    if "access_before" in said:
        after = said.get("access_after", math.nan)
        after = "none: memory ran out" if math.isnan(after) else f"{after:.4g} ns"
        yield f"access   {said['access_before']:.4g} ns on average before, after: {after}"
    if said.get("break_even", math.inf) == math.inf:
        yield "pays     never" if "break_even" in said else ""
        return
    yield from wrap(f"after {said['break_even']:,.4g} accesses to each page by each process: "
                    f"{duration(full['break_even_s'] * 1e9)} at {said['rate']:,} accesses to memory a second by each "
                    "process", "pays     ")  # fmt: skip


PATHS = [name for name, what in FIGURES.items() if what.startswith("pages that ended as")]


def differs(said):
    """What other kernels do otherwise."""
    if said["otherwise"]:
        yield "the same on other kernels, by running it on a small machine:"
    for row in said["otherwise"]:
        yield from wrap(f"{row['kernels']}: {row['says']}", "  - ", "    ")


def which_text(scenario, told):
    """Which kernel does what a scenario asks, then each figure that differs, by its `History`: see `which_kernel`."""
    stays = told.changed[told.changed["fact"] == "still_there"]
    rows, sentence = which_kernel(told.facts, dict(zip(stays["release"], stays["change"], strict=True)))
    lines = [line for row in rows for line in wrap(f"{row['kernels']}: {row['says']}", "  - ", "    ")]
    about = "What differs, with the change that made it; of the machine that was run:"
    parts = [*wrap(scenario.question), "", *lines, "", *wrap(sentence), "", about, "", told.summary(readable)]
    return "\n".join(parts)


def rows_text(table):
    """The rows of a sweep for people: blocks of at most WIDTH columns, each with the parameters; what failed below."""
    names = list(table.columns)
    parameters, lines, shown = names[: names.index("kernel")], [], {}
    failed = table["error"].fillna("").astype(str)
    same = table["kernel"].dropna().unique()
    lines += [f"{same[0]} answers", ""] if len(same) == 1 else []
    for name in names:
        column = table[name]
        if name in parameters or (name != "error" and (column.notna() & (column != 0)).any()):
            cells = [readable(name, value) for value in column]
            head = "pays after (time)" if name == "break_even_s" else name.replace("_ns", " (time)")
            shown[name] = [f"{cell:>{max(map(len, [head, *cells]))}}" for cell in [head, *cells]]
    shown = {name: cells for name, cells in shown.items() if name != "kernel" or len(same) > 1}
    first, blocks = [shown.pop(name) for name in parameters], [[]]
    for cells in shown.values():
        if blocks[-1] and sum(len(one[0]) + 2 for one in [*first, *blocks[-1], cells]) > WIDTH + 2:
            blocks.append([])
        blocks[-1].append(cells)
    for block in blocks:
        lines += [*("  ".join(cells) for cells in zip(*first, *block, strict=True)), ""]
    for n in failed.to_numpy().nonzero()[0].tolist():
        point = ", ".join(f"{name}={table[name].iloc[n]}" for name in parameters)
        lines.append(f"{point}: {failed.iloc[n]}")
    return "\n".join([*lines, "Counts are pages of 4 KiB, times are simulated, both of the machine that was run."])


def readable(name, value):
    """A figure for people; what is not known is empty."""
    if value is None:
        return "-"
    if isinstance(value, str) or name not in FIGURES:
        return str(value)
    if pd.isna(value):
        return ""
    if name.startswith("access_"):
        return f"{value:.4g} ns"
    if value in (math.inf, -math.inf):
        return "never"
    if name.endswith(("_ns", "_s")):
        return duration(value if name.endswith("_ns") else value * TIMES["s"])
    return f"{value:,.4g}" if name in NOT_WHOLE else f"{value:,}"


def finite(value):
    """Data as JSON knows it: null for never, and for what is not known."""
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def keys_text():
    """Every key of a scenario file, for people: what it means, its unit, an example."""
    lines, table = [], None
    for said in reference():
        if said.table != table:
            table = said.table
            lines += ["", *wrap(f"[{table}]  {ABOUT.get(table, '')}".rstrip() if table else "at the top of the file")]
        if not said.key:
            lines += wrap(said.says, "  ")
            continue
        default = f"; default: {said.default}".replace("default: required", "required") * bool(said.default)
        lines += wrap(f"{said.key} = {toml(said.example)}", "  ", "      ")
        lines += wrap(f"{said.says}{f' ({said.unit})' * bool(said.unit)}{default}", "      ")
    return "\n".join(lines).strip()


def wrap(words, first="", then=None):
    """Lines of at most WIDTH columns."""
    then = " " * len(first) if then is None else then
    return textwrap.wrap(words, WIDTH, initial_indent=first, subsequent_indent=then, break_on_hyphens=False)


def size(pages):
    """A number of pages as people say it: '4.5 GB'."""
    if pages * PAGE_SIZE < 1024:
        return "0"
    unit, each = [(u, n) for u, n in UNITS.items() if "i" not in u and n <= max(pages, UNITS["KB"])][-1]
    return f"{pages / each:,.3g} {unit}" if pages / each < 1000 else f"{pages / each:,.0f} {unit}"


def duration(ns):
    """A time as people say it: '12.3 ms'."""
    if ns >= 600 * TIMES["s"]:
        return f"{ns / 60 / TIMES['s']:,.0f} min"
    unit, each = [(unit, n) for unit, n in TIMES.items() if n <= max(ns, 1)][-1]
    return f"{ns / each:,.3g} {unit}" if ns / each < 1000 else f"{ns / each:,.0f} {unit}"


def flat(value, name=""):
    """Nested data as one row: {'calls.0.returned': 3}."""
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    else:
        return {name: value}
    return {key: v for k, part in pairs for key, v in flat(part, f"{name}.{k}" if name else str(k)).items()}
