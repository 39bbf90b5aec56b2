"""Organization: the tenant that owns teams, projects, inventories and credentials."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.resource import Related, Unique, resource


@resource(
    kind="organization",
    plural="organizations",
    verbose="Organization",
    unique=(
        Unique(
            fields=("name",), key="name", message="Organization with this Name already exists."
        ),
    ),
    related=(
        Related(name="projects", kind="project", through="organization", create=True),
        Related(name="inventories", kind="inventory", through="organization"),
        Related(name="job_templates", kind="job_template", through="organization", create=True),
        Related(name="credentials", kind="credential", through="organization", create=True),
        Related(name="users", kind="user", attach=True, create=True),
        Related(name="admins", kind="user", attach=True, create=True),
    ),
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
    max_hosts: Annotated[int, Meta(ge=0)] = 0
