"""Smart inventories: hosts by a filter, wherever inventories show hosts."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest

from controlplane.api.writes import context_of
from controlplane.shell.inventory_content import inventory_content
from controlplane.shell.known_facts import known_facts
from ops import clock
from schemas import subjects
from schemas.envelope import Actor
from schemas.events.job import JobFinished
from tests.api.instances import append
from tests.api.inventories import hosts, inventory, names, organization, refusal
from tests.api.stack import PASSWORD, Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH = "/api/v2/inventories/"


async def test_hosts_follow_the_filter(stack: Stack) -> None:
    """A smart inventory has the hosts of its organization that meet its filter, each name once."""
    of, other = await organization(stack, "smart"), await organization(stack, "elsewhere")
    one, two = await inventory(stack, "one", of), await inventory(stack, "two", of)
    foreign = await inventory(stack, "three", other)
    first = await hosts(stack, one["id"], "web1", "db1", variables="n: 1")
    await hosts(stack, two["id"], "web1", "web2", "x y")
    await hosts(stack, foreign["id"], "web9")
    smart = await inventory(stack, "webs", of, kind="smart", host_filter="name__startswith=web")
    assert await names(stack, f"{smart['url']}hosts/") == ["web1", "web2"]
    assert smart["total_hosts"] == 2
    shown = (await stack.client.get(f"{smart['url']}script/?hostvars=1")).json()
    assert shown["all"] == {"hosts": ["web1", "web2"]}
    assert shown["_meta"]["hostvars"] == {"web1": {"n": 1}, "web2": {}}
    assert await names(stack, f"/api/v2/hosts/{first['web1']}/smart_inventories/") == ["webs"]
    assert await names(stack, f"/api/v2/hosts/{first['db1']}/smart_inventories/") == []
    for name in ("groups", "root_groups", "tree", "inventory_sources", "update_inventory_sources"):
        assert name not in smart["related"]
    await stack.client.patch(smart["url"], json={"host_filter": 'name="x y" or name=db1'})
    assert await names(stack, f"{smart['url']}hosts/") == ["db1", "x y"]
    assert (await stack.client.get(smart["url"])).json()["total_hosts"] == 2
    listed = await stack.client.get(f"{PATH}?kind=smart&organization={of}")
    assert listed.json()["results"][0]["total_hosts"] == 2


async def test_a_job_runs_on_the_hosts_of_the_filter(stack: Stack) -> None:
    """The content that a job is given holds the hosts that the filter finds, once each."""
    plain = await inventory(stack, "run-on")
    await hosts(stack, plain["id"], "run1", "run2", "stay", variables="n: 1")
    smart = await inventory(stack, "runs", kind="smart", host_filter="name__startswith=run")
    tools = stack.services.launch_tools
    async with stack.services.read.view() as view:
        content = await inventory_content(tools.blobs, view, smart["id"], tools.smart_hosts)
    found = json.loads(await tools.blobs.get(content.digest))
    assert content.hosts == 2
    assert found["all"] == {"hosts": ["run1", "run2"]}
    assert found["_meta"]["hostvars"]["run2"]["n"] == 1


async def test_jobs_are_given_facts_that_are_young_enough(stack: Stack) -> None:
    """Those of the hosts that the filter finds, no older than the setting says; 0 lets any be."""
    plain = await inventory(stack, "with-facts")
    ids = await hosts(stack, plain["id"], "fact1", "fact2", "other")
    smart = await inventory(stack, "facts", kind="smart", host_filter="name__startswith=fact")
    tools, now = stack.services.launch_tools, clock.now()
    contents = []
    for job, (host, age_s) in enumerate((("fact1", 7200), ("fact2", 60), ("other", 60)), 900_001):
        gathered = msgspec.json.encode({str(ids[host]): {"facts": {"name": host}}})
        contents.append(await tools.blobs.put(gathered))
        ended = now - timedelta(seconds=age_s)
        end = JobFinished(status="successful", finished=ended, attempt=1, facts=contents[-1])
        await append(stack, subjects.job(job), "facts", end)
    old, young, _ = contents

    async def given() -> dict[str, list[int]]:
        context = context_of(Actor(kind="process", name="test"))
        async with stack.services.read.view() as view:
            found = await known_facts(tools.blobs, view, (smart["id"],), tools.smart_hosts, context)
        known: dict[str, list[int]] = json.loads(await tools.blobs.get(found))
        return known

    every = {old: [ids["fact1"]], young: [ids["fact2"]]}
    assert await given() == every
    settings = "/api/v2/settings/jobs/"
    await stack.client.patch(settings, json={"ANSIBLE_FACT_CACHE_TIMEOUT": 3600})
    try:
        assert await given() == {young: [ids["fact2"]]}
    finally:
        await stack.client.patch(settings, json={"ANSIBLE_FACT_CACHE_TIMEOUT": 0})
    assert await given() == every


async def test_filters_follow_relations(stack: Stack) -> None:
    """Groups, inventories and searches may be asked for; facts are of nobody yet."""
    of = await organization(stack, "relations")
    plain = await inventory(stack, "related", of)
    ids = await hosts(stack, plain["id"], "a", "b", "c")
    group = await stack.make("groups", name="g", inventory=plain["id"])
    await stack.client.post(f"{group['url']}hosts/", json={"id": ids["b"]})
    for text, found in (
        ("groups__name=g", ["b"]),
        ("inventory__name=related and (name=a or name=c)", ["a", "c"]),
        ("search=c", ["c"]),
        ("enabled=false", []),
        (f"id={ids['a']}", ["a"]),
        ("ansible_facts__os__family=Debian", []),
        ("ansible_facts__os=x or name=a", ["a"]),
    ):
        path = f"/api/v2/hosts/?inventory={plain['id']}"
        answered = await stack.client.get(
            path, params={"inventory": plain["id"], "host_filter": text}
        )
        assert [row["name"] for row in answered.json()["results"]] == found, text


@pytest.mark.parametrize(
    "text",
    [
        *("zz=a", "name", "name=a and", "(name=a", "groups__zz=1", "id=x", "or__name=a"),
        *("created_by__password=x", "name__gt__int=1"),
    ],
)
async def test_a_bad_filter_is_refused(stack: Stack, text: str) -> None:
    """A filter that cannot be read, or asks for what hosts do not have, is a 400 naming it."""
    body = {"name": f"bad {text}", "organization": 1, "kind": "smart", "host_filter": text}
    assert await refusal(stack, PATH, **body) == {"host_filter": [f"Invalid query {text}"]}
    answered = await stack.client.get("/api/v2/hosts/", params={"host_filter": text})
    assert (answered.status_code, answered.json()) == (400, {"error": f"Invalid query {text}"})


@pytest.mark.parametrize("text", ['name__regex="("', r'description__iregex="(?:(.+)\1)+$"'])
async def test_expressions_are_tried_before_they_are_kept(stack: Stack, text: str) -> None:
    """A regular expression that is none, or may never end, is not kept to be asked by everybody."""
    body = {"name": "bad expression", "organization": 1, "kind": "smart", "host_filter": text}
    assert await refusal(stack, PATH, **body) == {"host_filter": [f"Invalid query {text}"]}
    made = await inventory(stack, "expressed", kind="smart", host_filter="name__regex=^nobody$")
    assert made["total_hosts"] == 0
    assert (await stack.client.delete(made["url"])).status_code == 202


async def test_kinds_keep_to_themselves(stack: Stack) -> None:
    """A smart inventory needs a filter, takes no members, and no inventory changes its kind."""
    body = {"name": "unfiltered", "organization": 1, "kind": "smart"}
    assert await refusal(stack, PATH, **body) == {
        "host_filter": ["Smart inventories must specify host_filter"]
    }
    smart = await inventory(stack, "closed", kind="smart", host_filter="name=a")
    plain = await inventory(stack, "open", host_filter="name=a")
    assert plain["host_filter"] is None
    for made, verbose, more in (
        ("hosts", "Host", {}),
        ("groups", "Group", {}),
        ("inventory_sources", "Inventory Source", {"source": "ec2"}),
    ):
        text = f"Cannot create {verbose} for Smart or Constructed Inventories"
        refused = await refusal(stack, f"/api/v2/{made}/", name="n", inventory=smart["id"], **more)
        assert refused == {"inventory": {"detail": text}}
    refused = await refusal(
        stack, "/api/v2/bulk/host_create/", inventory=smart["id"], hosts=[{"name": "x"}]
    )
    text = "Hosts can only be created in manual inventories (not smart or constructed types)."
    assert refused == {"__all__": [text]}
    for url, kind in ((smart["url"], ""), (plain["url"], "smart"), (plain["url"], "constructed")):
        answered = await stack.client.patch(url, json={"kind": kind, "host_filter": "name=a"})
        assert answered.status_code == 405
        text = 'You cannot turn a regular inventory into a "smart" or "constructed" inventory.'
        assert answered.json() == {"error": text}


async def test_only_the_organization_may_refilter(stack: Stack) -> None:
    """An admin of the inventory alone cannot widen its filter; whoever reads it sees its hosts."""
    of = await organization(stack, "guarded")
    plain = await inventory(stack, "hidden", of)
    await hosts(stack, plain["id"], "h1", "h2")
    smart = await inventory(stack, "visible", of, kind="smart", host_filter="name=h1")
    number = await stack.add_user("filterer")
    roles = smart["summary_fields"]["object_roles"]
    answered = await stack.client.post(
        f"/api/v2/roles/{roles['admin_role']['id']}/users/", json={"id": number}
    )
    assert answered.status_code == 204
    filterer = stack.as_user("filterer", PASSWORD)
    refused = await filterer.patch(smart["url"], json={"host_filter": "name=h2"})
    assert refused.status_code == 403
    assert (await filterer.patch(smart["url"], json={"description": "d"})).status_code == 200
    rows = (await filterer.get(f"{smart['url']}hosts/")).json()["results"]
    assert [row["name"] for row in rows] == ["h1"]
    assert (await filterer.get("/api/v2/hosts/")).json()["count"] == 0


async def test_a_page_of_hosts_beyond_the_last_is_a_400(stack: Stack) -> None:
    """The list of hosts answers all of its errors alike."""
    answered = await stack.client.get("/api/v2/hosts/?page=999")
    assert (answered.status_code, answered.json()) == (400, {"error": "Invalid page."})
