"""Who may do what, in full: each role and permission against each verb of each kind."""

from __future__ import annotations

import pytest

import schemas.resources  # noqa: F401 - declares every kind
from controlplane.domain import access
from controlplane.domain.access import Facts, Principal
from schemas import permissions, roles
from schemas.permissions import MODELS
from schemas.resource import RESOURCES
from schemas.role_definitions import EXECUTE_OWN, MANAGED, definition_of, role_of

HERE, ORGANIZATION, INVENTORY_S = 5, 2, 3
"""The object, its organization, and that of a job template's inventory."""

_TEMPLATE = "read edit delete start schedule copy see_jobs grant"
_RUN = "read start schedule see_jobs"
_ADDED = "edit delete copy"

TABLE: dict[str, dict[str, str]] = {
    "organization": {
        "admin": "read edit delete grant add_project add_inventory add_credential"
        " add_job_template add_team add_execution_environment add_label add_application"
        " see_applications add_notification_template add_workflow_job_template run_jobs",
        "auditor": "read audit",
        "execute": "read run_jobs",
        "project_admin": "read add_project",
        "inventory_admin": "read add_inventory",
        "credential_admin": "read add_credential",
        "workflow_admin": "read add_workflow_job_template",
        "notification_admin": "read add_notification_template",
        "job_template_admin": "read add_job_template",
        "execution_environment_admin": "read add_execution_environment",
        "member": "read add_label see_applications",
        "read": "read",
        "approval": "read",
        "shared.view_organization": "read",
        "shared.change_organization": "edit",
        "shared.delete_organization": "delete",
        "shared.audit_organization": "audit",
        "awx.add_project": "add_project",
        "awx.add_inventory": "add_inventory",
        "awx.add_credential": "add_credential",
        "awx.add_executionenvironment": "add_execution_environment",
        "awx.add_notificationtemplate": "add_notification_template",
        "awx.add_workflowjobtemplate": "add_workflow_job_template",
        "shared.add_team": "add_team",
    },
    "team": {
        "admin": "read edit delete grant",
        "member": "read",
        "read": "read",
        "organization.admin": "read edit delete grant",
        "organization.auditor": "read",
        "shared.view_team": "read",
        "shared.change_team": "edit",
        "shared.delete_team": "delete",
    },
    "project": {
        "admin": "read edit delete start schedule use copy grant",
        "use": "read use",
        "update": "read start schedule",
        "read": "read",
        "organization.admin": "read edit delete start schedule use copy grant",
        "organization.project_admin": "read edit delete start schedule use copy grant",
        "organization.auditor": "read",
        "awx.view_project": "read",
        "awx.change_project": "edit copy",
        "awx.delete_project": "delete",
        "awx.update_project": "start schedule",
        "awx.use_project": "use",
    },
    "inventory": {
        "admin": "read edit delete adhoc update use copy grant",
        "update": "read update",
        "adhoc": "read adhoc use",
        "use": "read use",
        "read": "read",
        "organization.admin": "read edit delete adhoc update use copy grant",
        "organization.inventory_admin": "read edit delete adhoc update use copy grant",
        "organization.auditor": "read",
        "awx.view_inventory": "read",
        "awx.change_inventory": "edit copy",
        "awx.delete_inventory": "delete",
        "awx.adhoc_inventory": "adhoc",
        "awx.update_inventory": "update",
        "awx.use_inventory": "use",
    },
    "job_template": {
        "admin": _TEMPLATE,
        "execute": _RUN,
        "read": "read see_jobs",
        EXECUTE_OWN: "read start",
        "organization.admin": _TEMPLATE,
        "organization.job_template_admin": _TEMPLATE,
        "organization.execute": _RUN,
        "organization.auditor": "read see_jobs",
        "inventory.organization.auditor": "read see_jobs",
        "awx.view_jobtemplate": "read see_jobs",
        "awx.change_jobtemplate": "edit copy",
        "awx.delete_jobtemplate": "delete",
        "awx.execute_jobtemplate": "start schedule",
    },
    "workflow_job_template": {
        "admin": f"{_TEMPLATE} approve",
        "execute": _RUN,
        "approval": "read approve see_jobs",
        "read": "read see_jobs",
        "organization.admin": f"{_TEMPLATE} approve",
        "organization.workflow_admin": f"{_TEMPLATE} approve",
        "organization.execute": _RUN,
        "organization.approval": "read approve see_jobs",
        "organization.auditor": "read see_jobs",
        "awx.view_workflowjobtemplate": "read see_jobs",
        "awx.change_workflowjobtemplate": "edit copy",
        "awx.delete_workflowjobtemplate": "delete",
        "awx.execute_workflowjobtemplate": "start schedule",
        "awx.approve_workflowjobtemplate": "approve",
    },
    "credential": {
        "admin": "read edit delete use copy grant",
        "use": "read use",
        "read": "read",
        "organization.admin": "read edit delete use copy grant",
        "organization.credential_admin": "read edit delete use copy grant",
        "organization.auditor": "read",
        "awx.view_credential": "read",
        "awx.change_credential": "edit copy",
        "awx.delete_credential": "delete",
        "awx.use_credential": "use",
    },
    "instance_group": {
        "admin": "read edit use grant",
        "use": "read use",
        "read": "read",
        "awx.view_instancegroup": "read",
        "awx.change_instancegroup": "edit",
        "awx.use_instancegroup": "use",
    },
    "notification_template": {
        "admin": "read edit delete copy use grant",
        "organization.admin": f"read use {_ADDED}",
        "organization.notification_admin": f"read use {_ADDED}",
        "organization.auditor": "read",
        "organization.awx.add_notificationtemplate": f"read use {_ADDED}",
        "organization.shared.audit_organization": "read",
        "awx.view_notificationtemplate": "read",
        "awx.change_notificationtemplate": "edit copy use",
        "awx.delete_notificationtemplate": "delete",
    },
    "execution_environment": {
        "admin": "read edit delete copy grant",
        **dict.fromkeys(
            (f"organization.{role}" for role in access.PARENTS["organization"]), "read"
        ),
        "organization.admin": f"read {_ADDED}",
        "organization.execution_environment_admin": f"read {_ADDED}",
        "organization.awx.add_executionenvironment": _ADDED,
        "organization.shared.view_organization": "read",
        "awx.change_executionenvironment": "edit copy",
        "awx.delete_executionenvironment": "delete",
    },
}
"""Kind to what a role allows: on the object itself, or on what a dotted path leads to.

What stands in no row allows nothing. A permission counts on the object and on its organization.
"""


