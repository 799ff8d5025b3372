"""Scenario files: each mistake is refused with its key and a hint; each shipped scenario is one that runs."""

import contextlib
import copy
import itertools
import random
import re
import tomllib

import pytest

from mmsim import Scenario, history, sweep
from mmsim.whatif import ScenarioError, scenarios
from mmsim.whatif.scenario import SHIPPED, check
from mmsim.whatif.schema import SCENARIO, Table, Tables
from mmsim.whatif.sweeps import value_of

GOOD = """
name = "a test"

[machine]
nodes = 4
memory = "4 MB"

[kernel]
patches = 7
swap = "1 MB"
costs = "two-socket"

[[cpuset]]
name = "batch"
mems = "0-1"

[[background]]
name = "other"
node = 1
memory = 100

[[task]]
name = "job"
node = 0
runs_on = 1

[[task.memory]]
name = "heap"
size = "1 MB"

[[task.memory]]
name = "data"
size = 16
file = "ext3"
dirty = 0.5

[trigger.migrate_pages]
task = "job"
old = 0
new = 1
"""
MBIND = '[trigger.mbind]\ntask = "job"\npolicy = "bind:1"\n'
TRIGGER = GOOD[GOOD.index("[trigger") :]


def load(tmp_path, text):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    return Scenario.load(file)


def test_the_file_without_a_mistake(tmp_path):
    figures = load(tmp_path, GOOD).run().figures
    assert figures["direct"] + figures["direct with buffers"] == 256 + 16
    assert figures["error"] == ""


