"""User: who logs in; ``created`` is AWX's ``date_joined``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from schemas.resource import Help, Hidden, ReadOnly, Related, Secret, Unique, resource


@resource(
    kind="user",
    plural="users",
    verbose="User",
    unique=(
        Unique(
            fields=("username",),
            key="username",
            message="A user with that username already exists.",
        ),
        Unique(
            fields=("external_provider", "external_uid"),
            key="username",
            message="A user of that identity provider already exists.",
            nulls_distinct=True,
        ),
    ),
    related=(
        Related(name="teams", kind="team", inverse_of="users"),
        Related(name="organizations", kind="organization", inverse_of="users"),
        Related(name="admin_of_organizations", kind="organization", inverse_of="admins"),
        Related(name="credentials", kind="credential", through="user", create=True),
    ),
    extra_links={
        "activity_stream": "activity_stream",
        "projects": "projects",
        "roles": "roles",
        "access_list": "access_list",
        "tokens": "tokens",
        "authorized_tokens": "authorized_tokens",
        "personal_tokens": "personal_tokens",
    },
    authored=False,
    order=("username",),
    search=("email", "first_name", "last_name", "username"),
    summary=("id", "username", "first_name", "last_name"),
    named_url=("username",),
)
class User(Struct, frozen=True, kw_only=True):
    """The state of a user; ``password`` is an Argon2 hash, empty when others vouch for them."""

    username: Annotated[
        str,
        Meta(min_length=1, max_length=150),
        Help("Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only."),
    ]
    first_name: Annotated[str, Meta(max_length=150)] = ""
    last_name: Annotated[str, Meta(max_length=150)] = ""
    email: Annotated[str, Meta(max_length=254), Help(label="Email address")] = ""
    is_superuser: Annotated[
        bool,
        Help(
            "Designates that this user has all permissions without explicitly assigning them.",
            "Superuser status",
        ),
    ] = False
    is_system_auditor: bool = False
    password: Annotated[
        str,
        Secret(hashed=True, always=True),
        Help("Field used to change the password."),
    ] = ""
    last_login: Annotated[datetime | None, ReadOnly()] = None
    ldap_dn: Annotated[str, ReadOnly(), Help(label="Ldap dn")] = ""
    external_provider: Annotated[str | None, ReadOnly(), Hidden()] = None
    """The way of logging in that made the user and that alone lets them in; null for passwords."""
    external_uid: Annotated[str | None, ReadOnly(), Hidden()] = None
    """What that provider knows the user by."""
