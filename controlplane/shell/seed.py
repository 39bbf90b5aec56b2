"""The first objects of a new deployment, in one transaction that only an empty CONFIG takes."""

from __future__ import annotations

import contextlib
import json
from importlib import resources
from typing import Any

from controlplane.domain import recurrence
from controlplane.domain.checks.project import slug
from controlplane.shell.event_store import Conflict, EventStore, StreamPosition, SubjectPosition
from controlplane.shell.numbers import Numbers
from controlplane.shell.resource_commands import hash_password
from ops import clock, ids
from schemas import subjects
from schemas.envelope import SYSTEM, Context
from schemas.events.resource import ResourceCreated, ResourceLinked
from schemas.permissions import MODELS
from schemas.resource import RESOURCES
from schemas.role_definitions import MANAGED, Definition

SeedEvent = ResourceCreated | ResourceLinked

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
ENVIRONMENTS = (("Playlog EE", False), ("Control Plane Execution Environment", True))
"""(name, managed)."""
IMAGE = "playlog-ee:latest"
GALAXY_URL = "https://galaxy.ansible.com/"
LOCALHOST = "ansible_connection: local\nansible_python_interpreter: '{{ ansible_playbook_python }}'"
TYPES_FILE = "builtin_credential_types.json"


async def seed(
    store: EventStore, numbers: Numbers, admin: str, password: str, demo_repository: str = ""
) -> bool:
    """Append what AWX's installation holds; with a git repository (URL) the demo objects too.

    Returns False when CONFIG was not empty any more: another start was first.
    """
    seeding = _Seeding(numbers)
    hashed = await hash_password(password)
    user = await seeding.make("user", username=admin, password=hashed, is_superuser=True)
    organization = await seeding.make("organization", name=ORGANIZATION)
    for name in GROUPS:
        await seeding.make("instance_group", name=name)
    types = {
        each["namespace"]: await seeding.make("credential_type", **each) for each in builtin_types()
    }
    for name, managed in ENVIRONMENTS:
        await seeding.make("execution_environment", name=name, image=IMAGE, managed=managed)
    galaxy = await seeding.make(
        "credential",
        name="Ansible Galaxy",
        credential_type=types["galaxy_api_token"],
        kind="galaxy_api_token",
        managed=True,
        inputs={"url": GALAXY_URL},
    )
    seeding.link("organization", organization, "galaxy_credentials", galaxy)
    await _cleanups(seeding)
    first = len(seeding.events)
    if demo_repository:
        await _demo(seeding, user, organization, types["ssh"], demo_repository)
    base, demo = seeding.events[:first], seeding.events[first:]
    try:
        position = await _append(store, ("organization", organization), base, StreamPosition(0))
        for event in demo:
            # Each under its own subject: whoever looks at a project alone reads no other.
            after = StreamPosition(position)
            position = await _append(store, (event.kind, event.id), [event], after)
    except Conflict:
        return False
    return True


async def seed_definitions(store: EventStore, numbers: Numbers) -> None:
    """Append the role definitions of the system, unless this log has them."""
    resource = RESOURCES["role_definition"]
    defaults = {name: field.default for name, field in resource.fields.items()}
    events: list[SeedEvent] = [
        ResourceCreated(kind=resource.kind, id=number, values=defaults | _values(each))
        for number, each in enumerate(MANAGED, start=1)
    ]
    await numbers.raise_to(resource.sequence, len(events))
    with contextlib.suppress(Conflict):
        await _append(store, (resource.kind, 1), events, SubjectPosition(0))


def _values(definition: Definition) -> dict[str, Any]:
    return {
        "name": definition.name,
        "description": definition.description,
        "managed": True,
        "content_type": MODELS[definition.kind].content_type if definition.kind else None,
        "permissions": list(definition.permissions),
    }


async def _append(
    store: EventStore,
    subject: tuple[str, int],
    events: list[SeedEvent],
    expect: StreamPosition | SubjectPosition,
) -> int:
    number = ids.new_id()
    context = Context(id=number, at=clock.now(), actor=SYSTEM, correlation=number)
    return await store.append(subjects.config(*subject), context, events, expect=expect)


async def _demo(
    seeding: _Seeding, user: int, organization: int, machine: int, repository: str
) -> None:
    """Make AWX's demo objects: a template that greets from localhost, ready to be launched."""
    credential = await seeding.make(
        "credential",
        name="Demo Credential",
        credential_type=machine,
        kind="ssh",
        user=user,
        inputs={"username": "admin"},
    )
    project = await seeding.make(
        "project",
        name="Demo Project",
        organization=organization,
        scm_type="git",
        scm_url=repository,
        scm_update_on_launch=True,
    )
    inventory = await seeding.make("inventory", name="Demo Inventory", organization=organization)
    await seeding.make("host", name="localhost", inventory=inventory, variables=LOCALHOST)
    template = await seeding.make(
        "job_template",
        name="Demo Job Template",
        project=project,
        organization=organization,
        inventory=inventory,
        playbook="hello_world.yml",
    )
    seeding.link("job_template", template, "credentials", credential)


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


async def _cleanups(seeding: _Seeding) -> None:
    """Make AWX's system job templates, under AWX's ids, and their schedules.

    The schedules are disabled: nothing runs them.
    """
    numbers = [await seeding.number("system_job_template") for _ in range(5)]
    for number, (job_type, name, schedule, day, days) in zip(
        [*numbers[:2], *numbers[3:]], CLEANUPS, strict=True
    ):
        await seeding.make("system_job_template", number, name=name, job_type=job_type)
        rule = recurrence.read(f"{BEGIN} RRULE:FREQ=WEEKLY;INTERVAL=1;BYDAY={day}")
        await seeding.make(
            "schedule",
            name=schedule,
            rrule=rule.text,
            dtstart=rule.first(),
            unified_job_template=number,
            extra_data={"days": days} if days else {},
            enabled=False,
        )


class _Seeding:
    """The transaction in the making."""

    def __init__(self, numbers: Numbers) -> None:
        self.events: list[SeedEvent] = []
        self._numbers = numbers

    async def number(self, kind: str) -> int:
        """Return a new id for an object of a kind."""
        return (await self._numbers.take(RESOURCES[kind].sequence))[0]

    async def make(self, kind: str, number: int | None = None, /, **given: Any) -> int:
        """Create an object, under a number taken before if there is one, and return its id."""
        resource = RESOURCES[kind]
        number = number or await self.number(kind)
        values = {name: field.default for name, field in resource.fields.items()}
        if "local_path" in values:
            given["local_path"] = f"_{number}__{slug(given['name'])}"
        self.events.append(ResourceCreated(kind=kind, id=number, values=values | given))
        return number

    def link(self, kind: str, number: int, relation: str, target: int) -> None:
        """Attach one object to a relation of another."""
        self.events.append(ResourceLinked(kind=kind, id=number, relation=relation, target=target))