# what is written instead of what; the key that the message names; the hint that leads to the repair
MISTAKES = [
    # the file as such
    ('name = "a test"', "name = a test", "line 2, column 8", "not TOML"),
    ('name = "a test"', "", "the file", "'name' is missing"),
    ('name = "a test"', "name = 3", "name is 3", "it is a text"),
    ("[machine]", "[machines]", "no key 'machines'", "did you mean 'machine'?"),
    ('[machine]\nnodes = 4\nmemory = "4 MB"', "machine = 4", "machine is 4", r"write \[machine\]"),
    (TRIGGER, "", "'trigger' is missing", "no default"),
    ("[kernel]", "scale = 0\n[kernel]", "machine has no key 'scale'", "There are: preset, nodes"),
    ('name = "a test"', 'name = "a test"\nscale = 0', "scale is 0", '0.001 or "1/1024"'),
    ('name = "a test"', 'name = "a test"\nscale = "half"', "scale is 'half'", "a number above 0"),
    # the machine
    ("nodes = 4", "", "machine", "give one of preset, nodes and distances, not 0"),
    ("nodes = 4", 'nodes = 4\npreset = "altix-8n"', "machine", "not 2 of them"),
    ("nodes = 4", 'preset = "altix"', "machine.preset is 'altix'", "did you mean 'altix-8n'?"),
    ("nodes = 4", "nodes = 99", "machine.nodes is 99", "whole number from 1 to"),
    ("nodes = 4", "nodes = 2.5", "machine.nodes is 2.5", "whole number"),
    ("nodes = 4", "nodes = 4\nremote = 10", "machine.remote is 10", "from 11 to 254"),
    ("nodes = 4", "distances = [[10, 20], [20, 11]]", "machine.distances", r"distances\[1\]\[1\] is 11"),
    ("nodes = 4", "distances = [[10, 20]]", "machine.distances", "the matrix must be 1 x 1"),
    ("nodes = 4", "distances = 5", "machine.distances is 5", "a row of numbers for each node"),
    ("nodes = 4", 'distances = [[10, "far"], [20, 10]]', "machine.distances", "is 'far'; it is a whole number"),
    ('memory = "4 MB"', 'memory = [0, 0, 0, 0]', "machine", "some node must have memory"),
    ('memory = "4 MB"', 'memory = "4 QB"', "machine.memory is '4 QB'", "units: KB, KiB, MB"),
    ('memory = "4 MB"', "memory = true", "machine.memory is True", 'as in "16 GB"'),
    ('memory = "4 MB"', "memory = [512, 512]", "machine", "2 numbers for 4 nodes; give one a node"),
    ('memory = "4 MB"', "memory = 16", "machine", "at least 32"),
    ('memory = "4 MB"', 'memory = "9999 TB"', "machine.memory is '9999 TB'", "at most 1,073,741,824 pages, 4 TB"),
    ('memory = "4 MB"', 'memory = "3 TB"', "machine: memory: 3,221,225,472 pages in all", "4 TB"),
    ('name = "a test"', 'name = "a test"\nscale = inf', "scale is inf", "a number above 0"),
    ('memory = "4 MB"', 'memmory = "4 MB"', "machine has no key 'memmory'", "did you mean 'memory'?"),
    # the kernel
    ("patches = 7", "patches = 8", "kernel.patches is 8", "numbered 1 to 7"),
    ("patches = 7", "patches = [1, 4]", r"kernel.patches is \[1, 4\]", "needs patch 3, which is missing"),
    ("patches = 7", 'release = "6.99"', "kernel.release is '6.99'", "the nearest that the model knows is 6.12"),
    ("patches = 7", "release = 6.1", "kernel.release is 6.1", "it is text"),
    ("patches = 7", 'patches = 3\nrelease = "6.1"', "kernel: patches is", "release 6.1 has its own"),
    ("patches = 7", 'release = "6.1"\nwithout = "file-pte"', "kernel: without", "did you mean 'file-ptes'?"),
    ("patches = 7", 'without = "file-ptes"', "kernel: without", "name a release"),
    ("patches = 7", 'patches = "all"', "kernel.patches is 'all'", r"an int from 0 to 7"),
    ('swap = "1 MB"', 'swap = "-1 MB"', "kernel.swap is '-1 MB'", "a number of pages, or a text"),
    ('costs = "two-socket"', 'costs = "twosocket"', "kernel.costs.preset is 'twosocket'", "two-socket"),
    ('costs = "two-socket"', "costs = {copi = 3}", "kernel.costs has no key 'copi'", "did you mean 'copy'?"),
    ('costs = "two-socket"', "costs = {copy = -3}", "kernel.costs.copy is -3", "whole number from 0"),
    ('costs = "two-socket"', "config = {numa = 1}", "kernel.config.numa is 1", "true or false"),
    ('costs = "two-socket"', "config = {hugetlb = true}", "kernel.config has no key 'hugetlb'", "There are: numa"),
    # cpusets and background
    ('mems = "0-1"', "", "cpuset.batch: the key 'mems' is missing", "no default"),
    ('mems = "0-1"', 'mems = "0-7"', "cpuset.batch.mems is '0-7'", "nodes 0 to 3"),
    ('mems = "0-1"', "mems = []", r"cpuset.batch.mems is \[\]", "at least one node"),
    ('mems = "0-1"', 'mems = 0\nparent = "bath"', "cpuset.batch.parent is 'bath'", "did you mean 'batch'?"),
    ("[[cpuset]]", "[cpuset]", "cpuset is", r"begin each one with \[\[cpuset\]\]"),
    ("memory = 100", 'interrupts = "20 min"', "background.other.interrupts is '20 min'", "units: ns, us, ms, s"),
    ("memory = 100", 'interrupts = "99999999999 s"', "background.other.interrupts is", "at most 1,0"),
    ("node = 1\nmemory", "node = 4\nmemory", "background.other.node is 4", "nodes 0 to 3"),
    # tasks and their memory
    ('name = "job"', "", "task.0: the key 'name' is missing", "no default"),
    ('name = "job"', 'name = "my job"', "task.my job.name is 'my job'", "letters, digits"),
    ('name = "job"', 'name = "all"', "task.all.name is 'all'", "all tasks"),
    ("[[cpuset]]", '[[task]]\nname = "job"\nmemory = []\n[[cpuset]]', "task: two are called 'job'", "of its own"),
    ("runs_on = 1", "run_on = 1", "task.job has no key 'run_on'", "did you mean 'runs_on'?"),
    ("runs_on = 1", 'runs_on = "1"', "task.job.runs_on is '1'", "the number of a node"),
    ("runs_on = 1", 'cpuset = "bacth"', "task.job.cpuset is 'bacth'", "did you mean 'batch'?"),
    ("runs_on = 1", 'policy = "bnd:0"', "task.job.policy is 'bnd:0'", "did you mean 'bind'?"),
    ("runs_on = 1", 'policy = "bind:9"', "task.job.policy is 'bind:9'", "no node 9"),
    ("runs_on = 1", 'policy = "bind"', "task.job.policy is 'bind'", "bind needs a node"),
    ("runs_on = 1", "children = -1", "task.job.children is -1", "from 0 to 1,000"),
    ("runs_on = 1", "copied = 5", "task.job.copied is 5", "from 0 to 1"),
    ('size = "1 MB"', "", "task.job.memory.heap: the key 'size' is missing", "no default"),
    ('size = "1 MB"', 'size = "64 MB"', "the tasks take 16,400 pages", "machine.memory"),
    ('file = "ext3"', 'file = "ext4"', "task.job.memory.data.file is 'ext4'", "did you mean 'ext3'?"),
    ("dirty = 0.5", 'dirty = "50 %"', "task.job.memory.data.dirty is '50 %'", "a number from 0 to 1"),
    ("dirty = 0.5", 'shared = "yes"', "task.job.memory.data.shared is 'yes'", "true or false"),
    # the trigger, the report, the grid
    ("[trigger.migrate_pages]", "[trigger.migrate]", "trigger has no key 'migrate'", "did you mean 'migrate_pages'?"),
    (TRIGGER, TRIGGER + MBIND, "trigger: give one of", "not 2 of them"),
    (TRIGGER, "[trigger]\n", "trigger: give one of", r"\[trigger.mbind\]"),
    ('task = "job"', 'task = "jobb"', "trigger.migrate_pages.task is 'jobb'", "did you mean 'job'?"),
    ("new = 1", "new = 4", "trigger.migrate_pages.new is 4", "nodes 0 to 3"),
    ("new = 1", 'new = "1-0"', "trigger.migrate_pages.new is '1-0'", "runs backwards"),
    ("new = 1", "to = 1", "trigger.migrate_pages has no key 'to'", "There are: task, old, new"),
    ('name = "other"', 'name = "job"', "task.job.name is 'job'", "a background load has this name"),
    (TRIGGER, MBIND + 'memory = "haep"', "trigger.mbind.memory is 'haep'", "did you mean 'heap'?"),
    (TRIGGER, MBIND.replace("bind:1", "bind"), "trigger.mbind.policy is 'bind'", "needs a node"),
    (TRIGGER, '[trigger.mems]\ncpuset = "b"\nmems = 0', "trigger.mems.cpuset is 'b'", "There are: batch"),
    (TRIGGER, "[trigger.kernel]\nto = -1", "trigger.kernel.to is -1", "nodes 0 to 3"),
    (TRIGGER, "[trigger.offline]\nnode = 1", "trigger.offline: .*'memory' is missing", "no default"),
    (TRIGGER, '[trigger.offline]\nnode = 4\nmemory = 1', "trigger.offline.node is 4", "nodes 0 to 3"),
    (TRIGGER, "[trigger.offline]\nnode = 1\nmemory = 0", "trigger.offline.memory is 0", "at least one page"),
    (TRIGGER, '[trigger.offline]\nnode = 1\nstart = "1 MB"\nmemory = "3.5 MB"', "trigger.offline.memory is '3.5 MB'",
     "at most what node 1 has from its page 256 on: 768 pages"),
    (TRIGGER, TRIGGER + '[report]\ntasks = ["jobs"]', "report.tasks is", "did you mean 'job'?"),
    (TRIGGER, TRIGGER + '[report]\nfigures = ["brake_even"]', "report.figures is", "did you mean 'break_even'?"),
    (TRIGGER, TRIGGER + "[grid]\npatches = 7", "grid is", "a list of values"),
    (TRIGGER, TRIGGER + '[grid]\n"kernel.patchs" = [7]', "kernel.patchs", "did you mean 'patches'?"),
    (TRIGGER, TRIGGER + '[grid]\n"task.jb.node" = [0]', "task.jb", "did you mean 'job'?"),
    (TRIGGER, TRIGGER + '[grid]\n"kernel.patches" = [7, 8]', "kernel.patches is 8", "numbered 1 to 7"),
    (TRIGGER, TRIGGER + '[grid]\n"task.job" = [7]', "task.job is not one value", "keys below it: name, node"),
    (TRIGGER, TRIGGER + '[grid]\n"task.job.node.0" = [7]', "task.job.node.0 is not one value", "below it: none"),
]


