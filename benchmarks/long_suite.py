"""`make test-all`, by the clock, in a fresh clone."""

from suites import suite


def rows(small=False):
    """The row of `make test-all`."""
    yield suite("test-all", 600)
