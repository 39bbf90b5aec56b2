"""Group: hosts of an inventory under one name, with variables and child groups."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.resource import Help, Json, Ref, Related, Unique, resource


@resource(
    kind="group",
    plural="groups",
    verbose="Group",
    unique=(
        Unique(
            fields=("name", "inventory"),
            message="Group with this Name and Inventory already exists.",
        ),
    ),
    related=(
        Related(name="children", kind="group", attach=True, create=True),
        Related(name="hosts", kind="host", attach=True, create=True),
        Related(name="inventory_sources", kind="inventory_source", inverse_of="groups", made=True),
    ),
    extra_links={
        "activity_stream": "activity_stream",
        "variable_data": "variable_data",
        "potential_children": "potential_children",
        "all_hosts": "all_hosts",
        "job_events": "job_events",
        "job_host_summaries": "job_host_summaries",
        "ad_hoc_commands": "ad_hoc_commands",
    },
    parent="inventory",
    capabilities=("edit", "delete", "copy"),
    named_url=("name", "inventory.name", "inventory.organization.name"),
    job_holder=True,
)
class Group(Struct, frozen=True, kw_only=True):
    """The state of a group."""

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    description: str = ""
    inventory: Annotated[int, Ref("inventory", on_delete="cascade", immutable=True)]
    variables: Annotated[str, Json("text"), Help("Group variables in JSON or YAML format.")] = ""
