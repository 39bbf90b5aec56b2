"""Label: a name in an organization that templates and jobs carry."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.resource import Hidden, Ref, Unique, resource


@resource(
    kind="label",
    plural="labels",
    verbose="Label",
    unique=(
        Unique(
            fields=("name", "organization"),
            message="Label with this Name and Organization already exists.",
        ),
    ),
    parent="organization",
    order=("organization", "name"),
    capabilities=(),
    named_url=("name", "organization.name"),
    deletable=False,
)
class Label(Struct, frozen=True, kw_only=True):
    """The state of a label."""

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    organization: Annotated[int, Ref("organization", on_delete="cascade")]
    description: Annotated[str, Hidden()] = ""
