"""One key launches once: however often a request comes, its answer is the one job."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.api.stack import Stack
from tests.api.test_schedules import template

pytestmark = pytest.mark.asyncio(loop_scope="module")

REPLAYED = "Idempotent-Replayed"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(stack: Stack) -> dict[str, Any]:
    """A template that prompts for a limit."""
    return await template(stack, "keyed", ask_limit_on_launch=True)


async def send(
    client: httpx.AsyncClient, path: str, key: str, body: dict[str, Any] | None = None
) -> httpx.Response:
    """Send a launch under a key."""
    return await client.post(path, json=body or {}, headers={"Idempotency-Key": key})


async def test_concurrent_requests_of_one_key_make_one_job(
    stack: Stack, made: dict[str, Any]
) -> None:
    """Whoever comes at the same time or later is told of the same job, later with a header."""
    path, body = f"{made['url']}launch/", {"limit": "a", "job_tags": "x"}
    answers = await asyncio.gather(*(send(stack.client, path, "k", body) for _ in range(5)))
    assert {each.status_code for each in answers} == {201}
    (job,) = {each.json()["job"] for each in answers}
    later = await send(stack.client, path, "k", body)
    assert (later.status_code, later.headers[REPLAYED]) == (201, "true")
    assert later.json()["job"] == later.json()["id"] == job
    assert later.json()["ignored_fields"] == answers[0].json()["ignored_fields"]
    assert later.json()["ignored_fields"] == {"job_tags": "x"}
    assert (await stack.client.get(f"{made['url']}jobs/")).json()["count"] == 1


async def test_another_request_under_the_key_is_refused(stack: Stack, made: dict[str, Any]) -> None:
    """Another body or template is 422, a long key 400; another caller's key is another key."""
    path = f"{made['url']}launch/"
    first = await send(stack.client, path, "twice", {"limit": "a"})
    for other, body in ((path, {"limit": "b"}), (path, {}), (path, {"limit": "a", "new": 1})):
        refused = await send(stack.client, other, "twice", body)
        assert refused.status_code == 422, refused.text
        assert "another request" in refused.json()["detail"]
    relaunch = f"/api/v2/jobs/{first.json()['job']}/relaunch/"
    assert (await send(stack.client, relaunch, "twice", {"limit": "a"})).status_code == 422
    user = await stack.add_user("second")
    role = made["summary_fields"]["object_roles"]["execute_role"]["id"]
    await stack.client.post(f"/api/v2/users/{user}/roles/", json={"id": role})
    theirs = await send(stack.as_user("second"), path, "twice", {"limit": "a"})
    assert theirs.status_code == 201
    assert theirs.json()["job"] != first.json()["job"]
    long = await send(stack.client, path, "k" * 256)
    assert (long.status_code, long.json()) == (
        400,
        {"detail": "Idempotency-Key: at most 255 characters."},
    )


async def test_a_refused_launch_leaves_its_key_free(stack: Stack, made: dict[str, Any]) -> None:
    """What was wrong may be put right under the same key."""
    path = f"{made['url']}launch/"
    assert (await send(stack.client, path, "fixed", {"limit": []})).status_code == 400
    good = await send(stack.client, path, "fixed", {"limit": "a"})
    assert good.status_code == 201
    assert REPLAYED not in good.headers


async def test_relaunches_and_updates_take_keys(stack: Stack, made: dict[str, Any]) -> None:
    """A relaunch and a project update under a key happen once; a deleted job is told as such."""
    job = (await stack.client.post(f"{made['url']}launch/", json={})).json()["job"]
    path = f"/api/v2/jobs/{job}/relaunch/"
    first, second = [await send(stack.client, path, "again") for _ in range(2)]
    assert first.json()["job"] == second.json()["job"] != job
    assert second.headers[REPLAYED] == "true"
    project = await stack.make(
        "projects", name="keyed-git", scm_type="git", scm_url="https://e.com/x.git"
    )
    one, two = [await send(stack.client, f"{project['url']}update/", "up") for _ in range(2)]
    assert (one.status_code, two.status_code) == (202, 202)
    assert one.json()["project_update"] == two.json()["project_update"]
    again = first.json()["job"]
    assert (await stack.client.post(f"/api/v2/jobs/{again}/cancel/")).status_code == 202
    assert (await stack.client.delete(f"/api/v2/jobs/{again}/")).status_code == 204
    gone = await send(stack.client, path, "again")
    assert (gone.status_code, gone.json()) == (
        404,
        {"detail": "What this Idempotency-Key launched was deleted."},
    )
