"""The service index: the same organizations, teams and users, under their ansible ids."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from controlplane.api.resource_ids import ansible_id, named_by
from tests.api.stack import PASSWORD, Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = "/api/v2/service-index/"
RESOURCES = f"{ROOT}resources/"


def _of(made: dict[str, Any]) -> str:
    """Return the ansible id that an object shows."""
    name: str = made["summary_fields"]["resource"]["ansible_id"]
    return name


async def test_an_ansible_id_names_its_object_and_no_other() -> None:
    """It is a UUID that leads back; another installation's, or any other, leads nowhere."""
    here, there = str(uuid.UUID(int=7 << 100)), str(uuid.UUID(int=8 << 100))
    name = ansible_id(here, "team", 41)
    assert uuid.UUID(name).version == 8
    assert named_by(here, name) == ("team", 41)
    assert named_by(here, name.upper()) == ("team", 41)
    assert named_by(there, name) is None
    assert named_by(here, ansible_id(here, "user", 41)) == ("user", 41)
    for text in ("", "41", here, str(uuid.UUID(int=0)), "x" * 36, name[:-1]):
        assert named_by(here, text) is None, text


async def test_objects_show_what_other_services_call_them(stack: Stack) -> None:
    """Organization, team and user carry it; a kind that is not shared does not."""
    organization = await stack.make("organizations", name="si-org")
    team = await stack.make("teams", name="si-team", organization=organization["id"])
    user = (await stack.client.get("/api/v2/users/1/")).json()
    for made, kind in ((organization, "organization"), (team, "team"), (user, "user")):
        resource = made["summary_fields"]["resource"]
        assert resource["resource_type"] == f"shared.{kind}"
        found = (await stack.client.get(f"{RESOURCES}{resource['ansible_id']}/")).json()
        assert (found["object_id"], found["resource_type"]) == (
            str(made["id"]),
            f"shared.{kind}",
        )
    inventory = await stack.make("inventories", name="si-inv", organization=organization["id"])
    assert "resource" not in inventory["summary_fields"]
    listed = (await stack.client.get("/api/v2/teams/", params={"name": "si-team"})).json()
    assert _of(listed["results"][0]) == _of(team)


async def test_the_root_says_who_this_is(stack: Stack) -> None:
    """The service id is the installation's."""
    assert (await stack.client.get(ROOT)).json() == {
        "metadata": f"{ROOT}metadata/",
        "resources": RESOURCES,
        "resource-types": f"{ROOT}resource-types/",
    }
    ping = (await stack.client.get("/api/v2/ping/")).json()
    found = (await stack.client.get(f"{ROOT}metadata/")).json()
    assert found == {"service_id": ping["install_uuid"], "service_type": "awx"}
    root = (await stack.client.get("/api/v2/")).json()
    assert root["service_index"] == ROOT
    names = list(root)
    assert names[names.index("bulk") + 1 :][:2] == ["analytics", "service_index"]


async def test_resources_are_listed_and_filtered(stack: Stack) -> None:
    """By type, by name and by ansible id; an unknown field is a 400."""
    made = await stack.make("organizations", name="si-listed", description="d")
    name = _of(made)
    found = (await stack.client.get(RESOURCES, params={"ansible_id": name})).json()
    assert found["count"] == 1
    row = found["results"][0]
    assert (row["name"], row["ansible_id"], row["has_serializer"]) == ("si-listed", name, True)
    assert row["url"] == f"{RESOURCES}{name}/"
    nothing = await stack.client.get(RESOURCES, params={"ansible_id": str(uuid.UUID(int=3))})
    assert nothing.json()["count"] == 0
    long = {"content_type__resource_type__name": "shared.organization", "name": "si-listed"}
    assert (await stack.client.get(RESOURCES, params=long)).json()["count"] == 1
    users = (await stack.client.get(RESOURCES, params={"resource_type": "shared.user"})).json()
    assert {each["resource_type"] for each in users["results"]} == {"shared.user"}
    refused = await stack.client.get(RESOURCES, params={"zz": "1"})
    assert refused.json() == {"detail": "Resource has no field named 'zz'"}


async def test_a_resource_is_created_changed_and_deleted(stack: Stack) -> None:
    """What is done to a resource is done to its object."""
    organization = await stack.make("organizations", name="si-owner")
    body = {
        "resource_type": "shared.team",
        "resource_data": {"name": "si-made", "organization": _of(organization)},
    }
    answered = await stack.client.post(RESOURCES, json=body)
    assert answered.status_code == 201, answered.text
    made = answered.json()
    assert made["resource_data"]["organization"] == _of(organization)
    team = (await stack.client.get(f"/api/v2/teams/{made['object_id']}/")).json()
    assert (team["name"], team["organization"]) == ("si-made", organization["id"])
    changed = await stack.client.patch(made["url"], json={"resource_data": {"description": "x"}})
    assert (changed.status_code, changed.json()["resource_data"]["description"]) == (200, "x")
    replaced = await stack.client.put(made["url"], json={"resource_data": {"description": "y"}})
    assert replaced.status_code == 400
    assert replaced.json()["name"] == ["This field is required."]
    assert (await stack.client.delete(made["url"])).status_code == 204
    assert (await stack.client.get(made["url"])).status_code == 404
    assert (await stack.client.get(team["url"])).status_code == 404


