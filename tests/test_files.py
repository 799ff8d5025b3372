"""File pages: page cache, write(2), buffers, each file system under each patch set, tmpfs, and who shares what."""

import pytest
from machines import boot, frames_of, paths, settle, slots, states, writer

from mmsim import Faults, Kernel, Policy, Topology
from mmsim.mm import aops, page_io, shmem
from mmsim.mm.structs import PTE_YOUNG, PG_locked

N = 6
BUFFERED = ["ext2", "ext3", "ext3-journalled", "xfs", "xfs-meta", "reiserfs"]
PLAIN = ["nfs", "tmpfs"]
COMMIT = 6 * 10**9  # after that long a journal has let its buffers go


def opened(kernel, fs="ext3", name="task", shared=False, pages=N, **options):
    """A task with a mapping of a new file: (task, file, mapping)."""
    task = kernel.spawn(name)
    file = kernel.file("file", pages, fs=fs)
    return task, file, task.mmap(pages, file, shared=shared, **options)


def cached(kernel, file):
    """The page cache pages of a file: a table like kernel.frames()."""
    mapping = kernel.tables["mapping"][file._number]
    rows = kernel.tables["file_page"][mapping["base"] : mapping["base"] + mapping["pages"]]
    return kernel.frames().loc[rows["pfn"][rows["pfn"] > 0]]


def flags(table, name):
    """How many rows have a flag."""
    return int(table["flags"].str.split().apply(lambda words: name in words).sum())


def move(kernel, task, old=0, new=1):
    root = kernel.spawn("root", uid=0)
    result = root.migrate_pages(task.pid, old, new)
    root.exit()
    return result


# -- page cache and faults


def test_reading_a_mapping_fills_the_page_cache():
    kernel = boot()
    task, file, mapping = opened(kernel)
    assert task.touch(mapping) == Faults(0, N, 0, 0)
    assert kernel.vmstat()["file_read"] == N
    assert len(cached(kernel, file)) == N
    assert flags(cached(kernel, file), "mappedtodisk") == N
    settle(kernel)
    assert flags(cached(kernel, file), "active") == 0  # page cache starts on the inactive list
    other = kernel.spawn("other", node=1)
    again = other.mmap(N, file)
    assert other.touch(again) == Faults(N, 0, 0, 0)
    assert frames_of(other) == frames_of(task)
    assert other.placement() == [0] * N


def test_the_page_cache_outlives_its_tasks():
    kernel = boot()
    task, file, mapping = opened(kernel)
    task.touch(mapping)
    task.exit()
    assert len(cached(kernel, file)) == N
    assert set(cached(kernel, file)["mapcount"]) == {0}
    later = kernel.spawn("later")
    assert later.touch(later.mmap(N, file)).minor == N


def test_offsets_into_a_file():
    kernel = boot()
    task, file, mapping = opened(kernel)
    task.touch(mapping[4:])
    tail = task.mmap(2, file, offset=4)
    assert task.touch(tail) == Faults(2, 0, 0, 0)
    assert frames_of(task, tail) == frames_of(task, mapping[4:])
    assert set(task.pages(tail)["mapcount"]) == {2}


def test_a_private_write_copies_in_the_same_fault():
    kernel = boot()
    task, file, mapping = opened(kernel)
    assert task.touch(mapping[:2], write=True) == Faults(0, 2, 0, 0)
    assert not set(frames_of(task)) & set(cached(kernel, file).index)
    assert set(cached(kernel, file)["mapcount"]) == {0}
    reader = kernel.spawn("reader")
    own = reader.mmap(N, file)
    assert reader.touch(own[:2]) == Faults(2, 0, 0, 0)  # the file is as it was
    assert kernel.vmstat()["stale_reads"] == 0


def test_a_private_write_after_a_read_copies():
    kernel = boot()
    task, file, mapping = opened(kernel)
    task.touch(mapping)
    assert task.touch(mapping, write=True) == Faults(0, 0, 0, N)
    assert not set(frames_of(task)) & set(cached(kernel, file).index)


