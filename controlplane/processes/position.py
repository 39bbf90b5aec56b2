"""How far a loop has handled its stream: kept in the snapshots bucket, safe to fall back."""

from __future__ import annotations

from nats.aio.client import Client
from nats.js.errors import NotFoundError

from ops import direct
from schemas.streams import SNAPSHOTS


async def load(connection: Client, name: str) -> int:
    """Return the sequence that a loop has handled last; 0 at its first start."""
    try:
        message = await direct.last_on_subject(connection, f"KV_{SNAPSHOTS.name}", _subject(name))
    except NotFoundError:
        return 0
    return int(message.data)


async def save(connection: Client, name: str, sequence: int) -> None:
    """Remember what a loop has handled; what it repeats after a crash must be harmless."""
    await connection.jetstream().publish(_subject(name), str(sequence).encode())


def _subject(name: str) -> str:
    return f"$KV.{SNAPSHOTS.name}.position-{name}"
