"""What a person waits for and a machine spends, on a whole deployment of its own."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
from nats.aio.client import Client

from ops import clock, connect
from ops.cli.deployment import client_settings
from schemas.output import Frame
from tests.bench import capture, inventories, jobs, reads
from tests.bench.jobs import INTERPRETER
from tests.bench.measures import Measure, Sizes, cpu_s, memory_mb, p50_ms, p99_ms, tree
from tests.bench.place import Place, run_job
from tests.deployment.conftest import Deployment
from tests.waiting import soon

CLIENTS = 16


@contextlib.asynccontextmanager
async def deployed(directory: Path) -> AsyncIterator[tuple[Deployment, float]]:
    """Start a deployment; yields it and the seconds that its first answer took."""
    made = Deployment(directory)
    begun = clock.monotonic()
    await asyncio.to_thread(made.start)
    taken = clock.monotonic() - begun
    try:
        made.write({**jobs.PLAYBOOKS, **capture.project(), **inventories.project()})
        for script in made.repository.glob("of-*.py"):
            script.chmod(0o755)
        await asyncio.to_thread(made.prepare)
        yield made, taken
    finally:
        await asyncio.to_thread(made.stop)
        made.client.close()


async def measure(sizes: Sizes, only: str | None) -> list[Measure]:
    """Measure everything that needs all roles, or one part of it."""
    directory = Path(tempfile.mkdtemp(prefix="pl-"))
    found: list[Measure] = []
    try:
        async with deployed(directory) as (made, start_s):
            idle = _idle(made)
            token = made.post("/api/v2/tokens/", {"scope": "write"})["token"]
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(base_url=made.url, headers=headers, timeout=60) as client:
                place = Place(made=made, client=client, directory=directory, sizes=sizes)
                for name, part in PARTS.items():
                    if only in (None, name):
                        found += await part(place)
                        print(f"measured: {name}", file=sys.stderr)
            await asyncio.to_thread(made.stop)
            begun = clock.monotonic()
            await asyncio.to_thread(made.start)
            again_s = clock.monotonic() - begun
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return [
        *found,
        *idle,
        Measure(name="start_s", value=round(start_s, 2), unit="s", baseline=16, goal=8),
        Measure(name="start_existing_s", value=round(again_s, 2), unit="s", baseline=16, goal=8),
    ]


def _idle(made: Deployment) -> list[Measure]:
    """Return the memory of every role and of all, and how many processes there are."""
    everything = tree(made.pid)
    whole = Measure(
        name="memory_mb", value=memory_mb(everything), unit="MB (PSS)", baseline=3700, goal=600
    )
    count = Measure(name="processes", value=len(everything), unit="processes", baseline=40)
    return [whole, count, *jobs.memory(made, "idle")]


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
        Measure(name="write_p50_ms", value=p50_ms(single), unit="ms", baseline=71, goal=10),
        Measure(name="writes_per_s_16", value=round(rate, 1), unit="writes/s", goal=300),
        Measure(name="write_cpu_ms", value=round(used_ms, 2), unit="ms"),
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
    made = place.made
    told = client_settings(made.data)
    connection: Client = await connect.connect_nats(told.nats_url, told.nats_creds_file, "bench")
    heard = _Heard()
    await connection.subscribe("live.>", cb=heard.frame)
    await connection.subscribe("proj.pos.output", cb=heard.position)
    await connect.flush(connection)
    template = made.template("steps", playbook="steps.yml", extra_vars=INTERPRETER)
    await run_job(place, template)
    await soon(lambda: heard.live and heard.visible(max(heard.live)) is not None, 60)
    await connect.close_quietly(connection)
    live = [arrived - happened for happened, arrived in heard.live.values()]
    visible = [(heard.visible(each) or 0) - heard.live[each][0] for each in heard.live]
    return [
        Measure(name="live_p50_ms", value=p50_ms(live), unit="ms", baseline=510, goal=20),
        Measure(name="live_p99_ms", value=p99_ms(live), unit="ms"),
        Measure(name="visible_p50_ms", value=p50_ms(visible), unit="ms", baseline=510, goal=60),
    ]


async def _reads(place: Place) -> list[Measure]:
    return await reads.measure(place.made, place.client, place.sizes)


PARTS: dict[str, Callable[[Place], Awaitable[list[Measure]]]] = {
    "writes": _writes,
    "live": _latencies,
    "launch": jobs.launches,
    "jobs": jobs.many,
    "play": jobs.long,
    "capture": capture.measure,
    "cancel": jobs.canceled,
    "reads": _reads,
    "inventories": inventories.measure,
}
