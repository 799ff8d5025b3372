"""cpusets: attaching, changing mems, and trigger C, the memory that follows."""

import pytest
from machines import N, boot, drain, expect_refusal, frames_of, paths, slots, states, writer

from mmsim import Config, Policy


@pytest.fixture
def kernel():
    return boot(nodes=4)


def following(kernel, task, mems=0):
    """A cpuset whose memory follows, with the task in it."""
    group = kernel.cpuset("g", mems, memory_migrate=True)
    group.attach(task)
    return group


# -- confinement


def test_a_new_cpuset(kernel):
    group = kernel.cpuset("g", "1-2")
    assert (group.name, group.mems, group.memory_migrate, group.tasks) == ("g", "1-2", False, [])
    assert "g" in repr(group)


def test_attached_tasks_allocate_inside(kernel, task):
    group = kernel.cpuset("g", "2-3")
    group.attach(task)
    more = task.mmap(N)
    task.touch(more, write=True)
    assert task.placement() == [0] * N + [2] * N  # pages stay, only new allocations obey
    assert [t.pid for t in group.tasks] == [task.pid]
    assert task.cpuset.name == "g"
    assert kernel.last.trigger == "cpuset"
    assert len(kernel.last.pages) == 0


def test_children_are_born_inside(kernel, task, heap):
    group = kernel.cpuset("g", 3)
    group.attach(task)
    child = task.fork()
    child.touch(range(heap.start, heap.stop), write=True)
    assert child.placement() == [3] * N
    assert [t.name for t in group.tasks] == [task.name, child.name]
    child.exit()
    assert [t.name for t in group.tasks] == [task.name]


def test_the_root_cpuset_has_everybody_first(kernel, task):
    root = task.cpuset
    assert (root.name, root.mems) == ("root", "0-3")
    assert task in root.tasks
    group = kernel.cpuset("g", 1)
    group.attach(task)
    assert task not in root.tasks
    assert task.cpuset == group != root
    root.attach(task)
    assert task.cpuset.name == "root"
    assert len({task, *root.tasks}) == 1


# -- attach with memory_migrate


@pytest.mark.parametrize(("start", "goal", "node"), [(False, True, 2), (True, False, 0)])
def test_memory_follows_a_task_that_is_attached_if_the_destination_says_so(kernel, task, heap, start, goal, node):
    kernel.cpuset("start", "0-1", memory_migrate=start).attach(task)
    assert task.placement(heap) == [0] * N
    kernel.cpuset("goal", "2-3", memory_migrate=goal).attach(task)
    assert paths(kernel) == ({"direct": N} if goal else {})
    assert task.placement(heap) == [node] * N


@pytest.mark.parametrize(
    ("start", "goal", "placement"),
    [
        ("0-1", "2-3", [2, 3, 2, 3]),  # relative positions are kept
        # From the root all nodes are the old ones, the i-th goes to the (i mod n)-th: 0 to 1, 1 to 3, 2 to 1; every
        # target is itself waiting, so the last pair runs first and its page goes on to 3.
        (None, "1,3", [1, 3, 3, 3]),
    ],
)
def test_the_ith_old_node_goes_to_the_ith_new_one(kernel, start, goal, placement):
    task = kernel.spawn("a")
    heap = task.mmap(4)
    for node in range(4):
        task.run_on(node)
        task.touch(heap[node], write=True)
    if start:
        kernel.cpuset("start", start).attach(task)
    kernel.cpuset("goal", goal, memory_migrate=True).attach(task)
    assert task.placement(heap) == placement


def test_mlocked_memory_does_not_follow(kernel, task, heap):
    task.mlock(heap[:3])
    kernel.cpuset("goal", 2, memory_migrate=True).attach(task)
    assert task.placement(heap) == [0] * 3 + [2] * 5
    assert paths(kernel) == {"direct": 5, "not collected": 3}


# -- mems change


def test_memory_follows_when_mems_change(kernel):
    one, _heap = writer(kernel, N)
    two = one.fork("two")
    mine = two.mmap(3)
    two.touch(mine, write=True)
    group = kernel.cpuset("g", 0, memory_migrate=True)
    for task in (one, two):
        group.attach(task)
    group.mems = 3
    assert group.mems == "3"
    assert one.placement() == [3] * N
    assert two.placement() == [3] * (N + 3)
    assert kernel.last.moved == N + 3
    assert sum(kernel.last.paths) == N + 3  # shared pages moved with the first of the two


def test_without_memory_migrate_pages_stay(kernel, task):
    group = kernel.cpuset("g", 0)
    group.attach(task)
    group.mems = "1"
    more = task.mmap(2)
    task.touch(more, write=True)
    assert task.placement() == [0] * N + [1] * 2


def test_memory_migrate_can_be_switched_on_later(kernel, task, heap):
    group = kernel.cpuset("g", 0)
    group.attach(task)
    group.mems = 1
    group.memory_migrate = True
    group.mems = 2  # the pages are on node 0, which is not among the old nodes now: they stay
    assert task.placement(heap) == [0] * N
    group.mems = 0
    group.mems = 3
    assert task.placement(heap) == [3] * N


