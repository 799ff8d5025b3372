"""A compiled machine is the same machine: each kernel function does the same to the same tables at both speeds."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from machines import by_age, differing, share
from test_state_machine import Machine

import mmsim
from mmsim import Kernel, Topology
from mmsim.machine import compile_cache, speed
from mmsim.machine.packets import packets
from mmsim.machine.translate import Program
from mmsim.mm import mbind, timer
from mmsim.mm.structs import MAX_NODES


class BothSpeeds(Kernel):
    """A machine that runs every kernel function interpreted, and compiled on copies of its tables, and compares.

    Compiled for V1 as well, without a trace, unless it has what came later.
    """

    def _run(self, function, *args):
        from mmsim.machine import compiled

        tables = {name: table.copy() for name, table in self.tables.items()}
        given = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
        untraced = None
        if not self.changes and function is not packets:
            untraced = {name: table.copy() for name, table in self.tables.items()}
            untraced["sys"]["tracing"] = 0
            arrays = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
            compiled.twins(untraced)(function)(compiled.Tables(untraced), *arrays)
        compiler = compiled.twins(tables)
        if function is packets:  # only an interpreted machine needs it; compiled, each interrupt runs by itself
            compiler(timer.wait_until)(compiled.Tables(tables), args[0] - 1)
            super()._run(function, *args)
            tables["sys"]["clock"] = self.tables["sys"]["clock"]
            mine, other = map(by_age, (self.tables, tables))
            self.assert_equal(mine, other, function)
            return None
        answer = compiler(function)(compiled.Tables(tables), *given)
        result = super()._run(function, *args)
        assert result == answer, function.__name__
        self.assert_equal(self.tables, tables, function)
        if untraced:
            for column in ("tracing", "nr_events"):
                untraced["sys"][column] = self.tables["sys"][column]
            self.assert_equal(self.tables, untraced | {"event": self.tables["event"]}, function)
        for mine, other in zip(args, given, strict=True):
            assert np.array_equal(mine, other), function.__name__
        kind = compile_cache.ANY if self.changes else compile_cache.V1
        assert function in compiled.called(kind)  # what Binder compiles ahead is all there is
        return result

    @staticmethod
    def assert_equal(mine, other, function):
        assert differing(mine, other) == [], function.__name__


class Histories(Machine):
    Kernel = BothSpeeds


TestHistories = pytest.mark.full(Histories.TestCase)
TestHistories.settings = settings(max_examples=share(40))


def test_an_allocation_that_reclaims_and_allocates_in_turn():
    """The one recursion of the kernel, entered from either side."""
    kernel = BothSpeeds(Topology.uniform(nodes=1, frames=1024), swap_slots=4000)
    task = kernel.spawn("large")
    task.touch(task.mmap(3000), write=True)
    kernel.verify()
    assert kernel.vmstat()["direct_reclaim"] > 0
    assert kernel.vmstat()["slab_pages"] > 1
    kernel = BothSpeeds(Topology.uniform(nodes=1, frames=256))
    kernel.spawn("small").touch(kernel.tasks[0].mmap(64), write=True)
    assert kernel.reclaim(50) == 50
    assert kernel.vmstat()["slab_pages"] == 1


def job(**options):
    """A machine of 80,000 frames, most of node 0 in use by one task: (kernel, task, heap)."""
    kernel = Kernel(Topology.uniform(nodes=2, frames=40_000), **options)
    task = kernel.spawn("job")
    heap = task.mmap(30_000)
    task.touch(heap, write=True)
    return kernel, task, heap


def test_a_large_machine_is_compiled_and_sound():
    kernel, task, heap = job()
    assert kernel.compiled
    child = task.fork()
    kernel.pin(task, heap[7:9])
    assert task.migrate_pages(0, old=0, new=1) == 2
    kernel.verify()
    assert kernel.last.paths.to_dict() == {"direct": 29_998, "retries exhausted": 2}
    assert child.placement() == task.placement(heap) == [1] * 7 + [0] * 2 + [1] * 29_991
    assert kernel.residency()["shared"].tolist() == [2, 29_998]
    kernel.migrate(task.pages(heap)["pfn"], to=0)
    assert kernel.last.moved == 29_998
    assert len(kernel.events()) == 0


def test_a_small_machine_is_interpreted():
    assert not Kernel(Topology.uniform(nodes=2, frames=256)).compiled


def test_the_events_of_a_compiled_machine_are_kept_where_asked_for():
    kernel, _, _ = job(trace=100)
    assert kernel.compiled
    assert len(kernel.events()) == 100


def test_without_numba_a_large_machine_is_interpreted_and_says_so_each_time(monkeypatch):
    monkeypatch.setitem(sys.modules, "mmsim.machine.compiled", None)
    monkeypatch.delattr(mmsim.machine, "compiled", raising=False)
    with pytest.warns(RuntimeWarning, match="pip install") as caught:
        kernels = [Kernel(Topology.uniform(nodes=1, frames=speed.COMPILED_FROM)) for _ in range(2)]
    assert len(caught) == 2
    assert not any(kernel.compiled for kernel in kernels)
    with pytest.raises(ImportError, match="pip install"):
        Kernel(Topology.uniform(nodes=1, frames=32), compiled=True)


TWO_IN_ONE_LINE = """
import sys, warnings
sys.modules["mmsim.machine.compiled"] = None
from mmsim import Kernel, Topology
WISH
for _ in range(2): Kernel(Topology.uniform(1, 65_536))
"""


@pytest.mark.parametrize(("wish", "said"), [("", 2), ("warnings.simplefilter('ignore')", 0)])
def test_it_says_so_each_time_in_one_place_too_unless_it_is_not_wanted(wish, said):
    lines = TWO_IN_ONE_LINE.replace("WISH", wish)
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert done.stderr.count("SlowWarning") == said


FREE_A_PAGE = """
from mmsim import Kernel, Topology
from mmsim.mm import page_alloc, swap
kernel = Kernel(Topology.uniform(1, 32), compiled=True)
pfn = page_alloc.rmqueue(kernel.k, 0)
kernel.call(swap.put_page, pfn)
print(kernel.k.mem_map[pfn].data)
"""


FROM_DISK = """
from mmsim.machine import compiled
print(compiled.Native((swap.put_page,), "swap.put_page", compiled.V1).from_disk)
"""


@pytest.fixture
def fresh(tmp_path):
    """Runs lines in a fresh process on a copy of the package, with a cache of its own: what they print."""
    shutil.copytree(Path(mmsim.__file__).parent, tmp_path / "mmsim")
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment = os.environ | home | {"PYTHONPATH": str(tmp_path)}

    def run(lines, before=None):
        command = [sys.executable, "-c", lines]
        options = {"env": environment, "cwd": tmp_path, "capture_output": True, "text": True, "check": True}
        return subprocess.run(command, preexec_fn=before, **options).stdout

    return run


@pytest.mark.full
def test_the_cache_serves_what_is_unchanged_and_nothing_else(fresh, tmp_path):
    def poison():
        """What a freed page holds; and the compiled code on disk."""
        return int(fresh(FREE_A_PAGE)), {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*put_page*.code")}

    first, compiled = poison()
    assert poison() == (first, compiled)
    assert compiled
    page_alloc = tmp_path / "mmsim/mm/page_alloc.py"  # put_page() itself, in swap.py, stays as it is
    page_alloc.write_text(page_alloc.read_text().replace("page.data = POISON", "page.data = POISON - 6"))
    changed, more = poison()
    assert changed == first - 6
    assert compiled.items() < more.items()


def damaged(code):
    """Some code with a damage of each kind; what is no bytes stands for itself."""
    yield from (b"", code[: len(code) // 2], b"garbage" * 99, code + b"more", "a folder")
    for at in (0, 32, 100, len(code) // 2, -100):  # some of these ended the process once
        flipped = bytearray(code)
        flipped[at] ^= 16
        yield bytes(flipped)


@pytest.mark.full
def test_a_damaged_file_in_the_cache_is_replaced(fresh, tmp_path):
    poison = fresh(FREE_A_PAGE)
    (file,) = tmp_path.rglob("*put_page*.code")
    code = file.read_bytes()
    for damage in damaged(code):
        file.unlink()
        file.mkdir() if damage == "a folder" else file.write_bytes(damage)
        assert fresh(FREE_A_PAGE) == poison
        if damage == "a folder":
            file.rmdir()
            assert fresh(FREE_A_PAGE) == poison
        assert len(file.read_bytes()) > len(code) // 2
        assert file.read_bytes() != damage


def as_anybody():
    """Root, too, asks for permission."""
    if os.getuid() == 0:
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


def allow(folder, files, folders):
    """Set the modes of all that is in a folder, and of itself."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(folders if path.is_dir() else files)


