"""Figures: that they show the numbers, draw where they are told to, and can be read."""

import inspect
import itertools
import re
import subprocess
import sys
import xml.dom.minidom
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_rgb

from mmsim import Kernel, Topology, plots
from mmsim.plots import palette
from mmsim.plots.passes import KEEPS

ROOT = Path(__file__).parents[1]
TOPOLOGIES = {2: "two-socket", 4: "opteron-4s", 8: "altix-8n"}


@pytest.fixture(autouse=True)
def no_figure_is_left_or_shown(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("plt.show() was called"))
    yield
    plt.close("all")


def machine(nodes=2, tasks=1, patches=7):
    """Pages that move, are written, stay pinned, stay locked, are not there: (kernel, first task, residency before)."""
    kernel = Kernel(Topology.preset(TOPOLOGIES[nodes], frames=256), patches=patches)
    web, *others = [kernel.spawn(name, node=i % nodes) for i, name in enumerate(("web", "db", "cache")[:tasks])]
    heap = web.mmap(40, name="heap")
    web.touch(heap, write=True)
    for i, task in enumerate(others):
        task.touch(task.mmap(30 + 20 * i), write=True)
    web.mmap(8, locked=True, name="keys")
    web.touch(web.mmap(4)[:2])
    log = kernel.file("log", pages=6, fs="nfs")
    web.write(log)
    web.touch(web.mmap(6, file=log, shared=True, name="log"))
    kernel.pin(web, heap[4:7])
    before = kernel.residency()
    web.migrate_pages(0, old=0, new=nodes - 1)
    return kernel, web, before


PLACES = {"V1": {"web": [0, 0, 1, 1, None], "db": [1] * 12}, "Linux 6.1.0-56-amd64": {"web": [3] * 12}}


def everything(kernel, task, before):
    return {
        "residency": lambda **ax: plots.residency(kernel, before, **ax),
        "residency now": lambda **ax: plots.residency(kernel, **ax),
        "page_table": lambda **ax: plots.page_table(task, **ax),
        "narrow page_table": lambda **ax: plots.page_table(task, columns=8, **ax),
        "topology": lambda **ax: plots.topology(kernel, **ax),
        "zonelist": lambda **ax: plots.zonelist(kernel, 1, **ax),
        "paths": lambda **ax: plots.paths(kernel.last, **ax),
        "timeline": lambda **ax: plots.timeline(kernel, **ax),
        "timeline by function": lambda **ax: plots.timeline(kernel, by="function", **ax),
        "placements": lambda **ax: plots.placements(PLACES, **ax),
        "compare": lambda **ax: plots.compare({"with": kernel.last, "again": kernel.last}, **ax),
    }


def texts(ax):
    return [text.get_text() for text in ax.texts if text.get_visible()]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize("nodes", TOPOLOGIES)
@pytest.mark.parametrize("tasks", [1, 3])
def test_figures_are_titled_and_nothing_is_clipped_or_overlaps(nodes, tasks):
    for name, draw in everything(*machine(nodes, tasks)).items():
        ax = draw()
        assert ax.get_title("left"), name
        figure = ax.figure
        figure.draw_without_rendering()
        tight = figure.get_tightbbox()
        (width, height) = figure.get_size_inches()
        assert tight.x0 >= 0, name
        assert tight.y0 >= 0, name
        assert tight.x1 <= width, name
        assert tight.y1 <= height, name
        visible = [t for t in ax.texts if t.get_visible() and t.get_text()]
        extents = [((t.get_bbox_patch() or t).get_window_extent().padded(-1), t.get_text()) for t in visible]
        for (a, first), (b, second) in itertools.combinations(extents, 2):
            assert not a.overlaps(b), f"{name}: {first!r} and {second!r}"
        plt.close(figure)


def test_each_figure_draws_on_the_axes_given_and_leaks_none():
    for name, draw in everything(*machine(4, 2)).items():
        figure, (left, right) = plt.subplots(1, 2, figsize=(16, 5))
        style = dict(plt.rcParams)
        assert draw(ax=right) is right, name
        assert plt.get_fignums() == [figure.number], name
        assert not left.has_data(), name
        assert dict(plt.rcParams) == style, name
        assert plots.describe(figure) == plots.describe(right)
        plt.close(figure)
        own = draw().figure
        assert plt.get_fignums() == [own.number], name
        plt.close(own)


