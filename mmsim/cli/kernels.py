"""``mmsim history``, ``verify``, ``record`` and ``vm``: other kernels, modelled and real."""

import argparse
import contextlib
import json
import sys
from pathlib import Path

from .parts import command, once, plot, setting


def add_history(commands):
    """``mmsim history SCENARIO``: one scenario, or experiment, on every kernel."""
    parser = command(commands, "history", history)
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
    from .. import whatif
    from ..experiments.catalogue import EXPERIMENTS
    from ..experiments.history import history as run_history
    from ..whatif.sweeps import value_of

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
        print(told.summary() if args.what in EXPERIMENTS else whatif.answer.which_text(experiment, told))
    plot(args, "history", told)
    return 0


def add_verify(commands):
    """``mmsim verify [FILE]``: replay what real kernels did."""
    parser = command(commands, "verify", verify)
    parser.add_argument("file", nargs="?", metavar="FILE|RELEASE", help="a recording; default: each that ships")
    parser.add_argument("--cases", action="store_true", help="list every case, and what differs")
    parser.add_argument("--case", metavar="ID", help="show what Linux, the model and V1 gave in one case")


def verify(args):
    """Print the verdicts on each record, or one case; 1 if any is unexplained."""
    from ..experiments import verify as judge

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
                v1 = None if it.verdict == "not asked" or "error" in it.model else judge.facts_on(it.case, None)
                print("\n".join(judge.shown(it, v1)))
                for change in judge.changes_of(it.case) if v1 is not None else []:
                    print(f"    since V1: {change.title} ({change.name}, {change.release})")
            continue
        print(f"{name}: {len(verdicts)} cases")
        for it in verdicts * args.cases:
            print("\n".join(judge.shown(it)))
        print("\n".join(judge.report(verdicts)), flush=True)
    if args.case and not seen:
        args.parser.error(f"--case: {args.file or 'no record'} has no case {args.case!r}")
    return int(any(it.verdict == "unexplained" for it in seen))


def add_record(commands):
    """``mmsim record [FILE]``: what the kernel of this machine does."""
    parser = command(commands, "record", record)
    parser.add_argument("file", nargs="?", metavar="FILE", default="mine.jsonl", help="default: mine.jsonl")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def record(args):
    """Record this machine, which needs nothing but Python; 1 if that cannot be."""
    from ..experiments.recording import record_into

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
    parser = command(commands, "vm", vm)
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
    from ..linux import vm as machine

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

    from ..experiments.compared import compare

    with open(args.into, "x", encoding="utf-8") if args.what else contextlib.nullcontext() as file:

        def keep(line):
            if file:
                file.write(json.dumps(line) + "\n")

        return int(bool(compare(start, args.seed, args.histories, args.steps, print, tqdm, keep)))
