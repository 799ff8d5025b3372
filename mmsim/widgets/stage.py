"""The widgets that stage.js draws: the stage itself, a slider with a name, and a line that is spoken."""

from pathlib import Path

import anywidget
import numpy as np
import traitlets as t

HERE = Path(__file__).parent


class Part(anywidget.AnyWidget):
    """A widget of stage.js."""

    _esm = HERE / "stage.js"
    _css = HERE / "stage.css"
    kind = t.Unicode().tag(sync=True)


class Range(Part):
    """A slider whose name and value are said: `name`, `value` from 0 to `most`, and what it means, `said`."""

    kind = t.Unicode("range").tag(sync=True)
    name = t.Unicode().tag(sync=True)
    value = t.Int(0).tag(sync=True)
    most = t.Int(1).tag(sync=True)
    said = t.Unicode().tag(sync=True)


class Status(Part):
    """A line that a screen reader speaks when it changes, unless it is `quiet`; `error` is said first, in bold."""

    kind = t.Unicode("status").tag(sync=True)
    error = t.Unicode().tag(sync=True)
    text = t.Unicode().tag(sync=True)
    quiet = t.Bool(False).tag(sync=True)


class Stage(Part):
    """Shows a Scene. While `playing`, it asks `on_next` for another step each `pace` ms, never twice for the same."""

    kind = t.Unicode("stage").tag(sync=True)
    geometry = t.Dict().tag(sync=True)
    cells = t.Bytes().tag(sync=True)
    hand = t.Dict().tag(sync=True)
    label = t.Unicode().tag(sync=True)
    step = t.Int(0).tag(sync=True)
    playing = t.Bool(False).tag(sync=True)
    pace = t.Int(100).tag(sync=True)
    width = t.Int(1100).tag(sync=True)

    def __init__(self, on_next):
        super().__init__()
        self.scene, self._on_next = None, on_next
        self.on_msg(self._answer)
        self.observe(self._resize, "width")

    def show(self, scene, step, forward=False):
        """Show a step of a scene: one message to the browser."""
        with self.hold_sync():
            if scene is not self.scene:
                self.scene = scene
                self._resize()
            hand = scene.hand(step)
            self.cells = np.concatenate(scene.cells(step)).tobytes()
            self.hand = hand | {"fly": forward and hand.get("fly", False)}
            self.label, self.step = scene.label(step), step

    def _resize(self, *_):
        if self.scene:
            self.geometry = self.scene.geometry(self.width)

    def _answer(self, _, message, __):
        if "look" in message and 0 <= message["look"] < self.geometry["cells"]:
            cell = int(message["look"])
            self.send({"cell": cell, "text": self.scene.describe(self.step, cell)})
        elif self.playing and message.get("next") == self.step:
            self._on_next()
