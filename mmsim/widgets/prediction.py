"""A question with buttons: answer, feedback, hints, the next question."""

import functools

import ipywidgets as W

from .parts import Plain, Status, button, markup_of


class Prediction(Plain, W.VBox):
    """What `mmsim.lessons.predict` shows.

    Parameters
    ----------
    ask : callable
        ``ask(seed)`` gives the Question of a seed.
    kept : dict
        The answers by seed, and under "seed" the seed last shown.
    plain : callable
        ``plain(question, seed)`` gives the whole as plain text.
    """

    def __init__(self, ask, kept, plain):
        self.ask, self.kept, self.plain = ask, kept, plain
        self.text, self.line = W.HTML(), Status()
        self.options = W.HBox(layout=W.Layout(flex_flow="row wrap"))
        self.tools = [button("Hint", self.hint), button("Show the answer", self.reveal), button("", self.another)]
        super().__init__([self.text, self.options, self.line, W.HBox(self.tools)])
        self.add_class("mmsim-predict").layout.margin = "4px 0 8px 0"
        self.show()

    def show(self):
        """Put the question of the seed on the screen, with the answer that was given to it before."""
        seed = self.kept["seed"]
        self.question, self.hints_given = self.ask(seed), 0
        text = "<b>Predict.</b> " + markup_of(self.question.text).replace("\n", "<br>")
        self.text.value = f"<div style='line-height: 1.5; font-size: var(--jp-content-font-size1, 14px)'>{text}</div>"
        self.tools[0].disabled = not self.question.hints
        self.tools[2].description = f"Another one (seed {seed + 1})"
        self.line.value = ""
        if self.question.choices:
            acts = {choice: functools.partial(self.guess, choice) for choice in self.question.choices}
            self.options.children = [button(f"○ {choice}", act) for choice, act in acts.items()]
        else:
            field = W.Text(description="Answer", value=str(self.kept.get(seed, "")))
            self.options.children = [field, button("Check", lambda: self.guess(field.value))]
        if seed in self.kept:
            self.guess(self.kept[seed])

    def guess(self, value):
        """Answer the question: the feedback, also on the screen."""
        result = self.question.feedback(value)
        if result.right is not None:
            self.kept[self.kept["seed"]] = value
        for choice, made in zip(self.question.choices, self.options.children, strict=False):
            made.description = f"{'●' if choice == value else '○'} {choice}"
            made.style.font_weight = "bold" if choice == value else ""
        self.line.value = markup_of(result.text)
        return result

    def hint(self):
        """Show the next hint; after the last one the first again."""
        n = self.hints_given % len(self.question.hints)
        self.line.value = markup_of(f"Hint {n + 1} of {len(self.question.hints)}: {self.question.hints[n]}")
        self.hints_given += 1

    def reveal(self):
        """Show the answer."""
        self.line.value = markup_of(self.question.solution)

    def another(self):
        """Go to the question of the next seed."""
        self.kept["seed"] += 1
        self.show()

    def __repr__(self):
        return self.plain(self.question, self.kept["seed"])
