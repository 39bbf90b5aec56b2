"""Messages as the log has them, and a room of Postgres in which projections apply them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

import asyncpg
import msgspec
from nats.aio.client import Client

from ops import connect, ids, postgres, provision
from ops.stopping import stopped
from projections import checkpoint
from projections.checkpoint import Connection
from projections.compare import TableDigest, table_digest
from projections.projection import Projection, RawMessage
from projections.projector import Projector
from projections.statements import apply
from schemas import subjects
from schemas.envelope import SYSTEM, Actor, Context, Recorded
from schemas.output import AnsibleEvent, Frame, Report, StoredReport
from schemas.registry import Event
from schemas.subjects import Attempt
from tests.factories import NOW
from tests.waiting import soon

CREATED = "2026-11-24T12:00:00.000000Z"
USER = Actor(kind="user", name="alice", id=3)


def context(number: str, actor: Actor = SYSTEM) -> Context:
    """A transaction's context."""
    return Context(id=number, at=NOW, actor=actor, correlation=number)


def config(*transactions: Sequence[Event] | Event, actor: Actor = SYSTEM) -> list[Recorded]:
    """Transactions of CONFIG, from position 1; their subject plays no part."""
    return [
        Recorded(
            sequence=number,
            subject="config.any.1",
            context=context(f"c{number}", actor),
            keys=(),
            events=tuple(each) if isinstance(each, Sequence) else (each,),
        )
        for number, each in enumerate(transactions, 1)
    ]


def of_job(*events: Event, job: int = 1) -> list[Recorded]:
    """One transaction for each transition of a job."""
    return [
        Recorded(
            sequence=number,
            subject=subjects.job(job),
            context=context(f"j{number}"),
            keys=(),
            events=(event,),
        )
        for number, event in enumerate(events, 1)
    ]


def event(counter: int, **fields: Any) -> AnsibleEvent:
    """An AnsibleEvent with one line of output."""
    values: dict[str, Any] = {
        "uuid": f"u{counter}",
        "event": "verbose",
        "created": CREATED,
        "stdout": f"line {counter}",
        "start_line": counter - 1,
        "end_line": counter,
    }
    return AnsibleEvent(counter=counter, **{**values, **fields})


def frame(first: int, last: int, place: tuple[int, int] = (7, 1), **fields: Any) -> Frame:
    """A frame with the events ``first``..``last`` of an attempt (job, number)."""
    values: dict[str, Any] = {
        "kind": "job",
        "created": CREATED,
        "offset": last * 100,
        "events": tuple(event(counter) for counter in range(first, last + 1)),
    }
    job, attempt = place
    return Frame(job=job, attempt=attempt, first=first, last=last, **{**values, **fields})


def frame_subject(each: Frame) -> str:
    """Where a frame is published."""
    return subjects.output(Attempt(1, each.job, each.attempt))


def output(*frames: Frame | bytes) -> list[RawMessage]:
    """Messages of OUTPUT; bytes stand for themselves."""
    return [
        RawMessage(sequence=number, subject="output.1.7.1", data=each)
        if isinstance(each, bytes)
        else RawMessage(
            sequence=number, subject=frame_subject(each), data=msgspec.json.encode(each)
        )
        for number, each in enumerate(frames, 1)
    ]


def reports(*given: tuple[int, int, Report]) -> list[RawMessage]:
    """Messages of REPORTS: (job, attempt, report)."""
    return [
        RawMessage(
            sequence=number,
            subject=subjects.report(Attempt(1, job, attempt)),
            data=msgspec.json.encode(StoredReport(report=report)),
        )
        for number, (job, attempt, report) in enumerate(given, 1)
    ]


