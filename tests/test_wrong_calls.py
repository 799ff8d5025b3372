"""Wrong calls, made from the signatures: every public method, every parameter, everything that it must not take.

Each is refused with an error that names the argument, shows what it was and says what would be right, at both
speeds; and the machine is byte for byte as before.
"""

import inspect

import numpy as np
import pytest
from machines import changed, expect_refusal, frozen, writer

from mmsim import Config, Costs, CpuSet, Kernel, Mapping, MMSimError, OutOfMemory, Policy, Task, Topology, plots
from mmsim.race import explore
from mmsim.terms.arguments import shown
from mmsim.whatif import Scenario, sweep

NO_NUMBER = ["one", b"1", [1], {"pages": 1}, 1j, object(), True]
NO_WHOLE = [1.5, float("nan"), float("inf"), np.float64(0.5)]
FAR = [2**63, -(2**63), 2**200, 1e300]
ODD = [3, "text", None, 2.5, [], object()]  # instead of a task, a file, ...


class Scene:
    """Two nodes, a task with memory, and for each kind of argument what is right and what is wrong."""

    def __init__(self, compiled):
        self.kernel = kernel = Kernel(Topology.uniform(nodes=2, frames=128), compiled=compiled)
        self.other = other = Kernel(Topology.uniform(nodes=2, frames=128), compiled=compiled)
        self.task, self.heap = writer(kernel, 8, "task")
        self.file, self.cpuset = kernel.file("file", 8), kernel.cpuset("group", "0-1")
        self.dead = kernel.spawn("dead")
        self.dead.exit()
        its_task, its_heap = writer(other, 8, "task")
        its_file, its_cpuset = other.file("file", 8), other.cpuset("group", "0-1")
        before = kernel.snapshot()
        gone = kernel.spawn("gone"), kernel.file("gone", 8), kernel.cpuset("gone", 0)
        gone_heap = gone[0].mmap(4)
        kernel.restore(before)
        for name in ("new", "newer"):  # numbers come again, with something else behind them
            kernel.file(name, 8)
            kernel.cpuset(name, 0)
            kernel.spawn(name)
        self.gone = gone
        strange = Kernel(Topology.uniform(nodes=2, frames=128), costs=Costs(copy=7), compiled=compiled)
        whole = NO_NUMBER + NO_WHOLE + FAR
        self.right = {
            "pages": 2, "times": 1, "until": kernel.clock + 10**6, "ns": 5, "period": 10**6, "hold": 5, "uid": 5,
            "offset": 0, "at": 1 << 20, "first": 0, "new_pages": 1, "node": 1, "to": 1, "mems": "0-1", "old": 0,
            "new": 1, "pid": 0, "name": "fresh", "fs": "ext2", "caps": (), "flags": (), "task": self.task,
            "file": self.file, "parent": self.cpuset, "range": self.heap, "policy": Policy.bind(1),
            "snapshot": kernel.snapshot(), "page": None, "frames": [5], "key": 0, "observer": print, "written": [],
            "addresses": self.heap[:2], "nodes": 1,
        }  # fmt: skip
        self.wrong = {
            "pages": [*whole, -1], "times": [*whole, None, 0, -1, 2**31], "until": [*whole, None, -1, 0],
            "ns": [*whole, None, -1], "period": [*whole, 0, -1], "hold": [*whole, None, -1],
            "uid": [*whole, None, -1, 2**31],
            "offset": [*whole, None], "at": [*whole, -1], "first": [*whole, None, -1], "new_pages": [*whole, -1],
            "node": [*whole, None, -1, 2], "to": [*whole, None, -1, 2], "pid": [*whole, None, self.task],
            "mems": [object(), None, 1.5, "x", -1, 2, [0.5], True, [True], {"a"}, "0-", "3-1"],
            "old": [object(), None, 1.5, "x", -1, 64, [0.5], True, "1-0"],
            "new": [object(), None, 1.5, "x", -1, 64, [0.5], True, "1-0"],
            "name": [3, None, b"x", ["x"], object()], "fs": [3, None, "ntfs", ["ext2"]],
            "caps": [3, None, ["CAP_FLY"], [3], object()], "flags": [3, None, ["huge"], [3], "fast", object()],
            "task": [*ODD, self.file, its_task, gone[0], self.dead, self.task.pid],
            "file": [*ODD, self.task, its_file, gone[1]], "parent": [*ODD, self.task, its_cpuset, gone[2]],
            "range": [3, "heap", 2.5, object(), [1, 2], its_heap, gone_heap, slice(0, 2), range(0, 8, 2),
                      range(2**40), range(-(2**40), 0), (0, 8)],
            "policy": [*ODD, "bind:1", Policy.bind(7), Policy.bind("0-7")],
            "snapshot": [*ODD, kernel, strange.snapshot(), Kernel(Topology.ring(nodes=3, frames=64)).snapshot()],
            "page": ["heap", 1.5, object(), [1], its_heap, gone_heap, True, 2**40, -1],
            "frames": [3, "5", None, object(), ["5"], [2.5], [True], [None], [-1], [256], [2**40], [[1]], [1, [2]],
                       {"a": 1}, float("nan"), [float("nan")], np.array([0.5]), np.zeros((2, 2), int)],
            "key": [1.5, "0", None, 8, -9, (0, 1), slice(0, 4, 2), slice(0.5, 2), slice("a", None), 2**70],
            "observer": [3, None, "print"], "written": [3, "a list", {}],
            "addresses": [3, "heap", 2.5, object(), its_heap, gone_heap, [1.5], [-1], ["a"]],
            "nodes": ["one", b"1", {"pages": 1}, 1j, object(), True, *NO_WHOLE, [1], [1.5], ["x"], [1, 0, 1]],
        }  # fmt: skip
        self.receiver = {Kernel: kernel, Task: self.task, CpuSet: self.cpuset, Mapping: self.heap}


