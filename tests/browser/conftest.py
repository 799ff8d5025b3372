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


def new_page(browser):
    """A page of 1280 x 800, as a projector shows it, in a context of its own."""
    page = browser.new_context(viewport=PROJECTOR).new_page()
    page.set_default_timeout(lab.PATIENCE * 1000)
    return page


@contextmanager
def unfailing(page):
    """Errors of the page's scripts, meanwhile, fail the test."""
    errors = []
    hear = lambda error: errors.append(error)  # noqa: E731  # Playwright takes no built-in method
    page.on("pageerror", hear)
    yield page
    page.remove_listener("pageerror", hear)
    assert not errors, f"scripts failed in the page: {errors}"


@pytest.fixture
def page(browser):
    """A page of the test's own."""
    with unfailing(new_page(browser)) as page:
        yield page
        page.context.close()


@pytest.fixture(scope="session")
def lent(browser, request):
    """Return a context manager that lends a page for notebooks, of 1280 x 800.

    To load JupyterLab takes longer than to open one more notebook in it, so a page is lent again, unless a test failed.
    """
    free = []

    @contextmanager
    def lent():
        failed = request.session.testsfailed
        with unfailing(free.pop() if free else new_page(browser)) as page:
            page.set_viewport_size(PROJECTOR)
            yield page
        if request.session.testsfailed == failed:
            free.append(page)
        else:
            page.context.close()

    return lent


@pytest.fixture
def open_notebook(jupyter, lent):
    """Return a function that opens a notebook in a page for this test alone and, unless run=False, runs all cells."""
    with lent() as page:
        yield lambda name, run=True: jupyter.open(page, name, run)


@pytest.fixture(scope="module")
def finished(lent, jupyter):
    """Return a function from notebooks to pages that show them, all cells run: the same one for all tests of a file.

    To run a lesson takes longer than to try what is in it, so tests share it, each with cells of its own.
    """
    with ExitStack() as stack:

        @functools.cache
        def opened(name):
            return jupyter.open(stack.enter_context(lent()), name)

        def finished(name):
            page = opened(name)
            page.set_viewport_size(PROJECTOR)
            return page

        yield finished
