"""The file system that a virtual machine starts with: Python, its libraries, and what of mmsim needs no more than that.

A cpio archive ("newc"), which the kernel unpacks by itself; no program but Python is in it.
"""

import importlib.util
import marshal
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
ROOMS = ("__init__.py", "terms", "linux", "experiments")  # of mmsim
LEFT_OUT = {"test", "tests", "idlelib", "lib2to3", "tkinter", "turtledemo", "ensurepip", "pydoc_data", "site-packages",
            "dist-packages", "unittest", "distutils", "venv", "__pycache__"}  # fmt: skip
DEVICES = {"console": (5, 1), "null": (1, 3), "zero": (1, 5), "ttyS0": (4, 64), "ttyS1": (4, 65), "urandom": (1, 9)}


class Archive:
    """A cpio archive in the making; what is put in brings its folders along."""

    def __init__(self, file):
        self.file, self.there, self.number = file, set(), 0

    def add(self, name, mode, content=b"", device=(0, 0), mtime=0):
        """Put something in: a folder, a file, a link or a device, as its mode says."""
        parent = os.path.dirname(name)
        if parent and parent not in self.there:
            self.add(parent, stat.S_IFDIR | 0o755)
        if name in self.there:
            return
        self.there.add(name)
        self.number += 1
        path = name.encode() + b"\0"
        fields = (self.number, mode, 0, 0, 1, mtime, len(content), 0, 0, *device, len(path), 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + path
        self.file.write(head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4))

    def copy(self, path, name=None):
        """Put a file of this machine in, under its own name or another."""
        path = Path(path)
        info = path.stat()
        self.add(str(name or path).lstrip("/"), info.st_mode, path.read_bytes(), mtime=int(info.st_mtime))

    def end(self):
        """Say that this was all."""
        self.add("TRAILER!!!", 0)


def libraries(paths):
    """The shared libraries that some programs need, with the loader: as the loader itself lists them."""
    found = set()
    for path in paths:
        said = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False).stdout
        found |= set(re.findall(r"(?:=> )?(/\S+) \(0x", said))
    return sorted(found)


def standard_library():
    """The files of Python's standard library: (path, name in the archive)."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root).parts
        if path.is_file() and not LEFT_OUT & set(inside) and path.suffix in (".py", ".so"):
            yield path


def compiled(path):
    """What Python makes of a source file, as it keeps it in __pycache__: (name, content).

    It is not compared with the source, so that no time of a file needs to be kept.
    """
    source = path.read_bytes()
    code = compile(source, str(path), "exec", dont_inherit=True, optimize=0)
    head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(source)
    return head + marshal.dumps(code)


def needed():
    """The modules of the standard library that the machine loads: compiled ahead, since that takes long in there."""
    code = ("import sys, json, code, traceback, warnings, runpy; from mmsim.linux import Linux, worker\n"
            "import mmsim.experiments.guest, mmsim.experiments.recording, mmsim.experiments.random_histories\n"
            "files = (getattr(module, '__file__', None) for module in sys.modules.values())\n"
            "print(*filter(None, files), sep='\\n')")  # fmt: skip
    root = f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); "
    said = subprocess.run([sys.executable, "-I", "-S", "-c", root + code], capture_output=True, text=True, check=True)
    return {Path(name).resolve() for name in said.stdout.split("\n") if name.endswith(".py")}


def write(target, script, arguments=()):
    """Write the archive, a file: Python, mmsim, and what is to be run.

    `script`: the source of /init, which the kernel starts.  `arguments`: more files, (name, content) of each.
    """
    python = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    if shutil.which("ldd") is None:
        raise OSError("ldd is missing, which lists the libraries of Python: install libc-bin")
    with open(target, "wb") as file:
        archive = Archive(file)
        for name, device in DEVICES.items():
            archive.add(f"dev/{name}", stat.S_IFCHR | 0o666, device=device)
        for folder in ("proc", "sys", "tmp", "dev/shm", "root"):
            archive.add(folder, stat.S_IFDIR | 0o1777)
        there = list(standard_library())
        ahead = needed()
        for path in there:
            archive.copy(path)
            if path.resolve() in ahead:
                name = importlib.util.cache_from_source(str(path)).lstrip("/")
                archive.add(name, stat.S_IFREG | 0o644, compiled(path))
        archive.copy(python)
        for path in libraries([python, *(path for path in there if path.suffix == ".so")]):
            archive.copy(path)
        for room in ROOMS:
            for path in sorted((PACKAGE / room).glob("*.*")) if "." not in room else [PACKAGE / room]:
                name = f"mmsim/mmsim/{path.relative_to(PACKAGE)}"
                archive.copy(path, name)
                if path.suffix == ".py":
                    archive.add(importlib.util.cache_from_source(name), stat.S_IFREG | 0o644, compiled(path))
        for name, content in arguments:
            archive.add(name, stat.S_IFREG | 0o644, content)
        archive.add("init", stat.S_IFREG | 0o755, f"#!{python} -ISu\n{script}".encode())
        archive.end()
