"""Workflow node: what a workflow runs at one place, with which prompts, and what follows it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from schemas.resource import Help, Ref, Related, Unique, resource
from schemas.resources.prompts import PROMPTED, Prompts

KIND = "workflow_job_template_node"
NEXT = ("success_nodes", "failure_nodes", "always_nodes")
"""Relations to the nodes that follow, by the outcome that they wait for."""


@resource(
    kind=KIND,
    plural="workflow_job_template_nodes",
    verbose="Workflow Job Template Node",
    unique=(
        Unique(
            fields=("identifier", "workflow_job_template"),
            message="Workflow job template node with this Identifier and Workflow job template"
            " already exists.",
        ),
    ),
    related=(
        *PROMPTED,
        *(Related(name=name, kind=KIND, attach=True, create=True) for name in NEXT),
    ),
    extra_links={"create_approval_template": "create_approval_template"},
    parent="workflow_job_template",
    order=("id",),
    search=("unified_job_template__description", "unified_job_template__name"),
    capabilities=(),
    named_url=(
        "identifier",
        "workflow_job_template.name",
        "workflow_job_template.organization.name",
    ),
)
class WorkflowJobTemplateNode(Prompts, frozen=True, kw_only=True):
    """A node; its edges are links."""

    workflow_job_template: Annotated[
        int, Ref("workflow_job_template", on_delete="cascade", fixed=True)
    ]
    unified_job_template: Annotated[int | None, Ref("unified_job_template")] = None
    all_parents_must_converge: Annotated[
        bool,
        Help(
            "If enabled then the node will only run if all of the parent nodes have met the"
            " criteria to reach this node"
        ),
    ] = False
    identifier: Annotated[
        str,
        Meta(min_length=1, max_length=512),
        Help("An identifier for this node that is unique within its workflow."),
    ] = ""
