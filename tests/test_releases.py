"""Kernels of other years: what each change does, by what can be seen; at both speeds where it lies in the kernel."""

import pytest
from machines import Checked

from mmsim import Config, KernelBug, Policy, Topology

N = 4


@pytest.fixture(params=[False, True], ids=["interpreted", "compiled"])
def boot(request):
    def boot(release, frames=512, **given):
        return Checked(Topology.uniform(nodes=N, frames=frames), release=release, compiled=request.param, **given)

    return boot


def writer(kernel, pages, uid=0, **given):
    task = kernel.spawn("a", uid=uid)
    heap = task.mmap(pages, **given)
    task.touch(heap, write=True)
    return task, heap


def errno_of(call, *args, **given):
    """The name of the errno that a call ends with, or its answer."""
    from mmsim.machine.errors import ERRNO_NAMES

    try:
        return call(*args, **given)
    except OSError as error:
        return ERRNO_NAMES[error.errno]


@pytest.mark.parametrize(("release", "protection"), [("2.6.16", 16), ("2.6.17", 16), ("2.6.18", 0), ("6.12", 0)])
def test_migration_entries_leave_the_pte_as_it_was(boot, release, protection):
    kernel = boot(release)
    task, heap = writer(kernel, 16)
    assert task.migrate_pages(0, 0, 1) == 0
    assert task.placement(heap) == [1] * 16
    assert kernel.k.sys.swap_inuse == 0
    assert (sum(task.touch(heap)), task.touch(heap, write=True).protection) == (0, protection)


def test_migration_entries_are_seen_in_the_trace_and_nowhere_afterwards():
    kernel = Checked(Topology.uniform(nodes=2, frames=64), release="6.1")
    task, _ = writer(kernel, 2)
    task.migrate_pages(0, 0, 1)
    texts = " ".join(kernel.events()["text"])
    assert texts.count("becomes a migration entry") == texts.count("the migration entry of") == 2
    assert set(task.pages()["state"]) == {"present"}


@pytest.mark.parametrize(
    ("release", "answer", "node"), [("2.6.16-rc1", 4, 0), ("2.6.16", 0, 0), ("2.6.17", 0, 0), ("2.6.18", 0, 1)]
)
def test_a_machine_without_swap(boot, release, answer, node):
    kernel = boot(release, swap_slots=0)
    task, heap = writer(kernel, 4)
    assert task.migrate_pages(0, 0, 1) == answer
    assert task.placement(heap) == [node] * 4


def test_mbind_without_swap_is_enodev_in_2_6_16(boot):
    task, heap = writer(boot("2.6.16", config=Config(), swap_slots=0), 4)
    assert errno_of(task.mbind, heap, Policy.bind(1), move=True) == "ENODEV"
    assert task.get_mempolicy(heap) == Policy.default()


@pytest.mark.parametrize(("release", "after"), [("2.6.17", None), ("2.6.18", 1)])
def test_the_ptes_of_files_come_back(boot, release, after):
    kernel = boot(release)
    task = kernel.spawn("a", uid=0)
    data = task.mmap(4, kernel.file("data", 4))
    task.touch(data)
    assert task.migrate_pages(0, 0, 1) == 0
    assert task.placement(data) == [after] * 4
    assert sum(task.touch(data)) == (4 if after is None else 0)


@pytest.mark.parametrize(("release", "moved"), [("2.6.16", 300), ("2.6.18", 300)])
def test_more_pages_than_a_chunk(boot, release, moved):
    kernel = boot(release)
    task, _ = writer(kernel, 300)
    assert task.migrate_pages(0, 0, 1) == 0
    assert kernel.last.moved == moved
    assert kernel.last.paths["direct"] == moved


@pytest.mark.parametrize(("release", "placed"), [("2.6.16", 1), ("6.1", 1)])
def test_root_moves_what_others_map_and_the_owner_does_not(boot, release, placed):
    for uid, node in ((0, placed), (1000, 0)):
        kernel = boot(release)
        task, heap = writer(kernel, 4, uid=uid)
        task.fork("b")
        task.migrate_pages(0, 0, 1)
        assert task.placement(heap) == [node] * 4


def test_a_locked_vma_elsewhere_fails_the_page_in_2_6_16(boot):
    kernel = boot("2.6.16")
    task = kernel.spawn("a", uid=0)
    other = kernel.spawn("b", uid=0)
    data = kernel.file("data", 2)
    mine, theirs = task.mmap(2, data, shared=True), other.mmap(2, data, shared=True)
    task.touch(mine)
    other.mlock(theirs)
    assert task.migrate_pages(0, 0, 1) == 2
    assert set(kernel.last.pages["error"]) == {"EPERM"} or kernel.last.failed == 2