async def test_a_shared_user_cannot_log_in_by_password(stack: Stack) -> None:
    """The user exists, and nobody was told a password."""
    data = {"username": "si-user", "email": "si@example.com"}
    body = {"resource_type": "shared.user", "resource_data": data}
    answered = await stack.client.post(RESOURCES, json=body)
    assert answered.status_code == 201
    assert answered.json()["resource_data"]["email"] == "si@example.com"
    assert "password" not in answered.text
    found = await stack.client.get("/api/v2/users/", params={"username": "si-user"})
    assert found.json()["count"] == 1


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, {"resource_type": ["This field is required."]}),
        ({"resource_type": "shared.x"}, {"resource_type": ['"shared.x" is not a valid choice.']}),
        ({"resource_type": ["a"]}, {"resource_type": ["\"['a']\" is not a valid choice."]}),
        ({"resource_type": "shared.team"}, {"resource_data": ["This field is required."]}),
        (
            {"resource_type": "shared.team", "resource_data": [1]},
            {"resource_data": ["Value must be a JSON object."]},
        ),
        (
            {"resource_type": "shared.team", "resource_data": {"name": "x", "organization": 1}},
            {"organization": ['Invalid ansible_id "1" - object does not exist.']},
        ),
        (
            {"resource_type": "shared.organization", "resource_data": {}},
            {"name": ["This field is required."]},
        ),
    ],
)
async def test_a_bad_resource_is_named(
    stack: Stack, body: dict[str, Any], problem: dict[str, Any]
) -> None:
    """What is missing or wrong is a 400 under its name."""
    answered = await stack.client.post(RESOURCES, json=body)
    assert (answered.status_code, answered.json()) == (400, problem)


async def test_an_ansible_id_cannot_be_chosen(stack: Stack) -> None:
    """It follows from the object, so one in a body is refused rather than lost."""
    body = {
        "resource_type": "shared.organization",
        "ansible_id": str(uuid.UUID(int=1)),
        "resource_data": {"name": "si-chosen"},
    }
    answered = await stack.client.post(RESOURCES, json=body)
    assert "cannot be chosen" in answered.json()["ansible_id"][0]
    found = await stack.client.get("/api/v2/organizations/", params={"name": "si-chosen"})
    assert found.json()["count"] == 0


async def test_types_and_manifests(stack: Stack) -> None:
    """Each type lists its ansible ids, with a digest that changes with the shared data alone."""
    types = (await stack.client.get(f"{ROOT}resource-types/")).json()
    names = [each["name"] for each in types["results"]]
    assert names == ["shared.organization", "shared.team", "shared.user"]
    one = (await stack.client.get(types["results"][0]["url"])).json()
    assert one == types["results"][0]
    made = await stack.make("organizations", name="si-hashed")
    url = f"{ROOT}resource-types/shared.organization/manifest/"

    async def digest() -> str:
        answered = await stack.client.get(url)
        assert answered.headers["content-type"].startswith("text/csv")
        head, *lines = answered.text.split()
        assert head == "ansible_id,resource_hash"
        return dict(line.split(",") for line in lines)[_of(made)]

    before = await digest()
    await stack.client.patch(made["url"], json={"max_hosts": 5})
    assert await digest() == before
    await stack.client.patch(made["url"], json={"description": "changed"})
    assert await digest() != before
    for path in ("shared.x/", "shared.x/manifest/"):
        assert (await stack.client.get(f"{ROOT}resource-types/{path}")).status_code == 404


async def test_a_password_is_checked_for_another_service(stack: Stack) -> None:
    """The right one is answered with the user's ansible id, any other with 401."""
    number = await stack.add_user("si-local")
    url = f"{ROOT}validate-local-account/"
    body = {"username": "si-local", "password": PASSWORD}
    user = (await stack.client.get(f"/api/v2/users/{number}/")).json()
    right = await stack.client.post(url, json=body)
    assert (right.status_code, right.json()) == (200, {"ansible_id": _of(user), "auth_code": None})
    for wrong in ({**body, "password": "x"}, {**body, "username": "nobody\x00"}):
        answered = await stack.client.post(url, json=wrong)
        text = "Invalid username or password."
        assert (answered.status_code, answered.json()) == (401, {"detail": text})
    surrogate = b'{"username": "nobody\\ud800", "password": "\\ud800"}'
    headers = {"Content-Type": "application/json"}
    refused = await stack.client.post(url, content=surrogate, headers=headers)
    assert (refused.status_code, refused.json()) == (401, {"detail": text})
    lacking = await stack.client.post(url, json={"username": 5})
    assert lacking.json() == {
        "username": ["Not a valid string."],
        "password": ["This field is required."],
    }


async def test_the_index_is_for_superuser_and_auditor(stack: Stack) -> None:
    """The auditor reads; a plain user sees who this is and nothing more."""
    await stack.add_user("si-plain")
    await stack.add_user("si-auditor", is_system_auditor=True)
    plain, auditor = stack.as_user("si-plain"), stack.as_user("si-auditor")
    user = (await stack.client.get("/api/v2/users/1/")).json()
    one = f"{RESOURCES}{_of(user)}/"
    for path in (RESOURCES, one, f"{ROOT}resource-types/"):
        assert (await auditor.get(path)).status_code == 200, path
        assert (await plain.get(path)).status_code == 403, path
        assert (await stack.anonymous().get(path)).status_code == 401, path
    for client in (plain, auditor):
        assert (await client.post(RESOURCES, json={})).status_code == 403
        assert (await client.patch(one, json={})).status_code == 403
        assert (await client.put(one, json={})).status_code == 403
        assert (await client.delete(one)).status_code == 403
        checked = await client.post(f"{ROOT}validate-local-account/", json={})
        assert checked.status_code == 403
    assert (await plain.get(f"{ROOT}metadata/")).status_code == 200
    assert (await stack.client.get("/api/v2/users/1/")).status_code == 200
