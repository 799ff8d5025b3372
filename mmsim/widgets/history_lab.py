"""HistoryLab: one experiment on every kernel; at each border, the two kernels beside each other where they part."""

from html import escape

import ipywidgets as W

from ..experiments.catalogue import EXPERIMENTS
from ..experiments.history import history, said
from ..whatif import Scenario, scenarios
from .onpaper import dead, image
from . import svg
from .parts import STYLE, Plain, Status, button, choice
from .scene import Scene
from .stage import Range
from .still import STEP, Still

SCALE = "1/4096"  # of a shipped scenario: some hundred pages
SHOWN, BEFORE = 10, 3  # events that are shown of each kernel, and how many of them before the parting
WIDTH, MANY = 300, 1024  # px of a picture; page frames of which it has pixels, no shapes


class HistoryLab(Plain, W.VBox):
    """Choose an experiment, see what it gives on each kernel, and look at two kernels where they part.

    Parameters
    ----------
    experiment : callable, Scenario or str, optional
        As for `mmsim.history`; or the name of one of EXPERIMENTS, or of a shipped scenario (at a scale of 1/4096).
        Default: the first of EXPERIMENTS.
    releases : iterable of str, optional
    **given
        As for `mmsim.history`.

    Attributes
    ----------
    history : History
        What is shown.
    release : str or None
        The border that is looked at: the first kernel behind it.
    beside : tuple or None
        What `History.beside` gave for it.
    controls : dict
        The widgets by name: "experiment", "event"; the buttons of the borders by release.
    """

    def __init__(self, experiment=None, releases=None, **given):
        known = {name: (each, given) for name, each in EXPERIMENTS.items()}
        known |= {name: (Scenario.load(name), {"scale": SCALE}) for name in scenarios()}
        if isinstance(experiment, str) and experiment not in known:
            raise ValueError(f"experiment is {experiment!r}; there are: {', '.join(known)}")
        name = experiment or next(iter(EXPERIMENTS))
        if not isinstance(name, str):
            name = getattr(experiment, "name", getattr(experiment, "__name__", "your own"))
            known[name] = experiment, given
        self._releases, self._known = releases, known
        chooser = choice("experiment", options=list(dict.fromkeys([name, *known])), value=name)
        chooser.observe(lambda _: self.run(), "value")
        event = Range(name="event", most=1)
        event.observe(lambda _: self._show_events(), "value")
        self.controls = {"experiment": chooser, "event": event}
        self.line, self.table, self.pictures, self.parts = Status(), W.HTML(), W.HTML(), W.HTML()
        self.borders = W.HBox(layout=W.Layout(flex_flow="row wrap", grid_gap="4px"))
        super().__init__([W.HTML(STYLE), chooser, self.line, self.table, self.borders, event,
                          self.pictures, self.parts])  # fmt: skip
        self.add_class("mmsim-history").add_class("mmsim-plain")
        self.run()

    def run(self):
        """Run what is chosen on every kernel, and show what it gave."""
        name = self.controls["experiment"].value
        experiment, given = self._known[name]
        self.line.value = f"<p>running {escape(name)} on every kernel ...</p>"
        self.history = history(experiment, self._releases, **given)
        self.release = self.beside = None
        question = getattr(experiment, "question", "") or (experiment.__doc__ or "").partition("\n")[0]
        borders = list(dict.fromkeys(self.history.changed["release"]))
        self.line.value = f"<p>{escape(question)} {len(borders)} borders: choose one to see why.</p>"
        self.table.value = facts_html(self.history)
        changes = self.history.changed.groupby("release")["change"].agg(lambda each: " and ".join(dict.fromkeys(each)))
        buttons = {release: button(f"{release}: {changes[release]}", lambda release=release: self.look(release))
                   for release in borders}  # fmt: skip
        self.controls = {name: self.controls[name] for name in ("experiment", "event")} | buttons
        self.borders.children = list(buttons.values())
        self.controls["event"].layout.display, self.pictures.value, self.parts.value = "none", "", ""

    def look(self, release):
        """Run the two kernels of a border again, and show both at the event where they part."""
        self.beside, self.release = self.history.beside(release), release
        names, events, parting = self.beside
        event = self.controls["event"]
        event.most = max(1, *map(len, events))
        event.layout.display = None if max(map(len, events)) else "none"
        for each in self.borders.children:
            each.button_style = "primary" if each is self.controls[release] else ""
        if event.value == parting:
            self._show_events()
        event.value = parting
        where = f"They part at event {parting + 1}." if max(map(len, events)) else "This scenario keeps no trace."
        self.line.value = f"<p><b>{escape(names[0])}</b> beside <b>{escape(names[1])}</b>. {where}</p>"

    def _show_events(self):
        if self.beside is None:
            return
        names, events, parting = self.beside
        at = self.controls["event"].value
        self.controls["event"].said = f"{at + 1}" + " (here they part)" * (at == parting)
        first = max(0, at - BEFORE)
        rows = []
        for i in range(first, min(first + SHOWN, max(map(len, events)))):
            cells = "".join(f"<td>{event_html(each, i)}</td>" for each in events)
            rows.append(f'<tr{" class=parting" * (i == parting)}><th scope=row>{i + 1}</th>{cells}</tr>')
        head = "".join(f"<th scope=col>{escape(name)}</th>" for name in names)
        self.pictures.value = "".join(map(picture_html, names, self._stills(), events)) * bool(rows)
        self.parts.value = ("<table class=parts><caption>What happens on each; above the thick line it is the same"
                            "</caption><colgroup><col style='width:5em'><col><col></colgroup>"
                            f"<tr><th scope=col>event</th>{head}</tr>{''.join(rows)}</table>") * bool(rows)  # fmt: skip

    def _paper(self):
        """The facts on each kernel, and at which borders they change."""
        borders = [each.description for each in self.borders.children]
        name = escape(self.controls["experiment"].value)
        return f"<p><b>{name}</b></p>{self.line.value}{self.table.value}{dead(borders)}"

    def _stills(self):
        """The two machines at the event that is shown."""
        at, stills = self.controls["event"].value, []
        for switches, events in zip(self.history.sides(self.release)[1], self.beside[1], strict=True):
            number, found = int(events.index[at]) if at < len(events) else at, []

            def look(kernel, number=number, found=found):
                if not found and kernel.k.sys.nr_events >= number:
                    found.append(Still(kernel, number))

            kernel = self.history.runs.watched(switches, look)
            stills.append((found[0] if found else Still(kernel, number)).finish(kernel))
        return stills

    def __repr__(self):
        return f"{self.controls['experiment'].value}\n{self.history.summary()}"


