"""The migration lab in a real browser: how long it takes from a click until the last pixel that it changes."""

import json
import statistics
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright
from rows import Row, said

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))
import lab

SOURCE = """
from mmsim import Kernel, Policy, Topology
from mmsim.widgets import MigrationLab

kernel = Kernel(Topology.ring(nodes=4, frames=768), swap_slots=1024)
job = kernel.spawn("job")
job.set_mempolicy(Policy.interleave("0-1"))
job.touch(job.mmap(1024), write=True)
lab = MigrationLab(kernel, old="0-1", new="2-3", beside=BESIDE)
lab.step = 3000
lab
"""
SHOWN = ".mm-picture[data-step='3000']"
# Whatever changes below .mm-lab counts: the picture, whose canvas is painted by the time its step is told, and which
# says when a page has ended its flight; and the texts and tables, which the next frame paints.  The kernel answers in
# the order in which it was asked; what a click on Step shows the browser has before, and the kernel says it again.
TIMED = f"""async (act) => {{
    const lab = [...document.querySelectorAll('.mm-lab')].filter(e => e.checkVisibility()).pop();
    const find = (kind, text) => [...lab.querySelectorAll(kind)].find(e => e.textContent.trim().startsWith(text));
    let last;
    const now = () => setTimeout(() => {{ last = performance.now(); }});
    const watch = new MutationObserver(seen =>
        seen.every(each => each.target.matches?.('.mm-picture')) ? now() : requestAnimationFrame(now));
    watch.observe(lab, {{ subtree: true, childList: true, characterData: true, attributes: true }});
    const begin = performance.now();
    if (act === 'setting') find('label', '7 ').querySelector('input').click();
    else if (act === 'Back') find('button', act).click();
    else for (let i = 0; i < act; i++) find('button', 'Step').click();
    await {lab.SESSION}.session.kernel.requestExecute({{ code: '', silent: true }}).done;
    await new Promise(done => setTimeout(done, 200));
    watch.disconnect();
    return last - begin;
}}"""


@contextmanager
def shown(beside=None):
    """A page on which the lab stands at step 3,000; beside it a machine without patch `beside`."""
    cell = {"cell_type": "code", "id": "lab", "metadata": {}, "outputs": [], "execution_count": None,
            "source": SOURCE.strip().replace("BESIDE", str(beside))}  # fmt: skip
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    with tempfile.TemporaryDirectory() as source, tempfile.TemporaryDirectory() as scratch:
        (Path(source) / "click.ipynb").write_text(json.dumps(notebook))
        with lab.serve(source, scratch) as server, sync_playwright() as play, lab.launch(play) as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            server.open(page, "click.ipynb")
            page.wait_for_selector(SHOWN)
            yield page


def times(page, act, number):
    """ms that each of so many acts takes, the first left out: "setting", "Back", or so many clicks on Step at once."""
    return [page.evaluate(TIMED, act) for _ in range(number + 1)][1:]


def rows(small=False):
    """The rows of the lab."""
    if not lab.chromium():
        yield Row("click on Step, median", None, "ms", 40, note="not measured: there is no Chromium")
        return
    with shown() as page:
        step = sorted(times(page, 1, 5 if small else 100))
        back = times(page, "Back", 3 if small else 40)
        setting = times(page, "setting", 2 if small else 10)
        burst = times(page, 20, 3)
    with shown(beside=4) as page:
        two = times(page, 1, 5 if small else 40)
    note = f"{len(step)} clicks, to the last pixel; worst {said(step[-1])}"
    yield Row("click on Step, median", statistics.median(step), "ms", 40, note=note)
    yield Row("click on Step, 95th percentile", step[int(0.95 * len(step))], "ms", 80, note=note)
    yield Row("a changed setting, to the picture", statistics.median(setting) / 1e3, "s", 0.4,
              note=f"median of {len(setting)}; a patch on or off, all recorded anew")  # fmt: skip
    yield Row("click on Back, which asks the kernel", statistics.median(back), "ms", note="median")
    yield Row("20 clicks at once", statistics.median(burst), "ms", note="until the last one is painted")
    yield Row("click on Step, another machine beside it", statistics.median(two), "ms", note="median")
