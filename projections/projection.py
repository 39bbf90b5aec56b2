"""What a projection is: a pure mapping from stored messages to statements over its own tables.

The projector (``projector.py``) reads, decodes (fetching oversized bodies), calls ``apply`` and
commits the statements together with the checkpoint; nothing else writes these tables. Table names
in statements are unqualified: the projector sets the search path, so the same projection builds a
second schema beside the live one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from msgspec import Struct

from schemas.envelope import Recorded


class Rows(Struct, frozen=True, kw_only=True):
    """New rows of one table; the projector uses COPY when there are many."""

    table: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


class Run(Struct, frozen=True, kw_only=True):
    """One SQL statement with bound arguments ($1, $2, ...)."""

    sql: str
    args: tuple[Any, ...] = ()


Statement = Rows | Run


class RawMessage(Struct, frozen=True, kw_only=True):
    """One message of OUTPUT or REPORTS as stored, its oversized body already fetched."""

    sequence: int
    subject: str
    data: bytes


class Projection(Protocol):
    """One read model: its stream, its tables and how a message changes them."""

    name: str
    stream: str
    enveloped: bool
    """True when messages are transactions in an envelope; ``apply`` then gets Recorded."""
    version: int
    """Raised when tables or rows change: the new version is built beside the old, then switched."""

    def ddl(self) -> Sequence[str]:
        """Return the statements that make its tables and indexes in an empty schema."""
        ...

    def tables(self) -> Sequence[str]:
        """Return its table names, for comparing and switching."""
        ...

    def apply(self, messages: Sequence[Recorded] | Sequence[RawMessage]) -> Iterable[Statement]:
        """Return the statements for a batch of messages in stream order; pure.

        Raises Poison for a message that cannot be applied.
        """
        ...


class Poison(Exception):
    """A message that no build can apply.

    It goes to DEADLETTER, or stops the projection (CONFIG, JOBS).
    """

    def __init__(self, sequence: int, reason: str) -> None:
        """Keep the stream position (sequence) and the reason shown to operators."""
        super().__init__(f"message {sequence}: {reason}")
        self.sequence = sequence
        self.reason = reason
