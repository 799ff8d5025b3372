"""Sphinx: the site of the lessons, the reference and the notes on fidelity; `make site`.

The sources are docs/ and a copy of notebooks/, put side by side in build/site-source, so that a link from one to the
other is the same on the site as in the repository. The notebooks are run, and their outputs are part of the pages.
"""

import functools
import hashlib
import os
from pathlib import Path

from jupyter_cache.executors import utils as executors

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
