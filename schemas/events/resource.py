"""Events of declared resources: one Struct per verb, stored under a literal tag per kind.

``organization.created.v1``, ``organization.updated.v1``, ``organization.deleted.v1``,
``group.linked.v1``, ``group.unlinked.v1``: the kind is part of the tag on the wire, the data never
repeats it. ``schemas.derive`` registers the tags of each declaration.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class ResourceCreated(Struct, frozen=True, kw_only=True):
    """A resource exists with these values; secrets in it are sealed."""

    kind: str
    id: int
    values: dict[str, Any]


class ResourceUpdated(Struct, frozen=True, kw_only=True):
    """Fields of a resource changed to these values; a field not named is as it was."""

    kind: str
    id: int
    changes: dict[str, Any]
    was: dict[str, Any] = {}
    """What the changed fields were before, without those that hold secrets."""


class ResourceDeleted(Struct, frozen=True, kw_only=True):
    """A resource is gone, and with it all that cascades from it: projections expand the cascade."""

    kind: str
    id: int
    was: dict[str, Any] = {}
    """What it was, without fields that hold secrets; what cascades from it is not told."""


class ResourceLinked(Struct, frozen=True, kw_only=True):
    """A relation of a resource holds another one; attachment order is log order."""

    kind: str
    id: int
    relation: str
    target: int


class ResourceUnlinked(Struct, frozen=True, kw_only=True):
    """A relation of a resource no longer holds another one."""

    kind: str
    id: int
    relation: str
    target: int


ResourceEvent = (
    ResourceCreated | ResourceUpdated | ResourceDeleted | ResourceLinked | ResourceUnlinked
)
VERBS: dict[str, type[ResourceEvent]] = {
    "created": ResourceCreated,
    "updated": ResourceUpdated,
    "deleted": ResourceDeleted,
    "linked": ResourceLinked,
    "unlinked": ResourceUnlinked,
}
