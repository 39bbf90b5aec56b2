"""An attempt as spans: its phases on the runner, each play, and each task on a host.

Built from the report and the journal when the attempt is over, so that the job itself does no more
for it. Ids follow from what a span describes: a restarted agent tells the same spans again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec
from msgspec import Struct

from ops.telemetry import Attributes, Recorded, traceparent_for
from runners.record import Record
from schemas.output import AnsibleEvent, AttemptFinished

_RESULTS = frozenset(
    {"runner_on_ok", "runner_on_failed", "runner_on_skipped", "runner_on_unreachable"}
)
_PLAY = "playbook_on_play_start"
_STATS = "playbook_on_stats"


class _Times(Struct):
    start: str = ""
    end: str = ""
    task_action: str = ""


_times = msgspec.json.Decoder(_Times)


def spans(
    record: Record, told: AttemptFinished, events: Iterable[AnsibleEvent]
) -> Iterator[Recorded]:
    """Yield the spans of an attempt below its order's traceparent; nothing without one."""
    parent = record.order.traceparent
    top = traceparent_for(parent, f"attempt-{record.ident}")
    if top is None:
        return
    yield Recorded(
        name="attempt",
        traceparent=top,
        parent=parent,
        started=record.received,
        finished=told.at,
        attributes=_attributes(record, status=told.status, runner=told.runner),
        failure="" if told.status == "successful" else told.status,
    )
    run = top
    for phase in told.phases:
        if phase.name == "queue":
            continue
        mine = traceparent_for(top, f"phase-{record.ident}-{phase.name}")
        run = mine or run if phase.name == "run" else run
        yield Recorded(
            name=phase.name,
            traceparent=mine,
            parent=top,
            started=phase.started,
            finished=phase.finished,
            attributes=_attributes(record),
        )
    yield from _plays(record, run, events)


def _plays(record: Record, run: str, events: Iterable[AnsibleEvent]) -> Iterator[Recorded]:
    play: AnsibleEvent | None = None
    last: AnsibleEvent | None = None
    for event in events:
        if event.event in (_PLAY, _STATS):
            yield from _play(record, run, play, event)
            play = event if event.event == _PLAY else None
        elif event.event in _RESULTS:
            yield from _task(record, run, play, event)
        last = event
    if play is not None and last is not None:
        yield from _play(record, run, play, last)


def _play_key(record: Record, play: AnsibleEvent) -> str:
    return f"play-{record.ident}-{play.uuid}"


def _play(
    record: Record, run: str, play: AnsibleEvent | None, until: AnsibleEvent
) -> Iterator[Recorded]:
    if play is None:
        return
    yield Recorded(
        name=f"play {play.play}".strip(),
        traceparent=traceparent_for(run, _play_key(record, play)),
        parent=run,
        started=_moment(play.created),
        finished=_moment(until.created),
        attributes=_attributes(record),
    )


def _task(
    record: Record, run: str, play: AnsibleEvent | None, event: AnsibleEvent
) -> Iterator[Recorded]:
    above = run if play is None else traceparent_for(run, _play_key(record, play))
    times = _times.decode(event.event_data)
    finished = _moment(times.end or event.created)
    yield Recorded(
        name=f"task {event.task}".strip(),
        traceparent=traceparent_for(above, f"task-{record.ident}-{event.uuid}"),
        parent=above,
        started=_moment(times.start) if times.start else finished,
        finished=finished,
        attributes={
            **_attributes(record, host=event.host_name, action=times.task_action),
            "ansible.changed": event.changed,
        },
        failure="failed" if event.failed else "",
    )


def _attributes(record: Record, **more: str) -> Attributes:
    named = {f"ansible.{name}": value for name, value in more.items() if value}
    return {"playlog.job": record.order.job, "playlog.attempt": record.order.attempt, **named}


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