class Room:
    """A schema of its own with one projection's tables."""

    def __init__(self, connection: Connection, projection: Projection) -> None:
        self.connection = connection
        self._projection = projection
        self._schema = ""
        self._position = 0

    async def given(
        self, messages: Sequence[Recorded] | Sequence[RawMessage], sizes: Sequence[int] = ()
    ) -> Self:
        """Apply messages to empty tables in batches of these sizes; the rest goes in one."""
        self._schema, self._position = f"s{ids.new_id()}", 0
        await checkpoint.install(self.connection, self._projection, self._schema)
        await self.connection.execute(f'SET search_path TO "{self._schema}"')
        await self.when(messages, sizes)
        return self

    async def when(
        self, messages: Sequence[Recorded] | Sequence[RawMessage], sizes: Sequence[int] = ()
    ) -> None:
        """Apply more messages, at the positions that follow."""
        first = self._position + 1
        left: list[Any] = [
            msgspec.structs.replace(each, sequence=number)
            for number, each in enumerate(messages, first)
        ]
        self._position += len(left)
        for size in (*sizes, len(left)):
            batch, left = left[:size], left[size:]
            await apply(self.connection, self._projection, batch)

    async def rows(self, query: str, *args: object) -> list[tuple[Any, ...]]:
        """What a query finds, as tuples."""
        return [tuple(row) for row in await self.connection.fetch(query, *args)]

    async def column(self, query: str, *args: object) -> list[Any]:
        """The first column of what a query finds."""
        return [row[0] for row in await self.connection.fetch(query, *args)]

    async def digests(self) -> dict[str, TableDigest]:
        """Each table's digest."""
        return {
            table: await table_digest(self.connection, self._schema, table)
            for table in self._projection.tables()
        }

    async def drop(self) -> None:
        """Leave nothing behind."""
        await self.connection.execute(f'DROP SCHEMA "{self._schema}" CASCADE')


class Log:
    """Projectors at work between a real log and a database of their own."""

    def __init__(self, url: str, dsn: str, connection: Client, reader: Connection) -> None:
        self.url = url
        self.dsn = dsn
        self.connection = connection
        self.reader = reader
        self.tasks: list[asyncio.Task[None]] = []

    async def opened(self) -> Connection:
        """Open a projector's connection."""
        return await asyncpg.connect(self.dsn, **postgres.options(None))

    def project(self, projection: Projection) -> asyncio.Task[None]:
        """Start one projector."""
        task = asyncio.create_task(Projector(projection, self.connection, self.opened).run())
        self.tasks.append(task)
        return task

    async def stop(self) -> None:
        """End all projectors."""
        await stopped(self.tasks)
        self.tasks = []

    async def publish(self, *frames: Frame | bytes) -> int:
        """Append to OUTPUT; returns the last position."""
        position = 0
        for message in output(*frames):
            ack = await self.connection.jetstream().publish(message.subject, message.data)
            position = ack.seq
        return position

    async def passed(self, name: str, position: int) -> None:
        """Wait until a projection has passed a position."""

        async def reached() -> bool:
            return await self.position(name) >= position

        await soon(reached, 60)

    async def position(self, name: str) -> int:
        """Where a projection stands; -1 before it is installed."""
        with contextlib.suppress(asyncpg.UndefinedTableError):
            found = await self.reader.fetchval(
                "select position from checkpoint where projection = $1", name
            )
            return -1 if found is None else int(found)
        return -1

    async def alarm(self, name: str) -> str:
        """Wait for a projection's alarm; returns its state and reason."""

        async def raised() -> bool:
            return await self.state(name) != ""

        await soon(raised, 60)
        return await self.state(name)

    async def state(self, name: str) -> str:
        """A projection's alarm; empty while it runs."""
        with contextlib.suppress(asyncpg.UndefinedTableError):
            found = await self.reader.fetchval(
                "select state || ': ' || reason from projection_state where projection = $1", name
            )
            return found or ""
        return ""


@contextlib.asynccontextmanager
async def opened_log(url: str, dsn: str) -> AsyncIterator[Log]:
    """Provision a server and connect; ends what the test started."""
    connection = await connect.connect_nats(url, None, "test")
    await provision.provision(connection)
    reader = await asyncpg.connect(dsn, **postgres.options(None))
    log = Log(url, dsn, connection, reader)
    try:
        yield log
    finally:
        await log.stop()
        await log.reader.close()
        await connect.close_quietly(connection)
