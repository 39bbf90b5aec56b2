"""Credential types and external credentials over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.shell.job_secrets import job_secrets
from schemas import subjects
from schemas.events.job import JobLaunched
from schemas.work import FieldLookup, Lookup
from tests import vaults
from tests.api.stack import Stack
from tests.vaults import EXPIRED, TOKEN, VaultServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

APP = {"secret_backend": "kv", "secret_path": "app", "secret_key": "password"}
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


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    """A secret store that runs."""
    with vaults.running(tmp_path_factory.mktemp("vault")) as server:
        yield server


async def of_vault(stack: Stack, vault: VaultServer, name: str) -> dict[str, Any]:
    """Make an external credential for the running secret store."""
    return await credential(stack, "hashivault_kv", name, **vault.inputs(token=TOKEN))


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


async def test_a_looked_up_field_shows_what_is_stored_with_its_credential(stack: Stack) -> None:
    """An input source is a row of its own, listed below its target, whose inputs stay as given."""
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
    assert shown["inputs"] == {"username": "me"}
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


async def test_a_job_is_told_how_its_fields_are_looked_up(stack: Stack, vault: VaultServer) -> None:
    """What a runner gets names the store, its login and what to ask; nothing is asked before."""
    source = await of_vault(stack, vault, "runtime-reader")
    target = await credential(stack, "scm", "runtime", username="me", password="s")
    await stack.make(
        "credential_input_sources",
        target_credential=target["id"],
        source_credential=source["id"],
        input_field_name="password",
        metadata=APP,
    )
    project = await stack.make(
        "projects",
        name="runtime",
        organization=1,
        scm_type="git",
        scm_url="http://nowhere/x.git",
        credential=target["id"],
    )
    update = project["summary_fields"]["current_update"]["id"]
    store = stack.services.store
    history = await store.load(subjects.job(update))
    launched = history[0].events[0]
    assert isinstance(launched, JobLaunched)
    told, *_ = (await job_secrets(store, stack.services.vault, launched)).credentials
    assert (told.namespace, told.inputs["username"]) == ("scm", "me")
    (asked,) = told.lookups
    inputs = vault.inputs(token=TOKEN)
    assert asked == FieldLookup(
        field="password",
        source="runtime-reader",
        lookup=Lookup(store="hashivault_kv", inputs=inputs, metadata=APP),
    )
    assert vault.asked == []
    assert (await stack.client.delete(source["url"])).status_code == 204
    told, *_ = (await job_secrets(store, stack.services.vault, launched)).credentials
    assert told.lookups == ()


async def test_a_lookup_is_tried_with_saved_inputs(stack: Stack, vault: VaultServer) -> None:
    """POST test/ really asks; it says whether there is something, and why not, but never what."""
    source = await of_vault(stack, vault, "tested")
    url = f"{source['url']}test/"
    assert (await stack.client.get(url)).json() == {}
    found = await stack.client.post(url, json={"metadata": APP})
    assert (found.status_code, found.json()) == (202, {})
    assert vault.asked[-1] == ("GET", "/v1/kv/data/app")

    async def why(**body: Any) -> Any:
        answered = await stack.client.post(url, json={"metadata": APP, **body})
        assert answered.status_code == 400, answered.text
        return answered.json()

    assert await why(metadata={**APP, "secret_key": "nope"}) == {
        "inputs": "the secret 'app' has no key 'nope'"
    }
    refused = "refused the token: it is wrong, has expired, or may not do this (HTTP 403)"
    assert await why(inputs={"token": EXPIRED}) == {"inputs": f"{vault.url} {refused}"}
    assert await why(inputs={"cacert": ""}) == {
        "inputs": (
            f"{vault.url} cannot be reached: its certificate is not trusted (self-signed"
            " certificate in certificate chain)"
        )
    }
    assert await why(inputs=[1]) == {"inputs": "list provided, expected dict"}
    assert await why(metadata={**APP, "secret_version": 3}) == {
        "metadata": {"secret_version": ["3 is not of type 'string'"]}
    }
    assert await why(metadata={"zz": "a"}) == {
        "metadata": "Additional properties are not allowed ('zz' was unexpected)"
    }
    assert await why(inputs={"url": "file:///etc/passwd"}) == {
        "inputs": "its URL is not usable: it must begin with https:// and name a host"
    }
    other = await credential(stack, "ssh", "untestable", username="me")
    answered = await stack.client.post(f"{other['url']}test/", json={})
    assert answered.json() == {"inputs": "Only external credentials can be tested."}
    assert (await stack.client.get("/api/v2/credentials/987654/test/")).status_code == 404


async def test_nobody_sends_a_secret_or_a_request_where_they_like(
    stack: Stack, vault: VaultServer
) -> None:
    """Who may use a credential tries it as it is; who may make none tries no values of theirs."""
    source = await of_vault(stack, vault, "guarded")
    user = await stack.add_user("prober")
    prober = stack.as_user("prober")
    url, kind = f"{source['url']}test/", source["credential_type"]
    alone = f"/api/v2/credential_types/{kind}/test/"
    body = {"inputs": vault.inputs(token=TOKEN), "metadata": APP}
    asked = len(vault.asked)
    assert (await prober.post(url, json={"metadata": APP})).status_code == 403
    assert (await prober.post(alone, json=body)).status_code == 403
    role = source["summary_fields"]["object_roles"]["use_role"]["id"]
    for path, number in (("organizations/1/users/", user), (f"users/{user}/roles/", role)):
        given = await stack.client.post(f"/api/v2/{path}", json={"id": number})
        assert given.status_code == 204, given.text
    assert (await prober.post(url, json=body)).status_code == 403
    assert len(vault.asked) == asked
    hidden = {"metadata": APP, "inputs": {"token": "$encrypted$"}}
    assert (await prober.post(url, json=hidden)).status_code == 202
    assert (await stack.client.post(alone, json=body)).status_code == 202


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
    assert made["inputs"] == {"username": "me"}
    rows = (await stack.client.get(made["related"]["input_sources"])).json()["results"]
    assert [(row["source_credential"], row["metadata"]) for row in rows] == [
        (source["id"], metadata)
    ]
