"""Ending asyncio's own tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN_S = 0.5


async def stopped(running: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel until all have ended, whatever they end with.

    ``asyncio.wait_for`` (nats-py waits by it) swallows a cancel that meets its answer, so one
    cancel is not enough.
    """
    ending = list(running)
    waiting = {each for each in ending if not each.done()}
    while waiting:
        for each in waiting:
            each.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=_AGAIN_S)
    for each in ending:
        if not each.cancelled():
            each.exception()
