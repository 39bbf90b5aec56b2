"""From live NATS messages to the messages of AWX's websocket protocol (``api.md`` 7). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from schemas.ansible_events import event_level
from schemas.envelope import Recorded
from schemas.events.job import (
    JobFinished,
    JobLaunched,
    JobPlaced,
    JobStarted,
    ProjectUpdateLaunch,
    kind_of,
)
from schemas.output import AnsibleEvent, Frame, event_id
from schemas.status import JobKind, Status

EVENT_GROUPS = {
    JobKind.JOB: "job_events",
    JobKind.PROJECT_UPDATE: "project_update_events",
    JobKind.INVENTORY_UPDATE: "inventory_update_events",
    JobKind.AD_HOC_COMMAND: "ad_hoc_command_events",
    JobKind.SYSTEM_JOB: "system_job_events",
}
"""Unified job kind to the websocket group of its events."""

_frame = msgspec.json.Decoder(Frame)
_encoder = msgspec.json.Encoder()


class JobFacts(Struct, frozen=True, kw_only=True):
    """What a status message says about a job besides its status."""

    id: int
    kind: str
    template: int | None
    project: int | None = None
    group: str = ""


def decode_frame(data: bytes) -> Frame:
    """Decode one live output message."""
    return _frame.decode(data)


def event_messages(frame: Frame) -> Iterator[bytes]:
    """Yield one websocket message for each event of a frame, in order, as JSON."""
    kind = JobKind(frame.kind)
    group = EVENT_GROUPS[kind]
    for event in frame.events:
        yield _encoder.encode(
            {**event_fields(frame, event), "group_name": group, str(kind): frame.job}
        )


def event_fields(frame: Frame, event: AnsibleEvent) -> dict[str, Any]:
    """Return the fields of a live event, ``event_data`` as it came."""
    number = event_id(frame.job, frame.attempt, event.counter)
    url = f"/api/v2/job_events/{number}" if frame.kind == JobKind.JOB else ""
    return {
        "id": number,
        "created": event.created.replace("+00:00", "Z"),
        "modified": event.created.replace("+00:00", "Z"),
        "url": url,
        "event": event.event,
        "event_data": event.event_data,
        "event_level": event_level(event.event),
        "counter": event.counter,
        "uuid": event.uuid,
        "parent_uuid": event.parent_uuid,
        "failed": event.failed,
        "changed": event.changed,
        "play": event.play,
        "role": event.role,
        "task": event.task,
        "stdout": event.stdout,
        "start_line": event.start_line,
        "end_line": event.end_line,
    }


def facts_of(launched: JobLaunched, group: str = "") -> JobFacts:
    """Return the facts that a launch record already holds."""
    record = launched.record
    return JobFacts(
        id=launched.id,
        kind=str(kind_of(record)),
        template=launched.template,
        project=record.project if isinstance(record, ProjectUpdateLaunch) else None,
        group=group,
    )


def status_messages(recorded: Recorded, facts: JobFacts) -> Iterator[dict[str, Any]]:
    """Yield a status message for each transition that AWX announces.

    Pending, running and the end.
    """
    for event in recorded.events:
        match event:
            case JobLaunched():
                yield _status(facts, Status.PENDING)
            case JobStarted():
                yield {**_status(facts, Status.RUNNING), "instance_group_name": facts.group}
            case JobFinished():
                message = _status(facts, Status(event.status))
                yield {**message, "finished": msgspec.to_builtins(event.finished)}
            case _:
                continue


def placed_group(recorded: Recorded) -> str | None:
    """Return the instance group when this transaction placed the job."""
    for event in recorded.events:
        if isinstance(event, JobPlaced):
            return event.group
    return None


def summary_message(job: int, final_counter: int) -> dict[str, Any]:
    """Return the message that all events of a job are stored."""
    return {"group_name": "jobs", "unified_job_id": job, "final_counter": final_counter}


def _status(facts: JobFacts, status: Status) -> dict[str, Any]:
    message: dict[str, Any] = {
        "unified_job_id": facts.id,
        "status": str(status),
        "type": facts.kind,
        "unified_job_template_id": facts.template,
        "group_name": "jobs",
    }
    if facts.project is not None:
        message["project_id"] = facts.project
    return message
