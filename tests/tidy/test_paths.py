"""What of AWX's API is not served is written down: nothing is missing silently."""

from __future__ import annotations

from tests.compat import paths

AGAIN = "run `.venv/bin/python -m tests.compat.paths` and read what it changed"


def test_what_is_missing_is_documented() -> None:
    """Each path and method of AWX is served or stands under "Missing", and nothing else does."""
    assert paths.missing() == paths.documented(), AGAIN


def test_the_table_is_the_whole_api() -> None:
    """AWX 24.6.1 has 372 paths; a table that lost some would prove less."""
    assert len({each.path for each in paths.PATHS}) == 372
