"""Application: a program that is given tokens in the name of users, as OAuth 2's client."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.resource import Choices, Help, Once, ReadOnly, Ref, Secret, Unique, resource

CONFIDENTIAL = "confidential"
PUBLIC = "public"
AUTHORIZATION_CODE = "authorization-code"
PASSWORD = "password"  # noqa: S105 - the name of a way to get a token
HIDDEN = "************"
"""What a client secret and a token read as, once they have been shown."""


@resource(
    kind="application",
    plural="applications",
    verbose="Application",
    type_name="o_auth2_application",
    model="OAuth2Application",
    authored=False,
    unique=(
        Unique(
            fields=("name", "organization"),
            message="Application with this Name and Organization already exists.",
        ),
        Unique(fields=("client_id",), message="Application with this Client id already exists."),
    ),
    extra_links={"tokens": "tokens", "activity_stream": "activity_stream"},
    order=("organization", "name"),
    search=("description", "name"),
    summary=("id", "name"),
    named_url=("name", "organization.name"),
)
class Application(Struct, frozen=True, kw_only=True):
    """The state of an application; ``client_secret`` is a sha256 (hex), empty without one."""

    name: Annotated[str, Meta(min_length=1, max_length=255)]
    description: str = ""
    client_id: Annotated[str, ReadOnly(), Help(label="Client id")] = ""
    client_secret: Annotated[
        str,
        ReadOnly(),
        Secret(hashed=True, stars=HIDDEN),
        Help(
            "Used for more stringent verification of access to an application when creating a"
            " token.",
            "Client Secret",
        ),
    ] = ""
    client_type: Annotated[
        str,
        Choices(((CONFIDENTIAL, "Confidential"), (PUBLIC, "Public"))),
        Help(
            "Set to Public or Confidential depending on how secure the client device is.",
            "Client Type",
        ),
    ]
    redirect_uris: Annotated[str, Help("Allowed URIs list, space separated", "Redirect URIs")] = ""
    authorization_grant_type: Annotated[
        str,
        Once(),
        Choices(
            (
                (AUTHORIZATION_CODE, "Authorization code"),
                (PASSWORD, "Resource owner password-based"),
            )
        ),
        Help(
            "The Grant type the user must use to acquire tokens for this application.",
            "Authorization Grant Type",
        ),
    ]
    skip_authorization: Annotated[
        bool,
        Help(
            "Set True to skip authorization step for completely trusted applications.",
            "Skip Authorization",
        ),
    ] = False
    organization: Annotated[
        int,
        Ref("organization", on_delete="cascade"),
        Help("Organization containing this application."),
    ]
