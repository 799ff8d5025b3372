"""The reference of scenario files: every key has a sentence and an example that is taken; every recipe runs."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest
from test_cli import outcome
from test_whatif_files import GOOD, TRIGGER

from mmsim import Scenario
from mmsim.whatif.answer import WIDTH
from mmsim.whatif.schema import reference, toml

DOCS = Path(__file__).parents[1] / "docs"
TRIGGERS = {
    "migrate_pages": TRIGGER, "mbind": '[trigger.mbind]\ntask = "job"\npolicy = "bind:1"', "mems": '[trigger.mems]\n'
    'cpuset = "batch"\nmems = 0', "attach": '[trigger.attach]\ncpuset = "batch"', "kernel": "[trigger.kernel]\nto = 1",
    "offline": "[trigger.offline]\nnode = 1\nmemory = 5",
}  # fmt: skip
NAMES = {"cpuset": "cpuset.batch", "background": "background.other", "task": "task.job",
         "task.memory": "task.job.memory.heap"}  # fmt: skip


@pytest.mark.parametrize("said", [s for s in reference() if s.key], ids=lambda said: f"{said.table}.{said.key}")
def test_the_example_of_a_key_is_taken(said):
    assert re.search(r"\w", said.says)
    example = toml(said.example)
    assert tomllib.loads(f"value = {example}")["value"] == said.example
    text = GOOD.replace(TRIGGER, TRIGGERS.get(said.table.removeprefix("trigger."), TRIGGER))
    given = {"scale": "1/512", "machine.memory": "64 GB" if "GB" in str(said.example) else "8 GB"}
    given |= {"kernel.release": "6.1"} if said.key == "without" else {}
    if said.table == "machine" and said.key in ("preset", "distances"):  # instead of what the file has
        assert Scenario.loads(text.replace("nodes = 4", f"{said.key} = {example}")).plan(given)
    else:
        key = ".".join(filter(None, [NAMES.get(said.table, said.table), said.key]))
        assert Scenario.loads(text).plan(given | {key: said.example})


def test_the_page_is_what_the_schema_says():
    page = runpy.run_path(str(DOCS / "scenarios.py"))["page"]()
    assert page == (DOCS / "scenarios.md").read_text(), "run python docs/scenarios.py"


def test_the_command_prints_every_key_in_a_terminal(capsys):
    code, out, _ = outcome(capsys, "scenarios", "--keys")
    assert code == 0
    assert max(map(len, out.splitlines())) <= WIDTH
    for said in [said for said in reference() if said.key]:
        assert f"  {said.key} = " in out


def recipes():
    return re.findall(r"```toml\n(.*?)```", (DOCS / "scenarios.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("recipe", recipes(), ids=lambda text: text.strip().splitlines()[0][:30])
def test_a_recipe_runs(recipe):
    parts = {
        "machine": 'machine = { preset = "opteron-4s", memory = "16 GB" }\n', "[[task]]": '[[task]]\nname = "job"\n'
        'memory = [{ name = "heap", size = "1 GB" }]\n', "[kernel]": '[kernel]\nswap = "4 GB"\n',
        "[trigger.": '[trigger.migrate_pages]\nold = 0\nnew = 1\n',
    }  # fmt: skip
    missing = "\n".join(text for begin, text in parts.items() if begin not in recipe)
    run = Scenario.loads(f'name = "a recipe"\nscale = "1/1024"\n{missing}\n{recipe}').run()
    assert run.figures["to_leave"] > 0
    assert run.figures["error"] == ""
