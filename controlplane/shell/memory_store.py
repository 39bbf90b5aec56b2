"""The event store's twin in memory, held to the same contract suite as the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import schemas.catalog  # noqa: F401 - knows every tag that is decoded here
from controlplane.shell.event_store import (
    Conflict,
    Expectation,
    StreamPosition,
    SubjectPosition,
)
from schemas import envelope
from schemas.envelope import Context, Recorded
from schemas.registry import Event
from schemas.streams import ACCESS, CONFIG, JOBS

_STREAMS = {"config": CONFIG.name, "job": JOBS.name, "access": ACCESS.name}


class MemoryStore:
    """Keeps encoded messages, so that what cannot be stored for real cannot be stored here."""

    def __init__(self) -> None:
        """Start with empty streams."""
        self._messages: dict[str, list[tuple[str, bytes]]] = {}
        self._ids: dict[str, int] = {}

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
        if context.id in self._ids:
            return self._ids[context.id]
        stream = self._messages.setdefault(_STREAMS[subject.split(".", 1)[0]], [])
        if not self._holds(stream, subject, expect):
            raise Conflict
        stream.append((subject, envelope.encode(context, tuple(events), tuple(keys))))
        self._ids[context.id] = len(stream)
        return len(stream)

    async def load(self, subject: str) -> list[Recorded]:
        """Return a subject's transactions in order."""
        stream = _STREAMS[subject.split(".", 1)[0]]
        return [record for record in self._all(stream) if record.subject == subject]

    async def last_sequence(self, stream: str) -> int:
        """Return the sequence of a stream's last message."""
        return len(self._messages.get(stream, ()))

    async def read(
        self, stream: str, first: int, last: int, *, filters: Sequence[str] = ()
    ) -> AsyncIterator[Recorded]:
        """Yield the transactions of a stretch of a stream; filters are literal subjects here."""
        for record in self._all(stream):
            if first <= record.sequence <= last and (not filters or record.subject in filters):
                yield record

    def _all(self, stream: str) -> list[Recorded]:
        found = []
        for index, (subject, body) in enumerate(self._messages.get(stream, ())):
            wire = envelope.decode_wire(body)
            found.append(envelope.recorded(index + 1, subject, wire, wire.events))
        return found

    @staticmethod
    def _holds(stream: list[tuple[str, bytes]], subject: str, expect: Expectation) -> bool:
        match expect:
            case None:
                return True
            case StreamPosition(sequence):
                return len(stream) == sequence
            case SubjectPosition(sequence):
                last = max(
                    (i + 1 for i, (name, _) in enumerate(stream) if name == subject), default=0
                )
                return last == sequence