@pytest.mark.parametrize("name", sorted({*plots.__all__} - {"STYLE", "flow", "passes_table"}))
def test_the_help_of_a_figure_has_each_parameter(name):
    figure = getattr(plots, name)
    said = inspect.getdoc(figure).partition("Parameters\n----------\n")[2]
    assert re.findall(r"(?m)^(\w+) : ", said) == list(inspect.signature(figure).parameters)


def test_a_figure_of_something_else_has_no_description():
    with pytest.raises(ValueError, match="did not draw"):
        plots.describe(plt.subplots()[1])


def test_residency_bars_are_the_counts():
    kernel, _, before = machine(4, 3)
    after = kernel.residency()
    ax = plots.residency(kernel, before)
    bars = {bar.get_label(): [patch.get_height() for patch in bar] for bar in ax.containers}
    for owner in set(after.columns) - {"free"}:
        assert bars[owner] == [*before.get(owner, after[owner] * 0), *after[owner]]
    assert {f"{count:,}\nfree" for count in (*before["free"], *after["free"])} <= set(texts(ax))
    assert {"w  task web", "d  task db", "k  kernel"} <= set(legend(ax))
    assert [t.get_text() for t in ax.get_xticklabels()] == ["before"] * 4 + ["after"] * 4
    assert f"node 3: web {after['web'][3]}" in plots.describe(ax)


def test_residency_of_one_time_has_one_bar_a_node():
    kernel, *_ = machine()
    ax = plots.residency(kernel)
    assert {len(bar) for bar in ax.containers} == {2}
    assert [t.get_text().strip() for t in ax.get_xticklabels(minor=True)] == ["node 0", "node 1"]


def test_page_table_shows_where_each_page_is_and_why_it_stayed():
    _, task, _ = machine()
    ax = plots.page_table(task)
    shown = texts(ax)
    assert shown[:7] == ["1", "1", "1", "1", "0P", "0P", "0P"]
    assert (shown.count("z"), shown.count("–"), shown.count("0")) == (2, 2 + 6, 8)
    rows = [label.get_text() for label in ax.get_yticklabels()]
    assert rows[0] == "heap  0x10000"
    assert rows[2].startswith("keys (mlocked)")
    assert {"0  on node 0", "1  on node 1", "read-only pte", "pinned frame"} <= set(legend(ax))
    for part in ("37 pages on node 1", "11 pages on node 0", "2 pages the zero page", "3 with a pinned frame"):
        assert part in plots.describe(ax)


def test_page_table_tells_the_swap_cache_from_swap():
    _, cached, _ = machine(patches=(1, 3, 5))
    assert "s1" in texts(plots.page_table(cached))
    _, swapped, _ = machine(patches=0)
    ax = plots.page_table(swapped)
    assert "s" in texts(ax)
    assert "s  swap pte, swapped out" in legend(ax)


def test_page_table_shares_cells_between_pages_where_there_are_many():
    kernel = Kernel(Topology.uniform(2, frames=2048), trace=False)
    task = kernel.spawn("big")
    task.touch(task.mmap(1500)[:600], write=True)
    ax = plots.page_table(task)
    assert "a cell stands for 3 pages" in ax.get_xlabel()
    assert len(texts(ax)) == 500
    assert "600 pages on node 0 and 900 pages not present" in plots.describe(ax)


def test_many_small_vmas_are_named_and_readable_on_a_given_ax():
    task = Kernel(Topology.uniform(2, frames=512)).spawn("many")
    for i in range(24):
        task.touch(task.mmap(1, name=f"f{i}", at=0x1000 + 3 * i), write=True)
    ax = plots.page_table(task, ax=plt.subplots(figsize=(9, 3.5))[1])
    written = [*ax.get_yticklabels(), *ax.texts]
    assert {f"f{i}  {0x1000 + 3 * i:#x}" for i in range(24)} <= {text.get_text() for text in written}
    assert min(text.get_fontsize() for text in written) > 6
    (x0, y0), (x1, y1) = ax.transData.transform([(0, 0), (1, 1)])
    assert x1 - x0 == pytest.approx(y0 - y1), "a cell is a square"


