"""mbind(2) and migrate_pages(2) as system calls: flags, permissions and what they answer."""

import errno
from contextlib import nullcontext

import pytest
from machines import N, boot, changed, drain, expect_error, expect_refusal, frames_of, frozen, paths, slots, writer

from mmsim import Config, Policy

BIND1 = Policy.bind(1)


@pytest.fixture
def kernel():
    return boot()


# -- mbind


def test_move_migrates_what_is_misplaced(kernel, task, heap):
    task.run_on(1)
    more = task.mmap(4)
    task.touch(more, write=True)
    task.mbind(range(heap.start, more.stop), BIND1, move=True)
    assert paths(kernel) == {"direct": N}  # those of `more` were in place
    assert task.placement() == [1] * (N + 4)
    assert kernel.last.trigger == "mbind"


def test_without_move_nothing_moves(kernel, task, heap):
    task.mbind(heap, BIND1)
    assert len(kernel.last.pages) == 0
    assert task.placement(heap) == [0] * N
    assert task.get_mempolicy(heap[0]) == Policy.bind((1,))


def test_strict_alone_refuses_misplaced_pages_and_sets_no_policy(kernel, task, heap):
    with expect_refusal(kernel, "EIO", "strict"):
        task.mbind(heap, BIND1, strict=True)
    assert task.get_mempolicy(heap[0]) == Policy.default()
    task.mbind(heap, Policy.bind(0), strict=True)
    assert task.get_mempolicy(heap[0]) == Policy.bind((0,))


@pytest.mark.parametrize(("patches", "path"), [(7, "direct"), (0, "swapped out")])
def test_strict_and_move_succeed_if_everything_moves_or_is_evicted(patches, path):
    kernel = boot(patches=patches)
    task, heap = writer(kernel, N)
    task.mbind(heap, BIND1, strict=True, move=True)
    assert paths(kernel) == {path: N}
    task.touch(heap)
    assert task.placement(heap) == [1] * N  # evicted pages are read back by the new policy


def reported(strict):
    """What mbind() does with pages that stay: with MPOL_MF_STRICT an error."""
    return expect_error("EIO", "strict") if strict else nullcontext()


@pytest.mark.parametrize("strict", [True, False])
def test_strict_and_move_report_what_could_not_be_moved(kernel, task, heap, strict):
    kernel.pin(task, heap[2])
    with reported(strict):
        task.mbind(heap, BIND1, move=True, strict=strict)
    assert task.placement(heap).count(1) == N - 1
    assert task.get_mempolicy(heap[2]) == Policy.bind((1,))  # the policy is set all the same
    assert kernel.last.retried == 1


@pytest.mark.parametrize("strict", [True, False])
def test_strict_and_move_report_pages_of_vmas_that_stay(kernel, task, heap, strict):
    task.mlock(heap[4:6])
    with reported(strict):
        task.mbind(heap, BIND1, move=True, strict=strict)
    assert task.placement(heap) == [1] * 4 + [0] * 2 + [1] * 2
    assert paths(kernel) == {"direct": N - 2, "not collected": 2}


def test_strict_alone_looks_into_vmas_that_stay_too(kernel, task, heap):
    task.mlock(heap)
    with expect_refusal(kernel, "EIO", "strict"):
        task.mbind(heap, BIND1, strict=True)


def test_default_drops_strict(kernel, task, heap):
    task.mbind(heap, BIND1)
    task.mbind(heap, Policy.default(), strict=True)
    assert task.get_mempolicy(heap[0]) == Policy.default()


def test_default_with_move_counts_every_page_as_misplaced(kernel, task, heap):
    before = frames_of(task)
    task.mbind(heap, Policy.default(), move=True)
    assert paths(kernel) == {"direct": N}
    assert not set(frames_of(task)) & set(before)
    assert task.placement(heap) == [0] * N  # to where it allocates now: the same node


@pytest.mark.parametrize("move", [False, True])
@pytest.mark.parametrize(("first", "last"), [(0, N), (4, N + 1), (N, N + 4)], ids=["inside", "at the end", "all of it"])
def test_a_hole_is_efault_but_default_allows_it(kernel, task, heap, first, last, move):
    task.munmap(heap[2:4])
    part = range(heap.start + first, heap.start + last)
    with expect_refusal(kernel, "EFAULT", "range: there are holes"):
        task.mbind(part, BIND1, move=move)
    if first < N:
        task.mbind(part, Policy.default())


