"""A connection to a fresh database, and a log with projectors on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from projections.checkpoint import Connection
from tests.projections.rig import Log, opened_log


@pytest.fixture
async def connection(postgres_dsn: str) -> AsyncIterator[Connection]:
    """A connection to a database of the test's own."""
    opened = await asyncpg.connect(postgres_dsn)
    yield opened
    await opened.close()


@pytest.fixture
async def log(nats_url: str, postgres_dsn: str) -> AsyncIterator[Log]:
    """A provisioned nats-server and a database, both the test's own."""
    async with opened_log(nats_url, postgres_dsn) as started:
        yield started
