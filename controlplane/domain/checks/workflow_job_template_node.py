"""Rules of workflow nodes (``api.md`` 3.26): prompts, and a graph without cycles."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping

from controlplane.domain import prompts
from controlplane.domain.checks.draft import Draft, Relation
from controlplane.domain.errors import Refused
from controlplane.domain.facts import Facts
from schemas.events.resource import ResourceDeleted
from schemas.registry import Event
from schemas.resources.workflow_job_template_node import KIND as NODE
from schemas.resources.workflow_job_template_node import NEXT

APPROVAL = "workflow_approval_template"


def check(draft: Draft, facts: Facts) -> None:
    """Check the prompts; what a survey requires may come with the workflow's launch."""
    if not draft.values["identifier"]:
        draft.values["identifier"] = str(uuid.UUID(hex=facts.random[:32], version=4))
    prompts.check(draft, facts, required=False)


def consequences(draft: Draft, facts: Facts) -> Iterator[Event]:
    """Let an approval go that is not this node's any more."""
    if draft.before is None or not draft.changed("unified_job_template"):
        return
    yield from without_approval(draft.before["unified_job_template"], facts)


def without_approval(number: int | None, facts: Facts) -> Iterator[Event]:
    """Let go the approval that stood at a node, if it was one that stood there."""
    row = facts.row(APPROVAL, number) if number is not None else None
    if number is not None and row is not None:
        was = {name: row[name] for name in ("name", "description", "timeout")}
        yield ResourceDeleted(kind=APPROVAL, id=number, was=was)


def link(relation: Relation, facts: Facts) -> None:
    """Take an edge that closes no cycle, between nodes that no other edge joins."""
    if relation.related.name not in NEXT or relation.target_row is None:
        prompts.link(relation, facts)
        return
    if relation.id == relation.target:
        raise Refused({"Error": "Cycle detected."})
    workflow = relation.source_row["workflow_job_template"]
    if relation.target_row["workflow_job_template"] != workflow:
        raise Refused({"Error": "Relationship not allowed."})
    others = [name for name in NEXT if name != relation.related.name]
    if any(facts.linked(NODE, name, relation.id, relation.target) for name in others):
        raise Refused({"Error": "Relationship not allowed."})
    nodes = facts.find(NODE, ("workflow_job_template",), (workflow,))
    following = {
        node: [each for name in NEXT for each in facts.targets(NODE, name, node)] for node in nodes
    }
    if _reaches(relation.target, relation.id, following):
        raise Refused({"Error": "Cycle detected."})


def _reaches(start: int, end: int, following: Mapping[int, list[int]]) -> bool:
    seen: set[int] = set()
    waiting = [start]
    while waiting:
        node = waiting.pop()
        if node == end:
            return True
        if node not in seen:
            seen.add(node)
            waiting += following.get(node, [])
    return False
