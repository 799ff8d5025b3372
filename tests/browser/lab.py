"""A JupyterLab server and a Chromium, for the tests in this folder and for look.py.

The server works on a scratch copy of the notebooks, with every configuration folder in scratch too, so
that neither what a user has set up nor what Jupyter saves matters. Its open access (no token) is for a
server that lives as long as one test run, on a loopback port; `make lab` starts a secured one.
"""

import ctypes
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 120  # seconds for anything that a test waits for: what is right arrives sooner, also on a busy machine
SWITCHES = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --disable-dev-shm-usage""".split()

SHOWN = "window.jupyterapp?.shell?.currentWidget"  # the notebook that a page shows
SESSION = f"({SHOWN}?.sessionContext ?? {SHOWN}?.context?.sessionContext)"
# Waiting for the idle sign alone is too early: no kernel may be there yet, and nothing would run.
READY = f"""() => {{
    const session = {SESSION}, kernel = session?.session?.kernel;
    return !!(session?.isReady && {SHOWN}.context.isReady
        && kernel?.connectionStatus === 'connected' && kernel.status === 'idle');
}}"""
# The command's promise is kept in the page and polled: evaluate() would wait for it without any timeout.
RUN_ALL = """() => {
    window.ranAll = undefined;
    window.jupyterapp.commands.execute('notebook:run-all-cells')
        .then(ok => { window.ranAll = ok }, error => { window.ranAll = String(error) });
}"""
# A reader goes on to the next notebook in the same page, where JupyterLab is loaded already: that takes the longest.
GO_ON = """path => {
    window.opened = undefined;
    const before = [...window.jupyterapp.shell.widgets('main')].filter(shown => shown.context);
    window.jupyterapp.commands.execute('docmanager:open', { path, factory: 'Notebook' }).then(() => {
        for (const shown of before) {
            shown.context.model.dirty = false;  // or it would ask whether to save
            shown.close();
        }
        window.opened = true;
    }).catch(error => { window.opened = String(error) });
}"""
NO_CELL_BUSY = """() => window.ranAll !== undefined
    && ![...document.querySelectorAll('.jp-InputPrompt')].some(prompt => prompt.textContent.includes('*'))"""
# The kernel answers in the order in which it was asked. Twice: what is drawn may ask again, as a stage of another width
# does, and a widget keeps a change back until the one before has arrived.
SETTLE = f"""() => {{
    const drawn = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    const answered = () => {SESSION}.session.kernel.requestExecute({{ code: '', silent: true }}).done;
    window.settled = undefined;
    drawn().then(answered).then(drawn).then(answered).then(drawn)
        .then(() => {{ window.settled = true }}, error => {{ window.settled = String(error) }});
}}"""


def chromium():
    """Return the path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def launch(playwright):
    """Start Chromium without a window."""
    return playwright.chromium.launch(executable_path=chromium(), args=SWITCHES)


def run_all(page):
    """Run all cells, and let what they show come to rest."""
    page.evaluate(RUN_ALL)
    page.wait_for_function(NO_CELL_BUSY, polling=100)
    if page.evaluate("window.ranAll") is not True:
        errors = page.locator(
            ".jp-OutputArea-output[data-mime-type$='vnd.jupyter.error'], "
            ".jp-OutputArea-output[data-mime-type$='vnd.jupyter.stderr']"
        )
        raise AssertionError("not all cells ran:\n" + "\n".join(errors.all_inner_texts()))
    settled(page)


def settled(page):
    """Wait until the kernel has done all that the page has asked of it, and the page has drawn what came of it."""
    page.evaluate(SETTLE)
    page.wait_for_function("window.settled !== undefined")
    assert page.evaluate("window.settled") is True


class Lab:
    """A running server: its address, the folder that notebooks come from, and the scratch folder that it serves."""

    def __init__(self, url, source, root):
        self.url, self.source, self.root = url, Path(source), Path(root)
        self.numbers = itertools.count()
        self.pages = {}  # {page: the copy of a notebook that it shows}

    def open(self, page, name, run=True):
        """Show a copy of a notebook (or of a file elsewhere) with a kernel of its own, run all cells; the page."""
        again = page in self.pages
        self.pages[page] = copy = f"{next(self.numbers)}-{Path(name).name}"
        shutil.copy(self.source / name, self.root / copy)
        if again:
            page.evaluate(GO_ON, copy)
            page.wait_for_function("window.opened !== undefined", polling=100)
            assert page.evaluate("window.opened") is True
        else:
            page.goto(f"{self.url}/doc/tree/{copy}?reset")
        page.wait_for_function(READY, polling=100)
        self.end_kernels()
        if run:
            run_all(page)
        return page

    def end_kernels(self):
        """End those that no page shows: memory is given back."""
        shown = [copy for page, copy in self.pages.items() if not page.is_closed()]
        with urllib.request.urlopen(f"{self.url}/api/sessions", timeout=PATIENCE) as answer:
            sessions = [session for session in json.load(answer) if session["path"] not in shown]
        for session in sessions:
            url = f"{self.url}/api/sessions/{session['id']}"
            urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=PATIENCE).close()


@contextmanager
def serve(source, scratch, theme="light"):
    """Run JupyterLab on a copy of the folder `source` until the block ends or this process dies."""
    root, scratch = Path(scratch) / "notebooks", Path(scratch)
    shutil.copytree(source, root, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("JUPYTER")}
    for variable in (
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
        "JUPYTERLAB_SETTINGS_DIR",
        "JUPYTERLAB_WORKSPACES_DIR",
        "IPYTHONDIR",
        "MPLCONFIGDIR",
    ):
        folder = scratch / variable.lower()
        folder.mkdir()
        environment[variable] = str(folder)
    write_settings(scratch / "jupyterlab_settings_dir", theme)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root",
        "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
        "--IdentityProvider.token=", "--ServerApp.password=", f"--ServerApp.root_dir={root}",
        "--LabApp.expose_app_in_browser=True", "--ServerApp.disable_check_xsrf=True",
    ]  # fmt: skip
    with open(scratch / "server.log", "w") as log:
        server = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,
        )
    try:
        lab = Lab(f"http://127.0.0.1:{port}", source, root)
        wait_until_up(f"{lab.url}/api/status", server, scratch / "server.log")
        yield lab
        lab.end_kernels()
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()


def write_settings(folder, theme):
    """Set what a test needs: every cell in the page (no windowing), no pop-ups, the theme."""
    settings = {
        "notebook-extension/tracker": {"windowingMode": "none"},
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        "apputils-extension/themes": {"theme": f"JupyterLab {theme.capitalize()}"},
    }
    for name, values in settings.items():
        file = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))


def wait_until_up(url, server, log):
    """Wait until a server answers; if it does not, say what it logged."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer:\n{log.read_text()[-3000:]}")


def die_with_parent():
    """Have Linux end the server, and so its kernels, when the test process dies, however it dies."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
