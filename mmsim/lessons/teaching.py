"""What the notebooks teach with: questions that the model answers, checks, hints, and mmsim's own source.

A question is a function of a random generator that gives a `Question`; those of the lessons are in
`mmsim.lessons`.  It builds a machine, lets the kernel run, and takes the answer from there.
"""

import functools
import random
import re
from typing import Any, NamedTuple

import pandas as pd

from ..widgets.parts import details, markup_of, source_of
from ..widgets.prediction import Prediction

_KEPT = {}  # name of a question: {seed: answer given, "seed": the one last shown}; outlives a run of the cell


class Shown(NamedTuple):
    """A text for a notebook and for plain text; of an answer also whether it is right, None: not answered."""

    text: str
    markup: str
    right: bool | None = None
    __bool__ = lambda self: bool(self.right)  # noqa: E731
    __repr__ = lambda self: self.text  # noqa: E731
    _repr_html_ = lambda self: self.markup  # noqa: E731


class Question(NamedTuple):
    """A question, what the model answers, and which rule decided."""

    text: str  # `code` between backticks
    answer: Any
    rule: str  # why; it names the kernel function that decides
    choices: tuple = ()  # none: the answer is typed, or computed
    wrong: dict = {}  # noqa: RUF012  {typical wrong answer: what to say to it}
    hints: tuple = ()
    judge: Any = None  # where several answers are right: value -> what is wrong with it, '' if nothing
    function: str = ""  # where an answer is a function: what to say to one that is none

    @property
    def solution(self):
        """The answer and the rule."""
        begin = "A right answer:" if self.judge else "The model answers"
        return f"{begin} {self.answer}. {self.rule}"

    def mistake(self, value):
        """None if a value is right; else what can be said about it, perhaps ''."""
        if self.function and not callable(value):
            return self.function
        if self.judge:
            return self.judge(value) or None
        if same(value, self.answer):
            return None
        return next((text for typical, text in self.wrong.items() if same(value, typical)), "")

    def nudge(self, value):
        """What to say to the first wrong answer: what can be said about it, a hint or the rule; not the answer."""
        hint = f"Hint: {self.hints[0]}" if self.hints else self.rule
        return shown(f"✗ Not “{value}”. {self.mistake(value) or hint} Try once more.", False)

    def feedback(self, value, again=False):
        """Judge an answer as Shown; `again`: let the reader try again, so do not tell the right one."""
        if unanswered(value):
            return shown("○ No answer yet." + " Put yours in place of the three dots." * again)
        try:
            said = self.mistake(value)
        except Exception as error:  # what a reader wrote may do anything
            said = f"Your answer fails with {type(error).__name__}: {error}."
        if said is None:
            return shown(f"✓ Right. {self.rule}", True)
        if again:
            return shown(f"✗ Not yet. {said or 'The hints may help.' * bool(self.hints)}".strip(), False)
        return shown(" ".join(f"✗ You said {value}. {said} {self.solution}".split()), False)


def shown(text, right=None):
    """A Shown of one paragraph."""
    return Shown(text, f"<p>{markup_of(text)}</p>", right)


def _dots(): ...


def _return():
    return ...


def unanswered(value):
    """True for the three dots, an empty text, and a function that was defined with nothing but the dots in it."""
    code = getattr(value, "__code__", None)
    if code and code.co_name != "<lambda>":
        return (code.co_code, code.co_consts) in [(f.__code__.co_code, f.__code__.co_consts) for f in (_dots, _return)]
    return value is None or value is ... or (isinstance(value, str) and not value.strip())


def same(value, answer):
    """True if a value typed into a field, or given as Python, is the answer."""
    if isinstance(value, str) or isinstance(answer, str):
        return str(value).strip().casefold() == str(answer).strip().casefold()
    return bool(value == answer)


@functools.lru_cache(maxsize=256)
def ask(make, seed=1):
    """The Question that a function of `mmsim.lessons` makes from a seed."""
    return make(random.Random(seed))


def predict(make, seed=1):
    """A question to answer before the model runs, with buttons; run the cell again and the answer is still there."""
    name = f"{make.__module__}.{make.__qualname__}"
    kept = _KEPT.setdefault((name, seed), {"seed": seed})

    def plain(question, seed):
        choices = f"\nChoose one of: {'; '.join(map(str, question.choices))}" * bool(question.choices)
        args = f"{name.removeprefix('mmsim.lessons.')}, seed={seed}"
        return f"{question.text}{choices}\nWithout buttons: check({args}, value=...), hint({args}), reveal({args})"

    return Prediction(functools.partial(ask, make), kept, plain)


def check(make, value, seed=1):
    """Judge the answer to an exercise; truthy if it is right.  `...` is not answered yet."""
    return ask(make, seed).feedback(value, again=True)


def hint(make, seed=1):
    """The hints of a question, each folded."""
    return folded({f"Hint {n}": text for n, text in enumerate(ask(make, seed).hints, 1)})


def reveal(make, seed=1):
    """The answer of a question and the rule behind it, folded."""
    return folded({"Answer": ask(make, seed).solution})


def folded(parts):
    """Texts that unfold one by one: {summary: text}; in plain text all of them."""
    markup = details({s: f"<p>{markup_of(text)}</p>" for s, text in parts.items()})
    return Shown("\n".join(f"{s}: {text}" for s, text in parts.items()), markup)


def table(frame):
    """A DataFrame of texts: nothing is cut off, all is written from the left."""
    with pd.option_context("display.max_colwidth", None):
        markup = re.sub(r"<(t[dh])\b", r'<\1 style="text-align: left"', frame.to_html(border=0))
        markup = re.sub(r'left">(?=-[A-Z]+</t)', 'left; white-space: nowrap">', markup)  # -EAGAIN in one piece
        return Shown(frame.to_string(), markup)


class Source(str):
    """Markdown, so that JupyterLab colours the code in its own theme."""

    __slots__ = ()
    __repr__ = str.__str__
    _repr_markdown_ = str.__str__


def show_source(*functions):
    """The source of functions or classes of mmsim, with where to find it."""
    parts = []
    for function in functions:
        name, file, first, code = source_of(function)
        parts.append(f"`{name}` in `{file}`, line {first}\n\n```python\n{code}```\n")
    return Source("\n".join(parts))
