"""The RacePlayer without a browser: stepping, waiting, replaying, and what it says."""

import re

import matplotlib
import pytest
from machines import explored

matplotlib.use("Agg")

from mmsim import plots, race
from mmsim.plots.picture import Picture
from mmsim.race import PINNED, SCENES, WITHOUT_PATCH_2, Race, explore
from mmsim.race.view import WAITS, frames, lanes
from mmsim.widgets import RacePlayer, race_player


@pytest.fixture
def player(monkeypatch):
    """A player; what it explores has been explored once for all tests."""
    names = {id(actors): name for name, (_, actors) in SCENES.items()}
    known = lambda build, actors, patches: explored(names[id(actors)], tuple(patches))  # noqa: ARG005, E731
    monkeypatch.setattr(race_player, "explore", known)
    return RacePlayer()


def press(player, *names):
    for name in names:
        player.columns[name][1].click()


def replay(player):
    while not player.next.disabled:
        player.next.click()


def plain(html):
    return re.sub(r"<[^>]*>", " ", html)


def test_a_reader_finds_the_bad_schedule(player):
    press(player, *["migration"] * 3, "a")
    assert player.columns["a"][1].disabled
    assert "waits for the lock of frame 1, held by migration" in player.columns["a"][0].value
    assert "a waits for the lock of frame 1, held by migration" in player.line.value
    press(player, "a")
    assert len(player.race.history) == 4, "a blocked actor takes no step"
    press(player, "migration", "migration")
    assert not player.columns["a"][1].disabled
    press(player, "a")
    assert "✗ It went wrong." in player.line.value
    assert plain(player.state.value).count("✗ two frames hold the one page") == 2
    assert "7 ✗" in player.table.value
    press(player, "migration", "migration")
    assert "✗ Bad. do_swap_page() maps the stale frame 1" in player.line.value
    assert "has finished" in player.columns["a"][0].value
    assert all(made.disabled for _, made in player.columns.values())


def test_the_same_order_with_the_patch_ends_well(player):
    player.patch.value = True
    assert player.race.kernel.k.patch[2]
    assert not player.race.history
    press(player, *["migration"] * 3, "a", *["migration"] * 2, "a")
    assert "✗" not in player.line.value + player.state.value
    press(player, "migration", "migration", "a", "a")
    assert "✓ Good. pages on node 1" in player.line.value


def test_back_and_restart(player):
    assert player.undo.disabled
    pages = [(player.table.value, player.state.value, player.line.value)]
    for name in [*["migration"] * 3, "a", *["migration"] * 2, "a"]:
        press(player, name)
        pages.append((player.table.value, player.state.value, player.line.value))
    for earlier in reversed(pages[1:-1]):
        player.undo.click()
        assert (player.table.value, player.line.value) == (earlier[0], earlier[2])
    player.again.click()
    assert (player.table.value, player.state.value, player.line.value) == pages[0]
    assert player.undo.disabled


def test_the_counterexample_is_replayed_with_one_button(player):
    player.replay.click()
    assert player.next.description == "Next: migration"
    for turn, (_, made) in player.columns.items():
        assert ("◀ turn" in player.columns[turn][0].value) == (turn == "migration"), made
    replay(player)
    assert [name for name, _ in player.race.history] == list(player.exploration.counterexample.names)
    assert "✗ Bad." in player.line.value
    player.undo.click()
    assert not player.next.disabled, "a step back, and on again"
    player.again.click()
    press(player, "a")
    assert player.next.disabled, "who leaves the schedule is on his own"
    player.undo.click()
    assert not player.next.disabled


@pytest.mark.parametrize("patched", [False, True])
def test_every_outcome_can_be_chosen_and_replayed(player, patched):
    player.patch.value = patched
    found = player.exploration.outcomes
    assert len(player.outcomes.options) == len(found) + 1
    for outcome, bad in zip(found["outcome"], found["bad"], strict=True):
        player.outcomes.value = outcome
        replay(player)
        assert player.race.outcome() == (outcome, bad)
        assert ("✗ Bad." if bad else "✓ Good.") in player.line.value
    assert player.replay.disabled == patched, "with the patch there is no counterexample"


@pytest.mark.parametrize("scene", SCENES)
def test_every_scene_has_a_column_an_actor(player, scene):
    player.scene.value = scene
    names = list(player.race.actors)
    assert list(player.columns) == names
    assert len(player.actors.children) == len(names) in (2, 3)
    for name in names:
        label = f"task {name}" if name in "ab" else name
        assert player.columns[name][1].description == f"Let {label} take a step"
    player.replay.click()
    replay(player)
    assert "✗ Bad." in player.line.value
    assert f"<b>{player.exploration.bad:,} of {player.exploration.schedules:,}</b>" in player.count.value


