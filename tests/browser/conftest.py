"""What a browser test gets: `finished("00-pages-and-nodes.ipynb")` gives a page with all cells run.

Without a Chromium the folder is skipped; with CI=true or MMSIM_REQUIRE_BROWSER=1 its tests fail instead.
"""

import functools
import os
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import lab
import pytest

FOLDER = Path(__file__).parent
NOTEBOOKS = FOLDER.parents[1] / "notebooks"
SHOTS = FOLDER.parents[1] / "test-results"
PROJECTOR = {"width": 1280, "height": 800}
MISSING = "no Chromium, so no browser test ran (Debian: apt-get install chromium)"


def pytest_collection_modifyitems(items):
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker("browser")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" and report.failed and "browser" in item.funcargs:
        SHOTS.mkdir(exist_ok=True)
        pages = [page for context in item.funcargs["browser"].contexts for page in context.pages]
        for i, page in enumerate(pages):
            shot = SHOTS / f"{item.name}-{i}.png"
            with suppress(Exception):  # the page may be what broke; the test's own error says more
                page.screenshot(path=shot)
                report.sections.append(("screenshot", str(shot)))
    if report.skipped and MISSING in str(report.longrepr):
        report.longrepr = (str(FOLDER), None, f"Skipped: {MISSING}")  # one line, not one a test
    return report


@pytest.fixture(scope="session", autouse=True)
def browser():
    """One Chromium for all tests."""
    if not lab.chromium():
        required = os.environ.get("CI") == "true" or os.environ.get("MMSIM_REQUIRE_BROWSER") == "1"
        (pytest.fail if required else pytest.skip)(MISSING)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=lab.PATIENCE * 1000)
    with sync_playwright() as playwright:
        browser = lab.launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def jupyter(browser, tmp_path_factory):
    """One JupyterLab server for all tests: a `lab.Lab`."""
    with lab.serve(NOTEBOOKS, tmp_path_factory.mktemp("jupyter")) as server:
        yield server


@contextmanager
def fresh_page(browser):
    """A page of 1280 x 800, as a projector shows it; errors of its scripts fail the test."""
    with browser.new_context(viewport=PROJECTOR) as context:
        page = context.new_page()
        page.set_default_timeout(lab.PATIENCE * 1000)
        errors = []
        page.on("pageerror", lambda error: errors.append(error))  # Playwright takes no built-in method
        yield page
    assert not errors, f"scripts failed in the page: {errors}"


@pytest.fixture
def page(browser):
    """A page of the test's own."""
    with fresh_page(browser) as page:
        yield page


@pytest.fixture
def open_notebook(jupyter, page):
    """Return a function that opens a notebook in the test's own page and, unless run=False, runs all cells."""

    def open_notebook(name, run=True):
        return jupyter.open(page, name, run)

    return open_notebook


@pytest.fixture(scope="module")
def finished(browser, jupyter):
    """Return a function from notebooks to pages that show them, all cells run: the same one for all tests of a file.

    To run a lesson takes longer than to try what is in it, so tests share it, each with cells of its own.
    """
    with ExitStack() as stack:

        @functools.cache
        def opened(name):
            return jupyter.open(stack.enter_context(fresh_page(browser)), name)

        def finished(name):
            page = opened(name)
            page.set_viewport_size(PROJECTOR)
            return page

        yield finished
