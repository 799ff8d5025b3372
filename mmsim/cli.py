"""The command line: ``mmsim COMMAND``, or ``python -m mmsim COMMAND``.

A command is a function that adds its parser to `commands` and names what runs it; `COMMANDS` lists them.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import sys
from pathlib import Path

from .machine.writing import replacing

CODES = "Exit codes: 0 all went well, 1 it did not, 2 wrong usage or a wrong file, 130 interrupted."


def main(argv=None):
    """Run one command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="mmsim", description="A model of Linux page migration, November 2005.", epilog=CODES
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    args = parser.parse_args(argv)
    try:
        code = args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", *args.again(args), sep="\n", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


def command(commands, name, act, help, description, *examples):
    """A parser for one command, whose help ends with examples."""
    parser = commands.add_parser(
        name, help=help, description=f"{description}\n{CODES}", formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n" + "\n".join(f"  mmsim {name} {example}" for example in examples) if examples else None,
    )  # fmt: skip
    parser.set_defaults(run=act, parser=parser, again=lambda _: [])
    return parser


# -- what if


def add_run(commands):
    """``mmsim run FILE``: what one move would do."""
    parser = command(
        commands, "run", run, "what one move would do",
        "Run one scenario: a TOML file, or the name of one that ships with mmsim.\n"
        "The exit code is 1 if the run failed, or if a page that was to move did not.",
        "scheduler-moved-my-job --set scale=1/64", "mine.toml --set kernel.patches=3 --set 'machine.memory=8 GB'",
        "low-swap --set kernel.release=6.1 --set scale=1/64",
        "low-swap --json --plot paths.svg | jq .break_even",
    )  # fmt: skip
    add_scenario(parser, "draw which way the pages took, in all calls together (SVG, PNG or PDF)")
    parser.add_argument("--alone", action="store_true", help="do not ask other kernels, too")
    parser.set_defaults(again=lambda _: ["nothing is kept; a smaller machine is faster: --set scale=1/64"])


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