def test_page_table_of_a_task_without_memory():
    ax = plots.page_table(Kernel(Topology.uniform(2)).spawn("new"))
    assert plots.describe(ax) == "Page table of new: nothing."


def test_topology_writes_distances_or_explains_its_strokes():
    ax = plots.topology(Kernel(Topology.preset("opteron-4s")))
    assert (texts(ax).count("16"), texts(ax).count("22")) == (4, 2)
    assert sum("1,024 frames" in text for text in texts(ax)) == 4
    assert "22 between 0 and 3, 1 and 2" in plots.describe(ax)
    ax = plots.topology(Kernel(Topology.ring(8)))
    assert legend(ax) == ["20", "30", "40", "50"]
    assert sum(len(c.get_paths()) for c in ax.collections) == 28
    kernel, *_ = machine(2, 2)
    assert any("runs web" in text and "free" in text for text in texts(plots.topology(kernel)))


def test_topology_puts_near_nodes_side_by_side():
    ax = plots.topology(Kernel(Topology.preset("qemu-4n")))
    where = {t.get_text().split("\n")[0]: t.get_position() for t in ax.texts if t.get_text().startswith("node")}

    def far(a, b):
        (x0, y0), (x1, y1) = where[f"node {a}"], where[f"node {b}"]
        return round((x0 - x1) ** 2 + (y0 - y1) ** 2, 6)

    assert far(0, 1) == far(2, 3) == min(far(0, n) for n in (1, 2, 3))


def test_zonelist_is_the_order_of_the_walk_and_names_who_gives():
    kernel = Kernel(Topology.preset("opteron-4s", frames=256))
    task = kernel.spawn("a", node=2)
    order = [t.get_text() for t in plots.zonelist(kernel, 2).texts if t.get_text().isdigit()]
    assert order == [str(n) for n in kernel.topology.zonelist(2)]
    task.touch(task.mmap(240), write=True)
    ax = plots.zonelist(kernel, 2)
    assert [t for t in texts(ax) if "gives a page" in t] == [texts(ax)[5]]
    assert "Node 0 gives the page" in plots.describe(ax)


@pytest.mark.parametrize("patches", [0, (1, 3), (1, 3, 4, 5), 6, 7])
def test_flow_conserves_pages_and_ends_in_the_paths(patches):
    kernel, *_ = machine(patches=patches)
    graph = plots.flow(kernel.last)
    taken = kernel.last.paths
    for node in graph:
        arriving = sum(n for *_, n in graph.in_edges(node, data="pages"))
        leaving = sum(n for *_, n in graph.out_edges(node, data="pages"))
        if graph.out_degree(node) == 0:
            assert arriving == taken.get(node, 0)
        elif node != "considered":
            assert arriving == leaving
    assert leaving_from(graph, "considered") == taken.sum() == len(kernel.last.pages)


def leaving_from(graph, node):
    return sum(n for *_, n in graph.out_edges(node, data="pages"))


def test_paths_writes_the_pages_on_the_edges_and_the_reasons_at_the_ends():
    kernel, task, _ = machine()
    ax = plots.paths(kernel.last)
    written = [n for *_, n in plots.flow(kernel.last.pages).edges(data="pages") if n]
    assert sorted(t for t in texts(ax) if t.isdigit()) == sorted(map(str, written))
    assert "retries\nexhausted\n3\npinned" in texts(ax)
    assert "swapped out\n0" in texts(ax)
    assert "3 retries exhausted (pinned)" in plots.describe(ax)
    assert kernel.last.pages["reason"].str.startswith("pinned").sum() == 3
    assert ax.get_title("left").endswith("(migrate_pages)")
    kernel.migrate(task.pages()["pfn"].dropna()[:1], to=0)
    assert plots.paths(kernel.last).get_title("left").endswith("(in-kernel caller)")


