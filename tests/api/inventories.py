"""Making inventories and what is in them, for tests over HTTP."""

from __future__ import annotations

from typing import Any

from tests.api.stack import Stack


async def organization(stack: Stack, name: str) -> int:
    """Make an organization and return its id."""
    return int((await stack.make("organizations", name=name))["id"])


async def inventory(stack: Stack, name: str, of: int = 1, **more: Any) -> dict[str, Any]:
    """Make an inventory."""
    return await stack.make("inventories", name=name, organization=of, **more)


async def hosts(stack: Stack, within: int, *names: str, **more: Any) -> dict[str, int]:
    """Make hosts and return their ids by name."""
    body = {"inventory": within, "hosts": [{"name": name, **more} for name in names]}
    answered = await stack.client.post("/api/v2/bulk/host_create/", json=body)
    assert answered.status_code == 201, answered.text
    return {row["name"]: row["id"] for row in answered.json()["hosts"]}


async def names(stack: Stack, path: str) -> list[str]:
    """Return the names in a list."""
    answered = await stack.client.get(path)
    assert answered.status_code == 200, answered.text
    return [row["name"] for row in answered.json()["results"]]


async def refusal(stack: Stack, path: str, **body: Any) -> Any:
    """POST what must be a 400 and return its body."""
    answered = await stack.client.post(path, json=body)
    assert answered.status_code == 400, answered.text
    return answered.json()
