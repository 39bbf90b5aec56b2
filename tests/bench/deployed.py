"""What a person waits for and a machine spends, on a whole deployment of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
from msgspec import Struct
from nats.aio.client import Client

from ops import clock, connect
from ops.cli.deployment import client_settings
from schemas.output import Frame
from tests.bench import reads
from tests.bench.measures import Measure, Meter, Sizes, cpu_s, memory_mb, p50_ms, tree
from tests.deployment.conftest import TERMINAL, Deployment
from tests.waiting import soon

CLIENTS = 16
SINGLE_RUNS = 5
LOOK_S = 0.2
"""Between two looks: asking all the time would be measured too."""
INTERPRETER = json.dumps({"ansible_python_interpreter": sys.executable})
"""Named, so that what is found on a PATH plays no part."""
ONE_TASK = {"playbook": "ping.yml", "limit": "one", "extra_vars": INTERPRETER}


@contextlib.asynccontextmanager
async def deployed(directory: Path) -> AsyncIterator[tuple[Deployment, float]]:
    """Start a deployment; yields it and the seconds that its first answer took."""
    made = Deployment(directory)
    begun = clock.monotonic()
    await asyncio.to_thread(made.start)
    taken = clock.monotonic() - begun
    try:
        await asyncio.to_thread(made.prepare)
        yield made, taken
    finally:
        await asyncio.to_thread(made.stop)
        made.client.close()


class Place(Struct, frozen=True, kw_only=True):
    """Where a part measures."""

    made: Deployment
    client: httpx.AsyncClient
    directory: Path
    sizes: Sizes


async def measure(sizes: Sizes, only: str | None) -> list[Measure]:
    """Measure everything that needs all roles, or one part of it."""
    directory = Path(tempfile.mkdtemp(prefix="pl-"))
    found: list[Measure] = []
    try:
        async with deployed(directory) as (made, start_s):
            idle_mb = memory_mb(tree(made.pid))
            token = made.post("/api/v2/tokens/", {"scope": "write"})["token"]
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(base_url=made.url, headers=headers, timeout=60) as client:
                place = Place(made=made, client=client, directory=directory, sizes=sizes)
                for name, part in PARTS.items():
                    if only in (None, name):
                        found += await part(place)
                        print(f"measured: {name}", file=sys.stderr)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    memory = Measure(name="memory_mb", value=idle_mb, unit="MB (PSS)", baseline=1900, goal=600)
    start = Measure(name="start_s", value=round(start_s, 2), unit="s", baseline=16, goal=8)
    return [*found, memory, start]


async def _writes(place: Place) -> list[Measure]:
    """Create organizations, one after another and sixteen at a time; each answer holds its own."""
    made, client, sizes = place.made, place.client, place.sizes

    async def create(name: str) -> float:
        begun = clock.monotonic()
        answer = await client.post("/api/v2/organizations/", json={"name": name})
        assert answer.status_code == 201, answer.text
        return clock.monotonic() - begun

    async def creator(own: int) -> None:
        for number in range(sizes.writes // CLIENTS + 1):
            await create(f"many-{own}-{number}")

    for number in range(10):
        await create(f"warm-{number}")
    single = [await create(f"one-{number}") for number in range(sizes.writes)]
    before = cpu_s(tree(made.pid))
    begun = clock.monotonic()
    await asyncio.gather(*(creator(own) for own in range(CLIENTS)))
    total = CLIENTS * (sizes.writes // CLIENTS + 1)
    rate = total / (clock.monotonic() - begun)
    used_ms = (cpu_s(tree(made.pid)) - before) / total * 1000
    return [
        Measure(name="write_p50_ms", value=p50_ms(single), unit="ms", baseline=71, goal=20),
        Measure(name="writes_per_s_16", value=round(rate, 1), unit="writes/s", goal=150),
        Measure(name="write_cpu_ms", value=round(used_ms, 2), unit="ms", goal=15),
    ]


async def _run(made: Deployment, client: httpx.AsyncClient, template: int) -> float:
    """Launch a job and wait for its end; returns the seconds from request to status."""
    begun = clock.monotonic()
    answer = await client.post(f"/api/v2/job_templates/{template}/launch/", json={})
    job = answer.json()["job"]

    async def ended() -> bool:
        found = await client.get(f"/api/v2/jobs/{job}/")
        status = found.json()["status"]
        assert status not in TERMINAL - {"successful"}, found.text
        return bool(status == "successful")

    await soon(ended, 300)
    return clock.monotonic() - begun


async def _launches(place: Place) -> list[Measure]:
    """Compare one-task jobs with the bare command on the same playbook."""
    made, client, directory = place.made, place.client, place.directory
    template = made.template("single", **ONE_TASK)
    await _run(made, client, template)
    whole = [await _run(made, client, template) for _ in range(SINGLE_RUNS)]
    command = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        *("-i", "one,", "-c", "local", "-e", INTERPRETER),
    ]
    bare = []
    for _ in range(SINGLE_RUNS):
        begun = clock.monotonic()
        await asyncio.to_thread(
            subprocess.run,
            [*command, str(directory / "repository" / "ping.yml")],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        bare.append(clock.monotonic() - begun)
    overhead = p50_ms(whole) - p50_ms(bare)
    return [
        Measure(
            name="launch_overhead_ms",
            value=round(overhead, 1),
            unit="ms over bare",
            baseline=610,
            goal=300,
        ),
        Measure(name="bare_run_ms", value=p50_ms(bare), unit="ms"),
    ]


async def _jobs(place: Place) -> list[Measure]:
    """Launch many one-task jobs at once."""
    made, client, count = place.made, place.client, place.sizes.batch_of_jobs
    template = made.template("many", **ONE_TASK, allow_simultaneous=True)
    await _run(made, client, template)
    never = asyncio.Event()
    meter = Meter(made.pid)
    begun = clock.monotonic()
    answers = await asyncio.gather(
        *(client.post(f"/api/v2/job_templates/{template}/launch/") for _ in range(count))
    )
    assert {answer.status_code for answer in answers} == {201}, [each.text for each in answers]
    query: dict[str, str | int] = {"job_template": template, "page_size": 1}
    active = {**query, "status__in": "new,pending,waiting,running"}
    while (await client.get("/api/v2/jobs/", params=active)).json()["count"]:
        meter.look()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(never.wait(), LOOK_S)
    taken = clock.monotonic() - begun
    used = meter.used_s()
    ended = await client.get("/api/v2/jobs/", params={**query, "status": "successful"})
    assert ended.json()["count"] == count + 1, ended.text
    return [
        Measure(
            name="jobs_per_s", value=round(count / taken, 2), unit="jobs/s", baseline=1.55, goal=2
        ),
        Measure(
            name="cpu_s_per_job", value=round(used / count, 2), unit="s", baseline=1.24, goal=0.9
        ),
    ]


class _Heard:
    """Arrivals of one job's frames live, and of the positions that the read model has passed."""

    def __init__(self) -> None:
        self.live: dict[int, tuple[float, float]] = {}
        self.committed: list[tuple[int, float]] = []

    async def frame(self, message: Any) -> None:
        """Note when a frame's last event happened and when it arrived."""
        told = msgspec.json.decode(message.data, type=Frame)
        happened = datetime.fromisoformat(told.events[-1].created).timestamp()
        self.live[int(message.headers["Nats-Sequence"])] = (happened, _now())

    async def position(self, message: Any) -> None:
        """Note when a position was committed."""
        self.committed.append((int(message.data), _now()))

    def visible(self, sequence: int) -> float | None:
        """Return when a frame was committed; None before it is."""
        return next((at for position, at in self.committed if position >= sequence), None)


