"""Many small things: that twice as many take about twice as long, at both speeds."""

from rows import Row, cpu, said

from mmsim import Kernel, Topology


def mappings(number, compiled):
    """CPU seconds of so many mmap calls of one page each."""
    task = Kernel(Topology.uniform(2, 8192), trace=False, compiled=compiled).spawn("many")
    task.mmap(1)  # compiles
    return cpu(lambda: [task.mmap(1) for _ in range(number)])[0]


def packets(number, compiled, *nodes):
    """CPU seconds of a wait in which so many packets arrive at nodes, given as (period, hold)."""
    kernel = Kernel(Topology.uniform(2, 1024), trace=False, compiled=compiled)
    for node, (period, hold) in enumerate(nodes):
        kernel.interrupts(node, period=period, hold=hold)
    kernel.wait(1_000)  # compiles
    return cpu(kernel.wait, nodes[0][0] * number // len(nodes))[0]


def interrupts(number, compiled):
    """Each packet keeps its page for 50 periods."""
    return packets(number, compiled, (1_000, 50_000))


def interrupts_of_two_nodes(number, compiled):
    """Two nodes whose periods never meet."""
    return packets(number, compiled, (1_009, 50_000), (1_013, 7_000))


MANY = {
    "mappings of one page": (mappings, 3_000), "interrupts": (interrupts, 100_000),
    "interrupts of two nodes": (interrupts_of_two_nodes, 100_000),
}  # fmt: skip


def rows(small=False):
    """The rows of many small things."""
    for what, (function, number) in MANY.items():
        number //= 10 if small else 1
        for compiled in (False, True):
            took, half = (min(function(n, compiled) for _ in range(3)) for n in (number, number // 2))
            how = "compiled" if compiled else "interpreted"
            yield Row(f"{number:,} {what}, {how}", took / half, "x half of them", 2.5, note=f"{said(took)} s")