def test_a_shared_write_goes_to_everyone():
    kernel = boot()
    task, file, mapping = opened(kernel, shared=True)
    other = kernel.spawn("other")
    private = other.mmap(N, file)
    other.touch(private)
    assert task.touch(mapping, write=True) == Faults(N, 0, 0, 0)
    assert other.touch(private) == Faults(0, 0, 0, 0)
    assert frames_of(other) == frames_of(task)
    assert flags(cached(kernel, file), "dirty") == 0  # only the ptes are, until they are unmapped
    task.munmap(mapping)
    assert flags(cached(kernel, file), "dirty") == N


def test_private_copies_are_anonymous_and_go_to_swap():
    kernel = boot()
    task, _file, mapping = opened(kernel)
    task.touch(mapping, write=True)
    assert kernel.reclaim(2 * N) == 2 * N  # the copies, and the originals in the page cache
    assert states(task, mapping) == {"swap": N}
    assert kernel.vmstat()["swap_write"] == N
    assert kernel.vmstat()["file_write"] == 0
    task.touch(mapping)
    assert kernel.vmstat()["stale_reads"] == 0


# -- write(2) and buffers


@pytest.mark.parametrize("fs", BUFFERED + PLAIN)
def test_write_makes_pages_and_buffers_dirty(fs):
    kernel = boot()
    task = kernel.spawn("a")
    file = kernel.file("f", N, fs=fs)
    task.write(file, first=1, pages=3)
    table = cached(kernel, file)
    assert len(table) == flags(table, "dirty") == flags(table, "uptodate") == 3
    assert flags(table, "private") == (3 if fs in BUFFERED else 0)
    settle(kernel)
    assert set(cached(kernel, file)["count"]) == {2 if fs in BUFFERED else 1}
    assert kernel.vmstat()["file_read"] == 0  # whole pages are not read first


@pytest.mark.parametrize("fs", BUFFERED + PLAIN)
def test_reading_attaches_no_buffers(fs):
    kernel = boot()
    task, file, mapping = opened(kernel, fs)
    task.touch(mapping)
    assert flags(cached(kernel, file), "private") == 0


def test_what_was_written_is_read():
    kernel = boot()
    task, file, mapping = opened(kernel)
    task.write(file)
    task.touch(mapping)
    task.write(file, 2, 2)
    task.touch(mapping)
    kernel.reclaim(N)
    assert len(cached(kernel, file)) == 0
    task.touch(mapping)
    assert kernel.vmstat()["stale_reads"] == 0


def test_written_buffers_can_be_dropped_dirty_ones_not():
    kernel = boot(patches=0)
    task = kernel.spawn("a")
    file = kernel.file("f", N)
    task.write(file)
    assert kernel.reclaim(N) == N  # written, then the buffers are clean and go
    assert kernel.vmstat()["file_write"] == N


# -- migration of clean pages: every file system that does not refuse


@pytest.mark.parametrize("machine", [{"patches": 7}, {"release": "2.6.18"}, {"release": "6.1"}], ids=str)
def test_what_has_failed_for_good_is_looked_at_again_by_the_next_call(machine):
    kernel = boot(**machine)
    task, _file, mapping = opened(kernel, "xfs-meta")
    task.touch(mapping)
    for _ in range(2):
        move(kernel, task)
        assert paths(kernel) == {"failed for good": N}


@pytest.mark.parametrize("fs", BUFFERED + PLAIN)
@pytest.mark.parametrize("patches", [(1, 3, 5), 5, 7])
def test_clean_mapped_pages(fs, patches):
    kernel = boot(patches=patches)
    task, _file, mapping = opened(kernel, fs)
    if fs == "tmpfs":  # a hole that was read
        task.touch(mapping)
    task.touch(mapping)
    refused = fs == "xfs-meta" and patches == 7
    assert move(kernel, task) == (N if refused else 0)
    assert paths(kernel) == {"failed for good" if refused else "direct": N}
    if refused:
        assert set(kernel.last.pages["error"]) == {"-EIO"}
        assert set(kernel.last.pages["reason"]) == {"the file system refuses to move it"}
    assert states(task, mapping) == ({"present": N} if refused else {"none": N})
    assert task.touch(mapping).minor == (0 if refused else N)
    assert set(task.placement(mapping)) == {0 if refused else 1}
    assert (kernel.vmstat()["file_write"], kernel.vmstat()["swap_write"]) == (0, 0)


