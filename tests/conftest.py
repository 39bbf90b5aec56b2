"""Fixtures for every test, and what is said of tiers whose program is absent."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import directory, nats_server, nats_url, postgres_dsn, postgres_server
from tests.tiers import TIERS

LONGEST = (
    *("tests/simulation/", "tests/chaos/", "tests/cluster/", "tests/compat/test_collection.py"),
    *("tests/compat/test_migration.py", "tests/runners/test_cut_link.py", "tests/deployment/"),
    *("tests/compat/", "tests/runners/"),
)
"""What takes minutes, by directory or file; what begins last should be short.

Then no worker of xdist is idle for long at the end.
"""

settings.register_profile(
    "untimed",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("untimed")
"""How long an example takes says what else the machine does, and servers are for all examples."""

__all__ = ["directory", "nats_server", "nats_url", "postgres_dsn", "postgres_server"]


def pytest_configure(config: pytest.Config) -> None:
    """Declare a marker a tier, and refuse to run without a required one."""
    for name in TIERS:
        config.addinivalue_line("markers", f"tier_{name}: needs {TIERS[name].program}")
    required = [name for name in os.environ.get("PLAYLOG_TEST_REQUIRE", "").split(",") if name]
    lacking = [name for name in required if name not in TIERS or not TIERS[name].present]
    if lacking:
        pytest.exit(f"required tiers are not there: {', '.join(lacking)}", returncode=2)


def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    """Leave out the tests of absent tiers; they are neither passed nor skipped in silence.

    The longest begin first.
    """
    absent = {f"tier_{name}" for name, tier in TIERS.items() if not tier.present}
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in absent)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    """Return when a test's turn is among all, the rest keep their order."""
    turns = (turn for turn, name in enumerate(LONGEST) if item.nodeid.startswith(name))
    return next(turns, len(LONGEST))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name every tier that did not run."""
    for name, tier in TIERS.items():
        if not tier.present:
            terminalreporter.write_line(f"NOT RUN: {name} ({tier.package})")
