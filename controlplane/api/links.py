"""Paths of objects, and the ``related`` links of declared resources."""

from __future__ import annotations

from typing import Any

from controlplane.shell.read_model import Row
from schemas.resource import RESOURCES, Resource

ROOT = "/api/v2/"

KIND = "@kind."
"""Before a field's name in a row: the kind of what it refers to, where several share ids."""
OTHER_PLURALS = {
    "instance": "instances",
    "token": "tokens",
    "role": "roles",
    "job": "jobs",
    "project_update": "project_updates",
    "inventory_update": "inventory_updates",
    "ad_hoc_command": "ad_hoc_commands",
    "ad_hoc_command_event": "ad_hoc_command_events",
    "job_event": "job_events",
    "job_host_summary": "job_host_summaries",
}
"""Path segments of kinds that are not declared resources."""


SHADOW = "@shadow"
"""In a host's computed values: an update of a constructed inventory made it of another host."""
NOT_OF_SMART = ("groups", "root_groups", "update_inventory_sources", "inventory_sources", "tree")
"""Links that a smart inventory does not have."""


def plural_of(kind: str) -> str:
    """Return the path segment of a kind's list; raises KeyError for an unknown kind."""
    return RESOURCES[kind].plural if kind in RESOURCES else OTHER_PLURALS[kind]


def url_of(kind: str, object_id: int | str) -> str:
    """Return the path of an object."""
    return f"{ROOT}{plural_of(kind)}/{object_id}/"


def related(resource: Resource, row: Row) -> dict[str, Any]:
    """Return the links of one object: references that are set, then its sub-paths."""
    base = url_of(resource.kind, row["id"])
    found: dict[str, Any] = {}
    if resource.authored:
        for name in ("created_by", "modified_by"):
            if row.get(name) is not None:
                found[name] = url_of("user", row[name])
    for each in resource.related:
        found[each.name] = f"{base}{each.name}/"
    for key, path in resource.extra_links.items():
        found[key] = f"{base}{path}/"
    found |= _receivers(resource, row, base)
    for field in resource.fields.values():
        ref = field.ref
        if ref is not None and row.get(field.name) is not None and field.name != "team":
            kind = row.get(f"{KIND}{field.name}", ref.kind)
            if kind in RESOURCES:
                found[ref.summary or field.name] = url_of(kind, row[field.name])
    if resource.kind == "inventory":
        _of_kind(found, row)
    return found | _original(row)


def _original(row: Row) -> dict[str, str]:
    """Return the link of a constructed inventory's host to the one that it stands for."""
    if row.get(SHADOW) and row["instance_id"].isdecimal():
        return {"original_host": url_of("host", row["instance_id"])}
    return {}


def _of_kind(found: dict[str, Any], row: Row) -> None:
    """Give an inventory the links of its kind; the hosts of a smart one have no groups here."""
    if row["kind"] == "smart":
        for name in NOT_OF_SMART:
            found.pop(name, None)
    elif row["kind"] == "constructed":
        found["constructed_url"] = f"{ROOT}constructed_inventories/{row['id']}/"


def _receivers(resource: Resource, row: Row, base: str) -> dict[str, str]:
    """Return the paths by which others than users start a template."""
    found: dict[str, str] = {}
    if "webhook_service" in resource.fields:
        service = row.get("webhook_service")
        found["webhook_receiver"] = f"{base}{service}/" if service else ""
    if row.get("host_config_key"):
        found["callback"] = f"{base}callback/"
    return found