# -- migration of dirty pages: who moves without writing, who writes, who refuses

# by write(2): {patch set: path}
DIRECT, WRITTEN, BUFFERS = "direct", "direct after writeout", "direct with buffers"
EVICTED, FAILED, STAYS = "swapped out", "failed for good", "retries exhausted"
DIRTY = {
    # fs: (baseline, default path (1, 3, 5), with methods (1 to 7))
    "ext2": (EVICTED, WRITTEN, BUFFERS),
    "ext3": (EVICTED, WRITTEN, BUFFERS),
    "ext3-journalled": (STAYS, STAYS, STAYS),
    "xfs": (EVICTED, WRITTEN, BUFFERS),
    "xfs-meta": (EVICTED, WRITTEN, FAILED),
    "nfs": (EVICTED, WRITTEN, WRITTEN),
    "reiserfs": (EVICTED, WRITTEN, WRITTEN),
    "tmpfs": (EVICTED, WRITTEN, DIRECT),
}


def dirty(kernel, fs, by):
    """Pages of a file that are dirty, mapped and young: (task, file, mapping)."""
    task, file, mapping = opened(kernel, fs, shared=True)
    if by == "write":
        task.write(file)
        task.touch(mapping)
    else:
        task.touch(mapping, write=True)
    return task, file, mapping


@pytest.mark.parametrize("fs", DIRTY)
@pytest.mark.parametrize(("column", "patches"), [(0, 0), (1, (1, 3, 5)), (2, 7)])
def test_pages_that_write_has_dirtied(fs, column, patches):
    path = DIRTY[fs][column]
    kernel = boot(patches=patches)
    task, _file, mapping = dirty(kernel, fs, "write")
    left = move(kernel, task)
    assert paths(kernel) == {path: N}
    assert left == (N if path in (FAILED, STAYS) else 0)
    writes = kernel.vmstat()["swap_write" if fs == "tmpfs" else "file_write"]
    assert writes == (0 if path in (DIRECT, BUFFERS, FAILED) else N)
    task.touch(mapping)
    assert kernel.vmstat()["stale_reads"] == 0
    assert set(task.placement(mapping)) == {0 if path in (FAILED, STAYS, EVICTED) else 1}


@pytest.mark.parametrize("fs", ["ext2", "ext3", "xfs"])
def test_buffers_go_along_with_their_page(fs):
    kernel = boot()
    task, file, _mapping = dirty(kernel, fs, "write")
    move(kernel, task)
    table = cached(kernel, file)
    assert set(table["node"]) == {1}
    assert flags(table, "private") == flags(table, "dirty") == N  # still to be written
    settle(kernel)
    assert set(cached(kernel, file)["count"]) == {2}
    assert kernel.reclaim(N, node=1) == N
    assert kernel.vmstat()["file_write"] == N


@pytest.mark.parametrize("fs", ["ext2", "ext3", "xfs"])
def test_clean_buffers_go_along_too(fs):
    kernel = boot()
    task, file, _mapping = dirty(kernel, fs, "write")
    for pfn in cached(kernel, file).index:  # written out, the buffers are still there
        kernel.k.mem_map[pfn].flags |= PG_locked
        kernel.call(aops.writepage, int(pfn), file._number)
    kernel.wait(10**9)
    before = kernel.vmstat()["file_write"]
    move(kernel, task)
    assert paths(kernel) == {BUFFERS: N}
    assert kernel.vmstat()["file_write"] == before


@pytest.mark.parametrize("fs", [fs for fs in DIRTY if fs not in ("tmpfs", "xfs-meta")])
@pytest.mark.parametrize("patches", [(1, 3, 5), 7])
def test_pages_that_a_mapping_has_dirtied_move_unwritten(fs, patches):
    """2.6.14 does not know that they are dirty until they are unmapped, and then there is no way back."""
    kernel = boot(patches=patches)
    task, file, mapping = dirty(kernel, fs, "mapping")
    assert move(kernel, task) == 0
    assert paths(kernel) == {DIRECT: N}
    assert kernel.vmstat()["file_write"] == 0
    assert flags(cached(kernel, file), "dirty") == N
    kernel.reclaim(N, node=1)
    task.touch(mapping)
    assert kernel.vmstat()["file_write"] == N
    assert kernel.vmstat()["stale_reads"] == 0


