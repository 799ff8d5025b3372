"""Two recordings side by side: which steps of them belong together.

Events differ in number, and so does simulated time. What both machines share are the pages and the passes over them.
So both take up the same page in the same pass; the one that needs fewer events for it waits.
"""

from collections import defaultdict

from ..mm import trace

TAKEN_UP = (trace.LOCKED, trace.LOCK_BUSY, trace.LOCK_WAIT, trace.WRITEBACK_BUSY, trace.WRITEBACK_WAIT)
START, END, BETWEEN = (-1,), (float("inf"),), 99  # BETWEEN comes after every pass


def moments(recording):
    """For each step how far the work is: (lists begun, pass or BETWEEN, place of the page in the list)."""
    order, now, found = {}, (0, BETWEEN, 0), [START]
    rows = zip(recording.events[["code", "arg", "pass_"]].tolist(), recording.hands[1:].tolist(), strict=False)
    for (code, arg, pass_), (page, _) in rows:
        if code in TAKEN_UP and pass_ >= 0:
            order.setdefault(page, len(order))
        lists = now[0] + (code == trace.PASS and arg == 0)
        pass_ = pass_ if pass_ >= 0 else BETWEEN
        now = max(now, (lists, pass_, order.get(page, now[2] if now[:2] == (lists, pass_) else 0)))
        found.append(now)
    return [*found, END]


def lockstep(recording, other):
    """Pairs of steps, from the start of both to the end of both; each pair is one step onwards for one or both."""
    at = [defaultdict(list), defaultdict(list)]
    for steps, each in zip(at, (recording, other), strict=True):
        for step, moment in enumerate(moments(each)):
            steps[moment].append(step)
    pairs, here = [], [0, 0]
    for moment in sorted(at[0].keys() | at[1].keys()):
        both = [steps.get(moment, [here[i]]) for i, steps in enumerate(at)]
        for i in range(max(map(len, both))):
            here = [steps[min(i, len(steps) - 1)] for steps in both]
            pairs.append(tuple(here))
    return pairs
