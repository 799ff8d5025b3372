"""Memory policies: where new pages come from; and the ways to write a set of nodes."""

import errno

import numpy as np
import pytest
from machines import Checked, boot, drain, expect_error, states
from machines import writer as wrote

from mmsim import Policy, Topology
from mmsim.machine.policy import format_nodes, parse_nodes

# -- node sets


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("0", {0}),
        ("0-1,3", {0, 1, 3}),
        ("2-2", {2}),
        (" 1 , 3 ", {1, 3}),
        ("all", {0, 1, 2, 3, 4}),
        ("!0", {1, 2, 3, 4}),
        ("!1-2,4", {0, 3}),
        ("!all", set()),
        ("!", {0, 1, 2, 3, 4}),
        ("", set()),
        ("none", set()),
        (2, {2}),
        ([0, 3, 3], {0, 3}),
        (range(1, 4), {1, 2, 3}),
        ((), set()),
        ({4}, {4}),
    ],
)
def test_node_sets(text, nodes):
    assert parse_nodes(text, 5) == sum(1 << n for n in nodes)


@pytest.mark.parametrize(
    ("text", "nodes"),
    [("all", {1, 3, 4}), ("+0", {1}), ("+1", {3}), ("+0,2", {1, 4}), ("+0-1", {1, 3}), ("!+0", {0, 2, 3, 4}),
     ("!all", {0, 2}), ("0", {0})],
)  # fmt: skip
def test_relative_sets_count_in_the_allowed_nodes(text, nodes):
    assert parse_nodes(text, 5, allowed=0b11010) == sum(1 << n for n in nodes)


@pytest.mark.parametrize("text", ["5", "0-5", "+3", "-1", 5, [0, 5], -1, "+7"])
def test_nodes_that_do_not_exist(text):
    with pytest.raises((OSError, ValueError), match="here") as caught:
        parse_nodes(text, 5, allowed=0b11010, name="here")
    if isinstance(caught.value, OSError):
        assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize(
    ("text", "error"),
    [("x", ValueError), ("0,", ValueError), ("3-1", ValueError), ("0--1", ValueError), ("1.5", ValueError),
     (1.5, TypeError), (None, TypeError), (["0"], TypeError), (True, TypeError), ([0.0], TypeError)],
)  # fmt: skip
def test_things_that_are_no_node_set(text, error):
    with pytest.raises(error, match="here"):
        parse_nodes(text, 5, name="here")


@pytest.mark.parametrize("mask", [0, 1, 0b1011, 0b1111, 0b100100, 1 << 61, (1 << 62) - 1])
def test_sets_are_written_as_they_are_read(mask):
    assert parse_nodes(format_nodes(mask), 62) == mask


def alike(*sets):
    """Whether these ways to write a node set make one and the same policy."""
    made = [Policy.bind(nodes) for nodes in sets]
    return len(set(made)) == len(set(map(repr, made))) == len(set(map(str, made))) == 1


def test_a_set_is_one_thing_however_it_is_written():
    assert alike(3, {3}, [3, 3], (3,), "3", " 3 ", "3-3", np.int64(3), np.array([3]), range(3, 4))
    assert alike("0-1,3", [3, 1, 0], {0, 1, 3}, "3,0,1", np.array([0, 1, 3]))
    assert alike((), "", "none", [], set())
    assert alike("!0,1", " !0-1", "!1,0")
    assert alike("+0-1", "+1,0")
    assert Policy.preferred({2}) == Policy.preferred(2) == Policy.preferred("2") != Policy.bind(2)
    assert Policy.preferred() == Policy.preferred(()) == Policy("preferred")
    assert not alike("all", "0-3")  # that depends on machine and cpuset
    assert not alike(1, "+1")
    assert (Policy.bind({1, 0}).nodes, str(Policy.bind({1, 0})), str(Policy.bind("!0,1"))) == ((0, 1), "bind:0-1",
                                                                                               "bind:!0-1")  # fmt: skip


@pytest.mark.parametrize("nodes", [0, {0}, "0", "!1-2", "+0", [0]])
def test_what_was_set_is_what_is_got(nodes):
    _, task, heap = newcomer(nodes=3, pages=2)
    task.set_mempolicy(Policy.interleave(nodes))
    task.mbind(heap, Policy.bind(nodes))
    assert task.get_mempolicy() == Policy.interleave(0)
    assert task.get_mempolicy(heap[1]) == Policy.bind(0)


# -- where pages go


def newcomer(nodes, pages, node=0, policy=None, frames=256):
    """A machine, and a task that has touched nothing of its memory yet: (kernel, task, mapping)."""
    kernel = boot(nodes=nodes, frames=frames)
    task = kernel.spawn("a", node=node)
    if policy:
        task.set_mempolicy(policy)
    return kernel, task, task.mmap(pages)


@pytest.mark.parametrize("policy", [Policy.default(), Policy.preferred()])
def test_default_and_preferred_without_a_node_are_where_the_task_runs(policy):
    _, task, heap = newcomer(nodes=3, pages=4, node=2, policy=policy)
    task.touch(heap[:2], write=True)
    task.run_on(1)
    task.touch(heap[2:], write=True)
    assert task.placement(heap) == [2, 2, 1, 1]
    assert task.policy == task.get_mempolicy() == policy


