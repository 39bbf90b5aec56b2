"""Reads of long lists: jobs, first and last events of a large job, hosts, an inventory's script.

As a superuser, and as one of many users with roles. The baselines are AWX's on a machine of the
same size: its median, and what its web and Postgres processes used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

import asyncpg
import httpx
import msgspec

from controlplane.shell.numbers import UNIFIED_JOB, Numbers
from ops import clock, connect, postgres
from ops.cli.deployment import client_settings
from schemas import envelope, subjects
from schemas.envelope import SYSTEM, Context
from schemas.events.job import JobFinished, JobPlaced
from tests.bench.ingest import frames, publish
from tests.bench.measures import Measure, Sizes, cpu_s, p50_ms, p99_ms, tree
from tests.deployment.conftest import PASSWORD, Deployment
from tests.factories import NOW, launched
from tests.projections.rig import frame_subject
from tests.waiting import soon

GETS = 50
GETS_16 = 10
CLIENTS = 16
HOSTS = 10_000


class Read(NamedTuple):
    """One thing that is read, and what it takes AWX."""

    name: str
    path: str
    p50_ms: float
    cpu_ms: float
    cheaper: float = 20
    """How many times less of the processor it is meant to take here."""
    times: int = GETS


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
    script = f"/api/v2/inventories/{hosts}/script/?hostvars=1"
    await _settle(made)
    found: list[Measure] = []
    for read in (
        Read("ping", "/api/v2/ping/", 14, 16),
        Read("me", "/api/v2/me/", 18, 24, cheaper=10),
        Read("jobs", "/api/v2/jobs/?page_size=25", 96, 94),
        Read("first_events", f"{events}?page_size=100", 168, 174),
        Read("last_events", f"{events}?page_size=100&page={last}", 225, 326),
        Read("job", f"/api/v2/jobs/{job}/", 44, 54),
        Read("hosts", "/api/v2/hosts/?page_size=100", 527, 562),
        Read("script", script, 341, 322, times=5),
    ):
        found += await _get(made, client, read)
    basic = httpx.BasicAuth("admin", PASSWORD)
    async with httpx.AsyncClient(base_url=made.url, auth=basic, timeout=60) as by_password:
        found += await _get(made, by_password, Read("me_basic", "/api/v2/me/", 136, 136))
    token = await _users(client, hosts, sizes.users)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=made.url, headers=headers, timeout=60) as plain:
        for read in (
            Read("user_jobs", "/api/v2/jobs/?page_size=25", 96, 94),
            Read("user_hosts", "/api/v2/hosts/?page_size=100", 527, 562),
        ):
            found += await _get(made, plain, read)
    return found


async def _settle(made: Deployment) -> None:
    """Do what autovacuum does within a minute of many rows, so that every read is a usual one."""
    told = client_settings(made.data)
    password = postgres.options(told.postgres_password_file)
    connection = await asyncpg.connect(told.postgres_dsn, **password)
    await connection.execute("vacuum analyze")
    await connection.close()


async def _users(client: httpx.AsyncClient, inventory: int, number: int) -> str:
    """Make users of one organization and inventory; returns a token of the last."""
    described = (await client.get(f"/api/v2/inventories/{inventory}/")).json()
    role = described["summary_fields"]["object_roles"]["read_role"]["id"]
    for place in range(number):
        name = f"reader-{place}"
        body = {"username": name, "password": f"{name}-password"}
        made = (await client.post("/api/v2/organizations/1/users/", json=body)).json()["id"]
        answer = await client.post(f"/api/v2/roles/{role}/users/", json={"id": made})
        assert answer.status_code == 204, answer.text
    auth = httpx.BasicAuth(name, f"{name}-password")
    path = f"/api/v2/users/{made}/personal_tokens/"
    answer = await client.post(path, json={"scope": "read"}, auth=auth)
    assert answer.status_code == 201, answer.text
    token: str = answer.json()["token"]
    return token


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


async def _get(made: Deployment, client: httpx.AsyncClient, read: Read) -> list[Measure]:
    """Read one after another, then with sixteen clients at once; both count for the processor."""

    async def once() -> float:
        begun = clock.monotonic()
        answer = await client.get(read.path)
        assert answer.status_code == 200, answer.text
        return clock.monotonic() - begun

    async def client_of_many() -> None:
        for _ in range(each):
            await once()

    await once()
    each = -(-read.times * GETS_16 // GETS)
    before = cpu_s(tree(made.pid))
    taken = [await once() for _ in range(read.times)]
    begun = clock.monotonic()
    await asyncio.gather(*(client_of_many() for _ in range(CLIENTS)))
    rate = CLIENTS * each / (clock.monotonic() - begun)
    used_ms = (cpu_s(tree(made.pid)) - before) / (read.times + CLIENTS * each) * 1000
    name = f"read_{read.name}"
    cpu = Measure(
        name=f"{name}_cpu_ms",
        value=round(used_ms, 2),
        unit="ms",
        baseline=read.cpu_ms,
        goal=round(read.cpu_ms / read.cheaper, 1),
    )
    return [
        Measure(name=f"{name}_p50_ms", value=p50_ms(taken), unit="ms", baseline=read.p50_ms),
        Measure(name=f"{name}_p99_ms", value=p99_ms(taken), unit="ms"),
        Measure(name=f"{name}_per_s_16", value=round(rate), unit="requests/s, one process"),
        cpu,
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
