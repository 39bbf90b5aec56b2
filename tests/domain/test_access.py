"""The access rules: who may do what with which grants."""

from __future__ import annotations

import pytest

import schemas.resources  # noqa: F401 - declares every kind
from controlplane.domain import access
from controlplane.domain.access import Facts, Principal
from schemas.resource import RESOURCES

PROJECT = Facts(ids={(): 5, ("organization",): 2})
TEMPLATE = Facts(ids={(): 7, ("organization",): 2, ("inventory", "organization"): 3})
HOST = Facts(ids={(): 9, ("inventory",): 4, ("inventory", "organization"): 2})


def holding(kind: str, object_id: int, *roles: str) -> Principal:
    """Return a user who holds these roles on one object and nothing else."""
    return Principal(id=1, username="u", grants={(kind, object_id): frozenset(roles)})


@pytest.mark.parametrize(
    ("who", "verb", "allowed"),
    [
        (Principal(id=1, username="u"), "read", False),
        (Principal(id=1, username="u", superuser=True), "delete", True),
        (Principal(id=1, username="u", auditor=True), "read", True),
        (Principal(id=1, username="u", auditor=True), "edit", False),
        (holding("project", 5, "read"), "read", True),
        (holding("project", 5, "read"), "edit", False),
        (holding("project", 5, "use"), "use", True),
        (holding("project", 5, "use"), "start", False),
        (holding("project", 5, "update"), "start", True),
        (holding("project", 5, "admin"), "start", True),
        (holding("project", 6, "admin"), "read", False),
        (holding("organization", 2, "admin"), "delete", True),
        (holding("organization", 2, "project_admin"), "edit", True),
        (holding("organization", 2, "inventory_admin"), "read", False),
        (holding("organization", 2, "auditor"), "read", True),
        (holding("organization", 2, "auditor"), "use", False),
        (holding("organization", 2, "member"), "read", False),
    ],
)
def test_project_rights(who: Principal, verb: str, *, allowed: bool) -> None:
    """A project's rights come from its own roles and from its organization's."""
    assert access.may(who, verb, "project", PROJECT) is allowed


@pytest.mark.parametrize(
    ("who", "verb", "allowed"),
    [
        (holding("job_template", 7, "execute"), "start", True),
        (holding("job_template", 7, "execute"), "edit", False),
        (holding("organization", 2, "execute"), "start", True),
        (holding("organization", 3, "execute"), "start", False),
        (holding("organization", 3, "auditor"), "read", True),
    ],
)
def test_job_template_rights(who: Principal, verb: str, *, allowed: bool) -> None:
    """A template may be run by who executes it or its organization, and read by either auditor."""
    assert access.may(who, verb, "job_template", TEMPLATE) is allowed


def test_a_host_has_the_rights_of_its_inventory() -> None:
    """Hosts have no roles: the inventory's decide."""
    assert access.may(holding("inventory", 4, "admin"), "edit", "host", HOST)
    assert not access.may(holding("inventory", 4, "use"), "edit", "host", HOST)
    assert access.may(holding("inventory", 4, "adhoc"), "read", "host", HOST)


def test_a_read_token_allows_nothing_but_reading() -> None:
    """The scope of a token narrows even a superuser."""
    who = Principal(id=1, username="u", superuser=True, read_only=True)
    assert access.may(who, "read", "project", PROJECT)
    assert not access.may(who, "edit", "project", PROJECT)
    assert not access.may_create(who, "project")


def test_managed_objects_are_nobodys_to_change() -> None:
    """What belongs to the system is not changed by a superuser either."""
    managed = Facts(ids={(): 1}, managed=True)
    who = Principal(id=1, username="u", superuser=True)
    assert not access.may(who, "edit", "credential_type", managed)
    assert access.may(who, "read", "credential_type", managed)


def test_users_edit_themselves_and_cannot_delete_themselves() -> None:
    """Everybody may change the own account; nobody may delete it, a superuser included."""
    me = Facts(ids={(): 1}, superuser=True)
    assert access.may(Principal(id=1, username="u"), "edit", "user", me)
    assert not access.may(Principal(id=1, username="u", superuser=True), "delete", "user", me)


def test_an_organization_admin_manages_only_own_members() -> None:
    """A user in an organization that the admin does not administer is out of reach."""
    admin = holding("organization", 2, "admin")
    assert access.may(admin, "edit", "user", Facts(ids={(): 8}, organizations=frozenset({2})))
    assert not access.may(
        admin, "edit", "user", Facts(ids={(): 8}, organizations=frozenset({2, 3}))
    )
    assert not access.may(admin, "edit", "user", Facts(ids={(): 8}))
    assert not access.may(
        admin,
        "edit",
        "user",
        Facts(ids={(): 8}, organizations=frozenset({2}), superuser=True),
    )


def test_unknown_verbs_are_refused() -> None:
    """What no rule names is denied to everybody but superusers."""
    assert not access.may(holding("project", 5, "admin"), "fly", "project", PROJECT)
    assert access.holders("nothing", "read") == ()


@pytest.mark.parametrize("kind", sorted(RESOURCES))
def test_every_declared_kind_has_a_rule_for_reading(kind: str) -> None:
    """A kind that nobody but superusers could read was forgotten in the rules."""
    assert access.holders(kind, "read") or kind in (
        *access.READABLE_BY_ALL,
        "user",
        "system_job_template",
    )


def test_roles_in_rules_are_declared() -> None:
    """The role graph names exactly the roles that the declarations have."""
    graphs = {kind: set(graph) for kind, graph in access.PARENTS.items() if kind in RESOURCES}
    assert graphs == {
        kind: set(resource.roles) for kind, resource in RESOURCES.items() if resource.roles
    }