@pytest.mark.full
@pytest.mark.skipif(sys.platform != "linux", reason="capabilities")
def test_a_cache_that_cannot_be_read_or_written(fresh, tmp_path):
    poison, cache = fresh(FREE_A_PAGE), tmp_path / "cache/mmsim"
    (file,) = cache.rglob("*put_page*.code")
    code = file.read_bytes()
    allow(cache, 0o444, 0o555)  # filled, as in an image
    assert fresh(FREE_A_PAGE + FROM_DISK, as_anybody) == poison + "True\n"
    allow(cache, 0o000, 0o755)
    assert fresh(FREE_A_PAGE, as_anybody) == poison
    allow(cache, 0o000, 0o555)
    assert fresh(FREE_A_PAGE, as_anybody) == poison
    allow(cache, 0o644, 0o755)
    file.unlink()
    allow(cache, 0o444, 0o555)
    assert fresh(FREE_A_PAGE, as_anybody) == poison
    next(cache.iterdir()).chmod(0o000)
    assert fresh(FREE_A_PAGE, as_anybody) == poison
    allow(cache, 0o644, 0o755)
    assert fresh(FREE_A_PAGE, as_anybody) == poison
    assert abs(len(file.read_bytes()) - len(code)) < 1_000
    assert [*tmp_path.rglob("*.nb?")] == []  # numba's own, which would not notice a change of the kernel


