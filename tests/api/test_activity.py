"""The activity stream over HTTP: everything that happened, with who and from what to what."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def entries(stack: Stack, path: str) -> list[dict[str, Any]]:
    """Return the rows of an activity list."""
    answered = await stack.client.get(path)
    assert answered.status_code == 200, answered.text
    rows: list[dict[str, Any]] = answered.json()["results"]
    return rows


async def test_an_object_tells_its_life(stack: Stack) -> None:
    """Creation, change and deletion each are an entry at once, with old and new values."""
    made = await stack.make("organizations", name="lived", description="young")
    await stack.client.patch(made["url"], json={"description": "old", "max_hosts": 3})
    created, updated = await entries(stack, made["related"]["activity_stream"])
    assert (created["operation"], created["object1"]) == ("create", "organization")
    assert created["changes"]["name"] == "lived"
    assert created["summary_fields"]["actor"]["username"] == "admin"
    assert created["related"]["organization"] == [made["url"]]
    assert updated["changes"] == {"description": ["young", "old"], "max_hosts": [0, 3]}
    await stack.client.delete(made["url"])
    path = "/api/v2/activity_stream/?operation=delete&order_by=-timestamp&page_size=1"
    (deleted,) = await entries(stack, path)
    assert (deleted["changes"]["id"], deleted["changes"]["name"]) == (made["id"], "lived")
    alone = await stack.client.get(deleted["url"])
    assert alone.json() == deleted


async def test_references_are_told_by_name(stack: Stack) -> None:
    """A reference reads as AWX writes it: name and id, before and after."""
    first = await stack.make("organizations", name="first home")
    second = await stack.make("organizations", name="second home")
    team = await stack.make("teams", name="movers", organization=first["id"])
    await stack.client.patch(team["url"], json={"organization": second["id"]})
    created, updated = await entries(stack, team["related"]["activity_stream"])
    homes = [f"first home-{first['id']}", f"second home-{second['id']}"]
    assert created["changes"]["organization"] == homes[0]
    assert updated["changes"]["organization"] == homes


async def test_secrets_are_hidden(stack: Stack) -> None:
    """Neither a password nor a credential's inputs stand in any entry."""
    organization = await stack.make("organizations", name="of secrets")
    user = await stack.make("users", username="audited", password="hunter-audit-1")
    types = (await stack.client.get("/api/v2/credential_types/?namespace=ssh")).json()
    credential = await stack.make(
        "credentials",
        name="audited",
        organization=organization["id"],
        credential_type=types["results"][0]["id"],
        inputs={"username": "root", "password": "hunter-audit-2"},
    )
    await stack.client.patch(credential["url"], json={"inputs": {"password": "hunter-audit-3"}})
    await stack.client.patch(user["url"], json={"password": "hunter-audit-4"})
    told = await entries(stack, credential["related"]["activity_stream"])
    assert [each["changes"]["inputs"] for each in told] == ["hidden", ["hidden", "hidden"]]
    told = await entries(stack, user["related"]["activity_stream"])
    assert [each["changes"]["password"] for each in told] == ["hidden", ["hidden", "hidden"]]
    everything = await stack.client.get("/api/v2/activity_stream/?page_size=200")
    assert "hunter-audit" not in everything.text


async def test_associations_name_both_ends(stack: Stack) -> None:
    """Group members and role grants are entries of both objects, undone ones too."""
    organization = await stack.make("organizations", name="of links")
    inventory = await stack.make("inventories", name="links", organization=organization["id"])
    group = await stack.make("groups", name="linked", inventory=inventory["id"])
    host = await stack.make("hosts", name="linked-host", inventory=inventory["id"])
    for body in ({"id": host["id"]}, {"id": host["id"], "disassociate": True}):
        await stack.client.post(group["related"]["hosts"], json=body)
    told = await entries(stack, f"{host['related']['activity_stream']}?object1=group")
    assert [each["operation"] for each in told] == ["associate", "disassociate"]
    assert told[0]["changes"] == {
        "object1": "group",
        "object1_pk": group["id"],
        "object2": "host",
        "object2_pk": host["id"],
        "action": "associate",
        "relationship": "hosts",
    }
    user = await stack.make("users", username="granted", password="granted-1")
    role = inventory["summary_fields"]["object_roles"]["use_role"]["id"]
    await stack.client.post(f"/api/v2/roles/{role}/users/", json={"id": user["id"]})
    path = f"/api/v2/activity_stream/?inventory__id={inventory['id']}&object_association=role"
    (granted,) = await entries(stack, path)
    assert granted["changes"]["role"] == "use_role"
    assert granted["summary_fields"]["user"][0]["username"] == "granted"


