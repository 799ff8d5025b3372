"""The doors: `make lab`, and `make app`, where Voila serves the widgets as pages without code."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import lab
import pytest
from playwright.sync_api import expect

ROOT = Path(__file__).parents[2]
TOKEN = "of-this-test"


@contextmanager
def served(home, target, *options):
    """Run the last command of a make target on a free port until the block ends: a function from paths to addresses.

    It runs in a copy of the checkout, and with this Python instead of that of a .venv.
    """
    for name in ("mmsim", "notebooks", "Makefile", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, home / name)
    make = ["make", "--dry-run", "--no-print-directory", target, f"BIN={Path(sys.executable).parent}", "NO_BROWSER=1"]
    recipe = subprocess.run(make, cwd=home, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with open(home / "server.log", "w") as log:
        server = subprocess.Popen(
            ["bash", "-c", f"exec {recipe} --no-browser --port={port} {' '.join(options)}"],
            cwd=home, env=os.environ | {"HOME": str(home), "PYTHONPATH": str(home)}, stderr=log,
            preexec_fn=lab.die_with_parent if sys.platform == "linux" else None,
        )  # fmt: skip
    try:
        lab.wait_until_up(f"http://127.0.0.1:{port}", server, home / "server.log")
        yield lambda path="": f"http://127.0.0.1:{port}/{path}?token={TOKEN}"
    finally:
        server.send_signal(signal.SIGINT)  # Voila does not listen to SIGTERM
        time.sleep(0.2)
        server.terminate()
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:  # it waits for its kernels
            server.kill()


@pytest.fixture(scope="module")
def voila(needs, tmp_path_factory):
    needs("voila")
    with served(tmp_path_factory.mktemp("home"), "app", f"--Voila.token={TOKEN}") as address:
        yield address


def test_make_lab_opens_the_index_for_those_who_have_the_token(page, tmp_path):
    with served(tmp_path, "lab", f"--IdentityProvider.token={TOKEN}") as address:
        assert "/login" in page.goto(address().partition("?")[0]).url
        page.goto(address())
        expect(page).to_have_url(re.compile("/my-lessons/index.ipynb"))
        expect(page.get_by_role("heading", name="how Linux learned to move memory")).to_be_visible(timeout=60_000)
        expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle")
        page.goto("about:blank")  # JupyterLab itself fails where its server ends before its page


def test_without_the_token_make_app_serves_nothing(voila, page):
    assert "/login" in page.goto(voila().partition("?")[0]).url


def test_make_app_lists_its_pages(voila, page):
    page.goto(voila())
    for file in (ROOT / "notebooks/app").glob("*.ipynb"):
        expect(page.get_by_role("link", name=file.name)).to_be_visible()


def test_a_step_in_the_lab_and_no_code(voila, page):
    page.goto(voila("voila/render/migration-lab.ipynb"))
    page.wait_for_selector(".mm-picture[data-step='0']")
    page.get_by_role("button", name="Step", exact=True).click()
    page.wait_for_selector(".mm-picture[data-step='1']")
    expect(page.get_by_role("heading", name="The migration lab")).to_be_visible()
    assert "import MigrationLab" not in page.inner_text("body")


def test_an_address_is_the_lab_and_the_lab_gives_it(voila, page):
    asked = "release=2.6.16&trigger=A&to=3&beside=V1&pin=5&step=40"
    page.goto(f"{voila('voila/render/migration-lab.ipynb')}&{asked}")
    note, said = page.locator(".mm-note"), page.locator(".mm-said")
    expect(note).to_contain_text("Placed before the call: page 5 of a pinned.")
    expect(said).to_contain_text("add_to_swap(): page 22 of a (frame 23) gets swap entry 2")
    page.get_by_role("button", name="Link").click()
    field = page.get_by_label("address")
    expect(field).to_have_value(re.compile(re.escape(asked)))
    assert TOKEN not in field.input_value(), "whoever gets the address needs a token of their own"
    page.goto(f"{voila('voila/render/migration-lab.ipynb')}&patches=9&from=7&step=30")
    expect(note).to_contain_text("The address has patches=9: they are numbers up to 7, as in 1-4 or 1,3")
    expect(note).to_contain_text("there is no node 7")
    expect(said).to_contain_text("event 30 of 292")
    assert note.evaluate("e => e.scrollHeight <= e.clientHeight"), "nothing of it is cut off"


def test_a_call_in_goals(voila, page):
    page.goto(voila("voila/render/goals.ipynb"))
    page.get_by_role("button", name="Make the call").click()
    expect(page.locator(".mmsim-goals .end")).to_contain_text("○ 1 call. Not yet")


def test_an_answer_in_what_if(voila, page):
    page.goto(voila("voila/render/what-if.ipynb"))
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator(".mmsim-sweep [role=status]")).to_contain_text("12 points, 0 failed")
    expect(page.get_by_role("img")).to_be_visible()