def test_mems_that_do_not_change_move_nothing(kernel, task):
    group = kernel.cpuset("g", "0-1", memory_migrate=True)
    group.attach(task)
    group.mems = "0-1"
    assert len(kernel.last.pages) == 0


def test_its_result_is_not_reported(kernel, task, heap):
    kernel.pin(task, heap[:2])
    group = following(kernel, task)
    group.mems = 1  # no exception
    assert (kernel.last.retried, kernel.last.returned) == (2, 0)
    assert task.placement(heap).count(1) == N - 2


def test_allocation_is_allowed_on_the_new_nodes(kernel, task):
    """Whoever writes mems may be confined elsewhere: the pages go where they should."""
    group = following(kernel, task)
    group.mems = "1-2"
    assert set(kernel.last.pages["new_node"]) == {1}


def test_and_on_no_other():
    kernel = boot(nodes=3, frames=64, swap_slots=0)
    task, heap = writer(kernel, N)
    group = following(kernel, task)
    drain(kernel, 1, 4)
    group.mems = 1  # it is full; node 2 has memory, but is not among the new nodes
    assert set(kernel.last.pages["error"]) == {"-ENOMEM"}
    assert kernel.last.returned == 0
    assert task.placement(heap) == [0] * N
    group.mems = "1-2"
    assert kernel.last.trigger == "cpuset"


def test_move_all_takes_pages_that_others_share(kernel):
    task, other = kernel.spawn("a"), kernel.spawn("b")
    file = kernel.file("f", 4)
    mine, theirs = task.mmap(4, file), other.mmap(4, file)
    task.touch(mine)
    other.touch(theirs)
    group = following(kernel, task)
    group.mems = 1
    assert paths(kernel) == {"direct": 4}
    other.touch(theirs)
    assert other.placement() == [1] * 4


@pytest.mark.parametrize(("patches", "path"), [(0, "swapped out"), (4, "swapped out"), (5, "direct after writeout")])
def test_with_fewer_patches(patches, path):
    kernel = boot(patches=patches)
    task, heap = writer(kernel, N)
    group = following(kernel, task)
    group.mems = 1
    assert paths(kernel) == {path: N}
    task.touch(heap)
    assert task.placement(heap) == [1] * N  # even the baseline: read back under the new mems
    assert slots(kernel) in (0, N)


@pytest.mark.parametrize("patches", [0, 7])
def test_without_numa_no_memory_follows(patches):
    kernel = boot(config=Config(numa=False), patches=patches)
    task, heap = writer(kernel, N)
    kernel.cpuset("g", 1, memory_migrate=True).attach(task)
    assert len(kernel.last.pages) == 0
    assert task.placement(heap) == [0] * N


def test_dead_tasks_are_left_alone(kernel, task):
    group = following(kernel, task)
    task.exit()
    group.mems = 1
    assert len(kernel.last.pages) == 0


def test_kernel_threads_are_confined_but_have_no_memory(kernel):
    thread = kernel.spawn("kthread", kernel_thread=True)
    group = kernel.cpuset("g", 1, memory_migrate=True)
    group.attach(thread)
    group.mems = 2
    file = kernel.file("f", 2)
    thread.write(file)
    reader = kernel.spawn("r")
    mapping = reader.mmap(2, file)
    reader.touch(mapping)
    assert reader.placement() == [2, 2]


# -- policies are rebound


def test_policies_keep_their_relative_positions(kernel):
    task = kernel.spawn("a")
    heap = task.mmap(4)
    group = kernel.cpuset("g", "0-1")
    group.attach(task)
    task.set_mempolicy(Policy.interleave("0-1"))
    task.mbind(heap[:2], Policy.bind(1))
    task.mbind(heap[2:], Policy.preferred(0))
    group.mems = "2-3"
    assert task.get_mempolicy() == Policy.interleave((2, 3))
    assert task.get_mempolicy(heap[0]) == Policy.bind((1,))  # those of vmas follow since 2.6.16
    assert task.get_mempolicy(heap[2]) == Policy.preferred(0)
    task.touch(heap, write=True)
    assert task.placement() == [2] * 4  # BIND without an allowed node is DEFAULT; PREFERRED goes next door


def test_the_place_of_a_page_goes_on_counting_when_the_cpuset_changes():
    kernel = boot(nodes=3)
    task = kernel.spawn("a")
    heap = task.mmap(2)
    group = kernel.cpuset("g", "0-1")
    group.attach(task)
    task.set_mempolicy(Policy.interleave("0-1"))
    task.touch(heap[0], write=True)
    group.mems = "1-2"
    task.touch(heap[1], write=True)
    assert task.placement(heap) == [0, 2]


