"""Tasks are known by their pids and shown by their names; what stayed says why, and because of whom."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from machines import Checked, boot, expect_error, writer

from mmsim import Kernel, OutOfMemory, Policy, Topology, plots
from mmsim.machine.names import labels
from mmsim.race import Fault, Race
from mmsim.race.view import frames, places
from mmsim.widgets import MigrationLab

HOLDERS = ["free", "kernel", "swap cache", "page cache", "shared", "other", "offline"]


@pytest.fixture(autouse=True)
def _no_figure_is_left():
    yield
    plt.close("all")


def test_labels():
    assert labels({2: "a", 3: "b"}, "pid") == {2: "a", 3: "b"}
    assert labels({2: "a", 5: "a", 7: "a"}, "pid") == {2: "a", 5: "a (pid 5)", 7: "a (pid 7)"}
    assert labels({2: "free", 3: ""}, "pid", ["free"]) == {2: "free (pid 2)", 3: "(pid 3)"}
    tricky = labels({2: "a (pid 4)", 3: "a", 4: "a", 5: "a (pid 4)"}, "pid")
    assert len(set(tricky.values())) == 4


@pytest.mark.parametrize("name", [*HOLDERS, "kswapd", ""])
def test_a_task_may_have_any_name(name):
    """It is never added to what is free, cached, or the kernel's."""
    kernel = boot(frames=64)
    before = kernel.residency()
    task, _ = writer(kernel, 9, name=name)
    table = kernel.residency()
    assert task.name == name
    assert table[task.label].tolist() == [9, 0]
    assert (table["free"] == before["free"] - [9, 0]).all()
    assert table["kernel"].tolist() == [1, 0]
    assert table.columns.is_unique
    assert (kernel.frames()["owner"] == task.label).sum() == 9
    assert set(kernel.events()["actor"]) == {task.label}
    task.migrate_pages(0, 0, 1)
    assert set(kernel.last.pages["task"]) == set(kernel.last.pages["mappers"]) == {task.label}
    assert kernel.residency()[task.label].tolist() == [0, 9]
    assert f"{task.label} 9" in plots.describe(plots.residency(kernel))


def test_children_of_one_parent_are_told_apart():
    kernel = boot(frames=64)
    task, heap = writer(kernel, 4, name="w")
    children = [task.fork() for _ in range(3)]
    assert {child.name for child in children} == {"w'"}
    for n, child in enumerate(children, 1):
        child.touch(range(heap.start, heap.start + n), write=True)
    table = kernel.residency()
    own = table.loc[0, [task.label, *(child.label for child in children)]].tolist()
    assert own == [1, 1, 2, 3]  # of its first page the parent is the only user now
    assert table.loc[0, "shared"] == 3
    assert table.to_numpy().sum() == 128


def test_labels_stay_when_others_come_and_go():
    kernel = boot(frames=64)
    first, _ = writer(kernel, 2, name="w")
    second, _ = writer(kernel, 3, name="w")
    before = kernel.residency()
    first.exit()
    writer(kernel, 4, name="w")
    assert (first.label, second.label) == ("w", f"w (pid {second.pid})")
    assert kernel.residency()[second.label].tolist() == before[second.label].tolist()
    text = plots.describe(plots.residency(kernel, before))
    assert text.count(second.label) == 2


def test_messages_tell_them_apart():
    kernel = boot()
    _, heap = writer(kernel, 4, name="w")
    other = kernel.spawn("w")
    with expect_error(ValueError, rf"4 pages of w from .* does not belong to w \(pid {other.pid}\)"):
        other.touch(heap)


def test_figures_and_the_lab_tell_them_apart():
    kernel = Kernel(Topology.uniform(nodes=2, frames=64))
    task, heap = writer(kernel, 6, name="w")
    kernel.pin(task, heap[0])
    twin = task.fork("w")
    handles = plots.residency(kernel).get_legend().get_texts()
    assert not [text for text in handles if text.get_text().endswith("task w")]  # all of it is shared
    twin.touch(range(heap.start, heap.stop), write=True)
    texts = [text.get_text() for text in plots.residency(kernel).get_legend().get_texts()]
    assert {text.split()[0] for text in texts if "task w" in text} == {"w", "a"}  # a letter each
    assert f"Page table of {twin.label}" in plots.describe(plots.page_table(twin))
    assert any(f"runs w, {twin.label}" in text.get_text() for text in plots.topology(kernel).texts)
    lab = MigrationLab(kernel)
    pages = lab.recording.pages(lab.steps)
    assert pages.index.is_unique
    assert set(pages.index.get_level_values("task")) == {"w", twin.label}
    assert [label for label, _ in lab._scenes[0].strips] == ["pages of w", twin.label, "swap slots"]


