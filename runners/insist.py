"""Doing again what a broken connection prevented, until it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import nats.errors
import nats.js.errors
import structlog

from runners.outlet import Lost

DISTURBED = (Lost, nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)
"""What a broken connection, or a server that cannot serve now, raises."""
RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Pause after the n-th failure in a row; the last value repeats."""

T = TypeVar("T")
_log = structlog.get_logger()


def pause_s(failures: int) -> float:
    """Return how long to wait after so many failures in a row (0 for the first)."""
    return RETRY_S[min(failures, len(RETRY_S) - 1)]


async def insist(what: str, act: Callable[[], Awaitable[T]]) -> T:
    """Return what ``act`` returns as soon as the connection lets it; other errors pass through."""
    failures = 0
    while True:
        try:
            return await act()
        except DISTURBED as error:
            _log.warning("connection.waiting", what=what, why=repr(error), failures=failures)
        await asyncio.sleep(pause_s(failures))
        failures += 1
