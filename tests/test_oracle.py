"""What a recorded Linux did, replayed: nothing is unexplained, and the comparison itself can fail."""

import json
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pandas as pd
import pytest

from mmsim import cli, oracle
from mmsim.machine.task import Task
from mmsim.mm import check_range, cpuset, mbind, memory, mempolicy, mmap, nodemask, page_alloc, shmem, structs

ROOT = Path(__file__).parents[1]
CASES = {case.id: case for case in oracle.read(oracle.RECORDING)}
OWN_RECORDING = ROOT / "tests/oracle/recorder-6.1.jsonl"
OWN = {case.id: case for case in oracle.read(OWN_RECORDING)}
AGREE = {
    "migrate_self": 23, "migrate_policy": 2, "migrate_pages_matrix": 95, "migrate_other": 4, "migrate_errors": 8,
    "mbind": 16, "mbind_kind": 2, "mbind_misc": 11, "set_mempolicy": 4, "share_mbind": 1, "share_migrate": 1,
    "special": 4, "cpuset_mems": 12, "cpuset_attach": 4, "cpuset_vma_policy": 2, "cpuset_task_policy": 1,
    "cpuset_misc": 8, "fill": 4, "fill_swap": 2, "swap": 5,
}  # fmt: skip


def describes(*words):
    """A test whether setup and call of a case have all these words."""
    return lambda case: all(word in json.dumps([case.setup, case.call]) for word in words)


# For each rule, in words of the record that the rule itself does not look at where possible: what it may speak for.
SPEAKS_FOR = {
    "node sets of different size": lambda case: len(case.call.get("from", case.call.get("old_mems", [])))
                                                != len(case.call.get("to", case.call.get("new_mems", []))),
    "sharing": lambda case: case.group.startswith("share_") and "MOVE_ALL" not in case.flags,
    "file ptes": lambda case: case.kind not in ("anon_private", "tmpfs_file_private_written"),
    "locked vmas": describes("mlock"),
    "pinned pages": describes("vmsplice"),
    "BIND order": describes("MPOL_BIND"),
    "INTERLEAVE turns": describes("MPOL_INTERLEAVE", "MOVE"),
    "policies of vmas in a cpuset": describes('"vma_policy"', "new_mems"),
    "permission": describes("other process"),
    "no target": lambda case: describes("empty to")(case) or describes("caller root in cpuset")(case),
    "hole at the head": describes("hole at the start"),
    "hole at the tail": describes("hole at the end"),
    "spilling": describes("node3", "migrate_pages"),
    "all or nothing": describes("node3", "(mlocked)"),
}  # fmt: skip


@pytest.fixture(scope="module")
def cases():
    return oracle.table(oracle.RECORDING)


@pytest.fixture(scope="module")
def both(cases):
    """Also what mmsim.linux.recorder brought from a machine with four nodes."""
    return pd.concat([cases, oracle.table(OWN_RECORDING)])


def test_nothing_is_unexplained(cases, both):
    assert both[both["verdict"] == "unexplained"].to_dict("records") == []
    assert len(both) == len(CASES) + len(OWN) == 392 + 179
    assert len(cases) == len(CASES) == 392


def test_as_much_agrees_as_did(cases):
    counts = cases[cases["verdict"] == "agree"].groupby("group").size()
    assert {group: n for group, n in AGREE.items() if counts.get(group, 0) < n} == {}


def test_a_difference_has_one_cause_and_a_sentence_for_it(both):
    differs = both[both["verdict"] == "differs"]
    assert set(differs["cause"]) == set(oracle.CAUSES)
    assert all(rule.__doc__.endswith(".") and "\n" not in rule.__doc__ for rule in oracle.CAUSES.values())
    assert (differs["linux"] != differs["model"]).all()


@pytest.mark.parametrize("cause", oracle.CAUSES)
def test_a_rule_speaks_only_for_the_cases_it_describes(cause):
    rule, speaks_for = oracle.CAUSES[cause], SPEAKS_FOR[cause]
    judged = [case for case in (CASES | OWN).values() if not oracle.not_modelled(case)]
    spoken = [case for case in judged if rule(case, oracle.recorded(case)) is not None]
    assert spoken
    assert [case.id for case in spoken if not speaks_for(case)] == []


