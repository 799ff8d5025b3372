"""What can be taken away from a MigrationLab: files, and what stands for it on paper."""

from html import escape

from . import svg
from .controls import PLAYER
from .onpaper import dead, picture
from .panels import stayed_html

PAPER = 900, 640  # px: width of a picture on paper; with a machine beside it, or large squares


class TakenAway:
    """The part of a MigrationLab that makes files and pictures of it."""

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
                drawn = svg.draw(scene, step, PAPER[several or self.simple])
                name = title.value.removeprefix("<b>").removesuffix("</b>") + ": "
                pictures.append(picture(drawn, scene.label(step), name * several + recording.text(step)))
        stayed = ""
        for run, caption in zip(self._runs, ("Pages that stay, and why", "... beside it"), strict=False):
            table = run.stayed(run.steps)
            stayed += stayed_html(table, caption) if len(table) else f"<p><b>{caption}</b>: none</p>"
        note = f"<p>{escape(self.message)}</p>" * bool(self.message)
        return f"<p>{self._summary.value}</p>{note}{''.join(pictures)}{dead(PLAYER)}{stayed}"

