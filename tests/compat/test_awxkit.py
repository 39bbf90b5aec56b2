"""The unmodified awx command, as a subprocess, against a running API."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.api.stack import PASSWORD, Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

AWX = Path(sys.executable).parent / "awx"
WITHIN_S = 60


async def awx(stack: Stack, *arguments: str, password: str = PASSWORD) -> tuple[int, str, str]:
    """Run the command as admin; returns exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        str(AWX),
        *("--conf.host", stack.url, "--conf.username", "admin", "--conf.password", password),
        *("--conf.insecure", "-f", "json", "--conf.color", "f"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, problem = await asyncio.wait_for(process.communicate(), WITHIN_S)
    return process.returncode or 0, out.decode(), problem.decode()


async def run(stack: Stack, *arguments: str) -> Any:
    """Run a command that must succeed; returns its JSON, or None without output."""
    code, out, problem = await awx(stack, *arguments)
    assert code == 0, f"{arguments}: {out}\n{problem}"
    return json.loads(out) if out.strip() else None


async def test_login_gives_a_token_that_works(stack: Stack) -> None:
    """``awx login`` makes a personal token for the user."""
    found = await run(stack, "login")
    async with stack.anonymous() as client:
        headers = {"Authorization": f"Bearer {found['token']}"}
        assert (await client.get("/api/v2/me/", headers=headers)).status_code == 200


async def test_login_as_an_application(stack: Stack) -> None:
    """``awx login`` with a client id asks for the password grant, with a secret or without."""
    organization = await stack.make("organizations", name="clients")
    kind = {"organization": organization["id"], "authorization_grant_type": "password"}
    for client_type in ("confidential", "public"):
        made = await stack.make("applications", name=client_type, client_type=client_type, **kind)
        client = ["--conf.client_id", made["client_id"], "--conf.scope", "read"]
        if client_type == "confidential":
            client += ["--conf.client_secret", made["client_secret"]]
        found = await run(stack, "login", *client)
        listed = (await stack.client.get(made["related"]["tokens"])).json()["results"]
        assert [row["scope"] for row in listed] == ["read"]
        async with stack.anonymous() as anonymous:
            headers = {"Authorization": f"Bearer {found['token']}"}
            assert (await anonymous.get("/api/v2/me/", headers=headers)).status_code == 200
    _, out, problem = await awx(stack, "login", "--conf.client_id", "unknown")
    assert "Error retrieving an OAuth2.0 token" in out + problem


async def test_applications_and_tokens(stack: Stack) -> None:
    """Both are commands: made, changed, listed and deleted by name and id."""
    await run(stack, "organizations", "create", "--name", "kit-clients")
    made = await run(
        stack,
        *("applications", "create", "--name", "kit-app", "--organization", "kit-clients"),
        *("--client_type", "confidential", "--authorization_grant_type", "password"),
    )
    assert len(made["client_secret"]) > 40
    changed = await run(stack, "applications", "modify", "kit-app", "--description", "new")
    assert (changed["description"], changed["client_secret"]) == ("new", "************")
    token = await run(
        stack, "tokens", "create", "--scope", "read", "--application", str(made["id"])
    )
    listed = await run(stack, "tokens", "list", "--application", str(made["id"]))
    assert [row["id"] for row in listed["results"]] == [token["id"]]
    await run(stack, "tokens", "delete", str(token["id"]))
    await run(stack, "applications", "delete", "kit-app")


async def test_wrong_password_is_said(stack: Stack) -> None:
    """A wrong password ends the command with an error, not a trace of ours."""
    code, _, problem = await awx(stack, "me", password="wrong")
    assert code != 0
    assert "credentials" in problem.lower() or "password" in problem.lower()


async def test_system_commands(stack: Stack) -> None:
    """config, me and ping answer what the command prints."""
    assert (await run(stack, "me"))["results"][0]["username"] == "admin"
    assert (await run(stack, "ping"))["version"] == "24.6.1"
    assert (await run(stack, "config"))["base_url"] == stack.url


async def test_organizations(stack: Stack) -> None:
    """create, get by name, modify, list with a filter, delete."""
    made = await run(stack, "organizations", "create", "--name", "kit", "--description", "a")
    assert made["name"] == "kit"
    assert (await run(stack, "organizations", "get", "kit"))["id"] == made["id"]
    changed = await run(stack, "organizations", "modify", "kit", "--description", "b")
    assert changed["description"] == "b"
    listed = await run(stack, "organizations", "list", "--name", "kit")
    assert [row["id"] for row in listed["results"]] == [made["id"]]
    await run(stack, "organizations", "delete", "kit")
    assert (await run(stack, "organizations", "list", "--name", "kit"))["count"] == 0


async def test_everything_a_job_needs(stack: Stack) -> None:
    """Inventory, host, group, project, template, label and credential by names and ids."""
    organization = (await run(stack, "organizations", "create", "--name", "kit2"))["id"]
    number = str(organization)
    inventory = await run(
        stack,
        *("inventory", "create", "--name", "inv", "--organization", "kit2"),
        *("--variables", '{"a": 1}'),
    )
    host = await run(stack, "hosts", "create", "--name", "h1", "--inventory", "inv")
    assert host["inventory"] == inventory["id"]
    group = await run(stack, "groups", "create", "--name", "g1", "--inventory", "inv")
    assert group["name"] == "g1"
    project = await run(
        stack,
        *("projects", "create", "--name", "p1", "--organization", number),
        *("--scm_type", "git", "--scm_url", "https://example.com/x.git"),
    )
    template = await run(
        stack,
        *("job_templates", "create", "--name", "jt", "--project", "p1"),
        *("--inventory", "inv", "--playbook", "site.yml", "--extra_vars", "x: 1"),
        *("--ask_limit_on_launch", "true"),
    )
    assert (template["project"], template["ask_limit_on_launch"]) == (project["id"], True)
    assert json.loads(template["extra_vars"]) == {"x": 1}
    label = await run(stack, "labels", "create", "--name", "l1", "--organization", number)
    assert label["organization"] == organization
    shown = (await stack.client.get(f"/api/v2/projects/{project['id']}/")).json()
    canceled = await stack.client.post(f"{shown['related']['current_update']}cancel/")
    assert canceled.status_code == 202
    for kind, name in (("job_templates", "jt"), ("projects", "p1"), ("groups", "g1")):
        await run(stack, kind, "delete", name)
    await run(stack, "inventory", "delete", "inv")


async def test_credentials(stack: Stack) -> None:
    """A credential type and a credential of it; its secret is never printed."""
    await run(stack, "organizations", "create", "--name", "kit3")
    schema = {"fields": [{"id": "key", "label": "Key", "secret": True}]}
    await run(
        stack,
        *("credential_types", "create", "--name", "Custom", "--kind", "cloud"),
        *("--inputs", json.dumps(schema)),
    )
    made = await run(
        stack,
        *("credentials", "create", "--name", "c1", "--organization", "kit3"),
        *("--credential_type", "Custom", "--inputs", '{"key": "hush-hush"}'),
    )
    assert made["inputs"] == {"key": "$encrypted$"}


async def test_users_and_grants(stack: Stack) -> None:
    """``users grant`` finds the object's role by its name and grants it."""
    organization = await run(stack, "organizations", "create", "--name", "kit4")
    user = await run(
        stack, "users", "create", "--username", "kit-user", "--password", "kit-password"
    )
    await run(
        stack,
        *("users", "grant", "kit-user", "--organization", str(organization["id"])),
        *("--role", "admin"),
    )
    admins = await stack.client.get(f"{organization['url']}admins/")
    assert [row["id"] for row in admins.json()["results"]] == [user["id"]]
    await run(
        stack,
        *("users", "revoke", "kit-user", "--organization", str(organization["id"])),
        *("--role", "admin"),
    )
    assert (await stack.client.get(f"{organization['url']}admins/")).json()["count"] == 0


async def test_duplicate_is_told(stack: Stack) -> None:
    """A duplicate ends the command with AWX's words on stderr."""
    await run(stack, "organizations", "create", "--name", "kit5")
    code, out, problem = await awx(stack, "organizations", "create", "--name", "kit5")
    assert code != 0
    assert "already exists" in out + problem


async def test_everything_is_exported(stack: Stack) -> None:
    """``awx export`` without a choice writes every kind."""
    await run(stack, "organizations", "create", "--name", "exported")
    found = await run(stack, "export")
    assert "exported" in [each["name"] for each in found["organizations"]]
    assert "Cleanup Job Schedule" in [each["name"] for each in found["schedules"]]


async def test_jobs_can_be_listed(stack: Stack) -> None:
    """Lists of jobs exist for the command, with filters."""
    for kind in ("jobs", "project_updates", "unified_jobs"):
        assert (await run(stack, kind, "list", "--status", "failed"))["count"] == 0
