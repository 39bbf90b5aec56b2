"""Rules of approvals (``api.md`` 3.30): each stands at one node of a workflow."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.domain.checks import workflow_job_template_node as node
from controlplane.domain.checks.draft import Draft
from controlplane.domain.facts import Facts
from schemas.events.resource import ResourceUpdated
from schemas.registry import Event


def consequences(draft: Draft, facts: Facts) -> Iterator[Event]:
    """Let a new approval take its node's place from what stood there."""
    if draft.before is not None:
        return
    number = draft.values["workflow_job_template_node"]
    row = facts.row("workflow_job_template_node", number) or {}
    former = row.get("unified_job_template")
    yield from node.without_approval(former, facts)
    yield ResourceUpdated(
        kind="workflow_job_template_node",
        id=number,
        changes={"unified_job_template": draft.id},
        was={"unified_job_template": former},
    )
