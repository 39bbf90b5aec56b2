"""Instances over HTTP: their health, their groups, and what of receptor there is: nothing."""

from __future__ import annotations

import pytest

from tests.api.instances import add_instance
from tests.api.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_instance_links_to_what_it_has(stack: Stack) -> None:
    """Each link answers; the health check is shown to superuser and auditor alone."""
    number = await add_instance(stack, "linked")
    await stack.add_user("in-auditor", is_system_auditor=True)
    url = f"/api/v2/instances/{number}/"
    shown = (await stack.client.get(url)).json()
    assert set(shown["related"]) == {
        "receptor_addresses",
        "jobs",
        "peers",
        "instance_groups",
        "health_check",
    }
    for path in shown["related"].values():
        assert (await stack.client.get(path)).status_code == 200, path
    audited = (await stack.as_user("in-auditor").get(url)).json()
    assert "health_check" in audited["related"]


async def test_health_is_what_the_runner_last_reported(stack: Stack) -> None:
    """GET shows it, POST says that it needs no asking; a missing instance is 404."""
    number = await add_instance(stack, "healthy")
    url = f"/api/v2/instances/{number}/health_check/"
    found = (await stack.client.get(url)).json()
    assert (found["hostname"], found["errors"], found["cpu"]) == ("healthy", "", "4.0")
    assert found["capacity"] > 0
    asked = await stack.client.post(url)
    assert asked.status_code == 200
    assert asked.json()["msg"].startswith("The runner of healthy reports its health by itself")
    assert (await stack.client.post("/api/v2/instances/healthy/health_check/")).status_code == 200
    await stack.add_user("in-plain")
    assert (await stack.as_user("in-plain").get(url)).status_code == 403
    assert (await stack.as_user("in-plain").post(url)).status_code == 403
    for method in ("GET", "POST"):
        gone = await stack.client.request(method, "/api/v2/instances/999999/health_check/")
        assert gone.status_code == 404, method


async def test_a_group_names_instances_that_are_there(stack: Stack) -> None:
    """By hostname, in a list; what is none is refused in AWX's words."""
    await add_instance(stack, "listed")
    named = await stack.make("instance_groups", name="policy", policy_instance_list=["listed"])
    assert named["policy_instance_list"] == ["listed"]
    for wrong in ("nope", 5, ["listed"], None):
        body = {"policy_instance_list": [wrong]}
        refused = await stack.client.patch(named["url"], json=body)
        text = f"{wrong} is not a valid hostname of an existing instance."
        assert (refused.status_code, refused.json()) == (400, {"policy_instance_list": [text]})
    for listed in ("listed", {"listed": 1}, 5):
        refused = await stack.client.patch(named["url"], json={"policy_instance_list": listed})
        assert refused.status_code == 400, listed


async def test_an_instance_tells_what_of_isolation_works(stack: Stack) -> None:
    """As its runner found it, to who may see the instance; another registration changes it."""
    facts = {"isolation": ("sandbox",), "isolation_lacks": ("container: podman is missing",)}
    number = await add_instance(stack, "boxed", **facts)
    url = f"/api/playlog/instances/{number}/isolation/"
    found = await stack.client.get(url)
    assert found.status_code == 200
    assert found.json() == {"works": ["sandbox"], "lacks": ["container: podman is missing"]}
    await stack.add_user("in-boxed")
    assert (await stack.as_user("in-boxed").get(url)).status_code == 403
    missing = await stack.client.get("/api/playlog/instances/999999/isolation/")
    assert missing.status_code == 404


async def test_a_share_beyond_every_number_is_named(stack: Stack) -> None:
    """What no float holds is refused like any other wrong share, and changes nothing."""
    url = f"/api/v2/instances/{await add_instance(stack, 'shared')}/"
    before = (await stack.client.get(url)).json()
    shares: tuple[object, ...] = (10**400, "nan", 1e308, [], None)
    for share in shares:
        refused = await stack.client.patch(url, json={"capacity_adjustment": share})
        assert refused.status_code == 400, share
        assert list(refused.json()) == ["capacity_adjustment"]
    after = (await stack.client.get(url)).json()
    assert after["capacity_adjustment"] == before["capacity_adjustment"]


