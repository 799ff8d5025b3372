"""What stands for a widget where no kernel runs: in a saved notebook, in an HTML export, on the site, on paper.

It is an output of its own before the widget's, since a program that can show widgets takes no other form of one, and
then says "model not found" or nothing. The script of a living widget hides it; of a dead one it hides the widget.
"""

from base64 import b64encode
from html import escape

VIEW = "application/vnd.jupyter.widget-view+json"
# In JupyterLab it waits for the widget, so that it does not flicker; a widget's output that is text alone is an error.
STYLE = """<style>
.mm-paper { font-size: 13px; line-height: 1.5 }
.mm-paper figure { margin: 8px 0; text-align: left }
.mm-paper img { max-width: 100%; height: auto; display: block }
.mm-paper button { margin: 0 4px 0 0; padding: 2px 10px; opacity: .55; border: 1px dashed currentColor;
  background: none; color: inherit; cursor: not-allowed; font: inherit }
.mm-paper table { border-collapse: collapse; margin: 4px 0 8px }
.mm-paper.mm-paper :is(td, th) { border: 1px solid #8888; padding: 1px 8px 1px 4px; text-align: left;
  font-weight: normal; vertical-align: top; white-space: normal }
.mm-paper.mm-paper :is(caption, figcaption) { text-align: left; color: inherit; font-weight: 600 }
.mm-paper caption { white-space: nowrap }
.mm-paper pre { white-space: pre-wrap; overflow-wrap: anywhere }
.mm-paper[hidden], body[data-voila] .mm-paper { display: none }
.jp-NotebookPanel .mm-paper { animation: mm-wait 1.5s }
@keyframes mm-wait { from, 99% { visibility: hidden; max-height: 0; overflow: hidden } }
.jp-OutputArea-child:has(.mm-paper[hidden]),
.jp-OutputArea-child:has(.mm-paper):has(+ .jp-OutputArea-child .mm-alive),
.jp-OutputArea-child:has(.mm-paper) + .jp-OutputArea-child:has(.mm-dead),
.jp-OutputArea-child:has(.mm-paper) + .jp-OutputArea-child > .jp-OutputArea-output:not(:has(*)) { display: none }
@media print { .mm-paper figure, .mm-paper table { break-inside: avoid } }
</style>"""


def on_paper(widget):
    """HTML for a widget of `parts.Plain`: what its `_paper()` says, and that buttons are dead."""
    name = type(widget).__name__
    return (f'{STYLE}<div class="mm-paper" data-mm="{widget.model_id}" role="group" '
            f'aria-label="{name}, without a kernel"><p><i>{escape(name)} as it was shown. Without a running kernel its '
            f"buttons do nothing: run the cell to use it.</i></p>{widget._paper()}</div>")  # fmt: skip


def dead(names):
    """A row of buttons that cannot be pressed, and look so."""
    return f"<p>{''.join(f'<button disabled>{escape(name)}</button>' for name in names)}</p>"


def picture(drawn, alt, caption, width=""):
    """A figure of SVG text or of the bytes of a PNG, with a caption."""
    return f"<figure><figcaption>{escape(caption)}</figcaption>{image(drawn, alt, width)}</figure>"


def image(drawn, alt, width=""):
    """SVG text or the bytes of a PNG as an image: its styles stay within, and every program shows it."""
    kind, data = ("png", drawn) if isinstance(drawn, bytes) else ("svg+xml", drawn.encode())
    size = f' width="{width}"' * bool(width)
    return f'<img src="data:image/{kind};base64,{b64encode(data).decode()}"{size} alt="{escape(alt)}">'
