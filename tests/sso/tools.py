"""What tests of logging in elsewhere share: settings, what is stored, who is in."""

from __future__ import annotations

from typing import Any

import httpx

from schemas import subjects
from schemas.events.access import LoginTried
from schemas.streams import CONFIG
from tests.api.stack import Stack


async def configure(stack: Stack, **settings: Any) -> None:
    """Set settings as the superuser."""
    answered = await stack.client.patch("/api/v2/settings/all/", json=settings)
    assert answered.status_code == 200, answered.text


async def config_end(stack: Stack) -> int:
    """Return the last position of CONFIG."""
    return await stack.services.store.last_sequence(CONFIG.name)


async def last_try(stack: Stack) -> tuple[str, str, bool]:
    """Return name, way and outcome of the last attempt to log in."""
    tried = (await stack.services.store.load(subjects.access("login")))[-1].events[-1]
    assert isinstance(tried, LoginTried)
    return tried.username, tried.way, tried.accepted


async def user(stack: Stack, username: str) -> dict[str, Any]:
    """Return a user as the superuser sees it."""
    found = await stack.client.get("/api/v2/users/", params={"username": username})
    row: dict[str, Any]
    (row,) = found.json()["results"]
    return row


async def there(stack: Stack, username: str) -> bool:
    """Return whether there is such a user."""
    found = await stack.client.get("/api/v2/users/", params={"username": username})
    return bool(found.json()["count"])


async def places(stack: Stack, username: str) -> set[str]:
    """Return the organizations, as member or admin, and teams that a user is in, by name."""
    row = await user(stack, username)
    found: set[str] = set()
    for path, sign in (("organizations", ""), ("admin_of_organizations", "@"), ("teams", "#")):
        answered = await stack.client.get(f"{row['url']}{path}/")
        found |= {sign + each["name"] for each in answered.json()["results"]}
    return found


async def me(client: httpx.AsyncClient) -> dict[str, Any] | None:
    """Return who a client is logged in as; None for nobody."""
    answered = await client.get("/api/v2/me/")
    if answered.status_code == 401:
        return None
    row: dict[str, Any] = answered.json()["results"][0]
    return row
