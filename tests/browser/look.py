"""Take a picture of a notebook as JupyterLab shows it after running all cells.

python tests/browser/look.py notebooks/00-pages-and-nodes.ipynb out.png --full --theme dark --click Step
"""

import argparse
import tempfile
from pathlib import Path

import lab
from playwright.sync_api import sync_playwright

HEIGHT = """() => {
    const panel = document.querySelector('.jp-NotebookPanel-notebook .jp-WindowedPanel-outer');
    const below = panel.querySelector('.jp-WindowedPanel-inner').scrollHeight;
    return Math.ceil(panel.getBoundingClientRect().top + below + 40);
}"""

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("notebook", type=Path)
parser.add_argument("picture", type=Path)
parser.add_argument("--width", type=int, default=1280)
parser.add_argument("--height", type=int, default=800)
parser.add_argument("--full", action="store_true", help="the whole notebook, however long")
parser.add_argument("--theme", choices=["light", "dark"], default="light")
parser.add_argument("--click", action="append", default=[], metavar="TEXT", help="a button to press")
parser.add_argument("--at", metavar="CSS", help="scroll to the first element that matches")
parser.add_argument("--wait", type=float, default=1, metavar="S", help="seconds before the picture is taken")
parser.add_argument("--no-run", action="store_true", help="do not run the cells")
args = parser.parse_args()

with (
    tempfile.TemporaryDirectory() as scratch,
    lab.serve(args.notebook.resolve().parent, scratch, args.theme) as server,
    sync_playwright() as playwright,
    lab.launch(playwright) as browser,
):
    page = browser.new_page(viewport={"width": args.width, "height": args.height})
    page.set_default_timeout(lab.PATIENCE * 1000)
    page.on("pageerror", lambda error: print("error in the page:", error))
    page.on("console", lambda line: line.type == "error" and print("console:", line.text))
    try:
        server.open(page, args.notebook.name, run=not args.no_run)
    except AssertionError as failed:  # the picture shows it; the words help too
        print(failed)
    for text in args.click:
        page.get_by_role("button", name=text, exact=True).first.click()
    if args.at:
        page.locator(args.at).first.scroll_into_view_if_needed()
    else:  # running all cells leaves the last one in view
        page.evaluate("document.querySelector('.jp-WindowedPanel-outer').scrollTop = 0")
    if args.full:
        page.set_viewport_size({"width": args.width, "height": page.evaluate(HEIGHT)})
    page.wait_for_timeout(args.wait * 1000)
    page.screenshot(path=args.picture)
print(args.picture)