def facts(kind: str) -> Facts:
    """Return an object of a kind in its organization."""
    ids: dict[tuple[str, ...], int | None] = dict.fromkeys(access.paths(kind))
    ids |= {(): HERE, ("organization",): ORGANIZATION, ("inventory", "organization"): INVENTORY_S}
    return Facts(ids=ids)


def holding(kind: str, number: int, role: str) -> Principal:
    """Return who holds one role and sees no more users and teams than it allows."""
    grants = {(kind, number): frozenset({role})}
    return Principal(id=1, username="u", grants=grants, sees_users=False)


def grants() -> list[tuple[str, str]]:
    """Return every role and permission there is, each with the kind it is granted on."""
    named = [(kind, role) for kind, graph in access.PARENTS.items() for role in graph]
    named += [(kind, role) for kind, more in roles.DEFINED.items() for role in more]
    return named + [(kind, name) for kind in MODELS for name in permissions.allowed(kind)]


def expected(kind: str, of: str, role: str, place: int) -> set[str]:
    """Return what the table says of a role held on an object."""
    row = TABLE[kind]
    if (of, place) == (kind, HERE):
        return set(row.get(role, "").split())
    if of != "organization" or place not in (ORGANIZATION, INVENTORY_S):
        return set()
    if place == INVENTORY_S:
        return set(row.get(f"inventory.organization.{role}", "").split())
    named = row.get(f"organization.{role}", "")
    below = row.get(role, "") if role in permissions.ALL and MODELS[kind].in_organization else ""
    return {*named.split(), *below.split()}


@pytest.mark.parametrize("kind", sorted(TABLE))
def test_each_role_allows_what_the_table_says(kind: str) -> None:
    """Every grant, on the object, above it and elsewhere: these verbs and no others."""
    verbs = access.verbs(kind)
    assert set(verbs) >= {verb for row in TABLE[kind].values() for verb in row.split()}
    for of, role in grants():
        for place in {HERE, ORGANIZATION, INVENTORY_S, 99}:
            who = holding(of, place, role)
            allowed = {verb for verb in verbs if access.may(who, verb, kind, facts(kind))}
            assert allowed == expected(kind, of, role, place), (kind, of, role, place)


@pytest.mark.parametrize("kind", sorted(TABLE))
def test_the_system_s_people(kind: str) -> None:
    """A superuser may do everything, an auditor read everything, a read token nothing else."""
    verbs = access.verbs(kind)
    everything = {(kind, HERE): frozenset(role for of, role in grants() if of == kind)}
    people = {
        "superuser": Principal(id=1, username="s", superuser=True),
        "auditor": Principal(id=1, username="a", auditor=True),
        "token": Principal(id=1, username="t", grants=everything, read_only=True),
        "nobody": Principal(id=1, username="n"),
    }
    allowed = {
        name: {verb for verb in verbs if access.may(who, verb, kind, facts(kind))}
        for name, who in people.items()
    }
    assert allowed["superuser"] == set(verbs)
    assert allowed["auditor"] == {"read"}
    assert allowed["token"] <= {"read"}
    assert allowed["nobody"] == set()


def test_every_kind_with_roles_is_in_the_table() -> None:
    """A kind that gets roles gets a row here."""
    assert set(TABLE) == set(access.PARENTS) | set(roles.DEFINED)
    assert {kind for kind, each in RESOURCES.items() if each.roles} <= set(TABLE)


def test_a_managed_definition_is_worth_its_role() -> None:
    """What its permissions allow one by one, its role allows too: neither promises more.

    Save ``audit``: an organization's admin sees all that its auditor sees by other roles.
    """
    for number, each in enumerate(MANAGED, start=1):
        if not each.kind or each.role == EXECUTE_OWN:
            continue
        who, by_role = (
            Principal(id=1, username="u", grants={(each.kind, HERE): frozenset(held)})
            for held in (each.permissions, (each.role,))
        )
        for verb in set(access.verbs(each.kind)) - {"audit"}:
            if access.may(who, verb, each.kind, facts(each.kind)):
                assert access.may(by_role, verb, each.kind, facts(each.kind)), (number, verb)
        assert role_of(number) == each.role
        assert definition_of(each.kind, each.role) <= number


def test_every_role_is_some_definition() -> None:
    """Whatever object role is granted can be shown as an assignment."""
    named = [(kind, role) for kind, graph in access.PARENTS.items() for role in graph]
    named += [(kind, role) for kind, more in roles.DEFINED.items() for role in more]
    for kind, role in named:
        assert role_of(definition_of(kind, role)) == role