def test_actors_of_a_race_are_told_apart():
    def build(patches):
        kernel = Kernel(Topology.uniform(nodes=2, frames=64), patches=patches, swap_slots=4)
        for _ in range(2):
            task = kernel.spawn("w")
            task.touch(task.mmap(1), write=True)
        return kernel

    race = Race(build, [Fault("w"), Fault("w (pid 3)")])
    assert places(race)["place"].tolist()[:2] == ["pte of w", "pte of w (pid 3)"]
    assert frames(race)["used as"].tolist() == ["mapped by w", "mapped by w (pid 3)"]
    with expect_error(ValueError, "task is 'v'; the tasks of this machine are w, w"):
        Race(build, [Fault("v")])


# -- who shares a page that was moved, and who is in the way


@pytest.mark.parametrize("patches", [0, (1, 3, 5), 7])
def test_every_mapper_of_a_page_is_named(patches):
    kernel = boot(patches=patches)
    task, heap = writer(kernel, 4, name="a")
    _, c = task.fork("b"), task.fork("c")
    c.touch(range(heap.start, heap.start + 1), write=True)
    task.migrate_pages(0, 0, 1)
    pages = kernel.last.pages.set_index("page")["mappers"]
    assert pages[heap.start] == "a, b"
    assert set(pages.loc[heap.start + 1 :]) == {"a, b, c"}
    assert set(kernel.last.pages["pid"]) == {task.pid}


def test_sharers_through_file_and_swap_cache():
    kernel = boot(patches=(1, 3, 5))  # without patches 4 and 6: swap ptes stay
    task, heap = writer(kernel, 2, name="a")
    b = task.fork("b")
    file = kernel.file("f", 2)
    for each in (task, b, kernel.spawn("c")):
        each.touch(each.mmap(2, file, shared=True))
    task.migrate_pages(0, 0, 1)
    assert kernel.last.pages["mappers"].tolist() == ["a, b"] * 2 + ["a, b, c"] * 2
    task.touch(heap)  # b has swap ptes still
    task.migrate_pages(0, 1, 0)
    assert set(kernel.last.pages["mappers"]) == {"a, b"}


def test_a_page_that_moves_with_two_tasks_is_followed():
    kernel = boot(nodes=3)
    task, _ = writer(kernel, 3, name="a")
    task.fork("b")
    group = kernel.cpuset("g", "0-1", memory_migrate=True)
    for each in kernel.tasks:
        group.attach(each)
    group.mems = "1-2"  # a: node 0 to 1; then b: 1 to 2
    assert set(kernel.last.pages["mappers"]) == {"a, b"}


def test_an_in_kernel_caller_names_all_mappers_too():
    kernel = boot()
    task, heap = writer(kernel, 2, name="a")
    child = task.fork("b")
    child.mlock(range(heap.start, heap.start + 1))  # breaks copy-on-write
    kernel.migrate(task.pages()["pfn"].dropna().tolist() + child.pages()["pfn"].dropna().tolist(), 1)
    table = kernel.last.pages.set_index(["task", "page"])
    assert table.loc[("b", heap.start), "reason"] == "its vma is not migratable (VM_LOCKED)"
    assert sorted(table["mappers"]) == ["a", "a, b", "b"]


def test_reasons_name_who_is_in_the_way():
    kernel = boot()
    task, heap = writer(kernel, 3, name="a")
    b = task.fork("a")
    kernel.pin(b, range(heap.start, heap.start + 1))
    file = kernel.file("lib", 1)
    for each in (task, b, *map(kernel.spawn, "cdefg")):
        each.touch(each.mmap(1, file, writable=False))
    task.migrate_pages(0, 0, 1)
    assert kernel.last.stayed["reason"].tolist() == [
        f"pinned by {b.label}: more references than anyone accounts for",
        f"its file is mapped by others too: {b.label}, c, d and 3 others",
    ]
    kernel.unpin(b, range(heap.start, heap.start + 1))
    said = plots.describe(plots.paths(kernel.last))
    assert "pinned by a (pid 3)" in said
    for each in kernel.tasks[2:]:
        each.exit()
    assert "c, d and 3 others" in kernel.last.stayed["reason"].iloc[1]  # it is what was, not what is


def test_a_reserved_vma_is_not_called_locked():
    kernel = Checked(Topology.uniform(nodes=2, frames=256), patches=0)
    file = kernel.file("f", 1)
    task, other = kernel.spawn("a"), kernel.spawn("b")
    task.touch(task.mmap(1, file, writable=False))
    other.touch(other.mmap(1, file, writable=False, flags="reserved"))
    kernel.migrate(task.pages()["pfn"].dropna(), to=1, force=True)
    assert kernel.last.stayed["reason"].tolist() == ["mapped by a reserved vma of b"]
    assert kernel.events()["text"].str.contains("of b: SWAP_FAIL").any()


