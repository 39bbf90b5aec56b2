"""Credential types and external credentials over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from controlplane.shell.resource_fold import is_looked_up
from tests.api.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

TYPES = Path(__file__).parents[2] / "schemas/resources/builtin_credential_types.json"


async def type_id(stack: Stack, namespace: str) -> int:
    """Return the id of a built-in credential type."""
    found = await stack.client.get(f"/api/v2/credential_types/?namespace={namespace}")
    return int(found.json()["results"][0]["id"])


async def credential(stack: Stack, namespace: str, name: str, **inputs: Any) -> dict[str, Any]:
    """Make a credential of a built-in type in the default organization."""
    kind = await type_id(stack, namespace)
    body = {"name": name, "credential_type": kind, "organization": 1, "inputs": inputs}
    return await stack.make("credentials", **body)


async def vault_reader(stack: Stack, name: str) -> dict[str, Any]:
    """Make an external credential that looks secrets up."""
    return await credential(stack, "hashivault_kv", name, url="http://vault", token="t")


async def test_builtin_types_are_those_of_the_contract(stack: Stack) -> None:
    """All thirty are there, with AWX's ids, kinds, fields and templates."""
    rows = (await stack.client.get("/api/v2/credential_types/?order_by=id&page_size=200")).json()
    keys = ("name", "namespace", "kind", "inputs", "injectors")
    shown = [{key: row[key] for key in keys} for row in rows["results"] if row["managed"]]
    assert shown == json.loads(TYPES.read_text())
    assert [row["id"] for row in rows["results"]][:30] == list(range(1, 31))


async def test_bad_templates_of_a_type_are_refused(stack: Stack) -> None:
    """A custom type whose template uses a field that it lacks is a 400 and is not stored."""
    body = {"name": "bad", "kind": "cloud", "injectors": {"env": {"X": "{{ b }}"}}}
    answered = await stack.client.post("/api/v2/credential_types/", json=body)
    assert answered.status_code == 400
    assert answered.json() == {"injectors": ["X uses an undefined field ('b' is undefined)"]}
    assert (await stack.client.get("/api/v2/credential_types/?name=bad")).json()["count"] == 0


async def test_fields_that_depend_on_one_another_are_checked(stack: Stack) -> None:
    """A network credential's authorize password needs authorize."""
    kind = await type_id(stack, "net")
    body = {
        "name": "net",
        "credential_type": kind,
        "organization": 1,
        "inputs": {"username": "u", "authorize_password": "p"},
    }
    answered = await stack.client.post("/api/v2/credentials/", json=body)
    assert answered.status_code == 400
    text = 'cannot be set unless "Authorize" is set'
    assert answered.json() == {"inputs": {"authorize_password": [text]}}


async def test_a_looked_up_field_shows_as_encrypted(stack: Stack) -> None:
    """An input source is a row of its own, listed below its target, whose field hides its value."""
    source = await vault_reader(stack, "reader")
    target = await credential(stack, "ssh", "looked-up", username="me")
    body = {
        "input_field_name": "password",
        "source_credential": source["id"],
        "metadata": {"secret_path": "p", "secret_key": "k"},
    }
    made = await stack.client.post(target["related"]["input_sources"], json=body)
    assert made.status_code == 201
    row = made.json()
    assert row["target_credential"] == target["id"]
    assert row["metadata"] == body["metadata"]
    assert row["summary_fields"]["source_credential"]["kind"] == "hashivault_kv"
    assert row["summary_fields"]["user_capabilities"] == {"delete": True}
    listed = (await stack.client.get(target["related"]["input_sources"])).json()
    assert [each["id"] for each in listed["results"]] == [row["id"]]
    shown = (await stack.client.get(target["url"])).json()
    assert shown["inputs"] == {"username": "me", "password": "$encrypted$"}
    twice = await stack.client.post(target["related"]["input_sources"], json=body)
    assert twice.json() == {
        "__all__": [
            (
                "Credential input source with this Target credential and Input field name"
                " already exists."
            )
        ]
    }
    assert (await stack.client.delete(row["url"])).status_code == 204
    assert (await stack.client.get(target["url"])).json()["inputs"] == {"username": "me"}


