"""Role definition: permissions that are granted together; those of the system are ``managed``."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from schemas.permissions import MODELS
from schemas.resource import Choices, Help, Json, ReadOnly, Unique, resource

CONTENT_TYPES = tuple(
    (model.content_type, model.verbose.title())
    for model in sorted(MODELS.values(), key=lambda model: model.content_type)
)


@resource(
    kind="role_definition",
    plural="role_definitions",
    verbose="Role Definition",
    unique=(
        Unique(
            fields=("name",), key="name", message="role definition with this name already exists."
        ),
    ),
    extra_links={"team_assignments": "team_assignments", "user_assignments": "user_assignments"},
    order=("id",),
    capabilities=(),
    summary=("id", "name", "description", "managed"),
)
class RoleDefinition(Struct, frozen=True, kw_only=True):
    """The state of a role definition."""

    permissions: Annotated[list[Any], Json("object")]
    content_type: Annotated[
        str | None, Choices(CONTENT_TYPES), Help("The type of resource this applies to")
    ] = None
    managed: Annotated[bool, ReadOnly()] = False
    name: Annotated[str, Meta(min_length=1)]
    description: str = ""
