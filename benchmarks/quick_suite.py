"""`make test`, by the clock, in a fresh clone."""

from suites import suite


def rows(small=False):
    """The row of `make test`."""
    yield suite("test", 180)
