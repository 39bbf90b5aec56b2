"""Who may do what: the one set of rules behind every route, list, websocket group and NATS grant.

Pure. Roles are those of AWX (``api.md`` 4.12). A role is held by a grant on the object or on a
resource above it, to the user or to a team of the user: ``holders`` follows the role graph to every
grant that suffices, ``may`` asks whether a principal has one, and list queries turn the same grants
into a condition. A custom role definition grants its permissions: each is a role of its own that
includes nothing (``PERMITS``). Whatever is not granted is denied.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from controlplane.domain.permits import PERMITS, permitting
from controlplane.domain.workflow_rights import (
    WORKFLOW_DELEGATES,
    WORKFLOW_OWNER_FIELDS,
    WORKFLOW_REF_NEEDS,
)
from schemas.resource import RESOURCES, members
from schemas.role_definitions import EXECUTE_OWN

Grants = Mapping[tuple[str, int], frozenset[str]]
"""Object (kind, id) to the roles granted on it, to oneself or to a team one is in."""


class Principal(Struct, frozen=True, kw_only=True):
    """An authenticated user and the grants that the answer to a request depends on."""

    id: int
    username: str
    superuser: bool = False
    auditor: bool = False
    grants: Grants = {}
    read_only: bool = False
    """True for a token of scope ``read``: nothing but reading is allowed."""
    sees_users: bool = True
    """An organization's admin sees all users (ORG_ADMINS_CAN_SEE_ALL_USERS)."""
    manages_users: bool = True
    """An organization's admin makes and changes users and teams (MANAGE_ORGANIZATION_AUTH)."""

    def holds(self, kind: str, object_id: int, roles: Iterable[str]) -> bool:
        """Return whether one of the roles is granted directly on the object."""
        return not self.grants.get((kind, object_id), frozenset()).isdisjoint(roles)

    def where(self, kind: str, role: str) -> frozenset[int]:
        """Return the objects of a kind on which a role is granted directly."""
        return frozenset(
            number for (of, number), held in self.grants.items() if of == kind and role in held
        )

    def on_any(self, kind: str, roles: Iterable[str]) -> bool:
        """Return whether one of the roles is granted directly on any object of the kind."""
        wanted = frozenset(roles)
        return any(
            of == kind and not held.isdisjoint(wanted) for (of, _), held in self.grants.items()
        )


class Source(Struct, frozen=True, kw_only=True):
    """A grant that suffices: ``role`` on the ``kind`` that ``path`` (fields) leads to."""

    path: tuple[str, ...]
    kind: str
    role: str
    creator: tuple[str, ...] = ()
    """Path to a user: the grant suffices for nobody else. Empty for whoever holds it."""


class Facts(Struct, frozen=True, kw_only=True):
    """What the rules need to know of one object."""

    ids: Mapping[tuple[str, ...], int | None]
    """Path to the id found there; the empty path is the object itself."""
    organizations: frozenset[int] = frozenset()
    """Of a user: the organizations it is a member of."""
    superuser: bool = False
    """Of a user: it is a superuser or system auditor."""
    managed: bool = False
    """The object belongs to the system."""


_ORGANIZATION_ADMINS = (
    "execute",
    "project_admin",
    "inventory_admin",
    "credential_admin",
    "workflow_admin",
    "notification_admin",
    "job_template_admin",
    "execution_environment_admin",
    "member",
    "approval",
)

PARENTS: dict[str, dict[str, tuple[str, ...]]] = {
    "organization": {
        "admin": (),
        "auditor": (),
        **dict.fromkeys(_ORGANIZATION_ADMINS, ("admin",)),
        "read": ("admin", "auditor", *_ORGANIZATION_ADMINS),
    },
    "team": {
        "admin": ("organization.admin",),
        "member": ("admin",),
        "read": ("member", "organization.auditor"),
    },
    "project": {
        "admin": ("organization.project_admin",),
        "use": ("admin",),
        "update": ("admin",),
        "read": ("use", "update", "organization.auditor"),
    },
    "inventory": {
        "admin": ("organization.inventory_admin",),
        "update": ("admin",),
        "adhoc": ("admin",),
        "use": ("adhoc",),
        "read": ("use", "update", "organization.auditor"),
    },
    "job_template": {
        "admin": ("organization.job_template_admin",),
        "execute": ("admin", "organization.execute"),
        "read": ("execute", "organization.auditor", "inventory.organization.auditor"),
    },
    "workflow_job_template": {
        "admin": ("organization.workflow_admin",),
        "execute": ("admin", "organization.execute"),
        "approval": ("admin", "organization.approval"),
        "read": ("execute", "approval", "organization.auditor"),
    },
    "credential": {
        "admin": ("organization.credential_admin",),
        "use": ("admin",),
        "read": ("use", "organization.auditor"),
    },
    "instance_group": {"admin": (), "use": ("admin",), "read": ("use",)},
}
"""Role to the roles that include it: of the same object, or of the one a dotted path leads to."""

