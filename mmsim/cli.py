"""The command line: ``mmsim COMMAND``, or ``python -m mmsim COMMAND``.

A command is a function that adds its parser to `commands` and names what runs it; `COMMANDS` lists them.
"""

import argparse
from pathlib import Path

RECORDING = Path(__file__).parents[1] / "tests/oracle/linux-6.1.jsonl"
WORDS = {
    "agree": "agree",
    "differs": "differ, because 2005 does:",
    "not modelled": "not modelled:",
    "unexplained": "unexplained",
}


def main(argv=None):
    """Run one command; its exit code."""
    parser = argparse.ArgumentParser(prog="mmsim", description="A model of Linux page migration, November 2005.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    args = parser.parse_args(argv)
    return args.run(args)


def add_verify(commands):
    """``mmsim verify [FILE]``: replay what a real kernel did."""
    parser = commands.add_parser(
        "verify",
        help="replay what a real Linux kernel did, and compare",
        description="Replay recorded experiments on the model with all seven patches. The exit code is 0 if each case "
        "agrees, differs for a named cause, or is not modelled for one; 1 if anything is unexplained.",
    )
    parser.add_argument("file", nargs="?", default=RECORDING, metavar="FILE", help="a recording; default: Linux 6.1")
    parser.add_argument("--cases", action="store_true", help="list every case, with what Linux and the model gave")
    parser.set_defaults(run=verify, parser=parser)


def verify(args):
    """Print the verdicts by cause; 1 if a case is unexplained."""
    from . import oracle

    try:
        cases = oracle.table(args.file)
    except (OSError, ValueError) as error:
        args.parser.error(f"FILE: {error}")
    if args.cases:
        for row in cases.itertuples():
            print(f"{row.case}: {row.verdict}" + f" ({row.cause})" * bool(row.cause))
            print(f"    Linux: {row.linux}" + f"\n    model: {row.model}" * bool(row.model))
        print()
    counts = oracle.summary(cases)
    for verdict, words in WORDS.items():
        here = counts[counts["verdict"] == verdict]
        print(f"{here['cases'].sum():4} {words}")
        for row in here[here["cause"] != ""].itertuples():
            print(f"     {row.cases:4} {row.cause}" + f"\n          {row.why}" * bool(row.why))
    unexplained = cases[cases["verdict"] == "unexplained"]
    for row in unexplained.itertuples():
        print(f"\n{row.case} ({row.group}): {row.cause or 'no cause applies'}")
        print(f"    Linux:    {row.linux}\n    expected: {row.expected}\n    model:    {row.model}")
    return int(len(unexplained) > 0)


COMMANDS = [add_verify]
