"""Bad memory: frames that are emptied and taken out of use, and those that cannot be."""

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from machines import Checked, boot, changed, drain, expect_error, frames_of, free, frozen, paths, settle, writer
from test_state_machine import Machine, index, pick

from mmsim import Config, InvariantError, Kernel, OutOfMemory, Topology, plots
from mmsim.mm import mmzone, structs
from mmsim.widgets import MigrationLab
from mmsim.widgets.scene import FREE, OFFLINE

SWAPPED, PINNED, UNLISTED = "swapped out", "retries exhausted", "on no LRU list"


@pytest.fixture
def kernel():
    return boot(nodes=2, frames=128)


def gone(kernel):
    """The frames that are out of use."""
    return kernel.frames().query("state == 'offline'").index.tolist()


def reasons(kernel):
    """Why each frame that stays does: {frame: reason}."""
    return kernel.last.stayed.set_index("old_pfn")["reason"].to_dict()


def fill(kernel, node):
    """Take memory on a node until there is none anywhere: the frames in use then."""
    hog = kernel.spawn("hog", node)
    with pytest.raises(OutOfMemory):
        hog.touch(hog.mmap(2 * sum(kernel.topology.frames)), write=True)
    return frames_of(hog)


# -- where the pages and the frames are afterwards


def test_pages_go_to_other_frames_of_their_node_and_what_they_hold_goes_along(kernel, task, heap):
    bad = frames_of(task)[:3]
    last = kernel.offline(bad)
    assert last is kernel.last
    assert (last.trigger, last.returned, last.moved) == ("offline", 0, 3)
    assert paths(kernel) == {"direct": 3}
    assert gone(kernel) == bad
    assert task.placement(heap) == [0] * 8
    assert not set(frames_of(task)) & set(bad)
    assert last.pages["asked"].eq(0).all()


@pytest.mark.parametrize(
    ("patches", "path"), [(0, SWAPPED), (1, SWAPPED), ((1, 3), "direct after writeout"), (6, "direct"), (7, "direct")]
)
def test_with_each_kernel_a_frame_is_emptied_as_trigger_d_does(patches, path):
    kernel = boot(patches=patches)
    task, heap = writer(kernel, 8)
    bad = frames_of(task)
    assert kernel.offline(bad).paths.to_dict() == {path: 8}
    assert gone(kernel) == bad
    task.touch(heap)  # reads what the task has written, or verify() fails
    assert not set(frames_of(task)) & set(bad)


def test_free_frames_leave_the_free_list_and_have_no_row(kernel):
    before = free(kernel, 1)
    last = kernel.offline(range(200, 210))
    assert (len(last.pages), last.returned, free(kernel, 1)) == (0, 0, before - 10)
    assert gone(kernel) == list(range(200, 210))
    assert kernel.vmstat()["lowest_free_1"] == before - 10


@pytest.mark.parametrize("swap_slots", [3, 100])
def test_a_frame_out_of_use_is_never_handed_out_again(swap_slots):
    kernel = boot(nodes=2, frames=128, swap_slots=swap_slots)
    task, _ = writer(kernel, 8)
    bad = [*frames_of(task)[2:5], *range(40, 60), *range(150, 155)]
    kernel.offline(bad)
    kernel.interrupts(0, 10_000, 20_000)
    filled = fill(kernel, 0)
    assert len(filled) > 128
    assert not set(filled) & set(bad)
    assert gone(kernel) == sorted(bad)


def test_reclaim_and_kswapd_on_a_node_that_has_lost_half_its_frames(kernel):
    file = kernel.file("data", 40)
    task = kernel.spawn("reader")
    cache = task.mmap(40, file)
    task.touch(cache)
    task.munmap(cache)
    kernel.offline(range(64, 128))
    heap = task.mmap(170)
    for i in range(170):  # kswapd runs after each call
        task.touch(heap[i], write=True)
    assert kernel.vmstat()["kswapd"] > 0
    assert kernel.reclaim(10, node=0) == 10
    assert gone(kernel) == list(range(64, 128))


def test_a_whole_node_is_emptied_into_the_next(kernel, task, heap):
    last = kernel.offline(range(1, 128))
    assert (last.returned, last.off_target) == (0, 8)
    assert (free(kernel, 0), task.placement(heap)) == (0, [1] * 8)
    task.touch(task.mmap(4), write=True)  # from a node that has nothing left
    assert kernel.residency().loc[0].to_dict() == {"job": 0, "kernel": 1, "offline": 127, "free": 0}


