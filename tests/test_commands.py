"""Every command that the README, the docs and the lessons show is run by a test: here, or where TESTED says."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTED = {  # what is too long for here, or needs a browser: the file that runs it
    "make test": ".ci/run",
    "make test-all": ".ci/run",
    "make lint": ".ci/run",  # make test begins with it
    "bash .ci/run": ".github/workflows/test.yml",
    "make lab": "tests/browser/test_doors.py",
    "make lab NO_BROWSER=1": "tests/browser/test_doors.py",
    "mmsim lab": "tests/test_cli.py",
    "mmsim sweep mine.toml --cluster tcp://scheduler:8786 --keep rows.jsonl": "tests/test_cluster.py",
    "make app": "tests/browser/test_doors.py",
    "make site": "tests/browser/test_site.py",
    "make dist": "tests/release/test_dist.py",
    "make student": "tests/test_student.py",
    "make bench": "tests/test_bench.py",
    "python -m mmsim.machine.compiled": "binder/postBuild",  # which tests/release/test_binder.py runs
    "mmsim run huge-database": "tests/test_answer.py",  # small there: it takes 17 GB of memory
    "mmsim record": "tests/test_experiments.py",
    "mmsim record mine.jsonl": "tests/test_experiments.py",
    "mmsim record FILE": "tests/test_experiments.py",
    "python -m mmsim record mine.jsonl": "tests/test_experiments.py",
    "mmsim vm": "tests/test_histories.py",
    "mmsim vm record": "tests/test_histories.py",
    "mmsim vm record mine.jsonl": "tests/test_histories.py",
    "mmsim vm experiment.py": "tests/test_histories.py",
    "mmsim vm --histories": "tests/test_histories.py",
    "mmsim vm --histories 100 record mine.jsonl": "tests/test_histories.py",
    "mmsim vm --histories 100 --seed 1": "tests/test_histories.py",
    ".venv/bin/python": "tests/test_readme.py",
}
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

MINE = """
name = "A small job"
machine = { preset = "two-socket", memory = "64 MB" }
kernel.swap = "16 MB"
trigger.migrate_pages = { task = "job", old = 0, new = 1 }
[[task]]
name = "job"
runs_on = 1
node = 0
[[task.memory]]
name = "heap"
size = "4 MB"
"""


def shown(text):
    """The commands in a text: lines of blocks of shell, and commands between backticks."""
    blocks = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    begin = r"make [a-z]|bash |\.venv/bin/|python -m|mmsim (?:run|sweep|history|verify|record|vm|scenarios|lab)\b"
    lines += re.findall(rf"`((?:{begin})[^`\n]*)`", text)
    commands = (re.sub(r"\s+#.*", "", line).strip().removeprefix(".venv/bin/mmsim") for line in lines)
    return {f"mmsim{c}" if c.startswith(" ") else c for c in (c.removeprefix("$ ") for c in commands) if c}


def all_shown():
    texts = [file.read_text() for file in TEXTS]
    for file in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(file.read_text())["cells"]  # unlike nbformat, without judging their form
        texts += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    return sorted(set().union(*map(shown, texts)))


SHOWN = all_shown()


@pytest.fixture
def folder(tmp_path):
    """Where one command runs: a reader's folder, with what the reader's own files may be called."""
    (tmp_path / "mine.toml").write_text(MINE)
    shutil.copy(ROOT / "tests/oracle/linux-6.1.jsonl", tmp_path / "mine.jsonl")
    return tmp_path


# A process for each of these takes long; what they say is seen in test_cli.py and test_verify_records.py.
LONG = {command for command in SHOWN if command.startswith("mmsim ")} - {*TESTED}


@pytest.mark.parametrize(
    "command", [pytest.param(one, marks=pytest.mark.full) if one in LONG else one for one in SHOWN]
)
def test_command(command, folder):
    if command in TESTED:
        assert (ROOT / TESTED[command]).exists()
    elif command.startswith("python -m pytest "):
        assert (ROOT / command.split()[-1]).exists()
    elif command == "make figures":
        code = "import runpy, sys, pathlib; main = runpy.run_path('docs/figures.py')['main']; "
        code += f"main.__globals__['IMG'] = pathlib.Path({str(folder)!r}); main()"
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
        assert {file.name for file in (ROOT / "docs/img").iterdir()} <= {file.name for file in folder.iterdir()}
    elif command == "make pins":
        assert "pin.py" in (ROOT / "Makefile").read_text()
    elif command == "make clean":  # only seen, not run: it would remove the Python that runs this
        said = subprocess.run(["make", "-n", "clean"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        assert "rm -rf .venv" in said
        assert "my-lessons" not in said
    else:
        assert shlex.split(command)[0] == "mmsim", f"no test runs {command!r}"
        line = f"{shlex.quote(sys.executable)} -m {command}"
        done = subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
