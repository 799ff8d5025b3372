"""The answer to a what-if: what was asked, what came out, what is left and why, what other kernels do."""

import io
import json
import re

import pandas as pd
import pytest
from test_cli import SMALL, outcome
from test_whatif import EXAMPLE, build
from test_whatif_files import GOOD, TRIGGER

import mmsim
from mmsim import Scenario, plots
from mmsim.whatif import answer, scenarios
from mmsim.whatif.otherwise import otherwise

DRAIN = {"scale": "1/4096"}


def lines(scenario, parameters, **options):
    run = scenario.run(parameters)
    return answer.text(answer.answer(scenario, parameters, run, **options)).splitlines()


def left(run):
    return {(row["whose"], row["why"].partition(":")[0]): row["pages"] for row in run.left}


# -- what came out


def test_a_drained_node_has_what_is_pinned_and_what_nobody_maps():
    run = Scenario.load("drain-a-node").run(DRAIN)
    assert left(run) == {("database", "pinned"): 8,
                         ("page cache that nobody maps", "the call walks page tables, and no process maps it"): 256}
    assert run.figures["to_leave"] - run.figures["still_there"] == run.figures["direct"] + run.figures[
        "direct with buffers"]  # fmt: skip
    assert run.before[3, "database"] > run.after[3, "database"] == run.figures["still_there"] == 8
    assert "drop_caches" in run.left[1]["help"]
    assert "migratepages PID 3 0-2" in run.left[0]["help"]


def test_locked_memory_stays_before_2_6_21():
    drain = Scenario.load("drain-a-node")
    old, new = (drain.run(DRAIN | {"kernel.release": r}) for r in ("2.6.20", "2.6.21"))
    assert old.figures["still_there"] == 16
    assert ("database", "its vma is not migratable (VM_LOCKED)") in left(old)
    assert new.figures["still_there"] == 8


def test_what_every_node_holds_is_all_that_there_is():
    run = Scenario.load("forked-server").run(DRAIN)
    for held in (run.before, run.after):
        assert sum(held.values()) == sum(run.kernel.topology.frames)
    assert (0, "server") in run.before
    assert (0, "shared") not in run.before  # parent and workers are one job


def test_pages_that_fell_back_to_the_node_that_they_were_to_leave_are_still_there(capsys):
    old = ["run", "target-nearly-full", *SMALL, "--alone", "--set", "kernel.release=V1"]
    code, out, _ = outcome(capsys, *old)
    assert code == 1
    assert "of job: no free memory on node 1" in out
    code, _, _ = outcome(capsys, *old, "--set", "background.others.memory=0")
    assert code == 0


def test_tmpfs_without_slots_says_so():
    text = GOOD.replace('file = "ext3"\ndirty = 0.5', 'file = "tmpfs"\nshared = true\ndirty = 1')
    text = text.replace('swap = "1 MB"', "swap = 0")
    run = Scenario.loads(text).run()
    assert run.figures["still_there"] == sum(left(run).values()) == 272
    assert {why for _, why in left(run)} == {"no free swap slot"}
    assert "fallocate -l 1M /swap" in run.left[0]["help"]
    assert left(Scenario.loads(text).run({"kernel.release": "6.1"})) == {}


@pytest.mark.parametrize("release", ["V1", "6.1"])
def test_a_cpuset_without_memory_migrate_says_why_nothing_moved(release):
    text = GOOD.replace(TRIGGER, '[trigger.mems]\ncpuset = "batch"\nmems = "1"')
    text = text.replace("runs_on = 1", 'cpuset = "batch"')
    text = text.replace('mems = "0-1"', 'mems = "0-1"\nmemory_migrate = false')
    run = Scenario.loads(text).run({"kernel.release": release})
    assert run.figures["still_there"] == 272
    assert "memory_migrate" in run.left[0]["why"]
    assert "cpuset.memory_migrate" in run.left[0]["help"]


