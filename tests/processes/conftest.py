"""A dispatcher's floor on a server of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from ops import connect, provision
from tests.processes.floor import Floor
from tests.servers import NatsServer

NewFloor = Callable[..., Awaitable[Floor]]


@pytest.fixture
async def new_floor(nats_server: NatsServer, directory: Path) -> AsyncIterator[NewFloor]:
    """Makes processes that share one server."""
    made: list[Floor] = []

    async def make(lost_grace_s: float = 1.0) -> Floor:
        connection = await connect.connect_nats(nats_server.url, None, "test")
        await provision.provision(connection)
        floor = Floor(connection, directory, lost_grace_s)
        made.append(floor)
        return floor

    yield make
    for floor in made:
        await floor.stop()
        await connect.close_quietly(floor.connection)


@pytest.fixture
async def floor(new_floor: NewFloor) -> Floor:
    """One process without loops yet."""
    return await new_floor()
