"""Settings for all tests."""

import importlib.util
import os

import pytest
from hypothesis import HealthCheck, settings
from machines import N, writer

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
# The default finds the same examples at every run; `HYPOTHESIS_PROFILE=soak pytest tests/test_state_machine.py`
# looks for new ones for some minutes.
settings.register_profile(
    "ci", derandomize=True, deadline=None, max_examples=200, stateful_step_count=40, suppress_health_check=QUIET
)
settings.register_profile(
    "soak", deadline=None, max_examples=20_000, stateful_step_count=50, suppress_health_check=QUIET, print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def needs():
    """``needs("voila")``: skip where a tool of the extra 'release' is not installed; in CI that is a failure."""

    def needs(*modules):
        missing = [module for module in modules if not importlib.util.find_spec(module)]
        if missing:
            where = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            where(f"needs {', '.join(missing)}: make test EXTRAS=test,dev,fast,release")

    return needs


@pytest.fixture
def job(kernel):
    """A task on node 0 of the test's own `kernel` that wrote N anonymous pages: (task, mapping)."""
    return writer(kernel, N)


@pytest.fixture
def task(job):
    return job[0]


@pytest.fixture
def heap(job):
    return job[1]


def pytest_terminal_summary(terminalreporter):
    """Print what tests have measured (record_property), also where they pass."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")