def test_a_page_leaves_the_row_at_the_question_that_stopped_it():
    kernel = Kernel(Topology.uniform(2, frames=256), swap_slots=5, patches=(1, 3, 5))
    task = kernel.spawn("a")
    task.touch(task.mmap(8), write=True)
    task.migrate_pages(0, 0, 1)
    graph = plots.flow(kernel.last)
    assert graph.edges["in swap cache?", "failed for good"]["pages"] == 3
    assert graph.edges["in swap cache?", "clean or written?"]["pages"] == 5


def test_timeline_marks_what_happened_to_each_page():
    kernel, *_ = machine(patches=0)
    ax = plots.timeline(kernel)
    marks = {c.get_label(): len(c.get_offsets()) for c in ax.collections if not c.get_label().startswith("_")}
    assert marks["swapped out"] == kernel.last.evicted
    assert marks["tried again"] >= 3 * kernel.last.passes
    assert f"in {kernel.last.passes} passes" in plots.describe(ax)
    assert ax.get_xlabel().endswith(("in ms", "in µs"))


def test_timeline_is_of_the_last_migration_alone():
    kernel, task, _ = machine()
    task.migrate_pages(0, 1, 0)
    kernel.wait(1000)
    ax = plots.timeline(kernel)
    assert f"moved {kernel.last.moved}," in plots.describe(ax)
    functions = plots.timeline(kernel, by="function")
    names = [t.get_text() for t in functions.get_yticklabels()]
    assert "migrate_page_copy (3)" in names
    assert f"migrate_page_copy {kernel.last.moved}" in plots.describe(functions)


def test_timeline_follows_pages_through_several_pairs_of_nodes():
    kernel = Kernel(Topology.uniform(4, frames=256))
    task = kernel.spawn("a")
    task.touch(task.mmap(8), write=True)
    task.run_on(1)
    task.touch(task.mmap(5), write=True)
    task.migrate_pages(0, "0-1", "1-2")
    ax = plots.timeline(kernel)
    assert "moved 13," in plots.describe(ax)
    assert "in 2 passes" in plots.describe(ax)


def test_timeline_says_what_is_missing():
    kernel = Kernel(Topology.uniform(2))
    with pytest.raises(ValueError, match="last migration"):
        plots.timeline(kernel)
    kernel, *_ = machine()
    with pytest.raises(ValueError, match="'page' or 'function'"):
        plots.timeline(kernel, by="node")
    silent = Kernel(Topology.uniform(2), trace=False)
    task = silent.spawn("a")
    task.touch(task.mmap(2), write=True)
    task.migrate_pages(0, 0, 1)
    with pytest.raises(ValueError, match="trace=True"):
        plots.timeline(silent)
    assert plt.get_fignums() == []


def test_compare_stacks_the_paths_of_each():
    runs = {f"patches {p}": machine(patches=p)[0].last for p in (0, (1, 3, 4, 5), 7)}
    ax = plots.compare(runs)
    bars = {bar.get_label(): [patch.get_width() for patch in bar] for bar in ax.containers}
    for i, run in enumerate(runs.values()):
        assert {path: widths[i] for path, widths in bars.items() if widths[i]} == run.paths.to_dict()
    assert [t.get_text() for t in ax.get_yticklabels()] == list(runs)
    assert all(f"{label}: {len(run.pages)} pages considered" in plots.describe(ax) for label, run in runs.items())


def test_ticks_are_whole_numbers():
    kernel = Kernel(Topology.uniform(2, frames=64))
    task = kernel.spawn("a")
    task.touch(task.mmap(2), write=True)
    task.migrate_pages(0, 0, 1)
    for axis in (plots.residency(kernel).yaxis, plots.compare({"one": kernel.last}).xaxis):
        assert all(tick == int(tick) for tick in axis.get_majorticklocs())


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_palette_can_be_read_and_told_apart_without_colour():
    looks = [*palette.STATES.values(), *palette.PATHS.values(), *palette.TASKS, palette.SHARED]
    for look in [*looks, *map(palette.node, range(8))]:
        dark, light = sorted((luminance(look.colour), luminance(look.ink)))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, look
    for group in (palette.STATES, palette.PATHS, palette.owners(["web", "work", "cache", "shared", "kernel", "free"])):
        assert len({look.letter for look in group.values()}) == len(group)
        assert len({(look.colour, look.hatch) for look in group.values()}) == len(group)
    assert palette.owners(["web", "work"])["work"].letter == "r"  # w is web's, o the others'