@pytest.fixture(scope="module", params=[False, True], ids=["interpreted", "compiled"])
def scene(request):
    return Scene(compiled=request.param)


NOT_YES_NO = ["yes", "no", None, 2, -1, 0.0, 1.5, [], object()]
YES_NO = {
    "all", "unified",
    "shared", "writable", "locked", "write", "move", "move_all", "strict", "memory_migrate", "kernel_thread", "force",
}  # fmt: skip
ELSEWHERE = {"save", "load", "call"}  # files: test_saved.py; call() is for kernel functions, not for people


def public(owner):
    """The public methods of a class that take arguments: {name: parameters}."""
    found = {}
    for name, member in inspect.getmembers(owner, inspect.isfunction):
        parameters = [*inspect.signature(member).parameters.values()][1:]
        if parameters and name not in ELSEWHERE and (name == "__getitem__" or not name.startswith("_")):
            found[name] = parameters
    return found


METHODS = [
    (owner, method, parameter.name)
    for owner in (Kernel, Task, CpuSet, Mapping)
    for method, parameters in public(owner).items()
    for parameter in parameters
]


def wrong_values(scene, method, parameter):
    """What a parameter of a method must not be."""
    values = NOT_YES_NO if parameter.name in YES_NO else scene.wrong[kind_of(method, parameter.name)]
    return [value for value in values if not (value is None and parameter.default is None)]


def kind_of(method, parameter):
    """The kind of argument that a parameter takes, as Scene knows it."""
    if parameter == "pages":
        return {"migrate": "frames", "offline": "frames", "move_pages": "addresses"}.get(method, parameter)
    return parameter


def refused(scene, call, name, value):
    """An error that names the argument and what it was, and a machine as before."""
    kernel = scene.kernel
    before, book, last = frozen(kernel), repr(kernel._book), kernel.last
    try:
        result = call()
    except (TypeError, ValueError, OSError, IndexError) as error:
        message = str(error)
    except MMSimError as error:
        pytest.fail(f"{name}={shown(value)}: {error!r}")
    else:
        pytest.fail(f"{name}={shown(value)} is taken: {result!r}")
    assert name in message.replace("[", " "), f"{shown(value)}: {message}"
    assert changed(kernel, before) == [], shown(value)
    assert (repr(kernel._book), kernel.last) == (book, last), shown(value)
    assert (kernel.k.sys.bug, kernel.k.sys.current) == (0, 0)
    return message


@pytest.mark.parametrize(("owner", "method", "name"), METHODS, ids=lambda part: getattr(part, "__name__", part))
def test_wrong_argument(scene, owner, method, name):
    parameters = {p.name: p for p in public(owner)[method]}
    needed = {"file"} if method == "write" else {p for p, about in parameters.items() if about.default is about.empty}
    arguments = {p: scene.right[kind_of(method, p)] for p in needed}
    call = getattr(scene.receiver[owner], method)
    for value in wrong_values(scene, method, parameters[name]):
        message = refused(scene, lambda value=value: call(**arguments | {name: value}), name, value)
        if type(value) in (str, float, int):
            assert shown(value).strip("'") in message or f"{value:#x}" in message, message


