"""Ranges of a task's address space: a mapping, or a part of one."""

from typing import NamedTuple

from .arguments import counted, whole


class Range(NamedTuple):
    """Pages [start, start + pages) of a task."""

    task: object
    start: int
    pages: int

    @property
    def stop(self):
        """The first page behind it."""
        return self.start + self.pages

    def __len__(self):
        return self.pages

    def __getitem__(self, key):
        """A sub-range, counted from the start of this one."""
        if isinstance(key, slice):
            parts = (part if part is None else whole(part, "key") for part in (key.start, key.stop, key.step))
            first, last, step = slice(*parts).indices(self.pages)
            if step != 1:
                raise ValueError(f"key: range[{key}]: pages of a range are neighbours; the step must be 1")
            return Range(self.task, self.start + first, max(0, last - first))
        key = whole(key, "key")
        if not -self.pages <= key < self.pages:
            raise IndexError(f"key: range[{key}]: the range has {counted(self.pages, 'page')}")
        return Range(self.task, self.start + key % self.pages, 1)

    def __iter__(self):
        raise TypeError("a range is not iterated; give it to touch(), pages(), placement(), ...")

    def __repr__(self):
        return f"<{counted(self.pages, 'page')} of {self.task.label} from {self.start:#x}>"


Mapping = Range
