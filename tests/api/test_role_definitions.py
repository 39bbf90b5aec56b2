"""Role definitions over HTTP: the managed ones, one's own, and how they are described."""

from __future__ import annotations

import pytest

from controlplane.shell.seed import seed_definitions
from schemas.role_definitions import MANAGED
from schemas.streams import CONFIG
from tests.api.grants import DENIED, Body, get, post
from tests.api.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

AWX_NAMES = [
    "Team Admin",
    "Controller Team Admin",
    "Team Member",
    "Controller Team Member",
    "Inventory Admin",
    "Organization Inventory Admin",
    "Inventory Use",
    "Inventory Adhoc",
    "Inventory Update",
    "NotificationTemplate Admin",
    "Organization NotificationTemplate Admin",
    "InstanceGroup Admin",
    "InstanceGroup Use",
    "Organization Member",
    "Controller Organization Member",
    "WorkflowJobTemplate Admin",
    "Organization WorkflowJobTemplate Admin",
    "WorkflowJobTemplate Execute",
    "WorkflowJobTemplate Approve",
    "ExecutionEnvironment Admin",
    "Organization ExecutionEnvironment Admin",
    "Credential Admin",
    "Organization Credential Admin",
    "Credential Use",
    "Project Admin",
    "Organization Project Admin",
    "Project Use",
    "Project Update",
    "JobTemplate Admin",
    "Organization JobTemplate Admin",
    "JobTemplate Execute",
    "Organization Admin",
    "Controller Organization Admin",
    "Organization Audit",
    "Organization Execute",
    "Organization Approval",
    "Controller System Auditor",
]


async def test_the_managed_definitions_are_awx_s(stack: Stack) -> None:
    """AWX's thirty-seven come first, in its order; nobody changes or deletes a managed one."""
    found = await get(stack.client, "/api/v2/role_definitions/?page_size=200")
    names = [row["name"] for row in found["results"]]
    assert names[:37] == AWX_NAMES
    assert [row["id"] for row in found["results"]] == list(range(1, len(names) + 1))
    first = found["results"][24]
    assert "type" not in first
    assert (first["content_type"], first["managed"], first["created_by"]) == (
        "awx.project",
        True,
        None,
    )
    assert sorted(first["permissions"]) == [
        "awx.change_project",
        "awx.delete_project",
        "awx.update_project",
        "awx.use_project",
        "awx.view_project",
    ]
    bare = ["Role is managed by the system"]
    changed = await stack.client.patch(first["url"], json={"name": "mine"})
    assert (changed.status_code, changed.json()) == (400, bare)
    deleted = await stack.client.delete(first["url"])
    assert (deleted.status_code, deleted.json()) == (400, bare)
    allowed = (await get(stack.client, "/api/v2/role_metadata/"))["allowed_permissions"]
    assert allowed["awx.jobtemplate"] == [
        "awx.execute_jobtemplate",
        "awx.change_jobtemplate",
        "awx.delete_jobtemplate",
        "awx.view_jobtemplate",
    ]
    assert "awx.add_project" in allowed["shared.organization"]


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"permissions": []}, {"name": ["This field is required."]}),
        ({"name": "x"}, {"permissions": ["This field is required."]}),
        (
            {"name": "x", "content_type": "awx.project", "permissions": "awx.view_project"},
            {"permissions": ['Expected a list of items but got type "str".']},
        ),
        (
            {"name": "x", "content_type": "awx.project", "permissions": ["awx.zz", 7]},
            {
                "permissions": {
                    "0": ['Invalid pk "awx.zz" - object does not exist.'],
                    "1": ["Incorrect type. Expected pk value, received int."],
                }
            },
        ),
        (
            {"name": "x", "content_type": "awx.project", "permissions": ["awx.update_project"]},
            {
                "permissions": [
                    "Permissions for model project needs to include view, got: update_project"
                ]
            },
        ),
        (
            {
                "name": "x",
                "content_type": "awx.inventory",
                "permissions": ["awx.view_inventory", "awx.delete_inventory"],
            },
            {
                "permissions": [
                    (
                        "Permissions for model inventory needs to include change,"
                        " got: view_inventory, delete_inventory"
                    )
                ]
            },
        ),
        (
            {
                "name": "x",
                "content_type": "awx.jobtemplate",
                "permissions": ["awx.view_jobtemplate", "awx.use_project"],
            },
            {"permissions": ['Permissions "use_project" are not valid for jobtemplate roles']},
        ),
        (
            {"name": "x", "permissions": ["awx.view_project"]},
            {"content_type": ["System-wide roles are not enabled"]},
        ),
        (
            {"name": "x", "content_type": "shared.team", "permissions": ["shared.view_team"]},
            {
                "__all__": ["Creating custom roles for teams is disabled"],
            },
        ),
        (
            {
                "name": "x",
                "content_type": "shared.organization",
                "permissions": ["shared.view_organization", "shared.change_organization"],
            },
            {
                "permissions": [
                    "Local custom roles can only include view permission for shared models"
                ]
            },
        ),
        (
            {"name": "Project Use", "content_type": "awx.project", "permissions": []},
            {"name": ["role definition with this name already exists."]},
        ),
    ],
)
async def test_what_a_definition_cannot_be(stack: Stack, body: Body, answer: Body) -> None:
    """Each mistake is answered in AWX's words, and nothing is made."""
    before = (await get(stack.client, "/api/v2/role_definitions/"))["count"]
    assert await post(stack.client, "/api/v2/role_definitions/", **body) == (400, answer)
    assert (await get(stack.client, "/api/v2/role_definitions/"))["count"] == before


