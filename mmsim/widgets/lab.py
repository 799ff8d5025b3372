"""MigrationLab: choose a machine, a trigger and patches, and step through what the kernel does."""

import inspect
from html import escape

import ipywidgets as W
import traitlets as t

from ..errors import MMSimError
from ..machine import Kernel
from ..mm.structs import MAX_NODES
from ..patches import PATCHES, parse_patches
from ..policy import Policy, format_nodes, mask_nodes, parse_nodes
from ..topology import Topology
from . import svg
from .layouts import LAYOUTS
from .parts import Plain
from .recording import Recording, error_text
from .scene import Scene
from .stage import Range, Stage, Status

TRIGGERS = {"A mbind": "A", "B migrate_pages": "B", "C cpuset": "C", "D in-kernel": "D"}
SHORT = ("CONFIG_MIGRATION", "recheck", "direct", "remove_from_swap", "mbind, migrate_pages", "buffers", "gfp mask")
SPEEDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # steps a second
FASTEST = 40  # ms between two pictures; above that speed steps are left out


class MigrationLab(Plain, W.VBox):
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

    Attributes
    ----------
    step : int
        The step that is shown; assignable. 0: before the call; `steps`: after it.
    recording : Recording
    kernel : Kernel
        The machine as the run left it.
    migration : Migration or None
    message : str
        What was wrong with a setting, or which patches went with another.
    controls : dict
        The widgets by name: "trigger", "from", "to", "all", "strict", "layout", 1 to 7, "First", ..., "Reset".
    """

    step = t.Int(0)

    def __init__(self, machine=None, trigger="B", old=None, new=None, patches=None):
        if not (machine is None or isinstance(machine, Kernel) or callable(machine)):
            raise TypeError(f"machine is {machine!r}; give a Kernel, or a function that makes one")
        self._machine, self._before = machine, machine.snapshot() if isinstance(machine, Kernel) else None
        self.kernel = self.recording = None
        self.message, self._quiet, self.controls = "", False, {}
        self._patches = frozenset(range(1, 8))
        first = self._build()
        self._patches = first.patches if patches is None else parse_patches(patches)
        nodes = first.topology.nodes
        self._make_controls(trigger, "0" if old is None else old, str(min(2, nodes - 1)) if new is None else new)
        self.stage = Stage(self._play_on)
        super().__init__(self._rows())
        self.add_class("mm-lab")
        self.run()

    # -- the controls

    def _make_controls(self, trigger, old, new):
        text = {"style": {"description_width": "auto"}, "continuous_update": False}
        self.controls = c = {
            "trigger": W.RadioButtons(options=TRIGGERS, value=trigger, description="trigger", orientation="horizontal",
                                      style={"description_width": "auto"}, layout=W.Layout(width="auto")),
            "from": W.Text(nodes_text(old), description="from nodes", **text),
            "to": W.Text(nodes_text(new), description="to nodes", **text),
            "all": check("all", "MPOL_MF_MOVE_ALL: also pages of files that others map (needs CAP_SYS_RESOURCE)"),
            "strict": check("strict", "MPOL_MF_STRICT: an error if a page is, or stays, misplaced"),
            "layout": W.Dropdown(options=list(LAYOUTS), description="process", style={"description_width": "auto"},
                                 layout=W.Layout(width="250px")),
        }  # fmt: skip
        c |= {p.number: check(f"{p.number} {short}", patch_help(p)) for p, short in zip(PATCHES, SHORT, strict=True)}
        c |= {name: W.Button(description=name) for name in ("First", "Back", "Play", "Step", "Last", "Reset")}
        c["position"] = Range(name="event")
        c["speed"] = Range(name="speed", value=3, most=len(SPEEDS) - 1)
        self._set_patches(self._patches)
        for name in ("trigger", "from", "to", "all", "strict", "layout"):
            c[name].observe(self._changed, "value")
        for patch in PATCHES:
            c[patch.number].observe(lambda change, n=patch.number: self._toggled(n, change["new"]), "value")
        moves = {"First": lambda: 0, "Back": lambda: self.step - 1, "Step": lambda: self.step + 1,
                 "Last": lambda: self.steps}  # fmt: skip
        for name, target in moves.items():
            c[name].on_click(lambda _, target=target: self._go(target()))
        c["Play"].on_click(lambda _: self._play(not self.stage.playing))
        c["Reset"].on_click(lambda _: self.run())
        c["position"].observe(lambda change: self._go(change["new"]), "value")
        c["speed"].observe(self._pace, "value")

    def _rows(self):
        c = self.controls
        c["position"].add_class("mm-place")
        c["speed"].add_class("mm-speed")
        self._note, self._said = Status(), Status()
        self._note.add_class("mm-note")
        self._said.add_class("mm-said")
        self._stayed, self._counters = W.HTML(), W.HTML()
        settings = [c[name] for name in ("trigger", "from", "to", "all", "strict")]
        patches = [W.Label("patches"), *(c[p.number] for p in PATCHES)]
        (settings if self._machine is None else []).append(c["layout"])
        player = [c[name] for name in ("First", "Back", "Play", "Step", "Last", "Reset", "position", "speed")]
        self._pace()
        return (row(settings), row(patches), self._note, self.stage, row(player), self._said,
                W.HBox([self._stayed, self._counters], _dom_classes=["mm-panels"]))  # fmt: skip

    # -- what they do

    def _changed(self, *_):
        if not self._quiet:
            self.run()

    def _toggled(self, number, on):
        """Switch a patch together with those that it needs, or that need it."""
        if self._quiet:
            return
        chosen = self._patches | {number} if on else self._patches - {number}
        for patch in PATCHES:  # they need earlier ones only
            if not on and not chosen.issuperset(patch.needs):
                chosen -= {patch.number}
        for patch in reversed(PATCHES):
            chosen |= set(patch.needs) if patch.number in chosen else set()
        others = sorted((chosen ^ self._patches) - {number})
        self._set_patches(chosen)
        note = ""
        if others:
            many, names = len(others) > 1, ", ".join(map(str, others))
            note = f"Patch{'es' * many} {names} {'are' if many else 'is'} {'on' if on else 'off'} too: "
            note += f"{number} needs {'them' if many else 'it'}." if on else f"nothing to build on without {number}."
        self.run(note)

    def _set_patches(self, chosen):
        self._patches, self._quiet = frozenset(chosen), True
        for patch in PATCHES:
            self.controls[patch.number].value = patch.number in chosen
        self._quiet = False

    def _pace(self, *_):
        speed = SPEEDS[self.controls["speed"].value]
        self.stage.pace = max(FASTEST, 1000 // speed)
        self._stride = max(1, speed * FASTEST // 1000)
        self.controls["speed"].said = f"{speed} a second"

    def _play(self, on):
        if on and self.step == self.steps:
            self._go(0)
        self.stage.playing = self._said.quiet = on
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
        return self.recording.steps

    migration = property(lambda self: self.recording.migration, doc="What became of the pages of the run.")

    def _build(self):
        """A machine for a run: made anew, or put back to what it was."""
        if self._before:
            self._machine.restore(self._before)
            return self._machine
        if self._machine:
            return self._machine(*[tuple(sorted(self._patches))] * takes_patches(self._machine))
        kernel = Kernel(Topology.ring(nodes=4, frames=64), patches=self._patches, swap_slots=64)
        LAYOUTS[self.controls["layout"].value if self.controls else "one heap"](kernel)
        return kernel

    def _prepare(self, kernel):
        """What is to be recorded, as a function; ValueError or OSError for settings that make no sense."""
        c, tasks, nodes = self.controls, kernel.tasks, kernel.topology.nodes
        if not tasks:
            raise ValueError("no task lives on this machine; spawn() one first")
        task, old, new = tasks[0], c["from"].value, c["to"].value
        source, target = parse_nodes(old, nodes, name="from"), parse_nodes(new, nodes, name="to")
        if c["trigger"].value == "A":
            flags = {"move": True, "move_all": c["all"].value, "strict": c["strict"].value}
            return lambda: task.mbind(None, Policy.bind(new), **flags)
        if c["trigger"].value == "B":
            return lambda: task.migrate_pages(0, old, new)
        if c["trigger"].value == "C":
            cpuset = kernel.cpuset("lab", old)
            cpuset.attach(task)
            cpuset.memory_migrate = True
            return lambda: setattr(cpuset, "mems", new)
        if len(mask_nodes(target)) != 1:
            raise ValueError(f"to is {format_nodes(target)}; the in-kernel caller moves pages to one node")
        pages = task.pages()
        pfns = pages.loc[pages["node"].isin(mask_nodes(source)) & (pages["state"] == "present"), "pfn"]
        return lambda: kernel.migrate(pfns.tolist(), mask_nodes(target)[0])

    def run(self, note=""):
        """Build the machine anew and record what the trigger does; back to step 0."""
        self._play(False)
        c = self.controls
        c["from"].disabled = c["trigger"].value == "A"  # mbind takes whatever is not on the new nodes
        c["all"].disabled = c["strict"].disabled = not c["from"].disabled
        try:
            kernel = self._build()
            kernel.patches = self._patches
            kernel.tables["patch"][1:] = [p.number in self._patches for p in PATCHES]
            recording = Recording(kernel, self._prepare(kernel))
        except (ValueError, TypeError, OSError, MMSimError) as error:
            if self.recording is None:
                raise
            self._say(f"Not run: {error_text(error)}.", "The picture shows the last run that was possible.")
            return
        self.kernel, self.recording, self._scene = kernel, recording, Scene(recording)
        self._say(f"The call ends in an error: {error_text(recording.error)}." if recording.error else "", note)
        c["position"].most = recording.steps
        self.set_trait("step", 0)
        self._show()

    def _say(self, error, note=""):
        self.message = f"{error} {note}".strip()
        with self._note.hold_sync():
            self._note.error, self._note.text = error, note

    @t.validate("step")
    def _valid_step(self, proposal):
        return min(max(proposal["value"], 0), self.steps)

    @t.observe("step")
    def _show(self, change=None):
        step, forward = self.step, bool(change) and change["new"] == change["old"] + 1
        self.stage.show(self._scene, step, forward)
        self._said.text = self.recording.text(step)
        self._quiet = True
        self.controls["position"].said = self.recording.text(step).partition(" ·")[0].partition(":")[0]
        self.controls["position"].value = step
        self._quiet = False
        self._stayed.value = stayed_html(self.recording.stayed(step))
        self._counters.value = counters_html(self.recording.counters(step))

    # -- to take away

    def static_svg(self, step=None, width=1100):
        """The stage at a step (default: the one shown) as SVG text, for paper and where no kernel runs."""
        return svg.draw(self._scene, self.step if step is None else step, width)

    def story(self, page):
        """The sentences about one page in order: a frame number, or a virtual page of the task."""
        return self.recording.story(page)

    def __repr__(self):
        return f"<MigrationLab: {self.recording.text(self.step)} {self._scene.label(self.step)}>"


def takes_patches(function):
    """Whether a function wants to be given patch numbers: by name, or as the argument that it cannot do without."""
    parameters = inspect.signature(function).parameters.values()
    return any(p.name == "patches" or (p.default is p.empty and p.kind <= p.POSITIONAL_OR_KEYWORD) for p in parameters)


def row(widgets):
    return W.HBox(widgets, layout=W.Layout(flex_flow="row wrap"), _dom_classes=["mm-row"])


def check(text, help):
    return W.Checkbox(description=text, tooltip=help, indent=False, layout=W.Layout(width="auto"))


def patch_help(patch):
    """What the switch of a patch is about."""
    needs = f"; needs patch {patch.needs[0]}" if patch.needs else ""
    return f"patch {patch.number}: {patch.title} ({', '.join(patch.files)}){needs}"


def nodes_text(nodes):
    """A node set as one types it."""
    return nodes if isinstance(nodes, str) else format_nodes(parse_nodes(nodes, MAX_NODES))


def stayed_html(table, most=5):
    """The pages that stayed, one row for all that stayed alike."""
    groups = table.groupby(["task", "what", "error", "reason"], sort=False)
    rows = []
    for (task, what, error, reason), group in groups:
        pages = group["page"] if task else group["frame"]
        names = format_nodes(sum(1 << int(n) for n in set(pages))).replace(",", ", ")
        names = names if len(names) < 40 else names[:36].rpartition(",")[0] + ", ..."
        whose = f"of {escape(task)}" if task else "(frames)"
        rows.append(f'<tr><td class="n">{len(group)}</td><td class="one">{names} {whose}</td>'
                    f'<td class="one">{what} {error}</td><td>{reason}</td></tr>')  # fmt: skip
    if len(rows) > most:
        rows[most - 1 :] = [f'<tr><td colspan="4">and {len(rows) - most + 1} more rows</td></tr>']
    rows = rows or ["<tr><td>none</td></tr>"]
    head = "<tr><th>pages</th><th>which</th><th>outcome</th><th>because</th></tr>" * (len(groups) > 0)
    return f"<table><caption>Pages that stay, and why</caption>{head}{''.join(rows)}</table>"


def counters_html(counters):
    """The running counters in two columns."""
    cells = [f'<td>{name}</td><td class="n">{value}</td>' for name, value in counters.items()]
    half = (len(cells) + 1) // 2
    rows = "".join(f"<tr>{''.join(cells[i::half])}</tr>" for i in range(half))
    return f"<table><caption>Since the call began</caption>{rows}</table>"
