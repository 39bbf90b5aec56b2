"""Object roles: their ids, names and descriptions.

Which role includes which: ``controlplane.domain.access``.

A role's id is computed from what it is about, so that no counter and no event is needed: the
object's id, then the role's number in ``_NUMBERS``. Ids are shown to clients, hence ``_NUMBERS`` is
append-only.
"""

from __future__ import annotations

from typing import NamedTuple

from schemas.resource import RESOURCES
from schemas.role_definitions import EXECUTE_OWN

ROLES_PER_OBJECT = 128
"""Room for role numbers in an id; numbers are 1 .. 127."""

SYSTEM = "system"

_NUMBERS: tuple[tuple[str, str], ...] = (
    (SYSTEM, "system_administrator"),
    (SYSTEM, "system_auditor"),
    ("organization", "admin"),
    ("organization", "execute"),
    ("organization", "project_admin"),
    ("organization", "inventory_admin"),
    ("organization", "credential_admin"),
    ("organization", "workflow_admin"),
    ("organization", "notification_admin"),
    ("organization", "job_template_admin"),
    ("organization", "execution_environment_admin"),
    ("organization", "auditor"),
    ("organization", "member"),
    ("organization", "read"),
    ("organization", "approval"),
    ("team", "admin"),
    ("team", "member"),
    ("team", "read"),
    ("project", "admin"),
    ("project", "use"),
    ("project", "update"),
    ("project", "read"),
    ("inventory", "admin"),
    ("inventory", "update"),
    ("inventory", "adhoc"),
    ("inventory", "use"),
    ("inventory", "read"),
    ("job_template", "admin"),
    ("job_template", "execute"),
    ("job_template", "read"),
    ("credential", "admin"),
    ("credential", "use"),
    ("credential", "read"),
    ("instance_group", "admin"),
    ("instance_group", "use"),
    ("instance_group", "read"),
    ("workflow_job_template", "admin"),
    ("workflow_job_template", "execute"),
    ("workflow_job_template", "approval"),
    ("workflow_job_template", "read"),
)
_NUMBER_OF = {pair: number for number, pair in enumerate(_NUMBERS, start=1)}

DEFINED = {
    "job_template": (EXECUTE_OWN,),
    "execution_environment": ("admin",),
    "notification_template": ("admin",),
}
"""Roles that only a role definition grants: they are no object roles and have no ids."""

NAMES = {
    "system_administrator": "System Administrator",
    "system_auditor": "System Auditor",
    "adhoc": "Ad Hoc",
    "admin": "Admin",
    "project_admin": "Project Admin",
    "inventory_admin": "Inventory Admin",
    "credential_admin": "Credential Admin",
    "job_template_admin": "Job Template Admin",
    "execution_environment_admin": "Execution Environment Admin",
    "workflow_admin": "Workflow Admin",
    "notification_admin": "Notification Admin",
    "auditor": "Auditor",
    "execute": "Execute",
    "member": "Member",
    "read": "Read",
    "update": "Update",
    "use": "Use",
    "approval": "Approve",
}
"""Role to the name AWX shows."""

_DESCRIPTIONS = {
    "system_administrator": "Can manage all aspects of the system",
    "system_auditor": "Can view all aspects of the system",
    "adhoc": "May run ad hoc commands on the {}",
    "admin": "Can manage all aspects of the {}",
    "project_admin": "Can manage all projects of the {}",
    "inventory_admin": "Can manage all inventories of the {}",
    "credential_admin": "Can manage all credentials of the {}",
    "job_template_admin": "Can manage all job templates of the {}",
    "execution_environment_admin": "Can manage all execution environments of the {}",
    "workflow_admin": "Can manage all workflows of the {}",
    "notification_admin": "Can manage all notifications of the {}",
    "auditor": "Can view all aspects of the {}",
    "execute": "May run the {}",
    "member": "User is a member of the {}",
    "read": "May view settings for the {}",
    "update": "May update the {}",
    "use": "Can use the {} in a job template",
    "approval": "Can approve or deny a workflow approval node",
}
_EXECUTE_ALL = "May run any executable resources in the organization"


class ObjectRole(NamedTuple):
    """One role on one object; the two system roles have kind ``system`` and object 0."""

    kind: str
    object_id: int
    role: str


def role_id(kind: str, object_id: int, role: str) -> int:
    """Return the id of an object role; raises KeyError for a role the kind does not have."""
    return object_id * ROLES_PER_OBJECT + _NUMBER_OF[kind, role]


def role_of(number: int) -> ObjectRole:
    """Return the object role of an id; raises KeyError for a number that is no role's id."""
    object_id, code = divmod(number, ROLES_PER_OBJECT)
    if not 1 <= code <= len(_NUMBERS):
        raise KeyError(number)
    kind, role = _NUMBERS[code - 1]
    if object_id < 0 or (kind == SYSTEM) != (object_id == 0):
        raise KeyError(number)
    return ObjectRole(kind, object_id, role)


def administered(kind: str) -> bool:
    """Return whether objects of a kind have an administrator, as which their creator starts."""
    declared = RESOURCES[kind].roles if kind in RESOURCES else ()
    return "admin" in (*declared, *DEFINED.get(kind, ()))


def field_name(role: str) -> str:
    """Return AWX's ``role_field`` of a role: ``admin_role``; the system roles are their own."""
    return role if role.startswith("system_") else f"{role}_role"


def description(kind: str, role: str) -> str:
    """Return the sentence AWX shows for a role of a kind."""
    if (kind, role) == ("organization", "execute"):
        return _EXECUTE_ALL
    verbose = RESOURCES[kind].verbose.lower() if kind in RESOURCES else kind
    return _DESCRIPTIONS[role].format(verbose)
