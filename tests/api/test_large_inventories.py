"""Ten thousand hosts in one request, read back piece by piece, and gone in one request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from controlplane.api import inventory_routes
from controlplane.api.errors import BadRequest
from controlplane.domain.access import Principal
from controlplane.domain.inventory_script import GroupRow, HostRow
from controlplane.shell.inventory_content import HOSTS_AT_ONCE, Members, script_parts
from tests.api.inventories import inventory
from tests.api.stack import Stack
from tests.api.test_lists import Counted

pytestmark = pytest.mark.asyncio(loop_scope="module")
MANY = 10_000
LEVELS = 45


async def test_ten_thousand_hosts_come_and_go(stack: Stack) -> None:
    """One transaction makes them, the script streams them, one transaction removes them."""
    made = await inventory(stack, "large")
    body = {
        "inventory": made["id"],
        "hosts": [{"name": f"h{n:05}", "variables": f'{{"n": {n}}}'} for n in range(MANY)],
    }
    answered = await stack.client.post("/api/v2/bulk/host_create/", json=body)
    assert answered.status_code == 201, answered.text[:200]
    ids = [row["id"] for row in answered.json()["hosts"]]
    assert len(ids) == MANY
    assert (await stack.client.get(made["url"])).json()["total_hosts"] == MANY
    url = f"{made['url']}script/"
    async with stack.client.stream("GET", url, params={"hostvars": 1}) as streamed:
        assert "content-length" not in streamed.headers
        raw = b"".join([part async for part in streamed.aiter_raw()])
    assert raw.count(b'{"n":') == MANY
    whole = (await stack.client.get(url, params={"hostvars": 1, "towervars": 1})).json()
    assert len(whole["all"]["hosts"]) == MANY
    last = {"n": MANY - 1, "remote_tower_enabled": "true", "remote_tower_id": ids[-1]}
    assert whole["_meta"]["hostvars"][f"h{MANY - 1:05}"] == last
    one = await stack.client.get(url, params={"host": "h00007"})
    assert one.json() == {"n": 7}
    assert (await stack.client.get(url, params={"host": "nobody"})).status_code == 404
    names_only = (await stack.client.get(url)).json()
    assert names_only.keys() == {"all"}
    answered = await stack.client.post("/api/v2/bulk/host_delete/", json={"hosts": ids})
    assert answered.status_code == 201, answered.text[:200]
    assert len(answered.json()["hosts"]) == MANY
    assert (await stack.client.get(made["url"])).json()["total_hosts"] == 0
    assert (await stack.client.get(f"{made['url']}hosts/")).json()["count"] == 0


class Variables:
    """Tables that know the variables of every host, and how many were asked for at once."""

    def __init__(self) -> None:
        """Start unasked."""
        self.asked: list[int] = []

    async def named(self, query: str, ids: list[int]) -> list[dict[str, Any]]:
        """Answer with variables of a thousand characters."""
        assert query == "variables_of_hosts"
        self.asked.append(len(ids))
        return [{"id": each, "variables": f'{{"v": "{"x" * 1000}"}}'} for each in ids]


async def test_a_script_is_made_in_pieces() -> None:
    """Variables are read for some hosts at a time, however many there are, and each once."""
    tables = Variables()

    @asynccontextmanager
    async def views() -> AsyncIterator[Any]:
        yield tables

    hosts = tuple(HostRow(id=n, name=f"h{n}", enabled=n % 2 == 0) for n in range(4 * HOSTS_AT_ONCE))
    group = GroupRow(id=1, name="g", variables="", hosts=tuple(range(10)))
    members = Members(variables="", hosts=hosts, groups=(group,))
    sizes = [len(part) async for part in script_parts(members, views, tower_vars=False)]
    assert tables.asked == [HOSTS_AT_ONCE, HOSTS_AT_ONCE]
    assert max(sizes) < HOSTS_AT_ONCE * 1100
    assert [part async for part in script_parts(members, views, tower_vars=False, hosts=False)]
    assert len(tables.asked) == 2


async def test_a_tree_costs_the_same_whatever_its_size(stack: Stack) -> None:
    """A tree of many levels asks as many queries as one of three; it is moved and deleted whole."""
    who = Principal(id=1, username="admin", superuser=True)
    asked: list[int] = []
    for size in (3, LEVELS):
        made = await inventory(stack, f"tree-{size}")
        path = f"{made['url']}root_groups/"
        for level in range(size):
            answered = await stack.client.post(path, json={"name": f"g{level}"})
            assert answered.status_code == 201, answered.text
            path = f"{answered.json()['url']}children/"
        async with stack.services.read.view() as view:
            counted = Counted(view)
            rows = await inventory_routes.tree_of(counted, who, made["id"])
        asked.append(counted.asked)
        depth = 0
        while rows:
            depth, rows = depth + 1, rows[0]["children"]
        assert depth == size
    assert asked[0] == asked[1]
    above = await stack.make("groups", name="above", inventory=made["id"])
    root = (await stack.client.get(f"/api/v2/groups/?inventory={made['id']}&name=g0")).json()
    moved = {"id": root["results"][0]["id"]}
    assert (await stack.client.post(f"{above['url']}children/", json=moved)).status_code == 204
    cycle = await stack.client.post(path, json={"id": above["id"]})
    assert (cycle.status_code, cycle.json()) == (400, {"error": "Cyclical Group association."})
    assert (await stack.client.delete(above["url"])).status_code == 204
    assert (await stack.client.get(made["url"])).json()["total_groups"] == 0


async def test_a_tree_that_multiplies_is_refused() -> None:
    """A ladder of groups, each below both of the level above, has no end that anybody reads."""
    shown = {n: {"id": n} for n in range(60)}
    links = {
        n: {"children": [c for c in (n // 2 * 2 + 2, n // 2 * 2 + 3) if c < 60]} for n in shown
    }
    with pytest.raises(BadRequest):
        inventory_routes.nest(shown, links)