@pytest.mark.parametrize("name", ["mems", "memory_migrate"])
def test_wrong_assignment(scene, name):
    for value in NOT_YES_NO if name in YES_NO else scene.wrong[name]:
        refused(scene, lambda value=value: setattr(scene.cpuset, name, value), name, value)


def test_hundreds_are_tried(scene, record_property):
    tried = sum(len(wrong_values(scene, method, parameter)) for owner in (Kernel, Task, CpuSet, Mapping)
                for method, parameters in public(owner).items() for parameter in parameters)  # fmt: skip
    record_property("wrong calls tried at each speed", tried)
    assert tried > 500


def test_what_is_no_more_answers_to_nothing(scene):
    """A handle from before a restore(): its number may come again, with something else behind it."""
    task, file, cpuset = scene.gone
    calls = {"touch": lambda: task.touch(None), "exit": task.exit, "fork": task.fork, "pages": task.pages,
             "mlock": lambda: task.mlock(scene.heap), "policy": lambda: task.policy, "numa_maps": task.numa_maps,
             "uid": lambda: task.uid, "migrate_pages": lambda: task.migrate_pages(0, 0, 1)}  # fmt: skip
    for name, call in calls.items():
        with expect_refusal(scene.kernel, "ESRCH", r"gone \(pid 4\) was made after the snapshot"):
            pytest.fail(f"{name} answers: {call()}")
    for call in (lambda: file.pages, lambda: file.fs, lambda: cpuset.mems, lambda: cpuset.tasks,
                 lambda: cpuset.attach(scene.task), lambda: setattr(cpuset, "mems", 1)):  # fmt: skip
        with expect_refusal(scene.kernel, ValueError, "gone was made after the snapshot that was restored"):
            call()
    assert not task.alive
    assert all("is no more" in repr(thing) for thing in scene.gone)
    same = [thing for thing in scene.kernel.tasks if thing.pid == task.pid]
    assert [thing.name for thing in same] == ["new"]
    assert same != [task]


def test_a_misspelt_name_is_no_attribute(scene):
    for thing, name in ((scene.cpuset, "mem"), (scene.task, "nodes"), (scene.task, "node"), (scene.kernel, "cost"),
                        (scene.file, "pages"), (scene.kernel, "clocks"), (scene.cpuset, "name")):  # fmt: skip
        with expect_refusal(scene.kernel, AttributeError, rf"\b{name}\b.* set"):
            setattr(thing, name, 1)


NAMED = {"remote": "distances"}  # what the message calls an argument that goes on under another name
NOT_NODES = ["x", 1.5, object(), [0.5], True, "3-1", "0-", [None], {"a": 1}, "!x", "+", 1j]


def bind(policy):
    return Policy.bind(policy)


def interleave(policy):
    return Policy.interleave(policy)


def preferred(policy):
    return Policy.preferred(policy)


MADE = {
    bind: {"policy": [*NOT_NODES, None]}, interleave: {"policy": [*NOT_NODES, None]}, preferred: {"policy": NOT_NODES},
    Topology.uniform: {"nodes": [*NO_NUMBER, *NO_WHOLE, None, 0, -1, 63, 2**63], "remote": [20.7, None, "far", 10, 255],
                       "frames": [*NO_NUMBER, *NO_WHOLE, None, -1, 5, 0, 2**40, [64], [64] * 5, {0: 64}]},
    Topology.ring: {"nodes": [*NO_NUMBER, *NO_WHOLE, None, 0, -1, 63], "frames": [None, "64", 1.5]},
    Config: dict.fromkeys(vars(Config()), NOT_YES_NO),
    Costs: {name: [*NO_NUMBER, *NO_WHOLE, *FAR, None, -1, 10**11] for name in vars(Costs())},
    Kernel: {
        "topology": ODD, "config": ODD, "costs": ODD, "compiled": ["yes", 2, 0.5, []],
        "patches": [None, "13", 1.7, [1.7], [True], ["1"], 8, -1, [8], [4], object(), float("nan"), True],
        "swap_slots": [*NO_NUMBER, *NO_WHOLE, *FAR, None, -1],
        "trace": [*NO_NUMBER[:-1], *NO_WHOLE, *FAR, None, -1],
    },
}  # fmt: skip


@pytest.mark.parametrize(("what", "name"), [(what, name) for what in MADE for name in MADE[what]],
                         ids=lambda part: getattr(part, "__name__", part))  # fmt: skip