NEEDS: dict[str, dict[str, str]] = {
    "organization": {
        "edit": "admin",
        "delete": "admin",
        "add_project": "project_admin",
        "add_inventory": "inventory_admin",
        "add_credential": "credential_admin",
        "add_job_template": "job_template_admin",
        "add_workflow_job_template": "workflow_admin",
        "add_team": "admin",
        "add_execution_environment": "execution_environment_admin",
        "add_label": "member",
        "add_application": "admin",
        "see_applications": "member",
        "add_notification_template": "notification_admin",
        "audit": "auditor",
        "run_jobs": "execute",
        "grant": "admin",
    },
    "team": {"edit": "admin", "delete": "admin", "grant": "admin"},
    "project": {
        "edit": "admin",
        "delete": "admin",
        "start": "update",
        "schedule": "update",
        "use": "use",
        "copy": "admin",
        "grant": "admin",
    },
    "inventory": {
        "edit": "admin",
        "delete": "admin",
        "adhoc": "adhoc",
        "update": "update",
        "use": "use",
        "copy": "admin",
        "grant": "admin",
    },
    "job_template": {
        "edit": "admin",
        "delete": "admin",
        "start": "execute",
        "schedule": "execute",
        "copy": "admin",
        "see_jobs": "read",
        "grant": "admin",
    },
    "workflow_job_template": {
        "edit": "admin",
        "delete": "admin",
        "start": "execute",
        "schedule": "execute",
        "approve": "approval",
        "copy": "admin",
        "see_jobs": "read",
        "grant": "admin",
    },
    "credential": {
        "edit": "admin",
        "delete": "admin",
        "use": "use",
        "copy": "admin",
        "grant": "admin",
    },
    "instance_group": {"edit": "admin", "delete": "", "use": "use", "grant": "admin"},
}
"""Verb to the role it needs (``read`` always needs ``read``); "" leaves it to superusers.

``grant``: give and take the roles of the object.
"""

ALSO: dict[str, dict[str, str]] = {
    "job_template": {"read": EXECUTE_OWN, "start": EXECUTE_OWN},
    "execution_environment": dict.fromkeys(("read", "edit", "delete", "copy", "grant"), "admin"),
    "notification_template": dict.fromkeys(
        ("read", "edit", "delete", "copy", "use", "grant"), "admin"
    ),
}
"""Verb to a role that suffices as well; only a role definition grants these (``roles.DEFINED``)."""

