"""The log in JetStream: the only caller of publish for CONFIG, JOBS and ACCESS.

One server checks the expectation before it looks for duplicates, so an append whose acknowledgement
was lost answers "wrong last sequence" when it is sent again (``jetstream.md`` 1, trap 1). The
message that would be ours is then read and its id compared: the outcome is always known.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

import schemas.catalog  # noqa: F401 - knows every tag that is decoded here
from controlplane.domain.errors import Unavailable
from controlplane.shell.event_store import (
    Conflict,
    Expectation,
    StreamPosition,
    SubjectPosition,
)
from ops import direct, pull, signals, telemetry
from ops.blobs import Blobs
from ops.telemetry import Tracer
from schemas import envelope, subjects
from schemas.envelope import Context, Recorded
from schemas.registry import Event
from schemas.streams import ACCESS, CONFIG, JOBS

log = structlog.get_logger()

ACK_WITHIN_S = 5.0
RETRY_S = 0.1
_WRONG_LAST = frozenset({10071, 10164})
_BESIDE = "access."
"""Subjects of what is noted beside a command: dying there says nothing about the command."""
_STREAMS = {"config": CONFIG.name, "job": JOBS.name, "access": ACCESS.name}


class JetStreamStore:
    """The event store over one NATS connection."""

    def __init__(self, connection: Client, tracer: Tracer | None = None) -> None:
        """Append and read over ``connection``; appends that belong to a trace are spans of it."""
        self._tracer = tracer
        self._connection = connection
        self._context = connection.jetstream(timeout=ACK_WITHIN_S)
        self._blobs = Blobs(connection)

    async def append(
        self,
        subject: str,
        context: Context,
        events: Sequence[Event],
        *,
        keys: Sequence[str] = (),
        expect: Expectation = None,
    ) -> int:
        """Store one transaction; see ``EventStore.append``."""
        if self._tracer is None or context.traceparent is None:
            return await self._append(subject, context, events, keys, expect)
        attributes = {"playlog.subject": subject}
        with self._tracer.span("append", context.traceparent, attributes):
            return await self._append(subject, context, events, keys, expect)

    async def _append(
        self,
        subject: str,
        context: Context,
        events: Sequence[Event],
        keys: Sequence[str],
        expect: Expectation,
    ) -> int:
        body = await self._body(context, tuple(events), tuple(keys))
        headers = {
            "Nats-Msg-Id": context.id,
            **_expectation(expect),
            **telemetry.headers(context.traceparent),
        }
        uncertain = False
        while True:
            try:
                answer = await self._connection.request(
                    subject, body, timeout=ACK_WITHIN_S, headers=headers
                )
            except nats.errors.NoRespondersError as error:
                if not uncertain:
                    raise Unavailable("The event log is not available.") from error
                await asyncio.sleep(RETRY_S)
                continue
            except (nats.errors.Error, TimeoutError, OSError) as error:
                log.warning("append unknown, asking again", subject=subject, error=repr(error))
                uncertain = True
                await asyncio.sleep(RETRY_S)
                continue
            if not subject.startswith(_BESIDE):
                signals.reach(signals.Point.APPEND_BEFORE_ACK)
            sequence = await self._outcome(
                msgspec.json.decode(answer.data), subject, context.id, expect
            )
            if sequence is not None:
                _tell(subject, context, sequence)
                return sequence
            await asyncio.sleep(RETRY_S)

    async def load(self, subject: str) -> list[Recorded]:
        """Return a subject's transactions in order, none that is stored left out."""
        stream = _STREAMS[subject.split(".", 1)[0]]
        try:
            messages = await direct.up_to_date(
                lambda: direct.by_subject(self._connection, stream, subject),
                lambda: direct.last_sequence(self._connection, stream, subject),
            )
            return [await self._recorded(message) for message in messages]
        except (nats.errors.Error, JetStreamError, TimeoutError) as error:
            raise Unavailable("The event log is not available.") from error

    async def last_sequence(self, stream: str) -> int:
        """Return the sequence of a stream's last message."""
        try:
            info = await self._context.stream_info(stream)
        except (nats.errors.Error, JetStreamError, TimeoutError) as error:
            raise Unavailable("The event log is not available.") from error
        return info.state.last_seq

    async def read(
        self, stream: str, first: int, last: int, *, filters: Sequence[str] = ()
    ) -> AsyncIterator[Recorded]:
        """Yield the transactions of a stretch of a stream, in order."""
        try:
            async for messages in pull.read(self._connection, stream, first, last, filters=filters):
                for message in messages:
                    yield await self._recorded(message)
        except (nats.errors.Error, JetStreamError, TimeoutError) as error:
            raise Unavailable("The event log is not available.") from error

    async def decode(self, message: pull.StreamMessage) -> Recorded:
        """Return the transaction of a stored message, fetching its body when it stands in BLOBS."""
        return await self._recorded(message)

    async def _body(
        self, context: Context, events: tuple[Event, ...], keys: tuple[str, ...]
    ) -> bytes:
        body = envelope.encode(context, events, keys)
        if len(body) <= envelope.BODY_BYTES_MAX:
            return body
        try:
            digest = await self._blobs.put(envelope.encode_events(events))
        except (nats.errors.Error, JetStreamError, TimeoutError) as error:
            raise Unavailable("The event log is not available.") from error
        return envelope.encode_reference(context, digest, keys)

    async def _outcome(
        self, answer: dict[str, Any], subject: str, context_id: str, expect: Expectation
    ) -> int | None:
        """Return the stored sequence, raise what refused it, or None to ask again."""
        error = answer.get("error")
        if error is None:
            sequence: int = answer["seq"]
            return sequence
        if error.get("err_code") not in _WRONG_LAST or expect is None:
            log.error("append refused", subject=subject, error=error)
            raise Unavailable(f"The event log refused the change: {error.get('description')}")
        try:
            return await self._own(subject, context_id, expect)
        except (nats.errors.Error, JetStreamError, TimeoutError):
            return None

    async def _own(self, subject: str, context_id: str, expect: Expectation) -> int:
        """Return the sequence of the message that is ours after all; raises Conflict."""
        stream = _STREAMS[subject.split(".", 1)[0]]
        try:
            if isinstance(expect, StreamPosition):
                found = await direct.by_sequence(self._connection, stream, expect.sequence + 1)
            else:
                behind = expect.sequence + 1 if expect else 1
                found = await direct.next_on_subject(self._connection, stream, subject, behind)
        except NotFoundError:
            raise Conflict from None
        if found.id != context_id:
            raise Conflict
        return found.sequence

    async def _recorded(self, message: pull.StreamMessage) -> Recorded:
        wire = envelope.decode_wire(message.data)
        events = wire.events
        if wire.blob is not None:
            events = envelope.decode_events(await self._blobs.get(wire.blob))
        return envelope.recorded(message.sequence, message.subject, wire, events)


def _tell(subject: str, context: Context, position: int) -> None:
    """Write the transaction's line of the log: what finds a job, an event and a trace there."""
    about: dict[str, int | str] = {"subject": subject}
    if subject.startswith("job."):
        about["job"] = subjects.parse_job(subject)
    with telemetry.within(context.traceparent):
        log.info("appended", event_id=context.id, position=position, **about)


def _expectation(expect: Expectation) -> dict[str, str]:
    match expect:
        case StreamPosition(sequence):
            return {"Nats-Expected-Last-Sequence": str(sequence)}
        case SubjectPosition(sequence):
            return {"Nats-Expected-Last-Subject-Sequence": str(sequence)}
        case None:
            return {}