@pytest.mark.parametrize(("release", "node"), [("2.6.20", 0), ("2.6.21", 1)])
def test_locked_memory_moves_since_2_6_21(boot, release, node):
    task, heap = writer(boot(release), 4, locked=True)
    task.migrate_pages(0, 0, 1)
    assert task.placement(heap) == [node] * 4


@pytest.mark.parametrize(("release", "answer"), [("2.6.22", 0), ("2.6.23", "EINVAL"), ("4.15", "EINVAL"), ("4.16", 0)])
def test_an_absent_node_beside_one_that_is_there(boot, release, answer):
    task, _ = writer(boot(release), 4)
    assert errno_of(task.migrate_pages, 0, 0, [1, 9]) == answer


@pytest.mark.parametrize(("release", "nodes"), [("2.6.23", None), ("2.6.24", 1), ("2.6.31", 1), ("2.6.32", None)])
def test_a_heap_that_was_only_read(boot, release, nodes):
    task = boot(release).spawn("a")
    heap = task.mmap(2)
    task.touch(heap)
    task.migrate_pages(0, 0, 1)
    assert task.placement(heap) == [nodes] * 2


@pytest.mark.parametrize(("release", "placed"), [("3.4", [1, 2]), ("3.5", [0, 1])])
def test_what_is_on_a_node_of_both_sets_stays(boot, release, placed):
    task = boot(release).spawn("a")
    heap = task.mmap(2)
    for page, node in enumerate((0, 1)):
        task.run_on(node)
        task.touch(heap[page], write=True)
    assert task.migrate_pages(0, "0-1", "1-3" if release == "3.4" else "0-2") >= 0
    assert task.placement(heap) == placed


@pytest.mark.parametrize(("release", "answer"), [("3.19", 0), ("4.1", "ENOMEM")])
def test_a_full_target(boot, release, answer):
    kernel = boot(release, frames=128, swap_slots=0)
    other = kernel.spawn("b", node=1)
    other.touch(other.mmap(115), write=True)
    task, _ = writer(kernel, 40)
    assert errno_of(task.migrate_pages, 0, 0, 1) == answer


def test_one_mbind_over_two_parts_of_a_file_in_the_wrong_order():
    for release, bug in (("2.6.23", True), ("2.6.24", False)):
        kernel = Checked(Topology.uniform(nodes=2, frames=128), release=release)
        task = kernel.spawn("a", uid=0)
        data = kernel.file("data", 8)
        first, second = task.mmap(4, data, shared=True), task.mmap(4, data, offset=4, shared=True)
        both = range(first.start, second.stop)
        task.touch(first)
        task.touch(second)
        if bug:
            with pytest.raises(KernelBug, match="another part of the file"):
                task.mbind(both, Policy.bind(1), move=True)
        else:
            task.mbind(both, Policy.bind(1), move=True)
            assert task.placement(both) == [1] * 8


# -- move_pages(2)


def test_move_pages_comes_with_2_6_18(boot):
    assert errno_of(writer(boot("2.6.17"), 2)[0].move_pages, 0, []) == "ENOSYS"
    task, heap = writer(boot("2.6.18"), 4)
    assert task.move_pages(0, heap) == [0] * 4
    assert task.move_pages(0, heap, [0, 1, 2, 3]) == [0, 1, 2, 3]
    assert task.placement(heap) == [0, 1, 2, 3]


@pytest.mark.parametrize(("release", "none", "zero"), [("2.6.18", "-ENOENT", "-ENOENT"), ("4.3", "-EFAULT", "-EFAULT"),
                                                      ("6.12", "-ENOENT", "-EFAULT")])  # fmt: skip
def test_what_move_pages_says_where_no_page_is(boot, release, none, zero):
    task = boot(release).spawn("a")
    heap = task.mmap(3)
    task.touch(heap[0], write=True)
    task.touch(heap[1])
    assert task.move_pages(0, heap) == [0, zero, none]
    assert task.move_pages(0, [heap.stop + 5]) == ["-EFAULT"]


def test_a_page_that_is_named_many_times_moves_as_often(boot):
    """In order, each to its node; the machine once had no more records than pages, and said -EBUSY."""
    kernel = boot("6.12")
    task, heap = writer(kernel, 1)
    assert task.move_pages(0, [heap.start] * 10, [1, 0] * 5) == [1, 0] * 5
    assert kernel.vmstat()["migrated"] == 10
    assert kernel.last.pages["new_node"].tolist() == [0]


@pytest.mark.parametrize(("release", "answer"), [("2.6.18", "ENOENT"), ("2.6.28", [1, 1])])
def test_move_pages_with_nothing_to_do(boot, release, answer):
    task, heap = writer(boot(release), 2)
    task.migrate_pages(0, 0, 1)
    assert errno_of(task.move_pages, 0, heap, 1) == answer


