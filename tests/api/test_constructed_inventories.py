"""Constructed inventories: their source, their inputs, and what they refuse."""

from __future__ import annotations

import pytest

from tests.api.inventories import inventory, names, refusal
from tests.api.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH = "/api/v2/constructed_inventories/"
FIELDS = ("source_vars", "update_cache_timeout", "limit", "verbosity")


async def label(stack: Stack) -> int:
    """Make a label."""
    return int((await stack.make("labels", name="l", organization=1))["id"])


async def test_four_fields_are_kept_by_the_source(stack: Stack) -> None:
    """Creating makes the source too; reading and changing show and reach its fields."""
    body = {"name": "built", "organization": 1, "limit": "web", "source_vars": "plugin: x"}
    answered = await stack.client.post(PATH, json=body)
    assert answered.status_code == 201
    made = answered.json()
    assert [made[name] for name in FIELDS] == ["plugin: x", 0, "web", 1]
    assert (made["kind"], made["type"], made["url"]) == (
        "constructed",
        "inventory",
        f"{PATH}{made['id']}/",
    )
    assert made["total_inventory_sources"] == 1
    inner = f"/api/v2/inventories/{made['id']}/"
    seen = (await stack.client.get(inner)).json()
    assert seen["related"]["constructed_url"] == made["url"]
    sources = (await stack.client.get(f"{inner}inventory_sources/")).json()["results"]
    assert [row["name"] for row in sources] == ["Auto-created source for: built"]
    assert sources[0]["source"] == "constructed"
    assert all(sources[0][name] for name in ("overwrite", "overwrite_vars", "update_on_launch"))
    changed = await stack.client.patch(made["url"], json={"verbosity": 2, "description": "d"})
    assert (changed.json()["verbosity"], changed.json()["description"]) == (2, "d")
    listed = (await stack.client.get(f"{PATH}?name=built")).json()
    assert [row["verbosity"] for row in listed["results"]] == [2]


async def test_bad_values_are_named_and_nothing_is_made(stack: Stack) -> None:
    """Errors of the source's fields are errors of the inventory's body."""
    refused = await refusal(
        stack, PATH, name="unbuilt", organization=1, verbosity=7, update_cache_timeout=-1
    )
    assert refused == {
        "verbosity": ['"7" is not a valid choice.'],
        "update_cache_timeout": ["Ensure this value is greater than or equal to 0."],
    }
    assert "source_vars" in await refusal(
        stack, PATH, name="unbuilt", organization=1, source_vars="[1]"
    )
    assert (await stack.client.get("/api/v2/inventories/?name=unbuilt")).json()["count"] == 0


async def test_other_inventories_are_not_found_here(stack: Stack) -> None:
    """The detail is of constructed inventories alone."""
    plain = await inventory(stack, "not-built")
    url = f"{PATH}{plain['id']}/"
    for answered in (
        await stack.client.get(url),
        await stack.client.patch(url, json={"limit": "x"}),
        await stack.client.delete(url),
    ):
        assert answered.status_code == 404
        assert answered.json() == {"detail": "No Inventory matches the given query."}
    assert (await stack.client.get(plain["url"])).status_code == 200


async def test_inputs_keep_their_order(stack: Stack) -> None:
    """Inputs are listed as attached; a constructed one is refused."""
    built = await inventory(stack, "from-inputs", kind="constructed")
    inputs = f"{built['url']}input_inventories/"
    for name in ("z", "a", "m"):
        one = await inventory(stack, f"input-{name}")
        assert (await stack.client.post(inputs, json={"id": one["id"]})).status_code == 204
    assert await names(stack, inputs) == ["input-z", "input-a", "input-m"]
    for name, number in (("instance_groups", 1), ("labels", await label(stack))):
        path = f"{built['url']}{name}/"
        assert (await stack.client.post(path, json={"id": number})).status_code == 204
    other = await inventory(stack, "from-others", kind="constructed")
    refused = await stack.client.post(inputs, json={"id": other["id"]})
    assert (refused.status_code, refused.json()) == (
        400,
        {"error": "You cannot add a constructed inventory to another constructed inventory."},
    )
    assert (await stack.client.post(inputs, json={"id": 987654})).status_code == 400
    assert await refusal(stack, inputs, id="x") == {"msg": '"id" field must be an integer.'}


async def test_the_source_goes_with_the_inventory_only(stack: Stack) -> None:
    """The one source is not deleted, not turned into another, and goes with its inventory."""
    built = await inventory(stack, "whole", kind="constructed")
    sources = (await stack.client.get(f"{built['url']}inventory_sources/")).json()["results"]
    url = sources[0]["url"]
    assert (await stack.client.delete(url)).status_code == 400
    refused = await stack.client.patch(url, json={"overwrite": False})
    assert refused.json() == {
        "error": ["Cannot change field 'overwrite' on a constructed inventory source."]
    }
    assert (await stack.client.patch(url, json={"limit": "x"})).status_code == 200
    answered = await stack.client.delete(f"{PATH}{built['id']}/")
    assert answered.status_code == 202
    assert (await stack.client.get(url)).status_code == 404


async def test_options_tell_the_fields(stack: Stack) -> None:
    """A client learns of the four fields, and that the kind is given."""
    actions = (await stack.client.options(PATH)).json()["actions"]
    assert set(FIELDS) <= actions["POST"].keys()
    assert not {"kind", "host_filter"} & actions["POST"].keys()
    assert "kind" in actions["GET"]
