"""A question with buttons: answer, feedback, hints, the next question.

The first wrong answer gets a hint or the rule, the second one the answer.
"""

import functools

import ipywidgets as W

from .onpaper import dead
from .parts import Plain, Status, button, details, markup_of


class Prediction(Plain, W.VBox):
    """What `mmsim.lessons.predict` shows: the Question ``ask(seed)``; ``plain(question, seed)`` is the same as text.

    `kept`: the answers by seed, under "seed" the seed last shown, and under (seed, "wrong") the wrong answers.
    """

    def __init__(self, ask, kept, plain):
        self.ask, self.kept, self.plain = ask, kept, plain
        self.text, self.line, self.given = W.HTML(), Status(), W.HTML()
        self.options = W.HBox(layout=W.Layout(flex_flow="row wrap"))
        self.tools = [button("Hint", self.hint), button("Show the answer", self.reveal), button("", self.another)]
        super().__init__([self.text, self.options, self.line, self.given, W.HBox(self.tools)])
        self.add_class("mmsim-predict").layout.margin = "4px 0 8px 0"
        self.show()

    def show(self):
        """Put the question of the seed on the screen, with the answer that was given to it before."""
        seed = self.kept["seed"]
        self.question, self.hints_given = self.ask(seed), []
        text = "<b>Predict.</b> " + markup_of(self.question.text).replace("\n", "<br>")
        self.text.value = f"<div style='line-height: 1.5; font-size: var(--jp-content-font-size1, 14px)'>{text}</div>"
        self.tools[0].disabled = not self.question.hints
        self.tools[2].description = f"Another one (seed {seed + 1})"
        self._say("")
        if self.question.choices:
            acts = {choice: functools.partial(self.guess, choice) for choice in self.question.choices}
            self.options.children = [button(f"○ {choice}", act) for choice, act in acts.items()]
        else:
            field = W.Text(description="Answer", value=str(self.kept.get(seed, "")))
            field.on_msg(lambda _, said, __: said.get("event") == "submit" and self.guess(field.value))  # Enter
            field.observe(lambda _: self._say(""), "value")  # a verdict is of the answer that stands there
            self.options.children = [field, button("Check", lambda: self.guess(field.value))]
        if seed in self.kept:
            self.guess(self.kept[seed])

    def guess(self, value):
        """Answer the question: the feedback, also on the screen."""
        seed, wrong = self.kept["seed"], self.kept.setdefault((self.kept["seed"], "wrong"), [])
        result = self.question.feedback(value)
        if result.right is not None:
            self.kept[seed] = value
        if result.right is False:
            wrong += [value] if value not in wrong else []
            result = result if len(wrong) > 1 else self.question.nudge(value)
        for choice, made in zip(self.question.choices, self.options.children, strict=False):
            made.description = f"{'●' if choice == value else '○'} {choice}"
            made.style.font_weight = "bold" if choice == value else ""
        self._say(result.text)
        return result

    def hint(self):
        """Show the next hint; after the last one the first again."""
        hints, given = self.question.hints, len(self.hints_given)
        if given < len(hints):
            self.hints_given.append(f"Hint {given + 1} of {len(hints)}: {hints[given]}")
        else:
            self.hints_given.append(self.hints_given.pop(0))
        self._say(self.hints_given[-1])

    def reveal(self):
        """Show the answer."""
        self._say(self.question.solution)

    def another(self):
        """Go to the question of the next seed."""
        self.kept["seed"] += 1
        self.show()

    def _say(self, text):
        """Say something; the hints that were given stay below it."""
        self.line.value = markup_of(text)
        self.given.value = "".join(f"<p>{markup_of(each)}</p>" for each in self.hints_given if each != text)

    def _paper(self):
        """The question, and folded the hints and the answer."""
        hints = {f"Hint {n}": text for n, text in enumerate(self.question.hints, 1)}
        texts = hints | {"Answer": self.question.solution}
        unfolding = details({name: markup_of(text) for name, text in texts.items()})
        return f"{self.text.value}{dead(map(str, self.question.choices))}{unfolding}"

    def __repr__(self):
        return self.plain(self.question, self.kept["seed"])
