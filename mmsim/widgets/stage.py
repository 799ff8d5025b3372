"""The widgets that stage.js draws: the stage, a slider with a name, a line that is spoken, a piece of source."""

from pathlib import Path

import anywidget
import numpy as np
import traitlets as t

HERE = Path(__file__).parent


class Part(anywidget.AnyWidget):
    """A widget of stage.js.

    Script and style are traits of the class: anywidget would make a class of its own for each widget.
    """

    _esm = t.Unicode((HERE / "stage.js").read_text(encoding="utf-8")).tag(sync=True)
    _css = t.Unicode((HERE / "stage.css").read_text(encoding="utf-8")).tag(sync=True)
    _anywidget_id = t.Unicode(__name__).tag(sync=True)
    kind = t.Unicode().tag(sync=True)

    def add_traits(self, **traits):
        """Add those that the class has not got."""
        new = {name: trait for name, trait in traits.items() if not self.has_trait(name)}
        if new:
            super().add_traits(**new)


class Range(Part):
    """A slider whose name and value are said: `name`, `value` from 0 to `most`, and what it means, `said`.

    `marks`: [place, kind] of what is marked below it; a kind is one of pass, fails, part, page.
    """

    kind = t.Unicode("range").tag(sync=True)
    name = t.Unicode().tag(sync=True)
    value = t.Int(0).tag(sync=True)
    most = t.Int(1).tag(sync=True)
    said = t.Unicode().tag(sync=True)
    marks = t.List().tag(sync=True)


class Status(Part):
    """A line (HTML) that a screen reader speaks when it changes, unless it is `quiet`.

    It stays in the page while its contents change, and keeps keys typed into the widget around it from JupyterLab.
    `of`: the number of the widget around it, if this line is to look whether it has a kernel; see `onpaper`.
    `here`: the address of the page, if it is that of an app or of the console in the browser.
    """

    kind = t.Unicode("status").tag(sync=True)
    value = t.Unicode().tag(sync=True)
    quiet = t.Bool(False).tag(sync=True)
    of = t.Unicode().tag(sync=True)
    here = t.Unicode().tag(sync=True)


class Source(Part):
    """Lines of source, numbered from `first`; the line `marked` is kept in view."""

    kind = t.Unicode("source").tag(sync=True)
    name = t.Unicode().tag(sync=True)
    text = t.Unicode().tag(sync=True)
    first = t.Int(1).tag(sync=True)
    marked = t.Int(0).tag(sync=True)


class Stage(Part):
    """Shows a Scene. A click on a square, or Enter, calls ``on_pick(stage, cell)``.

    While `playing`, it asks `on_next` for another step each `pace` ms, never twice for the same. `step` is the one
    that the player counts; `at` is that of the recording.
    """

    kind = t.Unicode("stage").tag(sync=True)
    geometry = t.Dict().tag(sync=True)
    cells = t.Bytes().tag(sync=True)
    hand = t.Dict().tag(sync=True)
    label = t.Unicode().tag(sync=True)
    step = t.Int(0).tag(sync=True)
    playing = t.Bool(False).tag(sync=True)
    pace = t.Int(100).tag(sync=True)
    width = t.Int(1100).tag(sync=True)
    tool = t.Unicode("look").tag(sync=True)

    def __init__(self, on_next, on_pick):
        super().__init__()
        self.scene, self.at, self._on_next, self._on_pick = None, 0, on_next, on_pick
        self.on_msg(self._answer)
        self.observe(self._resize, "width")

    def show(self, scene, at, step, forward=False):
        """Show a step of a scene: one message to the browser."""
        with self.hold_sync():
            if scene is not self.scene:
                self.scene = scene
                self._resize()
            for name, value in self.seen(scene, at, step, forward).items():
                self.set_trait(name, value)
            self.at = at

    def seen(self, scene, at, step, forward):
        """The traits that show a step of a scene after what is shown now."""
        hand = scene.hand(at)
        return {"cells": np.concatenate(scene.cells(at)).tobytes(), "label": scene.label(at), "step": step,
                "hand": hand | {"fly": forward and at != self.at and hand.get("fly", False)}}  # fmt: skip

    def prepare(self, seen):
        """Give the browser what a click on Step will show, {widget: traits}: so it need not wait for the kernel."""
        cells = [traits.pop("cells") for traits in seen.values() if "cells" in traits]
        self.send({"ahead": {widget.model_id: traits for widget, traits in seen.items()}, "from": self.step}, cells)

    def _resize(self, *_):
        if self.scene:
            self.geometry = self.scene.geometry(self.width)

    def save(self, name, data):
        """Have the browser keep bytes as a file."""
        self.send({"save": name}, [data])

    def _answer(self, _, message, __):
        cell = message.get("look", message.get("pick"))
        if isinstance(cell, int) and 0 <= cell < self.geometry["cells"]:
            if "pick" in message:
                self._on_pick(self, cell)
            self.send({"cell": cell, "text": self.scene.describe(self.at, cell)})
        elif self.playing and message.get("next") == self.step:
            self._on_next()