async def test_the_registration_decides_about_groups(stack: Stack) -> None:
    """Asking for what is so is 204; asking for anything else says who decides."""
    number = await add_instance(stack, "grouped", ["default"])
    url = f"/api/v2/instances/{number}/instance_groups/"
    [group] = (await stack.client.get(url)).json()["results"]
    other = await stack.make("instance_groups", name="elsewhere")
    inside, outside = {"id": group["id"]}, {"id": other["id"], "disassociate": True}
    for body in (inside, outside):
        answered = await stack.client.post(url, json=body)
        assert (answered.status_code, answered.content) == (204, b"")
    for body in ({"id": other["id"]}, {**inside, "disassociate": True}):
        answered = await stack.client.post(url, json=body)
        assert answered.status_code == 400
        assert "runner registers for" in answered.json()["msg"]
    members = f"/api/v2/instance_groups/{group['id']}/instances/"
    assert (await stack.client.post(members, json={"id": number})).status_code == 204
    elsewhere = f"/api/v2/instance_groups/{other['id']}/instances/"
    answered = await stack.client.post(elsewhere, json={"id": number})
    assert "runner registers for" in answered.json()["msg"]
    after = (await stack.client.get(url)).json()["results"]
    assert [each["id"] for each in after] == [group["id"]]


async def test_bad_bodies_about_groups_are_named(stack: Stack) -> None:
    """Unknown ids, wrong types and missing instances are refused in AWX's words."""
    number = await add_instance(stack, "refusing")
    url = f"/api/v2/instances/{number}/instance_groups/"
    text = '"id" field must be an integer.'
    unknown = {"detail": "InstanceGroup matching query does not exist."}
    sent = [({"id": "x"}, {"msg": text}), ({"id": [1]}, {"msg": text}), ({"id": 987654}, unknown)]
    for body, problem in sent:
        answered = await stack.client.post(url, json=body)
        assert (answered.status_code, answered.json()) == (400, problem)
    gone = await stack.client.post("/api/v2/instances/99999/instance_groups/", json={"id": 1})
    assert gone.status_code == 404
    await stack.add_user("in-member")
    plain = await stack.as_user("in-member").post(url, json={"id": 1})
    assert plain.status_code == 403


async def test_nothing_of_receptor_is_there(stack: Stack) -> None:
    """No addresses, no peers, no bundle: the lists are empty and described all the same."""
    number = await add_instance(stack, "meshless")
    for path in ("receptor_addresses", f"instances/{number}/peers", f"instances/{number}/jobs"):
        found = (await stack.client.get(f"/api/v2/{path}/")).json()
        assert (found["count"], found["results"]) == (0, []), path
    filtered = await stack.client.get("/api/v2/receptor_addresses/", params={"port": 1})
    assert filtered.json()["count"] == 0
    unknown = await stack.client.get("/api/v2/receptor_addresses/", params={"zz": 1})
    assert unknown.json() == {"detail": "ReceptorAddress has no field named 'zz'"}
    for key in ("1", "x", "9" * 30):
        missing = await stack.client.get(f"/api/v2/receptor_addresses/{key}/")
        text = "No ReceptorAddress matches the given query."
        assert (missing.status_code, missing.json()) == (404, {"detail": text}), key
    described = (await stack.client.options("/api/v2/receptor_addresses/")).json()
    assert described["actions"]["GET"]["port"]["type"] == "integer"
    assert described["types"] == ["receptor_address"]
    bundle = await stack.client.get(f"/api/v2/instances/{number}/install_bundle/")
    assert bundle.status_code == 400
    assert "does not make install bundles" in bundle.json()["msg"]
    missing = await stack.client.get("/api/v2/instances/999999/install_bundle/")
    assert missing.status_code == 404