@pytest.mark.parametrize(("release", "statuses", "returned"), [("4.16", [1, "-EAGAIN", 1], 0), ("4.17", None, 1)])
def test_a_pinned_page_among_others(boot, release, statuses, returned):
    kernel = boot(release)
    task, heap = writer(kernel, 3)
    kernel.pin(task, heap[1])
    told = task.move_pages(0, heap, 1)
    assert told == (statuses or [None] * 3)
    assert kernel.last.returned == returned
    assert task.placement(heap) == [1, 0, 1]


def test_an_error_in_the_middle_leaves_the_first_part_moved(boot):
    for release, moved in (("4.16", [0, 0, 0]), ("4.17", [1, 0, 0])):
        task, heap = writer(boot(release), 3)
        with pytest.raises(OSError, match="does not have all") as error:
            task.move_pages(0, heap, [1, 9, 1])
        assert task.placement(heap) == moved
        assert error.value.status == [node if node else None for node in moved]


def test_what_others_map_takes_all(boot):
    task, heap = writer(boot("6.1"), 2)
    task.fork("b")
    assert task.move_pages(0, heap, 1) == ["-EACCES"] * 2
    assert task.move_pages(0, heap, 1, all=True) == [1, 1]
    user, _ = writer(boot("6.1"), 2, uid=1000)
    assert errno_of(user.move_pages, 0, [], 1, all=True) == "EPERM"


# -- policies


def test_static_and_relative_when_the_cpuset_changes(boot):
    kernel = boot("6.1")
    task = kernel.spawn("a")
    job = kernel.cpuset("job", "0-1")
    job.attach(task)
    told = {}
    for policy in (Policy.bind(1), Policy.bind(1, static=True), Policy.bind(1, relative=True)):
        heap = task.mmap(2)
        task.mbind(heap, policy)
        told[policy] = heap
    job.mems = "1-3"
    where = []
    for heap in told.values():
        task.touch(heap, write=True)
        where.append(task.placement(heap)[0])
    assert where == [2, 1, 2]
    assert [task.get_mempolicy(heap) for heap in told.values()][1:] == list(told)[1:]
    shown = [line.split()[1] for line in task.numa_maps().splitlines()]
    assert shown == ["bind:2", "bind=static:1", "bind=relative:2"]


@pytest.mark.parametrize(("release", "count"), [("2.6.25", 0), ("2.6.26", 1), ("3.8", 2), ("5.15", 3), ("6.9", 4)])
def test_policies_come_one_after_the_other(release, count):
    task = Checked(Topology.uniform(nodes=2, frames=64), release=release).spawn("a")
    asked = {"static": Policy.bind(1, static=True), "local": Policy.local(), "many": Policy.preferred_many([0, 1]),
             "weighted": Policy.weighted_interleave([0, 1])}  # fmt: skip
    for policy, known in zip(asked.values(), range(4), strict=True):
        assert errno_of(task.set_mempolicy, policy) == (None if known < count else "EINVAL")


def test_weighted_interleave_and_preferred_many(boot):
    task = boot("6.12").spawn("a", node=3)
    task.set_mempolicy(Policy.weighted_interleave([1, 2], [3, 1]))
    heap = task.mmap(8)
    task.touch(heap, write=True)
    assert task.placement(heap) == [1, 1, 1, 2] * 2
    task.set_mempolicy(Policy.preferred_many([0, 2]))
    more = task.mmap(4)
    task.touch(more, write=True)
    assert set(task.placement(more)) <= {0, 2}


@pytest.mark.parametrize(("release", "answer"), [("2.6.19", "EINVAL"), ("2.6.20", "EINVAL"), ("2.6.25", None)])
def test_nodes_outside_the_cpuset(release, answer):
    kernel = Checked(Topology.uniform(nodes=N, frames=64), release=release)
    task = kernel.spawn("a")
    kernel.cpuset("job", "0-1").attach(task)
    heap = task.mmap(2)
    task.mbind(heap, Policy.bind("1-2"))
    clipped = release >= "2.6.20"
    assert task.get_mempolicy(heap) == Policy.bind(1 if clipped else "1-2")
    assert errno_of(task.set_mempolicy, Policy.bind("1-2")) == answer


# -- cpusets of the unified hierarchy


@pytest.mark.parametrize(("release", "node"), [("5.14", 0), ("5.15", 2)])
def test_the_unified_hierarchy_takes_memory_along_since_5_15(boot, release, node):
    kernel = boot(release)
    task, heap = writer(kernel, 4)
    job = kernel.cpuset("job", "0-1", unified=True)
    job.attach(task)
    job.mems = "2-3"
    assert task.placement(heap) == [node] * 4


