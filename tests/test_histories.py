"""Random histories: the same steps on the model and on real kernels, compared after each."""

import code
import gzip
import io
import json
import sys
import warnings
from pathlib import Path

import pytest
from machines import no_numa

from mmsim import Kernel, Topology, cli
from mmsim.experiments import compared, guest, verify
from mmsim.experiments.random_histories import STEPS, first_difference, history, play, shrink
from mmsim.linux import Linux, initramfs, vm

RECORD = Path(__file__).parent / "oracle/histories-6.1.jsonl.gz"


def recorded():
    """The histories that were played on Linux 6.1 with four nodes (`mmsim vm --histories`), and what was seen."""
    with gzip.open(RECORD, "rt") as file:
        return [json.loads(line) for line in file]


def differing(lines):
    """The seeds of recorded histories in which the model of that release does otherwise."""
    return [line["seed"] for line in lines
            if first_difference(line["seen"], compared.as_json(compared.on_model(line["steps"], line["kernel"])))
            is not None]  # fmt: skip


def test_the_model_does_as_linux_6_1_in_recorded_histories():
    assert differing(recorded()[::50]) == []


@pytest.mark.full
def test_the_model_does_as_linux_6_1_in_every_second_recorded_history():
    lines = recorded()
    assert sum(len(line["steps"]) for line in lines) >= 20_000
    assert differing(lines[::2]) == []


@pytest.fixture
def some(tmp_path):
    """A record of some histories, after a change of its lines."""

    def write(change=lambda line: line):
        path = tmp_path / "some.jsonl"
        path.write_text("".join(json.dumps(change(line)) + "\n" for line in recorded()[:3]))
        return path

    return write


