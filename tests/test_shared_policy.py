"""The policy of tmpfs and of shared anonymous memory belongs to the object: whoever maps it obeys it."""

import pytest
from machines import boot, expect_error

from mmsim import InvariantError, Kernel, Policy

PAGES = 8


@pytest.fixture(params=[False, True], ids=["interpreted", "compiled"])
def kernel(request):
    return boot(nodes=4, compiled=request.param)


@pytest.fixture
def shared(kernel):
    """A file of tmpfs and two tasks that map it: (file, a, its mapping, b, its mapping)."""
    file = kernel.file("s", PAGES, fs="tmpfs")
    a, b = kernel.spawn("a"), kernel.spawn("b", node=2)
    return file, a, a.mmap(PAGES, file, shared=True), b, b.mmap(PAGES, file, shared=True)


def test_mbind_through_one_mapping_rules_all(shared):
    _, a, ma, b, mb = shared
    a.mbind(ma, Policy.bind(1))
    b.touch(mb, write=True)
    assert b.placement(mb) == [1] * PAGES
    assert b.get_mempolicy(mb[3]) == a.get_mempolicy(ma[3]) == Policy.bind((1,))
    assert [t.numa_maps().split()[1] for t in (a, b)] == ["bind:1", "bind:1"]


def test_it_goes_before_the_policy_of_the_task_and_after_it_the_task_decides(shared):
    _, a, ma, b, mb = shared
    b.set_mempolicy(Policy.bind(3))
    a.mbind(ma[:4], Policy.preferred(1))
    b.touch(mb, write=True)
    assert b.placement(mb) == [1] * 4 + [3] * 4


def test_ranges_are_cut_and_taken_away(shared):
    _, a, ma, b, mb = shared
    a.mbind(ma, Policy.bind(1))
    b.mbind(mb[2:6], Policy.bind(3))
    a.mbind(ma[3:4], Policy.default())
    b.mbind(mb[5:7], Policy.bind(0))
    b.touch(mb, write=True)
    assert b.placement(mb) == [1, 1, 3, 2, 3, 0, 0, 1]
    a.mbind(ma, Policy.default())
    assert all(b.get_mempolicy(mb[i]) == Policy.default() for i in range(PAGES))


def test_a_part_of_a_file_is_bound_by_its_place_in_the_file(shared, kernel):
    file, a, ma, *_ = shared
    c = kernel.spawn("c")
    part = c.mmap(3, file, offset=4, shared=True)
    c.mbind(part, Policy.bind(3))
    a.touch(ma, write=True)
    assert a.placement(ma) == [0] * 4 + [3] * 3 + [0]


def test_interleave_goes_by_the_page_of_the_file(shared):
    _, a, ma, b, mb = shared
    a.mbind(ma, Policy.interleave("1-3"))
    for i in (5, 0, 7, 2):
        b.touch(mb[i], write=True)
    assert [b.placement(mb)[i] for i in (5, 0, 7, 2)] == [3, 1, 2, 3]


def test_write_and_swapping_in_obey_it_too(shared, kernel):
    file, a, ma, b, _ = shared
    a.mbind(ma, Policy.bind(1))
    b.write(file)
    a.touch(ma)
    assert a.placement(ma) == [1] * PAGES
    kernel.reclaim(PAGES)
    a.mbind(ma, Policy.bind(3))
    b.run_on(0)
    a.touch(ma)
    assert a.placement(ma) == [3] * PAGES


def test_shared_anonymous_memory_and_fork(kernel):
    a = kernel.spawn("a")
    heap = a.mmap(PAGES, shared=True)
    child = a.fork()
    child.mbind(range(heap.start, heap.stop), Policy.bind(2))
    a.touch(heap, write=True)
    assert a.placement(heap) == [2] * PAGES


def test_a_file_keeps_its_policy_and_a_nameless_one_takes_it_along(shared, kernel):
    file, a, ma, b, mb = shared
    a.mbind(ma, Policy.bind(1))
    a.exit()
    b.munmap(mb)
    again = b.mmap(PAGES, file, shared=True)
    b.touch(again, write=True)
    assert b.placement(again) == [1] * PAGES
    nameless = b.mmap(PAGES, shared=True)
    b.mbind(nameless, Policy.bind(3))
    b.munmap(nameless)
    assert (kernel.tables["sp_node"]["mode"] != 0).sum() == 1


def test_a_private_mapping_of_ordinary_files_has_its_own(kernel):
    file = kernel.file("f", PAGES)
    a, b = kernel.spawn("a"), kernel.spawn("b")
    ma, mb = a.mmap(PAGES, file), b.mmap(PAGES, file)
    a.mbind(ma, Policy.bind(1))
    for task, mapping, node in ((a, ma, 1), (b, mb, 0)):
        task.touch(mapping, write=True)
        assert task.placement(mapping) == [node] * PAGES


def test_a_cpuset_that_changes_leaves_it_alone(shared, kernel):
    _, a, ma, *_ = shared
    group = kernel.cpuset("g", "0-1")
    group.attach(a)
    a.mbind(ma, Policy.bind(1))
    group.mems = "2-3"
    assert a.get_mempolicy(ma[0]) == Policy.bind((1,))


def test_move_takes_pages_to_where_the_object_allocates(shared):
    _, a, ma, b, mb = shared
    b.touch(mb, write=True)
    a.touch(ma)
    a.mbind(ma, Policy.bind(1), move=True)
    b.touch(mb)
    assert b.placement(mb) == [1] * PAGES


def test_a_snapshot_and_a_file_keep_it(shared, kernel, tmp_path):
    _, a, ma, *_ = shared
    a.mbind(ma[2:5], Policy.bind(1))
    kept = kernel.snapshot()
    a.mbind(ma, Policy.default())
    kernel.restore(kept)
    kernel.save(tmp_path / "m.npz")
    for machine in (kernel, Kernel.load(tmp_path / "m.npz")):
        assert machine.tasks[0].get_mempolicy(ma.start + 3) == Policy.bind((1,))


def test_verify_knows_it(shared, kernel):
    _, a, ma, *_ = shared
    a.mbind(ma[2:5], Policy.bind(1))
    kernel.tables["sp_node"]["end"][1] = PAGES + 1
    with pytest.raises(InvariantError, match="shared policy 1: its range does not fit"):
        kernel.verify()


def test_many_ranges(kernel):
    file = kernel.file("big", 300, fs="tmpfs")
    a = kernel.spawn("a")
    mapping = a.mmap(300, file, shared=True)
    for i in range(0, 300, 2):
        a.mbind(mapping[i], Policy.bind(i % 4))
    a.touch(mapping, write=True)
    assert a.placement(mapping)[::2] == [i % 4 for i in range(0, 300, 2)]
    with expect_error("EINVAL", "no node 9"):
        a.mbind(mapping, Policy.bind(9))
