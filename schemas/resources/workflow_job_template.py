"""Workflow job template: templates, projects and approvals as nodes of a graph."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, field

from schemas.resource import (
    Choices,
    Help,
    Hidden,
    Json,
    ReadOnly,
    Ref,
    Related,
    Secret,
    Unique,
    resource,
)
from schemas.resources.choices import WEBHOOK_SERVICES
from schemas.resources.notified import NOTIFIED_OF_APPROVALS
from schemas.resources.schedule import SCHEDULES


@resource(
    kind="workflow_job_template",
    plural="workflow_job_templates",
    verbose="Workflow Job Template",
    sequence="unified_job_template",
    unique=(
        Unique(
            fields=("name", "organization"),
            message="WorkflowJobTemplate with this (name, organization) combination already"
            " exists.",
        ),
    ),
    related=(
        SCHEDULES,
        Related(
            name="workflow_nodes",
            kind="workflow_job_template_node",
            through="workflow_job_template",
            create=True,
        ),
        Related(name="labels", kind="label", attach=True, create=True),
        *NOTIFIED_OF_APPROVALS,
    ),
    extra_links={
        "workflow_jobs": "workflow_jobs",
        "launch": "launch",
        "webhook_key": "webhook_key",
        "activity_stream": "activity_stream",
        "access_list": "access_list",
        "object_roles": "object_roles",
        "survey_spec": "survey_spec",
        "copy": "copy",
    },
    roles=("admin", "execute", "read", "approval"),
    capabilities=("edit", "delete", "start", "schedule", "copy"),
    named_url=("name", "organization.name"),
    copyable=True,
    job_holder=True,
    job_kind="workflow_job",
)
class WorkflowJobTemplate(Struct, frozen=True, kw_only=True):
    """The settings of a workflow job template; its nodes are objects of their own."""

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    description: str = ""
    extra_vars: Annotated[str, Json("text")] = ""
    organization: Annotated[
        int | None,
        Ref("organization"),
        Help("The organization used to determine access to this template."),
    ] = None
    survey_enabled: bool = False
    allow_simultaneous: bool = False
    ask_variables_on_launch: bool = False
    inventory: Annotated[
        int | None,
        Ref("inventory"),
        Help("Inventory applied as a prompt, assuming job template prompts for inventory"),
    ] = None
    limit: str | None = None
    scm_branch: Annotated[str | None, Meta(max_length=1024)] = None
    ask_inventory_on_launch: bool = False
    ask_scm_branch_on_launch: bool = False
    ask_limit_on_launch: bool = False
    survey_spec: Annotated[dict[str, Any], Json("object", sealed=True), Hidden(), ReadOnly()] = (
        field(default_factory=dict)
    )
    webhook_key: Annotated[str, Secret(), Hidden(), ReadOnly()] = ""
    webhook_service: Annotated[
        str, Choices(WEBHOOK_SERVICES), Help("Service that webhook requests will be accepted from")
    ] = ""
    webhook_credential: Annotated[
        int | None,
        Ref("credential"),
        Help("Personal Access Token for posting back the status to the service API"),
    ] = None
    ask_labels_on_launch: bool = False
    ask_skip_tags_on_launch: bool = False
    ask_tags_on_launch: bool = False
    skip_tags: str | None = None
    job_tags: str | None = None
