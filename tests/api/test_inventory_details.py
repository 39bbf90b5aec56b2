"""What hosts, groups and inventories show and lead to, and requests for ad hoc commands on them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.inventories import hosts, inventory, names, refusal
from tests.api.stack import PASSWORD, Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")
HOST_LINKS = {
    *("variable_data", "groups", "all_groups", "job_events", "job_host_summaries"),
    *("activity_stream", "inventory_sources", "smart_inventories", "ad_hoc_commands"),
    *("ad_hoc_command_events", "ansible_facts", "inventory", "created_by", "modified_by"),
    "named_url",
}
GROUP_LINKS = {
    *("variable_data", "hosts", "potential_children", "children", "all_hosts", "job_events"),
    *("job_host_summaries", "activity_stream", "inventory_sources", "ad_hoc_commands"),
    *("inventory", "created_by", "modified_by", "named_url"),
}
INVENTORY_LINKS = {
    *("hosts", "variable_data", "script", "activity_stream", "job_templates", "ad_hoc_commands"),
    *("access_list", "object_roles", "instance_groups", "copy", "labels", "groups", "root_groups"),
    *("update_inventory_sources", "inventory_sources", "tree", "input_inventories"),
    *("organization", "created_by", "modified_by", "named_url"),
}


async def test_links_are_those_of_awx_and_lead_somewhere(stack: Stack) -> None:
    """Each kind has exactly AWX's links, and each of them answers."""
    within = await inventory(stack, "linked")
    host = await stack.make("hosts", name="h", inventory=within["id"])
    group = await stack.make("groups", name="g", inventory=within["id"])
    for made, links in ((within, INVENTORY_LINKS), (host, HOST_LINKS), (group, GROUP_LINKS)):
        assert made["related"].keys() == links
        for url in made["related"].values():
            assert (await stack.client.get(url)).status_code == 200, url


async def test_a_host_tells_its_groups_and_what_it_lacks(stack: Stack) -> None:
    """Five of its groups with their number, no jobs, no facts, and the groups above its own."""
    within = await inventory(stack, "told")
    ids = await hosts(stack, within["id"], "h")
    groups = [await stack.make("groups", name=f"g{n}", inventory=within["id"]) for n in range(7)]
    for group in groups[:6]:
        await stack.client.post(f"{group['url']}hosts/", json={"id": ids["h"]})
    await stack.client.post(f"{groups[6]['url']}children/", json={"id": groups[0]["id"]})
    url = f"/api/v2/hosts/{ids['h']}/"
    shown = (await stack.client.get(url)).json()
    summary = shown["summary_fields"]
    assert (summary["groups"]["count"], len(summary["groups"]["results"])) == (6, 5)
    assert summary["recent_jobs"] == []
    assert (shown["has_active_failures"], shown["has_inventory_sources"]) == (False, False)
    assert (shown["last_job"], shown["ansible_facts_modified"]) == (None, None)
    assert (await stack.client.get(f"{url}ansible_facts/")).json() == {}
    assert await names(stack, f"{url}groups/") == [f"g{n}" for n in range(6)]
    assert await names(stack, f"{url}all_groups/") == [f"g{n}" for n in range(7)]
    assert await names(stack, f"{groups[6]['url']}all_hosts/") == ["h"]
    able = await names(stack, f"{groups[0]['url']}potential_children/")
    assert able == [f"g{n}" for n in range(1, 6)]
    seen = (await stack.client.get(within["url"])).json()
    assert (seen["total_hosts"], seen["total_groups"]) == (1, 7)


async def test_variables_are_replaced_whole(stack: Stack) -> None:
    """PUT and PATCH of variable_data both replace; what is no object is a 400."""
    within = await inventory(stack, "varied", variables="a: 1")
    url = f"{within['url']}variable_data/"
    assert (await stack.client.get(url)).json() == {"a": 1}
    for send, body in ((stack.client.patch, {"b": 2}), (stack.client.put, {"c": 3})):
        assert (await send(url, json=body)).status_code == 200
        assert (await stack.client.get(url)).json() == body
    assert (await stack.client.put(url, json=[1])).status_code == 400
    assert (await stack.client.get(url)).json() == {"c": 3}


