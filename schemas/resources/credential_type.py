"""Credential type: which fields a credential has and how they reach a job."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from schemas.resource import Choices, Help, Json, ReadOnly, Related, Unique, resource


@resource(
    kind="credential_type",
    plural="credential_types",
    verbose="Credential Type",
    extra_links={"activity_stream": "activity_stream"},
    unique=(
        Unique(
            fields=("name", "kind"),
            message="Credential type with this Name and Kind already exists.",
        ),
    ),
    related=(
        Related(name="credentials", kind="credential", through="credential_type", create=True),
    ),
    order=("kind", "name"),
    named_url=("name", "kind"),
)
class CredentialType(Struct, frozen=True, kw_only=True):
    """The state of a credential type; the built-in ones are ``managed``."""

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    description: str = ""
    kind: Annotated[
        str,
        Choices(
            (
                ("ssh", "Machine"),
                ("vault", "Vault"),
                ("net", "Network"),
                ("scm", "Source Control"),
                ("cloud", "Cloud"),
                ("registry", "Container Registry"),
                ("token", "Personal Access Token"),
                ("insights", "Insights"),
                ("external", "External"),
                ("kubernetes", "Kubernetes"),
                ("galaxy", "Galaxy/Automation Hub"),
                ("cryptography", "Cryptography"),
            )
        ),
    ]
    namespace: Annotated[str | None, ReadOnly(), Help("The namespace to which it belongs")] = None
    managed: Annotated[bool, ReadOnly()] = False
    inputs: Annotated[
        dict[str, Any],
        Json("object"),
        Help("Enter inputs using either JSON or YAML syntax."),
    ] = {}
    injectors: Annotated[
        dict[str, Any],
        Json("object"),
        Help("Enter injectors using either JSON or YAML syntax."),
    ] = {}
