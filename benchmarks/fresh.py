"""From `make lab` in a fresh clone to the first widget that a browser paints; an empty HOME, a warm pip cache."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright
from rows import Row, clone, said

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))
import lab

RUN_CELL = "() => { window.jupyterapp.commands.execute('notebook:run-cell-and-select-next') }"
IDLE = "() => ![...document.querySelectorAll('.jp-InputPrompt')].some(e => e.textContent.includes('*'))"
PAINTED = ".mm-picture[data-step]"
PATIENCE = 200_000  # ms, from the moment when the server answers
LESSON = "my-lessons/00-pages-and-nodes.ipynb"
SEEN = "c.LabApp.expose_app_in_browser = True\n"  # so that it can be told to run a cell


def address(log, server):
    """Wait until a log says where its server is; the address, with the token."""
    while not (found := re.search(r"http://(?:127\.0\.0\.1|localhost):\d+/lab\S*", log.read_text())):
        if server.poll() is not None:
            raise RuntimeError(log.read_text()[-2000:])
        time.sleep(0.2)
    return found[0]


def rows(small=False):
    """The rows of a fresh clone."""
    if not lab.chromium():
        yield Row("make lab, to the first widget", None, "s", 90, note="not measured: there is no Chromium")
        return
    with clone() as (folder, environment), sync_playwright() as play, lab.launch(play) as browser:
        settings, log = Path(environment["HOME"]) / ".jupyter", Path(folder).parent / "log"
        settings.mkdir()
        (settings / "jupyter_lab_config.py").write_text(SEEN)
        begin = time.monotonic()
        with open(log, "w") as out:
            server = subprocess.Popen(["make", "lab", "NO_BROWSER=1"], cwd=folder, env=environment, stdout=out,
                                      stderr=out, stdin=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
        try:
            url = address(log, server)
            answers = time.monotonic() - begin
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(PATIENCE)
            page.goto(re.sub(r"/lab[^?]*", f"/doc/tree/{LESSON}", url))
            page.wait_for_function(lab.READY, polling=100)
            while not page.locator(PAINTED).count():  # as one reads: a notebook draws only what is in sight
                page.evaluate(RUN_CELL)
                page.wait_for_function(IDLE, polling=50)
                page.wait_for_timeout(50)  # for what the cell shows
            painted = time.monotonic() - begin
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()
    yield Row("make lab, to the first widget", painted, "s", 90, note=f"the server answers after {said(answers)} s")
