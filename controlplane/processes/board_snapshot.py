"""The board as the snapshots bucket holds it: in pieces, for it grows with the jobs that wait.

There are two places for the pieces, written in turns, and a head that tells which of them is whole.
The head is written last: who dies before that leaves the snapshot that was there. What does not fit
together, as when two have written at once, is no snapshot; the log has it all.
"""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from controlplane.domain.board import Board
from ops import direct
from schemas import subjects
from schemas.streams import SNAPSHOTS

HEAD = "board-v5"
"""The number changes with the shape of what is stored: an older build's board is made anew."""
PIECE_BYTES = 1 << 20
"""Far below what NATS takes in one message."""


class Head(Struct, frozen=True, kw_only=True):
    """Where the newest whole snapshot is."""

    place: int
    """0 or 1."""
    pieces: int
    digest: str
    """sha256 (hex) of the pieces together."""


async def save(
    connection: Client, board: Board, before: Head | None, piece_bytes: int = PIECE_BYTES
) -> Head:
    """Store a board where ``before`` is not, piece by piece.

    Raises what NATS raises; what was stored is whole all the while.
    """
    body = msgspec.json.encode(board)
    pieces = [body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes)]
    digest = hashlib.sha256(body).hexdigest()
    place = 0 if before is None else 1 - before.place
    head = Head(place=place, pieces=len(pieces), digest=digest)
    context = connection.jetstream()
    for number, piece in enumerate(pieces):
        await context.publish(subjects.kv(SNAPSHOTS.name, _piece(place, number)), piece)
    await context.publish(subjects.kv(SNAPSHOTS.name, HEAD), msgspec.json.encode(head))
    return head


async def load(connection: Client) -> tuple[Board, Head | None]:
    """Return the stored board and its head; an empty one where none fits together or this build."""
    head = None
    try:
        head = msgspec.json.decode(await _held(connection, HEAD), type=Head)
        pieces = [
            await _held(connection, _piece(head.place, number)) for number in range(head.pieces)
        ]
        body = b"".join(pieces)
        if hashlib.sha256(body).hexdigest() == head.digest:
            return msgspec.json.decode(body, type=Board), head
    except (NotFoundError, msgspec.DecodeError):
        pass
    return Board(), head


async def _held(connection: Client, key: str) -> bytes:
    message = await direct.last_on_subject(
        connection, f"KV_{SNAPSHOTS.name}", subjects.kv(SNAPSHOTS.name, key)
    )
    return message.data


def _piece(place: int, number: int) -> str:
    return f"{HEAD}-{place}-{number}"
