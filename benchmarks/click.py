"""How long a click on Step takes until the stage is painted anew: 1,024 pages in a real browser.

Once with one machine on the screen, once with the same without patch 4 beside it.

python benchmarks/click.py
"""

import json
import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

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
CLICK = """async () => {
    const picture = [...document.querySelectorAll('.mm-picture')].filter(e => e.checkVisibility()).pop();
    const step = [...document.querySelectorAll('.mm-lab button')].find(button => button.textContent === 'Step');
    const begin = performance.now();
    const painted = new Promise(done => new MutationObserver((_, observer) => {
        observer.disconnect();
        requestAnimationFrame(() => setTimeout(() => done(performance.now() - begin)));
    }).observe(picture, { attributeFilter: ['data-step'] }));
    step.click();
    return painted;
}"""
BURST = """async () => {
    const picture = [...document.querySelectorAll('.mm-picture')].filter(e => e.checkVisibility()).pop();
    const target = String(Number(picture.dataset.step) + 20);
    const step = [...document.querySelectorAll('.mm-lab button')].find(button => button.textContent === 'Step');
    const begin = performance.now();
    for (let i = 0; i < 20; i++) step.click();
    while (picture.dataset.step !== target) await new Promise(requestAnimationFrame);
    return performance.now() - begin;
}"""


def measure(beside, clicks=40):
    """(ms of each click, ms until 20 clicks at once have come to their end); `beside`: the patch that is lacking."""
    cell = {"cell_type": "code", "id": "lab", "metadata": {}, "outputs": [], "execution_count": None,
            "source": SOURCE.strip().replace("BESIDE", str(beside))}  # fmt: skip
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    with tempfile.TemporaryDirectory() as source, tempfile.TemporaryDirectory() as scratch:
        (Path(source) / "click.ipynb").write_text(json.dumps(notebook))
        with lab.serve(source, scratch) as server, sync_playwright() as play, lab.launch(play) as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            server.open(page, "click.ipynb")
            page.wait_for_selector(".mm-picture[data-step='3000']")
            times = []
            for _ in range(clicks):
                page.wait_for_timeout(100)
                times.append(page.evaluate(CLICK))
            return times, page.evaluate(BURST)


if __name__ == "__main__":
    if not lab.chromium():
        sys.exit("no Chromium, so nothing was measured")
    for beside in (None, 4):
        times, burst = measure(beside)
        what = f"the same without patch {beside}" if beside else "nothing"
        print(f"click to repaint, 1,024 pages, beside it {what}: "
              f"median {statistics.median(times):.0f} ms, worst of {len(times)} {max(times):.0f} ms "
              f"(at most 120 wanted); 20 clicks at once: {burst:.0f} ms")  # fmt: skip