@pytest.mark.full
@pytest.mark.skipif(sys.platform == "win32", reason="no limits")
@pytest.mark.parametrize("room", [0, 100, 800])  # the code itself takes some 970
def test_a_cache_on_a_full_disk(fresh, tmp_path, room):
    import resource

    poison = fresh(FREE_A_PAGE, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)))
    assert poison == "-1\n"
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
    assert fresh(FREE_A_PAGE) == poison


@pytest.mark.full
def test_where_no_cache_can_be_made(fresh, tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert fresh(FREE_A_PAGE) == "-1\n"


def test_the_cache_has_the_same_name_in_each_process():
    """A code object inside another one is written with its address by repr()."""
    described = [compile_cache.describe(value) for module in compile_cache.kernel_modules()
                 for value in (*vars(module).values(), lambda k: sum(page for page in k))]  # fmt: skip
    assert not [text for text in described if " at 0x" in text]


def test_a_kernel_without_changes_is_compiled_without_what_came_later():
    small, whole = (Program([mbind.do_migrate_pages], off) for off in (("change",), ()))
    names = [{f"{f.__module__}.{f.__name__}" for f, _ in program.made} for program in (small, whole)]
    assert names[0] < names[1]
    assert "mmsim.mm.migrate.migrate_pages" in names[1] - names[0]
    assert '"change.' in str(whole.module)  # the columns that hold the switches
    assert '"change.' not in str(small.module)
    machines = [Kernel(Topology.uniform(2, 64), release=r, compiled=True) for r in (None, "2.6.14", "6.1", "3.8")]
    machines.append(Kernel(Topology.uniform(2, 64), compiled=True, trace=64))
    v1, oldest, today, older, traced = (machine._compile for machine in machines)
    assert v1 is oldest
    assert today is older is traced is not v1


def test_a_machine_with_a_trace_keeps_it_when_it_is_loaded_compiled(tmp_path):
    kernel = Kernel(Topology.uniform(2, 64))
    kernel.spawn("a")
    kernel.save(tmp_path / "machine")
    loaded = Kernel.load(tmp_path / "machine", compiled=True)
    before = len(loaded.events())
    task = loaded.tasks[0]
    task.touch(task.mmap(2), write=True)
    assert len(loaded.events()) == before + 2


def test_a_machine_with_as_many_nodes_as_there_can_be():
    machines = [Kernel(Topology.uniform(MAX_NODES, 64), trace=False, compiled=compiled) for compiled in (True, False)]
    for kernel in machines:
        task = kernel.spawn("job", node=MAX_NODES - 2)
        heap = task.mmap(100)
        task.touch(heap, write=True)
        before = kernel.snapshot()
        for _ in range(2):
            task.migrate_pages(0, f"0-{MAX_NODES - 2}", MAX_NODES - 1)
            assert set(task.placement(heap)) > {MAX_NODES - 1}  # not all of it fits there
            kernel.verify()
            kernel.restore(before)
        task.migrate_pages(0, MAX_NODES - 2, 0)
    assert differing(*(kernel.tables for kernel in machines)) == []
