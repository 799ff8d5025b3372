"""What can be taken away from a MigrationLab: files, what stands for it on paper, its address, a line of Python."""

import os
from html import escape

from ..machine.errors import MMSimError
from . import address, svg
from .controls import PLAYER
from .onpaper import dead, picture
from .panels import stayed_html
from .parts import error_text

LARGE = 1500  # squares, from which on they are a PNG and no SVG
PAPER = 900, 640  # px: width of a picture on paper; with a machine beside it, or large squares
AT_FAULT = {"from": "old", "to": "new", "page": "obstacles", "There": "obstacles"}  # by the first word of an error


class TakenAway:
    """The part of a MigrationLab that makes files, pictures and an address of it, and makes a lab of an address."""

    @classmethod
    def from_address(cls, query=None):
        """The lab that the query of an address asks for, as in "trigger=A&to=2&pin=5&step=40".

        What is wrong with the query is said in the lab, and the rest of it is followed.  `query`: default that of the
        page, where there is one: under Voila.
        """
        settings, wrong = address.read(os.environ.get("QUERY_STRING", "") if query is None else query)
        while True:
            try:
                lab = cls(**settings)
                break
            except (ValueError, TypeError, OSError, MMSimError) as error:
                wrong.append(f"The address asks for what cannot be: {error_text(error).rstrip('.')}.")
                del settings[at_fault(error, settings)]
        if wrong:
            lab._say(" ".join(dict.fromkeys(wrong)), lab.message)
        return lab

    def settings(self):
        """The arguments of MigrationLab that give what is shown: {name: value}, without those that say nothing new."""
        c, first = self.controls, self.recording.pids[0]
        found = {} if self._machine is not None else {"layout": c["layout"].value, "release": self.release}
        if not c["seed"].disabled and self._machine is None:
            found["seed"] = c["seed"].value
        found["trigger"] = c["trigger"].value
        found["old"] = None if c["from"].disabled else c["from"].value
        found |= {"new": c["to"].value, "move_all": c["all"].value, "strict": c["strict"].value}
        if self.release is None and (self._machine is not None or len(self._patches) < len(address.PATCHES)):
            found["patches"] = tuple(sorted(self._patches))
        found["beside"] = None if c["beside"].value == "" else c["beside"].value
        obstacles = {}
        for tool, pid, page in sorted(self.placed):
            number, of, task = self.recording.virtual(self.recording.find(pid, page))[5:].partition(" of ")
            obstacles.setdefault(tool, []).append(int(number) if pid == first else number + of + task)
        found |= {"obstacles": obstacles, "step": self.step, "simple": self.simple}
        usual = {"layout": c["layout"].options[0], "obstacles": {}, "step": 0}
        usual |= dict.fromkeys(("move_all", "strict", "simple"), False)
        return {name: value for name, value in found.items() if value is not None and value != usual.get(name)}

    def line(self):
        """The lab that is shown as a line of Python."""
        return address.line(self.settings(), "machine" * (self._machine is not None))

    def link(self):
        """The lab that is shown as an address; ValueError: its machine is one's own, which no address can hold."""
        if self._machine is not None:
            raise ValueError("the machine is your own, and no address can hold it; line() gives a line of Python")
        return address.link(self._line.here, address.query(self.settings()))

    def _show_link(self):
        """The address and the line, made where they are seen."""
        if not self._is_open("Link"):
            return
        if self._machine is None:
            fields = {"address": self.link()}
            said = "" if self._line.here else "To be added to the address of the app or of the lab in the browser."
        else:
            fields, said = {}, "The machine is your own, so there is no address of it."
        fields["Python"] = self.line()
        self._link.value = f"<p>{said}</p>" * bool(said) + "".join(
            f'<label>{name} <input readonly value="{escape(text)}"></label>' for name, text in fields.items())

    def export(self, kind, step=None):
        """The machine at a step (default: the one shown) as the contents of a file, text or bytes.

        `kind`: frames, pages, events (CSV; events of the whole run), png, svg or numa_maps.
        """
        at = self._pairs[self.step if step is None else step][0]
        makers = {
            "frames": lambda: self.recording.frames(at).to_csv(), "pages": lambda: self.recording.pages(at).to_csv(),
            "events": lambda: self.recording.event_table().to_csv(),
            "png": lambda: svg.png(self._scenes[0], at, self.stage.width),
            "svg": lambda: svg.draw(self._scenes[0], at, self.stage.width),
            "numa_maps": lambda: self.recording.numa_maps(at),
        }  # fmt: skip
        if kind not in makers:
            raise ValueError(f"kind is {kind!r}; it is one of {', '.join(makers)}")
        return makers[kind]()

    def _save(self, kind):
        data = self.export(kind)
        ending = {"png": "png", "svg": "svg", "numa_maps": "txt"}.get(kind, "csv")
        self.stage.save(f"mmsim-{kind}-step-{self.step}.{ending}", data if isinstance(data, bytes) else data.encode())

    def static_svg(self, step=None, width=1100):
        """The stage at a step (default: the one shown) as SVG text, for paper and where no kernel runs."""
        return svg.draw(self._scenes[0], self._pairs[self.step if step is None else step][0], width)

    def story(self, page):
        """The sentences about one page in order: a frame number, or a virtual page of the task."""
        return self.recording.story(page)

    def _words(self):
        """The first and the last step in words."""
        first, last = (self._said_at(pair) for pair in (self._pairs[0], self._pairs[-1]))
        return f"<MigrationLab: {first}>\n<MigrationLab: {last}>"

    def _said_at(self, pair):
        """What each machine shows at a pair of steps."""
        views = zip(self._runs, self._scenes, pair, strict=True)
        return " | ".join(f"{run.text(at)} {scene.label(at)}" for run, scene, at in views)

    def _paper(self):
        """The settings, the first and the last step as pictures, and which pages have stayed."""
        several = len(self._runs) > 1
        pictures = []
        for at in (self._pairs[0], self._pairs[-1]):
            for title, scene, recording, step in zip(self._titles, self._scenes, self._runs, at, strict=False):
                width = PAPER[several or self.simple]
                drawn = (svg.png if scene.geometry(width)["cells"] > LARGE else svg.draw)(scene, step, width)
                name = title.value.removeprefix("<b>").removesuffix("</b>") + ": "
                pictures.append(picture(drawn, scene.label(step), name * several + recording.text(step), width))
        stayed = ""
        for run, caption in zip(self._runs, ("Pages that stay, and why", "... beside it"), strict=False):
            table = run.stayed(run.steps)
            stayed += stayed_html(table, caption) if len(table) else f"<p><b>{caption}</b>: none</p>"
        note = f"<p>{escape(self.message)}</p>" * bool(self.message)
        return f"<p>{self._summary.value}</p>{note}{''.join(pictures)}{dead(PLAYER)}{stayed}"


def at_fault(error, settings):
    """Which of some settings an error is about, by its first word; the last one, if it says none of them."""
    word = (getattr(error, "strerror", None) or str(error)).replace(":", " ").split()[0]
    name = AT_FAULT.get(word, word)
    return name if name in settings else list(settings)[-1]