def test_each_call_has_its_answer_and_one_that_is_refused_stops_no_other():
    run = Scenario.load("drain-a-node").run(DRAIN)
    assert [a.task for a in run.answers] == ["web", "web/1", "web/2", "web/3", "web/4", "database"]
    assert [a.returned for a in run.answers] == [0, 0, 0, 0, 0, 8]
    big = '[[task]]\nname = "big"\nnode = 0\nmemory = [{name = "x", size = 900}]\n\n[[task]]\nname = "job"'
    two = GOOD.replace('[[task]]\nname = "job"', big).replace('task = "job"\nold', 'task = "all"\nold')
    two = two.replace("memory = 100", "memory = 700").replace("patches = 7", 'release = "6.1"')
    run = Scenario.loads(two.replace("size = 16", "size = 8").replace('size = "1 MB"', "size = 8")).run()
    assert [a.returned for a in run.answers if a.task in ("big", "job")] == [-12, -12]
    assert run.figures["returned"] == -12
    assert "no memory" in run.figures["error"]


def test_a_shared_page_counts_once_and_accesses_count_for_each_process():
    def family():
        kernel = build()
        kernel.tasks[0].fork().run_on(1)
        return kernel

    alone = EXAMPLE.run().figures
    both = Scenario("family", family, lambda k: k.tasks[0].migrate_pages(0, 0, 1)).run().figures
    assert alone["in_use"] == both["in_use"] == 64
    seconds = alone["break_even"] * 64 / 10_000_000
    assert alone["break_even_s"] == pytest.approx(seconds)


def test_the_rate_is_a_key_of_the_file():
    base = Scenario.loads(GOOD).run().figures
    fast = Scenario.loads(GOOD + "[report]\nrate = 1_000_000_000\n").run().figures
    assert base["break_even_s"] == pytest.approx(100 * fast["break_even_s"])
    assert base["break_even"] == fast["break_even"]


def test_sizes_and_times_are_those_of_the_full_size():
    job = Scenario.load("scheduler-moved-my-job")
    asked = [{"scale": scale} for scale in ("1/4096", "1/8192")]
    full = [answer.answer(job, given, job.run(given), others=False)["full_size"] for given in asked]
    assert full[0]["in_use"] == full[1]["in_use"] == 4 << 20
    assert full[0]["migration_ns"] == pytest.approx(full[1]["migration_ns"], rel=0.01)


CONTAINERS = """
name = "Narrow the cpuset of a container"
machine = { nodes = 3, memory = "4 MB" }
kernel = { release = "6.1", swap = "64 KB" }
cpuset = [{ name = "web", mems = "0-2" }, { name = "db", mems = "1" }]
trigger.mems = { cpuset = "web", mems = "1" }
[[task]]
name = "nginx"
cpuset = "web"
policy = "interleave:0-2"
memory = [{ name = "heap", size = "6 MB" }]
[[task]]
name = "postgres"
node = 1
cpuset = "db"
memory = [{ name = "buffers", size = "1.5 MB" }]
"""


def test_memory_that_runs_out_at_the_next_access_is_an_answer_too(tmp_path, capsys):
    file = tmp_path / "containers.toml"
    file.write_text(CONTAINERS)
    run = Scenario.load(file).run()
    assert run.figures["error"].startswith("OutOfMemory at the next access: no memory for a page of nginx")
    assert 0 < run.figures["still_there"] < run.figures["to_leave"]
    assert {row["why"].partition(":")[0] for row in run.left if row["asked"]} == {"no memory for the new pages"}
    assert all("name more nodes" in row["help"] for row in run.left if row["asked"])
    code, out, err = outcome(capsys, "run", file, "--alone")
    assert code == 1
    assert "after: none: memory ran out" in out
    assert "the OOM killer would end a task now" in err


# -- as text, and as data


@pytest.mark.parametrize("name", scenarios())
def test_the_text_fits_a_terminal_and_says_what_was_asked(name):
    scenario = Scenario.load(name)
    text = lines(scenario, DRAIN, others=False)
    assert max(map(len, text)) <= answer.WIDTH
    release = scenario.source["kernel"].get("release")
    kernel = f"Linux {release}, modelled" if release else "V1 on 2.6.14-rc5-mm1, patches 1-7: the kernel of"
    assert f"asked    {kernel}" in "\n".join(text)
    assert any(line.startswith("scale    1/4096: a machine 4,096 times smaller was run") for line in text)
    assert not any("inf" in line.split() for line in text)


def test_what_reclaim_wrote_is_said_to_be_a_matter_of_2005():
    told = "reclaim wrote that; it is modelled as in 2005"
    full = "\n".join(lines(Scenario.load("target-nearly-full"), {"scale": "1/512"}, others=False))
    assert told in " ".join(full.split())
    assert told not in " ".join(" ".join(lines(Scenario.load("drain-a-node"), DRAIN, others=False)).split())


