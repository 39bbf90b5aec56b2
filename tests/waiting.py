"""Waiting in tests: on a condition, within a bound; a span of time is what a fault lasts."""

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


def lasting(seconds: float) -> None:
    """Let a fault last, or a client pause: nothing is waited for."""
    time.sleep(seconds)


async def passing(seconds: float) -> None:
    """Let time pass between two looks: who looks all the time is measured too."""
    await asyncio.sleep(seconds)


async def soon(predicate: Callable[[], object], within_s: float = 20.0) -> None:
    """Wait for a predicate (also a coroutine function) to be true, without blocking the loop."""
    deadline = time.monotonic() + within_s
    while True:
        found = predicate()
        if await found if isinstance(found, Awaitable) else found:
            return
        assert time.monotonic() < deadline, f"not within {within_s} s: {predicate}"
        await asyncio.sleep(_POLL_S)
