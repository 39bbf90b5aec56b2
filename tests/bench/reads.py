"""Reads of long lists: pages of jobs, first and last events of a large job, hosts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import httpx
import msgspec

from controlplane.shell.numbers import UNIFIED_JOB, Numbers
from ops import clock, connect
from ops.cli.deployment import client_settings
from schemas import envelope, subjects
from schemas.envelope import SYSTEM, Context
from schemas.events.job import JobFinished, JobPlaced
from tests.bench.ingest import frames, publish
from tests.bench.measures import Measure, Sizes, p50_ms, p99_ms
from tests.deployment.conftest import Deployment
from tests.factories import NOW, launched
from tests.projections.rig import frame_subject
from tests.waiting import soon

GETS = 50
GETS_16 = 10
CLIENTS = 16
HOSTS = 10_000


async def measure(made: Deployment, client: httpx.AsyncClient, sizes: Sizes) -> list[Measure]:
    """Fill the log, wait until it is readable, then read."""
    job = await _fill(made, sizes)

    async def readable() -> bool:
        listed = await client.get("/api/v2/jobs/", params={"page_size": 1})
        events = await client.get(f"/api/v2/jobs/{job}/job_events/", params={"page_size": 1})
        return bool(
            listed.json()["count"] >= sizes.listed_jobs
            and events.status_code == 200
            and events.json()["count"] == sizes.listed_events
        )

    await soon(readable, 600)
    events = f"/api/v2/jobs/{job}/job_events/"
    last = sizes.listed_events // 100
    hosts = await _hosts(client)
    found: list[Measure] = []
    for name, path, baseline in (
        ("ping", "/api/v2/ping/", 14),
        ("me", "/api/v2/me/", 18),
        ("jobs", "/api/v2/jobs/?page_size=25", 96),
        ("first_events", f"{events}?page_size=100", 168),
        ("last_events", f"{events}?page_size=100&page={last}", 225),
        ("job", f"/api/v2/jobs/{job}/", 44),
        ("hosts", f"/api/v2/inventories/{hosts}/hosts/?page_size=100", 562),
    ):
        found += await _get(client, name, path, baseline)
    return found


async def _hosts(client: httpx.AsyncClient) -> int:
    """Make an inventory of many hosts; returns its id."""
    body = {"name": "many hosts", "organization": 1}
    made = (await client.post("/api/v2/inventories/", json=body)).json()["id"]
    listed = [{"name": f"host-{number:05}"} for number in range(HOSTS)]
    answer = await client.post(
        "/api/v2/bulk/host_create/", json={"inventory": made, "hosts": listed}, timeout=120
    )
    assert answer.status_code == 201, answer.text[:500]
    return int(made)


async def _get(client: httpx.AsyncClient, name: str, path: str, baseline: float) -> list[Measure]:
    """Read one after another, then with sixteen clients at once. The baseline is AWX's median."""

    async def once() -> float:
        begun = clock.monotonic()
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        return clock.monotonic() - begun

    async def client_of_many() -> None:
        for _ in range(GETS_16):
            await once()

    await once()
    taken = [await once() for _ in range(GETS)]
    begun = clock.monotonic()
    await asyncio.gather(*(client_of_many() for _ in range(CLIENTS)))
    rate = CLIENTS * GETS_16 / (clock.monotonic() - begun)
    return [
        Measure(name=f"read_{name}_p50_ms", value=p50_ms(taken), unit="ms", baseline=baseline),
        Measure(name=f"read_{name}_p99_ms", value=p99_ms(taken), unit="ms"),
        Measure(name=f"read_{name}_per_s_16", value=round(rate), unit="requests/s, one process"),
    ]


async def _fill(made: Deployment, sizes: Sizes) -> int:
    """Write finished jobs to the log, and events of one of them; returns that one's id."""
    told = client_settings(made.data)
    connection = await connect.connect_nats(told.nats_url, told.nats_creds_file, "bench")
    numbers = await Numbers(connection).take(UNIFIED_JOB, sizes.listed_jobs)
    await publish(connection, [_life(number) for number in numbers])
    job = numbers[0]
    output = [msgspec.structs.replace(each, job=job) for each in frames(sizes.listed_events)]
    await publish(connection, [(frame_subject(each), msgspec.json.encode(each)) for each in output])
    await connect.close_quietly(connection)
    return job


def _life(job: int) -> tuple[str, bytes]:
    events: Sequence[object] = (
        launched(job, depends=(), template=None, organization=1),
        JobPlaced(attempt=1, group="default", work_class=1),
        JobFinished(status="successful", finished=NOW + timedelta(seconds=3), attempt=1, rc=0),
    )
    context = Context(id=f"bench-{job}", at=NOW, actor=SYSTEM, correlation="bench")
    return subjects.job(job), envelope.encode(context, tuple(events))  # type: ignore[arg-type]
