"""Random histories on a real kernel and on the model of its release: where they differ, made as short as can be."""

import json

from ..machine.releases import nearest_release
from ..machine.kernel import Kernel
from ..linux.vm import DISTANCES
from ..machine.topology import Topology
from .random_histories import first_difference, history, play, shrink


def machine(distances=DISTANCES):
    """The arguments of the Kernel that histories are played on."""
    return {"topology": Topology.from_matrix(distances, 2048), "swap_slots": 0}


def on_model(steps, release, distances=DISTANCES, without=()):
    """What is seen on the model after each step."""
    kernel = Kernel(release=nearest_release(release), without=without, trace=False, **machine(distances))
    return play(kernel, steps)


def compare(start, seed, histories, steps, say, progress=iter, keep=lambda _: None):
    """Play histories on a machine that `start` starts, and on the model; say where they differ, and in how few steps.

    `keep` gets what was seen on the machine, a dict a history.  Returns the shortest history of each difference, in the
    order of their seeds.
    """
    found = []

    def talk(ask):
        release = json.loads(ask(None))

        def real(steps):
            return json.loads(ask(json.dumps(steps)))

        def differs(steps):
            return first_difference(real(steps), as_json(on_model(steps, release)))

        for number in progress(range(seed, seed + histories)):
            done = history(number, steps, len(DISTANCES))
            seen = real(done)
            keep({"seed": number, "kernel": release, "steps": done, "seen": seen})
            if first_difference(seen, as_json(on_model(done, release))) is not None:
                done = shrink(done, differs)
                found.append(done)
                say(f"seed {number}: the model differs after {len(done)} steps")
                for each, one, other in zip(done, real(done), as_json(on_model(done, release)), strict=True):
                    say(f"    {json.dumps(each)}\n        {one}" + (f"\n  model {other}" if one != other else ""))
        say(f"Linux {release}: {histories} histories, {histories * steps:,} steps; {len(found)} differ from the model")

    start({"do": "histories"}, talk)
    return found


def as_json(seen):
    """What was seen, as it comes back from JSON."""
    return json.loads(json.dumps(seen))
