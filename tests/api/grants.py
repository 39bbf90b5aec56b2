"""Asking for roles, for tests over HTTP."""

from __future__ import annotations

from typing import Any

import httpx

DENIED = {"detail": "You do not have permission to perform this action."}
Body = dict[str, Any]


def role_of(shown: Body, role: str) -> int:
    """Return the id of an object's role."""
    number: int = shown["summary_fields"]["object_roles"][f"{role}_role"]["id"]
    return number


async def post(client: httpx.AsyncClient, path: str, **body: Any) -> tuple[int, Any]:
    """Return status and body of a POST."""
    answered = await client.post(path, json=body)
    return answered.status_code, answered.json() if answered.content else None


async def get(client: httpx.AsyncClient, path: str) -> Any:
    """Return the body of a GET that succeeds."""
    answered = await client.get(path)
    assert answered.status_code == 200, answered.text
    return answered.json()
