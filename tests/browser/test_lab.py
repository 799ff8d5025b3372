"""The MigrationLab in a real browser: what a student does with it, by mouse and by keys."""

import textwrap

import nbformat
import pytest
from lab import SESSION, SHOWN, run_all, settled
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect
from student import SUM, at_step


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """A notebook with one cell: its file."""
    file = tmp_path_factory.mktemp("lab") / "lab.ipynb"
    python = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=[new_code_cell()], metadata=python), file)
    return file


@pytest.fixture
def run_cell(finished, notebook):
    """Return a function that puts lines into the cell and runs it: the page, which all tests here share."""

    def run_cell(lines):
        page = finished(notebook)
        set_source = f"source => {SHOWN}.content.widgets[0].model.sharedModel.setSource(source)"
        page.evaluate(set_source, textwrap.dedent(lines).strip())
        run_all(page)
        return page

    return run_cell


@pytest.fixture
def lab(run_cell):
    """The page with a MigrationLab of its own for each test."""
    page = run_cell("from mmsim.widgets import MigrationLab\nlab = MigrationLab()\nlab")
    at_step(page, 0)
    return page


def beside(page, text):
    """Choose what is shown beside the machine; the buttons have moved when this returns."""
    page.get_by_label("beside it").select_option(text)
    settled(page)
    expect(page.locator(".mm-picture")).to_have_count(1 + (text != "nothing"))


def settings(page):
    """Unfold the line that says what was chosen."""
    press(page, "Settings ▸")
    expect(page.get_by_label("from nodes")).to_be_visible()
    settled(page)


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def last_step(page):
    return int(page.get_by_role("slider", name="event").get_attribute("max"))


def test_step_back_last_and_play(lab):
    seen = {lab.evaluate(SUM)}
    for step in range(1, 4):
        press(lab, "Step")
        at_step(lab, step)
    press(lab, "Last")
    at_step(lab, last_step(lab))
    seen.add(lab.evaluate(SUM))
    expect(lab.locator(".mm-said")).to_contain_text("After the call: migrate_pages returned 0; pages: direct 24.")
    press(lab, "Back")
    at_step(lab, last_step(lab) - 1)
    seen.add(lab.evaluate(SUM))
    press(lab, "First")
    at_step(lab, 0)
    assert lab.evaluate(SUM) in seen, "back at the beginning, the picture is the first one"
    assert len(seen) == 3
    press(lab, "Play")
    lab.wait_for_function("Number(document.querySelector('.mm-picture').dataset.step) >= 3")
    press(lab, "Pause")
    expect(lab.get_by_role("button", name="Play", exact=True)).to_be_visible()
    settled(lab)
    stopped = lab.locator(".mm-picture").get_attribute("data-step")
    lab.wait_for_timeout(600)  # at ten steps a second it would go on
    settled(lab)
    assert lab.locator(".mm-picture").get_attribute("data-step") == stopped


