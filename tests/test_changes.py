"""What was changed since V1, as data: releases, switches, and what is refused."""

import re
import runpy
from itertools import pairwise
from pathlib import Path

import pytest

from mmsim import CHANGES, PATCHES, RELEASES, Kernel, Topology
from mmsim.machine.changes import RELEASED, order
from mmsim.mm import structs

NAMES = [c.name for c in CHANGES]


def boot(**given):
    return Kernel(Topology.uniform(nodes=2, frames=64), **given)


def test_every_change_is_a_switch_of_the_machine():
    assert [name.replace("-", "_") for name in NAMES] == list(structs.CHANGE_NAMES)
    assert all(need in NAMES for c in CHANGES for need in c.needs)
    assert all(c.ends in ("", *NAMES, *RELEASED) for c in CHANGES)
    assert all(c.before and c.after and c.title and c.functions and c.source and c.date for c in CHANGES)


def test_releases_are_in_order_and_each_changes_something():
    assert list(RELEASES) == sorted(RELEASES, key=order)
    made_of = [(boot(release=r).changes, boot(release=r).patches, boot(release=r).k.patch[0]) for r in RELEASES]
    same = [later for later, (a, b) in zip(RELEASES[1:], pairwise(made_of), strict=True) if a == b]
    assert same == ["6.6"]  # its one change was taken into 6.1 as well
    assert [c.backported for c in CHANGES if c.release == "6.6"] == [("6.1",)]


def test_without_a_release_it_is_v1():
    kernel = boot()
    assert (kernel.release, kernel.changes, kernel.patches) == (None, (), {p.number for p in PATCHES})


def test_a_release_has_every_change_up_to_it():
    assert boot(release="2.6.16-rc1").changes == () == boot(release="2.6.14").changes
    assert set(boot(release="2.6.17").changes) == {c.name for c in CHANGES if c.release in ("2.6.16", "2.6.17")}
    assert boot(release="4.19").changes == boot(release="4.17").changes


def test_what_was_taken_back_is_not_there():
    assert "no-zero-page" in boot(release="2.6.31").changes
    assert "no-zero-page" not in boot(release="2.6.32").changes
    assert "empty-mems-refused" not in boot(release="2.6.24").changes
    assert "no-swap-no-migration" not in boot(release="2.6.18").changes
    kernel = boot(release="4.16", without=["targets-clipped"])
    assert "absent-target" in kernel.changes


def test_a_stable_series_has_what_was_brought_back_to_it():
    have = [r for r in ("6.0", "6.1", "6.2", "6.6") if "strict-walks-on" in boot(release=r).changes]
    assert have == ["6.1", "6.6"]


@pytest.mark.parametrize("name", ["6.1.0-17-amd64", "6.1.192", "6.1-rc3"])
def test_the_names_that_uname_gives(name):
    assert boot(release=name).release == "6.1"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"release": "6.99"}, "release is '6.99'; the nearest that the model knows is 6.12"),
        ({"release": "5.20"}, "nearest that the model knows is 5.19"),
        ({"release": "2.6.9"}, "the nearest is 2.6.14"),
        ({"release": "2.7"}, "from 2.6.14 to 6.12"),
        ({"release": "yesterday"}, "release is 'yesterday'; give one as"),
        ({"release": "6.1", "patches": 3}, "patches is 3, but release 6.1 has its own"),
        ({"release": "6.1", "without": ["file-pte"]}, "there is no change 'file-pte'; did you mean 'file-ptes'?"),
        ({"release": "6.1", "without": "migration-entries"}, "is needed by file-ptes, locked-vmas-move, move-pages"),
        ({"release": "6.1", "without": ["weighted-interleave"]}, "Linux 6.1 does not have weighted-interleave, .* 6.9"),
        ({"without": ["file-ptes"]}, "V1 has no changes to leave out"),
    ],
)
def test_what_is_no_kernel_is_refused(given, says):
    with pytest.raises(ValueError, match=re.escape(says) if ".*" not in says else says):
        boot(**given)


@pytest.mark.parametrize("given", [{"release": 6.1}, {"release": "6.1", "without": 3}])
def test_names_are_text(given):
    with pytest.raises(TypeError, match=r"release is 6\.1; it is text|without is 3"):
        boot(**given)


def test_a_saved_machine_is_still_that_kernel(tmp_path):
    kernel = boot(release="6.1", without=["file-ptes"])
    kernel.save(tmp_path / "machine.npz")
    loaded = Kernel.load(tmp_path / "machine.npz")
    assert (loaded.release, loaded.without, loaded.changes) == ("6.1", ("file-ptes",), kernel.changes)
    with pytest.raises(ValueError, match=r"its release is '6\.1', here it is None"):
        boot().restore(loaded.snapshot())


def test_the_page_of_changes_is_made_from_them():
    docs = Path(__file__).parents[1] / "docs"
    page = runpy.run_path(str(docs / "changes.py"))["page"]()
    assert page == (docs / "changes.md").read_text(), "CHANGES differ from docs/changes.md: run python docs/changes.py"
