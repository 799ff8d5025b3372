"""What stands for a widget where no kernel runs: in a saved notebook, in an HTML export, on the site, on paper.

It is an output of its own before the widget's, since a program that can show widgets takes no other form of one, and
then says "model not found" or nothing. The script of a living widget hides it; of a dead one it hides the widget.
"""

from base64 import b64encode
from html import escape
from pathlib import Path

VIEW = "application/vnd.jupyter.widget-view+json"
STYLE = f"<style>{Path(__file__).with_name('onpaper.css').read_text(encoding='utf-8')}</style>"


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
