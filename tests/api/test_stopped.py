"""A read model stopped by what it cannot apply: it is read, and nothing is written past it."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.api.stack import Stack, running
from tests.waiting import soon


async def _alarmed(stack: Stack, projection: str) -> None:
    async def raised() -> bool:
        query = "select state from projection_state where projection = $1"
        return bool(await stack.services.pool.fetchval(query, projection) == "stopped")

    await soon(raised, 60)


async def _launched(stack: Stack) -> httpx.Response:
    made = await stack.client.get("/api/v2/projects/?name=p")
    number = made.json()["results"][0]["id"]
    return await stack.client.post(f"/api/v2/projects/{number}/update/")


async def test_poison_in_config_refuses_writes_and_not_reads(
    directory: Path, nats_url: str, postgres_dsn: str
) -> None:
    """503 with Retry-After and nothing stored; what was there before is shown."""
    async with running(directory, nats_url, postgres_dsn) as stack:
        await stack.make("organizations", name="before")
        await stack.services.nats.jetstream().publish("config.organization.9", b"{}")
        await _alarmed(stack, "config")
        end = await stack.services.store.last_sequence("CONFIG")
        answer = await stack.client.post("/api/v2/organizations/", json={"name": "after"})
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        assert await stack.services.store.last_sequence("CONFIG") == end
        listed = await stack.client.get("/api/v2/organizations/?name__in=before,after")
        assert [row["name"] for row in listed.json()["results"]] == ["before"]


async def test_poison_in_jobs_refuses_launches_and_not_the_rest(
    directory: Path, nats_url: str, postgres_dsn: str
) -> None:
    """A job that nobody would see is not launched; configuration goes on."""
    async with running(directory, nats_url, postgres_dsn) as stack:
        organization = await stack.make("organizations", name="o")
        source = {"scm_type": "git", "scm_url": "https://example.org/p.git"}
        body = {"name": "p", "organization": organization["id"], **source}
        await stack.make("projects", **body)
        await stack.services.nats.jetstream().publish("job.900", b"{}")
        await _alarmed(stack, "jobs")
        end = await stack.services.store.last_sequence("JOBS")
        answer = await _launched(stack)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        assert await stack.services.store.last_sequence("JOBS") == end
        assert (await stack.client.get("/api/v2/jobs/")).status_code == 200
        await stack.make("organizations", name="still")
