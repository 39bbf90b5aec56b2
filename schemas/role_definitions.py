"""The role definitions that belong to the system, and the object role each of them stands for.

Ids are positions in ``MANAGED``, hence it is append-only. AWX's thirty-seven come first, in its
order. A definition and a legacy object role (``schemas.roles``) are two names of one thing.
"""

from __future__ import annotations

from msgspec import Struct

from schemas.permissions import MODELS, Model, children, permission

EXECUTE_OWN = "execute_own"
"""Role on a job template: launch it, and see of its jobs the ones launched oneself."""
AUDITOR = "Controller System Auditor"


class Definition(Struct, frozen=True, kw_only=True):
    """A managed role definition."""

    name: str
    description: str
    kind: str
    """Kind of the objects it is granted on; empty for the whole system."""
    role: str
    """Object role that it stands for."""
    permissions: tuple[str, ...]


def _title(model: Model) -> str:
    return "".join(word.title() for word in model.kind.split("_"))


def _admin(kind: str) -> Definition:
    model = MODELS[kind]
    return Definition(
        name=f"{_title(model)} Admin",
        description=f"Has all permissions to a single {model.verbose}",
        kind=kind,
        role="admin",
        permissions=model.permissions(add=False),
    )


def _organization_admin(kind: str, role: str) -> Definition:
    model = MODELS[kind]
    return Definition(
        name=f"Organization {_title(model)} Admin",
        description=f"Has all permissions to {model.plural} within an organization",
        kind="organization",
        role=role,
        permissions=(*model.permissions(add=True), permission("view", "organization")),
    )


def _special(kind: str, action: str, role: str, *more: str) -> Definition:
    model = MODELS[kind]
    actions = (action, *more, "view")
    return Definition(
        name=f"{_title(model)} {action.title()}",
        description=f"Has {action} permissions to a single {model.verbose}",
        kind=kind,
        role=role,
        permissions=tuple(permission(each, kind) for each in actions),
    )


def _controller(of: Definition) -> Definition:
    return Definition(
        name=f"Controller {of.name}",
        description=of.description,
        kind=of.kind,
        role=of.role,
        permissions=of.permissions,
    )


def _everything() -> Definition:
    own = MODELS["organization"].permissions(add=False)
    below = [name for child in children("organization") for name in child.permissions(add=True)]
    return Definition(
        name="Organization Admin",
        description="Has all permissions to a single organization and all objects inside of it",
        kind="organization",
        role="admin",
        permissions=(*own, *below),
    )


def _views(kinds: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(permission("view", kind) for kind in kinds if "view" in MODELS[kind].actions)


def _audit() -> Definition:
    kinds = ("organization", *(child.kind for child in children("organization")))
    return Definition(
        name="Organization Audit",
        description="Has permission to view all objects inside of a single organization",
        kind="organization",
        role="auditor",
        permissions=(permission("audit", "organization"), *_views(kinds)),
    )


def _organization_wide(name: str, what: str, role: str, *pairs: tuple[str, str]) -> Definition:
    granted = (("view", "organization"), *pairs)
    return Definition(
        name=f"Organization {name}",
        description=f"Has permission to {what}",
        kind="organization",
        role=role,
        permissions=tuple(permission(action, kind) for action, kind in granted),
    )


def _read_only(kind: str) -> Definition:
    title = _title(MODELS[kind])
    return Definition(
        name=f"{title} Read Compat",
        description=f"Has Read permission to {title} for backwards API compatibility",
        kind=kind,
        role="read",
        permissions=(permission("view", kind),),
    )


_TEAM_ADMIN = _admin("team")
_TEAM_MEMBER = _special("team", "member", "member")
_MEMBER = _special("organization", "member", "member")
_ORGANIZATION_ADMIN = _everything()

MANAGED: tuple[Definition, ...] = (
    _TEAM_ADMIN,
    _controller(_TEAM_ADMIN),
    _TEAM_MEMBER,
    _controller(_TEAM_MEMBER),
    _admin("inventory"),
    _organization_admin("inventory", "inventory_admin"),
    _special("inventory", "use", "use"),
    _special("inventory", "adhoc", "adhoc", "use"),
    _special("inventory", "update", "update"),
    _admin("notification_template"),
    _organization_admin("notification_template", "notification_admin"),
    _admin("instance_group"),
    _special("instance_group", "use", "use"),
    _MEMBER,
    _controller(_MEMBER),
    _admin("workflow_job_template"),
    _organization_admin("workflow_job_template", "workflow_admin"),
    _special("workflow_job_template", "execute", "execute"),
    _special("workflow_job_template", "approve", "approval"),
    _admin("execution_environment"),
    _organization_admin("execution_environment", "execution_environment_admin"),
    _admin("credential"),
    _organization_admin("credential", "credential_admin"),
    _special("credential", "use", "use"),
    _admin("project"),
    _organization_admin("project", "project_admin"),
    _special("project", "use", "use"),
    _special("project", "update", "update"),
    _admin("job_template"),
    _organization_admin("job_template", "job_template_admin"),
    _special("job_template", "execute", "execute"),
    _ORGANIZATION_ADMIN,
    _controller(_ORGANIZATION_ADMIN),
    _audit(),
    _organization_wide(
        "Execute",
        "execute all runnable objects in the organization",
        "execute",
        ("view", "job_template"),
        ("execute", "job_template"),
        ("view", "workflow_job_template"),
        ("execute", "workflow_job_template"),
    ),
    _organization_wide(
        "Approval",
        "approve any workflow steps within a single organization",
        "approval",
        ("view", "workflow_job_template"),
        ("approve", "workflow_job_template"),
    ),
    Definition(
        name=AUDITOR,
        description="Migrated singleton role giving read permission to everything",
        kind="",
        role="system_auditor",
        permissions=_views(tuple(MODELS)),
    ),
    Definition(
        name="JobTemplate Execute Own",
        description="May run a single job template and see only the jobs they launched themselves",
        kind="job_template",
        role=EXECUTE_OWN,
        permissions=("awx.execute_own_jobtemplate",),
    ),
    *(
        _read_only(kind)
        for kind in (
            "organization",
            "team",
            "project",
            "inventory",
            "job_template",
            "workflow_job_template",
            "credential",
            "instance_group",
        )
    ),
)

AUDITOR_ID = next(i for i, each in enumerate(MANAGED, start=1) if each.name == AUDITOR)

_OF_ROLE: dict[tuple[str, str], int] = {}
for _number, _each in enumerate(MANAGED, start=1):
    _OF_ROLE.setdefault((_each.kind, _each.role), _number)


def definition_of(kind: str, role: str) -> int:
    """Return the id of the definition that an object role is shown as; raises KeyError."""
    return _OF_ROLE[kind, role]


def role_of(definition: int) -> str:
    """Return the object role a definition stands for; empty for a custom one."""
    return MANAGED[definition - 1].role if 1 <= definition <= len(MANAGED) else ""
