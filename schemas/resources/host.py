"""Host: a managed host of an inventory."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.resource import Help, Json, Ref, Related, Unique, resource


@resource(
    kind="host",
    plural="hosts",
    verbose="Host",
    unique=(
        Unique(
            fields=("name", "inventory"),
            message="Host with this Name and Inventory already exists.",
        ),
    ),
    related=(
        Related(name="groups", kind="group", attach=True, create=True, inverse_of="hosts"),
        Related(name="inventory_sources", kind="inventory_source", inverse_of="hosts", made=True),
    ),
    extra_links={
        "activity_stream": "activity_stream",
        "variable_data": "variable_data",
        "all_groups": "all_groups",
        "job_events": "job_events",
        "job_host_summaries": "job_host_summaries",
        "ansible_facts": "ansible_facts",
        "ad_hoc_commands": "ad_hoc_commands",
        "ad_hoc_command_events": "ad_hoc_command_events",
        "smart_inventories": "smart_inventories",
    },
    parent="inventory",
    named_url=("name", "inventory.name", "inventory.organization.name"),
    job_holder=True,
)
class Host(Struct, frozen=True, kw_only=True):
    """The state of a managed host."""

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    description: str = ""
    inventory: Annotated[int, Ref("inventory", on_delete="cascade", immutable=True)]
    enabled: Annotated[bool, Help("Is this host online and available for running jobs?")] = True
    instance_id: Annotated[
        str,
        Meta(max_length=1024),
        Help("The value used by the remote inventory source to uniquely identify the host"),
    ] = ""
    variables: Annotated[str, Json("text"), Help("Host variables in JSON or YAML format.")] = ""