def test_a_child_has_what_its_parent_leaves_it():
    kernel = Checked(Topology.uniform(nodes=N, frames=64), release="6.1")
    above = kernel.cpuset("above", "0-3", unified=True)
    job = kernel.cpuset("job", "2-3", parent=above, unified=True)
    task, heap = writer(kernel, 2)
    job.attach(task)
    above.mems = "0-1"
    assert job.mems == "0-1"
    assert set(task.placement(heap)) <= {0, 1}
    assert errno_of(kernel.cpuset, "v1", "0-1", True, unified=True) == "EINVAL"
    old = Checked(Topology.uniform(nodes=2, frames=64), release="4.17")
    assert errno_of(old.cpuset, "job", 0, unified=True) == "EINVAL"


def test_a_capability_can_be_taken_from_root(boot):
    kernel = boot("6.1")
    task = kernel.spawn("a", uid=0, caps=["-CAP_SYS_NICE"])
    heap = task.mmap(2)
    task.touch(heap, write=True)
    assert errno_of(task.mbind, heap, Policy.bind(1), move_all=True) == "EPERM"


def test_before_2_6_16_nothing_moves(boot):
    task, heap = writer(boot("2.6.14"), 2)
    assert errno_of(task.migrate_pages, 0, 0, 1) == "ENOSYS"
    assert errno_of(task.mbind, heap, Policy.bind(1), move=True) == "EINVAL"
    assert errno_of(task.mbind, heap, Policy.bind(1)) is None


def test_before_swap_migration_a_cpuset_has_no_memory_migrate():
    kernel = Checked(Topology.uniform(nodes=2, frames=64), release="2.6.14")
    assert errno_of(kernel.cpuset, "a", "0-1", memory_migrate=True) == "EINVAL"
    assert errno_of(setattr, kernel.cpuset("a", "0-1"), "memory_migrate", True) == "EACCES"


@pytest.mark.parametrize("release", [None, "6.1"])
def test_a_dirty_page_of_ramfs_that_stays_says_why(release):
    kernel = Checked(Topology.uniform(nodes=2, frames=64), release=release, swap_slots=64)
    task = kernel.spawn("a")
    file = kernel.file("f", 2, "ramfs")
    task.write(file)
    task.touch(task.mmap(2, file))
    task.migrate_pages(0, old=0, new=1)
    assert set(kernel.last.pages["reason"]) == {"it is dirty, and its file system has nowhere to write it"}


COMPACT = [
    "bind=0-1 anon=4 dirty=4 active=0 N0=4", "default", "default file=data mapped=3 active=0 N0=3",
    "prefer=1 anon=1 dirty=1 active=0 N1=1", "interleave=0-1 anon=2 dirty=2 active=0 N0=1 N1=1",
]  # fmt: skip
COLONS = [line.replace("=", ":", 1) if line[0] in "bpi" else line for line in COMPACT]
MAPS = {
    "2.6.14": [
        "bind={0/Normal,1/Normal} MaxRef=1 Pages=4 Mapped=4 Anon=4 N0=4", "default MaxRef=0 Pages=0 Mapped=0",
        "default MaxRef=1 Pages=3 Mapped=3 N0=3", "prefer=1 MaxRef=1 Pages=1 Mapped=1 Anon=1 N1=1",
        "interleave={0,1} MaxRef=1 Pages=2 Mapped=2 Anon=2 N0=1 N1=1"],
    "2.6.16-rc1": [
        "bind=0-1 pages=4 mapped=4 maxref=1 anon=4 N0=4", "default pages=3 mapped=3 maxref=1 N0=3",
        "prefer=1 pages=1 mapped=1 maxref=1 anon=1 N1=1", "interleave=0-1 pages=2 mapped=2 maxref=1 anon=2 N0=1 N1=1"],
    "2.6.16": COMPACT, "2.6.25": COMPACT, "2.6.26": COLONS, "4.0": COLONS,
    "6.1": [f"{line} kernelpagesize_kB=4" if " " in line else line for line in COLONS],
}  # fmt: skip


@pytest.mark.parametrize("release", MAPS)
def test_numa_maps_has_the_form_of_its_kernel(release):
    """The records have lines of 2.6.16-rc1, 2.6.16, 2.6.18, 6.1 and 6.12."""
    kernel = Checked(Topology.uniform(nodes=2, frames=256), release=release)
    task = kernel.spawn("a")
    for policy, pages in ((Policy.bind("0-1"), 4), (None, 2), ("file", 3), (Policy.preferred(1), 1),
                          (Policy.interleave("0-1"), 2)):  # fmt: skip
        area = task.mmap(pages, kernel.file("data", 3) if policy == "file" else None)
        if isinstance(policy, Policy):
            task.mbind(area, policy)
        if policy:
            task.touch(area, write=policy != "file")
    assert [line.partition(" ")[2] for line in task.numa_maps().splitlines()] == MAPS[release]