DELEGATES: dict[str, dict[str, tuple[tuple[str, str, str], ...]]] = {
    "host": {
        "read": (("inventory", "inventory", "read"),),
        "edit": (("inventory", "inventory", "edit"),),
        "delete": (("inventory", "inventory", "edit"),),
    },
    "group": {
        "read": (("inventory", "inventory", "read"),),
        "edit": (("inventory", "inventory", "edit"),),
        "delete": (("inventory", "inventory", "edit"),),
        "copy": (("inventory", "inventory", "edit"),),
    },
    "label": {
        "read": (("organization", "organization", "read"),),
        "use": (("organization", "organization", "read"),),
        "edit": (("organization", "organization", "edit"),),
    },
    "execution_environment": {
        "read": (("organization", "organization", "read"),),
        "edit": (("organization", "organization", "add_execution_environment"),),
        "delete": (("organization", "organization", "add_execution_environment"),),
        "copy": (("organization", "organization", "add_execution_environment"),),
    },
    "application": {
        "read": (("organization", "organization", "see_applications"),),
        "edit": (("organization", "organization", "add_application"),),
        "delete": (("organization", "organization", "add_application"),),
        "see_tokens": (
            ("organization", "organization", "add_application"),
            ("organization", "organization", "audit"),
        ),
    },
    "notification_template": {
        "read": (
            ("organization", "organization", "add_notification_template"),
            ("organization", "organization", "audit"),
        ),
        **dict.fromkeys(
            ("edit", "delete", "copy", "use"),
            (("organization", "organization", "add_notification_template"),),
        ),
    },
    "notification": {"read": (("notification_template", "notification_template", "read"),)},
    "inventory_source": {
        "read": (("inventory", "inventory", "read"),),
        **dict.fromkeys(("edit", "delete"), (("inventory", "inventory", "edit"),)),
        **dict.fromkeys(("start", "schedule"), (("inventory", "inventory", "update"),)),
    },
    "inventory_update": {
        "read": (("inventory", "inventory", "read"),),
        **dict.fromkeys(("start", "cancel"), (("inventory", "inventory", "update"),)),
        "delete": (("organization", "organization", "edit"),),
    },
    "ad_hoc_command": {
        "read": (("inventory", "inventory", "read"),),
        **dict.fromkeys(("start", "cancel"), (("inventory", "inventory", "adhoc"),)),
        "delete": (("organization", "organization", "edit"),),
    },
    "ad_hoc_command_event": {"read": (("ad_hoc_command", "ad_hoc_command", "read"),)},
    "credential_input_source": {
        "read": (("target_credential", "credential", "read"),),
        "edit": (("target_credential", "credential", "edit"),),
        "delete": (("target_credential", "credential", "edit"),),
    },
    "instance": {"read": ()},
    **WORKFLOW_DELEGATES,
    "job": {
        "read": (
            ("job_template", "job_template", "see_jobs"),
            ("organization", "organization", "edit"),
            ("organization", "organization", "audit"),
        ),
        "start": (
            ("job_template", "job_template", "start"),
            ("organization", "organization", "run_jobs"),
        ),
        "cancel": (
            ("job_template", "job_template", "edit"),
            ("organization", "organization", "edit"),
        ),
        "delete": (("organization", "organization", "edit"),),
    },
    "project_update": {
        "read": (("project", "project", "read"),),
        "start": (("project", "project", "start"),),
        "cancel": (("project", "project", "start"),),
        "delete": (("organization", "organization", "edit"),),
    },
    "unified_job": {
        "read": (
            ("job_template", "job_template", "see_jobs"),
            ("updated_project", "project", "read"),
            ("workflow_job_template", "workflow_job_template", "read"),
            ("changed_inventory", "inventory", "read"),
            ("organization", "organization", "edit"),
            ("organization", "organization", "audit"),
        ),
    },
    "job_event": {"read": (("job", "job", "read"),)},
    "job_host_summary": {"read": (("job", "job", "read"),)},
    "host_change": {
        "read": (("job", "job", "read"), ("ad_hoc_command", "ad_hoc_command", "read")),
    },
}
"""For kinds without own roles: verb to (field, kind there, verb needed there); one suffices."""

_OWN_JOBS = Source(
    path=("job_template",), kind="job_template", role=EXECUTE_OWN, creator=("created_by",)
)
OWN: dict[str, dict[str, tuple[Source, ...]]] = {
    "job": {"read": (_OWN_JOBS,)},
    "unified_job": {"read": (_OWN_JOBS,)},
}
"""Verb to grants that suffice for what one has started oneself."""

CREATORS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("job", "workflow_job"), frozenset({"cancel"})),
    "schedule": frozenset({"edit", "delete"}),
}
"""Kind to what its creator may do as long as he may read it."""

OPEN_WITHOUT = {"execution_environment": "organization"}
"""Kinds whose objects everybody may read when this field is empty."""

READABLE_BY_ALL = frozenset({"credential_type", "role_definition"})
"""Kinds that every user may read."""

REF_NEEDS: dict[tuple[str, str], str] = {
    ("project", "organization"): "add_project",
    ("inventory", "organization"): "add_inventory",
    ("credential", "organization"): "add_credential",
    ("credential", "user"): "edit",
    ("credential", "team"): "edit",
    ("team", "organization"): "add_team",
    ("execution_environment", "organization"): "add_execution_environment",
    ("label", "organization"): "add_label",
    ("application", "organization"): "add_application",
    ("notification_template", "organization"): "add_notification_template",
    ("host", "inventory"): "edit",
    ("group", "inventory"): "edit",
    ("job_template", "organization"): "read",
    ("inventory_source", "inventory"): "edit",
    ("credential_input_source", "target_credential"): "edit",
    **WORKFLOW_REF_NEEDS,
}
"""(kind, field) to the verb needed on what it is set to; else ``use`` if a role, else ``read``."""

