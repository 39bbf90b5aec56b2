"""Inventory sources over HTTP, and the launches of their updates."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.inventories import inventory, names, refusal
from tests.api.stack import PASSWORD, Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH = "/api/v2/inventory_sources/"


async def credential(stack: Stack, namespace: str, name: str) -> int:
    """Make a credential of a built-in type."""
    found = await stack.client.get(f"/api/v2/credential_types/?namespace={namespace}")
    kind = found.json()["results"][0]["id"]
    made = await stack.make("credentials", name=name, credential_type=kind, organization=1)
    return int(made["id"])


async def project(stack: Stack, name: str, **more: Any) -> int:
    """Make a project."""
    return int((await stack.make("projects", name=name, organization=1, **more))["id"])


async def test_a_source_is_made_read_changed_and_deleted(stack: Stack) -> None:
    """A source shows its inventory, organization, credential and that it never ran."""
    within = await inventory(stack, "sourced")
    aws = await credential(stack, "aws", "sourced-aws")
    made = await stack.make(
        "inventory_sources", name="cloud", inventory=within["id"], source="ec2", credential=aws
    )
    assert (made["status"], made["last_job_run"], made["credential"]) == (
        "never updated",
        None,
        aws,
    )
    summary = made["summary_fields"]
    assert summary["inventory"]["id"] == within["id"]
    assert summary["organization"]["id"] == 1
    assert [each["kind"] for each in summary["credentials"]] == ["aws"]
    assert summary["user_capabilities"] == dict.fromkeys(
        ("edit", "delete", "start", "schedule"), True
    )
    assert {"update", "schedules", "credentials", "notification_templates_error"} <= made[
        "related"
    ].keys()
    seen = (await stack.client.get(within["url"])).json()
    assert (seen["total_inventory_sources"], seen["has_inventory_sources"]) == (1, True)
    other = await inventory(stack, "sourced-elsewhere")
    body = {"inventory": other["id"], "overwrite": True, "update_on_launch": True}
    changed = await stack.client.patch(made["url"], json=body)
    assert (changed.json()["inventory"], changed.json()["overwrite"]) == (within["id"], True)
    assert "warning" not in changed.headers
    refused = await refusal(stack, PATH, name="cloud", inventory=within["id"], source="ec2")
    text = "InventorySource with this (name, inventory) combination already exists."
    assert refused == {"__all__": [text]}
    assert (await stack.client.delete(made["url"])).status_code == 204
    seen = (await stack.client.get(within["url"])).json()
    assert (seen["total_inventory_sources"], seen["has_inventory_sources"]) == (0, False)


async def test_a_source_is_found_by_its_inventorys_organization(stack: Stack) -> None:
    """In its own list and in that of all templates, also after the inventory has moved."""
    within = await inventory(stack, "organized")
    moved = await stack.make("organizations", name="sourced-org")
    await stack.make("inventory_sources", name="found", inventory=within["id"], source="ec2")
    for home, other in ((1, moved["id"]), (moved["id"], 1)):
        await stack.client.patch(within["url"], json={"organization": home})
        for path in (f"{PATH}?", "/api/v2/unified_job_templates/?type=inventory_source&"):
            for name in ("organization", "organization__id"):
                query = f"{path}name=found&{name}="
                assert await names(stack, f"{query}{home}") == ["found"], query
                assert await names(stack, f"{query}{other}") == [], query


async def test_what_a_source_needs_depends_on_where_it_looks(stack: Stack) -> None:
    """Project, path, branch and credential are checked in AWX's words."""
    within = (await inventory(stack, "checked"))["id"]
    manual = await project(stack, "manual-of-sources")
    scm = await project(stack, "scm-of-sources", scm_type="git", scm_url="http://nowhere/x.git")
    machine = await credential(stack, "ssh", "checked-ssh")
    vault = await credential(stack, "vault", "checked-vault")

    async def refused(source: str, **more: Any) -> Any:
        return await refusal(stack, PATH, name="n", inventory=within, source=source, **more)

    assert await refused("scm") == {"source_project": ["Project required for scm type sources."]}
    assert await refused("scm", source_project=manual) == {
        "source_project": ["Cannot use manual project for SCM-based inventory."]
    }
    assert await refused("scm", source_project=scm, scm_branch="b") == {
        "scm_branch": ["Project does not allow overriding branch."]
    }
    assert await refused("scm", source_project=scm, credential=vault) == {
        "credential": [
            "Credentials of type insights and vault are disallowed for scm inventory sources."
        ]
    }
    assert await refused("ec2", source_path="x") == {
        "detail": ["Cannot set source_path if not SCM type."]
    }
    assert await refused("ec2", credential=machine) == {
        "credential": [
            (
                "Cloud-based inventory sources (such as ec2) require credentials for the matching"
                " cloud service."
            )
        ]
    }
    assert await refused("gce") == {"credential": ["Credential is required for a cloud source."]}
    assert await refused("constructed") == {
        "error": ["constructed not a valid source for inventory"]
    }
    assert await refused("rhv_supported") == {"source": ['"rhv_supported" is not a valid choice.']}
    assert await refused("ec2", source_vars="HOME: x") == {
        "source_vars": ["`HOME` is a prohibited environment variable"]
    }
    assert "source_vars" in await refused("ec2", source_vars="- x")
    assert await refused("ec2", credential=987654) == {
        "credential": ['Invalid pk "987654" - object does not exist.']
    }
    made = await stack.make(
        "inventory_sources", name="scm", inventory=within, source="scm", source_project=scm
    )
    assert await names(stack, f"/api/v2/projects/{scm}/scm_inventory_sources/") == [made["name"]]
    assert await names(stack, f"/api/v2/unified_job_templates/?id={made['id']}") == ["scm"]


