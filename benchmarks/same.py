"""Two checkouts, the same random histories: is all that comes of them equal?

python benchmarks/same.py OLD NEW [--histories 100] [--compiled] [--renamed old=new ...]

OLD and NEW are folders with a package mmsim.  Each makes seeded random machines with random tasks, files, system calls,
obstacles and shortages of memory, in a process of its own, and writes down what happened: the trace, the frames, who
has how much where, the counters, what became of each page, and each error.
"""

import argparse
import difflib
import itertools
import json
import os
import random
import re
import subprocess
import sys

FS = ("ext2", "ext3", "ext3-journalled", "xfs", "xfs-meta", "nfs", "reiserfs", "tmpfs")
STEPS = 60


def machine(rng, compiled):
    """A random machine: (Kernel, number of nodes)."""
    from mmsim import Config, Kernel, Topology

    nodes = rng.randint(1, 4)
    frames = [rng.choice([64, 96, 160]) for _ in range(nodes)]
    distance = [[10 if i == j else 20 + abs(i - j) for j in range(nodes)] for i in range(nodes)]
    topology = Topology.from_matrix(distance, frames)
    patches = rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 7, 7, sorted(rng.sample(range(1, 8), rng.randint(0, 7)))])
    options = {"swap_slots": rng.choice([0, 6, 40, 400]), "compiled": compiled}
    try:
        return Kernel(topology, Config(swap=rng.random() > 0.1), patches=patches, **options), nodes
    except ValueError:  # a subset that breaks a dependency
        return Kernel(topology, patches=7, **options), nodes


def policy(rng, nodes):
    """A random memory policy."""
    from mmsim import Policy

    some = rng.sample(range(nodes), rng.randint(1, nodes))
    return rng.choice([Policy.default(), Policy.preferred(some[0]), Policy.bind(some), Policy.interleave(some)])


def step(rng, kernel, nodes, ranges, files, sets):
    """One random call; its result."""
    tasks = list(kernel.tasks)
    task, node = rng.choice(tasks), rng.randrange(nodes)
    some, others = (rng.sample(range(nodes), rng.randint(1, nodes)) for _ in range(2))
    what = rng.randrange(26)
    mine = ranges.setdefault(task.pid, [])
    part = rng.choice(mine) if mine else None
    size = rng.randint(1, 24)
    if what < 3 or (part is None and what < 16):
        file = rng.choice([None, None, *files])
        size = min(size, file.pages) if file else size
        made = task.mmap(size, file, shared=rng.random() < 0.4, locked=rng.random() < 0.05,
                         flags=rng.choice([(), (), (), "io", "reserved", "denywrite", "shm"]))  # fmt: skip
        mine.append(made)
        return task.touch(made, write=rng.random() < 0.7)
    if what < 6 or (what == 6 and rng.random() < 0.6):
        return task.touch(part, write=rng.random() < 0.5)
    calls = {
        6: lambda: task.munmap(part), 7: lambda: task.mlock(part), 8: lambda: task.munlock(part),
        9: lambda: kernel.pin(task, part), 14: lambda: kernel.unpin(task, part),
        10: lambda: kernel.hold_lock(task, part, kernel.clock + rng.randrange(10**7)),
        11: lambda: task.mbind(part, policy(rng, nodes), move=rng.random() < 0.5, strict=rng.random() < 0.3),
        12: lambda: task.mbind(part, policy(rng, nodes), move_all=task.uid == 0, strict=rng.random() < 0.3),
        13: lambda: kernel.migrate([int(p) for p in task.pages(part)["pfn"].dropna()], node),
        15: lambda: task.numa_maps(), 16: lambda: task.write(rng.choice(files)),
        17: lambda: ranges.update({task.fork().pid: [*mine]}),
        18: lambda: task.migrate_pages(0, some, others),
        19: lambda: rng.choice(tasks).migrate_pages(task.pid, some, others),
        20: lambda: kernel.reclaim(rng.randint(1, 30)), 22: lambda: kernel.wait(rng.randrange(10**9)),
        21: lambda: kernel.interrupts(node, rng.choice([None, 5_000_000]), 40_000_000),
        23: lambda: task.set_mempolicy(policy(rng, nodes)),
        24: lambda: setattr(rng.choice(sets), "mems", some) if rng.random() < 0.5 else rng.choice(sets).attach(task),
        25: lambda: kernel.swapoff() if rng.random() < 0.2 else task.run_on(node),
    }  # fmt: skip
    return calls[what]()


def history(seed, compiled):
    """What one random history left, as text."""
    import pandas as pd

    rng = random.Random(seed)
    kernel, nodes = machine(rng, compiled)
    for number in range(rng.randint(1, 3)):
        kernel.spawn(f"t{number}", rng.randrange(nodes), uid=rng.choice([0, 1000]))
    files = [kernel.file(f"f{n}", rng.randint(4, 20), fs=rng.choice(FS)) for n in range(3)]
    some = [rng.sample(range(nodes), rng.randint(1, nodes)) for _ in range(2)]
    sets = [kernel.cpuset(f"c{n}", some[n], memory_migrate=n == 0) for n in range(2)]
    said, ranges = [], {}
    for _ in range(STEPS):
        try:
            said.append(str(step(rng, kernel, nodes, ranges, files, sets)))
        except Exception as error:  # each one is part of the outcome
            said.append(f"{type(error).__name__}: {error}")
    last = kernel.last
    tables = [kernel.events(), kernel.frames(), kernel.residency(), kernel.vmstat()]
    tables += [last.pages, last.paths] if last else []
    tables += [str(task.placement()) for task in kernel.tasks]
    with pd.option_context("display.width", None):
        return "\n".join([*said, str(kernel.clock), *(t if isinstance(t, str) else t.to_csv() for t in tables)])


def write(histories, compiled):
    """All histories of this checkout to standard output, a line of JSON each."""
    for seed in range(histories):
        print(json.dumps(history(seed, compiled)), flush=True)


def run(folder, options):
    """The process that writes the histories of a checkout."""
    command, environment = [sys.executable, __file__, "--write", *options], os.environ | {"PYTHONPATH": folder}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", metavar="OLD NEW")
    parser.add_argument("--histories", type=int, default=100)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--renamed", nargs="*", default=[], metavar="OLD=NEW", help="names of functions in the trace")
    parser.add_argument("--write", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.write:
        return write(asked.histories, asked.compiled)
    if len(asked.folders) != 2:
        parser.error(f"two folders are to be compared, not {len(asked.folders)}")
    options = [f"--histories={asked.histories}", *(["--compiled"] if asked.compiled else [])]
    old, new = (run(os.path.abspath(folder), options) for folder in asked.folders)
    differ = seen = events = 0
    for seed, (before, after) in enumerate(zip(old.stdout, new.stdout, strict=True)):
        before, after = json.loads(before), json.loads(after)
        for names in asked.renamed:
            before = re.sub(rf"\b{names.partition('=')[0]}\b", names.partition("=")[2], before)
        seen, events = seen + 1, events + before.count("\n")
        if before != after:
            differ += 1
            lines = difflib.unified_diff(before.split("\n"), after.split("\n"), n=1, lineterm="")
            print(f"history {seed} differs:", *itertools.islice(lines, 12), sep="\n")
    if old.wait() or new.wait() or seen != asked.histories:
        sys.exit("a checkout did not come to the end")
    print(f"{seen} histories, {events} lines: {differ} differ")
    return sys.exit(differ > 0)


if __name__ == "__main__":
    main()
