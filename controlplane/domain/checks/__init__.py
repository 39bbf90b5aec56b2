"""Rules of single kinds that a declaration cannot say, one module a kind; all pure.

A module may have ``check(draft, facts)`` (fields and values of a create or update),
``link(relation, facts)`` and ``delete(object_id, row, facts)``, which returns the keys of what goes
along besides cascades.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from controlplane.domain import prompts
from controlplane.domain.checks import (
    application,
    credential,
    credential_input_source,
    credential_type,
    execution_environment,
    group,
    host,
    instance_group,
    inventory,
    inventory_source,
    job_template,
    notification_template,
    project,
    role_definition,
    schedule,
    survey_spec,
    user,
    webhook,
    workflow_approval_template,
    workflow_job_template,
    workflow_job_template_node,
)
from controlplane.domain.checks.draft import Companion, Draft, Relation
from controlplane.domain.errors import Refused
from controlplane.domain.facts import Facts, Row
from schemas.registry import Event
from schemas.resource import RESOURCES, Related

LABELS_MAX = 100
"""Labels that one object may carry, as in AWX."""

_CHECKS: dict[str, Callable[[Draft, Facts], None]] = {
    "application": application.check,
    "credential": credential.check,
    "credential_input_source": credential_input_source.check,
    "credential_type": credential_type.check,
    "execution_environment": execution_environment.check,
    "group": group.check,
    "host": host.check,
    "instance_group": instance_group.check,
    "inventory": inventory.check,
    "inventory_source": inventory_source.check,
    "job_template": job_template.check,
    "notification_template": notification_template.check,
    "project": project.check,
    "schedule": schedule.check,
    "role_definition": role_definition.check,
    "user": user.check,
    "workflow_job_template": workflow_job_template.check,
    "workflow_job_template_node": workflow_job_template_node.check,
}
_LINKS: dict[str, Callable[[Relation, Facts], None]] = {
    "group": group.link,
    "inventory": inventory.link,
    "inventory_source": inventory_source.link,
    "job_template": job_template.link,
    "schedule": prompts.link,
    "workflow_job_template_node": workflow_job_template_node.link,
}
_ASSIGNS = (survey_spec.assign, webhook.assign)
_CONSEQUENCES: dict[str, Callable[[Draft, Facts], Iterable[Event]]] = {
    "credential": credential.consequences,
    "workflow_approval_template": workflow_approval_template.consequences,
    "workflow_job_template_node": workflow_job_template_node.consequences,
}
_DELETES: dict[str, Callable[[int, Row, Facts], Iterable[str]]] = {
    "credential": credential.delete,
    "credential_type": credential_type.delete,
    "execution_environment": execution_environment.delete,
    "group": group.delete,
    "inventory_source": inventory_source.delete,
    "instance_group": instance_group.delete,
    "role_definition": role_definition.delete,
}
_VERBOSE = {"instance": "Instance"}


def check(draft: Draft, facts: Facts) -> None:
    """Apply the rules of a kind to a new or changed object."""
    if rule := _CHECKS.get(draft.kind):
        rule(draft, facts)


def link(relation: Relation, facts: Facts) -> None:
    """Apply the rules of a kind to a link about to be made; raises Refused."""
    if rule := _LINKS.get(relation.kind):
        rule(relation, facts)
    if relation.related.kind == "label":
        held = facts.targets(relation.kind, relation.related.name, relation.id)
        if len(held) >= LABELS_MAX:
            name = verbose(relation.kind).lower()
            raise Refused({"msg": f"Maximum number of labels for {name} reached."})


def delete(kind: str, object_id: int, row: Row, facts: Facts) -> Iterable[str]:
    """Apply the rules of a kind to a deletion; returns keys of what goes besides cascades."""
    rule = _DELETES.get(kind)
    return rule(object_id, row, facts) if rule is not None else ()


def assign(draft: Draft, facts: Facts) -> None:
    """Apply the rules of fields that no body sets; raises Refused."""
    for rule in _ASSIGNS:
        rule(draft, facts)


def consequences(
    draft: Draft, facts: Facts, companions: Mapping[str, Companion]
) -> Iterable[Event]:
    """Return the events that a creation or change brings about on its own account."""
    if draft.creating and draft.kind == "inventory" and draft.values["kind"] == "constructed":
        yield inventory.own_source(draft, companions["inventory_source"])
    if rule := _CONSEQUENCES.get(draft.kind):
        yield from rule(draft, facts)


def related(kind: str, relation: str) -> Related:
    """Return a declared relation; raises KeyError when the kind has none of that name."""
    for each in RESOURCES[kind].related:
        if each.name == relation:
            return each
    raise KeyError(relation)


def verbose(kind: str) -> str:
    """Return a kind's name as messages have it."""
    return RESOURCES[kind].verbose if kind in RESOURCES else _VERBOSE[kind]
