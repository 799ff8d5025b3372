"""MigrationLab: choose a machine, a trigger and patches, and step through what the kernel does."""

from html import escape

import ipywidgets as W
import traitlets as t

from ..machine.errors import MMSimError
from ..machine.kernel import Kernel
from ..machine.changes import PATCHES, parse_patches
from .address import V1
from .controls import EXPORTS, PLAYER, SETTINGS, SPEEDS, kernel_name, make_controls, numbers, row, settings_text
from .following import Following
from .layouts import LAYOUTS, SEEDED
from .lockstep import lockstep
from .machines import Machines
from .panels import counters_html, flow_svg, passes_html, stayed_html
from .parts import Plain, error_text, source_of
from .placing import Placing, check_obstacles
from .scene import Scene
from .stage import Source, Stage, Status
from .taken_away import TakenAway

FASTEST = 40  # ms between two pictures; above that speed steps are left out


class MigrationLab(Machines, Placing, Following, TakenAway, Plain, W.VBox):
    """A laboratory for page migration.

    Parameters
    ----------
    machine : Kernel or callable, optional
        A machine of one's own, whose first living task is the subject: it goes back to what it was for each
        run, and is left as the last run ended. Or a function that makes one, given the patch numbers if it
        takes them. Default: a ring of four nodes, and a choice of processes.
    trigger : str
        A mbind, B migrate_pages, C cpuset, or D an in-kernel caller.
    old, new : node sets, optional
        From where to where.
    patches : int or iterable of int, optional
    beside : int or str, optional
        Show the same machine without this patch, and without those that need it, beside it; 0: without any. Or the
        lab's own machine with the kernel of a release, or "V1".
    simple : bool
        Begin with the picture, the player and the reasons alone; a button shows the rest.
    layout, seed, release : str, int, str, optional
        Of the lab's own machine: one of the choices of processes, and a kernel like "2.6.18" or "6.1" instead of V1.
    move_all, strict : bool
        Flags of mbind().
    obstacles : dict, optional
        What to put in the way: lock, pin, dirty, share, each with pages of the first task, counted from 0, or
        "5 of b".
    step : int
        The step to begin with.

    Attributes
    ----------
    step : int
        The step that is shown; assignable. 0: before the call; `steps`: after it. With a machine beside it both
        take up the same page in the same pass, and the one that needs fewer events for it waits.
    recording, beside : Recording
        Of the machine, and of the one beside it or None.
    kernel : Kernel
        The machine as the run left it.
    migration : Migration or None
    followed : tuple or None
        (pid, virtual page) of the page that Step and Back follow from event to event: see `follow`.
    placed : frozenset
        The obstacles that were put in the way: (tool, pid, virtual page).
    simple : bool
        Whether only picture, player and reasons are shown; assignable.
    message : str
        What was wrong with a setting, which patches went with another, and which obstacles there are.
    controls : dict
        The widgets by name: "trigger", "from", "to", "all", "strict", "layout", "seed", "beside", "tool", 1 to 7,
        "follow", "event", "First", ..., "Reset", "Settings", "Passes", "More", "Source", "CSV frames", ...
    """

    step = t.Int(0)
    simple = t.Bool(False)

    def __init__(self, machine=None, trigger="B", old=None, new=None, patches=None, beside=None, simple=False, *,
                 layout=None, seed=None, release=None, move_all=False, strict=False, obstacles=None,
                 step=0):  # fmt: skip
        if not (machine is None or isinstance(machine, Kernel) or callable(machine)):
            raise TypeError(f"machine is {machine!r}; give a Kernel, or a function that makes one")
        for name, value in {"layout": layout, "seed": seed, "release": release}.items():
            if machine is not None and value is not None:
                raise ValueError(f"{name} is {value!r}, but the machine is your own: build it so, or give none")
        self._machine, self._before = machine, machine.snapshot() if isinstance(machine, Kernel) else None
        self.kernel = self.recording = self.beside = None
        self.message, self.placed, self.followed, self._quiet = "", frozenset(), None, False
        self.controls = make_controls(trigger, "0" if old is None else old, "" if new is None else new)
        self._choose_machine(layout, seed, release)
        self.controls["all"].value, self.controls["strict"].value = bool(move_all), bool(strict)
        first = self._build(frozenset(range(1, 8)), self.release)
        if new is None:
            self.controls["to"].value = str(min(2, first.topology.nodes - 1))
        self._set_patches(first.patches if patches is None else parse_patches(patches))
        self._choose_beside(beside)
        self.stages = [Stage(self._play_on, self._pick), Stage(lambda: None, self._pick)]
        self.stage = self.stages[0]
        super().__init__(self._rows(), simple=bool(simple))
        self.add_class("mm-lab")
        self._fit()
        self._listen()
        self.run()
        for tool, pages in check_obstacles(obstacles).items():
            for page in pages:
                self._toggle(tool, *self._page(page))
        if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step <= self.steps:
            raise ValueError(f"step is {step!r}; this run has the steps 0 to {self.steps}")
        self.step = step

    def _listen(self):
        c = self.controls
        for name in (*SETTINGS, "beside"):
            c[name].observe(self._changed, "value")
        c["release"].observe(self._other_release, "value")
        for name in ("layout", "seed"):
            c[name].observe(self._clear, "value")
        for patch in PATCHES:
            c[patch.number].observe(lambda change, n=patch.number: self._toggled(n, change["new"]), "value")
        acts = {
            "First": lambda: self._go(0), "Back": lambda: self._go(self._next(-1)),
            "Step": lambda: self._go(self._next(1)), "Last": lambda: self._go(self.steps),
            "Play": lambda: self._play(not self.stage.playing), "Reset": self._clear,
            "More": lambda: self.set_trait("simple", not self.simple),
        }  # fmt: skip
        acts |= {name: lambda name=name: self._unfold(name) for name in self._folds}
        acts |= {name: lambda kind=kind: self._save(kind) for kind, name in EXPORTS.items()}
        for name, act in acts.items():
            c[name].on_click(lambda _, act=act: act())
        for name in ("position", "event"):
            c[name].observe(lambda change: self._go(change["new"]), "value")
        c["follow"].observe(self._follow_what, "value")
        c["speed"].observe(self._pace, "value")
        c["tool"].observe(lambda change: [stage.set_trait("tool", change["new"]) for stage in self.stages], "value")

    def _rows(self):
        c = self.controls
        for name in ("position", "speed", "layout", "seed", "release", "beside", "event", "follow", "Step"):
            c[name].add_class(f"mm-{name.lower()}")
        self._note, self._said = Status(), [Status(), Status(quiet=True)]
        self._note.add_class("mm-note")
        self._said[0].add_class("mm-said")
        self._titles = [W.HTML(), W.HTML()]
        self._flow, self._counters, self._summary, self._following = W.HTML(), W.HTML(), W.HTML(), W.HTML()
        self._sides = [W.VBox(pair) for pair in zip(self._titles, self.stages, strict=True)]
        self._stage_row, self._said_row = W.HBox(_dom_classes=["mm-stages"]), W.HBox(_dom_classes=["mm-sentences"])
        self._pace()
        exports = row([c[name] for name in EXPORTS.values()], "mm-exports", "mm-rest")
        self._stayed, self._passes, self._link = (W.HTML().add_class(f"mm-{k}") for k in ("stayed", "passes", "link"))
        self._panels = W.HBox([W.VBox([self._flow, self._counters], _dom_classes=["mm-rest"]),
                               W.VBox([self._stayed, exports])], _dom_classes=["mm-panels"])  # fmt: skip
        choices = [row([c["layout"], c["seed"], c["release"]])] if self._machine is None else []
        patches = row([W.Label("patches"), *(c[p.number] for p in PATCHES)])
        self._source = Source()
        self._settings = W.VBox([row([c[name] for name in SETTINGS]), patches, *choices], _dom_classes=["mm-settings"])
        self._folds = {"Settings": self._settings, "Passes": self._passes, "Link": self._link, "Source": self._source}
        for what in self._folds.values():
            what.layout.display = "none"
        for name in ("Source", "Settings", "event"):
            c[name].add_class("mm-rest")
        return (
            row([c["Settings"], c["Passes"], c["Link"], self._summary], "mm-rest"),
            self._settings, self._passes, self._link,
            row([c["beside"], c["tool"], c["follow"], self._following], "mm-rest"), self._note, self._stage_row,
            row([c[name] for name in (*PLAYER, "position", "event", "speed", "Source", "More")], "mm-player"),
            self._said_row, self._source, self._panels,
        )  # fmt: skip

    # -- what they do

    @t.observe("simple")
    def _fit(self, *_):
        """Show all, or what a first look needs: with larger squares."""
        (self.add_class if self.simple else self.remove_class)("mm-simple")
        self.controls["More"].description = "More ▸" if self.simple else "Less ▾"
        if self.recording:
            self._scenes = [Scene(each, self.simple) for each in self._runs]
            self._show()

    def _changed(self, *_):
        if not self._quiet:
            self.run()

    def _clear(self, *_):
        """Another machine, or the same without obstacles."""
        self.placed = frozenset()
        self.run()

    def _pace(self, *_):
        speed = SPEEDS[self.controls["speed"].value]
        self.stage.pace = max(FASTEST, 1000 // speed)
        self._stride = max(1, speed * FASTEST // 1000)
        self.controls["speed"].said = f"{speed} a second"

    def _play(self, on):
        if on and self.step == self.steps:
            self._go(0)
        self.stage.playing = self._said[0].quiet = on
        self.controls["Play"].description = "Pause" if on else "Play"

    def _play_on(self):
        self.step = min(self.steps, self.step + self._stride)
        if self.step == self.steps:
            self._play(False)

    def _go(self, step):
        if not self._quiet:
            if self.stage.playing:
                self._play(False)
            self.step = min(max(step, 0), self.steps)

    # -- a run

    @property
    def steps(self):
        """The number of the last step, after the call."""
        return len(self._pairs) - 1

    migration = property(lambda self: self.recording.migration, doc="What became of the pages of the run.")

    def run(self, note=""):
        """Build the machine anew and record what the trigger does; back to step 0. False if it cannot be run."""
        self._play(False)
        c = self.controls
        c["from"].disabled = c["trigger"].value == "A"  # mbind takes whatever is not on the new nodes
        c["all"].disabled = c["strict"].disabled = not c["from"].disabled
        c["seed"].disabled = LAYOUTS[c["layout"].value] not in SEEDED
        lacking = c["beside"].value
        try:
            other = None if lacking == "" else self._record(*self._other(lacking))[1]
            kernel, recording = self._record(self._patches, self.release)  # last: a machine of one's own is left by it
        except (ValueError, TypeError, OSError, MMSimError) as error:
            if self.recording is None:
                raise
            self._say(f"Not run: {error_text(error)}.", "The picture shows the last run that was possible.")
            return False
        self.kernel, self.recording, self.beside = kernel, recording, other
        self._runs = runs = [recording] + [other] * (other is not None)
        self._scenes = [Scene(each, self.simple) for each in runs]
        self._pairs = lockstep(*runs) if other else [(step,) for step in range(recording.steps + 1)]
        self._stage_row.children, self._said_row.children = self._sides[: len(runs)], self._said[: len(runs)]
        self._titles[0].layout.display = None if other else "none"
        (self.add_class if other else self.remove_class)("mm-two")
        sides = (self._patches, self.release), self._other(lacking)
        names = [kernel_name(release or V1) for _, release in sides]
        for title, name, (patches, release) in zip(self._titles, names, sides, strict=True):
            alike = "" if names[0] == names[1] else "V1 (November 2005), "
            title.value = f"<b>{name if release else alike + numbers(patches)}</b>"
        self._say(f"The call ends in an error: {error_text(recording.error)}." if recording.error else "",
                  f"{note} {self._obstacles()}".strip())  # fmt: skip
        process = c["layout"].value if self._machine is None else ""
        self._summary.value = escape(settings_text(c, self._patches, process, self.release or V1))
        c["position"].most = self.steps
        self._quiet = True
        c["event"].max = self.steps
        self._quiet = False
        self._mark()
        self._show_passes()
        self.set_trait("step", 0)
        self._show()
        return True

    def _say(self, error, note=""):
        self.message = f"{error} {note}".strip()
        self._note.value = f"<b>{escape(error)}</b> {escape(note)}" * bool(self.message)

    @t.validate("step")
    def _valid_step(self, proposal):
        return min(max(proposal["value"], 0), self.steps)

    @t.observe("step")
    def _show(self, change=None):
        forward, quiet = bool(change) and change["new"] == change["old"] + 1, self._quiet
        self._quiet = True
        for stage, scene, at in zip(self.stages, self._scenes, self._pairs[self.step], strict=False):
            stage.show(scene, at, self.step, forward)
        for widget, traits in self._seen(self.step).items():
            with widget.hold_sync():
                for name, value in traits.items():
                    widget.set_trait(name, value)
        self._quiet = quiet
        self._show_link()
        self._prepare()

    def _prepare(self):
        """Have the browser show the next step by itself when Step is clicked; the kernel says the same afterwards."""
        if self.stage.playing:
            return
        step = min(self._next(1), self.steps)
        sides = zip(self.stages, self._scenes, self._pairs[step], strict=False)
        stages = {stage: stage.seen(scene, at, step, step == self.step + 1) for stage, scene, at in sides}
        self.stage.prepare(stages | self._seen(step))

    def _seen(self, step):
        """What the widgets around the stages show at a step: {widget: {trait: value}}."""
        runs, at, before, c = self._runs, self._pairs[step], self._pairs[max(0, step - 1)], self.controls
        seen = {}
        for line, run, now, last in zip(self._said, runs, at, before, strict=False):
            seen[line] = {"value": escape("waits · " * (step > 0 and now == last) + run.text(now))}
        brief = self.recording.text(at[0]).partition(" ·")[0].partition(":")[0]
        seen |= {c["position"]: {"said": brief, "value": step}, c["event"]: {"value": step}}
        if not self.simple:  # made where they are seen
            counters = [run.counters(now) for run, now in zip(runs, at, strict=True)]
            seen[self._flow] = {"value": flow_svg(runs, at)}
            seen[self._counters] = {"value": counters_html(("here", "beside")[: len(runs)], counters)}
        captions = ("Pages that stay, and why", "... beside it")
        stayed = [stayed_html(run.stayed_columns(now), caption)
                  for run, now, caption in zip(runs, at, captions, strict=False)]  # fmt: skip
        seen[self._stayed] = {"value": "".join(stayed)}
        if self._is_open("Source"):
            name, file, first, text, line = self._source_at(step)
            name = f"{name} · {file}, line {line}" if name else "No event is shown: step on."
            seen[self._source] = {"name": name, "text": text, "first": first, "marked": line}
        return seen

    # -- the source of what happens

    def _unfold(self, name):
        """Show what a button hides, or hide it again."""
        shown = self._is_open(name)
        self._folds[name].layout.display = "none" if shown else None
        self.controls[name].description = f"{name} {'▸' if shown else '▾'}"
        self._show()
        self._show_passes()

    def _is_open(self, name):
        return self._folds[name].layout.display is None

    def _show_passes(self):
        """The table of passes, made where it is seen: of many pages it is large."""
        self._passes.value = passes_html(self.recording) if self._is_open("Passes") else ""

    def source(self):
        """(name, file, number of the first line, text, line) of the function that wrote the event which is shown.

        Empty before and after the call.
        """
        return self._source_at(self.step)

    def _source_at(self, step):
        at = self._pairs[step][0]
        if not 0 < at < self.recording.steps:
            return "", "", 1, "", 0
        code, line = self.recording.code[at - 1]
        return *source_of(code), line

    def __repr__(self):
        return f"<MigrationLab: {self._said_at(self._pairs[self.step])}>"
