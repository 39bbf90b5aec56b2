"""Waiting until a read model has passed a position: how an answer contains its own write."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from ops import clock
from schemas import subjects

log = structlog.get_logger()

RECHECK_S = 0.25
"""A lost announcement costs this much latency (seconds), never an answer."""


class FellBack(ConnectionError):
    """The tables are older than what was read from them before; they catch up by themselves."""


class Positions:
    """How far each projection is known to have come."""

    def __init__(self) -> None:
        """Know of none."""
        self._known: dict[str, int] = {}

    def of(self, projection: str) -> int:
        """Return the newest position known; 0 for none."""
        return self._known.get(projection, 0)

    def learn(self, projection: str, position: int) -> bool:
        """Take a position; returns whether it is newer than what was known."""
        newer = position > self.of(projection)
        if newer:
            self._known[projection] = position
        return newer

    async def refuse_older(self, connection: Any) -> None:
        """Raise FellBack on a new connection behind which tables stand that have fallen back.

        A Postgres that died may have lost its last commits: until the projectors have made up for
        it, what was acknowledged would not be there. What is learned while Postgres is asked says
        nothing about what it answers.
        """
        known = dict(self._known)
        if not known:
            return
        for name, position in await connection.fetch("select projection, position from checkpoint"):
            if position < known.get(name, 0):
                log.warning("tables fell back", projection=name, at=position, known=known[name])
                raise FellBack(name)


class CatchUp:
    """Knows how far projections are, from their announcements and their checkpoints."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], positions: Positions) -> None:
        """Check positions over ``pool``; ``start`` listens to announcements."""
        self._pool = pool
        self._positions = positions
        self._moved = asyncio.Event()
        self._asking: set[str] = set()
        self._listening: Subscription | None = None

    async def start(self, connection: Client) -> None:
        """Listen to the projectors' announcements."""
        self._listening = await connection.subscribe(subjects.projected("*"), cb=self._announced)

    async def stop(self) -> None:
        """Listen no more."""
        if self._listening is not None:
            await self._listening.unsubscribe()

    async def fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        """Return rows as the read model stands now, outside any older snapshot."""
        return await self._pool.fetch(sql, *args)

    def position(self, projection: str) -> int:
        """Return the newest position known without asking."""
        return self._positions.of(projection)

    async def wait(self, projection: str, position: int, within_s: float) -> bool:
        """Wait until ``projection`` has passed ``position``; False when it has not in time.

        Raises asyncpg and OS errors when Postgres cannot be asked.
        """
        end = clock.monotonic() + within_s
        while self.position(projection) < position:
            moved = self._moved
            await self._ask(projection)
            if self.position(projection) >= position:
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
        if self._positions.learn(projection, position):
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()