@pytest.mark.parametrize(
    ("policy", "node", "placement"),
    [(Policy.preferred(2), 0, [2, 0]), (Policy.bind("1,3"), 3, [1, 3])],
    ids=["preferred is tried first", "bind takes the lowest node first, wherever the task runs"],
)
def test_a_full_node_is_passed_over(policy, node, placement):
    kernel, task, heap = newcomer(nodes=4, pages=2, node=node, policy=policy, frames=64)
    task.touch(heap[0], write=True)
    drain(kernel, placement[0], 0)
    task.touch(heap[1], write=True)
    assert task.placement(heap) == placement


def test_task_interleave_goes_by_the_place_of_the_page():
    """The record of real kernels agrees: the order of the touches does not count where there is a vma."""
    _, task, heap = newcomer(nodes=4, pages=7, node=2, policy=Policy.interleave("0,1,3"))
    for i in (5, 0, 1, 6, 2, 3, 4):
        task.touch(heap[i], write=True)
    assert task.placement(heap) == [(0, 1, 3)[(heap.start + i) % 3] for i in range(7)]


def test_pages_touched_out_of_order():
    _, task, heap = newcomer(nodes=4, pages=8, node=0, policy=Policy.interleave("0-3"))
    for i in (0, 4, 1, 5):
        task.touch(heap[i], write=True)
    assert [task.placement(heap)[i] for i in (0, 4, 1, 5)] == [0, 0, 1, 1]


def test_page_cache_of_ordinary_files_goes_round_robin_and_each_task_has_its_own_round():
    kernel = boot(nodes=3)
    one, two = (kernel.spawn(name) for name in "ab")
    mappings = []
    for task in (one, two):
        task.set_mempolicy(Policy.interleave("0,2"))
        mappings.append(task.mmap(4, kernel.file(f"of {task.name}", 4)))
    for i in (3, 0, 2, 1):  # the order of the reads counts, not the place
        one.touch(mappings[0][i])
        two.touch(mappings[1][i])
    assert [one.placement(mappings[0])[i] for i in (3, 0, 2, 1)] == [0, 2, 0, 2]
    assert two.placement() == one.placement()


def test_tmpfs_goes_by_the_page_of_the_file_whoever_touches_it():
    kernel = boot(nodes=3)
    file = kernel.file("f", 8, fs="tmpfs")
    task = kernel.spawn("a")
    task.set_mempolicy(Policy.interleave("1-2"))
    task.write(file, 3, 2)
    task.touch(task.mmap(4, file, offset=4, shared=True))
    kernel.spawn("reader").touch(reader := kernel.tasks[-1].mmap(8, file, shared=True))
    assert kernel.tasks[-1].placement(reader)[3:] == [2, 1, 2, 1, 2]


def test_vma_interleave_goes_by_offset():
    _, task, heap = newcomer(nodes=3, pages=9, node=1)
    task.mbind(heap, Policy.interleave("0,2"))
    for i in (8, 3, 1, 2, 7, 0, 4, 6, 5):
        task.touch(heap[i], write=True)
    start = heap.start % 2  # an anonymous vma counts from address 0
    assert task.placement(heap) == [(0, 2)[(start + i) % 2] for i in range(9)]


def test_vma_interleave_of_a_file_goes_by_its_pages():
    kernel = boot(nodes=3)
    task = kernel.spawn("a")
    mapping = task.mmap(4, kernel.file("f", 10, fs="tmpfs"), offset=5, shared=True)
    task.mbind(mapping, Policy.interleave("all"))
    task.touch(mapping, write=True)
    assert task.placement(mapping) == [n % 3 for n in range(5, 9)]


def test_the_policy_of_the_vma_goes_before_that_of_the_task():
    _, task, heap = newcomer(nodes=4, pages=6, policy=Policy.bind(1))
    task.mbind(heap[2:4], Policy.preferred(3))
    task.touch(heap, write=True)
    assert task.placement(heap) == [1, 1, 3, 3, 1, 1]
    assert task.get_mempolicy(heap[2]) == Policy.preferred(3)
    assert task.get_mempolicy() == Policy.bind((1,))
    assert task.get_mempolicy(heap[1]) == Policy.default()  # of an address get_mempolicy(2) asks mbind's alone
    assert all("bind:1" in task.numa_maps().splitlines()[i] for i in (0, 2))  # numa_maps asks who governs it
    task.mbind(heap, Policy.default())
    assert task.get_mempolicy(heap[2]) == Policy.default()


def test_policies_say_where_new_pages_go_not_where_old_ones_are():
    kernel = boot(nodes=2)
    task, heap = wrote(kernel, 4)
    task.mbind(heap, Policy.bind(1))
    task.set_mempolicy(Policy.bind(1))
    assert task.placement(heap) == [0] * 4