def setting(text):
    """(key, text of the value) of 'key=value'."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def once(args, *options):
    """End with wrong usage if a key is given twice: nobody knows which one is meant."""
    given = {}
    for option in options:
        for key, _ in getattr(args, option.removeprefix("--")):
            if key in given:
                args.parser.error(f"{key} is given twice, by {given[key]} and by {option}: give it once")
            given[key] = option


def run(args):
    """Print the figures of one run; 1 if something did not move."""
    from .machine.errors import MMSimError
    from .whatif import Scenario, ScenarioError, answer, estimate
    from .whatif.sweeps import value_of

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
    if args.plot:
        from . import plots

        save(plots.paths(result.migrations), args)
    return int(bool(result.figures["error"] or result.figures["still_there"]))


def print_table(rows, args):
    """Print rows as CSV, or as JSON, one object a line (break_even is null there for never)."""
    import pandas as pd

    table = pd.DataFrame(rows)
    print(table.to_csv(index=False) if args.csv else table.to_json(orient="records", lines=True), end="")


def save(ax, args):
    """Write a figure to a file."""
    try:
        with replacing(args.plot) as file:
            ax.figure.savefig(file, format=args.plot.suffix[1:] or None, bbox_inches="tight")
    except (OSError, ValueError) as error:
        args.parser.error(f"--plot {args.plot}: {error}")


def add_sweep(commands):
    """``mmsim sweep FILE --grid key=a,b,c``: one scenario in many variants."""
    parser = command(
        commands, "sweep", sweep, "one scenario in many variants",
        "Run every combination of some values, on all cores. Without --grid: the combinations that the file names.\n"
        "The exit code is 1 if a point failed; its row has the error, and the others are there.",
        "low-swap --grid kernel.patches=4,5,7 --grid 'kernel.swap=1 GB,4 GB' --set scale=1/64",
        "mine.toml --keep rows.jsonl --csv > rows.csv     (after ctrl-C, the same again goes on)",
        "mine.toml --grid kernel.patches=[1,3],[1,3,4],7 --plot break-even.svg",
        "mine.toml --cluster tcp://10.0.0.5:8786 --keep rows.jsonl",
    )  # fmt: skip
    add_scenario(parser, "draw the break-even of every point (SVG, PNG or PDF)")
    parser.add_argument("--grid", action="append", default=[], metavar="KEY=A,B,C", type=setting, help="values to try")
    parser.add_argument("--jobs", type=int, default=-1, metavar="N", help="processes; default: one for each core")
    parser.add_argument("--cluster", metavar="ADDRESS|FILE",
                        help="run on a dask cluster: tcp://host:8786, or its scheduler file")  # fmt: skip
    parser.add_argument("--keep", metavar="FILE", help="write each row there when it is finished, and go on from there")
    parser.add_argument("--seed", type=int, default=0, help="for scenarios that use random numbers; default: 0")
    parser.add_argument("--sensitivity", action="store_true", help="each point also with each cost halved and doubled")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(again=go_on)


def go_on(args):
    """How to go on with a sweep that was interrupted."""
    if args.keep:
        return [f"what is finished is in {args.keep}: the same command again goes on from there"]
    return ["nothing is kept; with --keep FILE, the same command again would go on from what is finished"]


def sweep(args):
    """Print one row a point; 1 if a point failed."""
    from . import whatif
    from .whatif.sweeps import value_of, values_of

    once(args, "--grid", "--set")
    grid = {key: values_of(text, key) for key, text in args.grid}
    try:
        scenario = whatif.Scenario.load(args.scenario)
        grid = (grid or scenario.grid) | {key: [value_of(text, key)] for key, text in args.set}
        if not grid:
            args.parser.error(f"{args.scenario} names no values to try: give some, as in --grid kernel.release=V1,6.1")
        shows = not args.quiet and sys.stderr.isatty()
        with on_cluster(args.cluster):
            table = whatif.sweep(scenario, grid, args.jobs, shows, keep=args.keep, seed=args.seed,
                                 sensitivity=args.sensitivity, anyway=args.anyway)  # fmt: skip
    except (ValueError, OSError) as error:
        args.parser.error(str(error))
    if args.csv or args.json:
        print_table(table, args)
    else:
        print(whatif.answer.rows_text(table))
    if args.plot:
        from . import plots

        save(plots.sweep(table), args)
    return int(table["error"].astype(bool).any())


def on_cluster(address):
    """Where the points of a sweep run."""
    if address is None:
        return contextlib.nullcontext()
    from .whatif.cluster import connected

    return connected(address)


def add_history(commands):
    """``mmsim history SCENARIO``: one scenario, or experiment, on every kernel."""
    parser = command(
        commands, "history", history, "one scenario on every kernel, and which change made each difference",
        "Run one scenario, or one experiment that ships with mmsim (`mmsim history` alone lists them), as V1 and as\n"
        "each release in which something changed; then find, by leaving them out, which changes made the difference.",
        "", "'a machine without swap'", "low-swap --set scale=1/1024 --releases 2.6.16,2.6.18,6.1",
        "mine.toml --csv > facts.csv", "'a heap that was only read' --plot history.svg",
    )  # fmt: skip
    parser.add_argument("what", nargs="?", metavar="SCENARIO|EXPERIMENT",
                        help="a TOML file, a name of `mmsim scenarios`, or an experiment")  # fmt: skip
    parser.add_argument("--releases", type=lambda text: text.split(","), metavar="A,B,C",
                        help="only these; V1: the seven patches")  # fmt: skip
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", type=setting,
                        help="another value for a key of the scenario")  # fmt: skip
    parser.add_argument("--csv", action="store_true", help="print the facts as CSV: a row a fact, a column a release")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw it (SVG, PNG or PDF)")


def history(args):
    """Print what changed, release by release."""
    from . import whatif
    from .experiments.catalogue import EXPERIMENTS
    from .experiments.history import history as run_history
    from .whatif.sweeps import value_of

    once(args, "--set")
    if args.what is None:
        for name, function in EXPERIMENTS.items():
            print(f"{name}\n    {function.__doc__}")
        return 0
    try:
        experiment = EXPERIMENTS.get(args.what) or whatif.Scenario.load(args.what)
        if args.set and args.what in EXPERIMENTS:
            args.parser.error("--set is for scenarios; an experiment has no keys")
        told = run_history(experiment, args.releases, **{key: value_of(text, key) for key, text in args.set})
    except ValueError as error:
        args.parser.error(str(error))
    if args.csv:
        print(told.facts.to_csv(), end="")
    else:
        print(f"{args.what}: {told.facts.columns[0]} to {told.facts.columns[-1]}, modelled\n")
        print(told.summary())
    if args.plot:
        from . import plots

        save(plots.history(told), args)
    return 0


def add_scenarios(commands):
    """``mmsim scenarios [NAME]``: what ships, or the text of one, to begin an own one with."""
    parser = command(
        commands, "scenarios", scenarios, "list the scenarios that ship with mmsim, or print one",
        "List the scenarios that ship with mmsim. With a name: print its file, to begin a question of your own with.",
        "", "drain-a-node > mine.toml", "--from-machine --pid 1234 > mine.toml",
        "--numactl hardware.txt --numa-maps maps.txt > mine.toml     (of another machine)",
    )  # fmt: skip
    parser.add_argument("name", nargs="?", metavar="NAME")
    parser.add_argument("--keys", action="store_true", help="print every key that a file may have")
    of = parser.add_mutually_exclusive_group()
    of.add_argument("--from-machine", action="store_true", help="print a scenario of this computer")
    of.add_argument("--numactl", metavar="FILE", type=Path, help="of one where `numactl --hardware` said this")
    maps = parser.add_mutually_exclusive_group()
    maps.add_argument("--pid", type=int, help="with the memory of this process")
    maps.add_argument("--numa-maps", metavar="FILE", type=Path, help="with the memory that /proc/PID/numa_maps had")
    parser.add_argument("--names", action="store_true", help="with the names of files; else nothing private")


def scenarios(args):
    """Print the names and questions, or one file."""
    from .whatif import answer
    from .whatif import scenarios as shipped
    from .whatif.scenario import SHIPPED
    from .whatif.schema import near

    if args.from_machine or args.numactl:
        return own_scenario(args)
    if args.pid or args.numa_maps or args.names:
        args.parser.error("--pid, --numa-maps and --names go with --from-machine or --numactl FILE")
    if args.keys:
        print(answer.keys_text())
        return 0
    if args.name and args.name not in shipped():
        args.parser.error(f"no scenario is called {args.name!r}; {near(args.name, shipped())}")
    if args.name:
        print((SHIPPED / f"{args.name}.toml").read_text(encoding="utf-8"), end="")
    else:
        for name, question in shipped().items():
            print(f"{name}\n    {question}")
    return 0


def own_scenario(args):
    """Print a scenario of a machine that somebody has."""
    from .whatif import from_machine

    try:
        maps = Path(f"/proc/{args.pid}/numa_maps") if args.pid else args.numa_maps
        print(from_machine.scenario_text(*from_machine.read(args.numactl, maps), args.names), end="")
    except OSError as error:
        args.parser.error(f"{error.filename}: {error.strerror}")
    except ValueError as error:
        args.parser.error(str(error))
    return 0


def add_lab(commands):
    """``mmsim lab``: the lessons in JupyterLab."""
    parser = command(
        commands, "lab", lab, "open the lessons in JupyterLab",
        "Open JupyterLab on copies of the lessons, in my-lessons/ of the checkout; where mmsim was installed without\n"
        "them, on this folder. Copies that you have not changed follow the originals.",
        "", "-- --no-browser --port=8890",
    )  # fmt: skip
    parser.add_argument("options", nargs="*", metavar="OPTION", help="behind --: options of jupyter lab")


def lab(args):
    """Become JupyterLab."""
    if not importlib.util.find_spec("jupyterlab"):
        args.parser.error("JupyterLab is not installed: pip install 'mmsim[lab]'")
    root, options = Path(__file__).parents[1], []
    if (root / "notebooks/index.ipynb").exists():
        try:
            from .lessons import copies

            said = copies.renew(root / "notebooks", root / "my-lessons")
        except OSError as error:
            args.parser.error(f"copying the lessons to {root / 'my-lessons'}: {error}")
        print("your copies of the lessons are in my-lessons/", *said, sep="\n", flush=True)
        options = [f"--ServerApp.root_dir={root}", "--LabApp.default_url=/lab/tree/my-lessons/index.ipynb"]
    options += args.options
    if "--no-browser" not in options and not has_display():
        options.append("--no-browser")
    if "--no-browser" in options:
        print("open the address below, with its token, in a browser", flush=True)
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", *options])


def has_display():
    """True if a browser that is started here would be seen."""
    if os.environ.get("BROWSER"):  # somebody said which one, as editors do that forward it
        return True
    if os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


# -- recordings of real kernels


def add_verify(commands):
    """``mmsim verify [FILE]``: replay what real kernels did."""
    parser = command(
        commands, "verify", verify, "replay what real Linux kernels did, and compare",
        "Replay recorded experiments on the model as the release that was recorded. The exit code is 0 if each case\n"
        "is equal, or differs by something that the model is known to lack; 1 if anything is unexplained.",
        "", "2.6.16", "6.1 --case mp_s0_s2     (with what V1 does, and the changes since)",
        "mine.jsonl --cases | less",
    )  # fmt: skip
    parser.add_argument("file", nargs="?", metavar="FILE|RELEASE", help="a recording; default: each that ships")
    parser.add_argument("--cases", action="store_true", help="list every case, and what differs")
    parser.add_argument("--case", metavar="ID", help="show what Linux, the model and V1 gave in one case")


def verify(args):
    """Print the verdicts on each record, or one case; 1 if any is unexplained."""
    from .experiments import verify as judge

    seen = []
    for name in [args.file] if args.file else judge.RECORDS:
        try:
            verdicts = judge.judge_all(judge.recording(name), args.case)
        except (OSError, ValueError) as error:
            args.parser.error(f"FILE: {error}")
        seen += verdicts
        if args.case:
            for it in verdicts:
                print(f"Linux {it.case.release}")
                print_case(it)
            continue
        print(f"{name}: {len(verdicts)} cases")
        for it in verdicts * args.cases:
            print("\n".join(judge.shown(it)))
        print("\n".join(judge.report(verdicts)), flush=True)
    if args.case and not seen:
        args.parser.error(f"--case: {args.file or 'no record'} has no case {args.case!r}")
    return int(any(it.verdict == "unexplained" for it in seen))


def print_case(it):
    """Everything about one case: what Linux, the model and V1 gave, and which changes lie between."""
    from .experiments import verify as judge

    if it.verdict == "not asked" or "error" in it.model:
        print("\n".join(judge.shown(it)))
        return
    print("\n".join(judge.shown(it, judge.facts_on(it.case, None))))
    for change in judge.changes_of(it.case):
        print(f"    since V1: {change.title} ({change.name}, {change.release})")


def add_record(commands):
    """``mmsim record [FILE]``: what the kernel of this machine does."""
    parser = command(
        commands, "record", record, "run the experiments on the Linux of this machine",
        "Run some hundred experiments on this machine, each with processes of its own, and write down what the kernel\n"
        "answers and where the pages are: a line of JSON each. Nothing but these processes is moved. What ctrl-C\n"
        "leaves is a record, too.",
        "", "mine.jsonl && mmsim verify mine.jsonl",
    )  # fmt: skip
    parser.add_argument("file", nargs="?", metavar="FILE", default="mine.jsonl", help="default: mine.jsonl")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def record(args):
    """Record this machine, which needs nothing but Python; 1 if that cannot be."""
    from .experiments.recording import record_into

    progress = iter
    if sys.stderr.isatty() and not args.quiet:
        with contextlib.suppress(ImportError):
            from tqdm import tqdm

            progress = tqdm
    try:
        done, not_possible = record_into(args.file, progress)
    except FileExistsError:
        args.parser.error(f"FILE: {args.file} exists; name another, or take it away")
    except OSError as error:
        print(f"mmsim: not recorded: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"interrupted; {args.file} has what was recorded until then", file=sys.stderr)
        return 130
    print(f"{done} experiments recorded, {not_possible} are not possible here; compare: mmsim verify {args.file}")
    return 0


def add_vm(commands):
    """``mmsim vm``: a real kernel with four nodes."""
    parser = command(
        commands, "vm", vm, "a real Linux with four NUMA nodes, in QEMU",
        "Start the kernel image of a distribution with four NUMA nodes, in QEMU: with a Python prompt; or run a file\n"
        "there (it has Linux, and out to write results to), `record`, or random histories, which are compared with\n"
        "the model of that release. It takes a minute or two.",
        "", "experiment.py", "record mine.jsonl", "--histories 100 --seed 1", "--histories 100 record histories.jsonl",
        "--kernel boot/vmlinuz-6.1.0-56-amd64 record",
    )  # fmt: skip
    parser.add_argument("what", nargs="?", metavar="FILE|record", help="a file of Python, or the word record")
    parser.add_argument("into", nargs="?", metavar="RECORD", default="mine.jsonl", help="default: mine.jsonl")
    parser.add_argument("--kernel", metavar="IMAGE", help="the kernel image; default: the newest in /boot")
    parser.add_argument("--kvm", action="store_true", help="let the processor run it: much faster, where it may")
    parser.add_argument("--histories", type=count, metavar="N", help="play N random histories")
    parser.add_argument("--steps", type=count, default=40, metavar="N", help="of a history; default: 40")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the first history; default: 0")


def count(text):
    """An argument that says how many."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number}; it must be at least 1")
    return number


