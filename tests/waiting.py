"""Waiting in tests: on a condition, within a bound, never for a span of time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
_POLL_S = 0.01


def eventually(predicate: Callable[[], T], within_s: float = 20.0) -> T:
    """Return the predicate's first true value. Raises AssertionError when the bound is passed."""
    deadline = time.monotonic() + within_s
    while not (value := predicate()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {predicate}"
        time.sleep(_POLL_S)
    return value


async def soon(predicate: Callable[[], T | Awaitable[T]], within_s: float = 20.0) -> T:
    """Like ``eventually`` without blocking the event loop; the predicate may be a coroutine function."""
    deadline = time.monotonic() + within_s
    while True:
        found = predicate()
        value = await found if isinstance(found, Awaitable) else found
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {within_s} s: {predicate}"
        await asyncio.sleep(_POLL_S)
