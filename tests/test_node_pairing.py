"""How do_migrate_pages() pairs the nodes of two sets, and in which order it runs the pairs."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import Checked, boot, share

from mmsim import Policy, Topology
from mmsim.mm.nodemask import node_remap


def spread(nodes, each=4, **options):
    """A task with `each` pages on every node: (kernel, task, heap)."""
    kernel = Checked(Topology.uniform(nodes=nodes, frames=128), **options)
    task = kernel.spawn("a", uid=0)
    heap = task.mmap(each * nodes)
    for node in range(nodes):
        task.run_on(node)
        task.touch(heap[node * each : (node + 1) * each], write=True)
    task.run_on(0)
    return kernel, task, heap


def pairs(kernel):
    """The pairs of nodes in the order in which they ran."""
    found = kernel.events().query("function == 'do_migrate_pages'")["text"]
    return [tuple(map(int, re.findall(r"node (\d+)", text))) for text in found]


def targets(task, heap, each=4):
    """Where the pages of each node are now."""
    return [task.placement(heap)[i] for i in range(0, heap.pages, each)]


CASES = [
    # nodes, old, new, where the pages of each node go, order of the pairs
    (4, {0, 1, 2}, {1, 2, 3}, [1, 2, 3, 3], [(2, 3), (1, 2), (0, 1)]),
    (14, {2, 3, 4, 5}, {7, 9, 12, 13}, [0, 1, 7, 9, 12, 13, *range(6, 14)], [(2, 7), (3, 9), (4, 12), (5, 13)]),
    (2, {0, 1}, {1, 0}, [0, 1], []),  # as sets they are the same
    (4, {0, 1, 2, 3}, {2, 3}, [2, 3, 2, 3], [(1, 3), (0, 2)]),
    (4, {2, 3}, {0, 1, 2, 3}, [0, 1, 0, 1], [(2, 0), (3, 1)]),
    (4, {0}, {1, 2, 3}, [1, 1, 2, 3], [(0, 1)]),
    (4, {1, 2, 3}, {0}, [0, 0, 0, 0], [(1, 0), (2, 0), (3, 0)]),
    (3, {0, 1, 2}, {0, 1, 2}, [0, 1, 2], []),
    (3, {0}, {0}, [0, 1, 2], []),
    (4, {1, 2, 3}, {0, 1, 2}, [0, 0, 1, 2], [(1, 0), (2, 1), (3, 2)]),
    (3, set(), {1}, [0, 1, 2], []),
    (3, {0, 1}, set(), [0, 1, 2], []),
]


@pytest.mark.parametrize(("nodes", "old", "new", "after", "order"), CASES)
def test_pairs(nodes, old, new, after, order):
    kernel, task, heap = spread(nodes)
    assert task.migrate_pages(0, old, new) == 0
    assert targets(task, heap) == after
    assert kernel.last.moved == 4 * sum(a != n for n, a in enumerate(after))
    # a pair runs when its target is not itself waiting to be emptied, so the order is not that of the nodes
    assert pairs(kernel) == order
    assert kernel.vmstat()["evicted"] == 0


def test_a_cycle_is_broken_at_the_last_moving_pair_and_its_pages_move_twice():
    """{0,1,2} to {1,2}: 0 to 1, 1 to 2, 2 to 1.  Nothing can run without mixing, so 2 to 1 runs first."""
    kernel, task, heap = spread(3)
    assert task.migrate_pages(0, {0, 1, 2}, {1, 2}) == 0
    assert pairs(kernel) == [(2, 1), (1, 2), (0, 1)]
    assert targets(task, heap) == [1, 2, 2]
    table = kernel.last.pages
    assert len(table) == heap.pages  # one row a page, though some were moved twice
    assert kernel.last.moved == heap.pages
    first = table.set_index("page").loc[heap.start + 8]
    assert (first["old_node"], first["new_node"]) == (2, 2)


def test_where_no_page_moved_twice_the_records_are_not_put_together_again():
    """Whatever their order is: for a job of 64 GB that took three times as long as to move it."""
    kernel, task, _ = spread(4)
    heap = task.mmap(8)
    task.mbind(heap, Policy.interleave("0-1"))
    task.touch(heap, write=True)
    task.migrate_pages(0, old={0, 1}, new={2, 3})
    assert kernel.last.pages["page"].tolist() != sorted(kernel.last.pages["page"])
    assert np.shares_memory(kernel.last._rows, kernel.tables["considered"])


SPILLS = [
    # release (None: V1), old, new, the node without room, free frames there
    ("2.6.18", "0-2", "3", 3, 30),
    ("2.6.18", "0-2", "3", 3, 10),
    (None, "0-1", "2-3", 2, 10),
]


@pytest.mark.parametrize(("release", "old", "new", "full", "room"), SPILLS)
def test_what_spills_onto_a_node_that_is_still_to_be_emptied_is_considered_again(release, old, new, full, room):
    """Where a target has no room, pages of one source come to another, though no node is in both sets."""
    kernel = Checked(Topology.ring(nodes=4, frames=256), release=release, swap_slots=512)
    other, task = kernel.spawn("other", node=full), kernel.spawn("a")
    zone, heap = kernel.tables["zone"], task.mmap(80)
    task.mbind(heap, Policy.interleave(old))
    task.touch(heap, write=True)
    locked = other.mmap(int(zone["free"][full] - zone["pages_low"][full]) - room)
    other.touch(locked, write=True)
    other.mlock(locked)
    before = task.pages(heap)["pfn"].tolist()
    task.migrate_pages(0, old, new)
    after, pages = task.pages(heap)["pfn"].tolist(), kernel.last.pages
    rows = kernel.tables["considered"][1 : kernel.k.sys.nr_considered + 1]
    assert len(rows) > heap.pages
    assert sorted(pages["page"]) == [*range(heap.start, heap.stop)]
    assert pages["old_pfn"].tolist() == [before[page - heap.start] for page in pages["page"]]
    ends = pages["new_pfn"].fillna(pages["old_pfn"]).astype(int).tolist()
    assert ends == [after[page - heap.start] for page in pages["page"]]


def test_of_a_page_that_moved_twice_the_larger_number_of_passes_counts():
    kernel, task, heap = spread(3)
    locked = heap.start + 8  # on node 2, so that it moves in the first pair and in the second
    kernel.hold_lock(task, range(locked, locked + 1), kernel.clock + 100_000)
    assert task.migrate_pages(0, {0, 1, 2}, {1, 2}) == 0
    passes = kernel.last.pages.set_index("page")["passes"]
    assert passes.loc[locked] == kernel.last.passes == 4  # pass 3 waited for the lock; the second visit took one pass
    assert set(passes.drop(locked)) == {1}


def test_a_long_tail_into_a_cycle_keeps_a_record_of_every_page():
    kernel, task, heap = spread(8)
    for old, new in (("0-7", "0-2"), ("all", "5-7"), ("0-6", "1,3"), ("1-7", "0,2,4,6"), ("all", "3")):
        assert task.migrate_pages(0, old, new) == 0
        assert kernel.last.pages["page"].is_unique
        assert kernel.k.sys.overflow == 0
        assert (kernel.last.paths.index == "direct").all()
    assert set(task.placement(heap)) == {3}


@given(st.integers(0, 62 - 1), st.sets(st.integers(0, 61)), st.sets(st.integers(0, 61)))
def test_remap_keeps_relative_positions(node, source, target):
    masks = [sum(1 << n for n in nodes) for nodes in (source, target)]
    to = node_remap(node, *masks)
    if node in source and target:
        assert to == sorted(target)[sorted(source).index(node) % len(target)]
    else:
        assert to == node


@settings(max_examples=share(30))
@given(st.sets(st.integers(0, 7)), st.sets(st.integers(0, 7)))
def test_every_page_ends_on_a_target_node(old, new):
    kernel, task, heap = spread(8, each=2)
    before = task.placement(heap)
    assert task.migrate_pages(0, old, new) == 0
    after = task.placement(heap)
    for was, now in zip(before, after, strict=True):
        if was in old and new:
            assert now in new
        elif was not in old:
            assert now == was
    assert len(pairs(kernel)) == len({s for s, _ in pairs(kernel)}) <= len(old)


def test_policies_are_left_alone():
    _kernel, task, _heap = spread(2)
    task.set_mempolicy(Policy.bind(0))
    task.migrate_pages(0, 0, 1)
    assert task.get_mempolicy() == Policy.bind((0,))


def test_baseline_ignores_positions_and_evicts_what_is_on_old_and_not_on_new():
    kernel, task, heap = spread(4, patches=0)
    assert task.migrate_pages(0, {0, 1, 2}, {1, 3}) == 0
    assert kernel.last.evicted == 8
    assert targets(task, heap) == [None, 1, None, 3]


def test_baseline_with_an_empty_target_evicts_everything_on_old():
    _kernel, task, heap = spread(3, patches=(1, 3, 4))
    assert task.migrate_pages(0, {0, 1}, set()) == 0
    assert targets(task, heap) == [None, None, 2]


def test_sets_may_be_given_in_any_form():
    for old, new in ((0, 1), ([0], (1,)), ("0", "1"), ("!1", "!0"), ({0}, range(1, 2)), ("+0", "+1")):
        _kernel, task, heap = spread(2)
        assert task.migrate_pages(0, old, new) == 0
        assert targets(task, heap) == [1, 1]


def test_two_nodes_swap_places_only_in_two_calls():
    kernel = boot(nodes=3)
    task = kernel.spawn("a")
    heap = task.mmap(4)
    task.touch(heap[:2], write=True)
    task.run_on(1)
    task.touch(heap[2:], write=True)
    assert task.migrate_pages(0, "0-1", "0-1") == 0
    assert task.placement(heap) == [0, 0, 1, 1]
    task.migrate_pages(0, 0, 2)
    task.migrate_pages(0, 1, 0)
    task.migrate_pages(0, 2, 1)
    assert task.placement(heap) == [1, 1, 0, 0]
