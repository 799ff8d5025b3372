"""Kernels as sets of switches: Swap Migration, the seven patches, and each later change; sets made smaller."""

from itertools import combinations

from ..terms.arguments import shown
from ..machine.changes import CHANGES, PATCHES, RELEASES, SWAP_MIGRATION, Change, order
from ..machine.releases import V1, parse_release

PAIRS = 2500  # sets of switches that are tried one by one (all pairs of 70); beyond that a set is only made smaller

# The switches before V1, beside CHANGES: so that each border of the axis has a name, the first two as well.
SWAP = Change("swap-migration", SWAP_MIGRATION, "Swap Migration V5", ("sys_migrate_pages", "do_mbind"),
              "no memory moves", "pages move by way of swap", "Swap Migration V5")  # fmt: skip
SERIES = tuple(
    Change(f"patch-{p.number}", "V1", p.title, p.functions, "", "", "Direct Migration V1",
           tuple(f"patch-{n}" for n in p.needs)) for p in PATCHES
)  # fmt: skip
SWITCHES = {switch.name: switch for switch in (SWAP, *SERIES, *CHANGES)}


def label(made_of):
    """The name of a kernel on the axis."""
    return made_of.name or "V1"


def axis(releases=None):
    """The kernels of some names, each once, in the order of their time."""
    if isinstance(releases, str) or not (releases is None or hasattr(releases, "__iter__")):
        raise TypeError(f"releases is {shown(releases)}; give several, as in ['V1', '2.6.18', '6.1']")
    names = [None, *RELEASES] if releases is None else list(releases)
    made_of = {label(each): each for each in (V1 if n in (None, "V1") else parse_release(n) for n in names)}
    if not made_of:
        raise ValueError("releases is empty; give at least one, or None for all")
    return sorted(made_of.values(), key=lambda each: order(each.name) if each.name else (*order(SWAP_MIGRATION), 1))


def switches_of(made_of):
    """The names of the switches that are on in a kernel."""
    patches = (f"patch-{n}" for n in made_of.patches)
    return frozenset([*["swap-migration"] * made_of.swap_migration, *patches, *made_of.changes])


def kernel_of(switches, name=None):
    """The Release that has these switches, and calls itself `name`."""
    patches = frozenset(n for n in range(1, 8) if f"patch-{n}" in switches)
    changes = frozenset(c.name for c in CHANGES if c.name in switches)
    return V1._replace(name=name, patches=patches, changes=changes, swap_migration="swap-migration" in switches)


def left_out(a, b, roots):
    """The switches of `b` without some: in what these switch, and in all that came with them and needs them, as `a`."""
    gone = set(roots)
    while more := {n for n in b - a - gone if gone.intersection(SWITCHES[n].needs)}:
        gone |= more
    return (b - gone) | {n for n in a - b if n in gone or SWITCHES[n].ends in gone}


def candidates(a, b):
    """The switches by which two kernels differ, without those that another one ends."""
    return [n for n in SWITCHES if n in b - a or (n in a - b and SWITCHES[n].ends not in b)]


def smallest(names, holds):
    """The smallest set of names for which something holds, as it does for all: one, a pair, or one made small."""
    for size in (1, 2):
        sets = list(combinations(names, size))
        found = next((chosen for chosen in sets if holds(chosen)), None) if len(sets) <= PAIRS else None
        if found:
            return found
    return reduced(list(names), holds)


def reduced(names, holds, parts=2):
    """A set of which no name can be spared (Zeller's ddmin: leave out a half, a quarter, ... as long as it holds)."""
    while len(names) > 1:
        size = -(-len(names) // parts)
        rests = [names[:i] + names[i + size :] for i in range(0, len(names), size)]
        found = next((rest for rest in rests if holds(rest)), None)
        if found is None and size == 1:
            break
        names, parts = (names, min(len(names), 2 * parts)) if found is None else (found, max(2, parts - 1))
    return names
