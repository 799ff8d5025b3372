"""Let a fault, swapoff and a migration race, one step at a time, and see what comes of it."""

import re
from functools import partial
from html import escape

import ipywidgets as W

from ..plots import palette
from ..plots.entry import html, of_race
from ..machine.changes import parse_patches
from ..race import SCENES, WITHOUT_PATCH_2, Race, Schedule, explore
from ..race.view import WAITS, frames, lanes, places
from .onpaper import dead, picture
from .parts import STYLE, Plain, Status, button, flow

ROWS = 10  # of the table of steps that are drawn even while they are empty, so that nothing jumps


def words(what):
    """HTML of what an actor does, kernel functions as code, which may be broken behind an underscore."""
    return re.sub(r"\w+\(\)", lambda name: f"<code>{name[0].replace('_', '_<wbr>')}</code>", escape(what))


def drawn(moment, caption):
    """A moment of a race as a picture on paper."""
    svg = html(moment).partition("<b>")[0].replace('style="', 'style="background: #fff; color: #000; ', 1)
    return picture(svg, moment.said(), caption)


class RacePlayer(Plain, W.VBox):
    """Step the actors of a race against each other; replay what `explore` found.

    Parameters
    ----------
    exploration_or_race : Exploration or Race, optional
        Default: one of `race.SCENES`, to be chosen; without patch 2 at first.
    """

    def __init__(self, exploration_or_race=None):
        given = getattr(exploration_or_race, "race", exploration_or_race)
        if given is not None and not isinstance(given, Race):
            raise TypeError(f"exploration_or_race is {given!r}; give what mmsim.race.explore() or Race() returned")
        self._known = {}
        self.scenes = SCENES if given is None else {"given": (given.build, list(given.actors.values()))}
        self._patches = parse_patches(WITHOUT_PATCH_2 if given is None else given.patches)
        if given is not exploration_or_race:
            self._known["given", 2 in self._patches] = exploration_or_race
        self.scene = W.Dropdown(options=list(self.scenes), description="Race")
        self.scene.layout.display = None if given is None else "none"
        said = "Patch 2 applied (recheck after lock_page)"
        self.patch = W.Checkbox(2 in self._patches, description=said, indent=False)
        self.replay = button("Replay the counterexample", self.replay_counterexample)
        self.next = button("Next", self.next_step)
        wide = W.Layout(flex="1 1 300px", width="auto", min_width="0")
        self.outcomes = W.Dropdown(description="Outcome", layout=wide)
        self.count, self.table, self.state, self.line = W.HTML(), W.HTML(), W.HTML(), Status()
        self.line.add_class("end")
        self.actors = W.HBox(layout=W.Layout(padding="0 0 0 2.6em"))
        self.undo, self.again = button("Back", self.back), button("Restart", self.restart)
        steps = W.VBox([self.actors, self.table], layout=W.Layout(flex="3 1 440px", min_width="0"))
        state = W.VBox([self.line, self.state], layout=W.Layout(flex="2 1 340px", min_width="0"))
        super().__init__([
            W.HTML(STYLE), flow(self.scene, self.patch, self.undo, self.again, gap="0"),
            flow(self.replay, self.next, self.outcomes, gap="0"), self.count,
            W.HBox([steps, state], layout=W.Layout(flex_flow="row wrap", grid_gap="12px")),
        ])  # fmt: skip
        self.add_class("mmsim-race").add_class("mmsim-plain")
        self.scene.observe(lambda _: self.load(), "value")
        self.patch.observe(lambda _: self.load(), "value")
        self.outcomes.observe(self._choose_outcome, "value")
        self.load()

    def load(self):
        """Boot the chosen race on a kernel with or without patch 2, and try all its schedules."""
        key = self.scene.value, self.patch.value
        if key not in self._known:
            self.count.value = "Trying all schedules …"
            patches = self._patches - {2} | ({2} if self.patch.value else set())
            self._known[key] = explore(*self.scenes[self.scene.value], patches)
        self.exploration = self._known[key]
        self.race, self.names = self.exploration.race, ()
        found = self.exploration.outcomes
        rows = zip(found["bad"], found["schedules"], found["outcome"], strict=True)
        self.outcomes.options = [("choose one to replay", "")] + [
            (f"{'✗ bad' if bad else '✓ good'}, {n:,} schedules: {text.removeprefix('good: ')}", text)
            for bad, n, text in rows
        ]
        self.outcomes.value = ""
        with_it = "With" if self.patch.value else "Without"
        self.count.value = (f"{with_it} patch 2, <b>{self.exploration.bad:,} of {self.exploration.schedules:,}</b> "
                            "schedules end badly. All of them were tried.")  # fmt: skip
        self.replay.disabled = self.exploration.counterexample is None
        self.labels = {n: n if actor.name else f"task {n}" for n, actor in self.race.actors.items()}
        self.columns = {
            name: (W.HTML(), button(f"Let {label} take a step", partial(self.step, name), width="calc(100% - 4px)"))
            for name, label in self.labels.items()
        }
        self.actors.children = [W.VBox(pair, layout=W.Layout(flex="1 1 0", min_width="0"))
                                for pair in self.columns.values()]  # fmt: skip
        self.restart()

    # -- what the buttons do

    def step(self, name):
        """Let one actor take a step; nothing happens if it cannot."""
        if name in self.race.choices:
            self.race.step(name)
            self.show()

    def back(self):
        """Undo the last step."""
        if self.race.history:
            self.race.back()
            self.show()

    def restart(self):
        """Start anew; a schedule that is being replayed starts anew, too."""
        self.race.restart()
        self.pages, self.wrong = set(), []
        self.show()

    def replay_counterexample(self):
        """Go to the start of the shortest bad schedule; of "lost write", of one that loses the write."""
        bad = self.exploration.outcomes.query("bad")["outcome"]
        lost = bad[bad.str.contains("was the last")] if self.scene.value == "lost write" else bad[:0]
        self.follow(self.exploration.example(lost.iloc[0]) if len(lost) else self.exploration.counterexample)

    def follow(self, schedule):
        """Go to the start of a schedule, for `next_step`."""
        self.names = tuple(schedule.names)
        self.restart()

    def next_step(self):
        """Take the next step of the schedule that is being replayed."""
        self.step(self._next())

    def _next(self):
        """The actor whose turn it is in the schedule; '' where there is none, or the reader left it."""
        done = tuple(name for name, _ in self.race.history)
        ahead = self.names[len(done) :] if self.names[: len(done)] == done else ()
        return ahead[0] if ahead else ""

    def _choose_outcome(self, change):
        if change["new"]:
            self.follow(self.exploration.example(change["new"]))

    # -- what is on the screen

    def show(self):
        """Draw everything anew."""
        race, turn = self.race, self._next()
        around, held = places(race), frames(race, self.pages)
        self.pages |= set(held["page"])
        n = len(race.history)
        self.wrong[max(n - 1, 0) :] = [bool(held["wrong"].any() or around["wrong"].any() or race.harm)] * (n > 0)
        for name, (text, made) in self.columns.items():
            point, waits = race.points[name], race.waits_for(name)
            said = f"■ {escape(waits)}" if waits else f"next: {words(point.what)}" if point else "✓ has finished"
            title = f"<b>{escape(self.labels[name])}</b>{' ◀ turn' * (name == turn)}"
            text.value = f"<div class=said>{title}<br>{said}</div>"
            made.disabled = name not in race.choices
        self.next.description = f"Next: {self.labels[turn]}" if turn else "Next"
        self.next.disabled, self.undo.disabled = not turn, not race.history
        self.table.value = self._steps()
        self.state.value = f"<b>What leads to the page</b>{html(of_race(race, self.pages))}"
        done = [f"Step {n}, {': '.join(race.history[-1])}" if n else "At the start."]
        waits = [f"■ {name} {race.waits_for(name)}." for name in race.points if race.blocked(name)]
        self.line.value = "<br>".join(map(escape, [*done, *waits])) + f"<br><b>{escape(self.outcome())}</b>"

    def outcome(self):
        """What came of it, in words."""
        text, bad = self.race.outcome()
        if text:
            return f"✗ Bad. {text}" if bad else f"✓ Good. {text.removeprefix('good: ')}"
        if self.race.harm:
            return f"✗ It went wrong. {self.race.harm}"
        return "✗ Something is wrong; see the marked rows." if self.wrong[-1:] == [True] else "○ The race is on."

    def _steps(self):
        """The table of steps: a column an actor, a row a step."""
        head = "".join(f"<th scope=col>{escape(label)}</th>" for label in self.labels.values())
        body = []
        for i, row in enumerate(lanes(self.race).itertuples(index=False, name=None)):
            begun = self.wrong[i] and not (i and self.wrong[i - 1])
            body.append(f"<tr{' class=bad' if begun else ''}><td>{i + 1}{' ✗' if begun else ''}</td>")
            for look, cell in zip(palette.TASKS, row, strict=False):
                mark = f" style='border-left:4px solid {look.colour}'"
                kind = " class=waits" if cell == WAITS else mark if cell else ""
                body.append(f"<td{kind}>{words(cell)}</td>")
        body += ["<tr><td>&nbsp;</td>" + "<td></td>" * len(self.labels)] * (ROWS - len(self.race.history))
        return ("<table><caption>Steps so far, one row a step</caption>"
                f"<tr><th scope=col style='width:2.6em'>step</th>{head}</tr>{''.join(body)}</table>")  # fmt: skip

    def _paper(self):
        """Where the race begins, the shortest schedule that ends badly, and what it leaves behind."""
        race = Race(self.race.build, list(self.race.actors.values()), self.race.patches)
        begin, outcomes = drawn(of_race(race), "At the start"), self.exploration.outcomes["outcome"]
        list(Schedule(race, (self.exploration.counterexample or self.exploration.example(outcomes.iloc[0])).names))
        text, bad = race.outcome()
        which = "The shortest schedule that ends badly" if bad else "A schedule"
        steps = lanes(race).rename(columns=self.labels).to_html(border=0)
        said = f"{'✗ Bad. ' * bad}{text}"
        return (f"<p>{self.count.value}</p>{begin}"
                f"{dead([self.replay.description, *(each.description for _, each in self.columns.values())])}"
                f"<p><b>{which}</b></p>{steps}{drawn(of_race(race), said)}")  # fmt: skip

    def __repr__(self):
        return f"{lanes(self.race).to_string()}\n{places(self.race).to_string()}\n{self.outcome()}"