OWNER_FIELDS: dict[str, tuple[str, ...]] = {
    "project": ("organization",),
    "inventory": ("organization",),
    "credential": ("organization", "user", "team"),
    "team": ("organization",),
    "label": ("organization",),
    "application": ("organization",),
    "notification_template": ("organization",),
    "execution_environment": ("organization",),
    "host": ("inventory",),
    "group": ("inventory",),
    "job_template": ("project",),
    "inventory_source": ("inventory",),
    "credential_input_source": ("target_credential",),
    **WORKFLOW_OWNER_FIELDS,
}
"""Fields of which one must be given to create without being a superuser; no field: nobody else."""


_OF_USERS = {"team": ("edit", "delete", "grant"), "organization": ("grant",)}
"""Kind to the verbs by which an organization's admin manages its users."""
ADOPTING = frozenset({"admin", "member"})
"""Roles of an organization whose holders its admins may change."""


@functools.cache
def role_holders(kind: str, role: str) -> tuple[Source, ...]:
    """Return every grant that includes a role of a kind, the role itself first."""
    found = [Source(path=(), kind=kind, role=role)]
    for parent in PARENTS.get(kind, {}).get(role, ()):
        *path, above = parent.split(".")
        there = kind_at(kind, tuple(path))
        for source in role_holders(there, above):
            joined = Source(path=(*path, *source.path), kind=source.kind, role=source.role)
            if joined not in found:
                found.append(joined)
    return tuple(found)


@functools.cache
def holders(kind: str, verb: str) -> tuple[Source, ...]:
    """Return every grant that allows a verb on objects of a kind; empty when none does."""
    found = [
        Source(
            path=(field, *source.path),
            kind=source.kind,
            role=source.role,
            creator=(field, *source.creator) if source.creator else (),
        )
        for field, there, needed in DELEGATES.get(kind, {}).get(verb, ())
        for source in holders(there, needed)
    ]
    found += OWN.get(kind, {}).get(verb, ())
    if verb in ALSO.get(kind, {}):
        found.append(Source(path=(), kind=kind, role=ALSO[kind][verb]))
    if members(kind) != (kind,):
        found += [
            Source(path=(each, *source.path), kind=source.kind, role=source.role)
            for each in members(kind)
            for source in holders(each, verb)
        ]
    role = "read" if verb == "read" else NEEDS.get(kind, {}).get(verb, "")
    if role in PARENTS.get(kind, {}):
        found += role_holders(kind, role)
    found += [Source(path=path, kind=of, role=name) for path, of, name in permitting(kind, verb)]
    return tuple(found)


@functools.cache
def verbs(kind: str) -> tuple[str, ...]:
    """Return every verb that some grant allows on objects of a kind."""
    named = [*NEEDS.get(kind, {}), *DELEGATES.get(kind, {}), *ALSO.get(kind, {})]
    if members(kind) != (kind,):
        named += [verb for each in members(kind) for verb in verbs(each)]
    return tuple(sorted({"read", *named, *PERMITS.get(kind, {})}))


@functools.cache
def paths(kind: str) -> tuple[tuple[str, ...], ...]:
    """Return the paths whose ids ``Facts`` must hold to decide any verb, in a fixed order."""
    sources = [source for verb in verbs(kind) for source in holders(kind, verb)]
    found = {source.path for source in sources} | {source.creator for source in sources}
    if kind in CREATORS:
        found.add(("created_by",))
    if kind in OPEN_WITHOUT:
        found.add((OPEN_WITHOUT[kind],))
    return tuple(sorted(found - {()}))


def may(who: Principal, verb: str, kind: str, facts: Facts) -> bool:
    """Decide whether somebody may do something to an object; what is unknown is refused."""
    if who.read_only and verb != "read":
        return False
    if verb in ("edit", "delete") and facts.managed:
        return False
    if kind == "user":
        return _may_user(who, verb, facts)
    if who.superuser or (verb == "read" and (who.auditor or _open(kind, facts))):
        return True
    if kind == "team" and verb == "read" and may_list_all(who, kind):
        return True
    if verb in _OF_USERS.get(kind, ()) and not who.manages_users:
        return False
    if verb in CREATORS.get(kind, ()) and facts.ids.get(("created_by",)) == who.id:
        return True
    return any(
        who.holds(source.kind, found, (source.role,))
        for source in holders(kind, verb)
        if (found := facts.ids.get(source.path)) is not None
        and (not source.creator or facts.ids.get(source.creator) == who.id)
    )


