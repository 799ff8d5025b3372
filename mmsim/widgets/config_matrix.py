"""Configure a kernel, and see what it holds and answers."""

from html import escape

import ipywidgets as W

from ..plots.configs import MODELS
from ..experiments.configs import OPTIONS, TRIGGERS, answers, as_sent, configuration, symbols
from .onpaper import dead
from .parts import STYLE, Plain, Status

MEANING = {  # of an answer, by what stands in it: the first that fits
    "-ENOSYS": "no such call in this kernel",
    "BUG()": "an anonymous page has no swap entry to go to: the kernel stops",
    "4, none moved": "the pages stay: each is tried eleven times, then counted",
    "none moved": "the call works, but migrates nothing here",
    "swapped out": "evicted; the next touch reads the page back",
    "moved": "in new frames now",
}


def table(caption, left, right, rows):
    """HTML of a table of two columns; `rows`: {cell: cell beside it}."""
    body = "".join(f"<tr><td>{one}</td><td>{other}</td></tr>" for one, other in rows.items())
    return (f"<table><caption>{caption}</caption><tr><th scope=col>{left}</th><th scope=col>{right}</th></tr>"
            f"{body}</table>")  # fmt: skip


class ConfigMatrix(Plain, W.VBox):
    """Switches for the CONFIG options and for patch 1; the symbols in the image, and what each trigger answers.

    `mmsim.experiments.configs.config_matrix` gives all configurations as one table.
    """

    def __init__(self):
        def box(text, on):
            made = W.Checkbox(on, description=text, indent=False, layout=W.Layout(width="auto", margin="0 14px 0 0"))
            made.observe(lambda _: self.show(), "value")
            return made

        self.options = {name: box(name, name in ("NUMA", "SMP", "SWAP")) for name in OPTIONS}
        self.patch_1 = box("patch 1 applied", True)
        self.others = box("patches 2 to 7 applied, too (they need patch 1)", False)
        row, part = W.Layout(flex_flow="row wrap"), W.Layout(flex="1 1 380px", min_width="0")
        self.triggers, self.symbols, self.line = W.HTML(layout=part), W.HTML(layout=part), Status()
        super().__init__([
            W.HTML(STYLE), W.HBox(list(self.options.values()), layout=row),
            W.HBox([self.patch_1, self.others], layout=row), self.line,
            W.HBox([self.symbols, self.triggers], layout=W.Layout(flex_flow="row wrap", grid_gap="12px")),
        ])  # fmt: skip
        self.add_class("mmsim-config").add_class("mmsim-plain")
        self.show()

    @property
    def config(self):
        """The Config that the switches say."""
        return configuration(*(name for name, made in self.options.items() if made.value))

    @property
    def patches(self):
        """The patches that are applied."""
        return () if not self.patch_1.value else 7 if self.others.value else (1,)

    def show(self):
        """Boot the kernel, try every trigger, and draw everything anew."""
        self.others.disabled = not self.patch_1.value
        config, patches = self.config, self.patches
        self.found, self.answers = symbols(config, patches), answers(config, patches)
        there, of = sum(not why for why in self.found.values()), len(self.found)
        rule = " or ".join(f"{name}={'y' if self.options[name].value else 'n'}" for name in MODELS)
        if patches:
            derived = f"<b>CONFIG_MIGRATION={'y' if config.migration else 'n'}</b>, from {rule}"
        else:
            derived = "<b>There is no CONFIG_MIGRATION</b>: without patch 1 every kernel compiles the migration code"
        said = "; ".join(f"{key} answers {text}" for key, text in self.answers.items())
        built = as_sent(config, patches)
        sent = "" if built == "builds" else f" As the patches were sent, this kernel {built}; the model mends that."
        self.line.value = (f"<p>{derived}. The image holds {there} of {of} functions of page migration.{sent}"
                           f"<span class=unseen>{said}</span></p>")  # fmt: skip
        rows = {f"<s><code>{n}()</code></s>" if why else f"<code>{n}()</code>": f"✗ {why}" if why else "✓ in the image"
                for n, why in self.found.items()}  # fmt: skip
        self.symbols.value = table("Functions of page migration", "function", "in this kernel?", rows)
        rows = {}
        for key, call in TRIGGERS.items():
            meaning = next((text for sign, text in MEANING.items() if sign in self.answers[key]), "")
            rows[f"{key}. {escape(call)}"] = f"<b>{self.answers[key]}</b><br>{meaning}"
        what = "What each trigger answers, tried with four anonymous pages"
        self.triggers.value = table(what, "trigger", "answer", rows)

    def _paper(self):
        """The switches, and what this kernel holds and answers."""
        made = [*self.options.values(), self.patch_1, self.others]
        return (dead(f"{'☑' if each.value else '☐'} {each.description}" for each in made)
                + self.line.value.partition("<span")[0] + self.symbols.value + self.triggers.value)  # fmt: skip

    def __repr__(self):
        names = ", ".join(f"{name}{f' ({why})' if why else ''}" for name, why in self.found.items())
        said = "; ".join(f"{key}: {text}" for key, text in self.answers.items())
        return f"{self.config}, patches {self.patches}\nfunctions: {names}\nanswers: {said}"