@pytest.mark.parametrize(("node", "error"), [(1, "EIO"), (0, "EFAULT")])
def test_strict_alone_ends_at_what_it_meets_first(kernel, task, heap, node, error):
    """A misfit before a hole, or none; a misfit behind the hole is never seen."""
    after = task.mmap(N, at=heap.stop + 4)
    task.mbind(after, BIND1)
    task.touch(after, write=True)
    with expect_refusal(kernel, error, "range" if error == "EFAULT" else "strict"):
        task.mbind(range(heap.start, after.stop), Policy.bind(node), strict=True)
    with expect_refusal(kernel, "EFAULT", "range"):  # of the last vma, its end is looked at first
        task.mbind(range(after.start, after.stop + 1), Policy.bind(0), strict=True)


def test_a_hole_at_the_head_went_unnoticed(kernel, task, heap):
    task.mbind(range(heap.start - 5, heap.stop), BIND1, move=True, strict=True)
    assert task.placement(heap) == [1] * N


def test_a_task_without_memory_has_nothing_to_bind(kernel):
    empty = kernel.spawn("empty")
    with expect_refusal(kernel, "EFAULT", "range"):
        empty.mbind(range(4), BIND1)


def test_a_reserved_first_vma_is_eacces(kernel):
    task = kernel.spawn("a")
    device = task.mmap(4, flags=["reserved"])
    heap = task.mmap(4)
    task.touch(heap, write=True)
    with expect_refusal(kernel, "EACCES", "reserved"):
        task.mbind(range(device.start, heap.stop), BIND1, move=True)
    task.mbind(heap, BIND1, move=True)
    assert task.placement(heap) == [1] * 4


def test_length_zero_is_success(kernel, task, heap):
    before = frozen(kernel)
    task.mbind(heap[3:3], BIND1, move=True, strict=True)
    assert changed(kernel, before) == []


def test_the_range_is_split_off(kernel, task, heap):
    task.mbind(heap[2:5], BIND1, move=True)
    assert task.placement(heap) == [0] * 2 + [1] * 3 + [0] * 3
    assert [task.get_mempolicy(heap[i]).mode for i in (1, 2, 4, 5)] == ["default", "bind", "bind", "default"]
    assert (kernel.tables["vma"]["vm_mm"] == task.pid).sum() == 3


def test_a_range_over_several_mappings(kernel, task, heap):
    more = task.mmap(4, shared=True)
    task.touch(more, write=True)
    task.mbind(range(heap.start + 4, more.stop - 2), BIND1, move=True)
    task.touch(more)
    assert task.placement() == [0] * 4 + [1] * 4 + [1] * 2 + [0] * 2


def test_move_interleaves_page_by_page():
    kernel = boot(nodes=4)
    task, heap = writer(kernel, 9)
    task.mbind(heap, Policy.interleave("1-3"), move=True)
    first = heap.start % 3
    # the list descends: the new page for address start + i goes to the i-th page from the end, as in 2.6.16
    assert task.placement(heap) == [(1, 2, 3)[(first + i) % 3] for i in range(9)][::-1]


def test_the_ith_page_of_the_list_not_of_the_range_is_interleaved():
    """Pages in place are not collected, so those behind them are allocated for other addresses than their own."""
    kernel = boot(nodes=3)
    task = kernel.spawn("a", node=1)
    heap = task.mmap(6)
    task.touch(heap[:3], write=True)
    task.run_on(0)
    task.touch(heap[3:], write=True)
    task.mbind(heap, Policy.interleave("1-2"), move=True)
    first = heap.start % 2
    assert task.placement(heap) == [1] * 3 + [(1, 2)[(first + i) % 2] for i in range(3)][::-1]


def test_move_all_needs_cap_sys_resource(kernel, task, heap):
    with expect_refusal(kernel, "EPERM", "move_all.*CAP_SYS_RESOURCE"):
        task.mbind(heap, BIND1, move_all=True)
    able = kernel.spawn("able", caps=["CAP_SYS_RESOURCE"])
    mine = able.mmap(2)
    able.touch(mine, write=True)
    able.mbind(mine, BIND1, move_all=True)
    assert able.placement(mine) == [1, 1]


def test_other_capabilities_do_not_help(kernel):
    task = kernel.spawn("a", caps="CAP_SYS_ADMIN")
    heap = task.mmap(2)
    with expect_refusal(kernel, "EPERM", "move_all"):
        task.mbind(heap, BIND1, move_all=True)


@pytest.mark.parametrize(
    ("policy", "match"),
    [(Policy.bind(()), "policy"), (Policy.interleave([]), "policy"), (Policy("default", (0,)), "policy"),
     (Policy.bind(2), "policy"), (Policy.bind("0-5"), "policy"), (Policy.preferred(7), "policy")],
)  # fmt: skip
def test_masks_that_do_not_fit_the_mode(kernel, task, heap, policy, match):
    for call in (lambda: task.mbind(heap, policy), lambda: task.set_mempolicy(policy)):
        with expect_refusal(kernel, "EINVAL", match):
            call()