def test_the_baseline_evicts_pages_that_a_mapping_has_dirtied():
    kernel = boot(patches=0)
    task, _file, _mapping = dirty(kernel, "ext3", "mapping")
    assert move(kernel, task) == 0
    assert paths(kernel) == {EVICTED: N}
    assert kernel.vmstat()["file_write"] == N


def test_a_journal_lets_its_buffers_go_at_last():
    for patches, path in ((0, EVICTED), ((1, 3, 5), WRITTEN), (7, WRITTEN)):
        kernel = boot(patches=patches)
        task, _file, mapping = dirty(kernel, "ext3-journalled", "write")
        assert move(kernel, task) == N
        kernel.wait(COMMIT)
        task.touch(mapping)
        assert move(kernel, task) == 0
        assert paths(kernel) == {path if patches == 0 else DIRECT: N}  # they were written the first time


def test_falling_back_to_swap_page_from_pass_3_on():
    """Buffers that cannot be dropped: from the fourth pass on migration would rather evict the page."""
    kernel = boot()
    task, _file, mapping = dirty(kernel, "ext3-journalled", "write")
    (first, *_) = frames_of(task, mapping)
    move(kernel, task)
    events = kernel.events()
    events = events[events["page"] == first]
    tried = events[events["text"].str.contains("fall back to swapping it out")]
    assert tried["pass"].tolist() == list(range(3, 11))
    assert paths(kernel) == {STAYS: N}  # swap_page() cannot drop them either
    assert states(task, mapping) == {"none": N}  # but it has unmapped the page


def test_pinned_file_pages_stay():
    kernel = boot()
    task, _file, mapping = dirty(kernel, "ext3", "write")
    kernel.pin(task, mapping[:2])
    assert move(kernel, task) == 2
    assert paths(kernel) == {BUFFERS: N - 2, STAYS: 2}


@pytest.mark.parametrize("patches", [0, (1, 3, 5), 7])
def test_unmapped_page_cache_moves_by_frame(patches):
    kernel = boot(patches=patches)
    task = kernel.spawn("a")
    file = kernel.file("f", N)
    task.write(file)
    kernel.migrate(cached(kernel, file).index, to=1)
    assert paths(kernel) == {{0: EVICTED, 7: BUFFERS}.get(patches, WRITTEN): N}
    assert len(cached(kernel, file)) == (0 if patches == 0 else N)


# -- tmpfs


@pytest.mark.parametrize("name", ["tmpfs", None])
def test_tmpfs_goes_to_the_swap_cache_to_swap_and_back(name):
    kernel = boot()
    task = kernel.spawn("a")
    file = kernel.file("f", N, fs="tmpfs") if name else None
    mapping = task.mmap(N, file, shared=True)
    assert task.touch(mapping, write=True) == Faults(N, 0, 0, 0)
    assert kernel.frames().loc[frames_of(task)]["flags"].str.contains("uptodate").all()
    assert kernel.reclaim(N) == N
    assert states(task, mapping) == {"none": N}
    assert slots(kernel) == kernel.vmstat()["swap_write"] == N
    assert (kernel.tables["file_page"]["entry"] > 0).sum() == N
    assert task.touch(mapping) == Faults(0, N, 0, 0)
    assert slots(kernel) == 0
    assert (kernel.tables["file_page"]["entry"] > 0).sum() == 0
    assert kernel.vmstat()["stale_reads"] == 0
    settle(kernel)
    assert kernel.frames().loc[frames_of(task)]["flags"].str.contains("dirty").all()


