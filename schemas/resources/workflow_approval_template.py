"""Workflow approval template: a node that waits until somebody agrees; it goes with its node."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.resource import Help, Hidden, ReadOnly, Ref, resource


@resource(
    kind="workflow_approval_template",
    plural="workflow_approval_templates",
    verbose="Workflow Approval Template",
    sequence="unified_job_template",
    extra_links={"jobs": "approvals"},
    capabilities=(),
    summary=("id", "name", "description", "timeout"),
    listed=False,
    job_holder=True,
    job_kind="workflow_approval",
)
class WorkflowApprovalTemplate(Struct, frozen=True, kw_only=True):
    """What is asked, and for how long."""

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    description: str = ""
    execution_environment: Annotated[
        int | None,
        Ref("execution_environment"),
        ReadOnly(),
        Help("The container image to be used for execution."),
    ] = None
    timeout: Annotated[
        int,
        Help("The amount of time (in seconds) before the approval node expires and fails."),
    ] = 0
    workflow_job_template_node: Annotated[
        int,
        Ref("workflow_job_template_node", on_delete="cascade", fixed=True),
        Hidden(),
    ]
