"""File: something in a file system that tasks can map and write."""

from .handles import Handle
from ..mm import structs
from .names import file_labels
from .results import file_frames
from ..terms.arguments import counted

FS_NAMES = {
    "ext2": structs.FS_EXT2, "ext3": structs.FS_EXT3, "ext3-journalled": structs.FS_EXT3_JOURNALLED,
    "xfs": structs.FS_XFS, "xfs-meta": structs.FS_XFS_META, "nfs": structs.FS_NFS,
    "reiserfs": structs.FS_REISERFS, "tmpfs": structs.FS_TMPFS, "ramfs": structs.FS_RAMFS,
}  # fmt: skip


class File(Handle):
    """A file; make one with `Kernel.file`, map it with `Task.mmap`, write it with `Task.write`."""

    __slots__ = ()
    kind, made_by, _table = "files", "kernel.file()", "mapping"

    pages = property(lambda self: int(self._row["pages"]), doc="Its size, in pages.")

    @property
    def fs(self):
        """The name of its file system."""
        return next(name for name, fs in FS_NAMES.items() if fs == self._row["fs"])

    @property
    def label(self):
        """What tables call it: its name, and where another file had that before, a number."""
        return file_labels(self._kernel)[self._number]

    def placement(self):
        """The node of each of its pages that is in the page cache, or (tmpfs) the swap cache; None where none is."""
        frames = file_frames(self._kernel, self._number)
        nodes = self._kernel.tables["mem_map"]["node"][frames].astype(object)
        nodes[frames == 0] = None
        return nodes.tolist()

    def __repr__(self):
        if not self.exists:
            return f"<File {self.name}, which is no more>"
        return f"<File {self.name}: {counted(self.pages, 'page')} on {self.fs}>"