@pytest.mark.parametrize("cause", oracle.CAUSES)
def test_without_its_rule_a_case_is_unexplained(cause, both, monkeypatch):
    monkeypatch.delitem(oracle.CAUSES, cause)
    names = both[both["cause"] == cause]["case"]
    assert len(names)
    for name in names:
        assert oracle.judge((CASES | OWN)[name]).verdict == "unexplained", name


def test_a_falsified_record_is_unexplained(cases):
    """The rules say what today's kernel does, too: a record that it cannot have given is not excused."""
    excused = []
    some = cases[cases["model"] != ""].drop_duplicates(["group", "cause"])  # those that were replayed
    for raw in [CASES[name].raw for name in some["case"]]:
        facts = {"ret": 7, "errno": "EXDEV", "readback": "9", "numa_maps": ["0 bind:3 anon=99"]}
        facts["numa_maps_after"] = facts["numa_maps"]
        for key in ("after", "partner_after", "after_touch_tail", "after_write_touch_all"):
            facts[key] = [n + 1 if isinstance(n, int) else 0 for n in raw.get(key, [])]
        if "after_counts" in raw:  # how many pages fitted is not compared
            facts = {"ret": 7, "errno": "EXDEV"}
        false = [CASES[raw["id"]]._replace(raw=raw | {key: facts[key]}) for key in facts.keys() & raw]
        excused += [case.id for case in false if oracle.judge(case).verdict != "unexplained"]
    assert len(some) > 30
    assert excused == []


def today_bind(k, mode, home, nodes, offset):
    if mode != mempolicy.MPOL_BIND:
        return real["alloc_page_policy"](k, mode, home, nodes, offset)
    task = k.task[k.sys.current]
    return page_alloc.alloc_pages(k, structs.GFP_HIGHUSER, task.node, task.mems_allowed & nodes)


def round_robin(k, v, address):
    return real["alloc_page_policy"](k, *mempolicy.get_vma_policy(k, v, address), -1)


def first_pair(left, source, target):
    for node in range(structs.MAX_NODES):
        to = nodemask.node_remap(node, source, target)
        if left >> node & 1 and to != node:
            return node, to
    return -1, -1


def by_size(node, source, target):
    return node if nodemask.nodes_weight(source) != nodemask.nodes_weight(target) and target >> node & 1 else (
        real["node_remap"](node, source, target))  # fmt: skip


def leave_shared(k, vma, address, pfn, pages, flags):
    if flags & mempolicy.MPOL_MF_MOVE_ALL or k.mem_map[pfn].mapcount == 1:
        real["migrate_page_add"](k, vma, address, pfn, pages, flags)


def leave_files(k, vma, address, pfn, pages, flags):
    if flags & mempolicy.MPOL_MF_MOVE_ALL or k.mem_map[pfn].mapping <= 0:
        real["migrate_page_add"](k, vma, address, pfn, pages, flags)


def strict_target(k, gfp, zonelist, allowed):
    return real["alloc_pages"](k, gfp, zonelist, allowed & 1 << zonelist)


def see_hole(k, mm, start, *rest):
    v = mmap.find_vma(k, mm, start)
    if v and k.vma[v].vm_start > start > 0:
        return -structs.EFAULT
    return real["check_range"](k, mm, start, *rest)


