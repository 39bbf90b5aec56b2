"""The projector: reads one stream in order and commits rows and checkpoint in one transaction.

``synchronous_commit=off`` loses nothing here: the checkpoint falls back with the rows and the log
still has the messages. The conditional update of the checkpoint fences a second projector
(``jetstream.md`` 8).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError

from ops import clock, pull, signals
from ops.blobs import Blobs
from ops.postgres import SCHEMA
from ops.pull import StreamMessage
from projections import checkpoint
from projections.checkpoint import Connection, Fenced
from projections.decode import Decoder
from projections.projection import Poison, Projection, RawMessage, Rows, Run, Statement
from schemas import subjects
from schemas.envelope import Recorded

log = structlog.get_logger()

COPY_ROWS_MIN = 50
"""Above this many rows COPY is faster than an insert (``jetstream.md`` 8)."""
RETRY_S = 0.2
RETRY_S_MAX = 5.0
STEADY_S = 10.0

Open = Callable[[], Awaitable[Connection]]
Decoded = Recorded | RawMessage


class Stopped(Exception):
    """The projection cannot go on without a person; the alarm says why."""


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
                log.warning("another projector is ahead", projection=self._projection.name)
            except (
                OSError,
                TimeoutError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                nats.errors.Error,
                JetStreamError,
            ) as error:
                log.warning("projecting again", projection=self._projection.name, why=repr(error))
            delay = RETRY_S if clock.monotonic() - begun > STEADY_S else min(delay * 2, RETRY_S_MAX)
            await asyncio.sleep(delay)

    async def _session(self) -> None:
        postgres = await self._open()
        try:
            await postgres.execute("SET synchronous_commit TO off")
            await checkpoint.install(postgres, self._projection)
            await self._start(postgres)
            async for messages in pull.follow(
                self._connection, self._projection.stream, self._position
            ):
                await self._take(postgres, messages)
        finally:
            await _close(postgres)

    async def _start(self, postgres: Connection) -> None:
        name = self._projection.name
        found = await checkpoint.load(postgres, name)
        self._position = found.position if found else 0
        info = await self._connection.jetstream().stream_info(self._projection.stream)
        if info.state.last_seq < self._position:
            reason = (
                f"stream {self._projection.stream} ends at {info.state.last_seq}, before what is"
                f" applied ({self._position}): it was truncated"
            )
            await checkpoint.raise_alarm(postgres, name, "truncated", reason, self._position)
            raise Stopped(reason)
        await checkpoint.clear_alarm(postgres, name)

    async def _take(self, postgres: Connection, messages: Sequence[StreamMessage]) -> None:
        try:
            decoded = [await self._decoder.decode(message) for message in messages]
            await self._commit(postgres, decoded, messages[-1].sequence)
        except (Poison, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            log.info("one by one", projection=self._projection.name, why=str(error))
            for message in messages:
                await self._take_one(postgres, message)

    async def _take_one(self, postgres: Connection, message: StreamMessage) -> None:
        try:
            decoded = await self._decoder.decode(message)
            await self._commit(postgres, [decoded], message.sequence, repeated=True)
        except (Poison, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            reason = error.reason if isinstance(error, Poison) else str(error)
            await self._refuse(postgres, message, reason)

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
            await checkpoint.move(postgres, self._projection.name, self._position, position)
            for statement in statements:
                await execute(postgres, statement, repeated=repeated)
            signals.reach(signals.Point.COPY_BEFORE_COMMIT)
        self._position = position
        await self._connection.publish(
            subjects.projected(self._projection.name), str(position).encode()
        )

    async def _refuse(self, postgres: Connection, message: StreamMessage, reason: str) -> None:
        """Stop at a message of CONFIG or JOBS; set one of OUTPUT or REPORTS aside and go on."""
        name, stream = self._projection.name, self._projection.stream
        if self._projection.enveloped:
            text = f"message {message.sequence} of {stream} cannot be applied: {reason}"
            await checkpoint.raise_alarm(postgres, name, "stopped", text, self._position)
            raise Stopped(text)
        body = {"stream": stream, "sequence": message.sequence, "subject": message.subject}
        await self._connection.jetstream().publish(
            subjects.dead(stream, message.sequence),
            msgspec.json.encode({**body, "reason": reason, "at": clock.now()}),
            headers={"Nats-Msg-Id": f"dead-{stream}-{message.sequence}"},
        )
        log.error("message set aside", projection=name, sequence=message.sequence, why=reason)
        async with postgres.transaction():
            await checkpoint.move(postgres, name, self._position, message.sequence)
        self._position = message.sequence


async def execute(postgres: Connection, statement: Statement, *, repeated: bool = False) -> None:
    """Execute one statement; ``repeated`` leaves out rows whose key is there already."""
    match statement:
        case Run():
            await postgres.execute(statement.sql, *statement.args)
        case Rows():
            await _insert(postgres, statement, repeated=repeated)


async def _insert(postgres: Connection, rows: Rows, *, repeated: bool) -> None:
    if not rows.rows:
        return
    if len(rows.rows) >= COPY_ROWS_MIN and not repeated:
        await postgres.copy_records_to_table(rows.table, records=rows.rows, columns=rows.columns)
        return
    names = ", ".join(f'"{column}"' for column in rows.columns)
    marks = ", ".join(f"${index}" for index in range(1, len(rows.columns) + 1))
    ending = " ON CONFLICT DO NOTHING" if repeated else ""
    await postgres.executemany(
        f'INSERT INTO "{rows.table}" ({names}) VALUES ({marks}){ending}',
        rows.rows,
    )


async def _close(postgres: Connection) -> None:
    try:
        await asyncio.wait_for(postgres.close(), 2)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        postgres.terminate()


__all__ = ["SCHEMA", "Projector", "Stopped", "execute"]
