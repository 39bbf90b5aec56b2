"""Jobs with output that tests put straight into the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ops import clock
from schemas import subjects
from schemas.output import AnsibleEvent, Frame
from schemas.subjects import Attempt
from tests.api.stack import Stack


async def publish(stack: Stack, job: int, events: Sequence[dict[str, Any]], **frame: Any) -> None:
    """Publish a job's events, numbered from 1 with lines counted, and wait until they are read."""
    now = clock.iso(clock.now())
    line, made = 0, []
    for counter, fields in enumerate(events, 1):
        text = fields.get("stdout", "")
        end = line + (text.count("\n") + 1 if text else 0)
        values = {"uuid": f"u{job}-{counter}", "event": "verbose", "created": now, **fields}
        data = msgspec.Raw(msgspec.json.encode(values.pop("event_data", {})))
        made.append(
            AnsibleEvent(counter=counter, start_line=line, end_line=end, event_data=data, **values)
        )
        line = end
    body = Frame(
        **{
            "job": job,
            "attempt": 1,
            "kind": "job",
            "created": now,
            "first": 1,
            "last": len(made),
            "offset": 0,
            "events": tuple(made),
            **frame,
        }
    )
    subject = subjects.output(Attempt(1, job, 1))
    answer = await stack.services.nats.jetstream().publish(subject, msgspec.json.encode(body))
    assert await stack.services.catch_up.wait("output", answer.seq, 20)
