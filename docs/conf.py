"""Sphinx: the site of the lessons, the reference and the notes on fidelity; `make site`.

The sources are docs/ and a copy of notebooks/, put side by side in build/site-source, so that a link from one to the
other is the same on the site as in the repository. The notebooks are run, and their outputs are part of the pages.
"""

import functools
import hashlib
import io
import os
from html import escape
from pathlib import Path

import matplotlib
from docutils import nodes
from jupyter_cache.executors import utils as executors
from matplotlib import mathtext
from matplotlib.font_manager import FontProperties

import mmsim

project = "mmsim"
author = "The mmsim authors"
copyright = "2026, the mmsim authors; code MIT, text and figures CC BY 4.0"  # noqa: A001
release = version = mmsim.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
root_doc = "index"
exclude_patterns = ["notebooks/app"]
html_theme = "sphinx_book_theme"
html_title = "mmsim"
html_theme_options = {"use_download_button": True, "navbar_persistent": []}

# Links to the repository and to Binder only where it is known which one: in its own GitHub workflow.
if repository := os.environ.get("GITHUB_REPOSITORY"):
    html_theme_options |= {
        "repository_url": f"https://github.com/{repository}",
        "repository_branch": os.environ.get("GITHUB_REF_NAME", "main"),
        "use_repository_button": True,
        "launch_buttons": {"binderhub_url": "https://mybinder.org", "notebook_interface": "jupyterlab"},
    }

html_static_path = ["_static"]
html_css_files = ["site.css"]

# A notebook is run once, as long as neither it nor mmsim has changed: the cache itself sees the notebook alone.
sources = sorted(Path(mmsim.__file__).parent.glob("**/*.*"))
digest = hashlib.sha256(b"".join(file.read_bytes() for file in sources if file.suffix != ".pyc")).hexdigest()
nb_execution_mode = "cache"
nb_execution_cache_path = str(Path(__file__).parents[1] / "site-cache" / digest[:16])
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True
# What is printed may arrive in pieces, of each of which MyST-NB would make a line: nbclient puts them together before.
executors.executenb = functools.partial(executors.executenb, coalesce_streams=True)
# A widget without a kernel would be buttons that do nothing: the output before it, picture and text, stands for it.
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

# The type of a parameter is a phrase ("Scenario, or name of one"), whose words Sphinx takes for references.
suppress_warnings = ["ref.python"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_numpy_docstring = True
html_math_renderer = "mathtext"  # MathJax would be fetched from elsewhere, and without a network there is raw LaTeX


def formula(translator, node, large=False):
    """Draw a formula as SVG, with its source as its text; `large`: not in a line, so with large fractions."""
    source, picture = node.astext().strip(), io.BytesIO()
    drawn = source.replace(r"\frac", r"\dfrac") if large else source
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "mmsim"}):
        mathtext.math_to_image(f"${drawn}$", picture, FontProperties(size=11), format="svg")
    text = picture.getvalue().decode()
    svg = text[text.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{escape(source)}"', 1)
    translator.body.append(f'<span class="formula">{svg}</span>')


def draw_inline(translator, node):
    """A formula in a line."""
    formula(translator, node)
    raise nodes.SkipNode


def draw_block(translator, node):
    """A formula by itself."""
    translator.body.append("<p>")
    formula(translator, node, large=True)
    translator.body.append("</p>")
    raise nodes.SkipNode


def link_to_lab(app, page, template, context, doctree):
    """Below the title of a lesson: where it can be changed and run."""
    if page.startswith("notebooks/") and "body" in context:
        lab = f"../lite/lab/index.html?path={page.removeprefix('notebooks/')}.ipynb"
        link = f'<p class="lab"><a href="{lab}">Open this lesson in the browser</a>, to change it and to run it.</p>'
        context["body"] = context["body"].replace("</h1>", f"</h1>{link}", 1)


def setup(app):
    """Called by Sphinx."""
    app.add_html_math_renderer("mathtext", (draw_inline, None), (draw_block, None))
    app.connect("html-page-context", link_to_lab)
