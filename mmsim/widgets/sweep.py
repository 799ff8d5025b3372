"""Sweep: choose values, let every combination run, look at where the move pays."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from html import escape

import ipywidgets as W

from .. import plots
from ..plots.picture import Picture
from ..whatif import FIGURES, Scenario
from ..whatif.sweeps import listed, points, rows, table, values_of
from .parts import STYLE, Plain, Status, button
from .stage import Range

ACCESSES = [m * 10**e for e in range(6) for m in (1, 2, 5)]  # what the slider offers
HEAT = {"lines or map": None, "lines": False, "map": True}
NUMBERS = [name for name in FIGURES if name not in ("kernel", "error")]


class Sweep(Plain, W.VBox):
    """Fields for the values of some parameters, a figure of what every combination gave, and a table.

    `table` is the DataFrame; `mmsim.sweep` and `mmsim.plots.sweep` give the same without buttons.

    Parameters
    ----------
    scenario : Scenario, or name or file of one
    grid : dict, optional
        ``{parameter: values}``; default: the grid of the scenario.
    jobs : int
        Processes; -1: one for each core.
    """

    def __init__(self, scenario, grid=None, jobs=-1):
        self.scenario = scenario if isinstance(scenario, Scenario) else Scenario.load(scenario)
        self.jobs, self.table, self.cancelled = jobs, None, False
        wide = {"style": {"description_width": "auto"}, "layout": W.Layout(width="auto", min_width="340px", flex="1")}
        self.fields = {
            key: W.Text(", ".join(map(str, listed(values))), description=key, continuous_update=False, **wide)
            for key, values in (grid or self.scenario.grid).items()
        }
        self.start, self.stop = button("Run", self.run), button("Cancel", self.cancel, disabled=True)
        self.y = W.Dropdown(options=NUMBERS, value="break_even", description="figure", style=wide["style"])
        self.kind = W.Dropdown(options=list(HEAT), description="as", style=wide["style"])
        self.accesses = Range(name="accesses a page after the move", value=6, most=len(ACCESSES) - 1)
        self.line, self.picture, self.rows = Status(), W.HTML(), W.HTML()
        flow = W.Layout(flex_flow="row wrap", grid_gap="4px 12px", align_items="center")
        super().__init__([
            W.HTML(f"{STYLE}<style>.mmsim-sweep img {{ max-width: 100% }}</style><p>"
                   f"<b>{escape(self.scenario.name)}.</b> {escape(self.scenario.question)}</p>"),
            W.HBox(list(self.fields.values()), layout=flow),
            W.HBox([self.start, self.stop, self.y, self.kind, self.accesses], layout=flow),
            self.line, self.picture, self.rows,
        ])  # fmt: skip
        self.add_class("mmsim-sweep").add_class("mmsim-plain")
        for control in (self.y, self.kind, self.accesses):
            control.observe(lambda _: self.show(), "value")
        self.show()

    @property
    def grid(self):
        """What the fields say."""
        return {key: values_of(field.value, key) for key, field in self.fields.items()}

    def run(self):
        """Run every combination: in a notebook while everything else goes on, elsewhere until it is done."""
        try:
            todo = points(self.scenario, self.grid)
            running = rows(self.scenario, todo, self.jobs)
        except ValueError as error:
            self.line.value = f"<p>✗ {escape(str(error))}</p>"
            return
        self.cancelled, self.start.disabled, self.stop.disabled = False, True, False
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no notebook
            asyncio.run(self.work(todo, running))
        else:
            self.task = loop.create_task(self.work(todo, running))

    async def work(self, todo, running):
        """Take the rows as they come; the processes are awaited in a thread, everything else happens here."""
        done, loop = {}, asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as thread:
            self.say(0, len(todo))
            while not self.cancelled and (found := await loop.run_in_executor(thread, next, running, None)):
                done |= [found]
                self.say(len(done), len(todo))
            await loop.run_in_executor(thread, running.close)
        self.table = table(self.scenario, todo, done)
        self.start.disabled, self.stop.disabled = False, True
        self.show()

    def cancel(self):
        """Stop after the points under way; the rows that are there are shown."""
        self.cancelled = True
        self.line.value = "<p>Cancelling: the points under way end first.</p>"

    def say(self, done, of):
        """How far it is."""
        bar = f"<progress max={of} value={done} aria-label='points that are done'></progress>"
        self.line.value = f"<p>{bar} {done} of {of} points</p>"

    def show(self):
        """Draw the figure and the table of what was found."""
        accesses = ACCESSES[self.accesses.value]
        self.accesses.said = f"{accesses:,}"
        if self.table is None or self.table.empty:
            self.line.value = "<p>Change the values if you like, and press <b>Run</b>.</p>"
            return
        y, failed = self.y.value, int(self.table["error"].astype(bool).sum())
        pays = int((self.table["break_even"] <= accesses).sum())
        self.line.value = (
            f"<p>{'Cancelled: ' * self.cancelled}{len(self.table)} points, {failed} failed; "
            f"at {accesses:,} accesses a page the move pays in {pays} of them.</p>"
        )
        ax = plots.sweep(self.table, y=y, accesses=accesses, heat=HEAT[self.kind.value])
        self.picture.value = Picture(ax)._repr_html_()
        columns = dict.fromkeys([*self.fields, "kernel", y, "access_before", "access_after", "break_even"])
        shown = self.table[[*columns, *["error"] * bool(failed)]]
        markup = shown.to_html(index=False, border=0, float_format=lambda v: f"{v:,.4g}", na_rep="")
        self.rows.value = markup.replace(">inf<", ">never<")

    def __repr__(self):
        found = "not run yet" if self.table is None else self.table.to_string(index=False)
        return f"{self.scenario.name}: {self.scenario.question}\n{self.grid}\n{found}"
