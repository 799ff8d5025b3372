"""The command line: what it prints, how it ends, and that it can be stopped and piped."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from mmsim import cli
from mmsim.whatif import Scenario, scenarios
from mmsim.whatif.scenario import SHIPPED

SMALL = ["--set", "scale=1/4096"]


def outcome(capsys, *argv):
    """(exit code, standard output, standard error) of a command."""
    try:
        code = cli.main([str(arg) for arg in argv])
    except SystemExit as end:
        code = end.code
    return code, *capsys.readouterr()


def test_run_prints_the_question_and_the_figures(capsys):
    code, out, err = outcome(capsys, "run", "low-swap", *SMALL)
    assert (code, err) == (0, "")
    assert scenarios()["low-swap"] in out
    assert re.search(r"paths +8 GB direct", out)
    assert re.search(r"bill +11\.\d s for the move", out)


def test_run_ends_with_1_if_a_page_did_not_move(capsys):
    code, out, _ = outcome(capsys, "run", "low-swap", *SMALL, "--set", "kernel.patches=4", "--json")
    assert code == 1
    assert json.loads(out)["failed for good"] > 0
    assert json.loads(out)["kernel.patches"] == 4


def test_run_says_what_the_machine_says(capsys, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(outcome(capsys, "scenarios", "low-swap")[1].replace('memory = "32 GB"', 'memory = "4 GB"'))
    code, out, err = outcome(capsys, "run", file, *SMALL)
    assert code == 1
    assert re.search(r"migratepages PID 0 1 +job +-12 ", out)
    assert "no memory on nodes 1" in err
    code, out, _ = outcome(capsys, "run", file, *SMALL, "--set", "machine.memory=32 GB", "--csv")
    assert code == 0
    assert pd.read_csv(io.StringIO(out))["direct"].tolist() == [512]


@pytest.mark.full
def test_run_ends_with_1_where_the_machine_gives_up(capsys):
    code, out, err = outcome(capsys, "run", "target-nearly-full", *SMALL, "--set", "background.others.memory=300 GB")
    assert (code, out) == (1, "")
    assert "OutOfMemory: no memory for a page of others" in err


def test_run_draws_the_paths(capsys, tmp_path):
    assert outcome(capsys, "run", "low-swap", *SMALL, "--plot", tmp_path / "paths.svg")[0] == 0
    assert "direct" in (tmp_path / "paths.svg").read_text()


def test_a_full_disk_leaves_the_figure_that_was_there(capsys, tmp_path, full_disk):
    file = tmp_path / "paths.svg"
    file.write_text("an older figure")
    code, out, err = outcome(capsys, "run", "low-swap", *SMALL, "--plot", file)
    assert code == 2
    assert "direct" in out
    assert f"--plot {file}: [Errno 28] No space left on device" in err
    assert file.read_text() == "an older figure"
    assert os.listdir(tmp_path) == ["paths.svg"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "COMMAND"),
        (["run"], "FILE|NAME"),
        (["run", "lowswap"], "did you mean 'low-swap'?"),
        (["run", "none.toml"], "none.toml: No such file"),
        (["run", "low-swap", "--set", "kernel.patches"], "is not KEY=VALUE"),
        (["run", "low-swap", "--set", "kernel.patchs=3"], "did you mean 'patches'?"),
        (["run", "low-swap", "--set", "kernel.patches=8"], "numbered 1 to 7"),
        (["run", "low-swap", "--set", "kernel.release=6.99"], "the nearest that the model knows is 6.12"),
        (["history", "lowswap"], "did you mean 'low-swap'?"),
        (["history", "low-swap", "--releases", "6.99"], "the nearest that the model knows is 6.12"),
        (["history", "a machine without swap", "--set", "scale=1"], "--set is for scenarios"),
        (["run", "low-swap", "--csv", "--json"], "not allowed with"),
        (["run", "low-swap", *SMALL, "--plot", "paths.xyz"], "--plot paths.xyz"),
        (["sweep", "low-swap", "--grid", "kernel.patchs=3,4"], "did you mean 'patches'?"),
        (["sweep", "low-swap", "--grid", "scale=1", "--grid", "kernel.swap=1", "--grid", "scale=2"],
         "scale is given twice, by --grid and by --grid: give it once"),
        (["sweep", "low-swap", "--grid", "scale=1,2", "--set", "scale=1"], "by --grid and by --set"),
        (["run", "low-swap", "--set", "scale=1", "--set", "scale=1/2"], "by --set and by --set"),
        (["run", "low-swap", "--set", "machine.memory=9999 TB"], "low-swap: machine.memory is '9999 TB'"),
        (["run", "low-swap", "--set", "machine.memory=" + "[" * 3000], "low-swap: machine.memory is"),
        (["sweep", "low-swap", "--keep", "."], "Is a directory"),
        (["scenarios", "lowswap"], "did you mean 'low-swap'?"),
        (["sweep", "nogrid.toml"], "nogrid.toml names no values to try: give some, as in --grid kernel.release=V1,6.1"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_right(capsys, argv, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nogrid.toml").write_text((SHIPPED / "low-swap.toml").read_text().partition("[grid]")[0])
    code, _, err = outcome(capsys, *argv)
    assert code == 2
    assert said in err


@pytest.mark.parametrize("command", ["run", "sweep", "history", "scenarios", "verify", "lab"])
def test_help_has_examples(capsys, command):
    code, out, _ = outcome(capsys, command, "--help")
    assert code == 0
    assert f"examples:\n  mmsim {command}" in out


def test_sweep_prints_a_row_for_each_combination(capsys):
    grid = ["--grid", "kernel.patches=4,[1,3,4],7", "--grid", "kernel.swap=1 GB,4 GB"]
    code, out, err = outcome(capsys, "sweep", "low-swap", *grid, *SMALL, "--csv", "--jobs", 1)
    table = pd.read_csv(io.StringIO(out))
    assert (code, err) == (0, "")
    assert table["kernel.patches"].tolist() == ["4", "4", "[1, 3, 4]", "[1, 3, 4]", "7", "7"]
    assert table["kernel.swap"].tolist() == ["1 GB", "4 GB"] * 3
    assert table["direct"].tolist() == [0, 0, 0, 0, 512, 512]


def test_node_lists_with_commas_reach_the_table(capsys):
    new = "trigger.migrate_pages.new"
    asked = [*SMALL, "--set", f"{new}=0,3", "--json", "--alone"]
    code, out, _ = outcome(capsys, "run", "interleaved-to-fewer-nodes", *asked)
    assert (code, json.loads(out)[new]) == (0, "0,3")
    grid = ["--grid", f'{new}="0-1","0,3"', "--csv", "--jobs", 1]
    _, out, _ = outcome(capsys, "sweep", "interleaved-to-fewer-nodes", *SMALL, *grid)
    assert pd.read_csv(io.StringIO(out))[new].tolist() == ["0-1", "0,3"]


def test_sweep_without_a_grid_takes_that_of_the_file(capsys):
    code, out, _ = outcome(capsys, "sweep", "forked-server", *SMALL, "--json", "--jobs", 1)
    wanted = Scenario.load("forked-server").grid
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert {row["trigger.migrate_pages.task"] for row in rows} == set(wanted["trigger.migrate_pages.task"])


@pytest.mark.parametrize(("wrong", "said"), [("8", "there is no patch 8"), ("[" * 3000, "kernel.patches is")])
def test_sweep_ends_with_1_if_a_point_failed(capsys, wrong, said):
    code, out, _ = outcome(capsys, "sweep", "low-swap", "--grid", f"kernel.patches=7,{wrong}", *SMALL, "--jobs", 1)
    assert code == 1
    assert said in out
    assert "512" in out


def test_a_damaged_file_of_kept_rows_ends_with_2_and_names_the_line(capsys, tmp_path):
    file = tmp_path / "rows.jsonl"
    command = ["sweep", "low-swap", "--grid", "kernel.patches=5,7", *SMALL, "--jobs", 1, "--keep", file]
    assert outcome(capsys, *command)[0] == 0
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], lines[1][:30], lines[2], ""]))
    code, out, err = outcome(capsys, *command)
    assert (code, out) == (2, "")
    assert f"keep: {file}, line 2 is damaged: " in err
    assert "delete the line, and its point runs again" in err
    file.write_text("\n".join([lines[0], lines[2], ""]))
    assert outcome(capsys, *command)[0] == 0
    assert sorted(file.read_text().splitlines()) == sorted(lines)


def test_scenarios_lists_and_prints_them(capsys):
    code, out, _ = outcome(capsys, "scenarios")
    assert code == 0
    assert all(name in out and question in out for name, question in scenarios().items())


@pytest.fixture
def no_copies(monkeypatch):
    """The reader's own copies stay out of the tests."""
    monkeypatch.setattr("mmsim.lessons.copies.renew", lambda *_: ["00.ipynb has your changes"])


