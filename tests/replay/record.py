"""Recorded histories: one JSON object a line, as its message stood in the log.

``{"stream", "subject", "body"}`` in the order of their streams; the body is the message itself, so
an old shape stays old. ``record`` copies the streams of a running deployment to such lines.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct
from nats.aio.client import Client

from ops import pull
from projections.projection import RawMessage
from schemas import envelope
from schemas.envelope import Recorded
from schemas.streams import CONFIG, JOBS, OUTPUT, REPORTS

RECORDED = (CONFIG.name, JOBS.name, REPORTS.name, OUTPUT.name)
ENVELOPED = (CONFIG.name, JOBS.name)


class Line(Struct, frozen=True, kw_only=True):
    """One stored message."""

    stream: str
    subject: str
    body: msgspec.Raw


async def record(connection: Client) -> AsyncIterator[bytes]:
    """Yield the lines of a deployment's log; secrets in it are sealed, but look before keeping."""
    context = connection.jetstream()
    for stream in RECORDED:
        last = (await context.stream_info(stream)).state.last_seq
        async for messages in pull.read(connection, stream, 1, last):
            for each in messages:
                line = Line(stream=stream, subject=each.subject, body=msgspec.Raw(each.data))
                yield msgspec.json.encode(line) + b"\n"


def lines(path: Path) -> Iterator[Line]:
    """Read a recorded history."""
    for text in path.read_bytes().splitlines():
        yield msgspec.json.decode(text, type=Line)


def messages(path: Path, stream: str) -> list[Recorded] | list[RawMessage]:
    """Return one stream's messages as a projection takes them, numbered from 1."""
    chosen = [line for line in lines(path) if line.stream == stream]
    if stream not in ENVELOPED:
        return [
            RawMessage(sequence=number, subject=line.subject, data=bytes(line.body))
            for number, line in enumerate(chosen, 1)
        ]
    found = []
    for number, line in enumerate(chosen, 1):
        wire = envelope.decode_wire(bytes(line.body))
        found.append(envelope.recorded(number, line.subject, wire, wire.events))
    return found