def test_csv_and_json_have_all_of_it(capsys):
    _, out, _ = outcome(capsys, "run", "drain-a-node", *SMALL, "--json")
    said = json.loads(out)
    assert said["break_even"] is None
    assert said["full_size"]["still_there"] == 8 * 4096
    assert [call["returned"] for call in said["calls"]] == [0, 0, 0, 0, 0, 8]
    assert {row["whose"] for row in said["nodes"] if row["node"] == 3} == {"web", "database", "page cache", "free"}
    assert len(said["otherwise"]) > 1
    _, out, _ = outcome(capsys, "run", "drain-a-node", *SMALL, "--csv", "--alone")
    table = pd.read_csv(io.StringIO(out))
    assert table["left.0.why"][0] == said["left"][0]["why"]
    assert table["calls.5.returned"][0] == 8


def test_a_row_that_failed_makes_no_floats_of_the_others(capsys):
    grid = ["--grid", "kernel.patches=7,8", *SMALL, "--jobs", 1]
    _, out, _ = outcome(capsys, "sweep", "low-swap", *grid, "--csv")
    assert ",512," in out
    assert "512.0" not in out
    table = mmsim.sweep("low-swap", {"kernel.patches": [7, 8], "scale": ["1/4096"]}, jobs=1, progress=False)
    assert str(table["direct"].dtype) == "Int64"
    assert table["direct"].isna().tolist() == [False, True]
    _, out, _ = outcome(capsys, "sweep", "low-swap", *grid)
    assert max(len(line) for line in out.splitlines() if "Error" not in line) <= answer.WIDTH
    assert re.search(r"kernel\.patches=8, .*there is no", out)


def test_all_calls_are_drawn_together():
    run = Scenario.load("drain-a-node").run(DRAIN)
    together = plots.describe(plots.paths(run.migrations))
    assert f"{run.figures['direct']:,} direct" in together
    assert "8 retries exhausted (pinned)" in together


# -- what other kernels do


def test_without_swap_v1_and_2_6_16_move_nothing_and_since_2_6_18_it_is_not_needed():
    rows = otherwise(Scenario.load("low-swap"), {"kernel.swap": 0})
    assert [row["kernels"] for row in rows] == ["V1", "2.6.16 to 2.6.17", "2.6.18 to 6.12"]
    assert rows[0]["says"] == "nothing of it leaves (no free swap slot)"
    assert rows[1]["says"].startswith("nothing of it leaves (no free swap slot: without swap")
    assert rows[2]["says"] == "all of it leaves"


def test_a_parameter_that_names_another_kernel_stands_instead_of_the_files():
    drain = Scenario.load("drain-a-node")
    assert drain.plan({}).kernel.release.name == "6.1"
    assert drain.plan({"kernel.patches": 3}).kernel.release is None
    assert drain.plan({"kernel.release": "V1"}).kernel.release is None
    with pytest.raises(mmsim.whatif.ScenarioError, match=r"has its own: give one of them"):
        drain.plan({"kernel.release": "6.1", "kernel.patches": 3})


# -- threads, and memory where it is


def test_threads_on_several_nodes_access_in_shares():
    both = GOOD.replace("runs_on = 1", "runs_on = { 0 = 0.75, 1 = 0.25 }")
    texts = GOOD.replace("runs_on = 1", "runs_on = 0"), GOOD, both
    near, far, mixed = (Scenario.loads(text).run().figures for text in texts)
    for when in ("access_before", "access_after"):
        assert mixed[when] == pytest.approx(0.75 * near[when] + 0.25 * far[when])
    assert mixed["faults_ns"] == near["faults_ns"]  # it runs on node 0 for the most part
    assert mixed["break_even"] == float("inf")


def test_where_pages_are_may_differ_from_what_the_policy_says():
    text = GOOD.replace('size = "1 MB"\n\n', 'size = "1 MB"\non = 2\npolicy = "bind:0"\n\n')
    kernel = Scenario.loads(text).build({})
    job = next(task for task in kernel.tasks if task.name == "job")
    assert [job.placement().count(node) for node in (0, 2)] == [16, 256]
    assert "bind:0" in job.numa_maps()
