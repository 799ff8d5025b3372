"""Where there is no memory, or no way on, the message says who asked whom, what is free where, who is in the way."""

import pytest
from machines import boot, drain, expect_error, free, writer

from mmsim import Config, Kernel, KernelBug, KernelHang, OutOfMemory, Policy, Topology
from mmsim.machine.task import FIRST_PAGE
from mmsim.machine.trouble import free_memory
from mmsim.mm import structs


def out_of_memory(task, part):
    with pytest.raises(OutOfMemory) as caught:
        task.touch(part, write=True)
    task._kernel.verify()
    return str(caught.value)


def test_no_memory_says_policy_cpuset_nodes_and_what_is_free():
    kernel = boot(frames=64, swap_slots=0)
    task = kernel.spawn("a")
    heap = task.mmap(100)
    task.mbind(heap, Policy.bind(0))
    said = out_of_memory(task, heap)
    first = heap.start + sum(node is not None for node in task.placement(heap))
    assert said.startswith(f"no memory for a page of a ({first:#x}): policy bind:0, ")
    assert "cpuset root (mems 0-1): asked node 0; " in said
    assert f"free: node 0: {free(kernel, 0)} (reserve 4), node 1: 64 (reserve 4)" in said


@pytest.mark.parametrize(
    ("policy", "asked"),
    [(Policy.default(), "nodes 0, 1"), (Policy.preferred(1), "nodes 1, 0"), (Policy.interleave("1"), "nodes 1, 0"),
     (Policy.bind("1-2"), "node 1"), (Policy.bind("2"), "nodes 0, 1")],
    ids=str,
)  # fmt: skip
def test_who_was_asked(policy, asked):
    kernel = boot(nodes=3, frames=64, swap_slots=0)
    task = kernel.spawn("a")
    heap = task.mmap(140)
    kernel.cpuset("small", "0-1").attach(task)
    task.mbind(heap, policy)  # which a cpuset does not clip; BIND to what it forbids counts as DEFAULT
    said = out_of_memory(task, heap)
    assert f"policy {policy}, cpuset small (mems 0-1): asked {asked}; free: node" in said
    assert "node 2: 64 (reserve" in said


def test_the_policy_is_that_of_the_object_where_it_has_one():
    kernel = boot(frames=64, swap_slots=0)
    a, b = kernel.spawn("a"), kernel.spawn("b")
    file = kernel.file("s", 80, fs="tmpfs")
    ours = [task.mmap(80, file, shared=True) for task in (a, b)]
    a.mbind(ours[0], Policy.bind(1))
    assert "no memory for a page of b" in (said := out_of_memory(b, ours[1]))
    assert "policy bind:1" in said


def test_other_calls_that_find_no_memory():
    kernel = boot(frames=64, swap_slots=0)
    task, _ = writer(kernel, 4, name="a")
    for node in (0, 1):
        drain(kernel, node, 4)
    file = kernel.file("f", 2)
    left = r"free: node 1: 4 \(reserve 4\), node 0: 4 \(reserve 4\)"
    with expect_error("ENOMEM", f"no memory on nodes 1, .* new pages; {left}"):
        task.migrate_pages(0, 0, 1)
    task.run_on(1)
    with expect_error("ENOMEM", f"page cache of f: policy default, cpuset root .* asked nodes 1, 0; {left}"):
        task.write(file)
    with expect_error(OutOfMemory, "page of a .* asked nodes 1, 0"):
        task.mmap(1, locked=True)
    with expect_error(OutOfMemory, "page of a .* asked nodes 1, 0"):
        kernel.pin(task, task.mmap(1))


def test_many_nodes_are_summed_up():
    said = free_memory(boot(nodes=20, frames=64), [3])
    assert said.startswith("free: node 3: 64 (reserve")
    assert said.endswith(f"12 other nodes: {12 * 64}")


# -- a kernel that stands still


def locked_elsewhere(mapped):
    """Two tasks of one name, the second of which keeps the library of both in memory: (kernel, one, other)."""
    kernel = boot(frames=64)
    one, other = kernel.spawn("a", uid=0), kernel.spawn("a")
    library = kernel.file("library", 2)
    one.touch(one.mmap(2, library, writable=False))
    other.touch(other.mmap(2, library, writable=False, **mapped))
    return kernel, one, other


@pytest.mark.parametrize(
    ("mapped", "flag"), [({"locked": True}, "VM_LOCKED"), ({"flags": "reserved"}, "VM_RESERVED")], ids=str
)
@pytest.mark.parametrize("trigger", ["mbind", "kernel"])
def test_a_hang_names_the_page_who_waits_and_who_is_in_the_way(mapped, flag, trigger):
    kernel, one, other = locked_elsewhere(mapped)
    calls = {"mbind": lambda: one.mbind(None, Policy.bind(1), move_all=True),
             "kernel": lambda: kernel.migrate(one.pages()["pfn"].dropna(), to=1, force=True)}  # fmt: skip
    with pytest.raises(KernelHang) as caught:
        calls[trigger]()
    said, pfn = str(caught.value), kernel.k.sys.bug_page
    assert f"the unmap loop for frame {pfn} (" in said
    assert ("a (pid 2)" if trigger == "mbind" else "the kernel") + " is in it until no pte maps the page" in said
    assert f"a (pid 3) maps it at {FIRST_PAGE + kernel.k.mem_map[pfn].index:#x} in a vma with {flag}" in said
    for later in (lambda: kernel.wait(1), lambda: other.touch(other.mmap(1))):  # whoever asks hears the same
        with pytest.raises(KernelHang) as again:
            later()
        assert str(again.value) == f"this machine stands still, restore() a snapshot: {said}"


@pytest.mark.parametrize(("flag", "why"), [(structs.PG_locked, "its lock is held"),
                                           (structs.PG_writeback, "it is under writeback")])  # fmt: skip
def test_sleeping_for_what_nobody_ends(flag, why):
    kernel = Kernel(Topology.uniform(nodes=2, frames=64))
    task, _ = writer(kernel, 1, name="a")
    pfn = int(task.pages()["pfn"].iloc[0])
    kernel.k.mem_map[pfn].flags |= flag
    with expect_error(KernelHang, rf"sleeping on frame {pfn} \(page 0 of a\).*wake a \(pid 2\): {why}"):
        task.migrate_pages(0, 0, 1)


def test_a_bug_names_the_page_and_who_was_running():
    kernel = boot(frames=64, config=Config(swap=False))
    task, _ = writer(kernel, 1, name="a")
    task.fork("b")
    with expect_error(KernelBug, r"frame \d+ \(page 0 of a, page 0 of b\).*\(in a \(pid 2\)\)"):
        task.migrate_pages(0, 0, 1)