def facts_html(told):
    """The facts as a table: a column for the first kernel, and one for each that changed something."""
    columns = [told.facts.columns[0], *dict.fromkeys(told.changed["release"])]
    new = set(zip(told.changed["fact"], told.changed["release"], strict=True))
    head = "".join(f"<th scope=col>{column}</th>" for column in columns)
    rows = "".join(
        f"<tr><th scope=row>{escape(fact)}</th>"
        + "".join(f"<td{' class=new' * ((fact, column) in new)}>{escape(said(told.facts.at[fact, column]))}</td>"
                  for column in columns) + "</tr>" for fact in told.telling
    )  # fmt: skip
    caption = f"Each column holds up to the next; the last, up to {told.facts.columns[-1]}"
    return (f"<div class=wide><table class=facts><caption>{caption}</caption><tr><th scope=col>fact</th>{head}</tr>"
            f"{rows}</table></div>")  # fmt: skip


def picture_html(name, still, events):
    """A machine at one event, with its name above and what it is about to do below."""
    scene = Scene(still)
    if len(still) > MANY:
        shown = image(svg.png(scene, STEP, WIDTH), scene.label(STEP), WIDTH)
    else:
        shown = svg.draw(scene, STEP, WIDTH)
    return f"<figure><figcaption>{escape(name)}</figcaption>{shown}<p>{event_html(events, still.number)}</p></figure>"


def event_html(events, i):
    """One event: the function of the kernel, and what it says; nothing behind the last."""
    if i >= len(events):
        return "" if i > len(events) else "<i>nothing more happens</i>"
    row = events.iloc[i]
    return f"<code>{escape(row['function'])}</code><br>{escape(row['text'])}"
