"""The event store: what JetStream and its twin in memory both do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from nats.aio.client import Client

from controlplane.shell.event_store import (
    Conflict,
    EventStore,
    StreamPosition,
    SubjectPosition,
)
from controlplane.shell.jetstream_store import JetStreamStore
from controlplane.shell.memory_store import MemoryStore
from ops import connect, provision
from schemas.events.job import JobHeld
from schemas.events.resource import ResourceCreated
from schemas.streams import CONFIG, JOBS
from tests.factories import context
from tests.servers import NatsServer

HELD = JobHeld(rule="capacity", explanation="full")
Stores = Callable[[], EventStore]


def organization(number: int, name: str = "acme") -> ResourceCreated:
    """An organization's creation."""
    return ResourceCreated(kind="organization", id=number, values={"name": name})


@pytest.fixture
async def provisioned(nats_server: NatsServer) -> AsyncIterator[Client]:
    """A connection to a server with every stream."""
    connection = await connect.connect_nats(nats_server.url, None, "test")
    await provision.provision(connection)
    yield connection
    await connect.close_quietly(connection)


@pytest.fixture(params=["memory", "jetstream"])
def store(request: pytest.FixtureRequest) -> EventStore:
    """Each store in turn."""
    if request.param == "memory":
        return MemoryStore()
    connection: Client = request.getfixturevalue("provisioned")
    return JetStreamStore(connection)


async def test_a_transaction_is_read_back_as_it_was_appended(store: EventStore) -> None:
    """Context, keys and events come back, in order, with their sequence."""
    first = await store.append("job.1", context("a"), [HELD], keys=["k"])
    second = await store.append("job.1", context("b"), [HELD, HELD])
    records = await store.load("job.1")
    assert [record.sequence for record in records] == [first, second]
    assert records[0].context == context("a")
    assert records[0].keys == ("k",)
    assert records[1].events == (HELD, HELD)


async def test_a_subject_without_messages_is_empty(store: EventStore) -> None:
    """Nothing is found, and that is no error."""
    assert await store.load("job.9") == []
    assert await store.last_sequence(JOBS.name) == 0


async def test_an_expectation_of_the_subject_is_checked(store: EventStore) -> None:
    """0 is a subject without messages; another writer's message is a conflict."""
    first = await store.append("job.1", context("a"), [HELD], expect=SubjectPosition(0))
    await store.append("job.2", context("b"), [HELD], expect=SubjectPosition(0))
    with pytest.raises(Conflict):
        await store.append("job.1", context("c"), [HELD], expect=SubjectPosition(0))
    await store.append("job.1", context("d"), [HELD], expect=SubjectPosition(first))


async def test_an_expectation_of_the_stream_is_checked(store: EventStore) -> None:
    """Any message in between is a conflict, whatever its subject."""
    first = await store.append(
        "config.organization.1", context("a"), [organization(1)], expect=StreamPosition(0)
    )
    with pytest.raises(Conflict):
        await store.append(
            "config.organization.2", context("b"), [organization(2)], expect=StreamPosition(0)
        )
    await store.append(
        "config.organization.2", context("c"), [organization(2)], expect=StreamPosition(first)
    )


async def test_the_same_id_is_stored_once(store: EventStore) -> None:
    """A repeated append returns the first sequence, whatever its expectation says by now."""
    first = await store.append("job.1", context("a"), [HELD], expect=SubjectPosition(0))
    again = await store.append("job.1", context("a"), [HELD], expect=SubjectPosition(0))
    assert first == again
    one = await store.append(
        "config.organization.1", context("x"), [organization(1)], expect=StreamPosition(0)
    )
    await store.append(
        "config.organization.2", context("y"), [organization(2)], expect=StreamPosition(one)
    )
    twice = await store.append(
        "config.organization.1", context("x"), [organization(1)], expect=StreamPosition(0)
    )
    assert twice == one
    assert await store.last_sequence(CONFIG.name) == one + 1


async def test_a_stretch_of_the_stream_is_read_in_order(store: EventStore) -> None:
    """First and last are included; an empty stretch yields nothing."""
    for number in range(1, 6):
        await store.append(f"job.{number}", context(f"m{number}"), [HELD])
    found = [record.sequence async for record in store.read(JOBS.name, 2, 4)]
    assert found == [2, 3, 4]
    assert [record async for record in store.read(JOBS.name, 6, 9)] == []


async def test_of_many_writers_one_wins_each_position(store: EventStore) -> None:
    """Twenty writers on one subject: each succeeds exactly once, none is lost."""

    async def write(number: int) -> None:
        while True:
            history = await store.load("job.1")
            last = history[-1].sequence if history else 0
            try:
                await store.append(
                    "job.1", context(f"w{number}"), [HELD], expect=SubjectPosition(last)
                )
            except Conflict:
                continue
            return

    await asyncio.gather(*(write(number) for number in range(20)))
    records = await store.load("job.1")
    assert sorted(record.context.id for record in records) == sorted(f"w{n}" for n in range(20))


async def test_an_oversized_transaction_is_one_message(store: EventStore) -> None:
    """Ten thousand events come back whole; the message names their digest."""
    events = [organization(number, f"name-{number}" * 5) for number in range(10_000)]
    sequence = await store.append("config.organization.1", context("big"), events)
    assert await store.last_sequence(CONFIG.name) == sequence
    [record] = await store.load("config.organization.1")
    assert list(record.events) == events


async def test_nothing_acknowledged_is_lost_when_the_server_is_killed(
    nats_server: NatsServer, provisioned: Client, directory: Path
) -> None:
    """Kill -9 under load, start again: every acknowledged append is there, none twice."""
    del directory
    store = JetStreamStore(provisioned)
    acknowledged: list[str] = []
    enough = asyncio.Event()

    async def write(writer: int) -> None:
        for number in range(150):
            own = f"{writer}-{number}"
            await store.append(f"job.{writer}", context(own), [HELD])
            acknowledged.append(own)
            if len(acknowledged) == 400:
                enough.set()

    writers = [asyncio.create_task(write(writer)) for writer in range(8)]
    await enough.wait()
    nats_server.kill()
    nats_server.start()
    await asyncio.gather(*writers)
    stored = [
        record.context.id for writer in range(8) for record in await store.load(f"job.{writer}")
    ]
    assert sorted(stored) == sorted(acknowledged)
    assert len(set(stored)) == 8 * 150


def test_what_is_acknowledged_is_on_disk(nats_server: NatsServer) -> None:
    """The embedded server syncs before it answers: no power cut takes an acknowledged append."""
    assert "sync_interval: always" in (nats_server.directory / "nats.conf").read_text()
