"""The clock: the only place that asks for the time."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time, in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Return seconds of a clock that never goes back; only differences mean something."""
    return time.monotonic()


def iso(moment: datetime) -> str:
    """Return a time as AWX writes it: ``2026-11-22T01:52:53.461321Z``."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
