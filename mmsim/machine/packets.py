"""Interrupts by the thousand on an interpreted machine: interrupt() and its packets, on lists of Python's own."""

import heapq
import itertools

from ..mm import structs
from ..mm.mmzone import zone_list
from ..mm.page_alloc import ANY_NODE, wakeup_kswapd, zone_mark
from ..mm.timer import INTERRUPT, PACKET_DONE
from ..mm.trace import ATOMIC_FAILED, trace

PACKETS = (INTERRUPT, PACKET_DONE)
EFFORT = 1 << 19  # numbers in the states that are compared until it is given up to find a round


class FreeList:
    """The free pages of a node.  The first one is taken first: what was given back is a stack, above the rest."""

    def __init__(self, k, node):
        zone = k.zone[node]
        self.k, self.node, self.head, self.stack = k, node, zone_list(k, node, structs.FREE), []
        self.rest = k.mem_map[self.head].next  # the first of those below the stack
        self.free, self.lowest, self.low = zone.free, zone.lowest_free, zone.pages_low
        self.mark = zone_mark(zone, structs.GFP_ATOMIC)
        self.period, self.hold = zone.irq_period, zone.irq_hold

    def take(self):
        """The first page."""
        self.free -= 1
        self.lowest = min(self.lowest, self.free)
        if self.stack:
            return self.stack.pop()
        pfn = self.rest
        self.rest = self.k.mem_map[pfn].next
        return pfn

    def write(self):
        """Write the list into the tables."""
        k = self.k
        for pfn in self.stack:
            page = k.mem_map[pfn]
            page.flags, page.count, page.data = structs.PG_free, 0, structs.POISON
        for one, following in itertools.pairwise([self.head, *reversed(self.stack), self.rest]):
            k.mem_map[one].next, k.mem_map[following].prev = following, one
        k.zone[self.node].free, k.zone[self.node].lowest_free = self.free, self.lowest


class Rounds:
    """What happens follows from what is pending and from the lists.  Once these are as before, all that repeats."""

    def __init__(self):
        self.seen, self.effort = {}, 0

    def skip(self, heap, lists, counts, stop, tracing):
        """(heap, counts) after all whole rounds before `stop`; counts: timers added, packets arrived, lost, given."""
        time, lost = heap[0][0], counts[2]
        ahead = [(at - time, what, of) for at, _, what, of, _, _ in sorted(heap) if what in PACKETS]
        state = (*ahead, *((*one.stack, one.rest) for one in lists), lost * tracing)  # the trace holds each
        self.effort += sum(map(len, state[:-1]))
        now = time, *counts
        length, *more = (x - y for x, y in zip(now, self.seen.setdefault(state, now), strict=True))
        rounds = length and (stop - 1 - time) // length
        if not rounds:
            return heap, counts
        self.effort = EFFORT  # what is left is less than a round
        heap = sorted((at + rounds * length, number + rounds * more[0], *rest) if rest[0] in PACKETS else
                      (at, number, *rest) for at, number, *rest in heap)  # fmt: skip
        return heap, tuple(x + rounds * y for x, y in zip(counts, more, strict=True))


def packets(k, stop):
    """Let the interrupts, and the packets that end, before `stop` happen; nothing else may be due before.

    The tables are then as after run_timer() for each of them, but for the row at which the timers begin.
    """
    rows = [k.timer[k.sys.first_timer + i] for i in range(k.sys.nr_timers)]
    heap = sorted((t.time, t.added, t.kind, t.a, t.b, t.c) for t in rows)
    lists = [FreeList(k, node) for node in range(k.sys.nr_nodes)]
    zonelists = [[lists[k.zonelist[node][i]] for i in range(len(lists))] for node in range(len(lists))]
    home = {}  # the list from which a page has been taken, or to which it goes
    added, arrived, lost, given = k.sys.timers_added, 0, 0, 0
    rounds = Rounds()
    while heap and heap[0][0] < stop:
        if heap[0][2] == INTERRUPT and rounds.effort < EFFORT:
            counts = added, arrived, lost, given
            heap, (added, arrived, lost, given) = rounds.skip(heap, lists, counts, stop, k.sys.tracing)
        time, _, kind, a, _, _ = heapq.heappop(heap)
        k.sys.clock = max(k.sys.clock, time)
        if kind != INTERRUPT:
            if a not in home:
                home[a] = lists[k.mem_map[a].node]
            home[a].free += 1
            home[a].stack.append(a)
            given += 1
            continue
        period, hold = lists[a].period, lists[a].hold
        if not period:
            continue
        heapq.heappush(heap, (time + period, added, INTERRUPT, a, 0, 0))
        added += 1
        arrived += 1
        found = next((one for one in zonelists[a] if one.free > one.low), None)
        if not found:
            wakeup_kswapd(k, a, ANY_NODE)
            found = next((one for one in zonelists[a] if one.free > one.mark), None)
        if found:
            pfn = found.take()
            home[pfn] = found
            heapq.heappush(heap, (time + hold, added, PACKET_DONE, pfn, 0, 0))
            added += 1
        else:
            lost += 1
            trace(k, ATOMIC_FAILED, 0, 0, a)
    for pfn in home.keys() - {pfn for one in lists for pfn in one.stack}:
        page = k.mem_map[pfn]
        page.flags, page.count, page.data, page.next, page.prev = structs.PG_slab, 1, 0, 0, 0
    for one in lists:
        one.write()
    for i, (time, number, kind, a, b, c) in enumerate(sorted(heap)):
        t = k.timer[i]
        t.time, t.added, t.kind, t.a, t.b, t.c = time, number, kind, a, b, c
    k.sys.first_timer, k.sys.nr_timers, k.sys.timers_added = 0, len(heap), added
    counts = ((structs.VM_INTERRUPTS, arrived), (structs.VM_ALLOC, arrived - lost), (structs.VM_FREE, given))
    for counter, count in (*counts, (structs.VM_ATOMIC_FAILURES, lost)):
        k.vmstat[counter] += count