VALUES = [None, 0, -1, 3, 1.5, "", "x", "8 GB", "bind:9", [], [3], ["x"], [[10]], {}, {"a": 1}, True, 10**12]


@pytest.mark.parametrize("name", scenarios())
def test_a_file_that_is_damaged_anywhere_is_read_or_refused_by_name(name):
    rng = random.Random(name)
    whole = tomllib.loads((SHIPPED / f"{name}.toml").read_text())
    for _ in range(60):
        document = copy.deepcopy(whole)
        place = document
        while True:
            key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
            if not (isinstance(place[key], (dict, list)) and place[key] and rng.random() < 0.7):
                break
            place = place[key]
        place[key] = rng.choice(VALUES)
        with contextlib.suppress(ScenarioError):
            check(("mine.toml", document), rng.choice([{}, {"task.job.node": 1}, {"machine.nodes": 2}]))


def test_there_are_enough_mistakes():
    assert len(MISTAKES) >= 40
    assert len({new for _, new, _, _ in MISTAKES}) >= 40


@pytest.mark.parametrize(("old", "new", "key", "hint"), MISTAKES, ids=lambda text: text[-24:].strip())
def test_a_mistake_is_refused_with_its_repair(tmp_path, old, new, key, hint):
    assert old in GOOD
    with pytest.raises(ScenarioError, match=key) as refused:
        load(tmp_path, GOOD.replace(old, new, 1))
    assert str(refused.value).startswith(f"{tmp_path / 'mine.toml'}: ")
    assert re.search(hint, str(refused.value)), str(refused.value)


