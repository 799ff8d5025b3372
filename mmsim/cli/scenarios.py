"""``mmsim scenarios``: what ships, every key, and one's own machine as a scenario."""

from pathlib import Path

from .parts import command


def add_scenarios(commands):
    """``mmsim scenarios [NAME]``: what ships, or the text of one, to begin an own one with."""
    parser = command(commands, "scenarios", scenarios)
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
    from ..whatif import answer
    from ..whatif import scenarios as shipped
    from ..whatif.scenario import SHIPPED
    from ..whatif.schema import near

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
    from ..whatif import from_machine

    try:
        maps = Path(f"/proc/{args.pid}/numa_maps") if args.pid else args.numa_maps
        machine = from_machine.from_numactl(args.numactl.read_text()) if args.numactl else from_machine.this_machine()
        areas = from_machine.from_numa_maps(maps.read_text()) if maps else []
        print(from_machine.scenario_text(machine, areas, args.names), end="")
    except OSError as error:
        args.parser.error(f"{error.filename}: {error.strerror}")
    except ValueError as error:
        args.parser.error(str(error))
    return 0
