"""Team: users of an organization who are granted roles together."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.resource import Ref, Related, Unique, resource


@resource(
    kind="team",
    plural="teams",
    verbose="Team",
    unique=(
        Unique(
            fields=("organization", "name"),
            message="Team with this Organization and Name already exists.",
        ),
    ),
    related=(
        Related(name="users", kind="user", attach=True, create=True, role="member"),
        Related(name="credentials", kind="credential", through="team", create=True),
    ),
    extra_links={
        "activity_stream": "activity_stream",
        "projects": "projects",
        "roles": "roles",
        "object_roles": "object_roles",
        "access_list": "access_list",
    },
    roles=("admin", "member", "read"),
    order=("organization", "name"),
    named_url=("name", "organization.name"),
)
class Team(Struct, frozen=True, kw_only=True):
    """The state of a team."""

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    description: str = ""
    organization: Annotated[int, Ref("organization", on_delete="cascade")]