def test_what_cannot_be_made(what, name):
    right = {"topology": Topology.uniform(nodes=2, frames=64)} if what is Kernel else {}
    for value in MADE[what][name]:
        with pytest.raises((TypeError, ValueError), match=rf"\b{NAMED.get(name, name)}"):
            pytest.fail(f"{shown(value)} makes {what(**right | {name: value})}")


def test_whole_numbers_are_whole_whoever_made_them():
    for two in (2, 2.0, np.int8(2), np.uint64(2), np.float32(2)):
        kernel = Kernel(Topology.uniform(nodes=2, frames=128), swap_slots=two, costs=Costs(copy=two), patches=two)
        assert (kernel.patches, kernel.costs.copy, type(kernel.costs.copy)) == ({1, 2}, 2, int)
        task = kernel.spawn("task", uid=two)
        heap = task.mmap(two, at=two)
        task.touch(heap)
        assert task.touch(heap[:two], write=np.True_).minor == 0
        kernel.pin(task, heap, times=two)
        kernel.wait(two)
        file = kernel.file("file", two)
        task.write(file, two - two, two)
        assert (task.uid, heap.start, heap.pages, file.pages) == (2, 2, 2, 2)
    kernel = Kernel(Topology.uniform(nodes=2, frames=128), patches=np.arange(1, 8), trace=np.int64(5))
    task, _ = writer(kernel, 4)
    for kind in (set, tuple, list, iter, np.array, np.float64, lambda frames: frames, lambda frames: frames[::-1]):
        frames = task.pages()["pfn"]
        assert kernel.migrate(kind(frames), to=np.int8(1 - task.placement()[0])).moved == 4
    for nodes in (np.arange(2), {0, 1}, [np.int64(0), 1], range(2)):
        task.set_mempolicy(Policy.interleave(nodes))
        assert str(task.policy) == "interleave:0-1"
        assert kernel.cpuset(f"of {nodes!r}", nodes).mems == "0-1"


def test_two_cpusets_of_one_name(scene):
    with expect_refusal(scene.kernel, "EEXIST", "name: .*group"):
        scene.kernel.cpuset("group", 0)
    before = scene.kernel.snapshot()
    assert scene.kernel.cpuset("group", 0, parent=scene.cpuset).mems == "0"  # it is another folder
    scene.kernel.restore(before)


def test_a_locked_mapping_without_memory_leaves_none(scene):
    before, vmas = scene.kernel.snapshot(), len(scene.task._vmas())
    with pytest.raises(OutOfMemory):
        scene.task.mmap(300, locked=True)
    assert len(scene.task._vmas()) == vmas
    scene.kernel.verify()
    scene.kernel.restore(before)


def test_the_clock_does_not_overflow(scene):
    before = scene.kernel.snapshot()
    scene.kernel.wait(2**61)
    for _ in range(2):
        with expect_refusal(scene.kernel, ValueError, "ns is"):
            scene.kernel.wait(2**61)
    scene.kernel.restore(before)


@pytest.mark.parametrize("name", sorted(set(plots.__all__) - {"describe", "STYLE"}))
def test_a_figure_of_something_else(name):
    """The first argument of a figure is a kernel, a task, a migration, ..., and nothing else."""
    figure = getattr(plots, name)
    needed = [p.name for p in inspect.signature(figure).parameters.values() if p.default is p.empty]
    shows = "kernel" if "kernel" in needed else needed[0]
    for value in (3, "text", None, object(), Kernel):
        with pytest.raises(TypeError, match=rf"\b{shows} is .*; give "):
            figure(**dict.fromkeys(needed, 0) | {shows: value})


def test_a_sweep_a_race_and_a_scenario_of_something_else():
    good = Scenario("good", print, print)
    calls = {
        "scenario": lambda bad: sweep(bad), "grid": lambda bad: sweep(good, bad, jobs=1),
        "jobs": lambda bad: sweep(good, {"x": [1]}, jobs=bad), "file": Scenario.load,
        "name": lambda bad: Scenario(bad, print, print), "build": lambda bad: Scenario("x", bad, print),
        "trigger": lambda bad: Scenario("x", print, bad), "actors": lambda bad: explore(print, bad),
    }  # fmt: skip
    for name, call in calls.items():
        for value in (object(), 2.5):
            with pytest.raises((TypeError, ValueError), match=rf"\b{name} is .*; "):
                call(value)
    with pytest.raises(TypeError, match="build is 3; "):
        explore(3, [])
