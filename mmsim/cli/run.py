"""``mmsim run`` and ``mmsim sweep``: what one move would do, and what it would do in many variants."""

import contextlib
import json
import sys
from pathlib import Path

from .parts import command, once, plot, print_table, setting


def add_run(commands):
    """``mmsim run FILE``: what one move would do."""
    parser = command(commands, "run", run)
    add_scenario(parser, "draw which way the pages took, in all calls together (SVG, PNG or PDF)")
    parser.add_argument("--alone", action="store_true", help="do not ask other kernels, too")
    parser.set_defaults(again=lambda _: ["nothing is kept; a smaller machine is faster: --set scale=1/64"])


def run(args):
    """Print the figures of one run; 1 if something did not move."""
    from ..machine.errors import MMSimError
    from ..whatif import Scenario, ScenarioError, answer, estimate
    from ..whatif.sweeps import value_of

    once(args, "--set")
    parameters = {key: value_of(text, key) for key, text in args.set}
    try:
        scenario = Scenario.load(args.scenario)
        with estimate.bar(scenario.plan(parameters)) as advance:
            result = scenario.run(parameters, anyway=args.anyway, progress=advance)
    except ScenarioError as error:
        args.parser.error(str(error))
    except (ImportError, MemoryError, OSError, MMSimError) as error:  # what the machine says to it
        print(f"mmsim: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    said = answer.answer(scenario, parameters, result, others=not args.alone)
    if args.json:
        print(json.dumps(answer.finite(said)))
    elif args.csv:
        print_table([answer.flat(said)], args)
    else:
        print(answer.text(said))
        print(result.figures["error"], file=sys.stderr, end="\n" * bool(result.figures["error"]))
    plot(args, "paths", result.migrations)
    return int(bool(result.figures["error"] or result.figures["still_there"]))


def add_sweep(commands):
    """``mmsim sweep FILE --grid key=a,b,c``: one scenario in many variants."""
    parser = command(commands, "sweep", sweep)
    add_scenario(parser, "draw the break-even of every point (SVG, PNG or PDF)")
    parser.add_argument("--grid", action="append", default=[], metavar="KEY=A,B,C", type=setting, help="values to try")
    parser.add_argument("--jobs", type=int, default=-1, metavar="N", help="processes; default: one for each core")
    parser.add_argument("--cluster", metavar="ADDRESS|FILE",
                        help="run on a dask cluster: tcp://host:8786, or its scheduler file")  # fmt: skip
    parser.add_argument("--keep", metavar="FILE", help="write each row there when it is finished, and go on from there")
    parser.add_argument("--seed", type=int, default=0, help="for scenarios that use random numbers; default: 0")
    parser.add_argument("--sensitivity", action="store_true", help="each point also with each cost halved and doubled")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(again=lambda args: [
        f"what is finished is in {args.keep}: the same command again goes on from there" if args.keep else
        "nothing is kept; with --keep FILE, the same command again would go on from what is finished"
    ])  # fmt: skip


def sweep(args):
    """Print one row a point; 1 if a point failed."""
    from .. import whatif
    from ..whatif.cluster import connected
    from ..whatif.sweeps import value_of, values_of

    once(args, "--grid", "--set")
    grid = {key: values_of(text, key) for key, text in args.grid}
    try:
        scenario = whatif.Scenario.load(args.scenario)
        grid = (grid or scenario.grid) | {key: [value_of(text, key)] for key, text in args.set}
        if not grid:
            args.parser.error(f"{args.scenario} names no values to try: give some, as in --grid kernel.release=V1,6.1")
        shows = not args.quiet and sys.stderr.isatty()
        with connected(args.cluster) if args.cluster else contextlib.nullcontext():
            table = whatif.sweep(scenario, grid, args.jobs, shows, keep=args.keep, seed=args.seed,
                                 sensitivity=args.sensitivity, anyway=args.anyway)  # fmt: skip
    except (ValueError, OSError) as error:
        args.parser.error(str(error))
    if args.csv or args.json:
        print_table(table, args)
    else:
        print(whatif.answer.rows_text(table))
    plot(args, "sweep", table)
    return int(table["error"].astype(bool).any())


def add_scenario(parser, plot):
    """The arguments that `run` and `sweep` share."""
    parser.add_argument("scenario", metavar="FILE|NAME", help="a TOML file, or a name of `mmsim scenarios`")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", type=setting,
                        help="another value for a key, as in kernel.swap='8 GB' or task.job.node=1")  # fmt: skip
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV")
    form.add_argument("--json", action="store_true", help="print JSON, one object a line")
    parser.add_argument("--plot", metavar="FILE", type=Path, help=plot)
    parser.add_argument("--anyway", action="store_true",
                        help="begin also where memory may not suffice, or where it takes long without numba")
