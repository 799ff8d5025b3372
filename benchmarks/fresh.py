"""From `make lab` in a fresh clone to the first widget that a browser paints; an empty HOME, a warm pip cache."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright
from rows import Row, clone, said

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))
import lab

LIMIT = 600  # seconds
LESSON = "my-lessons/00-pages-and-nodes.ipynb"
SEEN = "c.LabApp.expose_app_in_browser = True\n"  # so that it can be told to run all cells


def address(log):
    """Wait until the server of a log answers; its address, with the token."""
    while not (found := re.search(r"http://(?:127\.0\.0\.1|localhost):\d+/lab\S*", log.read_text())):
        time.sleep(0.2)
    while True:
        try:
            urllib.request.urlopen(found[0].split("/lab")[0] + "/api").close()
            return found[0]
        except OSError:
            time.sleep(0.2)


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
        signal.alarm(LIMIT)
        try:
            url = address(log)
            answers = time.monotonic() - begin
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(LIMIT * 1000)
            page.goto(re.sub(r"/lab[^?]*", f"/doc/tree/{LESSON}", url))
            page.wait_for_function(lab.READY, polling=100)
            page.evaluate(lab.RUN_ALL)
            page.wait_for_selector(".mm-alive")
            painted = time.monotonic() - begin
        finally:
            signal.alarm(0)
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()
    yield Row("make lab, to the first widget", painted, "s", 90, note=f"the server answers after {said(answers)} s")
