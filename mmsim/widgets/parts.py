"""What several widgets are made of: buttons, a line for screen readers, tables in the theme's colours."""

import html
import re

import anywidget
import ipywidgets as W
import traitlets

STYLE = """<style>
.mmsim-plain table { border-collapse: collapse; width: 100%; font-size: 13px; line-height: 1.4 }
.mmsim-plain :is(table, p, .said, .end) { color: var(--jp-ui-font-color0, inherit) }
.mmsim-plain :is(th, td) { border: 1px solid var(--jp-border-color2, #ccc); padding: 2px 6px; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; font-weight: normal }
.mmsim-plain th { background: var(--jp-layout-color2, #eee); font-weight: 600 }
.mmsim-plain caption { text-align: left; font-weight: 600; padding: 4px 0 }
.mmsim-plain code { font-size: 12px; background: none; color: inherit; padding: 0 }
.mmsim-plain p { line-height: 1.5; margin: 4px 0 }
.mmsim-plain .unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
</style>"""


class Status(anywidget.AnyWidget):
    """A role=status region that stays in the page while its contents (HTML) change."""

    _esm = """
    function render({ model, el }) {
      const line = document.createElement("div");
      line.setAttribute("role", "status");
      line.style.lineHeight = "1.5";
      const show = () => { line.innerHTML = model.get("value"); };
      model.on("change:value", show);
      show();
      el.append(line);
    }
    export default { render };
    """
    value = traitlets.Unicode().tag(sync=True)


def markup_of(text):
    """HTML of a text with `code`."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))


def button(text, act, **options):
    """A button with text that calls `act()`."""
    made = W.Button(description=text, layout=W.Layout(width="auto"), **options)
    made.on_click(lambda _: act())
    return made


class Plain:
    """For widgets with a __repr__ that says it all: plain text where widgets cannot be shown."""

    def _repr_mimebundle_(self, **options):
        return super()._repr_mimebundle_(**options) | {"text/plain": repr(self)}
