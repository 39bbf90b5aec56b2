"""Messages that could not be applied and stop nothing: kept, shown, and tried again.

They are of OUTPUT and REPORTS, and facts that ends in JOBS name. The message itself stays in
DEADLETTER with the reason; a row of ``dead_letter`` lets the job and ``status`` show it. Trying
again applies the message where it was left out: these projections come to the same rows in
whichever order their messages come, so a rebuild agrees.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from ops import clock, direct, pull
from ops.blobs import Blobs
from ops.pull import StreamMessage
from projections.checkpoint import Connection
from projections.decode import Decoder
from projections.projection import Projection
from projections.statements import execute
from projections.unfit import UNFIT, reason
from schemas import subjects
from schemas.streams import DEADLETTER


class DeadLetter(Struct, frozen=True, kw_only=True):
    """What DEADLETTER says of a message: where it stands and why it was set aside."""

    stream: str
    sequence: int
    subject: str
    reason: str
    at: datetime


class Retried(Struct, frozen=True, kw_only=True):
    """What trying again came to: ``problem`` is empty when the message is settled."""

    letter: DeadLetter
    problem: str


async def publish(connection: Client, stream: str, message: StreamMessage, why: str) -> None:
    """Keep a message's place and reason in DEADLETTER, acknowledged, once."""
    letter = DeadLetter(
        stream=stream,
        sequence=message.sequence,
        subject=message.subject,
        reason=why,
        at=clock.now(),
    )
    await connection.jetstream().publish(
        subjects.dead(stream, message.sequence),
        msgspec.json.encode(letter),
        headers={"Nats-Msg-Id": f"dead-{stream}-{message.sequence}"},
    )


async def note(postgres: Connection, stream: str, message: StreamMessage, why: str) -> None:
    """Let the message's job and ``status`` show it."""
    try:
        job = subjects.parse_attempt(message.subject).job
    except ValueError:
        job = None
    await postgres.execute(
        "INSERT INTO dead_letter VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        stream,
        message.sequence,
        job,
        why,
        clock.now(),
    )


async def retry(
    connection: Client,
    postgres: Connection,
    projections: Sequence[Projection],
    *,
    drop: bool = False,
) -> list[Retried]:
    """Apply every dead letter of these projections again; those that now fit are settled.

    ``drop`` settles the others too: what they held is given up.
    """
    end = (await connection.jetstream().stream_info(DEADLETTER.name)).state.last_seq
    # One that takes transactions stops at what it cannot apply: it sets nothing aside.
    by_stream = {each.stream: each for each in projections if not each.enveloped}
    outcomes: list[Retried] = []
    async for messages in pull.read(connection, DEADLETTER.name, 1, end):
        for message in messages:
            letter = msgspec.json.decode(message.data, type=DeadLetter)
            projection = by_stream.get(letter.stream)
            if projection is None:
                continue
            problem = await _apply(connection, postgres, projection, letter)
            if drop or not problem:
                await _settle(connection, postgres, letter, message.sequence)
            outcomes.append(Retried(letter=letter, problem=problem))
    return outcomes


async def _apply(
    connection: Client, postgres: Connection, projection: Projection, letter: DeadLetter
) -> str:
    """Return why it still cannot be applied; a message that is gone needs nothing any more."""
    decoder = Decoder(Blobs(connection), enveloped=projection.enveloped)
    with contextlib.suppress(NotFoundError):
        message = await direct.by_sequence(connection, letter.stream, letter.sequence)
        try:
            decoded = await decoder.decode(message)
            async with postgres.transaction():
                await postgres.execute(
                    "SELECT 1 FROM checkpoint WHERE projection = $1 FOR UPDATE", projection.name
                )
                for statement in projection.apply([decoded]):  # type: ignore[arg-type]  # one kind
                    await execute(postgres, statement, repeated=True)
        except UNFIT as error:
            return reason(error)
    return ""


async def _settle(
    connection: Client, postgres: Connection, letter: DeadLetter, sequence: int
) -> None:
    await postgres.execute(
        "DELETE FROM dead_letter WHERE stream = $1 AND position = $2",
        letter.stream,
        letter.sequence,
    )
    await connection.jetstream().delete_msg(DEADLETTER.name, sequence)