@pytest.mark.full
def test_the_figures_of_the_readme_are_small_and_the_same_each_time(tmp_path):
    code = "import sys, pathlib; sys.path.insert(0, 'docs'); import figures; figures.IMG = pathlib.Path(sys.argv[1])"
    written = []
    for run in ("one", "two"):
        command = [sys.executable, "-c", f"{code}; figures.main()", tmp_path / run]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        written.append({file.name: file.read_bytes() for file in (tmp_path / run).iterdir()})
    assert written[0] == written[1]
    assert {file.name for file in (ROOT / "docs/img").iterdir()} == set(written[0])
    for data in (data for name, data in written[0].items() if name.endswith(".svg")):
        assert len(data) < 60_000
        assert xml.dom.minidom.parseString(data).getElementsByTagName("dc:description")


def test_the_swap_pte_before_during_and_after():
    """Two processes have the page; with patch 4 its ptes are real again afterwards, without it they are not."""
    said = {}
    for patches in ((1, 3, 4), (1, 3)):
        kernel = Kernel(Topology.uniform(nodes=2, frames=64), patches=patches)
        task = kernel.spawn("a")
        task.touch(task.mmap(4), write=True)
        task.fork("b")
        frames = task.pages()["pfn"].tolist()
        ax = plots.entry(task, 2, lambda kernel=kernel, frames=frames: kernel.migrate(frames, 1))
        said[patches] = plots.describe(ax)
        new = kernel.last.pages["new_pfn"].tolist()[2]
        before, during, _ = re.split("During: |After: ", said[patches])
        assert f"pte of a: frame {frames[2]}; pte of b: frame {frames[2]}; frame {frames[2]} (node 0)" in before
        assert "pte of a: swap entry 3; pte of b: swap entry 3; swap entry 3: cache: frame" in during
        assert f"frame {new} (node 1)" in during
    assert f"pte of a: frame {new}; pte of b: frame {new}" in said[1, 3, 4].partition("After: ")[2]
    assert "pte of a: swap entry 3; pte of b: swap entry 3" in said[1, 3].partition("After: ")[2]
    with pytest.raises(ValueError, match="page is 4; a has the pages 0 to 3"):
        plots.entry(task, 4)
    assert plots.describe(plots.entry(task, 3)).startswith("What leads to page 3 of a. pte of a: swap entry 4")


def test_nodes_owners_and_outcomes_share_no_colour():
    nodes = {palette.node(n).colour for n in range(8)}
    owners = {look.colour for look in (*palette.TASKS, palette.SHARED, palette.STATES["page cache"])}
    neutral = {palette.WHITE, palette.LIGHT, "#f2f2f2"}
    outcomes = {look.colour for look in palette.PATHS.values()} - neutral
    assert len(nodes) == 8
    assert not nodes & owners
    assert not nodes & outcomes
    assert not owners & outcomes
    assert palette.SWAP_CACHE.colour not in nodes | owners | outcomes


def test_the_page_of_the_code_has_each_tag_and_each_letter_of_a_pass():
    page = (Path(__file__).parents[1] / "docs/code.md").read_text()
    for letter in {*palette.MARKS.values(), *(letter for letter, _ in KEEPS.values())}:
        assert re.search(rf"^\| {letter} \|", page, re.MULTILINE), letter


def test_placements_say_where_each_page_is():
    ax = plots.placements(PLACES)
    squares = [text for text in texts(ax) if len(text.rstrip("•")) == 1]
    assert squares == [*"0011–", *"1" * 12, *["3•"] * 5, *"3" * 7]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["V1", "Linux 6.1.0-56-amd64"]
    assert plots.describe(ax) == (
        "Where the pages are. V1: web 2 on node 0, then 2 on node 1, then 1 page without a frame and db 12 on node 1; "
        "Linux 6.1.0-56-amd64: web 12 on node 3, 5 not as in the first row."
    )
    with pytest.raises(TypeError, match=r"rows.*give"):
        plots.placements({"V1": [0, 1]})
