"""The first objects of a new deployment, in one transaction that only an empty CONFIG takes."""

from __future__ import annotations

import contextlib
import json
from importlib import resources
from typing import Any

from controlplane.domain import recurrence
from controlplane.shell.event_store import Conflict, EventStore, StreamPosition, SubjectPosition
from controlplane.shell.numbers import Numbers
from controlplane.shell.resource_commands import hash_password
from ops import clock, ids
from schemas import subjects
from schemas.envelope import SYSTEM, Context
from schemas.events.resource import ResourceCreated
from schemas.permissions import MODELS
from schemas.registry import Event
from schemas.resource import RESOURCES
from schemas.role_definitions import MANAGED, Definition

ORGANIZATION = "Default"
GROUPS = ("controlplane", "default")
CLEANUPS = (
    ("cleanup_jobs", "Cleanup Job Details", "Cleanup Job Schedule", "SU", "120"),
    (
        *("cleanup_activitystream", "Cleanup Activity Stream"),
        *("Cleanup Activity Schedule", "TU", "355"),
    ),
    (
        *("cleanup_sessions", "Cleanup Expired Sessions"),
        *("Cleanup Expired Sessions Schedule", "WE", ""),
    ),
    (
        *("cleanup_tokens", "Cleanup Expired OAuth 2 Tokens"),
        *("Cleanup Expired OAuth 2 Tokens Schedule", "TH", ""),
    ),
)
"""Job type, name, name of its schedule, weekday, days kept."""
BEGIN = "DTSTART:20201115T155200Z"
TYPES_FILE = "builtin_credential_types.json"


async def seed(store: EventStore, numbers: Numbers, admin: str, password: str) -> bool:
    """Append administrator, organization, instance groups and built-in credential types.

    Returns False when CONFIG was not empty any more: another start was first.
    """
    events: list[Event] = [
        await _created(
            numbers,
            "user",
            username=admin,
            password=await hash_password(password),
            is_superuser=True,
        ),
        await _created(numbers, "organization", name=ORGANIZATION),
    ]
    events += [await _created(numbers, "instance_group", name=name) for name in GROUPS]
    events += [await _created(numbers, "credential_type", **each) for each in builtin_types()]
    events += await _cleanups(numbers)
    number = ids.new_id()
    context = Context(id=number, at=clock.now(), actor=SYSTEM, correlation=number)
    try:
        await store.append(
            subjects.config("organization", 1), context, events, expect=StreamPosition(0)
        )
    except Conflict:
        return False
    return True


async def seed_definitions(store: EventStore, numbers: Numbers) -> None:
    """Append the role definitions of the system, unless this log has them."""
    resource = RESOURCES["role_definition"]
    defaults = {name: field.default for name, field in resource.fields.items()}
    events: list[Event] = [
        ResourceCreated(kind=resource.kind, id=number, values=defaults | _values(each))
        for number, each in enumerate(MANAGED, start=1)
    ]
    await numbers.raise_to(resource.sequence, len(events))
    number = ids.new_id()
    context = Context(id=number, at=clock.now(), actor=SYSTEM, correlation=number)
    with contextlib.suppress(Conflict):
        subject = subjects.config(resource.kind, 1)
        await store.append(subject, context, events, expect=SubjectPosition(0))


def _values(definition: Definition) -> dict[str, Any]:
    return {
        "name": definition.name,
        "description": definition.description,
        "managed": True,
        "content_type": MODELS[definition.kind].content_type if definition.kind else None,
        "permissions": list(definition.permissions),
    }


def builtin_types() -> list[dict[str, Any]]:
    """Return AWX's built-in credential types as stored values, in AWX's order."""
    text = resources.files("schemas.resources").joinpath(TYPES_FILE).read_text()
    return [
        {
            "name": each["name"],
            "kind": each["kind"],
            "namespace": each["namespace"],
            "managed": True,
            "inputs": each["inputs"],
            "injectors": each.get("injectors", {}),
        }
        for each in json.loads(text)
    ]


async def _cleanups(numbers: Numbers) -> list[Event]:
    """Return AWX's system job templates, under AWX's ids, and their schedules.

    The schedules are disabled: nothing runs them.
    """
    taken = list(await numbers.take("unified_job_template", 5))
    templates: list[Event] = []
    schedules: list[Event] = []
    for number, (job_type, name, schedule, day, days) in zip(
        [*taken[:2], *taken[3:]], CLEANUPS, strict=True
    ):
        kind = "system_job_template"
        templates.append(await _created(numbers, kind, number, name=name, job_type=job_type))
        rule = recurrence.read(f"{BEGIN} RRULE:FREQ=WEEKLY;INTERVAL=1;BYDAY={day}")
        schedules.append(
            await _created(
                numbers,
                "schedule",
                name=schedule,
                rrule=rule.text,
                dtstart=rule.first(),
                unified_job_template=number,
                extra_data={"days": days} if days else {},
                enabled=False,
            )
        )
    return [*templates, *schedules]


async def _created(
    numbers: Numbers, kind: str, number: int | None = None, /, **given: Any
) -> ResourceCreated:
    resource = RESOURCES[kind]
    if number is None:
        number = (await numbers.take(resource.sequence))[0]
    values = {name: field.default for name, field in resource.fields.items()}
    return ResourceCreated(kind=kind, id=number, values=values | given)
