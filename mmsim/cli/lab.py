"""``mmsim lab``: the lessons in JupyterLab."""

import importlib.util
import os
import sys
from pathlib import Path

from .parts import command


def add_lab(commands):
    """``mmsim lab``: the lessons in JupyterLab."""
    parser = command(commands, "lab", lab)
    parser.add_argument("options", nargs="*", metavar="OPTION", help="behind --: options of jupyter lab")


def lab(args):
    """Become JupyterLab."""
    if not importlib.util.find_spec("jupyterlab"):
        args.parser.error("JupyterLab is not installed: pip install 'mmsim[lab]'")
    root, options = Path(__file__).parents[2], []
    if (root / "notebooks/index.ipynb").exists():
        try:
            from ..lessons import copies

            said = copies.renew(root / "notebooks", root / "my-lessons")
        except OSError as error:
            args.parser.error(f"copying the lessons to {root / 'my-lessons'}: {error}")
        print("your copies of the lessons are in my-lessons/", *said, sep="\n", flush=True)
        options = [f"--ServerApp.root_dir={root}", "--LabApp.default_url=/lab/tree/my-lessons/index.ipynb"]
    options += args.options
    if "--no-browser" not in options and not has_display():
        options.append("--no-browser")
    if "--no-browser" in options:
        print("open the address below, with its token, in a browser", flush=True)
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", *options])


def has_display():
    """True if a browser that is started here would be seen."""
    if os.environ.get("BROWSER"):  # somebody said which one, as editors do that forward it
        return True
    if os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
