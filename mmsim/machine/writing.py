"""A file that exists is replaced by a complete one, or not at all."""

import contextlib
import errno
import os
import shutil
from pathlib import Path


@contextlib.contextmanager
def replacing(path, mode="wb", **options):
    """A file to write into, which takes the place of `path` at the end of the ``with`` block.

    It is written beside `path`, brought to the disk, and renamed. If anything goes wrong before, `path` is as it was,
    and nothing is left beside it. What is no file on a disk, such as a pipe, is written to directly.

    Parameters
    ----------
    path : path
    mode, **options
        As for `open`.

    Raises
    ------
    OSError
        With the name of `path`, whatever could not be written.
    """
    target = Path(os.path.realpath(path))  # a link goes on leading there
    beside = target.with_name(f".{target.name[:100]}.{os.getpid()}.part")
    ordinary = target.is_file() or not target.exists()
    try:
        if target.is_file() and not os.access(target, os.W_OK):  # renaming would not ask
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        with open(beside if ordinary else target, mode, **options) as file:
            yield file
            if ordinary:
                file.flush()
                os.fsync(file.fileno())
        if target.is_file():
            shutil.copymode(target, beside)
        if ordinary:
            beside.replace(target)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        beside.unlink(missing_ok=True)
