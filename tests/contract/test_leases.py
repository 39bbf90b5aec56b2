"""Leases: a dead holder is followed, a holder that lost its lease stops working."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client

from controlplane.shell.numbers import Numbers
from ops import connect, provision
from ops.leases import Lease
from schemas import subjects
from schemas.streams import LEASES
from tests.servers import NatsServer
from tests.waiting import soon

_HOLD = """
import asyncio, sys
from ops import connect
from ops.leases import Lease

async def main():
    connection = await connect.connect_nats(sys.argv[1], None, "holder")
    async def work():
        print("held", flush=True)
        await asyncio.Event().wait()
    await Lease(connection, "x", "first", 1).run(work)

asyncio.run(main())
"""


@pytest.fixture
async def provisioned(nats_server: NatsServer) -> AsyncIterator[Client]:
    """A connection to a server with every stream."""
    connection = await connect.connect_nats(nats_server.url, None, "test")
    await provision.provision(connection)
    yield connection
    await connect.close_quietly(connection)


async def test_a_killed_holder_is_followed(nats_server: NatsServer, provisioned: Client) -> None:
    """Not while it lives; once it is dead its time runs out and the next holds the lease."""
    command = [sys.executable, "-c", _HOLD, nats_server.url]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert holder.stdout is not None
    assert await asyncio.to_thread(holder.stdout.readline) == b"held\n"
    waiting = asyncio.create_task(Lease(provisioned, "x", "second", 1).acquire())
    done, _ = await asyncio.wait({waiting}, timeout=2.5)
    assert not done
    holder.kill()
    await asyncio.to_thread(holder.wait)
    await asyncio.wait_for(waiting, 20)


async def test_a_holder_that_is_overruled_stops(provisioned: Client) -> None:
    """Its renewal fails on the entry's revision, and what it was doing is cancelled."""
    stopped = asyncio.Event()
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    lease = Lease(provisioned, "y", "first", 1)
    running = asyncio.create_task(lease.run(work))
    await begun.wait()
    await provisioned.jetstream().publish(subjects.kv(LEASES.name, "y"), b"other")
    await asyncio.wait_for(stopped.wait(), 20)
    await running
    found = await provisioned.jetstream().get_last_msg(
        f"KV_{LEASES.name}", subjects.kv(LEASES.name, "y")
    )
    assert found.data == b"other", "what is not its own any more is not released by it"


async def test_a_holder_without_the_server_stops_in_time(
    nats_server: NatsServer, provisioned: Client
) -> None:
    """It cannot know whether another holds the lease by now."""
    stopped = asyncio.Event()
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    running = asyncio.create_task(Lease(provisioned, "z", "first", 1).run(work))
    await begun.wait()
    await asyncio.to_thread(nats_server.kill)
    await asyncio.wait_for(stopped.wait(), 30)
    await asyncio.to_thread(nats_server.start)
    await asyncio.gather(running, return_exceptions=True)


async def test_ids_survive_a_killed_server(nats_server: NatsServer, provisioned: Client) -> None:
    """Sixteen takers go on after it: gaps are legal, a number given twice is not."""
    numbers = Numbers(provisioned)
    taken: list[int] = []
    enough = asyncio.Event()

    async def take() -> None:
        for _ in range(20):
            taken.extend(await numbers.take("host", 2))
            if len(taken) >= 100:
                enough.set()

    takers = [asyncio.create_task(take()) for _ in range(16)]
    await enough.wait()
    await asyncio.to_thread(nats_server.kill)
    await asyncio.to_thread(nats_server.start)
    await soon(lambda: provisioned.is_connected, 60)
    await asyncio.gather(*takers, return_exceptions=True)
    taken.extend(await numbers.take("host"))
    assert len(set(taken)) == len(taken)
