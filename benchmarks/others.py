"""What one would use instead, on the same work: pages that move from one node to another, and how many a second."""

import json

import compiled
from rows import Row, cpu

PAGES = 1 << 15  # 128 MB: they fit into a node of the virtual machine
UNIT = "pages a second"
STEPS = (1, 1, 3, 4, 2)  # isolate, lock, unmap, copy, restore: how long each takes does not matter
GUEST = f"""
import json, time
kernel = Linux(whole_machine=True)
task = kernel.spawn("job", node=0)
heap = task.mmap({PAGES})
task.touch(heap, write=True)
begin = time.perf_counter()
left = task.migrate_pages(0, 0, 1)
seconds = time.perf_counter() - begin
assert not left and task.placement(heap).count(1) == {PAGES}
out.write(json.dumps([kernel.release, {PAGES} / seconds]))
"""


def mmsim(release=None, **options):
    """Pages a second of this model."""
    kernel = compiled.machine(PAGES, release=release, **options)
    return PAGES / cpu(compiled.anonymous(kernel, PAGES).migrate_pages, 0, 0, 1)[0]


def simpy(pages):
    """Pages a second where each page is a process of simpy that waits five times, and holds a lock meanwhile."""
    import simpy

    class Page:
        node = 0

    def move(page):
        for step in STEPS:
            yield world.timeout(step)
        page.node = 1

    world, job = simpy.Environment(), [Page() for _ in range(pages)]
    for page in job:
        world.process(move(page))
    seconds, _ = cpu(world.run)
    assert all(page.node == 1 for page in job)
    return pages / seconds


def virtual_machine():
    """A row: a real kernel in `mmsim vm`, by the clock of the guest."""
    from mmsim.linux import vm

    try:
        task = {"do": "run", "name": "others.py"}
        release, figure = json.loads(vm.start(task, script=GUEST.encode(), show=lambda _: None)[1])
    except (vm.NotPossible, ValueError) as error:
        return Row("Linux in mmsim vm", None, UNIT, note=f"not measured: {error}".splitlines()[0])
    note = f"Linux {release}, each instruction emulated by QEMU; migrate_pages(2), clock of the guest"
    return Row("Linux in mmsim vm", figure, UNIT, note=note)


def rows(small=False):
    """The rows of what does the same work."""
    mmsim(compiled=True), mmsim("6.1", compiled=True)  # compiles
    for what, release in (("V1", None), ("Linux 6.1", "6.1")):
        for how, compiled_too, runs in (("compiled", True, 3), ("interpreted", False, 1)):
            figure = max(mmsim(release, compiled=compiled_too) for _ in range(runs))
            yield Row(f"mmsim, {what}, {how}", figure, UNIT, note="trace off; CPU time")
    try:
        yield Row("simpy, five steps a page", simpy(PAGES), UNIT, note="a process for each page; CPU time")
    except ImportError:
        yield Row("simpy, five steps a page", None, UNIT, note="not measured: pip install simpy")
    yield virtual_machine()