async def test_only_superusers_make_definitions(stack: Stack) -> None:
    """Everybody reads definitions; others cannot write them."""
    await stack.add_user("reader-of-definitions")
    client = stack.as_user("reader-of-definitions")
    assert (await get(client, "/api/v2/role_definitions/"))["count"] >= 38
    body = {"name": "y", "content_type": "awx.project", "permissions": ["awx.view_project"]}
    assert await post(client, "/api/v2/role_definitions/", **body) == (403, DENIED)
    assert (await client.delete("/api/v2/role_definitions/1/")).status_code == 403


async def test_options_describe_definitions_and_assignments_as_awx_does(stack: Stack) -> None:
    """The command makes its flags of these: types and what is required."""
    described = (await stack.client.options("/api/v2/role_definitions/")).json()["actions"]["POST"]
    assert {name: (each["type"], each["required"]) for name, each in described.items()} == {
        "content_type": ("id", False),
        "description": ("string", False),
        "name": ("string", True),
        "permissions": ("list", True),
    }
    for actor in ("user", "team"):
        answered = await stack.client.options(f"/api/v2/role_{actor}_assignments/")
        assert answered.headers["allow"] == "GET, HEAD, OPTIONS, POST"
        actions = answered.json()["actions"]
        required = {name: each["required"] for name, each in actions["POST"].items()}
        assert required == {
            "role_definition": True,
            **dict.fromkeys(("object_id", "object_ansible_id"), False),
            **dict.fromkeys((actor, f"{actor}_ansible_id"), False),
        }
        assert actions["GET"]["content_type"]["choices"][0] == ["awx.credential", "Credential"]


async def test_definitions_are_seeded_once(stack: Stack) -> None:
    """Each start asks for them, also on a log from before they were; ids of others come behind."""
    services = stack.services
    before = await services.store.last_sequence(CONFIG.name)
    await seed_definitions(services.store, services.numbers)
    assert await services.store.last_sequence(CONFIG.name) == before
    body = {"content_type": "awx.project", "permissions": ["awx.view_project"]}
    made = await stack.make("role_definitions", name="behind", **body)
    assert made["id"] > len(MANAGED)
    assert (made["managed"], made["created_by"]) == (False, 1)
