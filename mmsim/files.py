"""File: something in a file system that tasks can map and write."""

from .mm import structs

FS_NAMES = {
    "ext2": structs.FS_EXT2, "ext3": structs.FS_EXT3, "ext3-journalled": structs.FS_EXT3_JOURNALLED,
    "xfs": structs.FS_XFS, "xfs-meta": structs.FS_XFS_META, "nfs": structs.FS_NFS,
    "reiserfs": structs.FS_REISERFS, "tmpfs": structs.FS_TMPFS,
}  # fmt: skip


class File:
    """A file; make one with `Kernel.file`, map it with `Task.mmap`, write it with `Task.write`."""

    def __init__(self, kernel, number):
        self._kernel = kernel
        self._number = number

    def __eq__(self, other):
        return isinstance(other, File) and (self._kernel, self._number) == (other._kernel, other._number)

    def __hash__(self):
        return hash((self._kernel, self._number))

    @property
    def name(self):
        """The name that it was given."""
        return self._kernel._book["files"][self._number]

    @property
    def pages(self):
        """Its size, in pages."""
        return int(self._kernel.tables["mapping"]["pages"][self._number])

    @property
    def fs(self):
        """The name of its file system."""
        number = self._kernel.tables["mapping"]["fs"][self._number]
        return next(name for name, fs in FS_NAMES.items() if fs == number)

    def __repr__(self):
        return f"<File {self.name}: {self.pages} pages on {self.fs}>"