def test_an_exploration_and_a_race_of_ones_own():
    exploration = explore(*PINNED, 7)
    player = RacePlayer(exploration)
    assert player.exploration is exploration
    assert player.scene.layout.display == "none"
    assert player.patch.value
    player.patch.value = False
    assert not player.race.kernel.k.patch[2]
    assert player.race.kernel.k.patch[7], "only patch 2 is switched"
    player.patch.value = True
    assert player.exploration is exploration
    running = RacePlayer(Race(*SCENES["shmem_getpage"], WITHOUT_PATCH_2))
    assert not running.patch.value
    assert "page cache" in plain(running.state.value)
    with pytest.raises(TypeError, match="exploration_or_race"):
        RacePlayer("do_swap_page")


def test_a_lost_write_is_said_to_be_lost(player):
    player.scene.value = "lost write"
    player.outcomes.value = next(text for _, text in player.outcomes.options if "was the last" in text)
    replay(player)
    assert "✗ the last write of a is lost" in plain(player.state.value)


def test_the_lost_write_is_what_its_counterexample_shows(player):
    player.scene.value = "lost write"
    player.replay.click()
    replay(player)
    assert "but write 2 was the last" in player.race.outcome()[0]


def test_the_picture_follows_the_race(player):
    """Live: arrows from the pte by its swap entry to the frame; who cannot see it hears the same."""
    assert "pte of a: swap entry 1" in player.state.value
    assert player.state.value.count("marker-end") == 2
    press(player, "migration")
    assert "frame 64 (node 1)" in plain(player.state.value)
    press(player, "a", "a")
    assert "pte of a: frame 1" in player.state.value


def test_it_can_be_read_as_text(player):
    press(player, "migration", "a")
    text = player._repr_mimebundle_()["text/plain"]
    assert "isolate_lru_page()" in text
    assert "○ The race is on." in text


# -- the tables


def test_lanes_say_who_waited():
    table = lanes(explored("do_swap_page", WITHOUT_PATCH_2).counterexample)
    assert table.loc[[5, 6], "a"].tolist() == [WAITS, WAITS]
    assert table.loc[7, "a"] == "do_swap_page(): lock frame 1"
    assert (table != "").sum(axis=1).tolist() == [1, 1, 1, 1, 2, 2, 1, 1, 1]


def test_frames_tell_what_a_page_is_used_as():
    running = Race(*SCENES["do_swap_page"], WITHOUT_PATCH_2)
    running.step("migration")
    assert frames(running)["page"].tolist() == [1, 64]
    assert frames(running)["used as"].tolist() == ["swap cache, entry 1", "new page, still empty"]
    running.step("migration")
    assert frames(running)["lock"].tolist() == ["migration", "migration"]
    for _ in range(2):
        running.step("migration")
    assert frames(running)["used as"].tolist() == ["its slot has gone to frame 64", "swap cache, entry 1"]
    while running.choices:
        running.step(running.choices[0])
    assert frames(running)["page"].tolist() == [64]
    assert frames(running, also={1})["used as"].tolist() == ["free", "mapped by a"]


def test_a_schedule_under_other_patches():
    bad = explored("do_swap_page", WITHOUT_PATCH_2).counterexample
    good = bad.under(7)
    assert good.race.outcome() == ("good: pages on node 1", False)
    assert [name for name, _ in good] == list(good.names)
    assert good.names[: len(bad)] == bad.names
    assert bad.under(WITHOUT_PATCH_2).names == bad.names


def test_a_race_as_a_figure():
    bad = explored("do_swap_page", WITHOUT_PATCH_2).counterexample
    text = plots.describe(plots.race(bad))
    assert text.startswith("a against migration, without patch 2. 1. migration: isolate_lru_page()")
    assert "✗ bad: do_swap_page() maps the stale frame 1" in text
    ax = plots.race(bad.under(7))
    assert "✓ good: pages on node 1." in plots.describe(ax)
    running = Race(*SCENES["lost write"], 7)
    assert "the race is on" in plots.describe(plots.race(running, title="Three"))
    assert Picture(ax).alt


def test_patch_2_does_not_help_against_a_pin():
    found = race.explore(*PINNED, 7)
    assert found.bad > 0
    assert found.outcomes.query("bad")["outcome"].str.contains("write 2 was the last").all()