def test_no_page_moves_to_another_frame_of_the_set(kernel, task, heap):
    """The next free frames of the node, which a migration would take, are bad, too."""
    bad = range(1, 60)
    kernel.offline(bad)
    assert not set(frames_of(task)) & set(bad)
    assert gone(kernel) == list(bad)


def test_the_mark_stays_behind_when_a_page_moves(kernel, task):
    kernel.offline(frames_of(task))
    assert not kernel.frames().loc[frames_of(task), "flags"].str.contains("hwpoison").any()
    assert kernel.frames().loc[gone(kernel), "flags"].eq("hwpoison").all()


def test_page_cache_swap_cache_and_shared_pages(kernel):
    task = kernel.spawn("reader")
    data = task.mmap(4, kernel.file("data", 4), shared=True)
    task.touch(data)
    heap = task.mmap(4)
    task.touch(heap, write=True)
    child = task.fork()
    bad = frames_of(task)
    assert kernel.offline(bad).moved == 8
    assert frames_of(task) == frames_of(child)
    task.munmap(data)
    loose = kernel.frames().query("state == 'page cache'").index
    assert kernel.offline(loose).moved == 4
    task.touch(heap, write=True)
    kernel.patches = kernel.patches - {4}
    kernel.tables["patch"][4] = 0
    kernel.migrate(frames_of(task, heap), to=1)  # without patch 4 they are left in the swap cache
    cached = kernel.frames().query("state == 'swap cache'").index
    assert len(cached) == 4
    kernel.offline(cached)
    assert kernel.last.moved == 4
    assert sorted(gone(kernel)) == sorted({*bad, *loose, *cached})
    task.touch(heap)


def test_pages_that_wait_in_a_pagevec_are_found(kernel):
    task, _ = writer(kernel, 3)  # fewer than a pagevec holds
    assert kernel.offline(frames_of(task)).moved == 3


# -- those that stay


def test_each_frame_that_stays_is_named_with_its_reason(kernel, task, heap):
    kernel.pin(task, heap[0])
    task.mlock(heap[1])
    reserved = task.mmap(1, flags=("reserved",))
    task.touch(reserved, write=True)
    drain(kernel, 0, free(kernel, 0) - 1)
    packet = kernel.frames().query("state == 'kernel'").index[-1]
    pfns = frames_of(task, heap)
    own = frames_of(task, reserved)[0]
    last = kernel.offline([0, packet, own, *pfns])
    assert last.returned == 5
    flagged = "its vma is not migratable ({})"
    assert reasons(kernel) == {
        0: UNLISTED, packet: UNLISTED, own: flagged.format("VM_RESERVED"), pfns[1]: flagged.format("VM_LOCKED"),
        pfns[0]: "pinned: more references than anyone accounts for",
    }  # fmt: skip
    assert gone(kernel) == pfns[2:]
    told = kernel.events().query("function == 'soft_offline_page'")["text"].tolist()
    assert told[0] == "frame 0 is still in use, and stays"
    assert told[-1] == f"frame {pfns[-1]} is empty, and taken out of use"
    assert len(told) == 11


@pytest.mark.parametrize(("release", "moved"), [(None, 0), ("2.6.20", 0), ("2.6.21", 4), ("6.1", 4)])
def test_locked_memory_leaves_bad_frames_since_it_moves_at_all(release, moved):
    """A real 6.1 empties them, whoever has locked the page."""
    kernel = boot(release=release)
    task, heap = writer(kernel, 2)
    task.mlock(heap)
    other = task.mmap(2, kernel.file("f", 2, fs="tmpfs"), shared=True)
    task.touch(other, write=True)
    child = task.fork()
    child.mlock(other)
    child.touch(other)
    bad = frames_of(task)
    assert kernel.offline(bad).moved == moved
    assert gone(kernel) == bad[:moved]
    assert kernel.migrate(frames_of(task), to=1).moved == moved
    assert task.placement() == [1 if moved else 0] * 4


def test_what_stays_in_use_is_ordinary_memory_again(kernel, task, heap):
    kernel.pin(task, heap[0])
    bad = frames_of(task, heap[0])
    kernel.offline(bad)
    assert gone(kernel) == []
    kernel.unpin(task, heap[0])
    task.exit()
    settle(kernel)
    assert kernel.frames().loc[bad, "state"].tolist() == ["free"]


def test_a_second_attempt_empties_what_was_pinned(kernel, task, heap):
    kernel.pin(task, heap[0])
    bad = frames_of(task)
    assert kernel.offline(bad).returned == 1
    kernel.unpin(task, heap[0])
    last = kernel.offline(bad)
    assert (last.returned, len(last.pages)) == (0, 1)
    assert gone(kernel) == bad