async def test_input_sources_are_checked(stack: Stack) -> None:
    """Which credential looks up, what, and with which metadata, in AWX's words."""
    source = await vault_reader(stack, "checker")
    target = await credential(stack, "vault", "checked", vault_password="x")
    base = {"target_credential": target["id"], "source_credential": source["id"]}
    path = "/api/v2/credential_input_sources/"
    metadata = {"secret_path": "p", "secret_key": "k"}

    async def refused(**body: Any) -> Any:
        answered = await stack.client.post(path, json={**base, "metadata": metadata, **body})
        assert answered.status_code == 400, answered.text
        return answered.json()

    assert await refused(input_field_name="nope") == {
        "input_field_name": [
            (
                "Input field must be defined on target credential (options are vault_id,"
                " vault_password)."
            )
        ]
    }
    assert await refused(input_field_name="vault_id", source_credential=target["id"]) == {
        "source_credential": ["Source must be an external credential"]
    }
    assert "target_credential" in await refused(
        input_field_name="token", target_credential=source["id"]
    )
    assert await refused(input_field_name="vault_id", metadata={"zz": 1}) == {
        "metadata": ["Additional properties are not allowed ('zz' was unexpected)"]
    }
    assert await refused(input_field_name="vault_id", metadata={"secret_path": 5}) == {
        "metadata": {
            "secret_path": ["5 is not of type 'string'"],
            "secret_key": ["required for HashiCorp Vault Secret Lookup"],
        }
    }
    assert await refused(input_field_name="vault_id", metadata=[]) == {
        "metadata": ["list provided, expected dict"]
    }
    assert "target_credential" in await refused(input_field_name="x", target_credential=987654)


async def test_input_sources_need_rights_on_both_credentials(stack: Stack) -> None:
    """Who may not administer the target gets 403, and does not see its sources."""
    await stack.add_user("stranger")
    stranger = stack.as_user("stranger")
    source = await vault_reader(stack, "private-reader")
    target = await credential(stack, "ssh", "private", username="me")
    body = {
        "target_credential": target["id"],
        "source_credential": source["id"],
        "input_field_name": "password",
        "metadata": {"secret_path": "p", "secret_key": "k"},
    }
    path = "/api/v2/credential_input_sources/"
    assert (await stranger.post(path, json=body)).status_code == 403
    row = await stack.make("credential_input_sources", **body)
    assert (await stranger.get(row["url"])).status_code == 403
    assert (await stranger.delete(row["url"])).status_code == 403
    assert (await stranger.get(path)).json()["count"] == 0
    assert (await stack.client.get(row["url"])).status_code == 200


async def test_nothing_runs_with_a_secret_that_would_be_looked_up(stack: Stack) -> None:
    """A project whose credential has an input source is not updated, and says why."""
    source = await vault_reader(stack, "runtime-reader")
    target = await credential(stack, "scm", "runtime", username="me")
    await stack.make(
        "credential_input_sources",
        target_credential=target["id"],
        source_credential=source["id"],
        input_field_name="password",
        metadata={"secret_path": "p", "secret_key": "k"},
    )
    project = await stack.make(
        "projects",
        name="runtime",
        organization=1,
        scm_type="git",
        scm_url="http://nowhere/x.git",
        credential=target["id"],
    )
    assert project["status"] == "never updated"
    assert await is_looked_up(stack.services.store, target["id"])
    assert not await is_looked_up(stack.services.store, source["id"])
    answered = await stack.client.post(f"{project['url']}update/", json={})
    assert answered.status_code == 400
    assert answered.json() == {"detail": "Playlog does not look up external credentials yet."}


async def test_testing_a_lookup_says_that_nothing_is_looked_up(stack: Stack) -> None:
    """POST test/ answers 400 instead of pretending, whatever the kind."""
    source = await vault_reader(stack, "tested")
    other = await credential(stack, "ssh", "untestable", username="me")
    for url in (
        f"{source['url']}test/",
        f"/api/v2/credential_types/{source['credential_type']}/test/",
    ):
        assert (await stack.client.get(url)).json() == {}
        answered = await stack.client.post(url, json={"metadata": {}})
        assert answered.status_code == 400
        text = "Playlog does not look up external credentials yet."
        assert answered.json() == {"inputs": text}
    answered = await stack.client.post(f"{other['url']}test/", json={})
    assert answered.json() == {"inputs": "Only external credentials can be tested."}
    assert (await stack.client.get("/api/v2/credentials/987654/test/")).status_code == 404


async def test_a_copy_is_looked_up_like_its_original(stack: Stack) -> None:
    """Copying a credential copies its input sources, so that no copy lacks its secret."""
    source = await vault_reader(stack, "copied-reader")
    target = await credential(stack, "ssh", "original", username="me")
    metadata = {"secret_path": "p", "secret_key": "k"}
    await stack.make(
        "credential_input_sources",
        target_credential=target["id"],
        source_credential=source["id"],
        input_field_name="password",
        metadata=metadata,
    )
    copied = await stack.client.post(f"{target['url']}copy/", json={"name": "copy"})
    assert copied.status_code == 201, copied.text
    made = copied.json()
    assert made["inputs"] == {"username": "me", "password": "$encrypted$"}
    rows = (await stack.client.get(made["related"]["input_sources"])).json()["results"]
    assert [(row["source_credential"], row["metadata"]) for row in rows] == [
        (source["id"], metadata)
    ]
    assert await is_looked_up(stack.services.store, made["id"])
