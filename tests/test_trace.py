"""The trace: each page's story can be read in order; without it nothing is recorded and nothing else differs."""

import numpy as np
import pytest
from machines import boot, frames_of, paths, writer

from mmsim.machine import results
from mmsim.mm import trace
from mmsim.mm.structs import Tables

N = 8


def story(kernel, pfn):
    """What happened to a frame, as the kernel functions in order; a function that goes on is named once."""
    events = kernel.events()
    functions = events["function"][(events["page"] == pfn) | (events["new_page"] == pfn)].tolist()
    return [f for i, f in enumerate(functions) if i == 0 or functions[i - 1] != f]


def moved(patches=7, trigger="B", prepare=None, **options):
    """A machine after a migration from node 0 to 1: (kernel, task, heap, old frames)."""
    kernel = boot(patches=patches, **options)
    task, heap = writer(kernel, N)
    if prepare:
        prepare(kernel, task, heap)
    old = frames_of(task)
    if trigger == "B":
        task.migrate_pages(0, 0, 1)
    else:
        kernel.migrate(old, to=1)
    return kernel, task, heap, old


# -- stories


def test_a_page_that_moves_directly():
    kernel, task, _heap, old = moved()
    for pfn in old:
        assert story(kernel, pfn) == [
            "do_anonymous_page", "isolate_lru_page", "migrate_pages", "add_to_swap", "migrate_pages",
            "migrate_page_remove_references", "try_to_unmap", "migrate_page_copy", "migrate_pages",
            "putback_lru_pages",
        ]  # fmt: skip
    for pfn in frames_of(task):
        assert story(kernel, pfn) == [
            "migrate_pages", "migrate_page_remove_references", "migrate_page_copy", "remove_from_swap", "migrate_pages",
        ]  # fmt: skip


def test_a_page_that_is_swapped_out_and_comes_back():
    kernel, task, heap, old = moved(patches=0)
    assert paths(kernel) == {"swapped out": N}
    assert story(kernel, old[0]) == [
        "do_anonymous_page", "isolate_lru_page",
        "migrate_pages", "add_to_swap", "try_to_unmap",  # young
        "migrate_pages", "try_to_unmap", "pageout",
        "migrate_pages", "swap_page",
    ]  # fmt: skip
    task.touch(heap[0])
    (new,) = frames_of(task, heap[0])
    assert story(kernel, new)[-1] == "do_swap_page"
    text = kernel.events()["text"]
    assert text.str.contains("major fault").sum() == 1


def test_a_page_that_is_written_before_it_moves():
    kernel, task, heap, old = moved(patches=(1, 3, 5))
    texts = kernel.events().groupby("page")["text"].get_group(old[0]).tolist()
    order = ["enters the swap cache", "is written out", "wait for the I/O", "takes the slot", "are copied", "has moved"]
    at = [next(i for i, text in enumerate(texts) if part in text) for part in order]
    assert at == sorted(at)
    task.touch(heap[0])
    assert kernel.events()["text"].iloc[-2:].str.contains("minor fault|mapped again").all()


def test_a_page_that_stays_says_why():
    kernel, _task, _heap, old = moved(prepare=lambda kernel, task, heap: kernel.pin(task, heap[2]))
    events = kernel.events().query("function == 'migrate_page_remove_references'")
    busy = events[events["page"] == old[2]]
    assert busy["pass"].tolist() == list(range(11))
    assert busy["text"].str.contains("1 reference that nobody accounts for").all()
    assert story(kernel, old[2])[-1] == "putback_lru_pages"


def test_a_page_that_was_freed_meanwhile():
    def prepare(kernel, task, heap):
        kernel.hold_lock(task, heap[0], kernel.clock + 10**6)
        kernel.hold_lock(task, heap[5], kernel.clock + 10**5)
        task.munmap(heap[5], at=kernel.clock + 5 * 10**5)

    # triggers A to C hold the mmap_sem: there the munmap would wait
    kernel, _task, _heap, old = moved(trigger="D", prepare=prepare)
    assert story(kernel, old[5])[-4:] == ["migrate_pages", "unmap_vmas", "migrate_pages", "putback_lru_pages"]
    assert kernel.events()["text"].str.contains("freed from under us").sum() == 1


