"""Organization: the tenant that owns teams, projects, inventories and credentials."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.resource import Help, ReadOnly, Ref, Related, Unique, resource
from schemas.resources.notified import NOTIFIED_OF_APPROVALS


@resource(
    kind="organization",
    plural="organizations",
    verbose="Organization",
    unique=(
        Unique(fields=("name",), key="name", message="Organization with this Name already exists."),
    ),
    related=(
        Related(name="projects", kind="project", through="organization", create=True),
        Related(name="inventories", kind="inventory", through="organization"),
        Related(name="job_templates", kind="job_template", through="organization", create=True),
        Related(
            name="workflow_job_templates",
            kind="workflow_job_template",
            through="organization",
            create=True,
        ),
        Related(name="users", kind="user", attach=True, create=True, role="member"),
        Related(name="admins", kind="user", attach=True, create=True, role="admin"),
        Related(name="teams", kind="team", through="organization", create=True),
        Related(name="credentials", kind="credential", through="organization", create=True),
        Related(
            name="execution_environments",
            kind="execution_environment",
            through="organization",
            create=True,
        ),
        Related(name="applications", kind="application", through="organization", create=True),
        Related(name="instance_groups", kind="instance_group", attach=True, ordered=True),
        Related(name="galaxy_credentials", kind="credential", attach=True, ordered=True),
        Related(
            name="notification_templates",
            kind="notification_template",
            through="organization",
            create=True,
        ),
        *NOTIFIED_OF_APPROVALS,
    ),
    extra_links={
        "activity_stream": "activity_stream",
        "object_roles": "object_roles",
        "access_list": "access_list",
    },
    roles=(
        "admin",
        "execute",
        "project_admin",
        "inventory_admin",
        "credential_admin",
        "workflow_admin",
        "notification_admin",
        "job_template_admin",
        "execution_environment_admin",
        "auditor",
        "member",
        "read",
        "approval",
    ),
    named_url=("name",),
    job_holder=True,
)
class Organization(Struct, frozen=True, kw_only=True):
    """The state of an organization."""

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    description: str = ""
    max_hosts: Annotated[
        int,
        Meta(ge=0),
        Help("Maximum number of hosts allowed to be managed by this organization."),
    ] = 0
    default_environment: Annotated[
        int | None,
        Ref("execution_environment"),
        Help("The default execution environment for jobs run by this organization."),
    ] = None
    custom_virtualenv: Annotated[str | None, ReadOnly()] = None