async def test_logins_are_told(stack: Stack) -> None:
    """Who tried to come in, how and from where is part of the trail."""
    await stack.make("users", username="knocking", password="knocking-1")
    assert (await stack.as_user("knocking", "wrong").get("/api/v2/me/")).status_code == 401
    path = "/api/v2/activity_stream/?object1=login&changes__contains=knocking"
    (told,) = await entries(stack, path)
    assert told["changes"]["accepted"] is False
    assert (told["changes"]["way"], told["changes"]["address"]) == ("basic", "127.0.0.1")


async def test_only_what_may_be_read_is_told(stack: Stack) -> None:
    """A user sees entries about objects they may read, and is refused the others."""
    organization = await stack.make("organizations", name="of the seen")
    seen = await stack.make("inventories", name="seen", organization=organization["id"])
    unseen = await stack.make("inventories", name="unseen", organization=organization["id"])
    user = await stack.make("users", username="onlooker", password="onlooker-1")
    role = seen["summary_fields"]["object_roles"]["read_role"]["id"]
    await stack.client.post(f"/api/v2/roles/{role}/users/", json={"id": user["id"]})
    onlooker = stack.as_user("onlooker", "onlooker-1")
    listed = (await onlooker.get("/api/v2/activity_stream/?object1=inventory")).json()
    assert {each["changes"].get("name", "seen") for each in listed["results"]} == {"seen"}
    (hidden,) = await entries(stack, unseen["related"]["activity_stream"])
    assert (await onlooker.get(hidden["url"])).status_code == 403
    assert (await onlooker.get(unseen["related"]["activity_stream"])).status_code == 403
    assert (await onlooker.get("/api/v2/activity_stream/999999999/")).status_code == 404


async def test_what_a_user_was_given_elsewhere_is_not_told(stack: Stack) -> None:
    """A user may be read by more people than what it holds: they learn nothing of that."""
    mine, other = [await stack.make("organizations", name=f"given-{n}") for n in "12"]
    given, mate = await stack.add_user("given"), await stack.add_user("mate")
    boss = await stack.add_user("given-boss")
    for number, at, role in (
        (given, mine, "member"),
        (mate, mine, "member"),
        (boss, mine, "admin"),
        (given, other, "execute"),
    ):
        wanted = at["summary_fields"]["object_roles"][f"{role}_role"]["id"]
        done = await stack.client.post(f"/api/v2/users/{number}/roles/", json={"id": wanted})
        assert done.status_code == 204, done.text
    path = f"/api/v2/users/{given}/activity_stream/"
    told = (await stack.as_user("mate").get(path)).json()
    assert {each["object1"] for each in told["results"]} == {"organization"}
    names = {each["summary_fields"]["organization"][0]["name"] for each in told["results"]}
    assert names == {"given-1"}
    assert (await stack.as_user("mate").get("/api/v2/users/1/activity_stream/")).json()[
        "count"
    ] == 0
    for username in ("given", "given-boss"):
        everything = (await stack.as_user(username).get(path)).json()
        assert everything["count"] == len(await entries(stack, path)), username


async def test_settings_are_told_from_and_to(stack: Stack) -> None:
    """A change of a setting is an entry with both values; of a secret one, that it changed."""
    body = {"MAX_FORKS": 17, "LOG_AGGREGATOR_PASSWORD": "hunter-audit-5"}
    await stack.client.patch("/api/v2/settings/all/", json=body)
    await stack.client.delete("/api/v2/settings/jobs/")
    changed, reset = await entries(stack, "/api/v2/activity_stream/?object1=setting")
    assert changed["changes"] == {
        "MAX_FORKS": [200, 17],
        "LOG_AGGREGATOR_PASSWORD": ["hidden", "hidden"],
    }
    assert reset["changes"] == {"MAX_FORKS": [17, 200]}
    assert changed["related"]["setting"] == "/api/v2/settings/all/"
