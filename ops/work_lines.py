"""The consumers that agents pull work orders from: their names, how they are made, one pull.

Written against the protocol: nats-py knows no priorities. The control plane makes the consumers of
a runner when it registers; a runner's own user may not.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct
from nats.aio.client import Client

from schemas import streams, subjects
from schemas.work import WORK_CLASSES

ACK_WAIT_S = 12
"""An order whose runner died comes again after this; a living one says before that it is on it."""
PULL_EXPIRES_S = 20.0
PRIORITY_GROUP = "runners"
PRIORITY_LOWEST = 9
_NANOSECONDS = 1_000_000_000

_ANSWER_WITHIN_S = 5.0

_encoder = msgspec.json.Encoder()


class WorkLine(Struct, frozen=True, kw_only=True):
    """One durable pull consumer on WORK."""

    consumer: str
    subject: str
    work_class: int
    """1 for orders addressed to this runner: they are offered whenever anything fits."""


def lines(runner: str, groups: tuple[str, ...]) -> tuple[WorkLine, ...]:
    """Return the lines of a runner, those of its own first, then by class, the largest first."""
    own = WorkLine(
        consumer=subjects.runner_consumer(runner),
        subject=subjects.work_runner(runner),
        work_class=1,
    )
    of_groups = [
        WorkLine(
            consumer=subjects.group_consumer(group, work_class),
            subject=subjects.work_group(group, work_class),
            work_class=work_class,
        )
        for work_class in reversed(WORK_CLASSES)
        for group in groups
    ]
    return own, *of_groups


def create_request(line: WorkLine) -> tuple[str, bytes]:
    """Return subject and body of the request that makes a line's consumer.

    Harmless when it exists.
    """
    stream = streams.WORK.name
    body = {
        "stream_name": stream,
        "config": {
            "durable_name": line.consumer,
            "name": line.consumer,
            "filter_subject": line.subject,
            "ack_policy": "explicit",
            "ack_wait": ACK_WAIT_S * _NANOSECONDS,
            "max_deliver": -1,
            "max_ack_pending": 10_000,
            "deliver_policy": "all",
            "replay_policy": "instant",
            "priority_groups": [PRIORITY_GROUP],
            "priority_policy": "prioritized",
        },
        "action": "",
    }
    subject = f"$JS.API.CONSUMER.CREATE.{stream}.{line.consumer}.{line.subject}"
    return subject, _encoder.encode(body)


def pull_request(line: WorkLine, priority: int) -> tuple[str, bytes]:
    """Return subject and body of a pull of one order; priority 0 is served first, 9 last."""
    body = {
        "batch": 1,
        "expires": int(PULL_EXPIRES_S * _NANOSECONDS),
        "group": PRIORITY_GROUP,
        "priority": priority,
    }
    return f"$JS.API.CONSUMER.MSG.NEXT.{streams.WORK.name}.{line.consumer}", _encoder.encode(body)


async def ensure(connection: Client, runner: str, groups: tuple[str, ...]) -> None:
    """Make the consumers of a runner. Raises nats.errors.Error when the server gives no answer."""
    for line in lines(runner, groups):
        subject, body = create_request(line)
        await connection.request(subject, body, timeout=_ANSWER_WITHIN_S)