# -- what there was instead of pages to move


def passed_over(kernel):
    return kernel.last.passed_over.to_dict()


def test_each_kind_of_nothing_is_counted():
    kernel = boot(nodes=3)
    task = kernel.spawn("a")
    swapped = task.mmap(5)
    task.touch(swapped, write=True)
    assert kernel.reclaim(5) == 5
    task.touch(task.mmap(4)[:3])
    file = kernel.file("f", 6)
    task.write(file)
    task.touch(task.mmap(6, file)[:1])
    task.run_on(2)
    task.touch(task.mmap(7), write=True)
    task.run_on(1)
    task.touch(task.mmap(8), write=True)
    task.run_on(0)
    task.touch(task.mmap(2), write=True)
    assert task.migrate_pages(0, 0, 1) == 0
    assert kernel.last.moved == 3
    expected = {"already there": 8, "on other nodes": 7, "swapped out": 5, "the zero page": 3,
                "in the page cache only": 5, "not present": 1}  # fmt: skip
    assert passed_over(kernel) == expected
    assert sum(expected.values()) + len(kernel.last.pages) == len(task.pages())
    assert "direct 2, direct with buffers 1; passed over: already there 8, on other nodes 7" in repr(kernel.last)


def test_nothing_to_move_says_what_there_was():
    kernel = boot()
    task, heap = writer(kernel, 4, name="a", node=1)
    stranger = kernel.spawn("empty")
    stranger.migrate_pages(0, 0, 1)
    assert "nothing to move (no page is mapped there)" in repr(kernel.last)
    task.migrate_pages(0, 0, 1)
    assert "nothing to move (already there 4)" in repr(kernel.last)
    assert plots.describe(plots.paths(kernel.last)).startswith("Nothing to move (already there 4)")
    assert "already there 4" in plots.describe(plots.compare({"it": kernel.last}))
    with expect_error(ValueError, "already there 4"):
        plots.timeline(kernel)
    task.mbind(heap, Policy.bind(1), move=True)
    assert "nothing to move (already there 4)" in repr(kernel.last)
    task.mbind(heap, Policy.bind(0))
    assert "(neither MPOL_MF_MOVE nor MPOL_MF_MOVE_ALL was given; on other nodes 4)" in repr(kernel.last)
    group = kernel.cpuset("g", 0)
    group.attach(task)
    assert "nothing to move (memory_migrate is not set; on other nodes 4)" in repr(kernel.last)
    group.memory_migrate = True
    group.mems = 0
    assert "nothing to move (the nodes are 0, as before; on other nodes 4)" in repr(kernel.last)
    kernel.migrate([], 1)
    assert "nothing to move (no page frame was given)" in repr(kernel.last)
    kernel.offline([9, 10])
    assert "nothing to move (free, offline now 2)" in repr(kernel.last)


@pytest.mark.parametrize("patches", [(1, 3, 5), 7])
def test_pages_that_went_along_with_another_mapping(patches):
    """They are considered once; the other mapping is passed over."""
    kernel = boot(patches=patches)
    file = kernel.file("f", 3)
    task = kernel.spawn("a", uid=0)
    for _ in range(2):
        task.touch(task.mmap(3, file, shared=True))
    task.migrate_pages(0, 0, 1)
    assert (kernel.last.moved, passed_over(kernel)) == (3, {"moved through another mapping": 3})


def test_pages_in_the_swap_cache_are_passed_over():
    kernel = boot(patches=(1, 3, 5))
    task, _ = writer(kernel, 4)
    task.migrate_pages(0, 0, 1)  # leaves swap ptes
    task.migrate_pages(0, 0, 1)
    assert passed_over(kernel) == {"in the swap cache only": 4}


def test_pages_that_were_not_reached():
    kernel = boot(nodes=3, frames=64, swap_slots=0)
    task, _ = writer(kernel, 8, name="a")
    task.run_on(1)
    task.touch(task.mmap(6), write=True)
    filler = kernel.spawn("filler")
    heap = filler.mmap(192)
    with expect_error(OutOfMemory, "no memory"):
        filler.touch(heap, write=True)
    with expect_error("ENOMEM", "no memory"):
        task.migrate_pages(0, "0-1", "1-2")  # node 1 to 2 comes first, and fails
    assert (len(kernel.last.pages), passed_over(kernel)) == (6, {"not reached": 8})


def test_the_lab_says_what_there_was():
    kernel = Kernel(Topology.uniform(nodes=2, frames=64))
    writer(kernel, 4, node=1)
    lab = MigrationLab(kernel, old=0, new=1)
    assert "nothing to move (already there 4)" in lab.recording.text(lab.steps)
    assert pd.DataFrame(lab.recording.stayed(lab.steps)).empty