@pytest.mark.usefixtures("no_copies")
def test_lab_starts_jupyterlab_on_copies_of_the_lessons(capsys, started):
    _, out, _ = outcome(capsys, "lab", "--", "--no-browser", "--port=8890")
    ((program, argv),) = started
    assert program == sys.executable
    assert argv[1:3] == ["-m", "jupyterlab"]
    assert "--LabApp.default_url=/lab/tree/my-lessons/index.ipynb" in argv
    assert argv[-2:] == ["--no-browser", "--port=8890"]
    assert argv.count("--no-browser") == 1
    assert out.splitlines()[:2] == ["your copies of the lessons are in my-lessons/", "00.ipynb has your changes"]
    assert out.splitlines()[2].startswith("open the address below")


@pytest.mark.usefixtures("no_copies")
@pytest.mark.parametrize(
    ("platform", "variables", "browser"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"DISPLAY": ":10", "SSH_CONNECTION": "1 2 3 4"}, False),
        ("linux", {"SSH_CONNECTION": "1 2 3 4", "BROWSER": "forwarded"}, True),
        ("darwin", {}, True),
        ("darwin", {"SSH_CONNECTION": "1 2 3 4"}, False),
        ("win32", {}, True),
    ],
)
def test_without_a_display_lab_opens_no_browser_and_says_what_to_do(
    capsys, started, monkeypatch, platform, variables, browser
):
    monkeypatch.setattr(sys, "platform", platform)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    _, out, _ = outcome(capsys, "lab")
    assert ("--no-browser" in started[0][1]) is not browser
    assert ("open the address below" in out) is not browser
    assert not [option for option in started[0][1] if "token" in option]  # Jupyter's own stays


