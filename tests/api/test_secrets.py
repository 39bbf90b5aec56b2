"""Secrets at rest and in answers: what a client gives once is seen nowhere again."""

from __future__ import annotations

import base64
import json

import httpx
import pytest

from ops import pull
from schemas.streams import BUCKETS, STREAMS
from tests.api.stack import PASSWORD, Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANARY = "c4nary"
PIN = 7271934471


async def _everything_stored(stack: Stack) -> list[tuple[str, bytes]]:
    """Return subject and body of every message of every stream and bucket."""
    nats, found = stack.services.nats, list[tuple[str, bytes]]()
    names = [each.name for each in STREAMS] + [f"KV_{each.name}" for each in BUCKETS]
    for name in names:
        state = (await nats.jetstream().stream_info(name)).state
        async for messages in pull.read(nats, name, max(1, state.first_seq), state.last_seq):
            found += [(f"{name} {each.subject}", each.data) for each in messages]
    return found


async def _type(stack: Stack, name: str) -> int:
    found = await stack.client.get("/api/v2/credential_types/", params={"name": name})
    number: int = found.json()["results"][0]["id"]
    return number


async def test_no_secret_is_stored_readable(stack: Stack) -> None:
    """Passwords, credential inputs and tokens, right or wrong, are in no message of any stream."""
    machine = {"username": "root", "password": f"{CANARY}-machine", "become_password": "ASK"}
    made = await stack.make(
        "credentials",
        name="sealed",
        organization=None,
        user=1,
        credential_type=await _type(stack, "Machine"),
        inputs=machine,
    )
    assert made["inputs"] == {**machine, "password": "$encrypted$"}
    await stack.make("users", username="holder", password=f"{CANARY}-user")
    for username, pin in (("pinned", PIN), ("pointed", PIN + 0.5)):
        await stack.make("users", username=username, password=pin)
        me = await stack.as_user(username, str(pin)).get("/api/v2/me/")
        assert me.status_code == 200, username
    token = (await stack.client.post("/api/v2/tokens/", json={})).json()["token"]
    await stack.as_user("admin", f"{CANARY}-wrong").get("/api/v2/me/")
    await stack.as_user("holder", f"{CANARY}-user").get("/api/v2/me/")
    async with stack.anonymous() as client:
        await client.get("/api/v2/me/", headers={"Authorization": f"Bearer {CANARY}-bearer"})
        client_secret, granted = await _granted(stack, client)
    stored = await _everything_stored(stack)
    assert len(stored) > len(STREAMS)
    secrets = [CANARY, str(PIN), token, client_secret, *granted, PASSWORD]
    marks = [
        each for text in secrets for each in (text.encode(), base64.b64encode(text.encode())[:-2])
    ]
    assert [subject for subject, data in stored if any(mark in data for mark in marks)] == []


async def _granted(stack: Stack, client: httpx.AsyncClient) -> tuple[str, list[str]]:
    """Return an application's secret, and the tokens it was given for a password."""
    organization = await stack.make("organizations", name="of-an-application")
    made = await stack.make(
        "applications",
        name="sealed",
        organization=organization["id"],
        client_type="confidential",
        authorization_grant_type="password",
    )
    form = {"grant_type": "password", "username": "admin", "password": PASSWORD}
    auth = (made["client_id"], made["client_secret"])
    given = (await client.post("/api/o/token/", data=form, auth=auth)).json()
    return made["client_secret"], [given["access_token"], given["refresh_token"]]


async def test_a_secret_shown_as_encrypted_is_kept_when_sent_back(stack: Stack) -> None:
    """``$encrypted$`` leaves the sealed value as it is; another value replaces it."""
    made = await stack.make(
        "credentials",
        name="kept",
        user=1,
        credential_type=await _type(stack, "Vault"),
        inputs={"vault_password": f"{CANARY}-vault", "vault_id": "one"},
    )

    async def sealed() -> str:
        async with stack.services.read.view() as view:
            row = await view.row('select "inputs" from "credential" where "id" = $1', made["id"])
        assert row is not None
        found: str = json.loads(row["inputs"])["vault_password"]
        return found

    before = await sealed()
    changed = await stack.client.patch(
        made["url"], json={"inputs": {"vault_password": "$encrypted$", "vault_id": "two"}}
    )
    assert changed.json()["inputs"] == {"vault_password": "$encrypted$", "vault_id": "two"}
    assert await sealed() == before
    await stack.client.patch(made["url"], json={"inputs": {"vault_password": f"{CANARY}-new"}})
    assert await sealed() != before


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        ("Machine", {"password": [f"{CANARY}-list"]}),
        ("Machine", {"password": {"deep": f"{CANARY}-object"}}),
        ("Machine", {"ssh_key_data": f"{CANARY}-no-key"}),
        ("Vault", {"vault_password": 7, f"{CANARY}": 1}),
        ("Machine", f"{CANARY}-text"),
    ],
)
async def test_an_error_does_not_repeat_a_secret(stack: Stack, kind: str, inputs: object) -> None:
    """What was wrong with a secret is said without it."""
    body = {"name": "x", "user": 1, "credential_type": await _type(stack, kind), "inputs": inputs}
    answered = await stack.client.post("/api/v2/credentials/", json=body)
    assert answered.status_code == 400
    assert f"{CANARY}-" not in answered.text


