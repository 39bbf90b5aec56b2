"""Who was seen lately, so that the access log tells of a way in once and not at every request."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from ops import clock

AGAIN_S = 3600.0
"""Who goes on is told of again after this."""
MAX = 10_000


class Sightings:
    """What this process has told of lately."""

    def __init__(self) -> None:
        """Start with nobody."""
        self._until: dict[tuple[str, int, str], float] = {}
        self._telling: set[asyncio.Task[None]] = set()

    def new(self, way: str, number: int, address: str) -> bool:
        """Return whether a password or token comes from an address for the first time lately."""
        key, now = (way, number, address), clock.monotonic()
        if self._until.get(key, 0.0) > now:
            return False
        if len(self._until) >= MAX:
            self._until.clear()
        self._until[key] = now + AGAIN_S
        return True

    def tell(self, telling: Coroutine[Any, Any, None]) -> None:
        """Let the access log be told while the request goes on."""
        task = asyncio.create_task(telling)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
