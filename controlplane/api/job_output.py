"""A unified job's output, whatever its kind, read from its events piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from controlplane.api.call import Call
from controlplane.api.errors import Refusal
from controlplane.shell.read_model import Row, View
from ops.blobs import Blobs
from schemas.output import COUNTER_MAX, event_id

ROWS_MAX = 1000
BYTES_MAX = 4 * 1024 * 1024
"""One read of output takes at most so many events, and stops behind this much text."""


def ids_of(job: Row) -> tuple[int, int]:
    """Return the smallest and the largest id that an event of a job's attempt can have."""
    first = event_id(job["id"], job["attempt"], 0)
    return first, first + COUNTER_MAX


async def job_of(view: View, number: int) -> Row:
    """Return a unified job; raises 404."""
    row = await view.named_row("job_by_id", number)
    if row is None:
        raise Refusal(404, {"detail": "Not found."})
    return row


async def whole(call: Call, event: Row) -> Row:
    """Return an event with the oversized part that stands in BLOBS."""
    if event["body"] is None:
        return event
    try:
        raw = await Blobs(call.services.nats).get(event["body"])
    except KeyError:
        return event
    body: dict[str, msgspec.Raw] = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    return {
        **dict(event),
        "stdout": msgspec.json.decode(body["stdout"]),
        "event_data": bytes(body["event_data"]).decode(),
    }


async def pieces(call: Call, job: Row) -> AsyncIterator[Row]:
    """Yield the events of a job that printed something, in order and in bounded memory.

    Each read is a snapshot of its own: a slow reader holds no connection.
    """
    first, last = ids_of(job)
    while True:
        async with call.read() as view:
            state = await view.named_row("job_output_state", job["id"], job["attempt"])
            if state is None:
                return
            day = state["job_day"]
            rows = await view.named("job_output_page", first, last, day, ROWS_MAX, BYTES_MAX)
        for row in rows:
            event = await whole(call, row)
            if event["stdout"]:
                yield event
        if not rows:
            return
        first = rows[-1]["id"] + 1


def text_of(event: Row) -> str:
    """Return the whole lines that an event printed."""
    text: str = event["stdout"]
    return text if text.endswith("\n") else text + "\r\n"
