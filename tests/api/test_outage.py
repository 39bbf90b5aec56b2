"""When a server is away the API says so: 503 with Retry-After, and it comes back by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import httpx

from tests.api.stack import running
from tests.servers import NatsServer, PostgresServer
from tests.waiting import soon


def refused_for_now(answered: httpx.Response) -> bool:
    """Return whether an answer is a well-formed 503."""
    return (
        answered.status_code == 503
        and "retry-after" in answered.headers
        and list(answered.json()) == ["detail"]
    )


async def test_postgres_outage_is_a_503(directory: Path, nats_url: str) -> None:
    """Reads and writes are refused while Postgres is away, and work again when it is back."""
    server = PostgresServer(directory / "pg")
    await asyncio.to_thread(server.start)
    async with running(directory, nats_url, server.dsn) as stack:
        assert (await stack.client.get("/api/v2/organizations/")).status_code == 200
        await asyncio.to_thread(server.kill)
        assert refused_for_now(await stack.client.get("/api/v2/organizations/"))
        body = {"name": "during"}
        assert refused_for_now(await stack.client.post("/api/v2/organizations/", json=body))
        assert (await stack.client.get("/api/")).status_code in (200, 503)
        await asyncio.to_thread(server.start)

        async def works() -> bool:
            answered = await stack.client.post("/api/v2/organizations/", json={"name": "after"})
            return answered.status_code in (201, 400)

        await soon(works, 60)
        listed = await stack.client.get("/api/v2/organizations/?name__in=during,after")
        assert [row["name"] for row in listed.json()["results"]] == ["after"]
    server.stop()


async def test_what_was_acknowledged_is_there_as_soon_as_anything_is(
    directory: Path, nats_url: str
) -> None:
    """Postgres dies with its last commits: reads are refused until they are made up for."""
    server = PostgresServer(directory / "pg")
    await asyncio.to_thread(server.start)
    async with running(directory, nats_url, server.dsn) as stack:
        settling = await asyncpg.connect(server.dsn)
        await settling.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        await settling.execute("SELECT pg_reload_conf()")
        await settling.execute("CHECKPOINT")
        await settling.close()
        made = await stack.make("organizations", name="acknowledged")
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        answers: list[int] = []

        async def answered() -> bool:
            found = await stack.client.get(f"/api/v2/organizations/{made['id']}/")
            answers.append(found.status_code)
            return found.status_code != 503

        await soon(answered, 60)
        assert answers[-1] == 200, answers
    server.stop()


async def test_nats_outage_refuses_writes_and_not_reads(directory: Path, postgres_dsn: str) -> None:
    """Without the log nothing is written and everything is read."""
    server = NatsServer(directory / "nats")
    await asyncio.to_thread(server.start)
    async with running(directory, server.url, postgres_dsn) as stack:
        await asyncio.to_thread(server.kill)
        assert (await stack.client.get("/api/v2/organizations/")).status_code == 200
        body = {"name": "during"}
        assert refused_for_now(await stack.client.post("/api/v2/organizations/", json=body))
        await asyncio.to_thread(server.start)

        async def works() -> bool:
            answered = await stack.client.post("/api/v2/organizations/", json={"name": "after"})
            return answered.status_code in (201, 400)

        await soon(works, 60)
    server.stop()
