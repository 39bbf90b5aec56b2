"""A declared resource's values folded from its own subject in CONFIG, without Postgres."""

from __future__ import annotations

from typing import Any

from controlplane.shell.event_store import EventStore
from schemas import subjects
from schemas.events.resource import ResourceCreated, ResourceDeleted, ResourceUpdated


async def resource_values(store: EventStore, kind: str, number: int) -> dict[str, Any] | None:
    """Return a resource's stored values (secrets sealed); None when it is not there.

    What cascaded from another resource's deletion is not seen here. Raises Unavailable.
    """
    values: dict[str, Any] | None = None
    for record in await store.load(subjects.config(kind, number)):
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


async def is_looked_up(store: EventStore, credential: int) -> bool:
    """Return whether an external secret store is to fill a field of a credential.

    A source that went along with its external credential still counts here. Raises Unavailable.
    """
    sources: set[int] = set()
    for record in await store.load(subjects.config("credential", credential)):
        for event in record.events:
            match event:
                case (
                    ResourceCreated(kind="credential_input_source")
                    | ResourceUpdated(kind="credential_input_source")
                ):
                    sources.add(event.id)
                case ResourceDeleted(kind="credential_input_source"):
                    sources.discard(event.id)
                case _:
                    continue
    return bool(sources)