# -- as a process


def start(*argv):
    """Start a command that can be interrupted, also where whoever started the tests ignores ctrl-C."""
    return subprocess.Popen(
        [sys.executable, "-m", "mmsim", *map(str, argv)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


LATE = """
import os, sys, time
if any("popen_loky" in arg for arg in sys.orig_argv):
    try:
        os.close(os.open(os.environ["FIRST"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        time.sleep(5)
"""


@pytest.mark.full
@pytest.mark.parametrize(("jobs", "late"), [(1, False), (2, False), (2, True)])
def test_ctrl_c_leaves_the_finished_rows_on_disk(tmp_path, monkeypatch, jobs, late):
    """It would take a minute or more, so the interrupt comes in time on every machine; `late`: one worker begins."""
    if late:
        (tmp_path / "sitecustomize.py").write_text(LATE)
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
        monkeypatch.setenv("FIRST", str(tmp_path / "first"))
    file = tmp_path / "rows.jsonl"
    scales = ",".join(f"{0.02 + point / 1_000_000}" for point in range(100))
    grid = ["--grid", "kernel.patches=0,3,4,5,7", "--grid", f"scale={scales}"]
    process = start("sweep", "scheduler-moved-my-job", *grid, "--keep", file, "--jobs", jobs)
    while not (file.exists() and len(file.read_text().splitlines()) > 2):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the sweep and to its workers
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert out == ""
    assert "interrupted" in err.splitlines()
    assert f"what is finished is in {file}: the same command again goes on from there" in err
    assert "Traceback" not in err
    kept = [json.loads(line) for line in file.read_text().splitlines()[1:]]
    assert 2 <= len(kept) < 500
    assert all(row["row"]["error"] == "" for row in kept)


@pytest.mark.full
def test_output_can_be_piped_to_a_reader_that_stops():
    process = start("verify", "6.12", "--cases")
    process.stdout.close()  # before the first line: all of them together would fit into the pipe
    assert process.wait(300) == 141
    assert process.stderr.read() == ""


def test_the_module_is_the_command():
    done = subprocess.run([sys.executable, "-m", "mmsim", "scenarios"], capture_output=True, text=True, check=True,
                          cwd=Path(__file__).parent)  # fmt: skip
    assert "low-swap" in done.stdout


def test_run_and_sweep_name_the_kernel_that_answered(capsys):
    assert "asked    Linux 5.10, modelled\n" in outcome(
        capsys, "run", "low-swap", *SMALL, "--set", "kernel.release=5.10")[1]  # fmt: skip
    grid = ["--grid", "kernel.release=V1,2.6.18,5.10", "--csv", "--jobs", 1]
    table = pd.read_csv(io.StringIO(outcome(capsys, "sweep", "low-swap", *SMALL, *grid)[1]), dtype=str)
    assert table["kernel.release"].tolist() == ["V1", "2.6.18", "5.10"]
    assert table["kernel"].tolist()[1:] == ["Linux 2.6.18, modelled", "Linux 5.10, modelled"]


def test_history_names_the_change_at_each_border(capsys, tmp_path):
    code, out, err = outcome(capsys, "history", "a machine without swap", "--plot", tmp_path / "h.svg")
    assert (code, err) == (0, "")
    assert re.search(r"2\.6\.18 +4 +migration-entries", out)
    assert "migration-entries" in (tmp_path / "h.svg").read_text()
    csv = outcome(capsys, "history", "low-swap", *SMALL, "--releases", "V1,2.6.18", "--csv")[1]
    table = pd.read_csv(io.StringIO(csv), index_col=0)
    assert table.loc["faults"].astype(float).tolist() == [512, 0]


def test_history_of_a_scenario_says_which_kernel_one_needs(capsys):
    def told(*argv):
        code, out, err = outcome(capsys, "history", *argv, "--set", "scale=1/8192")
        assert (code, err) == (0, "")
        assert max(map(len, out.splitlines())) <= 100
        return " ".join(out.partition("What differs")[0].split())

    swapless = told("low-swap", "--set", "kernel.swap=0", "--releases", "2.6.14,2.6.16-rc1,V1,2.6.16,2.6.18,6.1")
    assert "2.6.14: it is refused: -ENOSYS - 2.6.16-rc1 to 2.6.16: nothing of it leaves - 2.6.18 to" in swapless
    assert "Linux 2.6.18 (by migration-entries) is the first that does all that was asked, and all" in swapless
    by_swap = told("scheduler-moved-my-job", "--releases", "2.6.16-rc1,V1,6.1")
    assert "Linux 2.6.16-rc1 is the first" in by_swap
    assert "writes nothing to swap for it: V1, which was no release." in by_swap
    never = told("drain-a-node", "--releases", "2.6.18,2.6.21")
    assert "No kernel moves all of it. Linux 2.6.21 (by locked-vmas-move) is the first that leaves the least:" in never
    assert "None of these kernels can be asked." in told("low-swap", "--releases", "2.6.14")


def test_history_alone_lists_the_experiments(capsys):
    code, out, _ = outcome(capsys, "history")
    assert code == 0
    assert "a heap that was only read" in out