def test_what_is_offline_already_is_left_alone(kernel):
    kernel.offline([20, 21])
    before = frozen(kernel)
    last = kernel.offline([20, 21])
    assert (last.returned, len(last.pages)) == (0, 0)
    assert changed(kernel, before) == []


def test_a_page_that_its_owner_gives_up_meanwhile_leaves_an_empty_frame(kernel, task, heap):
    task.mlock(heap[0])
    kernel.hold_lock(task, heap[1], kernel.clock + 10**6)  # the migration sleeps for this lock
    task.munmap(heap[0], at=kernel.clock + 10**5)
    bad = frames_of(task)
    last = kernel.offline(bad)
    assert last.returned == 0
    assert last.pages.loc[0, ["path", "reason", "error"]].tolist() == ["freed from under us", "freed meanwhile", ""]
    assert gone(kernel) == bad


def test_without_memory_for_the_new_pages_nothing_moves():
    kernel = boot(nodes=1, frames=128, swap_slots=0)
    task, _ = writer(kernel, 60)
    bad = frames_of(task)
    rest = kernel.frames().query("state == 'free'").index.tolist()
    last = kernel.offline([*bad, *rest])
    assert last.returned == -structs.ENOMEM
    assert paths(kernel) == {"failed for good": 60}
    assert set(reasons(kernel).values()) == {"no memory for the new pages"}
    assert gone(kernel) == rest


# -- as an object


def test_snapshots_and_files_keep_it(kernel, task, tmp_path):
    before = kernel.snapshot()
    bad = frames_of(task)
    kernel.offline(bad)
    after = kernel.snapshot()
    kernel.restore(before)
    assert gone(kernel) == []
    kernel.restore(after)
    assert gone(kernel) == bad
    kernel.save(tmp_path / "machine.npz")
    loaded = Kernel.load(tmp_path / "machine.npz")
    loaded.verify()
    assert gone(loaded) == bad
    assert loaded.residency().equals(kernel.residency())


def test_residency_has_the_column_only_where_there_are_any(kernel):
    assert "offline" not in kernel.residency()
    kernel.offline([5, 200])
    assert kernel.residency()["offline"].tolist() == [1, 1]
    assert kernel.residency().columns[-2:].tolist() == ["offline", "free"]
    row = kernel.frames().loc[5]
    assert (row["owner"], row["state"], row["flags"], row["count"]) == ("offline", "offline", "hwpoison", 0)


def test_the_figure_shows_them():
    kernel = boot(nodes=2, frames=64)
    before = kernel.residency()
    writer(kernel, 4)
    kernel.offline([20, 21, 100])
    ax = plots.residency(kernel, before)
    assert ax.get_title("left") == "Page frames in use or offline, by node and owner"
    assert "x  offline" in [text.get_text() for text in ax.get_legend().get_texts()]
    assert [bar.get_height() for bar in ax.containers[-1]] == [0, 0, 2, 1]
    assert "offline 2, free 57" in plots.describe(ax)


