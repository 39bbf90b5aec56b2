"""Instances, jobs and reports that tests of the API put straight into the log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from ops import clock, ids
from schemas import subjects
from schemas.envelope import SYSTEM, Context
from schemas.events.instance import InstanceRegistered
from schemas.events.job import JobClaimed, JobFinished, JobLaunched, JobPlaced, JobStarted
from schemas.output import AttemptErased, AttemptFinished, HostStats, StoredReport
from schemas.registry import Event
from schemas.subjects import Attempt
from tests.api.stack import Stack


async def append(stack: Stack, subject: str, projection: str, *events: Event) -> int:
    """Append a transaction of the system and wait until it is projected."""
    number = ids.new_id()
    context = Context(id=number, at=clock.now(), actor=SYSTEM, correlation=number)
    position = await stack.services.store.append(subject, context, events)
    assert await stack.services.catch_up.wait(projection, position, 20)
    return position


async def add_instance(
    stack: Stack, hostname: str, groups: Sequence[str] = ("default",), **more: Any
) -> int:
    """Register an instance of 4 processors and 8 GiB; returns its id."""
    number = (await stack.services.numbers.take("instance"))[0]
    event = InstanceRegistered(
        id=number,
        hostname=hostname,
        uuid=f"uuid-of-{hostname}",
        node_type="execution",
        groups=tuple(groups),
        cpu=4,
        memory=8 * 1024**3,
        version="1",
        at=clock.now(),
        **more,
    )
    await append(stack, subjects.config("instance", number), "config", event)
    return number


async def add_job(
    stack: Stack,
    launched: JobLaunched,
    status: str,
    at: datetime,
    runner: str = "r1",
    placed: dict[str, Any] | None = None,
) -> None:
    """Add a job that a runner has run to an end; ``placed`` is what its placement says more."""
    events = (
        launched,
        JobPlaced(attempt=1, group="default", work_class=1, **(placed or {})),
        JobClaimed(attempt=1, runner=runner),
        JobStarted(attempt=1, runner=runner, at=at),
        JobFinished(status=status, finished=at, attempt=1, rc=0),
    )
    await append(stack, subjects.job(launched.id), "jobs", *events)


async def add_report(stack: Stack, job: int, at: datetime, stats: dict[str, HostStats]) -> None:
    """Add what the runner of a job reports at its end."""
    report = AttemptFinished(
        at=at, runner="r1", started=at, status="successful", rc=0, last_counter=1, stats=stats
    )
    await publish_report(stack, job, report)


async def publish_report(stack: Stack, job: int, report: AttemptFinished | AttemptErased) -> None:
    """Store a report and wait until it is projected."""
    subject = subjects.report(Attempt(1, job, 1))
    body = msgspec.json.encode(StoredReport(report=report))
    answer = await stack.services.nats.jetstream().publish(subject, body)
    assert await stack.services.catch_up.wait("reports", answer.seq, 20)
