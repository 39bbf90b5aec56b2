"""A declared resource's values folded from its own subject in CONFIG, without Postgres."""

from __future__ import annotations

from typing import Any

from controlplane.shell.event_store import EventStore
from schemas import subjects
from schemas.events.resource import (
    ResourceCreated,
    ResourceDeleted,
    ResourceLinked,
    ResourceUnlinked,
    ResourceUpdated,
)

SEEDED = ("organization", 1)
"""On this subject stands what a deployment starts with."""


async def resource_values(
    store: EventStore, kind: str, number: int, home: tuple[str, int] | None = None
) -> dict[str, Any] | None:
    """Return a resource's stored values (secrets sealed); None when it is not there.

    ``home`` names the subject to look on, where it is not the resource's own. What cascaded from
    another resource's deletion is not seen here. Raises Unavailable.
    """
    values: dict[str, Any] | None = None
    for record in await store.load(subjects.config(*(home or (kind, number)))):
        for event in record.events:
            match event:
                case ResourceCreated() if (event.kind, event.id) == (kind, number):
                    values = dict(event.values)
                case ResourceUpdated() if (event.kind, event.id) == (kind, number):
                    values = {**(values or {}), **event.changes}
                case ResourceDeleted() if (event.kind, event.id) == (kind, number):
                    values = None
                case _:
                    continue
    return values


async def linked(store: EventStore, kind: str, number: int, relation: str) -> list[int]:
    """Return what a relation of a resource holds, in the order of attachment. Raises Unavailable.

    A target that was deleted since still counts here.
    """
    held: list[int] = []
    for record in await store.load(subjects.config(kind, number)):
        for event in record.events:
            match event:
                case ResourceLinked() if (event.kind, event.id) == (kind, number):
                    if event.relation == relation and event.target not in held:
                        held.append(event.target)
                case ResourceUnlinked() if (event.kind, event.id) == (kind, number):
                    if event.relation == relation and event.target in held:
                        held.remove(event.target)
                case _:
                    continue
    return held


async def kept_with(store: EventStore, kind: str, number: int, kept: str) -> list[dict[str, Any]]:
    """Return the values of resources of another kind that are kept on a resource's subject.

    What cascaded from another resource's deletion still counts here. Raises Unavailable.
    """
    found: dict[int, dict[str, Any]] = {}
    for record in await store.load(subjects.config(kind, number)):
        for event in record.events:
            match event:
                case ResourceCreated() if event.kind == kept:
                    found[event.id] = dict(event.values)
                case ResourceUpdated() if event.kind == kept and event.id in found:
                    found[event.id] |= event.changes
                case ResourceDeleted() if event.kind == kept:
                    found.pop(event.id, None)
                case _:
                    continue
    return list(found.values())
