"""`make app`: the widgets as pages without code, served by Voila, as somebody without a notebook meets them."""

import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import lab
import pytest
from playwright.sync_api import expect

ROOT = Path(__file__).parents[2]
COMMAND = re.search(r"^app:.*\n\t\$\(BIN\)/(voila .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
TOKEN = "of-this-test"


@pytest.fixture(scope="module")
def voila(needs):
    """The address of a server started as the Makefile starts it, and ended with the tests."""
    needs("voila")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", *COMMAND.split(), "--no-browser"]
    server = subprocess.Popen(
        [*command, f"--port={port}", f"--Voila.token={TOKEN}"], cwd=ROOT, stderr=subprocess.DEVNULL,
        preexec_fn=lab.die_with_parent if sys.platform == "linux" else None,
    )  # fmt: skip
    for _ in range(300):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5).close()
            break
        except OSError:
            time.sleep(0.1)
    yield lambda path: f"http://127.0.0.1:{port}/{path}?token={TOKEN}"
    server.terminate()
    server.wait(20)


def test_without_the_token_nothing_is_served(voila, page):
    assert "/login" in page.goto(voila("").partition("?")[0]).url


def test_the_list_of_pages(voila, page):
    page.goto(voila(""))
    for file in (ROOT / "notebooks/app").glob("*.ipynb"):
        expect(page.get_by_role("link", name=file.name)).to_be_visible()


def test_a_step_in_the_lab_and_no_code(voila, page):
    page.goto(voila("voila/render/migration-lab.ipynb"))
    page.get_by_role("button", name="Step", exact=True).click()
    page.wait_for_selector(".mm-picture[data-step='1']")
    expect(page.get_by_role("heading", name="The migration lab")).to_be_visible()
    assert "import MigrationLab" not in page.inner_text("body")