def _now() -> float:
    return clock.now().timestamp()


async def _latencies(place: Place) -> list[Measure]:
    """From an event on the runner to a live subscriber, and to a committed row."""
    made, client = place.made, place.client
    told = client_settings(made.data)
    connection: Client = await connect.connect_nats(told.nats_url, told.nats_creds_file, "bench")
    heard = _Heard()
    await connection.subscribe("live.>", cb=heard.frame)
    await connection.subscribe("proj.pos.output", cb=heard.position)
    await connection.flush()
    template = made.template("steps", playbook="steps.yml", extra_vars=INTERPRETER)
    await _run(made, client, template)
    await soon(lambda: heard.live and heard.visible(max(heard.live)) is not None, 60)
    await connect.close_quietly(connection)
    live = [arrived - happened for happened, arrived in heard.live.values()]
    visible = [(heard.visible(each) or 0) - heard.live[each][0] for each in heard.live]
    return [
        Measure(name="live_p50_ms", value=p50_ms(live), unit="ms", goal=100),
        Measure(name="visible_p50_ms", value=p50_ms(visible), unit="ms", baseline=510, goal=150),
    ]


async def _reads(place: Place) -> list[Measure]:
    return await reads.measure(place.made, place.client, place.sizes)


PARTS: dict[str, Callable[[Place], Awaitable[list[Measure]]]] = {
    "writes": _writes,
    "live": _latencies,
    "launch": _launches,
    "jobs": _jobs,
    "reads": _reads,
}