def test_the_lab_shows_them_as_they_are_at_each_step():
    kernel = Kernel(Topology.ring(nodes=4, frames=64), swap_slots=64)
    task, heap = writer(kernel, 12)
    kernel.pin(task, heap[0])
    kernel.offline([1, 2, 100, 101])  # frame 1 is pinned and stays
    lab = MigrationLab(kernel)
    for step in (0, lab.steps // 2, lab.steps):
        looks = lab.stage.scene.cells(step)[0] & 15
        assert np.flatnonzero(looks == OFFLINE).tolist() == [2, 100, 101]
    scene = lab.stage.scene
    assert (scene.cells(0)[1][2], chr(scene.cells(0)[1][100])) == (ord("x"), "x")
    assert "node 1: 62 free, 2 offline" in scene.label(0)
    assert scene.describe(0, 100) == "frame 100 on node 1: offline; flags hwpoison"
    assert (OFFLINE, "x", "offline") in scene.legend
    assert ",offline,offline," in lab.export("frames")
    assert ">offline<" in lab.static_svg()
    assert "no page yet" in lab._flow.value  # those of the call before are none of its own
    with pytest.raises(ValueError, match="frame 100 is offline; choose a page that a task maps"):
        scene.page_at(0, 100)


def test_a_lab_without_any_does_not_name_them():
    lab = MigrationLab()
    assert "offline" not in lab.static_svg()
    assert "offline" not in repr(lab)
    assert FREE in lab.stage.scene.cells(0)[0]


@pytest.mark.parametrize(
    ("pages", "error", "match"),
    [
        ([256], ValueError, "pages: there is no page frame 256; this machine has 256"),
        ([-1], ValueError, "pages: there is no page frame -1"),
        (3, TypeError, "pages is 3; give page frames"),
        (["a"], TypeError, "pages is .*; give page frames"),
    ],
)
def test_bad_input_changes_nothing(kernel, task, pages, error, match):
    before, last = frozen(kernel), kernel.last
    with expect_error(error, match):
        kernel.offline(pages)
    assert changed(kernel, before) == []
    assert kernel.last is last


def test_an_image_without_the_migration_code_cannot():
    kernel = boot(config=Config(numa=False), nodes=1)
    with expect_error("ENOSYS", "CONFIG_MIGRATION"):
        kernel.offline([1])
    assert gone(kernel) == []


# -- verify() finds what is broken


def put_on_the_free_list(kernel, pfn):
    mmzone.list_add(kernel.k, pfn, mmzone.zone_list(kernel.k, 0, structs.FREE))
    kernel.k.zone[0].free += 1


def count_as_free(kernel, pfn):
    kernel.k.zone[0].free += 1


def refer_to(kernel, pfn):
    kernel.k.mem_map[pfn].count = 1


def mark_in_use(kernel, pfn):
    kernel.k.mem_map[frames_of(kernel.tasks[0])[0]].flags |= structs.PG_hwpoison


def leave_a_mapping(kernel, pfn):
    kernel.k.mem_map[pfn].index = 3
    kernel.k.mem_map[pfn].mapping = -1


def map_it(kernel, pfn):
    task = kernel.tasks[0]
    kernel._pte(task, task._vmas()["vm_start"][0])["value"] = pfn


def flag_it_free(kernel, pfn):
    kernel.k.mem_map[pfn].flags = structs.PG_free


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (put_on_the_free_list, "page 50: its flags and the free list of node 0 disagree"),
        (count_as_free, "node 0: its counts of free"),
        (refer_to, "page 50: is "),
        (mark_in_use, "page 1: is marked as bad memory, but somebody uses it"),
        (leave_a_mapping, "page 50: is out of use, but still says whose it is"),
        (map_it, "mapcount"),
        (flag_it_free, "page 50: its flags and the free list of node 0 disagree"),
    ],
)
def test_verify_names_what_is_wrong(kernel, task, damage, message):
    kernel.offline([50])
    damage(kernel, 50)
    with pytest.raises(InvariantError, match=message):
        kernel.verify()


# -- random machines, and both speeds


class BadMemory(Machine):
    """Frames go bad now and then; those out of use stay so, whatever comes."""

    def gone(self):
        pages = self.kernel.tables["mem_map"]
        return (pages["flags"] < 0) & (pages["count"] == 0)

    def go_bad(self, pfns):
        self.migrate(lambda: self.offline(pfns))

    def offline(self, pfns):
        """Those that were asked for are out of use now, or named."""
        expected = self.gone()
        last = self.kernel.offline(pfns)
        expected[pfns] = True
        expected[last.stayed["old_pfn"]] = False
        assert np.array_equal(self.gone(), expected)
        assert last.returned in (len(last.stayed), -structs.ENOMEM)

    @rule(first=index, size=st.integers(1, 6))
    def neighbours(self, first, size):
        self.go_bad([(first + n) % self.kernel.k.sys.nr_frames for n in range(size)])

    @precondition(lambda self: self.tasks)
    @rule(i=index, first=index)
    def of_a_task(self, i, first):
        pfns = pick(self.tasks, i).pages()["pfn"].dropna().unique().tolist()
        first %= len(pfns) or 1
        self.go_bad(pfns[first : first + 4])

    def go_back(self, kept):
        super().go_back(kept)
        self.bad = self.gone()

    @invariant()
    def for_ever(self):
        if hasattr(self, "kernel"):
            now = self.gone()
            assert now[getattr(self, "bad", now)].all()
            self.bad = now


TestBadMemory = BadMemory.TestCase


def test_compiled_it_does_the_same():
    from test_compiled import BothSpeeds

    for patches in (0, 3, 7):
        kernel = BothSpeeds(Topology.uniform(nodes=2, frames=128), patches=patches)
        task, heap = writer(kernel, 30)
        child = task.fork()
        kernel.pin(task, heap[3:5])
        task.mlock(heap[7])
        assert kernel.offline(range(40)).returned == 4  # the zero page, two pinned, one locked
        task.touch(heap, write=True)
        kernel.reclaim(10)
        child.exit()
        kernel.verify()


def test_half_a_node_and_more():
    kernel = Checked(Topology.uniform(nodes=2, frames=4096))
    writer(kernel, 3000)
    kernel.offline(range(2000, 4000))
    assert kernel.last.moved == 1001
    assert sum(kernel.residency()["offline"]) == 2000