def may_list_all(who: Principal, kind: str) -> bool:
    """Return whether a list of the kind shows everything, whatever roles are held."""
    if who.superuser or who.auditor or kind in READABLE_BY_ALL:
        return True
    if kind not in ("user", "team") or not who.sees_users:
        return False
    return who.on_any("organization", ("admin", "auditor"))


def may_create(who: Principal, kind: str) -> bool:
    """Decide whether somebody may create objects of a kind at all, before a body is known."""
    if who.read_only:
        return False
    if who.superuser:
        return True
    if kind in ("user", "team") and not who.manages_users:
        return False
    if kind == "user":
        return who.on_any("organization", ("admin",))
    if kind == "credential":
        return True
    fields = OWNER_FIELDS.get(kind, ())
    return any(_holds_anywhere(who, kind, field) for field in fields)


def ref_verb(kind: str, field: str, target: str) -> str:
    """Return the verb needed on an object of kind ``target`` to set a field of ``kind`` to it."""
    named = REF_NEEDS.get((kind, field))
    if named is not None:
        return named
    declared = RESOURCES.get(target)
    return "use" if declared is not None and "use" in declared.roles else "read"


def capabilities(
    who: Principal, kind: str, facts: Facts, keys: Iterable[str], row: Mapping[str, Any]
) -> dict[str, bool]:
    """Return AWX's ``user_capabilities`` of one object, whose fields stand in ``row``."""
    cannot = _unable(kind, row)
    return {key: key not in cannot and may(who, key, kind, facts) for key in keys}


def _unable(kind: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what nobody can do with an object as it is: run what lacks its project, say."""
    if kind == "job_template":
        given = row.get("inventory") is not None or row.get("ask_inventory_on_launch")
        return () if given and row.get("project") is not None else ("start", "schedule", "copy")
    if kind == "project" and not row.get("scm_type"):
        return ("start", "schedule")
    return ()


def _may_user(who: Principal, verb: str, facts: Facts) -> bool:
    myself = facts.ids.get(()) == who.id
    administered = {
        number
        for (kind, number), roles in who.grants.items()
        if kind == "organization" and "admin" in roles
    }
    if verb == "read":
        return (
            myself
            or facts.superuser
            or may_list_all(who, "user")
            or any(("organization", each) in who.grants for each in facts.organizations)
        )
    if verb == "delete" and myself:
        return False
    if who.superuser or (myself and verb == "edit"):
        return True
    if facts.superuser or verb not in ("edit", "delete", "adopt") or not who.manages_users:
        return False
    orphan_too = verb == "adopt" and bool(administered)
    return (orphan_too or bool(facts.organizations)) and facts.organizations <= administered


def attach_verb(kind: str, relation: str, target: str, role: str = "") -> str:
    """Return the verb needed on an object to put it into a list of another.

    Members and admins of an organization can be changed by its admins, so these may only take in
    whom they may change anyway, or who is in no organization yet: ``adopt``.
    """
    if kind == "organization" and role in ADOPTING:
        return "adopt"
    return ref_verb(kind, relation, target)


def _holds_anywhere(who: Principal, kind: str, field: str) -> bool:
    declared = RESOURCES[kind].fields[field].ref
    if declared is None:
        return False
    verb = ref_verb(kind, field, declared.kind)
    return any(who.on_any(source.kind, (source.role,)) for source in holders(declared.kind, verb))


def _open(kind: str, facts: Facts) -> bool:
    if kind in OPEN_WITHOUT:
        return facts.ids.get((OPEN_WITHOUT[kind],), 0) is None
    return kind in READABLE_BY_ALL


def kind_at(kind: str, path: tuple[str, ...]) -> str:
    """Return the kind that a path of references leads to; raises ValueError."""
    for field in path:
        ref = RESOURCES[kind].fields[field].ref
        if ref is None:
            message = f"{kind}.{field} refers to nothing"
            raise ValueError(message)
        kind = ref.kind
    return kind
