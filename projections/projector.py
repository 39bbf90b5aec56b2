"""The projector: reads one stream in order and commits rows and checkpoint in one transaction.

``synchronous_commit=off`` loses nothing here: the checkpoint falls back with the rows, the log
still has the messages, and a projector that has nothing to do looks where its tables stand. The
conditional update of the checkpoint fences a second projector (``jetstream.md`` 8).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import nats.errors
import structlog
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError

from ops import clock, pull, signals
from ops.blobs import Blobs
from ops.pull import StreamMessage
from projections import checkpoint, dead_letters, truncation
from projections.checkpoint import Connection, Fenced
from projections.decode import Decoder
from projections.projection import Projection, RawMessage
from projections.rebuild import Rebuild, Rebuilding
from projections.statements import execute
from projections.truncation import Truncated
from projections.unfit import UNFIT, reason
from schemas import subjects
from schemas.envelope import Recorded

log = structlog.get_logger()

RETRY_S = 0.2
RETRY_S_MAX = 5.0
STEADY_S = 10.0

Open = Callable[[], Awaitable[Connection]]
Decoded = Recorded | RawMessage


class Stopped(Exception):
    """The projection cannot go on without a person; the alarm says why."""


class Outdated(Exception):
    """A newer build's tables are in place: this one waits to be replaced by it."""


class Projector:
    """Runs one projection on the live schema; any number may run, one at a time moves on."""

    def __init__(self, projection: Projection, connection: Client, opened: Open) -> None:
        """Read over ``connection`` and write over a Postgres connection of its own."""
        self._projection = projection
        self._connection = connection
        self._open = opened
        self._decoder = Decoder(Blobs(connection), enveloped=projection.enveloped)
        self._position = 0

    async def run(self) -> None:
        """Project for ever: errors of Postgres and NATS are waited out, alarms end it."""
        delay = RETRY_S
        while True:
            begun = clock.monotonic()
            try:
                await self._session()
            except Stopped as stopped:
                log.critical("projection stopped", name=self._projection.name, why=str(stopped))
                return
            except Fenced:
                log.warning("the tables stand elsewhere", projection=self._projection.name)
            except (Outdated, Rebuilding) as waiting:
                log.warning("waiting", projection=self._projection.name, why=str(waiting))
            except (
                OSError,
                TimeoutError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                nats.errors.Error,
                JetStreamError,
            ) as error:
                log.warning("projecting again", projection=self._projection.name, why=repr(error))
            except Exception as error:
                log.exception("projecting failed", projection=self._projection.name)
                await self._alarm(repr(error))
            delay = RETRY_S if clock.monotonic() - begun > STEADY_S else min(delay * 2, RETRY_S_MAX)
            await asyncio.sleep(delay)

    async def _alarm(self, why: str) -> None:
        """Show what no code foresaw, as long as it lasts; the next session clears it."""
        try:
            postgres = await self._open()
            try:
                await checkpoint.raise_alarm(
                    postgres, self._projection.name, "failing", why, self._position
                )
            finally:
                await _close(postgres)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("no alarm raised", projection=self._projection.name, why=repr(error))

    async def _session(self) -> None:
        postgres = await self._open()
        try:
            await postgres.execute("SET synchronous_commit TO off")
            await checkpoint.install(postgres, self._projection)
            await self._start(postgres)
            async for messages in pull.follow(
                self._connection, self._projection.stream, self._position
            ):
                if messages:
                    await self._take(postgres, messages)
                else:
                    await self._look(postgres)
        finally:
            await _close(postgres)

    async def _start(self, postgres: Connection) -> None:
        name, version = self._projection.name, self._projection.version
        found = await checkpoint.load(postgres, name)
        self._position = found.position if found else 0
        try:
            await truncation.check(self._connection, self._projection.stream, self._position)
        except Truncated as error:
            await checkpoint.raise_alarm(postgres, name, "truncated", str(error), self._position)
            raise Stopped(str(error)) from error
        if found is not None and found.version > version:
            text = f"version {found.version} is in place, this build has {version}"
            raise Outdated(text)
        if found is not None and found.version < version:
            await self._upgrade()
            self._position = (await checkpoint.load(postgres, name) or found).position
        await checkpoint.clear_alarm(postgres, name)

    async def _upgrade(self) -> None:
        """Build this version's tables beside the old ones and switch; readers see old, then new."""
        log.info("building a new version", projection=self._projection.name)
        postgres = await self._open()
        try:
            await Rebuild(self._projection, self._connection, postgres).run(switch=True)
        finally:
            await _close(postgres)

    async def _look(self, postgres: Connection) -> None:
        """Raise unless the tables stand where this projector left them.

        A Postgres that died may have lost the last commits: no message would ever tell.
        """
        found = await checkpoint.load(postgres, self._projection.name)
        if found is None or found.position != self._position:
            raise Fenced(self._projection.name)

    async def _take(self, postgres: Connection, messages: Sequence[StreamMessage]) -> None:
        try:
            decoded = [await self._decoder.decode(message) for message in messages]
            await self._commit(postgres, decoded, messages[-1].sequence)
        except UNFIT as error:
            log.info("one by one", projection=self._projection.name, why=str(error))
            for message in messages:
                await self._take_one(postgres, message)

    async def _take_one(self, postgres: Connection, message: StreamMessage) -> None:
        try:
            decoded = await self._decoder.decode(message)
            await self._commit(postgres, [decoded], message.sequence, repeated=True)
        except UNFIT as error:
            await self._refuse(postgres, message, reason(error))

    async def _commit(
        self,
        postgres: Connection,
        decoded: Sequence[Decoded],
        position: int,
        *,
        repeated: bool = False,
    ) -> None:
        """Apply messages and move the checkpoint to ``position``, all or nothing.

        The checkpoint's row is locked before any table: a rebuild that holds it while it reads the
        tables, a partition being made and a second projector wait for one another in one order.
        """
        statements = list(self._projection.apply(decoded))  # type: ignore[arg-type]  # one kind
        async with postgres.transaction():
            await checkpoint.move(postgres, self._projection, self._position, position)
            for statement in statements:
                await execute(postgres, statement, repeated=repeated)
            signals.reach(signals.Point.COPY_BEFORE_COMMIT)
        await self._moved(position)

    async def _refuse(self, postgres: Connection, message: StreamMessage, why: str) -> None:
        """Stop at a message of CONFIG or JOBS; set one of OUTPUT or REPORTS aside and go on."""
        name, stream = self._projection.name, self._projection.stream
        if self._projection.enveloped:
            text = f"message {message.sequence} of {stream} cannot be applied: {why}"
            await checkpoint.raise_alarm(postgres, name, "stopped", text, self._position)
            raise Stopped(text)
        await dead_letters.publish(self._connection, stream, message, why)
        log.error("message set aside", projection=name, sequence=message.sequence, why=why)
        async with postgres.transaction():
            await checkpoint.move(postgres, self._projection, self._position, message.sequence)
            await dead_letters.note(postgres, stream, message, why)
        await self._moved(message.sequence)

    async def _moved(self, position: int) -> None:
        self._position = position
        await self._connection.publish(
            subjects.projected(self._projection.name), str(position).encode()
        )


async def _close(postgres: Connection) -> None:
    try:
        await asyncio.wait_for(postgres.close(), 2)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        postgres.terminate()
