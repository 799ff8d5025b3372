"""Machines in files: a file is replaced by a complete one only; one that is damaged is refused by name, or is sound."""

import errno
import io
import itertools
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import boot, frames_of, locked_elsewhere, share, writer
from test_snapshot import act, busy, same

import mmsim
from mmsim import InvariantError, Kernel, KernelBug, KernelHang, Topology
from mmsim.machine import snapshot as saved
from mmsim.machine.bounds import bounds, check_bounds
from mmsim.machine.columns import NOT_NEGATIVE
from mmsim.machine.layout import LAYOUT
from mmsim.mm import structs

NAMES = structs.Tables._fields


def full():
    """A machine with a bit of everything, that has moved pages, and then swapped some out."""
    kernel, task, _ = busy(compiled=False, trace=500)
    task.migrate_pages(0, "0-1", "1-2")
    kernel.reclaim(8)
    task.write(kernel.file("more", 4, fs="ext2"))
    return kernel


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Its file."""
    file = tmp_path_factory.mktemp("saved") / "good.npz"
    full().save(file)
    return file


def contents(file):
    """(description, tables) of a file."""
    with np.load(file) as stored:
        return json.loads(str(stored["about"])), {name: stored[name] for name in NAMES}


def refuse(file, match="."):
    """A file is refused, with its path and without bad advice."""
    with pytest.raises(ValueError, match=match) as refused:
        Kernel.load(file)
    message = str(refused.value)
    assert message.startswith(f"{file}: ")
    assert len(message) > len(f"{file}: ") + 10
    assert "pickle" not in message or "no pickle" in message


def written(tmp_path, about, tables):
    file = tmp_path / "damaged.npz"
    np.savez(file, about=np.array(json.dumps(about)), **tables)
    return file


# -- what is kept


def test_the_last_migration_is_kept(good):
    kernel = full()
    loaded = Kernel.load(good)
    assert same(kernel, loaded) == []
    assert repr(loaded.last) == repr(kernel.last)
    assert loaded.last.pages.equals(kernel.last.pages)
    assert loaded.last.returned == kernel.last.returned
    assert len(loaded.last.pages) > 0


def test_a_machine_on_which_nothing_was_moved(tmp_path):
    boot().save(tmp_path / "new.npz")
    assert Kernel.load(tmp_path / "new.npz").last is None


def test_a_machine_that_stands_still_can_be_kept(tmp_path):
    kernel = boot(patches=3)
    kernel.k.sys.bug = structs.BUG_NO_MAPPING
    kernel.save(tmp_path / "bug.npz")
    loaded = Kernel.load(tmp_path / "bug.npz")
    with pytest.raises(KernelBug, match="stands still"):
        loaded.wait(1)


def test_a_machine_that_hangs_can_be_kept_with_what_it_was_doing(tmp_path):
    kernel, frames, *_ = locked_elsewhere()
    with pytest.raises(KernelHang):
        kernel.migrate(frames, to=1, force=True)
    kernel.save(tmp_path / "hang.npz")
    loaded = Kernel.load(tmp_path / "hang.npz")
    assert same(kernel, loaded) == []
    assert loaded.last.returned is None
    assert loaded.last.pages.equals(kernel.last.pages)
    with pytest.raises(KernelHang, match="stands still"):
        loaded.wait(1)


def test_what_is_wrong_with_the_call_is_not_blamed_on_the_file(good, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mmsim.machine.compiled", None)
    monkeypatch.delattr(mmsim.machine, "compiled", raising=False)
    with pytest.raises(ImportError, match="compiled is True"):
        Kernel.load(good, compiled=True)


# -- files that are no machine


def array_of(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def one_array(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


FOREIGN = {
    "empty": b"",
    "text": b"a machine",
    "a pickle": pickle.dumps({"mem_map": [1, 2]}),
    "one array": one_array(np.arange(5)),
    "other arrays": array_of(a=np.arange(5)),
    "a pickled array": array_of(about=np.array([{}], object)),
    "a number for a description": array_of(about=np.array(3)),
    "a description that is no JSON": array_of(about=np.array("{")),
    "a description that is a list": array_of(about=np.array("[]")),
    "nested brackets": array_of(about=np.array("[" * 100_000)),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_machine(tmp_path, name):
    file = tmp_path / "foreign.npz"
    file.write_bytes(FOREIGN[name])
    refuse(file)


def test_a_zip_with_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    refuse(tmp_path / "other.zip", "no machine that Kernel.save")
    with zipfile.ZipFile(tmp_path / "fake.zip", "w") as archive:
        archive.writestr("about.npy", "hello")
    refuse(tmp_path / "fake.zip", "about is no array")


def test_what_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        Kernel.load(tmp_path / "none.npz")
    with pytest.raises(OSError, match=r"Is a directory|Permission denied"):
        Kernel.load(tmp_path)


# -- files of other versions


@pytest.mark.parametrize("change", [{"format": "an old one"}, {"format": None}, {"mmsim": "0.0.1", "format": 0}])
def test_a_file_of_another_version_says_what_to_do(good, tmp_path, change):
    about, tables = contents(good)
    refuse(written(tmp_path, about | change, tables), "load it with that version; or build the machine anew")


def test_a_file_from_before_there_were_versions(good, tmp_path):
    about, tables = contents(good)
    del about["format"], about["mmsim"], about["last"]
    refuse(written(tmp_path, about, tables), "mmsim before 0.1.0 has saved it")


def test_the_format_is_another_one_when_numbers_mean_something_else(monkeypatch):
    before = saved.file_format()
    assert before == saved.file_format()
    monkeypatch.setattr(structs, "PG_dirty", structs.PG_dirty << 1)
    assert saved.file_format() != before


# -- damage


@pytest.mark.parametrize("name", ["about", *NAMES])
def test_an_array_that_is_missing(good, tmp_path, name):
    file = tmp_path / "damaged.npz"
    with zipfile.ZipFile(good) as whole, zipfile.ZipFile(file, "w") as part:
        for info in whole.infolist():
            if info.filename != f"{name}.npy":
                part.writestr(info, whole.read(info))
    refuse(file, f"no array '{name}'")


SHAPES = {
    "of floats": lambda table: np.zeros(table.shape),
    "a row too few": lambda table: table[:-1],
    "no rows": lambda table: table[:0],
    "one number": lambda table: table.reshape(-1)[0],
    "of two dimensions more": lambda table: table[:, None, None],
    "of objects": lambda table: np.full(len(table), None),
    "bytes swapped": lambda table: table.astype(table.dtype.newbyteorder()),
}


@pytest.mark.parametrize("name", NAMES)
def test_an_array_of_another_shape(good, tmp_path, name):
    for what, damage in SHAPES.items():
        about, tables = contents(good)
        if what == "a row too few" and name in saved.GROW:
            continue
        refuse(written(tmp_path, about, tables | {name: damage(tables[name])}), f"{name} (is|has)")


ABOUT = {
    "another matrix": {"topology": [[[10, 20], [20, 10]], [256, 256]]},
    "more memory": {"topology": [[[10, 20, 20], [20, 10, 20], [20, 20, 10]], [256, 256, 10**9]]},
    "other distances": {"topology": [[[10, 21, 20], [21, 10, 20], [20, 20, 10]], [256] * 3]},
    "other frames": {"topology": [[[10, 20, 20], [20, 10, 20], [20, 20, 10]], [255, 257, 256]]},
    "no topology": {"topology": 3},
    "other swap": {"swap_slots": 1023},
    "no swap": {"swap_slots": None},
    "other config": {"config": {"numa": False}},
    "a config that is none": {"config": {"cow": True}},
    "other costs": {"costs": {"alloc": 3}},
    "costs that are none": {"costs": {"alloc": -3}},
    "other patches": {"patches": [1, 3]},
    "patches that cannot be": {"patches": [4]},
    "no patches": {"patches": "all"},
    "no book": {"book": {}},
    "a last that is none": {"last": 7},
    "another last": {"last": ["kernel", "all", 0]},
}


@pytest.mark.parametrize("name", ABOUT)
def test_a_description_of_another_machine(good, tmp_path, name):
    about, tables = contents(good)
    refuse(written(tmp_path, about | ABOUT[name], tables))


@pytest.mark.parametrize("key", ["topology", "config", "costs", "patches", "swap_slots", "book", "last"])
def test_a_description_with_something_missing(good, tmp_path, key):
    about, tables = contents(good)
    del about[key]
    refuse(written(tmp_path, about, tables), key)


BOOK = {
    "a task without a number": ("tasks", [["x", "y"]]),
    "a task too many": ("tasks", [[n, "x"] for n in range(2000)]),
    "a task without a name": ("tasks", [[n, None] for n in range(4)]),
    "a file too few": ("files", []),
    "pins by nobody": ("pins", [[99, [1]]]),
    "pins of nothing": ("pins", [[2, [1 << 20, 3, 3, 3]]]),
    "pins that do not fit": ("pins", [[2, [3]]]),
    "no list": ("cpusets", 3),
}


@pytest.mark.parametrize("name", BOOK)
def test_names_of_other_things(good, tmp_path, name):
    about, tables = contents(good)
    kind, entries = BOOK[name]
    about["book"][kind] = entries
    refuse(written(tmp_path, about, tables))


def test_every_number_that_names_nothing_is_found(good):
    kernel = Kernel.load(good)
    tried = 0
    for name, columns in bounds(kernel).items():
        for column, (least, most) in columns.items():
            numbers = kernel.tables[name][column] if column else kernel.tables[name]
            before, limits = numbers.copy(), np.iinfo(numbers.dtype)
            for number in (least - 1, most + 1):
                if limits.min <= number <= limits.max:
                    numbers[-1] = number
                    with pytest.raises(InvariantError, match=rf"{name}: row \d+: its {column or 'number'} is not from"):
                        check_bounds(kernel)
                    numbers[:] = before
                    tried += 1
    assert tried > 150
    check_bounds(kernel)


GRANTED = [
    f"{name}.{column}" if column else name
    for name, dtype in LAYOUT.items() if name in structs.Tables._fields
    for column in dtype.names or [""] if f"{name}.{column}".startswith(NOT_NEGATIVE)
]  # fmt: skip


def test_compiled_code_takes_some_columns_for_not_negative():
    assert len(GRANTED) > 35
    assert {"mem_map.next", "pte.value", "swap_cache", "sys.swap_cursor", "sys.nr_timers"} <= {*GRANTED}


@pytest.mark.parametrize("what", GRANTED)
def test_no_file_has_a_number_below_0_where_compiled_code_takes_that_for_granted(good, tmp_path, what):
    about, tables = contents(good)
    name, _, column = what.partition(".")
    (tables[name][column] if column else tables[name])[-1] = -1
    refuse(written(tmp_path, about, tables))


def change(tables, name, column, number, where):
    table = tables[name]
    if name == "timer":  # of those that are pending
        table = table[tables["sys"]["first_timer"][0] :]
    table[column][np.flatnonzero(where(table))[0]] = number


PLACES = {
    "a page map that begins elsewhere": ("vma", "pte_base", 1 << 20, lambda t: t["vm_mm"] > 0),
    "a vma that ends behind its file": ("vma", "vm_pgoff", 5_000, lambda t: t["mapping"] > 0),
    "a vma that ends before it begins": ("vma", "vm_end", 3, lambda t: t["vm_mm"] > 0),
    "a present page that is not": ("pte", "value", 1 << 20, lambda t: t["flags"] & structs.PTE_PRESENT != 0),
    "a swap entry that is none": ("pte", "value", 0, lambda t: t["flags"] & structs.PTE_SWAP != 0),
    "an empty pte that is not": ("pte", "flags", 0, lambda t: t["value"] > 0),
    "present and swapped": ("pte", "flags", 17, lambda t: t["flags"] & structs.PTE_SWAP != 0),
    "a page behind its file": ("mem_map", "index", 4_000, lambda t: t["mapping"] > 0),
    "a cached page without an entry": ("mem_map", "private", 1 << 20, lambda t: t["flags"] & structs.PG_swapcache != 0),
    "an empty policy": ("task", "mode", 2, lambda t: t["nodes"] == 0),
    "two files in one place": ("mapping", "base", 0, lambda t: (t["base"] > 0)),
    "a timer of nothing": ("timer", "a", 1 << 20, lambda t: t["time"] > 0),
    "a timer of no kind": ("timer", "kind", 77, lambda t: t["time"] > 0),
    "a timer out of order": ("timer", "time", 1 << 61, lambda t: t["time"] > 0),
    "a frame of another node": ("mem_map", "node", 2, lambda t: t["node"] == 0),
    "a count that is wrong": ("mem_map", "count", 5, lambda t: t["mapcount"] == 1),
    "other contents": ("mem_map", "data", 1, lambda t: t["data"] > 5),
    "a list that leads elsewhere": ("mem_map", "next", 5, lambda t: t["next"] > 5),
    "an error that is none": ("sys", "bug", 99, lambda t: t["bug"] == 0),
}


def test_timers_that_end_behind_their_table(good, tmp_path):
    about, tables = contents(good)
    assert tables["sys"]["nr_timers"][0] > 0
    tables["sys"]["first_timer"] = len(tables["timer"])
    refuse(written(tmp_path, about, tables), "end within the table")


@pytest.mark.parametrize("name", PLACES)
def test_a_number_that_names_something_else(good, tmp_path, name):
    about, tables = contents(good)
    change(tables, *PLACES[name])
    refuse(written(tmp_path, about, tables))


@given(st.data())
@settings(max_examples=share(400))
def test_a_flipped_byte_is_found_or_does_not_matter(good, tmp_path_factory, data):
    raw = bytearray(good.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1) | st.integers(len(raw) - 2500, len(raw) - 1), label="at")
    raw[at] ^= data.draw(st.integers(1, 255), label="bits")
    file = tmp_path_factory.mktemp("flipped") / "flipped.npz"
    file.write_bytes(raw)
    try:
        loaded = Kernel.load(file)
    except ValueError:
        refuse(file)
    else:
        assert same(Kernel.load(good), loaded) == []
        loaded.verify()


@given(st.integers(0, 10**6))
@settings(max_examples=share(100))
def test_a_file_that_was_cut_off_is_found(good, tmp_path_factory, size):
    raw = good.read_bytes()
    file = tmp_path_factory.mktemp("cut") / "cut.npz"
    file.write_bytes(raw[: size % len(raw)])
    refuse(file)


# -- writing


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_the_good_file_and_no_litter(good, tmp_path):
    file = tmp_path / "machine.npz"
    file.write_bytes(good.read_bytes())
    with pytest.raises(OSError, match=r"No space left on device.*machine\.npz") as error:
        boot().save(file)
    assert error.value.errno == errno.ENOSPC
    assert file.read_bytes() == good.read_bytes()
    assert os.listdir(tmp_path) == ["machine.npz"]
    with pytest.raises(OSError, match="No space left"):
        boot().save(tmp_path / "new.npz")
    assert os.listdir(tmp_path) == ["machine.npz"]


def test_an_interrupted_save_leaves_the_good_file(tmp_path, monkeypatch):
    def interrupted(file, **_):
        file.write(b"half of it")
        raise KeyboardInterrupt

    file = tmp_path / "machine.npz"
    kernel = boot()
    kernel.save(file)
    before = file.read_bytes()
    monkeypatch.setattr(np, "savez_compressed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kernel.save(file)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["machine.npz"]


def test_a_file_keeps_its_mode_and_a_link_goes_on_leading_there(tmp_path):
    kernel, file, link = boot(), tmp_path / "machine.npz", tmp_path / "link.npz"
    kernel.save(file)
    assert file.stat().st_mode & 0o777 == 0o666 & ~current_umask()
    file.chmod(0o640)
    link.symlink_to(file)
    kernel.wait(1_000)
    kernel.save(link)
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert Kernel.load(file).clock == 1_000


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_what_cannot_be_written(tmp_path, monkeypatch):
    kernel = boot()
    with pytest.raises(FileNotFoundError, match=r"none/machine\.npz"):
        kernel.save(tmp_path / "none/machine.npz")
    with pytest.raises(IsADirectoryError):
        kernel.save(tmp_path)
    assert os.listdir(tmp_path) == []
    kernel.save("/dev/null")
    kernel.save(tmp_path / "fixed.npz")
    monkeypatch.setattr(os, "access", lambda *_: False)  # what root may do nobody can forbid
    with pytest.raises(PermissionError, match=r"fixed\.npz"):
        kernel.save(tmp_path / "fixed.npz")


def test_a_saved_machine_goes_on_as_the_first_one(tmp_path):
    kernel, task, heap = busy(compiled=False)
    kernel.save(tmp_path / "m.npz")
    loaded = Kernel.load(tmp_path / "m.npz")
    for machine in (kernel, loaded):
        act(machine, task.pid, heap)
    assert same(kernel, loaded) == []
    loaded.verify()


def test_machines_of_all_kinds(tmp_path):
    for nodes, patches, trace, swap_slots in itertools.product((1, 3), (0, (1, 3, 6), 7), (True, False), (0, 50)):
        kernel = Kernel(Topology.ring(nodes, 64), patches=patches, trace=trace, swap_slots=swap_slots)
        task, _ = writer(kernel, 10)
        kernel.migrate(frames_of(task), to=nodes - 1)
        kernel.save(tmp_path / "m.npz")
        loaded = Kernel.load(tmp_path / "m.npz")
        assert same(kernel, loaded) == []
        assert repr(loaded.last) == repr(kernel.last)