def test_an_end_before_the_start_is_einval(kernel, task, heap):
    with expect_refusal(kernel, "EINVAL", "range"):
        task.mbind(range(heap.stop, heap.start), BIND1)


@pytest.mark.parametrize("strict", [True, False])
def test_no_memory_for_new_pages_is_not_reported_unless_strict(strict):
    kernel = boot(frames=64, swap_slots=0)
    task, heap = writer(kernel, N)
    drain(kernel, 1, 3)
    with reported(strict):
        task.mbind(heap, BIND1, move=True, strict=strict)
    assert task.placement(heap) == [0] * N
    assert paths(kernel) == {"failed for good": N}
    assert set(kernel.last.pages["reason"]) == {"no memory for the new pages"}


def test_a_preferred_policy_moves_what_is_elsewhere(kernel, task, heap):
    task.mbind(heap, Policy.preferred(1), move=True)
    assert task.placement(heap) == [1] * N


# -- migrate_pages: whom


def test_pid_0_is_the_caller(kernel, task, heap):
    assert task.migrate_pages(0, 0, 1) == 0
    assert task.placement(heap) == [1] * N
    assert task.migrate_pages(task.pid, 1, 0) == 0
    assert task.placement(heap) == [0] * N


def test_no_such_pid(kernel, task):
    gone = kernel.spawn("gone")
    gone.exit()
    for pid in (gone.pid, 99, -3):
        with expect_refusal(kernel, "ESRCH", "pid"):
            task.migrate_pages(pid, 0, 1)


def test_kernel_threads_have_no_memory(kernel, task):
    thread = kernel.spawn("kthread", uid=0, kernel_thread=True)
    root = kernel.spawn("root", uid=0)
    with expect_refusal(kernel, "EINVAL", "kernel thread"):
        root.migrate_pages(thread.pid, 0, 1)
    with expect_refusal(kernel, "EINVAL", "kernel thread"):
        thread.migrate_pages(0, 0, 1)
    assert thread.migrate_pages(task.pid, 0, 1) == 0


def ids(task, uid=None, euid=None, suid=None):
    """Give a task other ids, as setresuid() does."""
    for name, value in (("uid", uid), ("euid", euid), ("suid", suid)):
        if value is not None:
            task._row[name] = value


@pytest.mark.parametrize(
    ("mine", "theirs", "allowed"),
    [
        ({}, {}, True),
        ({"uid": 5, "euid": 5, "suid": 5}, {}, False),
        ({"uid": 5, "suid": 5}, {}, True),  # my euid is their uid
        ({"euid": 5, "suid": 5}, {}, True),  # my uid is their uid
        ({"uid": 5, "euid": 5}, {}, False),  # my suid does not count
        ({"uid": 5, "euid": 5, "suid": 5}, {"suid": 5}, True),  # their suid does
        ({"uid": 5, "euid": 5, "suid": 5}, {"euid": 5}, False),  # their euid does not
    ],
)
def test_whose_processes_one_may_move(kernel, task, heap, mine, theirs, allowed):
    caller = kernel.spawn("caller")
    ids(caller, **mine)
    ids(task, **theirs)
    if allowed:
        assert caller.migrate_pages(task.pid, 0, 1) == 0
        assert task.placement(heap) == [1] * N
    else:
        with expect_refusal(kernel, "EPERM", "pid.*CAP_SYS_ADMIN"):
            caller.migrate_pages(task.pid, 0, 1)


def test_cap_sys_admin_moves_everybody(kernel, task):
    assert kernel.spawn("admin", uid=7, caps=["CAP_SYS_ADMIN"]).migrate_pages(task.pid, 0, 1) == 0
    other = kernel.spawn("other", uid=7, caps=["CAP_SYS_RESOURCE"])
    with expect_refusal(kernel, "EPERM", "pid"):
        other.migrate_pages(task.pid, 1, 0)


# -- migrate_pages: whereto


def test_nodes_outside_the_targets_cpuset_need_cap_sys_admin():
    kernel = boot(nodes=3)
    task, heap = writer(kernel, N)
    kernel.cpuset("c", "0-1").attach(task)
    free_one = kernel.spawn("free")
    with expect_refusal(kernel, "EPERM", "new.*cpuset"):
        free_one.migrate_pages(task.pid, 0, 2)
    with expect_refusal(kernel, "EPERM", "new"):
        task.migrate_pages(0, 0, "1-2")
    assert free_one.migrate_pages(task.pid, 0, 1) == 0
    assert kernel.spawn("root", uid=0).migrate_pages(task.pid, 1, 2) == 0
    assert task.placement(heap) == [2] * N