async def test_a_source_has_one_credential(stack: Stack) -> None:
    """The list of credentials holds the field's one; a second is refused."""
    within = await inventory(stack, "credited")
    first = await credential(stack, "aws", "credited-1")
    second = await credential(stack, "aws", "credited-2")
    machine = await credential(stack, "ssh", "credited-ssh")
    made = await stack.make("inventory_sources", name="s", inventory=within["id"], source="ec2")
    path = f"{made['url']}credentials/"
    assert "msg" in await refusal(stack, path, id=machine)
    for _ in range(2):
        assert (await stack.client.post(path, json={"id": first})).status_code == 204
    assert await refusal(stack, path, id=second) == {
        "msg": "Source already has credential assigned."
    }
    assert (await stack.client.get(made["url"])).json()["credential"] == first
    assert await names(stack, path) == ["credited-1"]
    for gone in (second, first, first):
        answered = await stack.client.post(path, json={"id": gone, "disassociate": True})
        assert answered.status_code == 204
    assert (await stack.client.get(made["url"])).json()["credential"] is None
    assert await names(stack, path) == []


async def test_all_sources_are_updated_once_for_a_key(stack: Stack) -> None:
    """The same request again is told of the same updates; another one may not take its key."""
    within = await inventory(stack, "keyed")
    other = await inventory(stack, "keyed too")
    for name, holder in (("one", within), ("two", within), ("three", other)):
        await stack.make("inventory_sources", name=name, inventory=holder["id"], source="ec2")
    key = {"Idempotency-Key": "all sources"}
    path = f"{within['url']}update_inventory_sources/"
    first, second = [await stack.client.post(path, json={}, headers=key) for _ in range(2)]
    assert (first.status_code, second.status_code) == (200, 200)
    told = [[row["inventory_update"] for row in each.json()] for each in (first, second)]
    assert len(set(told[0])) == 2
    assert told[0] == told[1]
    assert [each.headers.get("Idempotent-Replayed") for each in (first, second)] == [None, "true"]
    elsewhere = f"{other['url']}update_inventory_sources/"
    assert (await stack.client.post(elsewhere, json={}, headers=key)).status_code == 422
    made = await stack.client.get("/api/v2/inventory_updates/", params={"inventory": other["id"]})
    assert made.json()["count"] == 0


