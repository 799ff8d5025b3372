"""What several widgets are made of: buttons, a line for screen readers, tables in the theme's colours."""

import html
import inspect
import re
import textwrap
from pathlib import Path

import ipywidgets as W
from IPython.display import display

from ..machine.errors import ERRNO_NAMES
from .onpaper import VIEW, on_paper
from .reruns import close_all, made_here
from .stage import Status

AUTO = {"description_width": "auto"}  # of a name beside a field
STYLE = f"<style>{Path(__file__).with_name('plain.css').read_text(encoding='utf-8')}</style>"


def markup_of(text):
    """HTML of a text with `code`."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))


def details(parts):
    """HTML that unfolds part by part: {summary: HTML}."""
    return "".join(f"<details><summary>{name}</summary>{part}</details>" for name, part in parts.items())


def button(text, act, width="auto", **options):
    """A button with text that calls `act()`."""
    made = W.Button(description=text, layout=W.Layout(width=width), **options)
    made.on_click(lambda _: act())
    return made


def choice(text, **options):
    """A Dropdown with a name before it, as wide as what it offers."""
    return W.Dropdown(description=text, style=AUTO, layout=W.Layout(width="auto", max_width="100%"), **options)


def flow(*widgets, gap="4px 8px"):
    """Widgets in a row, which go on in the next where there is no room."""
    return W.HBox(widgets, layout=W.Layout(flex_flow="row wrap", grid_gap=gap, align_items="center"))


def source_of(function):
    """(name, file, number of the first line, text) of a function or class of mmsim, or of the code of one."""
    function = inspect.unwrap(getattr(function, "fget", function))  # a property shows its getter
    lines, first = inspect.getsourcelines(function)
    file = Path(inspect.getsourcefile(function)).relative_to(Path(__file__).parents[2]).as_posix()
    name = function.co_qualname if inspect.iscode(function) else function.__qualname__
    return name, file, first, textwrap.dedent("".join(lines))


class Plain:
    """For widgets with a __repr__ that says it all: plain text where widgets cannot be shown.

    Where there is no kernel a picture and text stand for them: what `_paper()` gives, HTML. They close all that they
    are made of, and are closed when their cell is run again.
    """

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self._line = next(each for each in vars(self).values() if isinstance(each, Status))
        self._line.of = self.model_id  # the script of this line looks whether the whole is alive
        made_here(self)

    def close(self):
        """Close the widget with all that it is made of, and let go of what it shows."""
        if "_closed" not in vars(self):
            close_all(self)
            self._closed = True

    def __getattr__(self, name):
        if "_closed" in vars(self):
            raise AttributeError(f"this {type(self).__name__} was closed, as its cell was run again; make a new one")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _repr_mimebundle_(self, **options):
        if "_closed" in vars(self):
            return {"text/plain": f"<{type(self).__name__}: closed>"}
        return super()._repr_mimebundle_(**options) | {"text/html": on_paper(self), "text/plain": self._words()}

    def _ipython_display_(self):
        """Show what stands for it on paper, then the widget: see `onpaper`."""
        bundle = self._repr_mimebundle_()
        view = bundle.pop(VIEW, None)
        display(bundle, raw=True)
        if view:
            display({VIEW: view, "text/html": ""}, raw=True)  # nothing, for programs that show no widgets

    def _words(self):
        return repr(self)

    def _paper(self):
        return f"<pre>{html.escape(repr(self))}</pre>"


def error_text(error):
    """What went wrong, in words."""
    if isinstance(error, OSError) and error.errno:
        return f"-{ERRNO_NAMES.get(error.errno, error.errno)}, {error.strerror}"
    return str(error) if type(error) in (ValueError, TypeError) else f"{type(error).__name__}: {error}"
