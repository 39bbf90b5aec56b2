"""What the permissions of custom role definitions allow (``schemas.permissions``)."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.permissions import MODELS, children, permission

_COMMON = {"read": "view", "edit": "change", "delete": "delete", "copy": "change"}
_LAUNCHED = {**_COMMON, "start": "execute", "schedule": "execute", "see_jobs": "view"}
PERMITS: dict[str, dict[str, str]] = {
    "organization": {"read": "view", "edit": "change", "delete": "delete", "audit": "audit"},
    "team": {"read": "view", "edit": "change", "delete": "delete"},
    "project": {**_COMMON, "start": "update", "schedule": "update", "use": "use"},
    "inventory": {**_COMMON, "adhoc": "adhoc", "update": "update", "use": "use"},
    "job_template": _LAUNCHED,
    "workflow_job_template": {**_LAUNCHED, "approve": "approve"},
    "credential": {**_COMMON, "use": "use"},
    "notification_template": {**_COMMON, "use": "change"},
    "execution_environment": {"edit": "change", "delete": "delete", "copy": "change"},
    "instance_group": {"read": "view", "edit": "change", "use": "use"},
}
"""Verb to the action that a custom role definition must permit on the object's kind.

``grant`` is no permission: it would let its holder take every other.
"""


def permitting(kind: str, verb: str) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield (path, kind there, permission) of each grant of a permission that suffices.

    It counts on the object, and on its organization for all that is below.
    """
    added = verb.removeprefix("add_")
    if kind == "organization" and added in (child.kind for child in children(kind)):
        yield (), kind, permission("add", added)
    if verb not in PERMITS.get(kind, {}):
        return
    name = permission(PERMITS[kind][verb], kind)
    yield (), kind, name
    if MODELS[kind].in_organization:
        yield ("organization",), "organization", name
