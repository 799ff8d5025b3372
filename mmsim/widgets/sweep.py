"""Sweep: choose values, let every combination run, look at where the move pays."""

import asyncio
import re
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from html import escape
from time import monotonic

import ipywidgets as W

from .. import plots
from ..plots.picture import Picture
from ..machine.errors import MMSimError
from ..whatif import FIGURES, Scenario, answer, scenarios
from ..whatif.sweeps import listed, points, rows, table, text_of, values_of
from .onpaper import dead
from .parts import AUTO, STYLE, Plain, Status, button, choice, flow
from .stage import Range

ACCESSES = [m * 10**e for e in range(6) for m in (1, 2, 5)]  # what the slider offers
HEAT = {"lines or map": None, "lines": False, "map": True}
GAP = "4px 12px"
NUMBERS = [name for name in FIGURES if name not in ("kernel", "error")]


class Sweep(Plain, W.VBox):
    """Fields for the values of some parameters, a figure of what every combination gave, and a table.

    Another scenario can be chosen, of those that ship or from a file.  `table` is the DataFrame; `mmsim.sweep` and
    `mmsim.plots.sweep` give the same without buttons, `mmsim run` the answer in full.

    Parameters
    ----------
    scenario : Scenario, or name or file of one
    grid : dict, optional
        ``{parameter: values}``; default: the grid of the scenario.
    jobs : int
        Processes; -1: one for each core.
    """

    def __init__(self, scenario, grid=None, jobs=-1):
        scenario = scenario if isinstance(scenario, Scenario) else Scenario.load(scenario)
        self.jobs, self.cancelled = jobs, False
        self.known = {scenario.name: scenario}
        self.known |= {each.name: each for each in map(Scenario.load, scenarios())} | self.known
        self.choice = choice("question", options=list(self.known), value=scenario.name)
        self.upload = W.FileUpload(accept=".toml", description="a file of your own (.toml)",
                                   layout=W.Layout(width="auto"))  # fmt: skip
        self.start, self.stop = button("Run", self.run), button("Cancel", self.cancel, disabled=True)
        self.full = button("Answer in full", self.answer)
        self.y = W.Dropdown(options=NUMBERS, value="break_even", description="figure", style=AUTO)
        self.kind = W.Dropdown(options=list(HEAT), description="as", style=AUTO)
        self.accesses = Range(name="accesses a page after the move", value=6, most=len(ACCESSES) - 1)
        self.line, self.picture, self.files, self.rows = Status(), W.HTML(), W.HTML(), W.HTML()
        self.about, self.boxes = W.HTML(), flow(gap=GAP)
        super().__init__([
            W.HTML(STYLE), flow(self.choice, self.upload, gap=GAP), self.about, self.boxes,
            flow(self.start, self.stop, self.full, self.y, self.kind, self.accesses, gap=GAP), self.line,
            self.picture, self.files, self.rows,
        ])  # fmt: skip
        self.add_class("mmsim-sweep").add_class("mmsim-plain")
        self.ask(scenario, grid)
        for control in (self.y, self.kind, self.accesses):
            control.observe(lambda _: self.show(), "value")
        self.choice.observe(lambda change: self.choose(self.known[change["new"]]), "value")
        self.upload.observe(lambda change: self.take(change["new"]), "value")

    def ask(self, scenario, grid=None):
        """Show another scenario: its question, and a field for each parameter of its grid."""
        self.scenario, self.table = scenario, None
        wide = {"style": AUTO, "layout": W.Layout(width="auto", min_width="340px", flex="1")}
        self.fields = {key: W.Text(text_of(listed(values), key), description=key, continuous_update=False, **wide)
                       for key, values in (grid or scenario.grid).items()}  # fmt: skip
        self.boxes.children = list(self.fields.values())
        self.about.value = f"<p><b>{escape(scenario.name)}.</b> {escape(scenario.question)}</p>"
        self.picture.value = self.files.value = self.rows.value = ""
        self.show()

    def choose(self, scenario):
        """Take another scenario, on a machine that is small enough to be asked at once."""
        small = {"scale": ["1/1024"]} if scenario.plan and scenario.plan({}).scale > 1 / 1024 else {}
        self.ask(scenario, small | scenario.grid)

    def take(self, uploaded):
        """Take the scenario of a file that was uploaded."""
        for file in uploaded:
            try:
                scenario = Scenario.loads(bytes(file["content"]).decode("utf-8-sig"), file["name"])
            except ValueError as error:
                self.fail(error)
                continue
            label = f"{scenario.name} ({file['name']})"
            self.known = {label: scenario} | {name: each for name, each in self.known.items() if name != label}
            self.choice.options = list(self.known)
            self.choice.value = label
            self.choose(scenario)

    def fail(self, error):
        """Say what is wrong."""
        self.line.value = f"<p class='wrong'>✗ {escape(str(error))}</p>"

    def answer(self):
        """Show what the first value of each field gives, in full, as `mmsim run` does."""
        self.line.value, self.picture.value, self.files.value, self.rows.value = "<p>Running …</p>", "", "", ""
        try:
            parameters = {key: values[0] for key, values in self.grid.items() if values}
            said = answer.answer(self.scenario, parameters, self.scenario.run(parameters))
        except (ValueError, OSError, MMSimError) as error:
            self.fail(error)
            return
        first = ", ".join(f"{key} = {value}" for key, value in parameters.items())
        self.line.value = f"<p>{escape(first)}</p>"
        self.rows.value = f"<pre>{escape(answer.text(said))}</pre>"

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
            self.fail(error)
            return
        self.began = monotonic()
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
        left = f", about {(monotonic() - self.began) / done * (of - done):,.0f} s left" if 0 < done < of else ""
        self.line.value = f"<p>{bar} {done} of {of} points{left}</p>"

    def show(self):
        """Draw the figure and the table of what was found."""
        accesses = ACCESSES[self.accesses.value]
        self.accesses.said = f"{accesses:,}"
        if self.table is None or self.table.empty:
            self.line.value = "<p>Change the values if you like, and press <b>Run</b>.</p>"
            return
        y, failed = self.y.value, int(self.table["error"].astype(bool).sum())
        pays = int((self.table["break_even"] <= accesses).sum())
        errors = self.table["error"][self.table["error"].astype(bool)].value_counts()
        said = "".join(f"<p class='wrong'>✗ {escape(str(error))} ({n} of {len(self.table)} points)</p>"
                       for error, n in errors.items())  # fmt: skip
        self.line.value = (
            f"<p>{'Cancelled: ' * self.cancelled}{len(self.table)} points, {failed} failed; "
            f"at {accesses:,} accesses a page the move pays in {pays} of them.</p>"
        )
        if failed == len(self.table):  # nothing to be seen
            self.picture.value, self.files.value, self.rows.value = "", "", said
            return
        ax = plots.sweep(self.table, y=y, accesses=accesses, heat=HEAT[self.kind.value])
        picture = Picture(ax)
        self.picture.value = picture._repr_html_()
        self.files.value = "<p>" + " ".join([
            download("CSV", "sweep.csv", "text/csv", self.table.to_csv(index=False).encode()),
            download("JSON", "sweep.json", "application/json", self.table.to_json(orient="records").encode()),
            download("PNG", "sweep.png", "image/png", picture._png),
        ]) + "</p>"  # fmt: skip
        columns = dict.fromkeys([*self.fields, "kernel", y, "access_before", "access_after", "break_even"])
        markup = self.table[list(columns)].to_html(index=False, border=0, float_format=lambda v: f"{v:,.4g}", na_rep="")
        head, body = markup.split("</thead>")
        head = re.sub("(?<=[a-z])([._])(?=[a-z])", r"\1<wbr>", head)  # where names may be broken
        self.rows.value = said + f"{head}</thead>{body}".replace(">inf<", ">never<").replace("&lt;NA&gt;", "")

    def _paper(self):
        """The question, the values that are tried, and what was found."""
        values = "".join(f"<tr><th>{escape(key)}</th><td>{escape(field.value)}</td></tr>"
                         for key, field in self.fields.items())  # fmt: skip
        found = self.picture.value + self.rows.value if self.table is not None else "<p>It was not run yet.</p>"
        return f"{self.about.value}<table>{values}</table>{dead(['Run', 'Answer in full'])}{found}"

    def __repr__(self):
        found = "not run yet" if self.table is None else self.table.to_string(index=False)
        return f"{self.scenario.name}: {self.scenario.question}\n{self.grid}\n{found}"


def download(text, name, kind, data):
    """A link that saves data as a file."""
    return f'<a download="{name}" href="data:{kind};base64,{b64encode(data).decode()}">Save as {text}</a>'
