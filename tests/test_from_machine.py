"""A scenario of one's own machine, read from it or from what was pasted; nothing private is written."""

import os
import sys

import pytest
from test_cli import outcome

from mmsim import Scenario
from mmsim.whatif import ScenarioError, from_machine

NUMACTL = """available: 2 nodes (0,2)
node 0 cpus: 0 1 2 3
node 0 size: 2000 MB
node 0 free: 900 MB
node 2 cpus: 4 5 6 7
node 2 size: 1000 MB
node 2 free: 990 MB
node distances:
node   0   2
  0:  10  21
  2:  21  10
"""
MAPS = """00400000 default file=/opt/secret/bin/java mapped=512 mapmax=3 N0=512 kernelpagesize_kB=4
00600000 default file=/opt/secret/bin/java anon=2 dirty=2 N0=2 kernelpagesize_kB=4
01000000 default heap anon=1000 dirty=1000 active=0 N0=750 N2=250 kernelpagesize_kB=4
7f0000000000 bind:0 anon=10240 dirty=10240 N0=10240 kernelpagesize_kB=4
7f1000000000 prefer (many):0,2 anon=4 dirty=4 N0=4 kernelpagesize_kB=4
7f2000000000 interleave:0,2 file=/dev/shm/customers dirty=256 N0=128 N2=128 kernelpagesize_kB=4
7f3000000000 default huge anon=3 dirty=3 N2=3 kernelpagesize_kB=2048
7fffff000000 default stack anon=3 dirty=3 N0=3 kernelpagesize_kB=4
7fffff100000 default
"""


@pytest.fixture
def pasted(tmp_path):
    (tmp_path / "hardware.txt").write_text(NUMACTL)
    (tmp_path / "maps.txt").write_text(MAPS)
    return ["--numactl", tmp_path / "hardware.txt", "--numa-maps", tmp_path / "maps.txt"]


def test_what_was_pasted_becomes_a_scenario_that_runs(capsys, pasted):
    code, text, err = outcome(capsys, "scenarios", *pasted)
    assert (code, err) == (0, "")
    scenario = Scenario.loads(text)
    plan = scenario.plan({"scale": 1})
    assert plan.machine.frames == (512_000, 256_000)
    assert plan.machine.distances == ((10, 21), (21, 10))
    run = scenario.run({"scale": "1/16"})
    assert run.figures["to_leave"] == pytest.approx((512 + 2 + 750 + 10240 + 4 + 128 + 3) / 16, abs=8)
    assert run.figures["still_there"] == 0
    assert run.before[0, "job"] > 10 * run.after.get((0, "job"), 0)
    job = next(task for task in run.kernel.tasks if task.name == "job")
    assert "bind:0" in job.numa_maps()
    assert "interleave:0-1" in job.numa_maps()


def test_huge_pages_and_shared_memory_are_what_they_are():
    old = from_machine.from_numa_maps("1000 bind={0/Normal,2/Normal} MaxRef=1 N0=3\n2000 bind=0-1 anon=1 N0=1\n")
    assert [area.policy for area in old] == ["bind:0,2", "bind:0-1"]  # as before 2.6.16-rc1, and before 2.6.26
    areas = {(area.kind, area.policy): area.kb for area in from_machine.from_numa_maps(MAPS)}
    assert areas["anonymous", ""] == {0: 4 * (2 + 750 + 3), 2: 4 * 250 + 3 * 2048}
    assert areas["shared", "interleave:0,2"] == {0: 512, 2: 512}
    assert areas["files", ""] == {0: 2048}
    assert areas["anonymous", "preferred_many:0,2"] == {0: 16}


def test_nothing_private_is_written_unless_it_is_asked_for(capsys, pasted):
    _, text, _ = outcome(capsys, "scenarios", *pasted)
    assert not {"secret", "java", "customers"} & set(text.replace("/", " ").split())
    _, text, _ = outcome(capsys, "scenarios", *pasted, "--names")
    assert "# /opt/secret/bin/java" in text
    Scenario.loads(text)


@pytest.mark.skipif(not os.path.exists("/sys/devices/system/node"), reason="needs Linux")
def test_this_machine(capsys):
    code, text, err = outcome(capsys, "scenarios", "--from-machine", "--pid", os.getpid())
    assert (code, err) == (0, "")
    assert os.uname().nodename not in text
    assert sys.executable not in text
    assert Scenario.loads(text).run({"scale": "1/4096"}).figures["error"] == ""


def folder(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("release", "line"),
    [("6.1.0-17-amd64", 'release = "6.1"'), ("7.3.0", 'release = "6.12"          # it is 7.3.0'),
     ("2.6.32-754.el6", 'release = "2.6.32"'), ("2.4.20", 'release = "2.6.14"          # it is 2.4.20')],
)  # fmt: skip
def test_the_release_is_the_nearest_that_the_model_has(tmp_path, release, line):
    info = "Node 0 MemTotal: 204800 kB\nNode 0 MemFree: 102400 kB\nNode 0 FilePages: 51200 kB\n"
    folder(tmp_path, sys__devices__system__node__node0__meminfo=info, sys__devices__system__node__node1__meminfo=info,
           sys__devices__system__node__node0__distance="10 21\n", sys__devices__system__node__node1__distance="21 10\n",
           proc__meminfo="SwapFree:  4096 kB\n", proc__sys__kernel__osrelease=release + "\n")  # fmt: skip
    text = from_machine.scenario_text(from_machine.this_machine(tmp_path))
    assert line in text
    plan = Scenario.loads(text).plan({"scale": 1})
    assert plan.kernel.swap == 1024
    assert [(load.node, load.cache, load.memory) for load in plan.background] == [(0, 12800, 12800), (1, 12800, 12800)]


def test_a_machine_of_one_node_gets_a_second_one():
    one = from_machine.Found({0: 204800}, [[10]], {0: 102400}, {}, 0, "6.1")
    text = from_machine.scenario_text(one)
    assert "a second one is added" in text
    assert Scenario.loads(text).run({"scale": "1/16"}).figures["still_there"] == 0


def test_what_is_not_what_it_should_be_is_refused(capsys, tmp_path, pasted):
    with pytest.raises(ScenarioError, match=r"needs Linux; elsewhere give --numactl FILE"):
        from_machine.this_machine(tmp_path)
    (tmp_path / "hardware.txt").write_text("available: 1 nodes (0)")
    code, _, err = outcome(capsys, "scenarios", *pasted)
    assert code == 2
    assert "--numactl: this is not what" in err
    (tmp_path / "hardware.txt").write_text(NUMACTL.replace("2", "1"))
    assert "there is memory on node 2" in outcome(capsys, "scenarios", *pasted)[2]
    (tmp_path / "maps.txt").write_text("hello\n")
    assert "--numa-maps, line 1: 'hello' is no line of" in outcome(capsys, "scenarios", *pasted)[2]
    assert "go with --from-machine" in outcome(capsys, "scenarios", "--pid", 1)[2]
    assert "No such" in outcome(capsys, "scenarios", "--from-machine", "--pid", 2**30)[2]
