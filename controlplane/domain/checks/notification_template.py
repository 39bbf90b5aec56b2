"""Rules of notification templates: a configuration by its type, messages over known fields.

``api.md`` 3.32 and 4.10; the texts are AWX's, all of a configuration under ``__all__``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from controlplane.domain.checks.draft import Draft
from controlplane.domain.facts import Facts, Unsealed
from controlplane.domain.field_values import ENCRYPTED
from controlplane.domain.notification_messages import problems
from schemas.notification_types import (
    NO_MESSAGES,
    NOTIFICATION_TYPES,
    ConfigurationField,
    NotificationType,
)

_TYPES: dict[str, type] = {
    "string": str,
    "password": str,
    "int": int,
    "bool": bool,
    "list": list,
    "object": dict,
}
METHODS = ("post", "put")


def check(draft: Draft, facts: Facts) -> None:
    """Check configuration and messages; mark the secrets that must be sealed."""
    del facts
    kind = NOTIFICATION_TYPES[draft.values["notification_type"]]
    given = draft.given & {"notification_configuration", "notification_type"}
    if given or draft.creating:
        _configuration(draft, kind)
    if "messages" in draft.given:
        for problem in problems(draft.values["messages"]):
            draft.error("messages", problem)
        draft.values["messages"] = NO_MESSAGES | draft.values["messages"]


def _configuration(draft: Draft, kind: NotificationType) -> None:
    config = dict(draft.values["notification_configuration"])
    stored = {} if draft.before is None else draft.before["notification_configuration"]
    if draft.changed("notification_type") and not draft.creating:
        stored = {}
    missing: list[str] = []
    errors: list[str] = []
    for field in kind.fields:
        if field.name not in config and field.default is not UNSET:
            config[field.name] = field.default
        elif field.name not in config:
            missing.append(field.name)
        elif problem := _problem(field, config[field.name]):
            errors.append(problem)
        else:
            config[field.name] = _stored(field, config[field.name], stored)
    if missing:
        errors.insert(0, f"Missing required fields for Notification Configuration: {missing}.")
    method = config.get("http_method", METHODS[0])
    if isinstance(method, str) and method.lower() not in METHODS:
        errors.append("HTTP method must be either 'POST' or 'PUT'.")
    for error in errors:
        draft.error("__all__", error)
    draft.values["notification_configuration"] = config


def _problem(field: ConfigurationField, value: Any) -> str:
    """Return why a value does not fit; a bool is no int here, as in AWX."""
    if type(value) is not _TYPES[field.type]:
        return f"Configuration field '{field.name}' incorrect type, expected {field.type}."
    if field.type == "list" and not value:
        return f"No values specified for field '{field.name}'"
    return ""


def _stored(field: ConfigurationField, value: Any, before: Mapping[str, Any]) -> Any:
    if field.type != "password" or value == "":
        return value
    if value == ENCRYPTED:
        return before.get(field.name, "")
    return Unsealed(value)
