"""The only writer of CONFIG in a process: serialisable by position, without locks.

A command is prepared on a snapshot of the read model at position N and appended with the
expectation that CONFIG still ends at N. A round takes the queued commands whose keys do not touch
one another; one that touches an earlier command waits for the next round. On a conflict the
messages in between are read: a command whose keys they touch is prepared again, the others are
appended as they are. After ``CONFLICTS_MAX`` conflicts the writer takes the ``config-turn`` lease,
which other writers respect, so a long command always ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import asyncpg
import nats.errors
import structlog
from msgspec import Struct
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from controlplane.domain.errors import Refused, Rejected, Unavailable
from controlplane.shell.catch_up import CatchUp
from controlplane.shell.event_store import Conflict, EventStore, StreamPosition
from ops import clock, direct, ids
from ops.leases import Lease
from schemas.envelope import Context
from schemas.registry import Event
from schemas.streams import CONFIG, LEASES

log = structlog.get_logger()

PROJECTION = "config"
ROUND_MAX = 256
CONFLICTS_MAX = 5
TURN = "config-turn"
TURN_TTL_S = 5
AWAY: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""What Postgres and its client raise when it is not there; a connection that breaks in the middle
of a command says InternalClientError."""
OUT_OF_RANGE = "A value of the request is out of range."
TRUNCATED = (
    "The event log ends at {last}, before what the read model has of it ({expected}): it was"
    " truncated. Nothing is written until it is restored."
)
BEHIND = "The read model is behind the log; try again in a moment."


class ConfigView(Protocol):
    """The read model at one position: what a command is prepared on."""

    @property
    def position(self) -> int:
        """The CONFIG position the tables stand at."""
        ...

    @property
    def connection(self) -> asyncpg.Connection[asyncpg.Record]:
        """A connection in a repeatable-read transaction."""
        ...


class Prepared(Struct, frozen=True, kw_only=True):
    """A decided command: its events and the keys it read and writes (``organization:5``)."""

    subject: str
    events: tuple[Event, ...]
    reads: frozenset[str]
    writes: frozenset[str]
    result: Any = None


class Appended(Struct, frozen=True, kw_only=True):
    """A command that took effect at ``position``; without events it changed nothing."""

    position: int
    context: Context
    events: tuple[Event, ...]
    result: Any


Prepare = Callable[[ConfigView], Awaitable[Prepared]]
"""Called again after a conflict that touched its keys; raises Rejected."""


class PostgresView(Struct, frozen=True, kw_only=True):
    """The view that production uses."""

    position: int
    connection: asyncpg.Connection[asyncpg.Record]


Views = Callable[[], contextlib.AbstractAsyncContextManager[ConfigView]]