def test_a_scenario_that_is_not_there(tmp_path):
    with pytest.raises(ScenarioError, match=r"did you mean 'drain-a-node'\? There are: bad-memory, bind-a-hot-table"):
        Scenario.load("drain-node")
    with pytest.raises(ScenarioError, match=r"none\.toml: No such file"):
        Scenario.load(tmp_path / "none.toml")


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "picture.toml").write_bytes(b"\x89PNG\xff")
    with pytest.raises(ScenarioError, match=r"picture\.toml: 'utf-8' codec"):
        Scenario.load(tmp_path / "picture.toml")


def test_a_mark_of_the_byte_order_is_no_mistake(tmp_path):
    (tmp_path / "notepad.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert Scenario.load(tmp_path / "notepad.toml").run().figures["error"] == ""
    (tmp_path / "powershell.toml").write_text(GOOD, encoding="utf-16")
    with pytest.raises(ScenarioError, match=r"powershell\.toml: .*; save it as UTF-8"):
        Scenario.load(tmp_path / "powershell.toml")


@pytest.mark.parametrize("depth", [200, 300, 400, 3_000])
def test_brackets_in_brackets(tmp_path, depth):
    with pytest.raises(ScenarioError, match=r"mine\.toml: "):
        load(tmp_path, GOOD.replace("nodes = 4", "distances = " + "[" * depth + "]" * depth))


NASTY = [
    "''", "'x'", "0", "-1", "2.5", "1e300", "inf", "nan", "true", "[]", "[[]]", "{}", "[1, 'a']", "[true]", "[{a = 1}]",
    "99999999999999999999999", "'999999999999999999999 TB'", "1979-05-27", "'0-99999999999'", "[99999999999999999999]",
    "'1e999999'", "'1/0'", "'99999999999999 s'", "'bind:0-99999999999'", "[[10, 20], [20, 'a']]", "[" * 300 + "]" * 300,
]


def keys(what, path=()):
    """The dotted keys that a scenario file may have."""
    names = {"cpuset": "batch", "background": "other", "task": "job", "memory": "heap"}
    table, path = (what.table, (*path, names[path[-1]])) if isinstance(what, Tables) else (what, path)
    for key, (reader, *_) in table.keys.items():
        yield ".".join((*path, key))
        if isinstance(reader, (Table, Tables)):
            yield from keys(reader, (*path, key))


def test_no_value_of_any_key_ends_in_a_traceback():
    scenario, refused = Scenario.loads(GOOD), 0
    for key, text in itertools.product(keys(SCENARIO), NASTY):
        try:
            scenario.plan({key: value_of(text)})
        except ScenarioError as error:
            refused += 1
            assert str(error).startswith("the text: ")  # noqa: PT017
    assert refused > 1_500


def test_a_table_is_set_before_the_keys_in_it(tmp_path):
    costs = {"kernel.costs.copy": 5, "kernel.costs": "two-socket"}
    for parameters in (costs, dict(reversed(costs.items()))):
        plan = load(tmp_path, GOOD).plan(parameters)
        assert (plan.kernel.costs.copy, plan.kernel.costs.access) == (5, 90)
    with pytest.raises(ScenarioError, match=r"task is 5: begin each one with \[\[task\]\]"):
        load(tmp_path, GOOD).plan({"task": 5, "task.job.node": 1})


def test_sizes_are_pages_or_have_a_unit(tmp_path):
    for text, pages in (('"1 MB"', 256), ('"1MiB"', 256), ('"0.5 MB"', 128), ("100", 100), ('"6 KB"', 2)):
        scenario = load(tmp_path, GOOD.replace('"1 MB"\n\n[[task.memory]]', f"{text}\n\n[[task.memory]]"))
        assert scenario.run().figures["in_use"] == pages + 16


def test_the_scale_multiplies_every_size(tmp_path):
    run = load(tmp_path, GOOD).run({"scale": 0.5})
    assert run.figures["in_use"] == 128 + 8
    assert run.kernel.topology.frames == (512,) * 4
    assert run.kernel.tables["sys"]["swap_slots"][0] == 128


# -- the shipped ones


@pytest.mark.parametrize("name", scenarios())
def test_a_shipped_scenario_runs_small_and_answers_its_question(name):
    run = Scenario.load(name).run({"scale": "1/4096"})
    run.kernel.verify()
    assert run.figures["error"] == ""
    assert run.figures["in_use"] > 0
    assert run.figures["direct"] + run.figures["direct with buffers"] > 0


def test_shipped_scenarios_are_real_questions_of_real_size():
    assert len(scenarios()) >= 8
    for name, question in scenarios().items():
        assert question.endswith("?"), name
        document = tomllib.loads((SHIPPED / f"{name}.toml").read_text())
        assert document["machine"]["memory"].endswith("GB"), name
        assert document["grid"], name


# -- what a file says is what is built


@pytest.mark.parametrize(
    ("trigger", "node", "moved"),
    [
        ('[trigger.attach]\ntask = "job"\ncpuset = "right"', 2, 264),
        ('[trigger.mems]\ncpuset = "batch"\nmems = 2', 2, 264),
        ('[trigger.kernel]\ntask = ["job"]\nto = 2', 2, 264),
        ('[trigger.mbind]\ntask = "job"\nmemory = "heap"\npolicy = "bind:1"', 1, 256),
    ],
)
def test_every_trigger_moves_the_job(tmp_path, trigger, node, moved):
    text = GOOD.replace(TRIGGER, trigger).replace("runs_on = 1", 'cpuset = "batch"')
    text = text.replace("[[background]]", '[[cpuset]]\nname = "right"\nmems = "2-3"\n\n[[background]]')
    run = load(tmp_path, text).run()
    run.kernel.verify()
    job = next(task for task in run.kernel.tasks if task.name == "job")
    assert run.figures["direct"] == moved
    assert set(job.placement()) == ({0, node} if "mbind" in trigger else {node})


def test_bad_memory_of_a_node_is_taken_out_of_use(tmp_path):
    trigger = '[trigger.offline]\nnode = 1\nstart = "1 MB"\nmemory = "2 MB"'
    run = load(tmp_path, GOOD.replace(TRIGGER, trigger).replace("node = 0", "node = 1")).run()
    run.kernel.verify()
    offline = run.kernel.frames().query("state == 'offline'").index
    assert offline.tolist() == list(range(1024 + 256, 1024 + 768))
    assert (run.figures["offline"], run.figures["returned"]) == (512, 0)
    assert run.migrations[0].trigger == "offline"
    assert run.figures["direct"] > 0


def test_mbind_is_for_one_task_even_if_its_name_contains_another(tmp_path):
    other = '[[task]]\nname = "jo"\n\n[[task.memory]]\nname = "heap"\nsize = 8\n\n[[task]]\nname = "job"'
    run = load(tmp_path, GOOD.replace(TRIGGER, MBIND).replace('[[task]]\nname = "job"', other)).run()
    placed = {task.name: set(task.placement()) for task in run.kernel.tasks}
    assert placed["jo"] == {0}
    assert 1 in placed["job"]


def test_a_plan_becomes_a_machine(tmp_path):
    text = GOOD.replace("runs_on = 1", 'policy = "interleave:0-1"\nchildren = 2\ncopied = 0.25\nruns_on = 3')
    text = text.replace('size = "1 MB"', 'size = "1 MB"\npinned = 0.5').replace("size = 16", "size = 16\nlocked = true")
    run = load(tmp_path, text.replace("new = 1", "new = 2")).run()
    tasks = {task.name: task for task in run.kernel.tasks}
    assert {"other", "job", "job/1", "job/2"} <= set(tasks)
    assert {tasks[name].node for name in ("job", "job/1", "job/2")} == {3}
    assert str(tasks["job"].policy) == "interleave:0-1"
    assert run.figures["in_use"] == 256 + 16 + 2 * (64 + 4)  # what is shared counts once; without the background
    assert run.figures["retries exhausted"] == 64  # half of the heap is pinned, and half of that on node 0
    assert run.figures["not collected"] == 8  # what is locked
    frames = {pfn for name in ("job", "job/1", "job/2") for pfn in tasks[name].pages()["pfn"]}
    assert len(frames) == 256 + 16 + 2 * (64 + 4)  # a quarter is copied, also of a file that is mapped privately


def test_a_file_names_its_kernel_and_the_answer_does_too(tmp_path):
    scenario = load(tmp_path, GOOD.replace("patches = 7", 'release = "6.1"\nwithout = ["file-ptes"]'))
    run = scenario.run()
    assert run.figures["kernel"] == "Linux 6.1, modelled, without file-ptes"
    assert (run.kernel.release, run.kernel.without) == ("6.1", ("file-ptes",))
    for patches, name in ((7, "1-7"), ([1, 3, 4], "1,3-4"), (0, "none")):
        assert load(tmp_path, GOOD).run({"kernel.patches": patches}).figures["kernel"] == (
            f"V1 on 2.6.14-rc5-mm1, patches {name}")  # fmt: skip


def test_a_grid_of_releases(tmp_path):
    grid = {"kernel.release": ["V1", "2.6.16", "6.1"]}
    table = sweep(load(tmp_path, GOOD + '[report]\nfigures = "direct"\n'), grid, 1, progress=False)
    assert list(table.columns) == ["kernel.release", "kernel", "direct", "error"]
    assert table["kernel"].tolist() == [
        "V1 on 2.6.14-rc5-mm1, patches 1-7", "Linux 2.6.16, modelled", "Linux 6.1, modelled"]  # fmt: skip
    assert (table["error"] == "").all()


def test_a_history_of_a_file(tmp_path):
    told = history(load(tmp_path, GOOD), ["2.6.14", "V1", "2.6.17", "2.6.18"])
    assert told.facts.loc["ends with", "2.6.14"] == "-EINVAL"  # a cpuset has no memory_migrate yet
    assert told.facts.loc["faults"].tolist()[1:] == [272, 272, 0]
    faults = told.changed[(told.changed["fact"] == "faults") & (told.changed["release"] == "2.6.18")]
    assert faults["change"].tolist() == ["migration-entries"]
    assert "kernel" not in told.facts.index
