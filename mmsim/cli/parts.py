"""What the commands share: how their help looks, KEY=VALUE, tables and figures as output."""

import argparse
import tomllib
from pathlib import Path

from ..machine.writing import replacing

TEXTS = tomllib.loads(Path(__file__).with_name("commands.toml").read_text(encoding="utf-8"))
CODES = "Exit codes: 0 all went well, 1 it did not, 2 wrong usage or a wrong file, 130 interrupted."


def command(commands, name, act):
    """A parser for one command, whose help is that of commands.toml and ends with examples."""
    said = TEXTS[name]
    parser = commands.add_parser(
        name, help=said["help"], description=f"{said['description']}\n{CODES}",
        epilog="\n".join(["examples:", *(f"  mmsim {name} {example}" for example in said["examples"])]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.set_defaults(run=act, parser=parser, again=lambda _: [])
    return parser


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


def print_table(rows, args):
    """Print rows as CSV, or as JSON, one object a line (break_even is null there for never)."""
    import pandas as pd

    table = pd.DataFrame(rows)
    print(table.to_csv(index=False) if args.csv else table.to_json(orient="records", lines=True), end="")


def plot(args, name, what):
    """Write a figure of mmsim.plots, by its name, to the file of --plot, if one was asked for."""
    if not args.plot:
        return
    from .. import plots

    ax = getattr(plots, name)(what)
    try:
        with replacing(args.plot) as file:
            ax.figure.savefig(file, format=args.plot.suffix[1:] or None, bbox_inches="tight")
    except (OSError, ValueError) as error:
        args.parser.error(f"--plot {args.plot}: {error}")