def test_old_nodes_may_lie_anywhere():
    kernel = boot(nodes=3)
    task, heap = writer(kernel, N)
    kernel.cpuset("c", "1-2").attach(task)
    assert task.migrate_pages(0, 0, 1) == 0
    assert task.placement(heap) == [1] * N


def test_allocation_obeys_the_callers_cpuset():
    """A caller confined to node 0 who moves another task to node 1 gets 0 as answer, and the pages on node 0."""
    kernel = boot(nodes=2)
    task, heap = writer(kernel, N)
    root = kernel.spawn("root", uid=0)
    kernel.cpuset("c", 0).attach(root)
    before = frames_of(task)
    assert root.migrate_pages(task.pid, 0, 1) == 0
    assert paths(kernel) == {"direct": N}
    assert task.placement(heap) == [0] * N
    assert not set(frames_of(task)) & set(before)
    assert set(kernel.last.pages["asked"]) == {1}
    assert set(kernel.last.pages["new_node"]) == {0}


@pytest.mark.parametrize("release", [None, "2.6.18"])
def test_a_record_names_the_node_for_each_page_whether_there_is_memory_or_not(release):
    """A caller confined to node 1, where four frames are to be had: V1 moves none then, 2.6.18 four."""
    kernel = boot(nodes=2, frames=64, swap_slots=0, release=release)
    task, _ = writer(kernel, N)
    root = kernel.spawn("root", uid=0)
    kernel.cpuset("c", 1).attach(root)
    drain(kernel, 1, 8)
    with pytest.raises(OSError, match="for the new pages"):
        root.migrate_pages(task.pid, 0, 1)
    assert kernel.last.moved == (4 if release else 0)
    assert set(kernel.last.pages["asked"]) == {1}


def test_empty_sets_move_nothing(kernel, task, heap):
    assert task.migrate_pages(0, (), 1) == 0
    assert task.migrate_pages(0, 0, ()) == 0
    assert task.placement(heap) == [0] * N
    assert len(kernel.last.pages) == 0


@pytest.mark.parametrize(("old", "new"), [(2, 0), ("1-9", 0), ([0, 7], 1)])
def test_old_nodes_that_the_machine_does_not_have_are_ignored(kernel, task, heap, old, new):
    assert task.migrate_pages(0, old, new) == 0
    assert task.placement(heap) == [1 if old == [0, 7] else 0] * N


@pytest.mark.parametrize("patches", [0, 4, 7])
@pytest.mark.parametrize("new", [2, [0, 5], "1-9"])
def test_an_absent_node_is_no_subset_of_any_cpuset(patches, new):
    kernel = boot(patches=patches)
    task, _ = writer(kernel, N)
    with expect_refusal(kernel, "EPERM", "new: .* 0-1 only, and job lacks CAP_SYS_ADMIN"):
        task.migrate_pages(0, 0, new)


def test_an_administrator_and_absent_nodes():
    """Pairs that lead to a node that is there are moved; one that leads to an absent one crashed until 2.6.23."""
    kernel = boot(nodes=4)
    task, heap = writer(kernel, N)
    admin = kernel.spawn("admin", caps="sys_admin")
    assert admin.migrate_pages(task.pid, 0, [1, 7]) == 0
    assert task.placement(heap) == [1] * N
    with expect_refusal(kernel, "EINVAL", "new: memory of node 1 would go to node 7"):
        admin.migrate_pages(task.pid, [0, 1], [2, 7])
    assert admin.migrate_pages(task.pid, [1, 9], [2, 7]) == 0
    assert task.placement(heap) == [2] * N
    with expect_refusal(kernel, "EINVAL", "new: there is no node 62"):
        admin.migrate_pages(task.pid, 0, 62)


def test_before_patch_5_the_targets_cpuset_is_not_asked():
    for patches in (4, 7):
        kernel = boot(nodes=3, patches=patches)
        task, _ = writer(kernel, N)
        kernel.cpuset("c", "0-1").attach(task)
        if patches == 7:
            with expect_refusal(kernel, "EPERM", "new: the cpuset of job allows nodes 0-1 only"):
                task.migrate_pages(0, 0, 2)
        else:
            assert task.migrate_pages(0, 0, 2) == 0
            assert kernel.last.evicted == N