def vm(args):
    """Run something on a real kernel with four nodes; 1 if it failed, or if the model differs."""
    from .linux import vm as machine

    def start(task, talk=None, script=b"", show=lambda line: print(line, file=sys.stderr), into=None):
        return machine.start(task, args.kernel, script, show, args.kvm, talk, into)

    if args.histories is not None and args.what not in (None, "record"):
        args.parser.error(f"FILE: {args.what} is not run beside --histories; `record FILE` keeps what is seen")
    if args.what == "record" and Path(args.into).exists():
        args.parser.error(f"RECORD: {args.into} exists; name another, or take it away")
    try:
        machine.found(args.kernel)
        if args.histories is not None:
            return play_histories(args, start)
        if args.what is None and sys.stdin.isatty():
            return start({"do": "prompt", "piped": False}, show=None)[0]
        if args.what is None:
            return start({"do": "prompt", "piped": True}, script=sys.stdin.buffer.read(), show=print)[0]
        if args.what == "record":
            return record_there(Path(args.into), start)
        code, text = start({"do": "run", "name": args.what}, script=Path(args.what).read_bytes())
        print(text, end="")
        return code
    except OSError as error:
        args.parser.error(str(error))


def record_there(path, start):
    """Record the machine that `start` starts; what ctrl-C leaves are whole lines."""
    try:
        code, text = start({"do": "record"}, into=path)
    except KeyboardInterrupt:
        code, text = 130, path.read_text(encoding="utf-8") if path.exists() else ""
    text = text[: text.rfind("\n") + 1]
    path.write_text(text, encoding="utf-8")  # its lines end as those of a terminal until then
    if code == 130:
        print(f"interrupted; {path} has what was recorded until then", file=sys.stderr)
        return code
    print(f"{text.count(chr(10)) - 1} experiments recorded; compare: mmsim verify {path}")
    return code


def play_histories(args, start):
    """Play random histories on the machine that `start` starts, and on the model; 1 if they differ."""
    from tqdm import tqdm

    from .experiments.compared import compare

    with open(args.into, "x", encoding="utf-8") if args.what else contextlib.nullcontext() as file:

        def keep(line):
            if file:
                file.write(json.dumps(line) + "\n")

        return int(bool(compare(start, args.seed, args.histories, args.steps, print, tqdm, keep)))


COMMANDS = [add_run, add_sweep, add_history, add_scenarios, add_verify, add_record, add_vm, add_lab]
