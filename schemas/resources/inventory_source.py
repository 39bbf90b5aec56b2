"""Inventory source: where hosts and groups of an inventory come from."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.resource import Choices, Help, Ref, Related, Unique, resource
from schemas.resources.notified import NOTIFIED
from schemas.resources.schedule import SCHEDULES

SOURCES = (
    ("file", "File, Directory or Script"),
    ("constructed", "Template additional groups and hostvars at runtime"),
    ("scm", "Sourced from a Project"),
    ("ec2", "Amazon EC2"),
    ("gce", "Google Compute Engine"),
    ("azure_rm", "Microsoft Azure Resource Manager"),
    ("vmware", "VMware vCenter"),
    ("satellite6", "Red Hat Satellite 6"),
    ("openstack", "OpenStack"),
    ("rhv", "Red Hat Virtualization"),
    ("controller", "Red Hat Ansible Automation Platform"),
    ("insights", "Red Hat Insights"),
    ("terraform", "Terraform State"),
    ("openshift_virtualization", "OpenShift Virtualization"),
)
CLOUD_SOURCES = frozenset(name for name, _ in SOURCES) - {"file", "constructed", "scm"}
"""Sources that ask a service, with a credential for it."""
CONSTRUCTED_FIELDS = ("source_vars", "update_cache_timeout", "limit", "verbosity")
"""Fields of a constructed inventory that its one source keeps; nothing else of it may change."""
VERBOSITIES = ((0, "0 (WARNING)"), (1, "1 (INFO)"), (2, "2 (DEBUG)"))


@resource(
    kind="inventory_source",
    plural="inventory_sources",
    verbose="Inventory Source",
    sequence="unified_job_template",
    unique=(
        Unique(
            fields=("name", "inventory"),
            message="InventorySource with this (name, inventory) combination already exists.",
        ),
    ),
    related=(
        Related(name="credentials", kind="credential", attach=True, field="credential"),
        Related(name="hosts", kind="host", made=True),
        Related(name="groups", kind="group", made=True),
        SCHEDULES,
        *NOTIFIED,
    ),
    extra_links={
        "activity_stream": "activity_stream",
        "update": "update",
        "inventory_updates": "inventory_updates",
    },
    parent="inventory",
    order=("inventory", "name"),
    capabilities=("edit", "delete", "start", "schedule"),
    summary=("id", "name", "source", "last_updated", "status"),
    named_url=("name", "inventory.name", "inventory.organization.name"),
    job_kind="inventory_update",
)
class InventorySource(Struct, frozen=True, kw_only=True):
    """The state of an inventory source; its one credential is a field."""

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    description: str = ""
    source: Annotated[str, Choices(SOURCES)]
    source_path: Annotated[str, Meta(max_length=1024)] = ""
    source_vars: Annotated[str, Help("Inventory source variables in YAML or JSON format.")] = ""
    scm_branch: Annotated[
        str,
        Meta(max_length=1024),
        Help("Branch that the project uses for this source, if it allows another than its own."),
    ] = ""
    credential: Annotated[
        int | None, Ref("credential"), Help("Cloud credential to use for inventory updates.")
    ] = None
    enabled_var: Annotated[
        str, Help("Host variable that tells whether a host is enabled; foo.bar looks inside.")
    ] = ""
    enabled_value: Annotated[
        str, Help("Value of enabled_var with which a host is enabled; unused without enabled_var.")
    ] = ""
    host_filter: Annotated[
        str, Help("Regular expression that the names of imported hosts must match.")
    ] = ""
    overwrite: Annotated[
        bool, Help("Remove hosts and groups that the remote source no longer has.")
    ] = False
    overwrite_vars: Annotated[
        bool, Help("Replace variables by those of the remote source instead of merging.")
    ] = False
    timeout: Annotated[
        int, Help("The amount of time (in seconds) to run before the task is canceled.")
    ] = 0
    verbosity: Annotated[int, Choices(VERBOSITIES)] = 1
    limit: Annotated[str, Help("Host pattern that limits what is imported.")] = ""
    execution_environment: Annotated[int | None, Ref("execution_environment")] = None
    inventory: Annotated[int, Ref("inventory", on_delete="cascade")]
    update_on_launch: bool = False
    update_cache_timeout: Annotated[int, Meta(ge=0)] = 0
    source_project: Annotated[
        int | None, Ref("project"), Help("Project with the inventory files of this source.")
    ] = None