def test_copies_and_pages_from_swap_obey_the_policy_of_now():
    kernel = boot(nodes=2)
    parent, heap = wrote(kernel, 4)
    child = parent.fork()
    child.set_mempolicy(Policy.bind(1))
    child.touch(range(heap.start, heap.start + 2), write=True)
    assert child.placement() == [1, 1, 0, 0]
    parent.exit()
    kernel.reclaim(4)
    child.touch(range(heap.start, heap.stop))
    assert child.placement() == [1] * 4


def test_the_page_cache_obeys_the_policy_of_the_reader():
    kernel, task, _ = newcomer(nodes=3, pages=1, policy=Policy.preferred(2))
    mapping = task.mmap(4, kernel.file("f", 4))
    task.touch(mapping)
    assert task.placement(mapping) == [2] * 4


def test_children_inherit_the_policies():
    _, parent, heap = newcomer(nodes=3, pages=4, policy=Policy.bind(2))
    parent.mbind(heap[:2], Policy.bind(1))
    child = parent.fork()
    child.touch(range(heap.start, heap.stop), write=True)
    assert child.placement() == [1, 1, 2, 2]


def test_a_policy_on_an_untouched_range_splits_and_keeps_it():
    kernel, task, heap = newcomer(nodes=2, pages=10)
    task.mbind(heap[3:6], Policy.bind(1))
    assert (kernel.tables["vma"]["vm_mm"] == task.pid).sum() == 3
    task.touch(heap, write=True)
    assert task.placement(heap) == [0] * 3 + [1] * 3 + [0] * 4
    assert states(task) == {"present": 10}


# -- cpusets limit them all


def confined(mems, node=0):
    kernel, task, heap = newcomer(nodes=4, pages=4, node=node)
    kernel.cpuset("c", mems).attach(task)
    return task, heap


def test_default_spills_to_the_nearest_allowed_node():
    task, heap = confined("2-3")
    task.touch(heap, write=True)
    assert task.placement(heap) == [2] * 4


@pytest.mark.parametrize("policy", [Policy.interleave("0-2"), Policy.bind("0-1"), Policy.preferred(0)])
def test_set_mempolicy_takes_no_node_outside_the_cpuset(policy):
    """The cpuset patches of 3 November 2005; 2.6.25 began to cut the set instead."""
    task, _ = confined("2-3")
    with expect_error("EINVAL", "the cpuset of a allows nodes 2-3 only, not 0"):
        task.set_mempolicy(policy)
    assert task.get_mempolicy() == Policy.default()


def test_a_task_policy_inside_the_cpuset():
    task, heap = confined("2-3")
    task.set_mempolicy(Policy.bind("all"))
    assert task.get_mempolicy() == Policy.bind((2, 3))
    task.set_mempolicy(Policy.interleave("+1"))
    task.touch(heap, write=True)
    assert task.placement(heap) == [3] * 4


@pytest.mark.parametrize(
    ("policy", "nodes"),
    [
        (Policy.preferred(1), {2}),  # the zonelist of node 1, as far as the cpuset allows it
        (Policy.bind((0, 1)), {3}),  # none of its nodes is allowed: as DEFAULT, where the task runs
        (Policy.bind((1, 2)), {2}),
        (Policy.interleave((0, 1, 2, 3)), {2, 3}),
    ],
)
def test_mbind_takes_nodes_outside_the_cpuset_and_allocation_obeys_both(policy, nodes):
    task, heap = confined("2-3", node=3)
    task.mbind(heap, policy)
    assert task.get_mempolicy(heap[0]) == policy
    task.touch(heap, write=True)
    assert set(task.placement(heap)) == nodes


def test_misfits_are_those_of_the_mask_as_it_was_given():
    task, heap = confined("0-1")
    task.touch(heap, write=True)
    task.mbind(heap, Policy.bind("0,3"), move=True, strict=True)  # node 0 is in the mask: nothing to do
    with expect_error("EIO", "strict"):
        task.mbind(heap, Policy.bind("2-3"), strict=True)


def test_interleave_of_a_vma_stays_inside():
    task, heap = confined("1,3")
    task.mbind(heap, Policy.interleave("all"))
    task.touch(heap, write=True)
    assert sorted(set(task.placement(heap))) == [1, 3]


# -- how policies look


def test_policies_read_well():
    assert str(Policy.bind([0, 1, 3])) == "bind:0-1,3"
    assert str(Policy.interleave("all")) == "interleave:all"
    assert str(Policy.preferred(2)) == "preferred:2"
    assert str(Policy.preferred()) == "preferred"
    assert str(Policy.default()) == "default"
    assert Policy.bind(1) == Policy.bind(1)


def test_preferred_with_distance():
    """The fallback of PREFERRED is the zonelist of the preferred node, not that of the task."""
    kernel = Checked(Topology.from_matrix([[10, 20, 30], [20, 10, 11], [30, 11, 10]], frames=64))
    task = kernel.spawn("a", node=0)
    task.set_mempolicy(Policy.preferred(1))
    drain(kernel, 1, 0)
    heap = task.mmap(1)
    task.touch(heap, write=True)
    assert task.placement(heap) == [2]
