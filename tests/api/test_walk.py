"""Access over HTTP: a walk of all routes without roles, and what roles open."""

from __future__ import annotations

import re
from typing import Any

import pytest
import pytest_asyncio
from litestar.routes import HTTPRoute

from tests.api import walked
from tests.api.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPEN_LISTS = frozenset(
    {
        "access_list",
        "activity_stream",
        "credential_types",
        "execution_environments",
        "me",
        "personal_tokens",
        "role_definitions",
        "roles",
        "tokens",
        "users",
    }
)
"""Lists in which a user without roles may find something: what is public or the own."""
STREAMS = ("/stream",)
"""Ends of paths whose answers do not end while the job has not."""
SECRETS = ("/webhook_key", "/install_bundle")
"""Ends of paths that answer with a secret: who may use it may ask for it."""
ELSEWHERE = "/analytics/"
"""In paths that ask another service, which nobody has set up."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(stack: Stack) -> dict[str, Any]:
    """One object of every kind, a user without any role and an auditor."""
    made = await walked.build(stack)
    await stack.add_user("nobody")
    await stack.add_user("auditor", is_system_auditor=True)
    return made


def paths(stack: Stack, method: str) -> list[str]:
    """Return every path that has a method."""
    return sorted(
        route.path
        for route in stack.app.routes
        if isinstance(route, HTTPRoute) and method in route.methods
    )


def filled(path: str, world: dict[str, Any]) -> str:
    """Return a path with the id of the object made for its resource."""
    plural = path.split("/")[3] if path.count("/") > 2 else ""
    number = world.get(plural, {}).get("id", 1)
    return re.sub(r"\{[^}]*\}", str(number), path).rstrip("/") + "/"


async def test_every_kind_is_walked(world: dict[str, Any]) -> None:
    """A kind that was declared and has no object here would be walked over empty."""
    assert walked.lacking(world) == set()


async def test_a_user_without_roles_sees_nothing(stack: Stack, world: dict[str, Any]) -> None:
    """Every GET is empty, refused or public; no answer names anything of the organization."""
    client = stack.as_user("nobody")
    for path in paths(stack, "GET"):
        if path == "/api/v2/ping":
            continue
        answered = await client.get(filled(path, world))
        assert answered.status_code < 500, path
        assert walked.HIDDEN not in answered.text, (path, answered.text)
        if answered.status_code == 200 and answered.text.startswith('{"count"'):
            last = path.rstrip("/").split("/")[-1]
            assert answered.json()["count"] == 0 or last in OPEN_LISTS, path


async def test_an_auditor_sees_everything(stack: Stack, world: dict[str, Any]) -> None:
    """No GET of what there is refuses a system auditor."""
    client = stack.as_user("auditor")
    refused = []
    for path in paths(stack, "GET"):
        if path.endswith((*STREAMS, *SECRETS)) or ELSEWHERE in path:
            continue
        answered = await client.get(filled(path, world))
        assert answered.status_code < 500, path
        if answered.status_code in (401, 403):
            refused.append(path)
    assert refused == []


@pytest.mark.parametrize("username", ["nobody", "auditor"])
async def test_who_only_reads_changes_nothing(
    stack: Stack, world: dict[str, Any], username: str
) -> None:
    """Every unsafe method is refused; afterwards everything is as it was."""
    client = stack.as_user(username)
    before = [(await stack.client.get(made["url"])).json() for made in world.values()]
    own = ("/tokens", "/logout", "/login", "/api/o/")
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for path in paths(stack, method):
            if any(part in path for part in own):
                continue
            body = {"name": "x", "organization": world["organizations"]["id"], "id": 1}
            url = filled(path, world)
            answered = await client.request(method, url, json=body)
            assert 400 <= answered.status_code < 500, (method, path, answered.status_code)
    after = [(await stack.client.get(made["url"])).json() for made in world.values()]
    assert after == before


async def test_an_anonymous_caller_gets_401_everywhere(stack: Stack, world: dict[str, Any]) -> None:
    """Only the roots, ping and the ways to log in answer without credentials."""
    public = {"/api/", "/api/v2/", "/api/o/", "/api/v2/ping/", "/api/login/", "/api/logout/"}
    public |= {"/", "/api/o/authorize/", "/api/v2/auth/"}
    async with stack.anonymous() as client:
        for path in paths(stack, "GET"):
            url = filled(path, world)
            answered = await client.get(url)
            expected = {200, 302} if url in public else {401}
            if url.startswith("/sso/"):
                expected = {200, 302, 404}
            assert answered.status_code in expected, (url, answered.status_code)


async def test_options_never_fail(stack: Stack, world: dict[str, Any]) -> None:
    """OPTIONS of every path answers a superuser with actions, also for ids of nothing."""
    for path in paths(stack, "OPTIONS"):
        for number in (None, 999_999):
            url = filled(path, {} if number else world).replace("/1/", f"/{number or 1}/")
            answered = await stack.client.options(url)
            assert answered.status_code in (200, 404), (url, answered.text)
            if answered.status_code == 200:
                assert "actions" in answered.json(), url


async def test_a_granted_role_opens_exactly_its_object(stack: Stack, world: dict[str, Any]) -> None:
    """Read shows the object and nothing else; revoking it hides it again."""
    user = await stack.add_user("reader")
    client = stack.as_user("reader")
    inventory = world["inventories"]
    role = inventory["summary_fields"]["object_roles"]["read_role"]["id"]
    assert (await client.get(inventory["url"])).status_code == 403
    grant = f"/api/v2/users/{user}/roles/"
    assert (await stack.client.post(grant, json={"id": role})).status_code == 204
    assert (await stack.client.post(grant, json={"id": role})).status_code == 204
    seen = (await client.get(inventory["url"])).json()
    assert seen["summary_fields"]["user_capabilities"] == dict.fromkeys(
        ("edit", "delete", "copy", "adhoc"), False
    )
    assert (await client.get("/api/v2/inventories/")).json()["count"] == 1
    assert (await client.get("/api/v2/hosts/")).json()["count"] == 1
    assert (await client.get("/api/v2/projects/")).json()["count"] == 0
    assert (await client.patch(inventory["url"], json={"name": "x"})).status_code == 403
    gone = {"id": role, "disassociate": True}
    assert (await stack.client.post(grant, json=gone)).status_code == 204
    assert (await client.get(inventory["url"])).status_code == 403


async def test_invisible_objects_by_name_do_not_exist(stack: Stack, world: dict[str, Any]) -> None:
    """By id an invisible object is 403, by name 404, as if it were not there."""
    client = stack.as_user("nobody")
    assert (await client.get(world["organizations"]["url"])).status_code == 403
    hidden = await client.get("/api/v2/organizations/secret-organizations/")
    assert (hidden.status_code, hidden.json()) == (404, {"detail": "Not found."})


async def test_filters_do_not_tell_secrets(stack: Stack, world: dict[str, Any]) -> None:
    """Filtering through relations shows only rows the caller may see anyway."""
    client = stack.as_user("nobody")
    found = await client.get("/api/v2/users/?username=admin&created_by__username__startswith=a")
    assert found.status_code == 200


async def test_organization_admin_manages_the_organization(
    stack: Stack, world: dict[str, Any]
) -> None:
    """Admin of the organization, given through its admins list, may create and edit below it."""
    user = await stack.add_user("boss")
    client = stack.as_user("boss")
    number = world["organizations"]["id"]
    body = {"name": "by-boss", "organization": number}
    assert (await client.post("/api/v2/inventories/", json=body)).status_code == 403
    admins = f"{world['organizations']['url']}admins/"
    assert (await stack.client.post(admins, json={"id": user})).status_code == 204
    assert (await client.post("/api/v2/inventories/", json=body)).status_code == 201
    changed = await client.patch(world["job_templates"]["url"], json={"description": "x"})
    assert changed.status_code == 200
    await stack.client.patch(world["job_templates"]["url"], json={"description": ""})
    assert (await client.post("/api/v2/organizations/", json={"name": "no"})).status_code == 403
    refused = await client.post(
        "/api/v2/users/", json={"username": "x", "password": "y", "is_superuser": True}
    )
    assert refused.status_code == 403


async def test_creators_administer_what_they_create(stack: Stack) -> None:
    """Who may add to an organization becomes admin of what is added."""
    user = await stack.add_user("maker")
    organization = await stack.make("organizations", name="makers")
    role = organization["summary_fields"]["object_roles"]["inventory_admin_role"]["id"]
    await stack.client.post(f"/api/v2/roles/{role}/users/", json={"id": user})
    client = stack.as_user("maker")
    made = await client.post(
        "/api/v2/inventories/", json={"name": "made", "organization": organization["id"]}
    )
    assert made.status_code == 201, made.text
    assert made.json()["summary_fields"]["user_capabilities"]["edit"] is True
    members = await client.get(f"/api/v2/roles/{role}/users/")
    assert members.status_code in (200, 403)


async def test_access_list_tells_how(stack: Stack, world: dict[str, Any]) -> None:
    """access_list names each user with direct and indirect roles."""
    user = await stack.add_user("listed")
    role = world["projects"]["summary_fields"]["object_roles"]["use_role"]["id"]
    await stack.client.post(f"/api/v2/users/{user}/roles/", json={"id": role})
    path = f"{world['projects']['url']}access_list/?username=listed"
    answered = await stack.client.get(path)
    assert answered.headers["warning"].startswith("299")
    row = answered.json()["results"][0]
    direct = row["summary_fields"]["direct_access"]
    assert [entry["role"]["name"] for entry in direct] == ["Use"]