def postgres_views(pool: asyncpg.Pool[asyncpg.Record]) -> Views:
    """Return the opener of views on the read model."""

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[ConfigView]:
        async with (
            pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            position = await connection.fetchval(
                "select position from checkpoint where projection = $1", PROJECTION
            )
            yield PostgresView(
                position=position or 0,
                connection=connection,  # type: ignore[arg-type]  # the pool's proxy of it
            )

    return opened


class _Command:
    """One queued command and its answer."""

    def __init__(self, prepare: Prepare, context: Context) -> None:
        self.prepare = prepare
        self.context = context
        self.answer: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self.prepared: Prepared | None = None
        self.conflicts = 0
        self.sent = False
        """True once it may be stored: from then on only the log knows what became of it."""

    def fail(self, error: Exception) -> None:
        """Answer with an error, unless the caller is gone."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def succeed(self, prepared: Prepared, position: int) -> None:
        """Answer that the command took effect."""
        if not self.answer.done():
            self.answer.set_result(
                Appended(
                    position=position,
                    context=self.context,
                    events=prepared.events,
                    result=prepared.result,
                )
            )


class ConfigWriter:
    """Queues commands of this process and appends them in rounds; run it as a task."""

    def __init__(
        self,
        store: EventStore,
        views: Views,
        catch_up: CatchUp,
        connection: Client,
        within_s: float,
    ) -> None:
        """Write over ``store``; refuse when the read model is behind for ``within_s`` seconds."""
        self._store = store
        self._views = views
        self._catch_up = catch_up
        self._connection = connection
        self._within_s = within_s
        self._queue: list[_Command] = []
        self._arrived = asyncio.Event()
        self._appending_since: float | None = None
        self._turn = Lease(connection, TURN, ids.new_id(), TURN_TTL_S)

    async def submit(self, prepare: Prepare, context: Context) -> Appended:
        """Prepare a command and append what it decides.

        Raises Rejected as the command does, and Unavailable with nothing stored: also when an
        append before it has no outcome for long, for it may not overtake that one.
        """
        command = _Command(prepare, context)
        self._queue.append(command)
        self._arrived.set()
        try:
            while not (await asyncio.wait({command.answer}, timeout=self._within_s))[0]:
                if self._stuck() and not command.sent:
                    command.fail(Unavailable("The event log is not available."))
            return command.answer.result()
        finally:
            command.answer.cancel()

    def _stuck(self) -> bool:
        since = self._appending_since
        return since is not None and clock.monotonic() - since > self._within_s

    async def run(self) -> None:
        """Work through the queue until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._queue:
                batch, self._queue = self._queue[:ROUND_MAX], self._queue[ROUND_MAX:]
                self._queue = [*await self._round(batch), *self._queue]

    async def _round(self, batch: list[_Command]) -> list[_Command]:
        """Handle a batch; returns the commands that wait for the next round, in order."""
        batch = [command for command in batch if not command.answer.done()]
        stubborn = any(command.conflicts >= CONFLICTS_MAX for command in batch)
        try:
            if not stubborn:
                await self._respect_turn()
                return await self._prepare_and_append(batch)
            async with self._turn.held():
                return await self._prepare_and_append(batch)
        except Rejected as error:
            self._fail_all(batch, error)
        except AWAY as error:
            log.warning("the read model does not answer", error=repr(error))
            self._fail_all(batch, Unavailable("The read model is not available."))
        except Exception as error:
            log.exception("commands failed")
            self._fail_all(batch, error)
        return []

    async def _prepare_and_append(self, batch: list[_Command]) -> list[_Command]:
        tail = await self._store.last_sequence(CONFIG.name)
        if not await self._catch_up.wait(PROJECTION, tail, self._within_s):
            raise Unavailable(BEHIND)
        async with self._views() as view:
            position = view.position
            chosen, waiting = await self._prepare(batch, view)
        again = await self._append(chosen, position)
        return [command for command in batch if command in again or command in waiting]

    async def _prepare(
        self, batch: list[_Command], view: ConfigView
    ) -> tuple[list[_Command], set[_Command]]:
        """Prepare what does not touch an earlier command of the batch.

        Postgres ends the snapshot at a value that it cannot take: that command alone is refused,
        those behind it wait for the next one.
        """
        chosen: list[_Command] = []
        waiting: set[_Command] = set()
        touched: set[str] = set()
        for index, command in enumerate(batch):
            try:
                prepared = await self._prepare_one(command, view)
            except asyncpg.DataError as error:
                log.warning("a value does not fit", error=repr(error))
                command.fail(Refused({"detail": OUT_OF_RANGE}))
                waiting.update(batch[index + 1 :])
                break
            if prepared is None:
                continue
            keys = prepared.reads | prepared.writes
            if touched.isdisjoint(keys):
                chosen.append(command)
            else:
                waiting.add(command)
            touched |= prepared.writes
        return chosen, waiting

    async def _prepare_one(self, command: _Command, view: ConfigView) -> Prepared | None:
        try:
            command.prepared = await command.prepare(view)
        except AWAY:
            raise
        except Exception as error:  # noqa: BLE001 - every failure is this caller's answer
            command.fail(error)
            return None
        return command.prepared

    async def _append(self, chosen: list[_Command], position: int) -> set[_Command]:
        """Append prepared commands in order; returns those to prepare again.

        One after another: an append that is under way behind another one would follow whatever
        comes to stand where that one was to stand, and a message of another writer there may have
        taken away what the command hangs on.
        """
        again: set[_Command] = set()
        expected = position
        queue = []
        for command in chosen:
            prepared = command.prepared
            if prepared is not None and prepared.events:
                queue.append(command)
            elif prepared is not None:
                command.succeed(prepared, position)
        while queue := [command for command in queue if not command.answer.done()]:
            try:
                expected = await self._append_one(queue[0], expected)
            except Conflict:
                queue[0].sent = False
                expected, touched = await self._written_since(expected)
                for each in queue:
                    each.conflicts += 1
                again.update(each for each in queue if _touches(each, touched))
                queue = [each for each in queue if each not in again]
            except Rejected as error:
                queue[0].fail(error)
        return again

    async def _append_one(self, command: _Command, expected: int) -> int:
        prepared = command.prepared
        if prepared is None:
            raise ValueError("a command is appended once it is prepared")
        command.sent = True
        self._appending_since = clock.monotonic()
        try:
            position = await self._store.append(
                prepared.subject,
                command.context,
                prepared.events,
                keys=sorted(prepared.writes),
                expect=StreamPosition(expected),
            )
        finally:
            self._appending_since = None
        command.succeed(prepared, position)
        return position

    async def _written_since(self, expected: int) -> tuple[int, set[str]]:
        """Return where CONFIG ends now and the keys that others wrote behind ``expected``.

        Raises Unavailable when it ends before that: it lost its end.
        """
        last = await self._store.last_sequence(CONFIG.name)
        if last < expected:
            raise Unavailable(TRUNCATED.format(last=last, expected=expected))
        touched: set[str] = set()
        async for record in self._store.read(CONFIG.name, expected + 1, last):
            touched.update(record.keys)
        return last, touched

    async def _respect_turn(self) -> None:
        """Wait while another writer holds the turn; its TTL ends a dead one's."""
        while True:
            try:
                message = await direct.last_on_subject(
                    self._connection, f"KV_{LEASES.name}", f"$KV.{LEASES.name}.{TURN}"
                )
            except (NotFoundError, nats.errors.Error, JetStreamError, TimeoutError):
                return
            if not message.data:
                return
            await asyncio.sleep(0.005)

    @staticmethod
    def _fail_all(batch: list[_Command], error: Exception) -> None:
        for command in batch:
            command.fail(error)


def _touches(command: _Command, written: set[str]) -> bool:
    prepared = command.prepared
    return prepared is not None and not written.isdisjoint(prepared.reads | prepared.writes)
