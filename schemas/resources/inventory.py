"""Inventory: hosts and groups of an organization, with variables."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.resource import Choices, Help, Json, ReadOnly, Ref, Related, Unique, resource


@resource(
    kind="inventory",
    plural="inventories",
    verbose="Inventory",
    unique=(
        Unique(
            fields=("name", "organization"),
            message="Inventory with this Name and Organization already exists.",
        ),
    ),
    related=(
        Related(name="hosts", kind="host", through="inventory", create=True),
        Related(name="groups", kind="group", through="inventory", create=True),
        Related(
            name="inventory_sources", kind="inventory_source", through="inventory", create=True
        ),
        Related(name="input_inventories", kind="inventory", attach=True, ordered=True),
        Related(name="job_templates", kind="job_template", through="inventory"),
        Related(name="instance_groups", kind="instance_group", attach=True, ordered=True),
        Related(name="labels", kind="label", attach=True, create=True),
    ),
    extra_links={
        "activity_stream": "activity_stream",
        "root_groups": "root_groups",
        "variable_data": "variable_data",
        "script": "script",
        "tree": "tree",
        "ad_hoc_commands": "ad_hoc_commands",
        "update_inventory_sources": "update_inventory_sources",
        "access_list": "access_list",
        "object_roles": "object_roles",
        "copy": "copy",
    },
    roles=("admin", "update", "adhoc", "use", "read"),
    capabilities=("edit", "delete", "copy", "adhoc"),
    summary=(
        "id",
        "name",
        "description",
        "has_active_failures",
        "total_hosts",
        "hosts_with_active_failures",
        "total_groups",
        "has_inventory_sources",
        "total_inventory_sources",
        "inventory_sources_with_failures",
        "organization_id",
        "kind",
    ),
    named_url=("name", "organization.name"),
    copyable=True,
    job_holder=True,
)
class Inventory(Struct, frozen=True, kw_only=True):
    """The state of an inventory; the counters are kept by the read model."""

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    description: str = ""
    organization: Annotated[
        int,
        Ref("organization", on_delete="cascade"),
        Help("Organization containing this inventory."),
    ]
    kind: Annotated[
        str,
        Choices(
            (
                ("", "Hosts have a direct link to this inventory."),
                ("smart", "Hosts for inventory generated using the host_filter property."),
                ("constructed", "Parse list of source inventories with the constructed plugin."),
            )
        ),
        Help("Kind of inventory being represented."),
    ] = ""
    host_filter: Annotated[
        str | None, Help("Filter that will be applied to the hosts of this inventory.")
    ] = None
    variables: Annotated[str, Json("text"), Help("Inventory variables in JSON or YAML format.")] = (
        ""
    )
    has_active_failures: Annotated[bool, ReadOnly()] = False
    total_hosts: Annotated[int, ReadOnly(), Help("Total number of hosts in this inventory.")] = 0
    hosts_with_active_failures: Annotated[int, ReadOnly()] = 0
    total_groups: Annotated[int, ReadOnly(), Help("Total number of groups in this inventory.")] = 0
    has_inventory_sources: Annotated[bool, ReadOnly()] = False
    total_inventory_sources: Annotated[int, ReadOnly()] = 0
    inventory_sources_with_failures: Annotated[int, ReadOnly()] = 0
    pending_deletion: Annotated[
        bool, ReadOnly(), Help("Flag indicating the inventory is being deleted.")
    ] = False
    prevent_instance_group_fallback: Annotated[
        bool,
        Help(
            "If enabled, the inventory will prevent adding any organization instance groups to the"
            " list of preferred instances groups to run associated job templates on."
        ),
    ] = False
