"""Handle: what a Task, a File and a CpuSet have in common."""

from ..terms.arguments import shown


class Handle:
    """A name for something on one machine: whose it is, its number there, and which of those that had the number.

    The rows of a machine's tables are what exists.  A handle outlives them: after restore() to a time before it was
    made, nothing answers to it, and what is made later under the same number is something else.
    """

    __slots__ = ("_born", "_kernel", "_number", "name")
    kind = ""  # its list in kernel._book
    made_by = ""  # what a caller makes one with
    settable = ()  # properties that may be assigned

    def __init__(self, kernel, number):
        book = kernel._book
        for name, value in (("_kernel", kernel), ("_number", number), ("name", book[self.kind][number]),
                            ("_born", book["born"].get(self.birth(number)))):  # fmt: skip
            object.__setattr__(self, name, value)

    @classmethod
    def birth(cls, number):
        """The key of kernel._book["born"] under which it is noted when the thing of that number was made."""
        return f"{cls.kind} {number}"

    @property
    def exists(self):
        """False after restore() to a time before it was made."""
        book = self._kernel._book
        return self._number in book[self.kind] and book["born"].get(self.birth(self._number)) == self._born

    def _check_exists(self, argument=""):
        """An error, unless it exists; `argument`: the name that it was given under, for the message."""
        if not self.exists:
            raise self._gone(f"{argument}{self._what()} was made after the snapshot that was restored, and is no more")

    def _gone(self, message):
        """The kind of error that is raised for what does not exist any more."""
        return ValueError(message)

    @property
    def _row(self):
        """Its row in the tables."""
        self._check_exists()
        return self._kernel.tables[self._table][self._number]

    def _what(self):
        return f"{type(self).__name__} {self.name}"

    def __eq__(self, other):
        return type(self) is type(other) and self._identity() == other._identity()

    def __hash__(self):
        return hash(self._identity())

    def _identity(self):
        return id(self._kernel), self._number, self._born

    def __setattr__(self, name, value):
        if name not in self.settable:
            right = f"assign {' or '.join(self.settable)}" if self.settable else "nothing of it is assigned"
            raise AttributeError(f"{name} of {self._what()} cannot be set; {right}")
        object.__setattr__(self, name, value)

    def __reduce__(self):
        return type(self), (self._kernel, self._number)


def own(kernel, thing, kind, name):
    """`thing`, which is to be a `kind` (a class of handles) that exists on this machine.

    Raises
    ------
    TypeError
        It is something else.
    ValueError
        It is another machine's, or was.
    """
    if not isinstance(thing, kind):
        raise TypeError(f"{name} is {shown(thing)}; make one with {kind.made_by}")
    if thing._kernel is not kernel:
        raise ValueError(f"{name}: {thing!r} belongs to another machine; make one on this machine with {kind.made_by}")
    thing._check_exists(f"{name}: ")
    return thing
