"""Releases: which patches and which changes a kernel of some name has."""

import difflib
import re
from typing import NamedTuple

from ..terms.arguments import shown, words
from .changes import CHANGES, NEWEST, RELEASED, SWAP_MIGRATION, order

# Between 2.6.16-rc1 and 2.6.16: the rule of mapcounts was there, and what makes up for it was not.
WITHOUT_ROOT = ("2.6.16-rc2", "2.6.16-rc3", "2.6.16-rc4", "2.6.16-rc5")
_LAST = {(2, 6): 39, (3,): 19, (4,): 20, (5,): 19, (6,): 12}  # the last release of each series


class Release(NamedTuple):
    """What a release is made of: the patches of the series, and the changes since."""

    name: str | None
    patches: frozenset
    changes: frozenset
    swap_migration: bool  # it can move memory at all
    without: tuple = ()  # what was left out


V1 = Release(None, frozenset(range(1, 8)), frozenset(), True)  # the series on 2.6.14-rc5-mm1


def parse_release(release, without=()):
    """The Release of that name, less the changes named in `without`; None: V1, without any change.

    Raises
    ------
    TypeError
        `release` is no text, `without` no names.
    ValueError
        There is no such release (the nearest is named) or no such change; or a change is left out that another needs.
    """
    if isinstance(release, Release):  # somebody has chosen switch by switch: history() does
        return release
    names = {c.name: c for c in CHANGES}
    without = words(without, "without")
    for name in without:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, 1)
            right = f"did you mean {near[0]!r}?" if near else "mmsim.CHANGES has the names"
            raise ValueError(f"without: there is no change {shown(name)}; {right}")
    if release is None:
        if without:
            raise ValueError(f"without is {without}; V1 has no changes to leave out: name a release")
        return V1
    if not isinstance(release, str):
        raise TypeError(f"release is {shown(release)}; it is text, as in '6.1': 5.10 is not 5.1")
    release = known_release(release)
    series = ".".join(release.split(".")[:2])
    past = {each for each in RELEASED if order(each) <= order(release)}
    had = {c.name for c in CHANGES if c.release in past or series in c.backported}
    if release in WITHOUT_ROOT:
        had = {c.name for c in CHANGES if c.release == "2.6.16"} - {"root-moves-all", "cap-sys-nice"}
    absent = [name for name in without if name not in had]
    if absent:
        came = names[absent[0]].release
        raise ValueError(f"without: Linux {release} does not have {absent[0]}, which came with {came}")
    chosen = had - set(without)
    chosen -= {name for name in chosen if names[name].ends in chosen | past}
    for missing in without:
        needed = sorted(name for name in chosen if missing in names[name].needs)
        if needed:
            raise ValueError(f"without: {missing} is needed by {', '.join(needed)}; leave that out as well")
    direct = order(release) > order(SWAP_MIGRATION)
    moves = order(release) >= order(SWAP_MIGRATION)
    return Release(release, V1.patches if direct else frozenset(), frozenset(chosen), moves, tuple(without))


class UnknownRelease(ValueError):
    """A release that the model does not know; `nearest`: the nearest that it knows, the first where nobody can say."""

    def __init__(self, message, nearest="2.6.14"):
        super().__init__(message)
        self.nearest = nearest


def nearest_release(release):
    """As known_release(), but of a release that is newer than all that the model knows, the newest."""
    try:
        return known_release(release)
    except UnknownRelease as unknown:
        if unknown.nearest == NEWEST:
            return NEWEST
        raise


def known_release(release):
    """The release that a name as `uname -r` gives it belongs to: '6.1.0-17-amd64' to '6.1'; ValueError: to none."""
    found = re.match(r"(2\.6\.\d+(?:-rc\d+)?|[3-9]\.\d+|\d\d+\.\d+)(?:[-.].*)?$", release)
    if not found:
        raise UnknownRelease(f"release is {release!r}; give one as '2.6.18' or '6.1', from 2.6.14 to {NEWEST}")
    release = found[1]
    numbers = order(release)[:-1]
    series = (2, 6) if numbers[0] == 2 else numbers[:1]
    if order(release) < order("2.6.14"):
        raise UnknownRelease(f"release is {release!r}; the nearest is 2.6.14, with which the model begins")
    if numbers[-1] > _LAST.get(series, -1) or order(release) > order(NEWEST):
        last = _LAST.get(series)
        near = ".".join(map(str, (*series, last))) if last else NEWEST
        raise UnknownRelease(f"release is {release!r}; the nearest that the model knows is {near}", near)
    return release
