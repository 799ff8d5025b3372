"""The tests, by the clock, in a fresh clone: `make test`, `make test-all`.  What is installed first is not counted."""

import os
import subprocess

from rows import Row, clone, wall


def rows(small=False):
    """The rows of the tests."""
    with clone() as (folder, environment):
        for target, goal in (("test", 180), ("test-all", 600)):
            there = {"cwd": folder, "env": environment, "capture_output": True, "text": True}
            subprocess.run(["make", f".venv/.{target}"], check=True, **there)
            took, done = wall(subprocess.run, ["make", target], **there)
            print(*done.stdout.splitlines()[-2 if done.returncode == 0 else 0 :], sep="\n", flush=True)
            note = "all green" if done.returncode == 0 else f"not green: {done.stdout.splitlines()[-1]}"
            yield Row(f"make {target}", took, "s", goal, note=f"{note}; {os.cpu_count()} CPUs")
