"""Files that tasks can map: on tmpfs without a name, or in a folder, where their name is taken away at once."""

import ctypes
import os
import tempfile

from ..terms.arguments import counted
from .calls import PAGE, libc

FOLDERS = {0xEF53: "ext4", 0x58465342: "xfs", 0x9123683E: "btrfs", 0x01021994: "tmpfs", 0x858458F6: "ramfs",
           0x794C7630: "overlay", 0x6969: "nfs", 0x52654973: "reiserfs"}  # fmt: skip
FS_NAMES = ("ext2", "ext3", "ext3-journalled", "xfs", "xfs-meta", "nfs", "reiserfs", "tmpfs", "ramfs")
MEMORY = ("tmpfs", "ramfs")  # file systems that have no disk


def file_system(folder):
    """The name of the file system of a folder; as a number where nobody knows it."""
    told = ctypes.create_string_buffer(512)
    libc("statfs", os.fsencode(folder), told)
    number = int.from_bytes(told.raw[:4], "little")
    return FOLDERS.get(number, f"{number:#x}")


class File:
    """A file; make one with `Linux.file`, map it with `Task.mmap`, write it with `Task.write`."""

    def __init__(self, kernel, name, pages, fs, folder):
        self._kernel, self.name, self.pages, self.fs, self._fd = kernel, name, pages, fs, -1
        if fs == "tmpfs":
            self._fd = os.memfd_create(name)
            os.truncate(self._fd, pages * PAGE)
        else:
            self.fs = file_system(folder)
            if (self.fs in MEMORY) is not (fs in MEMORY) or (fs in MEMORY and fs != self.fs):
                raise NotImplementedError(
                    f"fs is {fs}, but {folder} is on {self.fs}: name a folder of such a file system, Linux(folder=...)"
                )
            with tempfile.TemporaryFile(dir=folder) as file:
                self._fd = os.dup(file.fileno())
            for page in range(pages):
                os.pwrite(self._fd, b"m" * PAGE, page * PAGE)
            os.fsync(self._fd)
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)  # on the disk, not in memory

    def __del__(self):
        if self._fd >= 0:
            os.close(self._fd)

    @property
    def label(self):
        """What messages call it."""
        return self.name

    def placement(self):
        """As of the model; a real kernel tells of what is mapped only."""
        raise NotImplementedError("file.placement: map the file, touch it, and ask the task, which may")

    def __repr__(self):
        return f"<File {self.name}: {counted(self.pages, 'page')} on {self.fs}>"