real = {name: getattr(mbind, name) for name in ("alloc_pages", "check_range", "node_remap")}
real["migrate_page_add"] = check_range.migrate_page_add
real["alloc_page_policy"] = mempolicy.alloc_page_policy
WRONG = {
    "BIND takes the nearest node, as today": (mempolicy, "alloc_page_policy", today_bind, {"mbind"}),
    "a node of both sets stays, as today": (mbind, "node_remap", by_size, {"migrate_self"}),
    "pairs in ascending order": (mbind, "next_pair", first_pair, {"migrate_self"}),
    "shared pages stay, as today": (check_range, "migrate_page_add", leave_shared,
                                    {"share_mbind", "share_migrate", "share_double", "share_cowhalf"}),
    "no page of a file is ours": (check_range, "migrate_page_add", leave_files, {"share_mbind", "mbind_kind"}),
    "locked vmas move, as today": (mbind, "vma_migratable", lambda _: True, {"special"}),
    "the target is strict, as today": (mbind, "alloc_pages", strict_target, {"fill", "fill_order", "fill_swap"}),
    "a hole at the head is seen, as today": (mbind, "check_range", see_hole, {"mbind_misc"}),
    "mbind forgets the policy": (mbind, "mbind_range", lambda *_: None, {"mbind", "mbind_misc"}),
    "tmpfs ignores its policy":
        (shmem, "shmem_alloc_page", lambda k, *_: mempolicy.alloc_page_vma(k, 0, 0), {"mbind_kind"}),
    "tmpfs has a policy for each mapping":
        (mbind, "mpol_set_shared_policy", lambda *_: None, {"mbind_kind", "share_mbind"}),
    "a task's INTERLEAVE is round robin": (memory, "alloc_page_vma", round_robin, {"set_mempolicy"}),
    "cpusets leave policies alone": (cpuset, "mpol_rebind_task", lambda *_: None, {"cpuset_task_policy"}),
    "cpusets leave memory alone": (cpuset, "do_migrate_pages", lambda *_: 0, {"cpuset_mems", "cpuset_attach"}),
    "anyone may": (Task, "_permitted", lambda self, pid, _: Task(self._kernel, pid or self.pid),
                   {"migrate_other", "cpuset_misc"}),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_model_is_found(wrong, monkeypatch):
    """Also where the model would be like today's kernel: agreement with Linux 6.1 is not enough if 2005 differs."""
    module, name, function, groups = WRONG[wrong]
    monkeypatch.setattr(module, name, function)
    judged = [case for case in CASES.values() if case.group in groups]
    assert {case.group for case in judged if oracle.judge(case).verdict == "unexplained"} == groups


def test_a_model_that_breaks_down_is_a_finding(monkeypatch):
    monkeypatch.setattr(mbind, "node_remap", lambda *_: 1 // 0)
    found = oracle.judge(CASES["mp_s0_s2"])
    assert found.verdict == "unexplained"
    assert "ZeroDivisionError" in found.model["error"]


def test_the_command_prints_what_the_page_shows(cases, monkeypatch, capsys):
    monkeypatch.setattr(oracle, "table", lambda _: cases)
    assert cli.main(["verify"]) == 0
    assert capsys.readouterr().out in (ROOT / "docs/oracle.md").read_text()


def test_the_command_fails_for_an_unexplained_case(tmp_path, capsys):
    machine, *lines = oracle.RECORDING.read_text().splitlines()
    kept = [line for line in lines if '"mp_s0_s' in line]
    recording = tmp_path / "false.jsonl"
    recording.write_text("\n".join([machine, *kept]).replace('"after": [2, 1', '"after": [3, 1'))
    assert cli.main(["verify", str(recording), "--cases"]) == 1
    out = capsys.readouterr().out
    assert "   1 agree" in out
    assert "mp_s0_s2 (migrate_self): no cause applies" in out
    assert "mp_s0_s0: agree" in out


@pytest.mark.parametrize("text", [None, "", "{}\n", "no json\n", '{"id": "env"}\n{"id": 1}\n'])
def test_the_command_names_a_file_that_is_no_recording(text, tmp_path, capsys):
    path = tmp_path / "some.jsonl"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit) as ended:
        cli.main(["verify", str(path)])
    assert ended.value.code == 2
    assert "FILE" in capsys.readouterr().err


def test_the_script_and_the_module_are_the_command():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert EntryPoint("mmsim", project["scripts"]["mmsim"], "console_scripts").load() is cli.main
    done = subprocess.run(
        [sys.executable, "-m", "mmsim", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "verify" in done.stdout