async def test_an_update_is_launched_where_it_can_be(stack: Stack) -> None:
    """The update is there with what its source says; what cannot be updated refuses."""
    within = await inventory(stack, "updated")
    update = f"{within['url']}update_inventory_sources/"
    assert await refusal(stack, update) == {"detail": "No inventory sources to update."}
    made = await stack.make(
        "inventory_sources", name="s", inventory=within["id"], source="ec2", source_vars="a: b"
    )
    assert (await stack.client.get(f"{made['url']}update/")).json() == {"can_update": True}
    answered = await stack.client.post(f"{made['url']}update/", json={})
    first = answered.json()
    assert (answered.status_code, first["type"], first["name"]) == (
        202,
        "inventory_update",
        "updated - s",
    )
    assert (first["status"], first["launch_type"], first["source_vars"]) == (
        "pending",
        "manual",
        "a: b",
    )
    assert answered.headers["location"] == f"/api/v2/inventory_updates/{first['id']}/"
    file = await stack.make("inventory_sources", name="f", inventory=within["id"], source="file")
    assert (await stack.client.get(f"{file['url']}update/")).json() == {"can_update": False}
    assert (await stack.client.post(f"{file['url']}update/", json={})).status_code == 405
    assert (await stack.client.get(update)).json() == [
        {"inventory_source": file["id"], "can_update": False},
        {"inventory_source": made["id"], "can_update": True},
    ]
    answered = await stack.client.post(update, json={})
    assert answered.status_code == 202
    refused, started = answered.json()
    assert (refused["inventory_source"], started["status"]) == (file["id"], "started")
    assert refused["status"] == "Could not start because `can_update` returned False"
    second = started["inventory_update"]
    path = f"{made['url']}inventory_updates/?order_by=id"
    assert [row["id"] for row in (await stack.client.get(path)).json()["results"]] == [
        first["id"],
        second,
    ]
    shown = (await stack.client.get(made["url"])).json()
    assert (shown["status"], shown["summary_fields"]["last_job"]["id"]) == ("pending", second)
    assert await names(stack, f"/api/v2/inventory_updates/{second}/credentials/") == []
    for path in ("hosts", "groups", "schedules"):
        assert await names(stack, f"{made['url']}{path}/") == []
    for path in ("hosts", "groups"):
        assert (await stack.client.delete(f"{made['url']}{path}/")).status_code == 204
    for number in (first["id"], second):
        url = f"/api/v2/inventory_updates/{number}/"
        assert (await stack.client.post(f"{url}cancel/", json={})).status_code == 202
        assert (await stack.client.get(url)).json()["status"] == "canceled"
    assert (await stack.client.get("/api/v2/inventory_updates/?zz=1")).status_code == 400
    for path in ("", "cancel/", "stdout/", "events/", "credentials/", "notifications/"):
        answered = await stack.client.get(f"/api/v2/inventory_updates/999999/{path}")
        assert answered.status_code == 404


async def test_rights_come_from_the_inventory(stack: Stack) -> None:
    """Readers read, updaters start, admins change; others see nothing."""
    within = await inventory(stack, "rights")
    made = await stack.make("inventory_sources", name="s", inventory=within["id"], source="ec2")
    number = await stack.add_user("source-reader")
    reader = stack.as_user("source-reader", PASSWORD)
    assert (await reader.get(made["url"])).status_code == 403
    roles = within["summary_fields"]["object_roles"]
    await stack.client.post(f"/api/v2/roles/{roles['read_role']['id']}/users/", json={"id": number})
    shown = (await reader.get(made["url"])).json()
    assert shown["summary_fields"]["user_capabilities"] == dict.fromkeys(
        ("edit", "delete", "start", "schedule"), False
    )
    assert (await reader.patch(made["url"], json={"limit": "x"})).status_code == 403
    assert (await reader.post(f"{made['url']}update/", json={})).status_code == 403
    body = {"name": "t", "inventory": within["id"], "source": "ec2"}
    assert (await reader.post(PATH, json=body)).status_code == 403
    role = roles["update_role"]["id"]
    await stack.client.post(f"/api/v2/roles/{role}/users/", json={"id": number})
    assert (await reader.post(f"{made['url']}update/", json={})).status_code == 202