def test_a_migration_as_a_whole():
    kernel, _, _, _ = moved()
    text = kernel.events().query("actor == 'job'")["text"]
    first = {part: text.index[text.str.contains(part)][0] for part in (
        "next pair: node 0 to node 1", "taken off its LRU list", "8 new pages are allocated",
        "pass 0 over the list begins", "has moved", "goes back to the LRU",
    )}  # fmt: skip
    assert list(first.values()) == sorted(first.values())
    assert not text.str.contains("pass 1 over").any()


# -- what holds for every event


@pytest.mark.parametrize("patches", [0, (1, 3), (1, 3, 5), 5, 6, 7])
@pytest.mark.parametrize("trigger", ["B", "D"])
def test_every_event(patches, trigger):
    kernel, task, heap, _ = moved(patches, trigger, lambda kernel, task, heap: kernel.pin(task, heap[2]))
    task.touch(heap, write=True)
    task.fork().touch(range(heap.start, heap.stop), write=True)
    kernel.reclaim(5)
    events = kernel.events()
    assert events["time"].is_monotonic_increasing
    assert events.index.tolist() == list(range(len(events)))
    assert set(events["patch"]) <= {0, *kernel.patches}
    assert not events["text"].str.contains("[{}]").any()
    assert set(events["actor"]) <= {"job", "job'", "kernel", "kswapd"}
    assert events["pass"].dropna().between(0, 10).all()
    inside = events["pass"].notna()
    begins = events["text"].str.match(r"pass \d+ over the list begins")
    assert begins.sum() == kernel.last.passes
    assert (events["pass"][begins] == events["text"][begins].str.extract(r"pass (\d+)")[0].astype(int)).all()
    assert events["pass"][inside].is_monotonic_increasing
    assert events["page"].between(0, 512).all()


def test_every_kind_of_event_names_a_function_and_a_patch():
    for code, (function, patch, text) in [*trace.EVENTS.items()][1:]:
        assert function.isidentifier()
        assert patch in range(8)
        row = {"code": code, "page": 1, "new_page": 2, "arg": 259}
        assert "{" not in results.event_text(row)
        assert text


def test_who_did_it():
    kernel = boot()
    task, heap = writer(kernel, N)
    root = kernel.spawn("root", uid=0)
    root.migrate_pages(task.pid, 0, 1)
    task.touch(heap, write=True)
    kernel.reclaim(2)
    actors = kernel.events().groupby("function")["actor"].agg(set)
    assert actors["do_anonymous_page"] == {"job"}
    assert actors["do_migrate_pages"] == actors["remove_from_swap"] == {"root"}
    assert actors["do_wp_page"] == {"job"}
    assert actors["pageout"] == {"kswapd"}


# -- off, short, watched


def test_without_a_trace_nothing_is_recorded_and_nothing_else_differs():
    machines = []
    for on in (True, False):
        kernel, task, heap, _ = moved(trace=on)
        task.fork().touch(range(heap.start, heap.stop), write=True)
        kernel.reclaim(5)
        machines.append(kernel)
    with_it, without = machines
    assert len(without.events()) == 0
    assert list(without.events().columns) == list(with_it.events().columns)
    for name in set(Tables._fields) - {"event", "sys"}:
        assert np.array_equal(with_it.tables[name], without.tables[name]), name
    for field in set(with_it.tables["sys"].dtype.names) - {"tracing", "nr_events"}:
        assert with_it.tables["sys"][field] == without.tables["sys"][field], field
    assert with_it.last.pages.equals(without.last.pages)


def test_a_short_trace_keeps_the_last_events_and_their_numbers():
    whole, _, _, _ = moved()
    short, _, _, _ = moved(trace=10)
    assert short.events().equals(whole.events().tail(10))


def test_an_observer_is_called_at_every_event():
    kernel = boot()
    task, _ = writer(kernel, N)
    before = len(kernel.events())
    seen = []
    with kernel.watch(lambda: seen.append(kernel.clock)):
        task.migrate_pages(0, 0, 1)
    assert len(seen) == len(kernel.events()) - before
    assert seen == sorted(seen)
    task.migrate_pages(0, 1, 0)
    assert len(kernel.events()) > before + len(seen)  # nobody watches any more
