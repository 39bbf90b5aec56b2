"""Reads of long lists: pages of jobs, first and last events of a large job, hosts."""

from __future__ import annotations

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
from tests.bench.measures import Measure, Sizes, p50_ms
from tests.deployment.conftest import Deployment
from tests.factories import NOW, launched
from tests.projections.rig import frame_subject
from tests.waiting import soon

GETS = 25


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
    return [
        await _get(client, "read_ping_p50_ms", "/api/v2/ping/", baseline=14, goal=5),
        await _get(client, "read_me_p50_ms", "/api/v2/me/", baseline=18, goal=10),
        await _get(client, "read_jobs_p50_ms", "/api/v2/jobs/?page_size=25", baseline=96, goal=40),
        await _get(
            client, "read_first_events_p50_ms", f"{events}?page_size=100", baseline=168, goal=40
        ),
        await _get(
            client,
            "read_last_events_p50_ms",
            f"{events}?page_size=100&page={last}",
            baseline=225,
            goal=60,
        ),
        await _get(client, "read_job_p50_ms", f"/api/v2/jobs/{job}/", baseline=44, goal=20),
    ]


async def _get(
    client: httpx.AsyncClient, name: str, path: str, *, baseline: float, goal: float
) -> Measure:
    taken = []
    for _ in range(GETS):
        begun = clock.monotonic()
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        taken.append(clock.monotonic() - begun)
    return Measure(name=name, value=p50_ms(taken), unit="ms", baseline=baseline, goal=goal)


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
