"""Waiting until a read model has passed a position: how an answer contains its own write."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import asyncpg
from nats.aio.client import Client
from nats.aio.msg import Msg

from ops import clock
from schemas import subjects

RECHECK_S = 0.25
"""A lost announcement costs this much latency (seconds), never an answer."""


class CatchUp:
    """Knows how far projections are, from their announcements and their checkpoints."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        """Check positions over ``pool``; ``start`` listens to announcements."""
        self._pool = pool
        self._known: dict[str, int] = defaultdict(int)
        self._moved = asyncio.Event()
        self._asking: set[str] = set()

    async def start(self, connection: Client) -> None:
        """Listen to the projectors' announcements."""
        await connection.subscribe(subjects.projected("*"), cb=self._announced)

    async def fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        """Return rows as the read model stands now, outside any older snapshot."""
        return await self._pool.fetch(sql, *args)

    def position(self, projection: str) -> int:
        """Return the newest position known without asking."""
        return self._known[projection]

    async def wait(self, projection: str, position: int, within_s: float) -> bool:
        """Wait until ``projection`` has passed ``position``; False when it has not in time.

        Raises asyncpg and OS errors when Postgres cannot be asked.
        """
        end = clock.monotonic() + within_s
        while self._known[projection] < position:
            moved = self._moved
            await self._ask(projection)
            if self._known[projection] >= position:
                break
            left = end - clock.monotonic()
            if left <= 0:
                return False
            try:
                await asyncio.wait_for(moved.wait(), min(RECHECK_S, left))
            except TimeoutError:
                continue
        return True

    async def _ask(self, projection: str) -> None:
        """Ask once for all who wait: the others hear of it as of an announcement."""
        if projection in self._asking:
            return
        self._asking.add(projection)
        try:
            found = await self._pool.fetchval(
                "select position from checkpoint where projection = $1", projection
            )
        finally:
            self._asking.discard(projection)
        self._learn(projection, found or 0)

    async def _announced(self, message: Msg) -> None:
        self._learn(message.subject.rsplit(".", 1)[1], int(message.data))

    def _learn(self, projection: str, position: int) -> None:
        if position > self._known[projection]:
            self._known[projection] = position
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()
