"""Credential: values of a credential type's fields; its secret ones are stored sealed."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from schemas.resource import Help, Hidden, Json, ReadOnly, Ref, Related, Unique, resource


@resource(
    kind="credential",
    plural="credentials",
    verbose="Credential",
    unique=(
        Unique(
            fields=("organization", "name", "credential_type"),
            message=("Credential with this Organization, Name and Credential type already exists."),
            nulls_distinct=True,
        ),
    ),
    related=(
        Related(
            name="input_sources",
            kind="credential_input_source",
            through="target_credential",
            create=True,
        ),
    ),
    extra_links={
        "activity_stream": "activity_stream",
        "access_list": "access_list",
        "object_roles": "object_roles",
        "owner_users": "owner_users",
        "owner_teams": "owner_teams",
        "copy": "copy",
    },
    roles=("admin", "use", "read"),
    capabilities=("edit", "delete", "copy", "use"),
    summary=(
        "id",
        "name",
        "description",
        "kind",
        "cloud",
        "kubernetes",
        "credential_type_id",
    ),
    named_url=(
        "name",
        "credential_type.name",
        "credential_type.kind",
        "organization.name",
    ),
    copyable=True,
)
class Credential(Struct, frozen=True, kw_only=True):
    """The state of a credential.

    In ``inputs`` the fields that the type calls secret are sealed strings, except an empty one and
    ``ASK``; ``user`` and ``team`` name its owner and are taken from a body but not shown.
    """

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    description: str = ""
    organization: Annotated[int | None, Ref("organization", on_delete="cascade")] = None
    credential_type: Annotated[
        int,
        Ref("credential_type", on_delete="protect"),
        Help("Specify the type of credential you want to create."),
    ]
    managed: Annotated[bool, ReadOnly()] = False
    inputs: Annotated[
        dict[str, Any],
        Json("object", sealed=True),
        Help("Enter inputs using either JSON or YAML syntax."),
    ] = {}
    kind: Annotated[str | None, ReadOnly()] = None
    cloud: Annotated[bool, ReadOnly()] = False
    kubernetes: Annotated[bool, ReadOnly()] = False
    user: Annotated[
        int | None,
        Ref("user"),
        Hidden(),
        Help("Write-only field used to add user to owner role. Only valid for creation."),
    ] = None
    team: Annotated[
        int | None,
        Ref("team"),
        Hidden(),
        Help("Write-only field used to add team to owner role. Only valid for creation."),
    ] = None
