"""The tests, by the clock, in a fresh clone.  What is installed first is not counted."""

import os
import subprocess

from rows import Row, clone, wall


def suite(target, goal):
    """A row: what a target of the Makefile takes; all that it prints is shown if it fails."""
    with clone() as (folder, environment):
        there = {"cwd": folder, "env": environment, "capture_output": True, "text": True}
        subprocess.run(["make", f".venv/.{target}"], check=True, **there)
        took, done = wall(subprocess.run, ["make", target], **there)
    lines = done.stdout.splitlines()
    print(*lines[-2 if done.returncode == 0 else 0 :], sep="\n", flush=True)
    note = "all green" if done.returncode == 0 else f"not green: {lines[-1].strip('= ')}"
    return Row(f"make {target}", took, "s", goal, note=f"{note}; {os.cpu_count()} CPUs")