def test_a_record_of_histories_is_verified_like_the_others(some, capsys):
    path = some()
    assert cli.main(["verify", str(path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [f"{path}: 3 cases", "   3 equal", "   0 differ", "   0 not asked", "   0 unexplained"]
    assert cli.main(["verify", str(path), "--cases"]) == 0
    assert "history 2 (histories): equal" in capsys.readouterr().out
    assert len(verify.read(RECORD)) == 510


def test_the_first_step_that_differs_is_shown(some, capsys):
    def falsify(line):
        for after in line["seen"][30:] if line["seed"] == 2 else ():
            after[0] = "odd"
        return line

    assert cli.main(["verify", str(some(falsify))]) == 1
    said = capsys.readouterr().out
    assert "   2 equal" in said
    assert "   1 unexplained" in said
    assert said.count("        Linux: ['odd', ") == 1
    assert "history 2 (histories): unexplained\n    31. " in said


def test_a_difference_in_a_history_is_explained_by_the_change_that_makes_it(some):
    _, steps, _ = FOUND["a read fault maps its neighbours"]

    def older(line):
        seen = compared.on_model(steps, "6.1", without=["fault-around"])
        return line | {"steps": steps, "seen": compared.as_json(seen)}

    assert {it.why for it in verify.judge_all(some(older))} == {"as without the change fault-around"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kernel": 6}, "no history: kernel must be a text"),
        ({"kernel": "today"}, "no history: release is 'today'"),
        ({"seen": []}, "no history: .*shorter"),
        ({"steps": 3}, "no history: "),
    ],
)
def test_a_damaged_history_is_named(some, change, said):
    with pytest.raises(verify.RecordError, match=f"line 1: this is {said}"):
        verify.judge_all(some(lambda line: line | change))


# The shortest histories in which the model once did otherwise, and what Linux does.
FOUND = {
    "a read fault maps its neighbours": ("6.1", [
        ["mmap", 0, "tmpfs", 5, True], ["touch", 0, 0, 1, 2, False], ["fork", 0], ["touch", 1, 0, 2, 2, False],
    ], [None, [".00..", ".000."]]),
    "munlock of what is not locked cuts no vma": ("6.1", [
        ["mmap", 0, "shared", 6, True], ["munlock", 0, 0, 5, 6], ["touch", 0, 0, 2, 5, False], ["fork", 0],
        ["touch", 1, 0, 0, 5, False],
    ], [None, ["..0000", "000000"]]),
    "mbind with the policy that is there cuts no vma": ("6.1", [
        ["mmap", 0, "tmpfs private", 5, True], ["mbind", 0, 0, 1, 1, "default", [], "", ["move"]],
        ["touch", 0, 0, 1, 4, True], ["touch", 0, 0, 0, 5, False], ["fork", 0],
    ], [None, ["00000", "00000"]]),
    "a neighbour without anonymous memory does not take in one that has some": ("6.1", [
        ["mmap", 0, "tmpfs private", 4, True], ["mbind", 0, 0, 3, 1, "preferred", [0], "", []],
        ["touch", 0, 0, 3, 1, True], ["touch", 0, 0, 2, 1, False], ["mbind", 0, 0, 2, 2, "default", [], "", []],
        ["fork", 0],
    ], [None, ["..00", "...0"]]),
    "an empty pte of shared memory is -ENOENT": ("6.1", [
        ["mmap", 0, "shared", 3, True], ["move_pages", 0, 0, 0, 0, [0]],
    ], [["-ENOENT"], ["..."]]),
    "an empty pte of anonymous memory is -EFAULT": ("6.1", [
        ["mmap", 0, "anonymous", 3, True], ["move_pages", 0, 0, 0, 0, [0]],
    ], [["-EFAULT"], ["..."]]),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_what_a_real_kernel_has_taught(name):
    release, steps, last = FOUND[name]
    assert compared.on_model(steps, release)[-1] == last


def test_before_a_change_it_was_otherwise():
    for name, release in (("a read fault maps its neighbours", "3.14"),
                          ("mbind with the policy that is there cuts no vma", "2.6.33")):  # fmt: skip
        assert compared.on_model(FOUND[name][1], release)[-1] != FOUND[name][2]


def test_a_seed_is_one_history():
    one, other = history(7, 50, 4), history(7, 50, 4)
    assert one == other == json.loads(json.dumps(one))
    assert history(8, 50, 4) != one
    names = {step[0] for seed in range(40) for step in history(seed, 50, 4)}
    assert names == set(STEPS)


@pytest.mark.parametrize("seed", range(5))
def test_every_list_of_steps_is_a_history(seed):
    """Whatever is left out of it: so that it can be shrunk."""
    steps = history(seed, 40, 4)
    for some in (steps, steps[::2], steps[1::3], steps[-5:]):
        seen = play(Kernel(Topology.uniform(nodes=4, frames=512), release="6.1", swap_slots=0), some)
        assert len(seen) == len(some)
        assert not any(isinstance(answer, str) and not answer.startswith("-") for answer, _ in seen)


def test_a_difference_is_shrunk_to_the_fewest_steps():
    """A machine that differs from another as soon as something is locked and a child was made, in this order."""

    def differs(steps):
        names = [step[0] for step in steps]
        if "mlock" not in names or "fork" not in names[names.index("mlock") :]:
            return None
        return names.index("fork", names.index("mlock"))

    steps = next(each for each in (history(seed, 80, 4) for seed in range(50)) if differs(each) is not None)
    assert [step[0] for step in shrink(steps, differs)] == ["mlock", "fork"]


def test_a_wrong_model_is_found_and_shrunk():
    def differs(steps):
        right, wrong = compared.on_model(steps, "6.1"), compared.on_model(steps, "6.1", without=["mapcount-rule"])
        return first_difference(right, wrong)

    steps = next(each for each in (history(seed, 40, 4) for seed in range(60)) if differs(each) is not None)
    short = shrink(steps, differs)
    assert differs(short) == len(short) - 1
    assert len(short) <= 8


def test_histories_are_compared_with_the_machine_that_is_started():
    """A machine that does as the model, but for one answer: it is said, in how few steps."""
    said, started = [], []

    def start(task, talk):
        started.append(task)

        def ask(line):
            if line is None:
                return '"6.1.0-x"'
            steps = json.loads(line)
            seen = compared.as_json(compared.on_model(steps, "6.1"))
            return json.dumps([["odd", where] if step[0] == "munmap" else [answer, where]
                               for step, (answer, where) in zip(steps, seen, strict=True)])  # fmt: skip

        talk(ask)

    found = compared.compare(start, 1, 4, 25, said.append)
    assert started == [{"do": "histories"}]
    assert all([step[0] for step in short] == ["munmap"] for short in found)
    assert 1 <= len(found) <= 4
    assert said[-1] == f"Linux 6.1.0-x: 4 histories, 100 steps; {len(found)} differ from the model"


def like_6_1(talk):
    """Let `talk` speak with a machine that does as the model of 6.1."""

    def ask(line):
        return '"6.1.0-x"' if line is None else json.dumps(compared.on_model(json.loads(line), "6.1"))

    talk(ask)


def test_what_is_seen_in_histories_is_kept_and_verified(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(vm, "found", lambda _: None)
    monkeypatch.setattr(vm, "start", lambda *args: like_6_1(args[5]))
    path = tmp_path / "mine.jsonl"
    command = ["vm", "--histories", "3", "--seed", "5", "--steps", "12", "record", str(path)]
    assert cli.main(command) == 0
    assert "3 histories, 36 steps; 0 differ from the model" in capsys.readouterr().out
    assert cli.main(["verify", str(path), "--cases"]) == 0
    assert "history 7 (histories): equal" in capsys.readouterr().out
    for wrong, said in (
        (command, "exists; name another"),
        ([*command[:3], "mine.py"], "is not run beside --histories"),
        (["vm", "--histories", "0"], "--histories: 0; it must be at least 1"),
        (["vm", "--histories", "1", "--steps", "x"], "--steps: invalid"),
    ):
        with pytest.raises(SystemExit):
            cli.main(wrong)
        assert said in capsys.readouterr().err


@pytest.mark.full
@pytest.mark.skipif(bool(no_numa()), reason=no_numa())
def test_this_machine_and_the_model_in_some_hundred_steps():
    """On whatever kernel this machine has, with as many nodes as it has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kernel = Linux()
    with kernel:
        nodes = kernel.topology.nodes
        if nodes > 4 or not all(kernel.topology.cpus) or not all(kernel.topology.frames):
            pytest.skip(f"{nodes} nodes, and not all of them with CPUs and memory")

        def differs(steps):
            kernel.clear()
            real = compared.as_json(play(kernel, steps))
            model = compared.on_model(steps, kernel.release, kernel.topology.distances)
            return first_difference(real, compared.as_json(model))

        for seed in range(15):
            steps = history(seed, 40, nodes)
            assert differs(steps) is None, shrink(steps, differs)


# -- the virtual machine


def test_what_is_missing_is_said_with_the_command_that_installs_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(vm.shutil, "which", lambda _: None)
    monkeypatch.setattr(vm.platform, "machine", lambda: "x86_64")
    with pytest.raises(SystemExit) as ended:
        cli.main(["vm"])
    assert ended.value.code == 2
    assert "apt-get install --no-install-recommends qemu-system-x86" in capsys.readouterr().err
    monkeypatch.setattr(vm.shutil, "which", lambda _: "/usr/bin/qemu-system-x86_64")
    with pytest.raises(SystemExit):
        cli.main(["vm", "--kernel", str(tmp_path / "vmlinuz"), "record", str(tmp_path / "mine.jsonl")])
    assert "vmlinuz: there is no such file" in capsys.readouterr().err
    monkeypatch.setattr(vm.Path, "glob", lambda *_: [])
    with pytest.raises(OSError, match="linux-image-amd64"):
        vm.kernel_image()
    monkeypatch.setattr(vm.platform, "machine", lambda: "riscv64")
    with pytest.raises(OSError, match="this is riscv64"):
        vm.start({})


def test_the_newest_kernel_image_is_taken(monkeypatch, tmp_path):
    for name in ("vmlinuz-6.1.0-9-amd64", "vmlinuz-6.1.0-56-amd64", "vmlinuz-5.10.0-1-amd64"):
        (tmp_path / name).touch()
    monkeypatch.setattr(vm, "Path", lambda name: tmp_path if name == "/boot" else Path(name))
    assert vm.kernel_image().name == "vmlinuz-6.1.0-56-amd64"
    line = " ".join(vm.command("qemu", "image", "archive", "file:results"))
    assert line.count("-numa node,") == 4
    assert "dist,src=0,dst=2,val=30" in line


@pytest.mark.full
@pytest.mark.skipif(initramfs.shutil.which("ldd") is None, reason="no ldd, which the archive is made with")
def test_the_machine_starts_with_python_and_mmsim(tmp_path):
    initramfs.write(tmp_path / "archive", vm.GUEST, [("root/task.json", b"{}")])
    content, at, there = (tmp_path / "archive").read_bytes(), 0, {}
    while at < len(content):
        assert content[at : at + 6] == b"070701"
        fields = [int(content[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name = content[at + 110 : at + 110 + fields[11] - 1].decode()
        start = at + (110 + fields[11] + 3) // 4 * 4
        there[name] = fields[1], content[start : start + fields[6]]
        at = start + (fields[6] + 3) // 4 * 4
    assert list(there)[-1] == "TRAILER!!!"
    assert there["init"][1].startswith(b"#!/")
    assert there["init"][0] & 0o111
    assert there["root/task.json"][1] == b"{}"
    assert there["init"][1].split()[0][3:].decode() in there
    for name in ("__init__.py", "experiments/guest.py", "experiments/recording.py", "terms/policy.py",
                 "linux/errors.toml"):  # fmt: skip
        assert f"mmsim/mmsim/{name}" in there
    assert not any("numpy" in name or "/machine/kernel.py" in name for name in there)


@pytest.mark.parametrize("said", ["mmsim vm: exit 0\n", "mmsim vm: exit 3\n", "Kernel panic\n"])
def test_what_the_machine_says_at_its_end_is_the_answer(said, monkeypatch, tmp_path):
    image = tmp_path / "vmlinuz"
    image.touch()
    monkeypatch.setattr(vm.shutil, "which", lambda _: "/bin/sh")
    monkeypatch.setattr(vm.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(vm.initramfs, "write", lambda *_: None)
    monkeypatch.setattr(vm, "command", lambda *_: ["/bin/sh", "-c", f"echo begins; printf '%s' '{said}'"])
    lines = []
    if "exit" in said:
        assert vm.start({"do": "run"}, str(image), show=lines.append) == (int(said.split()[-1]), "")
        assert lines == ["begins"]
    else:
        with pytest.raises(OSError, match="did not come to its end; its last lines:\nbegins\nKernel panic"):
            vm.start({"do": "run"}, str(image), show=lines.append)


def test_what_goes_wrong_while_one_speaks_with_the_machine_is_said(monkeypatch, tmp_path):
    image = tmp_path / "vmlinuz"
    image.touch()
    program = ("import socket, sys, time; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); "
               "s.listen(); c, _ = s.accept(); print('up', flush=True); time.sleep(60)")  # fmt: skip

    def machine(program):
        return lambda *args: [sys.executable, "-c", program, args[3].removeprefix("unix:").partition(",")[0]]

    monkeypatch.setattr(vm.shutil, "which", lambda _: sys.executable)
    monkeypatch.setattr(vm.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(vm.initramfs, "write", lambda *_: None)
    monkeypatch.setattr(vm, "command", machine(program))

    def talk(ask):
        raise OSError("no room on the disk")

    with pytest.raises(OSError, match="no room on the disk"):
        vm.start({"do": "histories"}, str(image), show=print, talk=talk)
    monkeypatch.setattr(vm, "command", machine(program.replace("60", "0")))
    with pytest.raises(vm.NotPossible, match="did not come to its end"):
        vm.start({"do": "histories"}, str(image), show=print, talk=lambda ask: ask(None))


def test_lines_that_are_piped_to_the_prompt_are_run_there(monkeypatch, tmp_path, capsys):
    started = []

    def start(task, _, script, show, *rest):
        started.append((task, script))
        show("4")
        return 3, ""

    monkeypatch.setattr(vm, "found", lambda _: None)
    monkeypatch.setattr(vm, "start", start)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"kernel.topology.nodes\n")))
    assert cli.main(["vm"]) == 3
    assert started == [({"do": "prompt", "piped": True}, b"kernel.topology.nodes\n")]
    assert capsys.readouterr().out == "4\n"


@pytest.mark.parametrize("interrupted", [False, True])
def test_what_the_machine_has_recorded_is_kept(interrupted, monkeypatch, tmp_path, capsys):
    lines = (RECORD.parent / "catalogue-6.1.jsonl").read_text().splitlines(keepends=True)[:5]

    def start(*given):
        there = "".join(lines).replace("\n", "\r\n") + '{"id": "private mem' * interrupted
        given[-1].write_bytes(there.encode())
        if interrupted:
            raise KeyboardInterrupt
        return 0, "".join(lines)

    monkeypatch.setattr(vm, "found", lambda _: None)
    monkeypatch.setattr(vm, "start", start)
    path = tmp_path / "mine.jsonl"
    assert cli.main(["vm", "record", str(path)]) == (130 if interrupted else 0)
    said = capsys.readouterr()
    assert ("has what was recorded until then" in said.err) is interrupted
    assert ("4 experiments recorded" in said.out) is not interrupted
    assert path.read_bytes() == "".join(lines).encode()
    assert cli.main(["verify", str(path)]) == 0


def test_a_prompt_reads_lines_from_a_file(tmp_path, capsys):
    path = tmp_path / "script.py"
    path.write_text("def f():\n    return 6 * 7\n\nf()\n1 / 0\nfor n in (1, 2):\n    print('n', n)")
    code.interact("", guest.piped(path), {}, exitmsg="")
    said = capsys.readouterr()
    assert ">>> f()\n42\n" in said.out
    assert said.out.rstrip().endswith("n 1\nn 2")
    assert "ZeroDivisionError" in said.err
