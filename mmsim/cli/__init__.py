"""The command line: ``mmsim COMMAND``, or ``python -m mmsim COMMAND``.

A command is a function that adds its parser to `commands` and names what runs it; `COMMANDS` lists them.
"""

import argparse
import os
import sys

from .kernels import add_history, add_record, add_verify, add_vm
from .lab import add_lab
from .parts import CODES
from .run import add_run, add_sweep
from .scenarios import add_scenarios

COMMANDS = [add_run, add_sweep, add_history, add_scenarios, add_verify, add_record, add_vm, add_lab]


def main(argv=None):
    """Run one command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="mmsim", description="A model of Linux page migration, from November 2005 to today.", epilog=CODES
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
