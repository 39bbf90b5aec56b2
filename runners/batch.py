"""Several messages of one subject in flight at once: JetStream's fast ingest (server 2.14).

nats-py does not know it. The protocol stands in the reply subject
``<inbox>.<id>.<flow>.<on gap>.<n>.<operation>.$FI``; the server answers progress, a gap or an
error, and at the end one acknowledgement with the number of messages it took. It stops at the
first gap or error, so what it stored is always a beginning of the batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

_BEGIN, _NEXT, _COMMIT = 0, 1, 2
_ON_GAP = "fail"


class Message(Struct, frozen=True, kw_only=True):
    """One message of a batch."""

    headers: dict[str, str]
    body: bytes


class _Error(Struct, frozen=True):
    err_code: int = 0
    description: str = ""


class Acknowledged(Struct, frozen=True, kw_only=True):
    """How a batch ended."""

    seq: int = 0
    """Sequence of the last message that was stored; 0 when all were duplicates."""
    count: int = 0
    """How many were taken, duplicates included."""
    error: _Error | None = None


class _Answer(Acknowledged, frozen=True, kw_only=True):
    type: str = ""
    """``ack`` and ``gap`` tell progress; an acknowledgement has none."""


_decoder = msgspec.json.Decoder(_Answer)


async def publish(
    connection: Client, subject: str, messages: Sequence[Message], within_s: float
) -> Acknowledged:
    """Store messages in order. Raises TimeoutError, nats.errors.Error: nobody knows how many."""
    inbox = connection.new_inbox()
    batch = f"{inbox}.{inbox.rpartition('.')[2]}"
    ended: asyncio.Future[Acknowledged] = asyncio.get_running_loop().create_future()

    async def on_answer(message: Msg) -> None:
        answer = _decoder.decode(message.data or b"{}")
        if not answer.type and not ended.done():
            ended.set_result(answer)

    subscription = await connection.subscribe(f"{inbox}.>", cb=on_answer)
    try:
        last = len(messages)
        for number, each in enumerate(messages, 1):
            operation = _COMMIT if number == last else _BEGIN if number == 1 else _NEXT
            reply = f"{batch}.{last}.{_ON_GAP}.{number}.{operation}.$FI"
            await connection.publish(subject, each.body, reply=reply, headers=each.headers)
        return await asyncio.wait_for(ended, within_s)
    finally:
        if not connection.is_closed:
            await subscription.unsubscribe()
