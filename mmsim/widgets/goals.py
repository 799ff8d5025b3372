"""Goals: five tasks for the end of a class; make calls until the pages are where they are wanted."""

from html import escape

import ipywidgets as W

from ..experiments import goals as made
from ..plots import palette
from ..terms.arguments import counted
from .onpaper import dead
from .parts import AUTO, STYLE, Plain, Status, button, choice, details, flow, markup_of
from .panels import stayed_html
from .recording import Recording
from .scene import Scene
from .stage import Stage


class Goals(Plain, W.VBox):
    """Five tasks: bring the pages of a task where they are wanted, with few calls, on an old kernel.

    Parameters
    ----------
    seed : int
        Other tasks of the same five kinds.

    Attributes
    ----------
    goal : Goal
        The task that is shown, one of `mmsim.experiments.goals`.
    done : list of (int, str)
        The calls that were made: their places in `goal.calls`, and what each returned.
    kernel : Kernel
        The machine as they left it.
    controls : dict
        The widgets by name: "goal", "seed", "kernel", "call", "Make the call", "Undo", "Start again", "Hint",
        "Solution".
    """

    def __init__(self, seed=1):
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= 9999:
            raise ValueError(f"seed is {seed!r}; give a whole number from 0 to 9999")
        kinds = [(f"{i} of {len(made.KINDS)}: {kind}", kind) for i, kind in enumerate(made.KINDS, 1)]
        room = W.Layout(width="110px")
        self.controls = c = {
            "goal": choice("goal", options=kinds),
            "seed": W.BoundedIntText(seed, min=0, max=9999, description="seed", style=AUTO, layout=room),
            "kernel": choice("kernel"), "call": choice("call"),
        }  # fmt: skip
        acts = {"Make the call": lambda: self.call(c["call"].value), "Undo": self.undo, "Start again": self.restart,
                "Hint": self.hint, "Solution": self.solution}  # fmt: skip
        c |= {name: button(name, act) for name, act in acts.items()}
        self.text, self.pages, self.made, self.line, self.stayed = W.HTML(), W.HTML(), W.HTML(), Status(), W.HTML()
        self.line.add_class("end")
        self.stage = Stage(lambda: None, lambda *_: None)
        super().__init__([
            W.HTML(STYLE), flow(c["goal"], c["seed"], c["kernel"]), self.text, self.pages,
            flow(*(c[name] for name in ("call", *acts))), self.line, self.stage, self.stayed, self.made,
        ])  # fmt: skip
        self.add_class("mmsim-goals").add_class("mmsim-plain")
        for name in ("seed", "goal"):
            c[name].observe(lambda _: self._choose(), "value")
        c["kernel"].observe(lambda _: self._quiet or self.restart(), "value")
        self._choose()

    def _choose(self):
        """Show a goal, on the newest kernel that it leaves open."""
        c = self.controls
        self.goal, self._best, self._hints = made.goal(c["goal"].value, c["seed"].value), None, 0
        c["call"].options, c["call"].value = [(call.text, i) for i, call in enumerate(self.goal.calls)], 0
        self._quiet = True
        c["kernel"].options = [(kernel_text(n), n) for n in self.goal.kernels]
        c["kernel"].value = self.goal.kernels[-1]
        self._quiet = False
        c["kernel"].disabled = len(self.goal.kernels) == 1
        self.text.value = f"<p>{escape(self.goal.text)}</p>"
        self.restart()

    # -- what the buttons do

    def restart(self):
        """Build the machine anew; no call was made."""
        self.kernel = self.goal.build(self.controls["kernel"].value)
        self.done, self._before = [], []
        self._record(lambda: None)
        self._show("No call yet.")

    def call(self, number):
        """Make one of the calls of the goal."""
        self._before.append(self.kernel.snapshot())
        self._record(lambda: self.done.append((number, made.make(self.kernel, self.goal.calls[number]))))
        self._show()

    def undo(self):
        """Take the last call back."""
        if self.done:
            self.done.pop()
            self.kernel.restore(self._before.pop())
            self._record(lambda: None)
            self._show()

    def hint(self):
        """Give the next hint; after the last one the first again."""
        hints = self.goal.hints
        self._hints = self._hints % len(hints) + 1
        self._show(f"Hint {self._hints} of {len(hints)}: {hints[self._hints - 1]}")

    def solution(self):
        """Say what reaches the goal, and with how many calls."""
        self._show(self.answer())

    @property
    def best(self):
        """(patches, calls): the oldest kernel that can reach the goal, the fewest calls on it; found by trying all."""
        self._best = self._best or made.best(self.goal)
        return self._best

    def answer(self):
        """The solution in words."""
        patches, calls = self.best
        where = f", on a kernel with {kernel_text(patches)}: no older one can" * (len(self.goal.kernels) > 1)
        calls = "; then ".join(self.goal.calls[i].text for i in calls)
        return f"The best is {counted(len(self.best[1]), 'call')}{where}. {calls}."

    # -- what is on the screen

    def verdict(self):
        """How far it is, in words."""
        lacks, patches = self.goal.lacks(self.kernel), self.controls["kernel"].value
        done = counted(len(self.done), "call")
        if lacks:
            return f"○ {done}. Not yet: {lacks}."
        best = self.best
        if patches > best[0]:
            return f"✓ Reached with {done}. An older kernel can do it, too."
        if len(self.done) > len(best[1]):
            return f"✓ Reached with {done}. It can be done with {len(best[1])}."
        return f"✓ Reached with {done}, and it cannot be done better."

    def _record(self, run):
        self.recording = Recording(self.kernel, run)
        self.stage.show(Scene(self.recording), self.recording.steps, 0)

    def _show(self, note=""):
        now, wanted = made.placement(self.kernel), self.goal.target
        head = "".join(f"<th scope=col>{i}</th>" for i in range(len(now)))
        rows = "".join(f"<tr><th scope=row>{name}</th>{cells(row, wanted)}</tr>"
                       for name, row in (("is on node", now), ("wanted on", wanted)))  # fmt: skip
        self.pages.value = f"<table class=pages><tr><th scope=row>page of a</th>{head}</tr>{rows}</table>"
        self.line.value = "".join(f"{escape(text)}<br>" for text in (self.verdict(), note) if text)
        calls = [f"<li><code>{escape(self.goal.calls[i].text)}</code>{f' → {escape(said)}' * bool(said)}</li>"
                 for i, said in self.done]  # fmt: skip
        self.made.value = f"<ol>{''.join(calls)}</ol>" * bool(calls)
        stayed = self.recording.stayed(self.recording.steps)
        self.stayed.value = stayed_html(stayed, "What stayed at the last call, and why") if len(stayed) else ""
        self.controls["Undo"].disabled = self.controls["Start again"].disabled = not self.done

    def _paper(self):
        """The goal, its calls, and folded hints and solution."""
        calls = "".join(f"<li><code>{escape(call.text)}</code></li>" for call in self.goal.calls)
        hints = {f"Hint {n}": text for n, text in enumerate(self.goal.hints, 1)}
        texts = hints | {"Solution": self.answer()}
        unfolding = details({name: markup_of(text) for name, text in texts.items()})
        return (f"{self.text.value}{self.pages.value}<p>The calls:</p><ul>{calls}</ul>"
                f"{dead(['Make the call', 'Undo', 'Start again'])}{unfolding}")  # fmt: skip

    def __repr__(self):
        now, wanted = (" ".join(map(str, each)) for each in (made.placement(self.kernel), self.goal.target))
        lines = [f"{self.controls['goal'].value}. {self.goal.text}", f"pages of a are on nodes {now}",
                 f"they are wanted on      {wanted}", "calls:", *(f"  {call.text}" for call in self.goal.calls),
                 *(f"made: {self.goal.calls[i].text} -> {said}" for i, said in self.done), self.verdict()]  # fmt: skip
        return "\n".join(lines)


def cells(row, target):
    """The cells of a row of nodes, in their colours; what is not as wanted is marked."""
    found = []
    for value, wanted in zip(row, target, strict=True):
        look = palette.node(value) if value is not None else palette.PATHS["swapped out"]
        off = " class=off" * (value != wanted)
        text = "–" if value is None else f"{value}{' ✗' if off else ''}"
        found.append(f'<td{off} style="background:{look.colour};color:{look.ink}">{text}</td>')
    return "".join(found)


def kernel_text(patches):
    """The patches of a kernel in words."""
    return ("no patches", "patch 1")[patches] if patches < 2 else f"patches 1 to {patches}"
