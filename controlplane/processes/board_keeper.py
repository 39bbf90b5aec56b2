"""Keeps the dispatcher's board current.

From a snapshot and the tails of JOBS and CONFIG, without Postgres.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import nats.errors
import structlog
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError

from controlplane.domain.board import Board
from controlplane.processes import board_snapshot
from controlplane.shell.jetstream_store import JetStreamStore
from ops import pull
from ops.stopping import stopped
from schemas.streams import CONFIG, JOBS

log = structlog.get_logger()

SNAPSHOT_EVERY_S = 30.0


class Truncated(Exception):
    """The log lost its end: deciding from what is left would repeat what was decided."""


class BoardKeeper:
    """One board for all loops of a process; what changes it wakes them."""

    def __init__(self, connection: Client, store: JetStreamStore) -> None:
        """Follow the log over ``connection``."""
        self._connection = connection
        self._store = store
        self.board = Board()
        self._head: board_snapshot.Head | None = None
        self._changed = asyncio.Event()
        self._moved = asyncio.Event()
        """Set by every message, also by those that change nothing on the board."""
        self._ready = asyncio.Event()

    async def run(self) -> None:
        """Follow the log until cancelled; until it is read to its end the board is not shown."""
        self._ready.clear()
        self.board, self._head = await board_snapshot.load(self._connection)
        await self._refuse_truncated()
        # No task group: it cancels its tasks once, and nats-py may swallow a cancel.
        tasks = [
            asyncio.create_task(self._follow(JOBS.name), name="board-jobs"),
            asyncio.create_task(self._follow(CONFIG.name), name="board-config"),
            asyncio.create_task(self._keep_snapshot(), name="board-snapshot"),
            asyncio.create_task(self._show(), name="board-show"),
        ]
        try:
            waiting = set(tasks)
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    each.result()
        finally:
            await stopped(tasks)

    async def _show(self) -> None:
        await self.caught_up()
        self._ready.set()

    async def ready(self) -> None:
        """Wait until the board shows what stood in the log when it was started."""
        await self._ready.wait()

    async def changes(self, period_s: float) -> AsyncIterator[None]:
        """Yield at once, then after each change and at least every ``period_s`` seconds.

        At each yield the board is not older than the log was when it was (re)started.
        """
        while True:
            await self.ready()
            changed = self._changed
            yield
            try:
                async with asyncio.timeout(period_s):
                    await changed.wait()
            except TimeoutError:
                continue

    async def reached(self, jobs: int, config: int = 0) -> None:
        """Wait until the board has passed these positions."""
        while self.board.jobs_position < jobs or self.board.config_position < config:
            await self._moved.wait()

    async def caught_up(self) -> None:
        """Wait until the board shows everything that stands in the log now."""
        jobs = await self._store.last_sequence(JOBS.name)
        await self.reached(jobs, await self._store.last_sequence(CONFIG.name))

    async def _follow(self, stream: str) -> None:
        jobs = stream == JOBS.name
        start = self.board.jobs_position if jobs else self.board.config_position
        async for messages in pull.follow(self._connection, stream, start):
            material = False
            for message in messages:
                record = await self._store.decode(message)
                if jobs:
                    self.board.apply_job(record)
                    material = True
                else:
                    material = self.board.apply_config(record) or material
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()
            if material:
                changed, self._changed = self._changed, asyncio.Event()
                changed.set()

    async def _keep_snapshot(self) -> None:
        while True:
            await asyncio.sleep(SNAPSHOT_EVERY_S)
            try:
                self._head = await board_snapshot.save(self._connection, self.board, self._head)
            except (nats.errors.Error, JetStreamError, TimeoutError) as error:
                log.warning("no snapshot", error=repr(error))

    async def _refuse_truncated(self) -> None:
        """Raise Truncated when the log ends before what the snapshot was made of."""
        for stream, seen in (
            (JOBS.name, self.board.jobs_position),
            (CONFIG.name, self.board.config_position),
        ):
            last = await self._store.last_sequence(stream)
            if last < seen:
                raise Truncated(
                    f"stream {stream} ends at {last}, before what was decided from it ({seen})"
                )
