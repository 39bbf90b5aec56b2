"""One object of every kind, for walks over all routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controlplane.api.links import plural_of
from schemas.resource import RESOURCES
from tests.api.stack import PASSWORD, Stack

World = dict[str, dict[str, Any]]
Body = dict[str, Any]

HIDDEN = "secret-"
"""What the names begin with that nobody without a role may read."""
MACHINE_TYPE, VAULT_KV_TYPE = 1, 27
VAULT = {"url": "https://vault.example.com/", "api_version": "v2"}
NOT_MADE = frozenset({"notification", "system_job_template", "workflow_approval_template"})
"""Kinds that no POST to their list makes."""


def _in(kind: str, **more: Any) -> Callable[[World], Body]:
    """Return what makes the body of something in the world's object of a kind."""
    return lambda world: {kind: world[plural_of(kind)]["id"], **more}


def _assigned(holder: str) -> Callable[[World], Body]:
    return lambda world: {
        "role_definition": world["role_definitions"]["id"],
        "object_id": str(world["projects"]["id"]),
        holder: world[f"{holder}s"]["id"],
    }


BODIES: dict[str, Callable[[World], Body]] = {
    "organizations": lambda _: {},
    "users": lambda _: {"username": f"{HIDDEN}users", "password": PASSWORD},
    "teams": _in("organization"),
    "instance_groups": lambda _: {},
    "execution_environments": _in("organization", image="quay.io/ansible/awx-ee:latest"),
    "credential_types": lambda _: {"name": "open-type", "kind": "cloud"},
    "credentials": _in("organization", credential_type=MACHINE_TYPE),
    "projects": _in("organization", scm_type="git", scm_url="https://example.com/x.git"),
    "inventories": _in("organization"),
    "constructed_inventories": _in("organization"),
    "hosts": _in("inventory"),
    "groups": _in("inventory"),
    "inventory_sources": lambda world: {
        "inventory": world["inventories"]["id"],
        "source": "scm",
        "source_project": world["projects"]["id"],
        "source_path": "hosts.ini",
    },
    "labels": _in("organization"),
    "job_templates": lambda world: {
        "project": world["projects"]["id"],
        "inventory": world["inventories"]["id"],
        "playbook": "site.yml",
    },
    "workflow_job_templates": _in("organization"),
    "workflow_job_template_nodes": lambda world: {
        "workflow_job_template": world["workflow_job_templates"]["id"],
        "unified_job_template": world["job_templates"]["id"],
        "identifier": f"{HIDDEN}node",
    },
    "schedules": lambda world: {
        "unified_job_template": world["job_templates"]["id"],
        "rrule": "DTSTART:20300101T000000Z RRULE:FREQ=DAILY;INTERVAL=1",
    },
    "notification_templates": _in(
        "organization",
        notification_type="webhook",
        notification_configuration={"url": "https://hooks.example.com/", "headers": {}},
    ),
    "applications": _in(
        "organization", client_type="confidential", authorization_grant_type="password"
    ),
    "role_definitions": lambda _: {
        "name": "open-definition",
        "content_type": "awx.project",
        "permissions": ["awx.view_project"],
    },
    "role_user_assignments": _assigned("user"),
    "role_team_assignments": _assigned("team"),
}
"""Segment of a list to the body of what is made there, save its name; in the order they need."""


async def build(stack: Stack) -> World:
    """Make one object of every kind as the superuser."""
    world: World = {}
    for plural, body in BODIES.items():
        values = body(world)
        if not {"username", "identifier", "role_definition", "name"} & set(values):
            values["name"] = f"{HIDDEN}{plural}"
        world[plural] = await stack.make(plural, **values)
    await _input_source(stack, world)
    await _linked(stack, world)
    return world


async def _input_source(stack: Stack, world: World) -> None:
    vault = await stack.make(
        "credentials",
        name=f"{HIDDEN}vault",
        organization=world["organizations"]["id"],
        credential_type=VAULT_KV_TYPE,
        inputs=VAULT,
    )
    world["credential_input_sources"] = await stack.make(
        "credential_input_sources",
        input_field_name="password",
        target_credential=world["credentials"]["id"],
        source_credential=vault["id"],
        metadata={"secret_path": "/a", "secret_key": "b"},
    )


async def _linked(stack: Stack, world: World) -> None:
    """Add what is not made by a list of its own: an approval, a job, a project update, a role."""
    node = world["workflow_job_template_nodes"]["url"]
    wanted = {"name": f"{HIDDEN}approval", "timeout": 5}
    for plural, path, body in (
        ("workflow_approval_templates", f"{node}create_approval_template/", wanted),
        ("jobs", f"{world['job_templates']['url']}launch/", {}),
        ("project_updates", f"{world['projects']['url']}update/", {}),
    ):
        answered = await stack.client.post(path, json=body)
        assert answered.status_code in (201, 202), (path, answered.text)
        world[plural] = {"id": answered.json()["id"], "url": answered.json()["url"]}
    member = {"id": world["hosts"]["id"]}
    await stack.client.post(f"{world['groups']['url']}hosts/", json=member)
    roles = world["projects"]["summary_fields"]["object_roles"]
    number = roles["use_role"]["id"]
    world["roles"] = {"id": number, "url": f"/api/v2/roles/{number}/"}


def lacking(world: World) -> set[str]:
    """Return the declared kinds that a walk would not meet."""
    kinds = {kind for kind in RESOURCES if kind not in NOT_MADE}
    return {kind for kind in kinds if RESOURCES[kind].plural not in world}
