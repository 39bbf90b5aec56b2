"""Leaders of a cluster's streams are killed under load: what was acknowledged stands, once."""

from __future__ import annotations

import asyncio

import pytest
from nats.aio.client import Client

from controlplane.domain.errors import Rejected
from controlplane.shell.event_store import SubjectPosition
from controlplane.shell.jetstream_store import JetStreamStore
from controlplane.shell.numbers import Numbers
from ops import connect, ids
from schemas import subjects
from schemas.envelope import SYSTEM, Context
from schemas.events.resource import ResourceCreated
from schemas.streams import CONFIG, IDS
from tests.cluster.conftest import Cluster, leader
from tests.factories import NOW
from tests.waiting import passing, soon

pytestmark = pytest.mark.timeout(240)

WRITERS = 4
WRITES = 60


async def test_leaders_killed_under_load_lose_and_repeat_nothing(
    cluster: tuple[Cluster, Client],
) -> None:
    """Acknowledged transactions stand once, each history in order; no id is given out twice."""
    servers, connection = cluster
    told: dict[str, list[str]] = {}
    numbers: list[int] = []

    async def writer(own: int) -> None:
        link = await connect.connect_nats(servers.url, None, f"writer-{own}")
        store, counter = JetStreamStore(link), Numbers(link)
        subject = subjects.config("label", own)
        done = told.setdefault(subject, [])
        while len(done) < WRITES:
            try:
                numbers.extend(await counter.take("label"))
                history = await store.load(subject)
                assert [each.context.id for each in history] == done
                name = ids.new_id()
                context = Context(id=name, at=NOW, actor=SYSTEM, correlation=name)
                event = ResourceCreated(kind="label", id=own, values={"name": name})
                expect = SubjectPosition(history[-1].sequence if history else 0)
                await store.append(subject, context, (event,), expect=expect)
            except Rejected:
                await passing(0.1)  # refused with nothing stored: a client's retry
                continue
            done.append(name)
        await connect.close_quietly(link)

    async def lose_leader(stream: str, after: int) -> None:
        await soon(lambda: sum(map(len, told.values())) > after, 120)
        while not (name := await leader(connection, stream)):
            await passing(0.2)
        again = servers.kill(name)
        await passing(3)
        servers.start(again)
        await passing(2)

    writing = [asyncio.create_task(writer(number)) for number in range(1, WRITERS + 1)]
    await lose_leader(CONFIG.name, 60)
    await lose_leader(IDS.name, 120)
    await asyncio.gather(*writing)
    assert len(set(numbers)) == len(numbers)
    store = JetStreamStore(connection)
    for subject, done in told.items():
        assert [each.context.id for each in await store.load(subject)] == done
