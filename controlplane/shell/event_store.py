"""The port to the log: appending transactions with an expectation, and reading them back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from msgspec import Struct

from schemas.envelope import Context, Recorded
from schemas.registry import Event


class StreamPosition(Struct, frozen=True):
    """The stream's last message has this sequence (CONFIG)."""

    sequence: int


class SubjectPosition(Struct, frozen=True):
    """The subject's last message has this stream sequence; 0 for a subject without any (JOBS)."""

    sequence: int


Expectation = StreamPosition | SubjectPosition | None


class Conflict(Exception):
    """The expectation does not hold and nothing was stored; the caller reads again and decides."""


class EventStore(Protocol):
    """What JetStream and its in-memory twin both do."""

    async def append(
        self,
        subject: str,
        context: Context,
        events: Sequence[Event],
        *,
        keys: Sequence[str] = (),
        expect: Expectation = None,
    ) -> int:
        """Store one transaction durably and return its sequence.

        A context id already stored returns the first sequence and stores nothing. Raises Conflict,
        or domain Unavailable when nothing was stored for certain; a lost acknowledgement is
        resolved here and never reported.
        """
        ...

    async def load(self, subject: str) -> list[Recorded]:
        """Return a subject's transactions in order; raises Unavailable."""
        ...

    async def last_sequence(self, stream: str) -> int:
        """Return the sequence of a stream's last message, 0 when empty; raises Unavailable."""
        ...

    def read(
        self, stream: str, first: int, last: int, *, filters: Sequence[str] = ()
    ) -> AsyncIterator[Recorded]:
        """Yield the transactions of a stretch of a stream, in order; raises Unavailable."""
        ...