async def machine(stack: Stack, name: str, **inputs: Any) -> int:
    """Make a machine credential."""
    body = {"name": name, "credential_type": 1, "organization": 1, "inputs": inputs}
    return int((await stack.make("credentials", **body))["id"])


async def test_an_ad_hoc_command_is_checked_whole(stack: Stack) -> None:
    """Below an inventory, host or group only what is missing is asked for; a good one is there."""
    within = await inventory(stack, "commanded")
    host = await stack.make("hosts", name="h", inventory=within["id"])
    group = await stack.make("groups", name="g", inventory=within["id"])
    credential = await machine(stack, "commander")
    body = {"credential": credential, "module_name": "ping"}
    path = "/api/v2/ad_hoc_commands/"
    for owner, limit in ((within, ""), (host, "h"), (group, "g")):
        made = await stack.client.post(f"{owner['url']}ad_hoc_commands/", json=body)
        assert made.status_code == 201, made.text
        told = made.json()
        assert (told["inventory"], told["limit"]) == (within["id"], limit)
        assert made.headers["location"] == f"{path}{told['ad_hoc_command']}/"
    assert (await stack.client.get(f"{within['url']}ad_hoc_commands/")).json()["count"] == 3
    assert await refusal(stack, path, **body) == {"inventory": ["No valid inventory."]}
    assert await refusal(stack, path, module_name="ping", inventory=within["id"]) == {
        "credential": ["This field cannot be blank."]
    }
    assert await refusal(stack, path, **body, inventory=987654) == {
        "inventory": ['Invalid pk "987654" - object does not exist.']
    }
    asking = await machine(stack, "asking", password="ASK")
    asked = {"inventory": within["id"], "credential": asking, "module_name": "ping"}
    assert await refusal(stack, path, **asked) == {"passwords_needed_to_start": ["ssh_password"]}
    assert (await stack.client.get(path)).json()["count"] == 3
    assert (await stack.client.get(f"{path}987654/")).status_code == 404
    assert (await stack.client.post(f"{path}987654/relaunch/")).status_code == 404
    assert (await stack.client.get("/api/v2/ad_hoc_command_events/1/")).status_code == 404
    choices = (await stack.client.options(path)).json()["actions"]["POST"]["module_name"]["choices"]
    assert ["ping", "ping"] in choices


async def test_modules_are_those_of_the_setting(stack: Stack) -> None:
    """What AD_HOC_COMMANDS does not name is not a valid choice."""
    within = await inventory(stack, "modules")
    credential = await machine(stack, "modules")
    await stack.client.patch("/api/v2/settings/jobs/", json={"AD_HOC_COMMANDS": ["setup"]})
    body = {"inventory": within["id"], "credential": credential, "module_name": "ping"}
    refused = await refusal(stack, "/api/v2/ad_hoc_commands/", **body)
    await stack.client.delete("/api/v2/settings/jobs/")
    assert refused == {"module_name": ['"ping" is not a valid choice.']}


async def test_ad_hoc_commands_need_their_roles(stack: Stack) -> None:
    """Reading an inventory is not enough, nor is running commands on it without the credential."""
    within = await inventory(stack, "roles")
    credential = await machine(stack, "roles")
    number = await stack.add_user("commander")
    await stack.client.post("/api/v2/organizations/1/users/", json={"id": number})
    commander = stack.as_user("commander", PASSWORD)
    roles = within["summary_fields"]["object_roles"]
    body = {"credential": credential, "module_name": "ping"}
    path = f"{within['url']}ad_hoc_commands/"
    assert (await commander.post(path, json=body)).status_code == 403
    for role, status in (("read_role", 403), ("adhoc_role", 403)):
        members = f"/api/v2/roles/{roles[role]['id']}/users/"
        await stack.client.post(members, json={"id": number})
        assert (await commander.post(path, json=body)).status_code == status
    shown = (await stack.client.get(f"/api/v2/credentials/{credential}/")).json()
    use = shown["summary_fields"]["object_roles"]["use_role"]["id"]
    granted = await stack.client.post(f"/api/v2/roles/{use}/users/", json={"id": number})
    assert granted.status_code == 204, granted.text
    made = await commander.post(path, json=body)
    assert made.status_code == 201, made.text
    assert (await commander.get(made.headers["location"])).status_code == 200
