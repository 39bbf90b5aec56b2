"""Rules of custom role definitions (``api.md`` 3.5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controlplane.domain import field_values
from controlplane.domain.checks.draft import Draft
from controlplane.domain.errors import Refused
from controlplane.domain.facts import Facts, Row
from schemas import permissions
from schemas.permissions import MODELS, Model

MANAGED = ["Role is managed by the system"]
_KINDS = {model.content_type: kind for kind, model in MODELS.items()}


def check(draft: Draft, _facts: Facts) -> None:
    """Check that the permissions are some of the content type's, and make sense together."""
    if draft.before is not None:
        if draft.before["managed"]:
            raise Refused(MANAGED)
        draft.values["content_type"] = draft.before["content_type"]
    given: list[Any] = draft.values["permissions"]
    unknown = {str(index): [_unknown(each)] for index, each in enumerate(given) if not _known(each)}
    if unknown:
        draft.errors["permissions"] = unknown
        return
    draft.values["permissions"] = list(dict.fromkeys(given))
    if draft.values["content_type"] is None:
        draft.error("content_type", "System-wide roles are not enabled")
        return
    _check_together(draft, MODELS[_KINDS[draft.values["content_type"]]])


def delete(_object_id: int, row: Row, _facts: Facts) -> Iterable[str]:
    """Refuse to delete what belongs to the system."""
    if row["managed"]:
        raise Refused(MANAGED)
    return ()


def _known(given: Any) -> bool:
    return isinstance(given, str) and given in permissions.ALL


def _unknown(given: Any) -> str:
    if isinstance(given, str):
        return field_values.missing_pk(given)
    return f"Incorrect type. Expected pk value, received {type(given).__name__}."


def _check_together(draft: Draft, model: Model) -> None:
    given: list[str] = draft.values["permissions"]
    if model.kind == "team":
        draft.error("__all__", "Creating custom roles for teams is disabled")
    elif any(name.endswith("_team") for name in given):
        draft.error("__all__", "Creating custom roles that include team permissions is disabled")
    foreign = [name for name in given if name not in permissions.allowed(model.kind)]
    if foreign:
        names = ", ".join(f'"{name.partition(".")[2]}"' for name in foreign)
        draft.error("permissions", f"Permissions {names} are not valid for {model.name} roles")
    for each in (model, *permissions.children(model.kind)):
        _check_model(draft, each, given)
    if any(_manages_shared(name) for name in given):
        text = "Local custom roles can only include view permission for shared models"
        draft.error("permissions", text)


def _check_model(draft: Draft, model: Model, given: list[str]) -> None:
    """Whoever may do something to an object may see it; whoever may delete it may change it."""
    own = model.permissions(add=False)
    actions = [name.partition(".")[2] for name in given if name in own]
    for needed, by in (("view", actions), ("change", [a for a in actions if a[:7] == "delete_"])):
        if needed in model.actions and by and f"{needed}_{model.name}" not in actions:
            draft.error(
                "permissions",
                f"Permissions for model {model.verbose} needs to include {needed},"
                f" got: {', '.join(actions)}",
            )
            return


def _manages_shared(name: str) -> bool:
    return name.startswith("shared.") and not name.startswith("shared.view_")
