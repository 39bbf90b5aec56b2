"""Credential input source: a field of a credential that an external secret store fills."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from schemas.resource import Help, Json, Ref, Unique, resource


@resource(
    kind="credential_input_source",
    plural="credential_input_sources",
    verbose="Credential Input Source",
    unique=(
        Unique(
            fields=("target_credential", "input_field_name"),
            message=(
                "Credential input source with this Target credential and Input field name"
                " already exists."
            ),
        ),
    ),
    order=("target_credential", "source_credential", "input_field_name"),
    search=("description",),
    capabilities=("delete",),
    kept_with="target_credential",
)
class CredentialInputSource(Struct, frozen=True, kw_only=True):
    """Which field of a credential is looked up, by which external credential and with what."""

    description: str = ""
    input_field_name: Annotated[str, Meta(min_length=1, max_length=1024)]
    metadata: Annotated[dict[str, Any], Json("object")] = {}
    target_credential: Annotated[
        int,
        Ref("credential", on_delete="cascade"),
        Help("The credential whose field is looked up."),
    ]
    source_credential: Annotated[
        int,
        Ref("credential", on_delete="cascade"),
        Help("The external credential that looks it up."),
    ]
