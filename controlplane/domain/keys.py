"""The keys that storing an object writes, and those that it must have for itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controlplane.domain.checks.draft import Draft
from controlplane.domain.facts import Facts, Find, Object
from schemas.events.resource import ResourceCreated, ResourceDeleted, ResourceUpdated
from schemas.registry import Event
from schemas.resource import Resource, Unique

WATCHED: frozenset[tuple[str, tuple[str, ...]]] = frozenset(
    {
        ("job_template", ("project",)),
        ("credential", ("credential_type",)),
        ("project", ("credential",)),
        ("project", ("local_path",)),
        ("workflow_job_template_node", ("workflow_job_template",)),
    }
)
"""Fields that rules of *other* objects search by; who writes such a field writes its key too."""


def unique_keys(resource: Resource, draft: Draft) -> list[tuple[Unique, Find]]:
    """Return the unique keys that an object takes by this change."""
    found = []
    for unique in resource.unique:
        values = tuple(draft.values[name] for name in unique.fields)
        if unique.nulls_distinct and None in values:
            continue
        if draft.before is None or any(draft.changed(name) for name in unique.fields):
            found.append((unique, Find(resource.kind, unique.fields, values)))
    return found


def duplicates(keys: Iterable[tuple[Unique, Find]], number: int, facts: Facts) -> dict[str, Any]:
    """Return the errors of unique keys that another object has."""
    errors: dict[str, Any] = {}
    for unique, key in keys:
        others = [each for each in facts.find(key.kind, key.fields, key.values) if each != number]
        if others:
            errors.setdefault(unique.key, []).append(unique.message)
    return errors


def written(resource: Resource, draft: Draft) -> set[str]:
    """Return the keys that storing a draft writes: the object, its unique keys, watched fields."""
    keys = {Object(resource.kind, draft.id).key}
    keys.update(key.key for _, key in unique_keys(resource, draft))
    for kind, fields in WATCHED:
        if kind == resource.kind and (draft.before is None or any(map(draft.changed, fields))):
            values = tuple(draft.values[name] for name in fields)
            keys.add(Find(kind, fields, values).key)
    return keys


def touched(events: Iterable[Event]) -> set[str]:
    """Return the keys of the objects that events are about."""
    return {
        Object(each.kind, each.id).key
        for each in events
        if isinstance(each, ResourceCreated | ResourceUpdated | ResourceDeleted)
    }


def taken_twice(kind: str, unique: Unique, twice: list[Find]) -> str:
    """Return what is said of keys that several new objects claim, or that are taken."""
    if kind != "host":
        return unique.message
    names = [key.values[key.fields.index("name")] for key in twice]
    return f"Hostnames must be unique in an inventory. Duplicates found: {names}"
