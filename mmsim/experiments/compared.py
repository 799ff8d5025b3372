"""Random histories on a real kernel and on the model of its release: where they differ, made as short as can be."""

import json

from ..machine.releases import nearest_release
from ..machine.kernel import Kernel
from ..linux.vm import DISTANCES
from ..machine.topology import Topology
from .random_histories import first_difference, history, play, shrink


def on_model(steps, release, distances=DISTANCES, without=()):
    """What is seen on the model after each step."""
    topology = Topology.from_matrix(distances, 2048)
    return play(Kernel(topology, release=nearest_release(release), without=without, swap_slots=0, trace=False), steps)


def compare(start, seed, histories, steps, say, progress=iter):
    """Play histories on a machine that `start` starts, and on the model; say where they differ, and in how few steps.

    Returns the shortest history of each difference, in the order of their seeds.
    """
    found = []

    def talk(ask):
        release = json.loads(ask(None))

        def differs(steps):
            return first_difference(json.loads(ask(json.dumps(steps))), as_json(on_model(steps, release)))

        for number in progress(range(seed, seed + histories)):
            done = history(number, steps, len(DISTANCES))
            if differs(done) is not None:
                done = shrink(done, differs)
                found.append(done)
                say(f"seed {number}: the model differs after {len(done)} steps")
                real, model = json.loads(ask(json.dumps(done))), as_json(on_model(done, release))
                for each, one, other in zip(done, real, model, strict=True):
                    say(f"    {json.dumps(each)}\n        {one}" + (f"\n  model {other}" if one != other else ""))
        say(f"Linux {release}: {histories} histories, {histories * steps:,} steps; {len(found)} differ from the model")

    start({"do": "histories"}, talk)
    return found


def as_json(seen):
    """What was seen, as it comes back from JSON."""
    return json.loads(json.dumps(seen))