def test_the_round_robin_keeps_its_turn_when_the_cpuset_changes():
    kernel = boot(nodes=3)
    task = kernel.spawn("a")
    mapping = task.mmap(3, kernel.file("f", 3))
    group = kernel.cpuset("g", "0-1")
    group.attach(task)
    task.set_mempolicy(Policy.interleave("0-1"))
    task.touch(mapping[0])
    group.mems = "1-2"
    task.touch(mapping[1:])
    assert task.placement(mapping) == [0, 2, 1]


def test_what_attach_and_mems_return():
    """Pages that stay are not reported: the file cpuset.mems is written, or the task attached, or not."""
    kernel = boot(nodes=2)
    task, heap = writer(kernel, 4)
    kernel.pin(task, heap[0])
    group = kernel.cpuset("g", 1, memory_migrate=True)
    group.attach(task)
    assert (kernel.last.returned, kernel.last.moved, kernel.last.retried) == (0, 3, 1)
    group.mems = 0
    assert (kernel.last.returned, kernel.last.moved) == (0, 3)


@pytest.mark.parametrize("attach", [False, True])
@pytest.mark.parametrize(
    ("mems", "policy", "new", "rebound"),
    [
        ("0-1", Policy.bind("1"), "2-3", Policy.bind((3,))),
        ("0-3", Policy.bind("1,2"), "0-1", Policy.bind((0, 1))),
        ("0-3", Policy.bind("1,2"), "3", Policy.bind((3,))),  # fewer nodes: the set is folded
        ("0-1", Policy.preferred(), "2-3", Policy.preferred()),  # local: nothing to rebind
    ],
)
def test_policies_are_rebound_when_mems_change_and_on_attach(kernel, task, mems, policy, new, rebound, attach):
    group = kernel.cpuset("g", mems)
    group.attach(task)
    task.set_mempolicy(policy)
    if attach:
        kernel.cpuset("goal", new).attach(task)
    else:
        group.mems = new
    assert task.get_mempolicy() == rebound


def test_the_round_robin_goes_on_inside(kernel):
    task = kernel.spawn("a")
    group = kernel.cpuset("g", "0-1")
    group.attach(task)
    task.set_mempolicy(Policy.interleave("0-1"))
    heap = task.mmap(6)
    task.touch(heap[:3], write=True)
    group.mems = "2-3"
    task.touch(heap[3:], write=True)
    assert sorted(task.placement(heap)[3:]) in ([2, 2, 3], [2, 3, 3])


# -- errors


def test_attaching_to_an_empty_cpuset_is_enospc(kernel, task):
    empty = kernel.cpuset("empty", ())
    assert empty.mems == ""
    with expect_refusal(kernel, "ENOSPC", "mems"):
        empty.attach(task)
    empty.mems = 1
    empty.attach(task)


def test_emptying_a_cpuset_with_tasks_is_enospc(kernel, task):
    group = kernel.cpuset("g", 1)
    group.attach(task)
    with expect_refusal(kernel, "ENOSPC", "mems"):
        group.mems = ()
    task.exit()
    group.mems = ()
    assert group.mems == ""


def test_mems_outside_the_parents_are_eacces(kernel):
    parent = kernel.cpuset("parent", "0-1")
    with expect_refusal(kernel, "EACCES", "mems"):
        kernel.cpuset("child", "1-2", parent=parent)
    child = kernel.cpuset("child", "1", parent=parent)
    with expect_refusal(kernel, "EACCES", "mems"):
        child.mems = "2"
    child.mems = "0"


def test_a_parent_keeps_what_its_children_have(kernel):
    parent = kernel.cpuset("parent", "0-2")
    child = kernel.cpuset("child", "1", parent=parent)
    with expect_refusal(kernel, "EBUSY", "child"):
        parent.mems = "0"
    parent.mems = "1"
    assert child.mems == "1"


def test_the_root_has_all_nodes_always(kernel, task):
    with expect_refusal(kernel, "EACCES", "mems"):
        task.cpuset.mems = "0"


@pytest.mark.parametrize("mems", [4, "0-4", [9]])
def test_nodes_that_are_not_there_are_einval(kernel, mems):
    group = kernel.cpuset("g", 0)
    for call in (lambda: kernel.cpuset("h", mems), lambda: setattr(group, "mems", mems)):
        with expect_refusal(kernel, "EINVAL", "mems"):
            call()


def test_dead_tasks_cannot_be_attached(kernel, task):
    task.exit()
    group = kernel.cpuset("g", 0)
    with expect_refusal(kernel, "ESRCH", "task"):
        group.attach(task)


def test_shared_memory_follows_through_its_mapping(kernel):
    task = kernel.spawn("a")
    heap = task.mmap(4, shared=True)
    task.touch(heap, write=True)
    group = following(kernel, task)
    group.mems = 2
    assert states(task, heap) == {"none": 4}
    task.touch(heap)
    assert task.placement(heap) == [2] * 4
    assert len(frames_of(task)) == 4