def test_playing_reaches_the_end(lab):
    lab.get_by_role("slider", name="speed").fill("9")
    press(lab, "Play")
    at_step(lab, last_step(lab))
    expect(lab.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_twenty_quick_clicks(lab):
    lab.evaluate("""() => {
        const step = [...document.querySelectorAll('.mm-lab button')].find(button => button.textContent === 'Step');
        for (let i = 0; i < 20; i++) step.click();
    }""")
    at_step(lab, 20)
    settled(lab)
    assert lab.locator(".mm-picture").get_attribute("data-step") == "20"
    expect(lab.locator(".mm-said")).to_contain_text("event 20 of")


def test_what_is_done_while_the_kernel_is_busy_happens_in_order(lab):
    busy = "import time\nfor _ in range(20): time.sleep(0.1)"
    press(lab, "Step")
    at_step(lab, 1)
    lab.evaluate(f"code => {{ {SESSION}.session.kernel.requestExecute({{ code }}); }}", busy)
    for name in ("Step", "Last", "Back"):
        press(lab, name)
    lab.get_by_role("slider", name="event").fill("200")
    press(lab, "Step")
    at_step(lab, 201)
    settled(lab)
    assert lab.locator(".mm-picture").get_attribute("data-step") == "201"


def test_a_busy_kernel_does_not_keep_a_step_back_and_says_the_same_afterwards(lab):
    press(lab, "Step")
    at_step(lab, 1)
    settled(lab)
    words = ".mm-said, .mm-position output, .mm-panels"
    busy = "import time\nfor _ in range(600): time.sleep(0.1)"
    lab.evaluate(f"code => {{ {SESSION}.session.kernel.requestExecute({{ code }}); }}", busy)
    press(lab, "Step")
    at_step(lab, 2)
    seen = lab.evaluate(SUM), lab.locator(words).all_inner_texts()
    expect(lab.locator(".mm-said")).to_contain_text("event 2 of")
    assert lab.evaluate(f"{SESSION}.session.kernel.status") == "busy", "the step is shown by the browser alone"
    lab.evaluate(f"() => {SESSION}.session.kernel.interrupt()")
    settled(lab)
    assert (lab.evaluate(SUM), lab.locator(words).all_inner_texts()) == seen


def test_by_keys_alone(lab):
    lab.get_by_role("button", name="Settings ▸").press("Enter")
    expect(lab.get_by_label("from nodes")).to_be_visible()
    lab.get_by_label("from nodes").focus()
    lab.keyboard.press("Tab")
    lab.keyboard.type("\b3")
    lab.keyboard.press("Enter")
    for _ in range(20):  # on to the switch of patch 4; Tab goes through everything in order
        lab.keyboard.press("Tab")
        if lab.evaluate("document.activeElement.closest('label')?.textContent.startsWith('4 ')"):
            break
    lab.keyboard.press("Space")
    expect(lab.get_by_label("4 remove_from_swap")).not_to_be_checked()
    for _ in range(20):
        lab.keyboard.press("Tab")
        if lab.evaluate("document.activeElement.textContent === 'Step'"):
            break
    lab.keyboard.press("Enter")
    at_step(lab, 1)
    lab.get_by_role("slider", name="event").press("End")
    at_step(lab, last_step(lab))
    picture = lab.locator(".mm-picture")
    picture.focus()
    picture.press("ArrowRight")
    expect(lab.locator(".mm-tip")).to_contain_text("frame 0 on node 0: of the kernel")
    picture.press("ArrowRight")
    expect(lab.locator(".mm-tip")).to_contain_text("frame 1 on node 0")
    picture.press("Escape")
    expect(lab.locator(".mm-tip")).to_be_empty()
    process = lab.get_by_label("process")  # in command mode these keys mean cells, elsewhere in the notebook
    process.focus()
    for key in ("ArrowDown", "d", "d"):
        lab.keyboard.press(key)
    expect(process).to_be_focused()
    expect(process.locator("option:checked")).to_have_text("a heap, one page pinned")


def test_nothing_jumps(lab):
    """Whatever is shown, the boxes stay where they are."""
    assert lab.locator(".mm-lab").bounding_box()["height"] <= 679, "one screen of 1280 x 800"
    settings(lab)
    boxes = "() => [...document.querySelectorAll('.mm-lab > *')].map(e => [e.offsetTop, e.offsetHeight])"
    before = lab.evaluate(boxes)
    lab.get_by_label("process").select_option("a heap, one page pinned")
    expect(lab.locator(".mm-said")).to_contain_text("326 events")
    for name in ("Step", "Last", "Back"):
        press(lab, name)
    lab.get_by_label("3 direct").click()
    expect(lab.locator(".mm-note")).to_contain_text("are off too")
    lab.get_by_label("to nodes").fill("7")
    lab.get_by_label("to nodes").press("Enter")
    expect(lab.locator(".mm-note")).to_contain_text("there is no node 7")
    assert lab.evaluate(boxes) == before


def test_a_first_look_is_one_screen_with_squares_that_can_be_read(run_cell):
    page = run_cell("""
        from mmsim.widgets import MigrationLab
        lab = MigrationLab(simple=True)
        lab.place("pin", 5)
        lab""")
    at_step(page, 0)
    press(page, "Last")
    expect(page.locator(".mm-stayed")).to_contain_text("pinned: more references than anyone accounts for")
    assert page.locator(".mm-lab").bounding_box()["height"] <= 640
    buttons = page.locator(".mm-lab button:visible")
    assert buttons.all_inner_texts() == ["First", "Back", "Play", "Step", "Last", "Reset", "More ▸"]
    expect(page.get_by_label("beside it")).to_be_hidden()
    press(page, "More ▸")
    expect(page.get_by_label("beside it")).to_be_visible()
    settled(page)
    assert page.locator(".mm-lab").bounding_box()["height"] <= 679


@pytest.mark.parametrize("width", [1280, 800])
def test_no_reason_is_cut_off(lab, width):
    lab.set_viewport_size({"width": width, "height": 800})
    settings(lab)
    lab.get_by_label("process").select_option("files of four file systems, dirty")
    press(lab, "Last")
    expect(lab.locator(".mm-stayed")).to_contain_text("the file system refuses to move it")
    cut = """() => [...document.querySelectorAll('.mm-stayed, .mm-stayed *')]
        .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.className)"""
    assert lab.evaluate(cut) == []


def test_a_pin_placed_by_a_click_a_machine_beside_source_and_file(lab):
    lab.get_by_label("pin", exact=True).check()
    picture, tip = lab.locator(".mm-picture"), lab.locator(".mm-tip")
    picture.focus()
    for _ in range(6):
        picture.press("ArrowRight")
    expect(tip).to_contain_text("frame 5 on node 0: page 4 of a")
    picture.press("Enter")
    expect(lab.locator(".mm-note")).to_contain_text("Placed before the call: page 4 of a pinned.")
    expect(tip).to_contain_text("pinned")
    x, y = tip.evaluate("tip => [parseFloat(tip.style.left), parseFloat(tip.style.top)]")
    picture.click(position={"x": x + 6, "y": y - 8})  # the square to the right of that one
    expect(lab.locator(".mm-note")).to_contain_text("page 4 of a pinned, page 5 of a pinned.")
    press(lab, "Last")
    expect(lab.locator(".mm-panels")).to_contain_text("pinned: more references than anyone accounts for")
    expect(lab.locator(".mm-flow")).to_have_accessible_name("Paths: considered 24, retries exhausted 2, direct 22.")
    picture.click(position={"x": x + 40, "y": y - 8})
    expect(lab.locator(".mm-note")).to_contain_text("Not pinned: frame 8 is free")

    beside(lab, "the same without patch 4")
    for step in (1, 2, 3):
        press(lab, "Step")
        expect(lab.locator(f".mm-picture[data-step='{step}']")).to_have_count(2)
    press(lab, "Last")
    expect(lab.locator(f".mm-picture[data-step='{last_step(lab)}']")).to_have_count(2)
    expect(lab.locator(".mm-sentences")).to_contain_text("After the call: migrate_pages returned 2; pages: direct 22")

    lab.get_by_role("slider", name="event").fill("60")
    press(lab, "Source ▸")
    expect(lab.locator(".mm-code .mm-mark")).to_contain_text("trace(k, ")
    expect(lab.locator(".mm-file")).to_contain_text("mmsim/mm/")
    for name, start in (("CSV frames", b"pfn,node,owner"), ("PNG", b"\x89PNG"), ("numa_maps", b"")):
        with lab.expect_download() as download:
            press(lab, name)
        assert "step-60" in download.value.suggested_filename
        assert download.value.path().read_bytes().startswith(start)


def test_nothing_jumps_beside_another_machine_with_the_source_shown(lab):
    boxes = "() => [...document.querySelectorAll('.mm-lab > *')].map(e => [e.offsetTop, e.offsetHeight])"
    beside(lab, "the baseline, no patches")
    press(lab, "Source ▸")
    settled(lab)
    before = lab.evaluate(boxes)
    for name in ("Step", "Step", "Last", "Back"):
        press(lab, name)
    lab.get_by_role("slider", name="event").fill("200")
    expect(lab.locator(".mm-picture[data-step='200']")).to_have_count(2)
    assert lab.evaluate(boxes) == before


@pytest.mark.parametrize("width", [1280, 800])
@pytest.mark.parametrize("other", ["nothing", "the baseline, no patches"])
def test_nothing_is_wider_than_the_page(lab, width, other):
    lab.set_viewport_size({"width": width, "height": 800})
    beside(lab, other)
    assert width == 800 or lab.locator(".mm-lab").bounding_box()["height"] <= 679
    settings(lab)
    over = """() => [...document.querySelectorAll('.mm-lab, .mm-lab *')].filter(e => e.checkVisibility()
        && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== 'visible').map(e => e.className)"""
    assert lab.evaluate(over) == []


@pytest.mark.parametrize("other", ["nothing", "the same without patch 4"])
def test_axe_finds_nothing_serious(lab, other):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    beside(lab, other)
    settings(lab)
    press(lab, "Source ▸")
    press(lab, "Last")
    press(lab, "Back")
    expect(lab.locator(".mm-code .mm-mark")).to_have_count(1)
    found = axe.Axe().run(lab, context=".mm-lab").response["violations"]
    bad = [f"{v['id']}: {v['nodes'][0]['html']}" for v in found if v["impact"] in ("serious", "critical")]
    assert not bad


def test_eight_nodes_fit_one_screen(run_cell):
    page = run_cell("""
        from mmsim import Kernel, Topology
        from mmsim.widgets import MigrationLab
        kernel = Kernel(Topology.preset("altix-8n", 256))
        job = kernel.spawn("job")
        job.touch(job.mmap(200), write=True)
        MigrationLab(kernel)""")
    at_step(page, 0)
    assert page.locator(".mm-lab").bounding_box()["height"] <= 679


def test_keys_typed_into_other_widgets_stay_there(run_cell):
    page = run_cell("""
        from mmsim import lessons
        from mmsim.lessons import lesson01
        from mmsim.widgets import ConfigMatrix, RacePlayer
        from IPython.display import display
        display(ConfigMatrix(), RacePlayer(), lessons.predict(lesson01.compiled_in))""")
    buttons = [page.get_by_label("SPARSEMEM", exact=True), page.get_by_label("Race", exact=True),
               page.get_by_role("button", name="Hint")]  # fmt: skip
    for control in buttons:
        control.focus()
        for key in ("x", "d", "d", "a"):  # in command mode: cut, delete, a cell above
            page.keyboard.press(key)
        expect(control).to_be_focused()
        expect(page.locator(".jp-Cell")).to_have_count(1)