def test_moving_to_the_swap_cache_starts_no_io():
    kernel = boot()
    task, file, mapping = dirty(kernel, "tmpfs", "mapping")
    (pfn,) = frames_of(task, mapping[0])
    page = kernel.k.mem_map[pfn]
    kernel.k.pte[kernel._vma(task, mapping.start)["pte_base"] + mapping.start].flags &= ~PTE_YOUNG
    page.flags |= PG_locked
    answer = kernel.call(aops.writepage, pfn, file._number)
    assert answer == aops.PAGE_SUCCESS
    frame = kernel.frames().loc[pfn]
    assert {"swapcache", "dirty"} <= set(frame["flags"].split())
    assert "writeback" not in frame["flags"]
    assert kernel.vmstat()["swap_write"] == 0
    assert kernel.tables["swap_map"][frame["entry"]] == 2  # the cache and the note
    assert task.touch(mapping[0]) == Faults(1, 0, 0, 0)
    assert frames_of(task, mapping[0]) == [pfn]


def test_tmpfs_without_a_free_slot_stays():
    kernel = boot(swap_slots=2)
    task, _file, mapping = dirty(kernel, "tmpfs", "mapping")
    assert kernel.reclaim(N) == 2
    assert states(task, mapping)["none"] >= 2
    task.touch(mapping)
    assert kernel.vmstat()["stale_reads"] == 0


def test_tmpfs_without_a_free_slot_cannot_migrate_when_dirty():
    kernel = boot(swap_slots=2)
    task, _file, mapping = dirty(kernel, "tmpfs", "write")
    assert move(kernel, task) == N - 2
    assert paths(kernel) == {DIRECT: 2, STAYS: N - 2}
    assert set(kernel.last.stayed["reason"]) == {"no free swap slot"}
    task.touch(mapping)
    assert kernel.vmstat()["stale_reads"] == 0


def test_dirty_tmpfs_is_migrated_inside_the_swap_cache():
    kernel = boot()
    task, file, mapping = dirty(kernel, "tmpfs", "write")
    move(kernel, task)
    assert kernel.last.passes == 3  # the young pte, the move to the swap cache, the move to the other node
    assert slots(kernel) == N
    assert len(cached(kernel, file)) == 0
    assert task.touch(mapping) == Faults(N, 0, 0, 0)
    assert slots(kernel) == 0
    assert task.placement(mapping) == [1] * N


def test_a_page_that_is_still_being_written_returns_when_the_write_has_ended():
    """Else its frame could be freed, and used again, while the device still reads it."""
    kernel = boot()
    task, file, mapping = dirty(kernel, "tmpfs", "write")
    (pfn,) = frames_of(task, mapping[1])
    task.munmap(mapping)
    page = kernel.k.mem_map[pfn]
    page.flags |= PG_locked
    kernel.call(write_out, pfn)
    assert "writeback" in kernel.frames().loc[pfn, "flags"]
    again = task.mmap(N, file, shared=True)
    begin = kernel.clock
    task.touch(again[1])
    assert kernel.clock - begin >= kernel.costs.swap_write
    assert frames_of(task, again[1]) == [pfn]
    assert "writeback" not in kernel.frames().loc[pfn, "flags"]


def write_out(k, pfn):
    """Both steps of reclaim at once: to the swap cache, and from there to the device."""
    assert shmem.shmem_writepage(k, pfn)
    page_io.swap_writepage(k, pfn)
    k.mem_map[pfn].flags &= ~PG_locked


def test_a_nameless_file_goes_with_its_last_mapping():
    kernel = boot()
    parent = kernel.spawn("a")
    heap = parent.mmap(N, shared=True)
    parent.touch(heap, write=True)
    kernel.reclaim(2)
    child = parent.fork()
    parent.munmap(heap)
    assert slots(kernel) == 2
    assert child.touch(range(heap.start, heap.stop)) == Faults(N - 2, 2, 0, 0)  # fork copied no pte of it
    kernel.reclaim(3)
    child.exit()
    assert slots(kernel) == 0
    assert "page cache" not in kernel.residency().columns


def test_a_named_file_stays():
    kernel = boot()
    task, file, _mapping = dirty(kernel, "tmpfs", "mapping")
    kernel.reclaim(2)
    task.exit()
    assert slots(kernel) == 2
    later = kernel.spawn("later")
    again = later.mmap(N, file)
    assert later.touch(again) == Faults(N - 2, 2, 0, 0)
    assert kernel.vmstat()["stale_reads"] == 0