def test_permission_and_length_come_before_the_mask(kernel, task, heap):
    absent = Policy.bind(7)
    with expect_refusal(kernel, "EPERM", "move_all"):
        task.mbind(heap, absent, move_all=True)
    task.mbind(heap[:0], absent)
    with expect_refusal(kernel, "EINVAL", "no node 7"):
        task.mbind(heap, absent)


def test_a_hole_at_the_tail_with_a_mapping_behind_it_goes_unnoticed(kernel, task, heap):
    """2005 looked for holes between two vmas of the range, and behind the last vma of all; since 5.5 it is -EFAULT."""
    part = range(heap.start, heap.stop + 2)
    with expect_refusal(kernel, "EFAULT", "holes"):
        task.mbind(part, BIND1, move=True)
    task.mmap(4, at=heap.stop + 4)
    with expect_refusal(kernel, "EFAULT", "holes"):
        task.mbind(range(heap.start, heap.stop + 5), BIND1, move=True)
    task.mbind(part, BIND1, move=True)
    assert task.placement(heap) == [1] * N


@pytest.mark.parametrize(("release", "outcome"), [("2.6.34", "direct"), ("3.8", "not collected")])
def test_a_hole_at_the_head_is_an_error_after_pages_were_collected(release, outcome):
    """Until 3.8 they move all the same; then they are put back, and the record says so."""
    kernel = boot(patches=7, release=release)
    task, heap = writer(kernel, N)
    with expect_error("EFAULT", "holes"):
        task.mbind(range(heap.start - 5, heap.stop), BIND1, move=True)
    assert paths(kernel) == {outcome: N}
    assert task.placement(heap) == [0] * N  # the policy is not set
    assert set(kernel.last.stayed["reason"]) <= {"the call failed before it moved anything"}
    kernel.verify()


def test_it_counts_pages_not_moved_and_nothing_else(kernel, task, heap):
    kernel.pin(task, heap[:3])
    task.mlock(heap[6:])
    assert task.migrate_pages(0, 0, 1) == 3
    assert kernel.last.returned == 3
    assert task.placement(heap) == [0] * 3 + [1] * 3 + [0] * 2


def test_no_memory_is_an_error():
    kernel = boot(frames=64, swap_slots=0)
    task, heap = writer(kernel, N)
    for node in (0, 1):
        drain(kernel, node, 3)
    with expect_error("ENOMEM", "memory"):
        task.migrate_pages(0, 0, 1)
    assert task.placement(heap) == [0] * N
    assert kernel.last.returned == -errno.ENOMEM


def test_it_is_done_for_the_task_that_calls(kernel, task):
    root = kernel.spawn("root", uid=0)
    root.migrate_pages(task.pid, 0, 1)
    actors = kernel.events().query("function == 'migrate_pages'")["actor"]
    assert set(actors) == {"root"}


# -- without CONFIG_NUMA, without CONFIG_MIGRATION


@pytest.mark.parametrize("patches", [0, 7])
def test_without_numa_the_policy_calls_are_not_there(patches):
    kernel = boot(config=Config(numa=False), patches=patches)
    task, heap = writer(kernel, N)
    for call in (
        lambda: task.mbind(heap, BIND1, move=True),
        lambda: task.set_mempolicy(BIND1),
        lambda: task.get_mempolicy(),
        lambda: task.migrate_pages(0, 0, 1),
    ):
        with expect_refusal(kernel, "ENOSYS", "CONFIG_NUMA"):
            call()


@pytest.mark.parametrize(
    ("options", "migration"),
    [({}, True), ({"numa": False}, False), ({"numa": False, "sparsemem": True}, True),
     ({"numa": False, "discontigmem": True}, True)],
)  # fmt: skip
def test_config_migration(options, migration):
    config = Config(**options)
    assert config.migration is migration
    kernel = boot(config=config)
    task, _ = writer(kernel, 2)
    assert ("migrate_pages" in kernel.symbols()) is migration
    assert ("sys_migrate_pages" in kernel.symbols()) is config.numa
    if migration:
        assert kernel.migrate(frames_of(task), to=1).moved == 2
    else:
        with expect_refusal(kernel, "ENOSYS", "CONFIG_MIGRATION"):
            kernel.migrate(frames_of(task), to=1)


def test_before_patch_1_every_kernel_holds_the_code():
    kernel = boot(config=Config(numa=False), patches=0)
    assert "migrate_pages" in kernel.symbols()
    assert "lru_add_drain_per_cpu" in boot(config=Config(numa=False, smp=False), patches=0).symbols()
    assert "lru_add_drain_per_cpu" not in boot(config=Config(smp=False), patches=1).symbols()
    task, heap = writer(kernel, N)
    assert kernel.migrate(frames_of(task, heap), to=1).evicted == N
    assert slots(kernel) == N
