"""A job's history as people read it.

Every transition with its duration, and where the time went. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from schemas import registry
from schemas.envelope import Recorded
from schemas.events.job import (
    JobClaimed,
    JobFinished,
    JobHeld,
    JobLaunched,
    JobPlaced,
    JobStarted,
)
from schemas.output import Phase


class Step(Struct, frozen=True, kw_only=True):
    """One transition: when, what, by whom, and how long until the next (seconds.

    None at the end).
    """

    position: int
    at: datetime
    tag: str
    actor: str
    text: str
    seconds: float | None


class Span(Struct, frozen=True, kw_only=True):
    """One stretch of a job's life, in seconds."""

    name: str
    seconds: float


_BOUNDARIES = (
    ("waiting for placement", JobLaunched, JobPlaced),
    ("waiting for a runner", JobPlaced, JobClaimed),
    ("preparing on the runner", JobClaimed, JobStarted),
    ("running", JobStarted, JobFinished),
    ("from launch to end", JobLaunched, JobFinished),
)


def steps(history: Sequence[Recorded]) -> tuple[Step, ...]:
    """Return the transitions of a job's records in order, each with the time until the next one."""
    flat = [(record, event) for record in history for event in record.events]
    found = []
    for index, (record, event) in enumerate(flat):
        following = flat[index + 1][0] if index + 1 < len(flat) else None
        found.append(
            Step(
                position=record.sequence,
                at=record.context.at,
                tag=registry.tag_of(event),
                actor=record.context.actor.name,
                text=describe(event),
                seconds=(following.context.at - record.context.at).total_seconds()
                if following
                else None,
            )
        )
    return tuple(found)


def spans(history: Sequence[Recorded], phases: Iterable[Phase]) -> tuple[Span, ...]:
    """Return where the time went: the life between transitions, then the runner's own phases."""
    first: dict[type, datetime] = {}
    last: dict[type, datetime] = {}
    for record in history:
        for event in record.events:
            at = event.at if isinstance(event, JobStarted) else record.context.at
            first.setdefault(type(event), at)
            last[type(event)] = at
    found = [
        Span(name=name, seconds=max(0.0, (last[end] - first[begin]).total_seconds()))
        for name, begin, end in _BOUNDARIES
        if begin in first and end in last
    ]
    found += [
        Span(
            name=f"runner: {phase.name}",
            seconds=(phase.finished - phase.started).total_seconds(),
        )
        for phase in phases
    ]
    return tuple(found)


def describe(event: registry.Event) -> str:
    """Return one line about a transition: the few fields that say what it decided."""
    match event:
        case JobHeld():
            return event.explanation
        case JobPlaced():
            where = event.runner or event.group
            return f"attempt {event.attempt} on {where}, class {event.work_class}"
        case JobClaimed():
            return f"attempt {event.attempt} by {event.runner}"
        case JobFinished():
            return " ".join(part for part in (event.status, event.explanation) if part)
        case _:
            values: dict[str, Any] = msgspec.to_builtins(event)
            return values.get("explanation") or ""
