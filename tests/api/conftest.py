"""One running API for each module of tests; tests use names of their own."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest_asyncio

from ops import ids
from tests.api.stack import Stack, running
from tests.servers import NatsServer, PostgresServer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(postgres_server: PostgresServer) -> AsyncIterator[Stack]:
    """The API over servers of the module's own, with the superuser ``admin``."""
    directory = Path(tempfile.mkdtemp(prefix="pl-"))
    nats_server = NatsServer(directory / "nats")
    await asyncio.to_thread(nats_server.start)
    name = f"t{ids.new_id()}"
    connection = await asyncpg.connect(postgres_server.dsn)
    await connection.execute(f"create database {name}")
    dsn = postgres_server.dsn.rsplit("/", 1)[0] + f"/{name}"
    try:
        async with running(directory, nats_server.url, dsn) as started:
            yield started
    finally:
        await connection.execute(f"drop database {name} with (force)")
        await connection.close()
        nats_server.stop()
        shutil.rmtree(directory, ignore_errors=True)
