"""The permissions that role definitions are made of: ``awx.change_project``, ``shared.view_team``.

A permission is one action on one kind. Which verbs of the access rules it allows stands in
``controlplane.domain.access``.
"""

from __future__ import annotations

from msgspec import Struct

ACTIONS = ("add", "change", "delete", "view")
"""What may be done to a kind unless its entry says otherwise."""


class Model(Struct, frozen=True, kw_only=True):
    """A kind as role definitions know it."""

    kind: str
    verbose: str
    plural: str
    special: tuple[str, ...] = ()
    """Actions of this kind alone."""
    actions: tuple[str, ...] = ACTIONS
    shared: bool = False
    in_organization: bool = True

    @property
    def name(self) -> str:
        """Return the kind in one word: ``jobtemplate``."""
        return self.kind.replace("_", "")

    @property
    def content_type(self) -> str:
        """Return the kind as ``content_type`` shows it: ``awx.jobtemplate``."""
        return f"{'shared' if self.shared else 'awx'}.{self.name}"

    def permissions(self, *, add: bool) -> tuple[str, ...]:
        """Return its permissions, special ones first."""
        actions = (*self.special, *self.actions)
        return tuple(
            f"{'shared' if self.shared else 'awx'}.{action}_{self.name}"
            for action in actions
            if add or action != "add"
        )


_CHANGED_ONLY = ("change", "delete", "view")
MODELS: dict[str, Model] = {
    each.kind: each
    for each in (
        Model(kind="project", verbose="project", plural="projects", special=("update", "use")),
        Model(kind="team", verbose="team", plural="teams", special=("member",), shared=True),
        Model(
            kind="workflow_job_template",
            verbose="workflow job template",
            plural="workflow job templates",
            special=("execute", "approve"),
        ),
        Model(
            kind="job_template",
            verbose="job template",
            plural="job templates",
            special=("execute",),
            actions=_CHANGED_ONLY,
        ),
        Model(
            kind="inventory",
            verbose="inventory",
            plural="inventories",
            special=("use", "adhoc", "update"),
        ),
        Model(
            kind="organization",
            verbose="organization",
            plural="organizations",
            special=("member", "audit"),
            actions=_CHANGED_ONLY,
            shared=True,
            in_organization=False,
        ),
        Model(kind="credential", verbose="credential", plural="credentials", special=("use",)),
        Model(
            kind="notification_template",
            verbose="notification template",
            plural="notification templates",
        ),
        Model(
            kind="execution_environment",
            verbose="execution environment",
            plural="execution environments",
            actions=("add", "change", "delete"),
        ),
        Model(
            kind="instance_group",
            verbose="instance group",
            plural="instance groups",
            special=("use",),
            actions=_CHANGED_ONLY,
            in_organization=False,
        ),
    )
}
"""By kind. Execution environments have no ``view``: who sees the organization sees them."""


def children(kind: str) -> tuple[Model, ...]:
    """Return the kinds on which a role of this kind may carry permissions besides itself."""
    if kind != "organization":
        return ()
    return tuple(model for model in MODELS.values() if model.in_organization)


def allowed(kind: str) -> tuple[str, ...]:
    """Return the permissions a definition for objects of a kind may carry."""
    found = list(MODELS[kind].permissions(add=False))
    for child in children(kind):
        found += child.permissions(add=True)
    return tuple(found)


def metadata() -> dict[str, list[str]]:
    """Return what each content type allows, as ``role_metadata`` shows it."""
    models = sorted(MODELS.values(), key=lambda model: model.name)
    return {model.content_type: list(allowed(model.kind)) for model in models}


def permission(action: str, kind: str) -> str:
    """Return the permission for an action on a kind, which may be one that does not exist."""
    model = MODELS[kind]
    return f"{'shared' if model.shared else 'awx'}.{action}_{model.name}"


ALL = frozenset(name for model in MODELS.values() for name in model.permissions(add=True))
"""Every permission there is."""