def test_writing_tmpfs_by_write():
    kernel = boot()
    task = kernel.spawn("a")
    file = kernel.file("f", N, fs="tmpfs")
    task.write(file)
    kernel.reclaim(N)
    assert slots(kernel) == N
    task.write(file, 0, 2)
    assert slots(kernel) == N - 2
    task.touch(task.mmap(N, file))
    assert kernel.vmstat()["stale_reads"] == 0


# -- V1's sharing rule


def sharers(shared_writable, others):
    """A file that the job maps, and perhaps others: (kernel, job, mapping)."""
    kernel = boot()
    task = kernel.spawn("job")
    file = kernel.file("f", N)
    mapping = task.mmap(N, file, shared=shared_writable == "mine")
    task.touch(mapping)
    for i in range(others):
        other = kernel.spawn(f"other{i}")
        theirs = other.mmap(N, file, shared=shared_writable == "theirs")
        other.touch(theirs[:2])
    return kernel, task, mapping


@pytest.mark.parametrize(
    ("shared_writable", "others", "moves"),
    [(None, 0, True), (None, 1, False), (None, 3, False), ("mine", 1, True), ("theirs", 1, True)],
)
def test_move_leaves_files_that_others_map_read_only(shared_writable, others, moves):
    kernel, task, _mapping = sharers(shared_writable, others)
    assert move(kernel, task) == 0
    assert paths(kernel) == {"direct" if moves else "not collected": N}
    whom = {1: "other0", 3: "other0, other1 and other2"}.get(others)
    if not moves:  # the file as a whole, also the pages that nobody else has touched
        assert set(kernel.last.pages["reason"]) == {f"its file is mapped by others too: {whom}"}


def test_move_all_takes_them():
    kernel = boot()
    root = kernel.spawn("root", uid=0)
    file = kernel.file("f", N)
    mapping = root.mmap(N, file)
    root.touch(mapping)
    other = kernel.spawn("other")
    other.touch(other.mmap(N, file))
    root.mbind(mapping, Policy.bind(1), move=True)
    assert paths(kernel) == {"not collected": N}
    root.mbind(mapping, Policy.bind(1), move=True, strict=True)  # never collected: no error
    root.mbind(mapping, Policy.bind(1), move_all=True)
    assert paths(kernel) == {"direct": N}


def test_private_copies_of_a_shared_file_are_anonymous_and_move():
    kernel, task, mapping = sharers(None, 1)
    task.touch(mapping[:2], write=True)
    assert move(kernel, task) == 0
    assert paths(kernel) == {"direct": 2, "not collected": N - 2}


def test_two_mappings_of_one_task_are_not_shared():
    kernel = boot()
    task, file, mapping = opened(kernel)
    again = task.mmap(N, file)
    task.touch(mapping)
    task.touch(again)
    assert move(kernel, task) == 0
    assert paths(kernel) == {"direct": N}
    assert task.touch(again) == task.touch(mapping) == Faults(N, 0, 0, 0)
    assert task.placement(again) == [1] * N


def test_a_fork_maps_the_file_too():
    kernel, task, _mapping = sharers(None, 0)
    child = task.fork()
    assert move(kernel, task) == 0
    assert paths(kernel) == {"not collected": N}
    child.exit()
    assert move(kernel, task) == 0
    assert paths(kernel) == {"direct": N}


def test_anonymous_memory_moves_whoever_shares_it():
    kernel = boot()
    task, _heap = writer(kernel, N)
    task.fork()
    assert move(kernel, task) == 0
    assert paths(kernel) == {"direct": N}


def test_a_walk_over_a_file_meets_its_first_mapper_first():
    """As in the real 2.6.16-rc1: the caller's ptes go before the walk ends at the vma that another has locked."""
    k = Kernel(Topology.uniform(2, 64), patches=0)
    a, b = k.spawn("a", uid=0), k.spawn("b", uid=0)
    f = k.file("f", 4, fs="ext2")
    ours, theirs = a.mmap(4, f, shared=True), b.mmap(4, f, shared=True)
    a.touch(ours)
    b.mlock(theirs)
    assert a.migrate_pages(0, 0, 1) == 4
    assert (a.placement(ours), b.placement(theirs)) == ([None] * 4, [0] * 4)
    k.verify()