async def test_a_filter_tells_nothing_about_a_secret(stack: Stack) -> None:
    """Nobody finds a hash or a sealed value letter by letter."""
    for path in (
        "/api/v2/users/?password__startswith=a",
        "/api/v2/tokens/?token__startswith=a",
        "/api/v2/tokens/?user__password__startswith=a",
        "/api/v2/organizations/?created_by__password__startswith=a",
        "/api/v2/users/?order_by=password",
    ):
        answered = await stack.client.get(path)
        assert answered.status_code == 403, path


async def test_a_filter_tells_nothing_about_what_is_not_seen(stack: Stack) -> None:
    """Lists look only at related rows that their reader sees, and at names that stand in them."""
    home = await stack.make("organizations", name="filtered")
    await stack.make("users", username="hidden-mate", password=CANARY, email="hidden@e.com")
    hidden = await stack.make("inventories", name="hidden", organization=home["id"])
    await stack.make("hosts", name="h", inventory=hidden["id"], variables='{"key": "k1"}')
    label = {"name": "shown", "organization": home["id"]}
    project = await stack.make(
        "projects", name="run", organization=home["id"], scm_type="git", scm_url="https://e.com/x"
    )
    fields = {"name": "run", "inventory": hidden["id"], "playbook": "a.yml"}
    made = await stack.make("job_templates", **fields, project=project["id"])
    assert (await stack.client.post(f"{made['url']}labels/", json=label)).status_code == 201
    user = await stack.add_user("curious")
    role = made["summary_fields"]["object_roles"]["execute_role"]["id"]
    assert (
        await stack.client.post(f"/api/v2/users/{user}/roles/", json={"id": role})
    ).status_code == 204
    asked = {
        "inventory__hosts__variables__contains=k1": 0,
        "not__inventory__hosts__variables__contains=k1": 1,
        "organization__inventories__name=hidden": 0,
        "organization__max_hosts=0": 0,
        "project__organization__name=filtered": 0,
        "inventory__hosts__search=h": 0,
        "created_by__email__startswith=": 1,
        "organization__created_by__email__startswith=": 0,
        "inventory__name=hidden": 1,
        "labels__name=shown": 1,
        "project__name__in=run,walk": 1,
        "created_by__username=admin": 1,
        "role_level=execute_role": 1,
        "inventory__isnull=false": 1,
    }
    curious = stack.as_user("curious")
    for query, expected in asked.items():
        path = f"/api/v2/job_templates/?name=run&{query}"
        mine = (await curious.get(path)).json()
        assert mine["count"] == expected, query
        everything = (await stack.client.get(path)).json()
        assert everything["count"] == (0 if query.startswith("not__") else 1), query


async def test_an_order_tells_nothing_about_what_is_not_seen(stack: Stack) -> None:
    """Rows that a reader sees are not ordered by what it does not: that would tell it by halves."""
    home = await stack.make("organizations", name="ordered")
    emails = {"a-maker": "z@e.com", "z-maker": "a@e.com"}
    for username, email in emails.items():
        maker = await stack.add_user(username, email=email)
        role = home["summary_fields"]["object_roles"]["inventory_admin_role"]["id"]
        await stack.client.post(f"/api/v2/users/{maker}/roles/", json={"id": role})
    reader = await stack.add_user("ordering")
    for username in emails:
        body = {"name": f"by-{username}", "organization": home["id"]}
        made = (await stack.as_user(username).post("/api/v2/inventories/", json=body)).json()
        role = made["summary_fields"]["object_roles"]["read_role"]["id"]
        await stack.client.post(f"/api/v2/users/{reader}/roles/", json={"id": role})
    by_name, by_email = ["by-a-maker", "by-z-maker"], ["by-z-maker", "by-a-maker"]
    for client, key, expected in (
        (stack.client, "created_by__email", by_email),
        (stack.as_user("ordering"), "created_by__email", by_name),
        (stack.as_user("ordering"), "-created_by__email", by_name),
        (stack.as_user("ordering"), "-created_by__username", by_email),
    ):
        path = f"/api/v2/inventories/?name__startswith=by-&order_by={key},name"
        listed = (await client.get(path)).json()["results"]
        assert [each["name"] for each in listed] == expected, key
