"""Which file a cached frame belongs to, and where the pages of a file are."""

from machines import boot, writer

from mmsim import Kernel, Topology
from mmsim.widgets import MigrationLab


def held(kernel):
    """{what a file is called: its pages by frame}."""
    table = kernel.frames().query("file != ''")
    return {name: sorted(part["index"]) for name, part in table.groupby("file")}


def test_frames_name_their_files():
    kernel = boot(frames=128)
    task, _ = writer(kernel, 3)
    one, two, empty = kernel.file("one", 4), kernel.file("two", 4, fs="ext2"), kernel.file("empty", 4)
    task.touch(task.mmap(4, one))
    task.write(two, 1, 2)
    assert held(kernel) == {"one": [0, 1, 2, 3], "two": [1, 2]}
    assert (one.placement(), two.placement(), empty.placement()) == ([0] * 4, [None, 0, 0, None], [None] * 4)
    task.touch(task.mmap(4, two), write=True)  # copies of one's own are not the file's
    assert held(kernel)["two"] == [0, 1, 2, 3]
    assert kernel.frames().query("file == ''")["owner"].value_counts()["job"] == 7


def test_files_of_one_name_are_told_apart():
    kernel = boot(frames=128)
    task = kernel.spawn("a")
    first, second = kernel.file("data", 2), kernel.file("data", 3)
    for file in (first, second):
        task.touch(task.mmap(file.pages, file))
    for _ in range(2):  # shared anonymous memory is a file without a name of its own
        task.touch(task.mmap(1, shared=True), write=True)
    assert (first.label, second.name) == ("data", "data")
    assert {name: len(pages) for name, pages in held(kernel).items()} == {
        first.label: 2, second.label: 3, "/dev/zero": 1, "/dev/zero (file 5)": 1,
    }  # fmt: skip


def test_cached_pages_that_nobody_maps_stay_the_files():
    kernel = boot(frames=128)
    reader = kernel.spawn("reader", node=1)
    data = kernel.file("data", 5)
    reader.touch(reader.mmap(5, data))
    reader.exit()
    assert kernel.residency()["page cache"].tolist() == [0, 5]
    assert (held(kernel), data.placement()) == ({"data": [0, 1, 2, 3, 4]}, [1] * 5)
    assert kernel.reclaim(2) == 2
    assert data.placement().count(None) == 2


def test_tmpfs_in_the_swap_cache_and_on_swap():
    kernel = boot(frames=128, patches=(1, 3, 5))
    task = kernel.spawn("a")
    shared = kernel.file("shared", 4, fs="tmpfs")
    heap = task.mmap(4, shared, shared=True)
    task.write(shared)
    task.touch(heap)
    task.migrate_pages(0, 0, 1)  # dirty pages go through the swap cache, where they stay
    assert kernel.frames().query("file == 'shared'")["state"].tolist() == ["swap cache"] * 4
    assert held(kernel) == {"shared": [0, 1, 2, 3]}
    assert shared.placement() == [1] * 4
    kernel.reclaim(4)
    assert (shared.placement(), held(kernel)) == ([None] * 4, {})
    task.touch(heap)
    assert len(held(kernel)["shared"]) == 4


def test_files_move_with_a_migration():
    kernel = boot(frames=128)
    task = kernel.spawn("a")
    data = kernel.file("data", 4)
    task.touch(task.mmap(4, data, shared=True))
    task.migrate_pages(0, 0, 1)
    assert data.placement() == [1] * 4
    assert task.placement() == [None] * 4  # mapped again by the next touch


def test_the_lab_exports_it():
    def build():
        kernel = Kernel(Topology.uniform(nodes=2, frames=64))
        task = kernel.spawn("a")
        task.touch(task.mmap(4, kernel.file("data", 4)))
        return kernel

    lab = MigrationLab(build, new=1)
    for step in (0, lab.steps):
        assert lab.export("frames", step).count(",data\n") == 4
    pfn = int(lab.recording.frames(0).query("file == 'data'").index[2])
    assert f"page {lab.recording.frames(0).loc[pfn, 'index']} of file data" in lab._scenes[0].describe(0, pfn)
